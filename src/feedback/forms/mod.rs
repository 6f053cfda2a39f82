//! The forms that feedback can have in a file, and conversions between them.
//!
//! The log is what a run resumes from; every other form is made from it.

mod cell;
mod convert;
mod csv;
mod error;
mod export;
mod form;
mod read;
mod table;
mod table_options;
mod wide;
mod write;

pub(crate) use cell::cell as text_cell;
#[cfg(feature = "cli")]
pub(crate) use cell::text as text_of_cell;
pub use convert::{Converted, convert};
pub use error::ConvertError;
pub use export::{export, replace};
pub use form::{Form, UnknownForm};
pub use read::Input;
pub use table_options::{INCLUDED, Include, TableOptions, TextsOf};
pub use write::Lost;
