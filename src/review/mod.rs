//! Feedback of people: a page on this machine that shows one trace after another, and appends what is said of them to a log.
//!
//! The page is a little script over a few requests; whatever stands in a trace is put into text nodes. A decision is saved when it is on the disk. The log
//! is not locked: a run, and other reviewers, may write to it at the same time.

mod api;
mod board;
mod decision;
mod guard;
mod item;
mod page;
mod plan;
mod queue;
mod schema;
mod standing;
mod survey;

pub use api::Review;
pub use board::{Board, BoardError};
pub use guard::Guard;
pub use plan::{InvalidPlan, LabelPlan};
pub use queue::{Order, Queue};
pub use schema::{InvalidLabel, Question, Schema};
pub use survey::{Survey, SurveyedLabel};

/// Members of `metadata` of what was said here: how long the trace was looked at, and whether others' verdicts were hidden until then.
const SECONDS_METADATA: &str = "review_seconds";
const BLIND_METADATA: &str = "blind";
