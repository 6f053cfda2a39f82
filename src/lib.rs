//! judge-run judges recorded traces of GenAI applications with LLM judges, in batches, and leaves one MLflow-style
//! Feedback record per judgment.
//!
//! ```text
//! dataset lines -> Trace -> judgment (rendered request + its id) -> already in the log? skip
//!      -> quota admits -> endpoint answers or fails -> retry, or verdict/failure -> Feedback -> log -> summary
//! ```
//!
//! Each floor knows only the floors below it:
//!
//! | floor | subject |
//! | --- | --- |
//! | [`servers`] | where traces live: MLflow's tracking server; traces come from there, feedback goes there |
//! | [`run`] | the pipeline: plan, admit, ask, record; its events and its summary |
//! | [`people`] | what people say about traces, and what that says about a judge: import, aggregation, agreement, calibration |
//! | [`results`] | what the feedback shows: reports, comparisons, gates; on the same floor as `run`, and neither knows the other |
//! | `intake` and `review` | servers for applications and people who give feedback; only with the feature `cli` |
//! | [`judge`] | what is asked: judge files, prompts, the form of the verdict and how it is read |
//! | [`batch`] | providers' batch APIs: requests in files, answers later, at half the price |
//! | [`endpoint`] | who is asked: client, failures, quota, the simulated endpoint |
//! | [`dataset`] | what is judged: files, lines, one file per trace dialect |
//! | [`feedback`] and [`trace`] | the record with its log, and the common form of a trace |
//! | [`files`] | the names of files next to each other, and how one is replaced as a whole |
//!
//! The library prints nothing and knows no flags; the binary `judge-run` does both. A run is [`run::run`] over
//! [`run::RunSettings`], and reports what happens as a stream of [`run::Event`]s.
#![deny(missing_docs)]

#[macro_use]
mod serde_text;

pub mod batch;
pub mod dataset;
pub mod endpoint;
pub mod feedback;
pub mod files;
#[cfg(feature = "cli")]
pub mod intake;
mod json_string;
pub mod judge;
pub mod people;
pub mod results;
#[cfg(feature = "cli")]
pub mod review;
pub mod run;
pub mod servers;
pub mod trace;
