//! Judges that compute their verdict from the trace: an expression, or one of the named checks. Nothing is asked, nothing is paid.

mod check;
#[expect(clippy::module_inception, reason = "the module's one subject")]
mod code;
mod error;
mod measures;
mod numbers;
mod operand;
mod pii;
mod ranking;
mod table;
mod tools;
mod words;

pub use code::Code;
pub use error::CodeError;
pub use table::{CheckName, CodeTable};
