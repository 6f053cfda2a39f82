//! MLflow's tracking server, over its REST API (MLflow 3).
//!
//! Sources: `mlflow/protos/service.proto`, `mlflow/protos/assessments.proto`, and the answers of MLflow 3.17.2.

mod attachments;
mod echo;
mod evaluation;
mod page;
mod people;
mod pull;
mod push;
mod registry;
mod rejection;
mod second;
mod server;
mod settings;
mod there;
mod trace_file;

pub use echo::Difference;
pub use evaluation::Described;
pub use people::{Known, feedback_of_people, state};
pub use pull::{Pulled, Query, pull};
pub use push::{PushError, Pushed, push};
pub use registry::{InvalidJudgeUri, JudgeUri, RegistryError, registered, scorers};
pub use server::{Experiment, Server};
pub use settings::Settings;
pub use trace_file::TraceFile;
