//! What was found: one finding for each part, and where data would go.

use std::fmt::Display;

use serde::Serialize;

use crate::cli::error::CliError;

/// All that was found.
#[derive(Debug, Default, Serialize)]
pub(super) struct Diagnosis {
    pub findings: Vec<Finding>,
    pub sends: Vec<Destination>,
}

/// How one part is.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    pub part: Part,
    pub status: Status,
    pub name: String,
    pub detail: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Part {
    Configuration,
    Variables,
    Dataset,
    Judge,
    Log,
    Endpoint,
    Batches,
    QuotaServer,
    Mlflow,
    Phoenix,
    Langfuse,
}

impl Part {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Variables => "variables",
            Self::Dataset => "dataset",
            Self::Judge => "judge",
            Self::Log => "log",
            Self::Endpoint => "endpoint",
            Self::Batches => "batches",
            Self::QuotaServer => "quota server",
            Self::Mlflow => "MLflow",
            Self::Phoenix => "Phoenix",
            Self::Langfuse => "Langfuse",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    Ok,
    /// It works, but may not be intended.
    Warning,
    Fails,
    /// With `--offline`.
    NotAsked,
}

impl Status {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Fails => "fails",
            Self::NotAsked => "not asked",
        }
    }
}

/// Where something would go, what, and on which command.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Destination {
    pub host: String,
    pub data: String,
    pub command: String,
    /// The patterns of `[redact]`, whose findings are replaced first.
    pub redacted: Vec<String>,
}

impl Diagnosis {
    pub(super) fn add(&mut self, findings: impl IntoIterator<Item = Finding>) {
        self.findings.extend(findings);
    }

    /// Whether everything that is configured works.
    pub(super) fn is_well(&self) -> bool {
        self.findings.iter().all(|finding| finding.status != Status::Fails)
    }

    pub(super) fn as_json(&self) -> Result<String, CliError> {
        let mut value = serde_json::to_value(self).map_err(|error| CliError::Other(error.to_string()))?;
        value["version"] = env!("CARGO_PKG_VERSION").into();
        value["is_well"] = self.is_well().into();
        Ok(format!("{value:#}\n"))
    }
}

impl Finding {
    pub(super) fn new(part: Part, status: Status, name: impl Display, detail: impl Into<String>) -> Self {
        Self { part, status, name: name.to_string(), detail: detail.into(), remedy: None }
    }

    pub(super) fn ok(part: Part, name: impl Display, detail: impl Into<String>) -> Self {
        Self::new(part, Status::Ok, name, detail)
    }

    pub(super) fn warning(part: Part, name: impl Display, detail: impl Into<String>) -> Self {
        Self::new(part, Status::Warning, name, detail)
    }

    pub(super) fn not_asked(part: Part, name: impl Display, detail: impl Into<String>) -> Self {
        Self::new(part, Status::NotAsked, name, detail)
    }

    pub(super) fn fails(part: Part, name: impl Display, detail: impl Into<String>, remedy: Option<String>) -> Self {
        Self { remedy, ..Self::new(part, Status::Fails, name, detail) }
    }

    pub(super) fn of_error(part: Part, name: impl Display, error: CliError) -> Self {
        let (message, remedy) = error.into_parts();
        Self::fails(part, name, message, remedy)
    }
}
