//! What it takes to answer a judgment.

use super::computed::Answers;
use super::judge::Judge;
use super::kind::JudgeKind;
use super::program::{CommandTable, ProgramRequest};
use super::prompt::RenderError;
use super::subject::Subject;
use super::verdict::Verdict;
use crate::endpoint::wire::PromptNotes;
use crate::endpoint::wire::chat::ChatRequest;
use crate::feedback::IdHasher;

/// What it takes to answer a judgment. Whatever plans, paces and records judgments knows it by these methods alone; what sends it and what
/// reads its answer match on it.
#[derive(Debug, Clone)]
pub enum Work {
    /// A chat model is asked.
    Chat(ChatRequest),
    /// A program is asked.
    Program(ProgramRequest),
    /// Nobody is asked: the verdict follows from the trace.
    Computed(Verdict),
}

impl Work {
    /// Bytes that it takes in memory.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Chat(request) => request.user.len() + request.image_bytes(),
            Self::Program(request) => request.members().len(),
            Self::Computed(verdict) => verdict.rationale.as_ref().map_or(0, String::len),
        }
    }

    /// Tokens that it is expected to read.
    pub fn estimated_input_tokens(&self) -> u64 {
        match self {
            Self::Chat(request) => request.estimated_input_tokens(),
            Self::Program(_) | Self::Computed(_) => 0,
        }
    }

    /// Tokens of its text, where that is all that it reads: what images take is hard to know.
    pub fn estimated_text_tokens(&self) -> Option<u64> {
        match self {
            Self::Chat(request) => request.images.is_empty().then(|| request.estimated_text_tokens()),
            Self::Program(_) | Self::Computed(_) => None,
        }
    }

    /// How freely the answer is sampled, if the judge says so.
    pub fn temperature(&self) -> Option<f64> {
        match self {
            Self::Chat(request) => request.sampling.temperature,
            Self::Program(_) | Self::Computed(_) => None,
        }
    }

    /// The most tokens that its answer may have.
    pub fn max_output_tokens(&self) -> u32 {
        match self {
            Self::Chat(request) => request.sampling.max_output_tokens,
            Self::Program(_) | Self::Computed(_) => 0,
        }
    }

    /// What happened to the texts of the trace on their way into it.
    pub fn notes(&self) -> PromptNotes {
        match self {
            Self::Chat(request) => request.notes,
            Self::Program(_) | Self::Computed(_) => PromptNotes::default(),
        }
    }

    /// Notes how often something was replaced in what is asked.
    pub(crate) fn note_redacted(&mut self, count: impl Fn(&str) -> u64) {
        if let Self::Chat(request) = self {
            request.notes.redacted = count(&request.user);
        }
    }

    /// What a person would read to see what is asked: instructions, and what is judged.
    pub fn texts(&self) -> (&str, &str) {
        match self {
            Self::Chat(request) => (request.system.as_deref().unwrap_or_default(), &request.user),
            Self::Program(request) => ("", request.members()),
            Self::Computed(_) => ("", ""),
        }
    }

    /// Whether somebody is asked, a model or a program.
    pub fn is_asked(&self) -> bool {
        !matches!(self, Self::Computed(_))
    }

    /// Adds what determines the answer, beyond what all judgments of its question share.
    pub(super) fn identify(&self, hasher: &mut IdHasher) {
        match self {
            Self::Chat(request) => {
                hasher.part(request.user.as_bytes());
                // Only where there are any: the ids of prompts without images are older.
                for image in &request.images {
                    hasher.part(b"image").part(image.as_bytes());
                }
            }
            Self::Program(request) => _ = hasher.part(request.members().as_bytes()),
            // What a trace comes to is all that matters of it.
            Self::Computed(Verdict { value, rationale, details: _ }) => {
                hasher.part(value.to_string().as_bytes()).optional_part(rationale.as_deref().map(str::as_bytes));
            }
        }
    }
}

impl Judge {
    /// Who gives the verdict.
    pub fn kind(&self) -> JudgeKind {
        self.answers.kind()
    }

    /// The program of a judge that is one.
    pub fn command(&self) -> Option<&CommandTable> {
        match &self.answers {
            Answers::Command(table) => Some(table),
            Answers::Llm | Answers::Code { .. } => None,
        }
    }

    /// What it takes to judge this.
    ///
    /// # Errors
    /// When the trace lacks something that the judge needs.
    pub(super) fn work(&self, subject: Subject<'_>) -> Result<Work, RenderError> {
        match &self.answers {
            Answers::Llm => self.request(subject).map(Work::Chat),
            Answers::Code { code, .. } => code.verdict(subject).map(Work::Computed),
            Answers::Command(_) => {
                ProgramRequest::new(&self.name, self.version, subject).map(Work::Program).map_err(|error| {
                    RenderError::Lacking { reason: format!("the trace cannot be written as JSON: {error}") }
                })
            }
        }
    }
}
