//! What can be found out without the network: files, variables, judges.

use std::path::{Path, PathBuf};

use judge_run::dataset::{DatasetOptions, DatasetReader, Entry};
use judge_run::endpoint::ModelUri;
use judge_run::endpoint::provider::PRESETS;
use judge_run::feedback::log;
use judge_run::judge::JudgeKind;
use judge_run::judge::redact::Redact;

use super::asked::Asked;
use super::finding::{Finding, Part};
use crate::cli::config_file::ConfigFile;
use crate::cli::endpoint::{Layers, set};
use crate::cli::environment::Env;
use crate::cli::error::CliError;
use crate::cli::flags::GateArgs;
use crate::cli::gates::Gates;
use crate::cli::log_hints::cannot_open;
use crate::cli::mlflow::experiment_of;
use crate::cli::plan::judge_plan;
use crate::cli::print::{counted, time};
use crate::cli::target::Target;
use crate::cli::{paths, programs, quickstart, variables};

/// Other programs' variables with addresses and credentials.
const OF_OTHERS: [&str; 23] = [
    "OPENAI_BASE_URL",
    "AZURE_OPENAI_ENDPOINT",
    "MLFLOW_TRACKING_URI",
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "MLFLOW_TRACKING_SERVER_CERT_PATH",
    "MLFLOW_TRACKING_CLIENT_CERT_PATH",
    "MLFLOW_TRACKING_INSECURE_TLS",
    "MLFLOW_WORKSPACE",
    "MLFLOW_EXPERIMENT_NAME",
    "MLFLOW_EXPERIMENT_ID",
    "PHOENIX_HOST",
    "PHOENIX_API_KEY",
    "LANGFUSE_HOST",
    "LANGFUSE_PUBLIC_KEY",
    "LANGFUSE_SECRET_KEY",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "http_proxy",
    "https_proxy",
    "NO_PROXY",
    "no_proxy",
];

/// The configuration file, and what in it would stop a run.
pub(super) fn configuration(layers: &Layers, path: &Path) -> Vec<Finding> {
    let file = &layers.file;
    let of = |error: CliError| Finding::of_error(Part::Configuration, path.display(), error);
    let there = match path.is_file() {
        true => Finding::ok(Part::Configuration, path.display(), "read"),
        false => Finding::ok(Part::Configuration, path.display(), "not found; `judge-run init` writes one"),
    };
    let doubts = file.doubts().into_iter().map(|doubt| Finding::warning(Part::Configuration, path.display(), doubt));
    let gates = Gates::of(GateArgs::default(), file).err().map(of);
    let redact = Redact::of(&file.redact).err().map(|error| of(CliError::of(&error)));
    let anchors = file
        .gates
        .anchors
        .as_ref()
        .filter(|anchors| !anchors.is_file())
        .map(|anchors| of(CliError::usage(format_args!("the anchors `{}` do not exist", anchors.display()))));
    let mut findings: Vec<_> = doubts.chain(gates).chain(redact).chain(anchors).collect();
    if findings.is_empty() {
        findings.push(there);
    }
    findings
}

/// The names of variables that are set, and of those that mean nothing.
pub(super) fn variables(env: Env<'_>) -> Vec<Finding> {
    let own = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let own = own.filter(|name| name.starts_with("JUDGE_RUN_"));
    let keys = PRESETS.iter().map(|preset| preset.api_key_env).chain(OF_OTHERS).map(ToOwned::to_owned);
    let mut names: Vec<_> = own.chain(keys).filter(|name| set(name, env).is_some()).collect();
    names.sort();
    names.dedup();
    let detail = if names.is_empty() { "none that apply here".to_owned() } else { names.join(", ") };
    let warnings = variables::warnings().into_iter();
    let warnings = warnings.map(|warning| Finding::warning(Part::Variables, "environment", warning));
    [Finding::ok(Part::Variables, "set", detail)].into_iter().chain(warnings).collect()
}

/// Each dataset: its files, and whether the first record is a trace. Those on servers are asked for elsewhere.
pub(super) fn datasets(datasets: &[PathBuf], file: &ConfigFile) -> Vec<Finding> {
    if datasets.is_empty() {
        return vec![Finding::warning(
            Part::Dataset,
            "none",
            "a run needs `--dataset`, or `dataset` in judge-run.toml",
        )];
    }
    datasets.iter().filter(|path| experiment_of(path).is_none()).map(|path| dataset(path, file)).collect()
}

