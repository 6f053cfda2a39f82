//! What is asked: judge files, prompts, the form of the verdict.

pub mod file;
#[expect(clippy::module_inception, reason = "the module's one subject")]
mod judge;
mod judgment;
pub mod library;
pub mod parse;
pub mod prompt;
pub mod verdict;

pub use judge::{Judge, JudgeError};
pub use judgment::{Judgment, NotAskable, Question};
