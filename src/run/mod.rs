//! The pipeline: plan -> admit -> ask -> record.
//!
//! - `plan`: a thread walks through the dataset, renders prompts, and leaves out what the log already has;
//! - `dispatch`: one task admits judgments through the gates of their endpoints, retries first;
//! - `ask`: one spawned task for each attempt: request, answer; `reading` finds the verdict in it;
//! - `record`: what came of it, as feedback; the log's own thread writes it.
//!
//! Everything between is bounded: the reader stops when the pipeline is full. What happens is a stream of [`Event`]s; [`Summary`] is the fold over
//! them that every run ends with.

mod ask;
mod budget;
mod counts;
mod dispatch;
mod distribution;
mod dry_run;
mod ending;
mod event;
mod exit;
mod health;
mod included;
mod intake;
mod item;
mod job;
mod lane;
pub mod manifest;
mod member;
mod millis;
mod patience;
mod plan;
mod prompt_check;
mod questions;
mod readers;
mod reading;
mod record;
mod rejects;
mod retry;
mod run_plan;
mod selection;
mod settings;
mod shard;
mod skipped;
mod start;
mod stop;
mod summary;
mod until;
mod variation;
mod walk;

pub use budget::{Budget, Exhausted, MaxErrors};
pub use counts::Counts;
pub use distribution::Distribution;
pub use dry_run::{DryRun, DryRunQuestion, dry_run};
pub use event::Event;
pub use exit::{Exit, RunReport};
pub use included::Included;
pub use item::Settled;
pub use questions::{LaneIndex, QuestionIndex};
pub use run_plan::{EndpointPlan, Export, JudgePlan, MemberPlan, Reading, RunPlan, SelectionPlan, TablePlan, Withheld};
pub use selection::{Criteria, DrawError, InvalidSampleSize, LeftOut, LeftOutCounts, Sample, SampleSize, Selection};
pub use settings::{FailureScope, LaneSettings, Output, Policy, RunSettings, Scope, Shutdown};
pub use shard::{InvalidShard, Shard};
pub use skipped::{SkipCounts, SkipReason};
pub use start::{StartError, run};
pub use stop::{GivenUp, StopReason};
pub use summary::{Endless, LaneSummary, PromptLimit, QuestionInfo, QuestionSummary, Summary};
pub use until::{Until, UntilCondition, UntilSummary, Waves};
