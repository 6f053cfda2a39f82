//! What reading an answer depends on.

use crate::feedback::Good;
use crate::judge::AnswerForm;
use crate::judge::verdict::VerdictType;

/// What the reading of an answer depends on.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// What it may answer.
    pub verdict: &'a VerdictType,
    /// How it was asked for.
    pub form: &'a AnswerForm,
    /// Which verdicts are good: only then do `pass` and `fail` mean anything.
    pub good: Option<&'a Good>,
    /// Whether labels are read only exactly as declared.
    pub case_sensitive: bool,
    /// Whether it may abstain.
    pub can_abstain: bool,
    /// The user message that it was shown: a verdict in it is not the judge's own.
    pub prompt: &'a str,
    /// The template of that message. A form that the template itself asks for, such as `Score: 5`, is not a quotation.
    pub template: &'a str,
}

impl<'a> From<&'a VerdictType> for Expected<'a> {
    /// A judge that was shown nothing to quote.
    fn from(verdict: &'a VerdictType) -> Self {
        Self {
            verdict,
            form: &AnswerForm::Value,
            good: None,
            case_sensitive: false,
            can_abstain: false,
            prompt: "",
            template: "",
        }
    }
}
