//! The pipeline: plan -> admit -> ask -> record.
//!
//! - `plan`: a thread walks through the dataset, renders prompts, and leaves out what the log already has;
//! - `dispatch`: one task admits judgments through the gates of their endpoints, retries first;
//! - `ask`: one spawned task for each attempt: request, answer, verdict;
//! - `record`: what came of it, as feedback; the log's own thread writes it.
//!
//! Everything between is bounded: the reader stops when the pipeline is full. What happens is told as a stream of [`Event`]s;
//! [`Summary`] is the fold over them that every run ends with.

mod ask;
mod budget;
mod dispatch;
mod dry_run;
mod event;
mod exit;
mod health;
mod job;
mod lane;
pub mod manifest;
mod member;
mod millis;
mod passed_over;
mod plan;
mod readers;
mod record;
mod rejects;
mod run_plan;
mod selection;
mod settings;
mod shard;
mod summary;
mod walk;

pub use budget::{Budget, Exhausted, MaxErrors};
pub use dispatch::{StartError, run};
pub use dry_run::{DryRun, DryRunQuestion, dry_run};
pub use event::Event;
pub use exit::Exit;
pub use passed_over::{PassOver, PassedOver};
pub use run_plan::{EndpointPlan, Export, JudgePlan, MemberPlan, Reading, RunPlan, SelectionPlan, Withheld};
pub use selection::{Criteria, DrawError, InvalidSampleSize, LeftOut, LeftOutCounts, Sample, SampleSize, Selection};
pub use settings::{LaneSettings, Output, Policy, RunSettings, Scope, Shutdown};
pub use shard::{InvalidShard, Shard};
pub use summary::{Distribution, LaneSummary, QuestionSummary, RunReport, StopReason, Summary};
