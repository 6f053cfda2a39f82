//! Where one object ends and the next begins: lines, elements of a JSON list, rows of a table.

mod elements;
#[expect(clippy::module_inception, reason = "the module's one subject")]
mod framing;
pub(super) mod lines;
pub(super) mod record;
mod scan;
mod syntax;
mod table;

pub use framing::Framing;
pub(super) use framing::Records;
