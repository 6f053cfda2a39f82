//! The ordinary run behind a test of a judge or an attack on it, and the reading of its log.

use std::fs;
use std::path::{Path, PathBuf};

use judge_run::feedback::Feedback;
use judge_run::feedback::log::StandingRecords;
use judge_run::judge::Unit;
use judge_run::run::{Exit, RunReport, Scope};

use super::subject::Subject;
use crate::cli::environment::Env;
use crate::cli::error::CliError;
use crate::cli::flags::{ConductArgs, EndpointArgs};
use crate::cli::run_args::RunArgs;
use crate::cli::setting::Setting;
use crate::cli::sides::{SideArg, SideArgs};
use crate::cli::{conduct, log_hints, open, plan};

/// The names of the sides of a test: those of a judge of pairs.
pub(super) const SIDES: [&str; 2] = ["answer_a", "answer_b"];

/// What is asked.
pub(super) struct Asked<'a> {
    pub subject: &'a Subject,
    pub set: &'a [Setting],
    pub log: &'a Path,
    pub endpoint: &'a EndpointArgs,
    pub conduct: &'a ConductArgs,
}

/// What came back.
pub(super) struct Answers {
    /// The source of the feedback.
    pub model: String,
    pub exit: Exit,
    /// Of the run.
    pub report: RunReport,
    /// The standing records of the judge, or of the criteria.
    pub records: Vec<Feedback>,
}

impl Asked<'_> {
    /// The ordinary run, with its log, its limits and its retries, about `only` these traces unless there are none; returns what the log says. A judge
    /// of pairs has a dataset for each side.
    pub(super) fn answers(&self, dataset: Vec<PathBuf>, only: Vec<String>) -> Result<Answers, CliError> {
        let Self { subject, set, log, endpoint, conduct } = *self;
        let side = SIDES.iter().zip(&dataset).filter(|_| subject.unit() == Unit::Pair);
        let side = side.map(|(name, path)| SideArg::new(name, path.clone())).collect();
        let args = RunArgs {
            set: set.to_vec(),
            sides: SideArgs { side, ..SideArgs::default() },
            output: Some(log.to_owned()),
            ..RunArgs::of(dataset, subject.wanted.clone(), endpoint.clone(), conduct.clone())
        };
        let env: Env<'_> = &|name| std::env::var(name).ok();
        let (mut planned, mut invocation) = plan::of_run(args, None, env)?;
        planned.plan.selection.trace_ids = only;
        // Gates of judge-run.toml are about the application, not about its judges.
        invocation.gates = crate::cli::gates::Gates::default();
        let model = planned.plan.judges.first().map(|judge| judge.model.to_string()).unwrap_or_default();
        let opened = open::prepare(planned, env)?.begin(&invocation, Scope::All, None)?;
        let report = conduct::execute(opened, &mut |_| ())?;
        let mut found = Vec::new();
        let logs = [log.to_owned()];
        let mut records = StandingRecords::of(&logs).map_err(|error| log_hints::cannot_open(&error))?;
        let read = records.for_each(|_, _, line| {
            let record = std::str::from_utf8(line).ok().and_then(|line| Feedback::from_json(line).ok());
            let is_of = |record: &Feedback| subject.tested().any(|judge| judge.name == record.name);
            let Some(record) = record.filter(is_of) else { return };
            let source = record.source.source_id.clone().unwrap_or_default();
            if source == model || source.starts_with("simulated:/") {
                found.push(record);
            }
        });
        read.map_err(|error| log_hints::cannot_open(&error))?;
        Ok(Answers { model, exit: report.exit(), report, records: found })
    }
}

/// The log of a test: the one that is named, or one of the judge's name.
pub(super) fn log_of(named: Option<PathBuf>, subject: &Subject, what: &str) -> Result<PathBuf, CliError> {
    let log = named.unwrap_or_else(|| format!("{}.{what}.feedback.jsonl", subject.name()).into());
    if log.extension().is_none_or(|e| e != "jsonl") {
        return Err(CliError::usage(format_args!("the log of a test is a .jsonl file, not `{}`", log.display())));
    }
    Ok(log)
}

/// Writes a dataset next to the log; `kind` is in its name.
pub(super) fn write_traces(log: &Path, kind: &str, lines: &str) -> Result<PathBuf, CliError> {
    let name = log.file_name().and_then(|name| name.to_str()).unwrap_or("test.jsonl");
    let stem = name.strip_suffix(".feedback.jsonl").or_else(|| name.strip_suffix(".jsonl")).unwrap_or(name);
    let path = log.with_file_name(format!("{stem}.{kind}.jsonl"));
    fs::write(&path, lines).map_err(|error| CliError::Other(format!("cannot write {}: {error}", path.display())))?;
    Ok(path)
}
