//! `judge-run mlflow pull`, and datasets named `mlflow:/EXPERIMENT`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use judge_run::judge::{Judge, library};
use judge_run::run::Exit;
use judge_run::servers::mlflow::{self, JudgeUri, Pulled, Query, TraceFile};

use super::args::{PullArgs, RunMlflowArgs, ServerArgs};
use super::progress::Progress;
use super::registry::with_judges;
use super::server::{failed, runtime, server};
use crate::cli::config_file::ConfigFile;
use crate::cli::error::CliError;
use crate::cli::print::{self, counted, escaped};
use crate::cli::run_args::RunArgs;
use crate::cli::summary;

/// The prefix of an experiment as a dataset.
const SCHEME: &str = "mlflow:/";

pub(super) fn main(args: PullArgs) -> Result<ExitCode, CliError> {
    let PullArgs { experiment, output, filter, since, images, server } = args;
    let asked = Asked { experiment: &experiment, filter: filter.as_deref(), since, images, server: &server };
    let (name, pulled, total) = asked.pull(|_| output.clone())?;
    let text = format!("{} of the experiment {name}, {total} in {}\n", shown(&pulled), output.display());
    summary::print(&escaped(&text))?;
    Ok(ExitCode::from(Exit::AllJudged.code()))
}

/// The arguments of a run with datasets and judges from MLflow pulled to files next to the log, and replaced by these.
///
/// So a run, its repetition and its replay judge the same traces, and need no server for them.
pub(crate) fn with_pulled(mut args: RunArgs) -> Result<RunArgs, CliError> {
    let RunMlflowArgs { mlflow_filter, since, server, push: _ } = args.mlflow.clone();
    let is_experiment = |path: &PathBuf| experiment_of(path).is_some();
    let file = ConfigFile::load(args.endpoint.config.as_deref())?;
    if args.dataset.is_empty() && file.dataset.path.iter().any(is_experiment) {
        args.dataset = file.dataset.path;
    }
    if args.judge.is_empty() && file.judges.iter().any(|judge| JudgeUri::is_meant(judge)) {
        args.judge = file.judges;
    }
    if !args.dataset.iter().any(is_experiment) {
        let flag = mlflow_filter.map(|_| "--mlflow-filter").or(since.map(|_| "--since"));
        return match flag {
            Some(flag) => Err(CliError::usage_with_hint(
                format_args!("`{flag}` is for a dataset on an MLflow server"),
                "name the experiment: `--dataset mlflow:/EXPERIMENT`",
            )),
            None => with_judges(args, None),
        };
    }
    // They would make everyone else's files large. A judge that cannot be used is reported where it is compiled.
    let wants_images =
        |judge: &String| library::find_all(judge).is_ok_and(|found| found.iter().any(Judge::attaches_images));
    let images = args.judge.iter().any(wants_images);
    let mut of_dataset = None;
    let folder = args.output.as_deref().and_then(Path::parent).unwrap_or(Path::new("")).to_owned();
    for path in &mut args.dataset {
        let Some(experiment) = experiment_of(path).map(ToOwned::to_owned) else { continue };
        let asked = Asked { experiment: &experiment, filter: mlflow_filter.as_deref(), since, images, server: &server };
        let mut file = PathBuf::new();
        let (name, pulled, total) = asked.pull(|name| {
            let with_images = if images { ".images" } else { "" };
            file = folder.join(format!("{}{with_images}.traces.jsonl", stem(name, mlflow_filter.as_deref())));
            file.clone()
        })?;
        if !args.conduct.quiet {
            let file = file.display();
            let pulled = shown(&pulled);
            print::message(escaped(&format!("note: {pulled} of the experiment {name}, {total} in {file}")));
        }
        if args.output.is_none() && args.output_format.is_none() {
            args.output = Some(judge_run::files::log_of_stem(stem(&name, mlflow_filter.as_deref())));
        }
        *path = file;
        of_dataset.get_or_insert(experiment);
    }
    with_judges(args, of_dataset.as_deref())
}

