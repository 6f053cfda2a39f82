//! The pipeline: plan -> admit -> ask -> record.
//!
//! - `plan`: a thread walks through the dataset, renders prompts, and leaves out what the log already has;
//! - `dispatch`: one task admits judgments through the gates of their endpoints, retries first;
//! - `ask`: one spawned task for each attempt: request, answer; `reading` finds the verdict in it;
//! - `record`: the outcome, as feedback; the log's own thread writes it.
//!
//! Everything between is bounded: the reader stops when the pipeline is full. What happens is a stream of [`Event`]s; [`Summary`] is the fold over
//! them that every run ends with.

mod attempts;
mod derived;
mod dispatch;
mod dry_run;
mod included;
mod lanes;
mod outcome;
mod panel;
mod planning;
mod rankings;
mod repeated;
mod rubrics;
mod setup;
mod start;
mod until;

pub use dispatch::stop::{GivenUp, StopReason};
pub use dry_run::{DryRun, DryRunQuestion, dry_run};
pub use included::Included;
pub use outcome::counts::Counts;
pub use outcome::distribution::Distribution;
pub use outcome::event::Event;
pub use outcome::exit::{Exit, RunReport};
pub use outcome::summary::{Endless, LaneSummary, PromptLimit, QuestionInfo, QuestionSummary, Summary};
pub use panel::{Aggregation, Panel, PanelSummary};
pub use planning::item::Settled;
pub use planning::skipped::{SkipCounts, SkipReason};
pub use rankings::RankingSummary;
pub use repeated::Repeated;
pub use rubrics::{AggregatedCriterion, AggregatedRubric, RubricSummary};
pub use setup::batching::{BatchPlan, Batched, Batching, OnExpired, Proofs};
pub use setup::budget::{Budget, Exhausted, MaxErrors};
pub use setup::fingerprint::{Dataset, Fingerprint};
pub use setup::manifest;
pub use setup::questions::{LaneIndex, QuestionIndex};
pub use setup::run_plan::{
    EndpointPlan, Export, JudgePlan, MemberPlan, PanelPlan, QuotaPlan, Reading, RunPlan, SelectionPlan, TablePlan,
    Withheld,
};
pub use setup::selection::{
    Criteria, DrawError, InvalidSampleSize, NotSelected, NotSelectedCounts, Sample, SampleSize, Selection,
};
pub use setup::settings::{EndpointLane, FailureScope, LaneSettings, Output, Policy, RunSettings, Scope, Shutdown};
pub use setup::shard::{InvalidShard, Shard};
pub use setup::sides::{Sides, SidesError, SidesPlan};
pub use start::{StartError, run};
pub use until::{Until, UntilCondition, UntilSummary, Waves};
