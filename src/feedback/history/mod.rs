//! What a log means: one fold from records to opinions, their standing and the present state.
//!
//! Everything that reads a log uses it: the index that a run resumes from, `status`, `convert`, `compact`, `merge`, `--reuse`, `replay`.
//!
//! # Whose record it is
//! *Our own* are the records that judge-run wrote: of a model ([`SourceType::LlmJudge`]) or a judge's code, with an id of our form, and with our metadata
//! (`run_id` and `judge_prompt`), which every form of feedback keeps. A model's record without any metadata counts as one whose metadata was removed. MLflow's ids look like
//! ours, and other tools ask models too, but their metadata is different. All other records are *others'*.
//!
//! # Records with one id
//! The id of our own record identifies one question: the same judge, model, parameters and text. Of its records, in the log's order:
//! - a **verdict** replaces everything before it;
//! - a **mark** (`"valid": false`) says that the verdict before it is not valid. With no verdict before it, as in MLflow's form and in tables, it is verdict
//!   and mark in one;
//! - a **failure** counts only if there is no verdict before it, or a marked one: a failure never hides a verdict.
//!
//! Of others' records with one id, only the last counts: it is an update.
//!
//! # Records of one opinion
//! An *opinion* is what one source says under one name about one trace or span. Our own opinion stands as its last verdict or its last failure does,
//! whichever is later; a mark moves nothing.
//! - All verdicts but the last are *superseded*, whatever their `valid` says: MLflow marks what is overridden. A marked verdict comes before one that names it
//!   in `overrides`, wherever their lines are, unless each follows from the other.
//! - A failure is superseded by whatever comes later.
//! - A verdict is *overruled* if a record of another opinion, such as a person's, names it in `overrides`. It is no longer valid, but still what the
//!   judge said.
//! - A verdict that is marked, and neither superseded nor overruled, was *rejected* by a person.
//!
//! Others' verdicts coexist; one is superseded only by a record that names it.
//!
//! # The present state
//! Each verdict once, valid unless it is marked, superseded or overruled; and each failure that is not superseded. Folding it again changes nothing.

mod facts;
mod fold;
#[cfg(test)]
mod model;
mod opinion;
mod rule;
mod standing;

pub(crate) use facts::{Facts, Says};
pub(crate) use fold::{History, Line, Opinions};
pub use opinion::OpinionKey;
pub(crate) use rule::{Act, Edges, Role, Step, settle_ids, settle_opinion};
pub use standing::Standing;

#[expect(unused_imports, reason = "for the documentation")]
use super::SourceType;
