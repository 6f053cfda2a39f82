//! What is asked: judge files, prompts, the form of the verdict.

pub mod code;
mod computed;
mod control;
mod conversation;
mod cut;
mod documents;
mod engine;
mod expression;
mod fence;
pub mod file;
mod form;
pub mod glob;
mod good;
mod image;
pub mod import;
#[expect(clippy::module_inception, reason = "the module's one subject")]
mod judge;
mod judgment;
pub mod library;
mod names;
pub mod parse;
mod place;
mod program;
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
pub use computed::JudgeKind;
pub(crate) use conversation::asked;
pub use expression::Expression;
pub use judge::{Judge, JudgeError};
pub use judgment::{Judgment, NotAskable, Question, QuestionKey};
pub use place::Place;
pub use program::{CommandTable, ProgramAnswer, ProgramRequest};
pub use prompt::RenderError;
pub use select::{Select, SelectTable, Selected, Unit};
pub use subject::{Subject, SubjectIds};
pub use work::Work;
