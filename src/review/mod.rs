//! Feedback of people: a page on this machine that shows one trace after another, and appends the feedback on them to a log.
//!
//! The page is a small script on top of a few requests; whatever a trace contains is put into text nodes. A decision is saved when it is on disk. The log
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
