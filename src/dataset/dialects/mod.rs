//! The dialects that a trace can have: one file each, and the registry that recognises them.

mod anthropic;
mod any_value;
mod braintrust;
mod dataframe;
mod dialect;
pub(super) mod fields;
mod gemini;
mod helicone;
mod inspect;
mod langfuse;
mod langsmith;
pub(super) mod messages;
mod mlflow;
mod mlflow_rows;
mod openai;
mod opik;
mod otel;
pub(super) mod part;
mod plain;
mod promptfoo;
mod registry;
mod rows;
mod sharegpt;
pub(super) mod span;
mod times;
pub(super) mod trace_fields;
mod weave;
pub(super) mod wrapped;

pub use dialect::Dialect;
pub(super) use dialect::Found;
pub(super) use registry::{Read, Reading, derived_trace_id};
