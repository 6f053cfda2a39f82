//! What is asked: judge files, prompts, the form of the verdict.

mod answer_form;
mod claims;
mod control;
mod conversation;
mod cut;
mod documents;
mod engine;
mod expression;
mod fence;
pub mod file;
mod form;
mod formula;
pub mod glob;
mod good;
mod image;
#[expect(clippy::module_inception, reason = "the module's one subject")]
mod judge;
mod judgment;
pub mod library;
mod names;
pub mod parse;
mod place;
pub mod prompt;
mod select;
mod shown;
mod subject;
mod template_code;
mod template_error;
pub mod toml_file;
mod variables;
pub mod verdict;
mod work;

pub use crate::feedback::{Better, Good, InvalidGood};
pub use answer_form::AnswerForm;
pub use claims::Claims;
pub(crate) use conversation::asked;
pub use expression::Expression;
pub use formula::Formula;
pub use judge::{Judge, JudgeError};
pub use judgment::{Judgment, NotAskable, Question, QuestionKey};
pub use place::Place;
pub use select::{Select, SelectTable, Selected, Unit};
pub use subject::{Subject, SubjectIds};
pub use work::Work;
