//! Traces as OpenTelemetry's spans.
//!
//! Two forms of files hold such spans: export requests ([`otlp`]) and spans as single objects ([`objects`]). Both become a
//! [`Recorded`] span with flat attributes, and each convention for naming these takes from it what it knows. The spans of a
//! trace come together in [`super::parts`].
//!
//! | recorded | becomes |
//! | --- | --- |
//! | messages of a model call | `inputs`: `{"messages": [...]}`, each message as OpenAI's chat completions API has it ([`messages`]) |
//! | its answer | `outputs`: the text alone; the message where it calls tools; a list where there are several |
//! | a retriever's documents | `outputs`: `[{"page_content": "...", "metadata": {...}, "id": "...", "score": 0.5}]`, of these what is known |
//! | arguments and result of a tool, input and output of other spans | `inputs`, `outputs`: decoded where they are JSON |
//! | anything else | `attributes`, under its own name |
//!
//! Events that are no messages, and links, are not kept.

mod attributes;
mod events;
mod gen_ai;
mod messages;
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