fn dataset(path: &Path, file: &ConfigFile) -> Finding {
    let name = path.display();
    if quickstart::is_meant(path) {
        return Finding::ok(Part::Dataset, name, "built in");
    }
    if path.as_os_str() == "-" {
        return Finding::ok(Part::Dataset, name, "standard input");
    }
    let files = match paths::datasets(&[path.to_owned()], &[]) {
        Ok(files) => files,
        Err(error) => return Finding::of_error(Part::Dataset, name, error),
    };
    let n = counted(files.len() as u64, "file");
    let options = DatasetOptions {
        format: file.dataset.format.unwrap_or_default(),
        mappings: file.dataset.map.clone(),
        ..DatasetOptions::new(files)
    };
    let first = DatasetReader::open(options).and_then(|mut reader| reader.next().transpose());
    match first {
        Ok(Some(Entry::Reject(reject))) => {
            Finding::warning(Part::Dataset, name, format!("{n}; the first record is not a trace: {}", reject.reason))
        }
        Ok(Some(_)) => Finding::ok(Part::Dataset, name, format!("{n}; the first record is a trace")),
        Ok(None) => Finding::fails(Part::Dataset, name, format!("{n} without a trace"), None),
        Err(error) => Finding::of_error(Part::Dataset, name, CliError::of(&error)),
    }
}

/// The log that a run over these traces would resume.
pub(super) fn log(output: Option<PathBuf>, dataset: &[PathBuf]) -> Option<Finding> {
    if output.is_none() && (dataset.is_empty() || dataset.iter().any(|path| experiment_of(path).is_some())) {
        // Its name is that of the experiment, which the server knows.
        return None;
    }
    let path = match Target::new(output, None, dataset, None) {
        Ok(target) => target.log?,
        Err(error) => return Some(Finding::of_error(Part::Log, "output", error)),
    };
    let name = path.display().to_string();
    if !path.exists() {
        return Some(Finding::ok(Part::Log, name, "does not exist yet; a run creates it"));
    }
    Some(match log::tally(&path) {
        Err(error) => Finding::of_error(Part::Log, name, cannot_open(&error)),
        Ok(tally) => {
            let failed: u64 = tally.judges.iter().flat_map(|judge| judge.failed.values()).sum();
            let mut detail = format!("{}, {}", counted(tally.records, "record"), counted(failed, "failure"));
            if let Some(age) = tally.last_update_time_ms.and_then(age) {
                detail.push_str(&format!("; the last one {} ago", time(age)));
            }
            if log::is_locked(&path).ok().flatten() == Some(true) {
                detail.push_str("; a run is writing to it");
            }
            match tally.other_lines {
                0 => Finding::ok(Part::Log, name, detail),
                n => {
                    let detail =
                        format!("{detail}; {} not a record, to be moved away by the next run", counted(n, "line"));
                    Finding::warning(Part::Log, name, detail)
                }
            }
        }
    })
}

fn age(ms: i64) -> Option<std::time::Duration> {
    let age = jiff::Timestamp::now().as_millisecond() - ms;
    u64::try_from(age).ok().map(std::time::Duration::from_millis)
}

/// A judge, and whether its program may run.
pub(super) fn judge(asked: &Asked, file: &ConfigFile) -> Finding {
    let Asked { wanted, judge, given } = asked;
    let name = &judge.name;
    let plan = judge_plan(wanted, judge, ModelUri::simulated("none"), given.clone());
    let is_allowed = file.allow_commands || set("JUDGE_RUN_ALLOW_COMMANDS", &|name| std::env::var(name).ok()).is_some();
    match programs::allowed(&[plan], is_allowed) {
        Err(error) => Finding::of_error(Part::Judge, name, error),
        Ok(()) => {
            let how = match judge.kind() {
                JudgeKind::Llm => "asks a model",
                JudgeKind::Code => "is computed here",
                JudgeKind::Command => "is a program, which runs here",
            };
            Finding::ok(Part::Judge, name, format!("version {}, {how}; answers {}", judge.version, judge.verdict))
        }
    }
}
