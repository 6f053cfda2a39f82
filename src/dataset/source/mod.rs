//! A path or standard input, opened, decompressed and decoded.

mod container;
mod error;
mod gzip;
#[expect(clippy::module_inception, reason = "the module's one subject")]
mod source;
mod zip;
mod zstd;

pub use container::Remedy;
pub(super) use container::{Container, Unpacked, look_at};
pub use error::DatasetError;
pub(super) use source::Source;
