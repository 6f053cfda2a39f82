//! The forms that a trace can have: one file each, and the registry that tells them apart.

mod any_value;
mod dialect;
pub(super) mod fields;
mod langfuse;
mod langsmith;
mod mlflow;
mod openai;
mod otel;
pub(super) mod plain;
mod registry;
mod sharegpt;
pub(super) mod span;

pub use dialect::Dialect;
pub(super) use dialect::Found;
pub(super) use registry::{derived_trace_id, read_record};
