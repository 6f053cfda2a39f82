//! Where one object ends and the next begins: lines, elements of a JSON list, rows of a table.

mod cells;
pub(super) mod columns;
mod detect;
mod elements;
pub(super) mod limits;
mod lines;
pub(super) mod record;
mod records;
mod scan;
mod syntax;
mod table;

pub use detect::Framing;
pub(super) use records::Records;
