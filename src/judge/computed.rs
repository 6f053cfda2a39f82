//! What gives the verdict, compiled from the table of a judge file.

use serde_json::Value;

use super::code::{Code, CodeError, CodeTable};
use super::file::JudgeFile;
use super::kind::JudgeKind;
use super::program::CommandTable;
use super::unit::Unit;
use super::verdict::VerdictType;

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
