//! What a log already has: the index, and how it is built.

mod build;
mod entry;
#[expect(clippy::module_inception, reason = "the module's one subject")]
mod index;

pub(super) use build::IndexBuilder;
pub use index::{Index, Seen};
