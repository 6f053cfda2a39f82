//! Who gives the verdict: a model, code over the trace, or a program.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::code::{Code, CodeError, CodeTable};
use super::file::JudgeFile;
use super::program::{CommandTable, ProgramRequest};
use super::prompt::RenderError;
use super::select::Unit;
use super::subject::Subject;
use super::verdict::VerdictType;
use super::{Judge, Work};
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

/// What gives the verdict, compiled.
#[derive(Debug)]
pub(super) enum Answers {
    Llm,
    Code { code: Box<Code>, table: Box<CodeTable> },
    Command(CommandTable),
}

impl Answers {
    pub(super) fn compile(
        file: &mut JudgeFile,
        verdict: &VerdictType,
        unit: Unit,
    ) -> Result<Self, (&'static str, CodeError)> {
        if let Some(table) = file.code.take() {
            let code = Code::compile(&table, verdict, unit).map_err(|error| ("code", error))?;
            return Ok(Self::Code { code: Box::new(code), table: Box::new(table) });
        }
        match file.command.take() {
            Some(table) => {
                table.check().map_err(|reason| ("command", CodeError::Invalid(reason)))?;
                Ok(Self::Command(table))
            }
            None => Ok(Self::Llm),
        }
    }

    pub(super) fn kind(&self) -> JudgeKind {
        match self {
            Self::Llm => JudgeKind::Llm,
            Self::Code { .. } => JudgeKind::Code,
            Self::Command(_) => JudgeKind::Command,
        }
    }

    /// Everything that is the same for every trace and determines the verdict; `None` if a model is asked. A program may change without its command, so
    /// its version is part of it.
    pub(super) fn constant_parts(&self, version: u32, schema: &str) -> Option<[Vec<u8>; 3]> {
        let (kind, parts) = match self {
            Self::Llm => return None,
            Self::Code { table, .. } => ("code", table.identity()),
            Self::Command(table) => ("command", Value::from(vec![version.to_string(), table.identity()]).to_string()),
        };
        Some([kind.as_bytes().to_vec(), schema.as_bytes().to_vec(), parts.into_bytes()])
    }
}

impl JudgeFile {
    /// Whether it has the table that its type needs, and no other's.
    pub(super) fn check_tables(&self) -> Result<(), (&'static str, String)> {
        let tables = [
            (JudgeKind::Llm, "prompt", self.prompt.is_some()),
            (JudgeKind::Code, "code", self.code.is_some()),
            (JudgeKind::Command, "command", self.command.is_some()),
        ];
        for (kind, table, is_there) in tables {
            if kind == self.r#type && !is_there {
                return Err((table, format!("a judge of type \"{}\" needs this table", kind.as_str())));
            }
            if kind != self.r#type && is_there {
                return Err((
                    table,
                    format!(
                        "belongs to judges of type \"{}\": write `type = \"{}\"` at the top",
                        kind.as_str(),
                        kind.as_str()
                    ),
                ));
            }
        }
        match &self.model {
            Some(_) if self.r#type != JudgeKind::Llm => Err((
                "verdict",
                format!("a judge of type \"{}\" asks no model: leave out `model`", self.r#type.as_str()),
            )),
            _ => Ok(()),
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
