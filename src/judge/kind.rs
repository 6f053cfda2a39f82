//! Who gives the verdict: a model, code over the trace, or a program.

use serde::{Deserialize, Serialize};

use crate::endpoint::ModelUri;

/// Who gives the verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum JudgeKind {
    /// A language model.
    #[default]
    Llm,
    /// An expression or a check, inside this process.
    Code,
    /// A program of somebody's own.
    Command,
}

impl JudgeKind {
    /// The name in judge files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Llm => "llm",
            Self::Code => "code",
            Self::Command => "command",
        }
    }

    /// The substitute for the model of a judge that asks none; never called for one that does.
    pub fn uri(self, judge: &str) -> ModelUri {
        ModelUri { endpoint: self.as_str().to_owned(), model: judge.to_owned() }
    }

    /// The `source_id` of the feedback of a judge that asks no model, such as `code:/exact_match`.
    pub(super) fn source_id(self, judge: &str) -> String {
        self.uri(judge).to_string()
    }
}
