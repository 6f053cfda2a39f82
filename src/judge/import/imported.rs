//! What comes of importing one thing: a judge file, or why there is none.

/// A judge file, made of something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// What it is called.
    pub name: String,
    /// The text of the file.
    pub toml: String,
    /// What could not be converted, or was decided instead, in words.
    pub notes: Vec<String>,
}

/// Why something is no judge here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotImported {
    /// Not JSON.
    #[error("not JSON: {0}")]
    Json(String),
    /// JSON of another kind.
    #[error("neither a scorer nor a prompt of MLflow: expected `scorer`, `scorers` or `model_version`")]
    OtherJson,
    /// A scorer or prompt of a kind that has no counterpart.
    #[error("`{name}` {reason}")]
    Unsupported {
        /// What it is called.
        name: String,
        /// What it is.
        reason: String,
    },
}

pub(super) fn unsupported(name: &str, reason: impl Into<String>) -> NotImported {
    NotImported::Unsupported { name: name.to_owned(), reason: reason.into() }
}
