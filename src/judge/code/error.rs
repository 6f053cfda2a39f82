//! Why a computation is none.

use toml::Spanned;

use crate::judge::template_error::TemplateError;

/// Why a computation cannot be made of any trace.
#[derive(Debug)]
pub enum CodeError {
    /// An expression, and where it stands.
    Template {
        /// As written.
        source: Spanned<String>,
        /// What is wrong with it.
        error: Box<TemplateError>,
    },
    /// A key.
    Invalid(String),
}
