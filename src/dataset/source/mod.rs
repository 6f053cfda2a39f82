//! A path or standard input, opened and unpacked.

pub(super) mod container;
#[expect(clippy::module_inception, reason = "the module's one subject")]
mod source;
mod zstd;

pub use container::Remedy;
pub use source::DatasetError;
pub(super) use source::Source;
