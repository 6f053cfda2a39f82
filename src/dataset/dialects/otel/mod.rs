//! Traces as OpenTelemetry's spans.
//!
//! Two forms of files hold such spans: export requests ([`otlp`]) and spans as single objects ([`objects`]). Both become a
//! [`recorded`] span with flat attributes, and each of the [`conventions`] for naming these takes from it what it knows. The spans of a
//! trace, and messages in [`logs`], come together when the dataset is read.
//!
//! | recorded | becomes |
//! | --- | --- |
//! | messages of a model call | `inputs`: `{"messages": [...]}`, each message as in OpenAI's chat completions API ([`super::messages`]) |
//! | its answer | `outputs`: the text alone; the message where it calls tools; a list where there are several |
//! | a retriever's documents | `outputs`: `[{"page_content": "...", "metadata": {...}, "id": "...", "score": 0.5}]`, of these what is known |
//! | arguments and result of a tool, input and output of other spans | `inputs`, `outputs`: decoded where they are JSON |
//! | anything else | `attributes`, under its own name |
//!
//! Events and log records without messages, and links, are not kept.

mod attributes;
mod conventions;
mod events;
mod gen_ai;
mod langfuse;
mod langsmith;
mod logs;
mod mlflow;
mod objects;
mod openinference;
mod otlp;
mod pydantic_ai;
mod recorded;
mod traceloop;
mod vercel;

pub(crate) use objects::DIALECT as OBJECTS;
pub(crate) use otlp::DIALECT as OTLP;