/// The experiment that a dataset names.
pub(crate) fn experiment_of(path: &Path) -> Option<&str> {
    path.to_str()?.strip_prefix(SCHEME).map(|name| name.trim_start_matches('/')).filter(|name| !name.is_empty())
}

/// The names of files about an experiment, or a filtered part of it.
fn stem(experiment: &str, filter: Option<&str>) -> String {
    let plain = |c: char| if c.is_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' };
    let name: String = experiment.chars().map(plain).take(100).collect();
    let name = name.trim_matches(['-', '.']);
    let name = if name.is_empty() { "mlflow" } else { name };
    match filter {
        Some(filter) => format!("{name}-{}", &blake3::hash(filter.as_bytes()).to_hex()[..8]),
        None => name.to_owned(),
    }
}

/// What is to be pulled.
struct Asked<'a> {
    experiment: &'a str,
    filter: Option<&'a str>,
    since: Option<Duration>,
    images: bool,
    server: &'a ServerArgs,
}

impl Asked<'_> {
    /// Returns the experiment's name, the outcome, and the number of traces in the file. `file` gives the path for a name.
    fn pull(&self, file: impl FnOnce(&str) -> PathBuf) -> Result<(String, Pulled, u64), CliError> {
        let server = server(self.server)?;
        let mut progress = Progress::new();
        let pulled = runtime()?.block_on(async {
            let experiment = server.experiment(self.experiment).await?;
            let mut file = TraceFile::open(&file(&experiment.name))?;
            let ago = |since: Duration| i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
            let now = jiff::Timestamp::now().as_millisecond();
            let query = Query {
                experiment_id: experiment.id,
                filter: self.filter.map(ToOwned::to_owned),
                since_ms: self.since.map(|since| now.saturating_sub(ago(since))),
                images: self.images,
            };
            let pulled =
                mlflow::pull(&server, &query, &mut file, &mut |pulled| progress.show(|| shown(pulled))).await?;
            Ok((experiment.name, pulled, file.len()))
        });
        progress.finish();
        pulled.map_err(|error| failed(&error))
    }
}

/// What came of it, in words.
fn shown(pulled: &Pulled) -> String {
    let Pulled { new, from_artifacts, incomplete, without_spans, images, missing_images, in_progress, gone } = *pulled;
    let mut text = counted(new, "new trace");
    if images > 0 {
        text.push_str(&format!(", {}", counted(images, "image")));
    }
    if missing_images > 0 {
        text.push_str(&format!(", {} unavailable", counted(missing_images, "image")));
    }
    for (n, what) in [
        (from_artifacts, "with spans from the artifact store"),
        (incomplete, "with only some of their spans"),
        (without_spans, "without spans"),
    ] {
        if n > 0 {
            text.push_str(&format!(", {n} {what}"));
        }
    }
    for (n, what) in [(in_progress, "not complete yet"), (gone, "deleted meanwhile")] {
        if n > 0 {
            text.push_str(&format!(", {n} left out: {what}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_experiment_names_files_whatever_it_is_called() {
        assert_eq!(experiment_of(Path::new("mlflow:/support bot")), Some("support bot"));
        assert_eq!(experiment_of(Path::new("mlflow:///Users/kim")), Some("Users/kim"));
        assert_eq!((experiment_of(Path::new("mlflow:/")), experiment_of(Path::new("x.jsonl"))), (None, None));
        assert_eq!(stem("/Users/kim/../bot\u{1b}[2J", None), "Users-kim-..-bot--2J");
        assert_eq!(stem("...", None), "mlflow");
        let (a, b) = (stem("x", Some("tag.a = 'b'")), stem("x", Some("tag.a = 'c'")));
        assert!(a.starts_with("x-") && a.len() == 10 && a != b);
    }
}
