//! `judge-run mlflow push` and `pull-feedback`, and `--push` of a run.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::ExitCode;

use judge_run::feedback::log::{StandingRecords, add};
use judge_run::feedback::{Feedback, SourceType};
use judge_run::judge::redact::Redact;
use judge_run::run::Exit;
use judge_run::run::manifest::Manifest;
use judge_run::servers::ServerError;
use judge_run::servers::mlflow::{self, Described, Known, PushError, Pushed, Server};

use super::args::{PullFeedbackArgs, PushArgs, RunMlflowArgs, ServerArgs};
use super::progress::Progress;
use super::server::{failed, runtime, server};
use crate::cli::config_file::ConfigFile;
use crate::cli::error::CliError;
use crate::cli::log_hints::cannot_open;
use crate::cli::print::{self, counted, escaped};
use crate::cli::report::report_of;
use crate::cli::summary;

pub(super) fn main(args: PushArgs) -> Result<ExitCode, CliError> {
    let PushArgs { log, no_run, server, config } = args;
    push(&log, &server, config.as_deref(), !no_run).map(|exit| ExitCode::from(exit.code()))
}

/// Errors in `--push` are reported before anything is paid for.
pub(crate) fn before_run(args: &RunMlflowArgs, log: Option<&Path>) -> Result<(), CliError> {
    if !args.push {
        return Ok(());
    }
    if log.is_none() {
        return Err(CliError::usage_with_hint("`--push` needs a log", "name a log: `-o FILE`"));
    }
    let server = server(&args.server)?;
    runtime()?.block_on(server.version()).map(drop).map_err(|error| failed(&error))
}

/// Pushes a run's log, if requested. An error of the run takes precedence over one of the push.
pub(crate) fn push_of_run(
    args: &RunMlflowArgs,
    config: Option<&Path>,
    log: Option<&Path>,
    exit: Exit,
) -> Result<Exit, CliError> {
    let log = log.filter(|log| args.push && !matches!(exit, Exit::Usage | Exit::Interrupted) && log.exists());
    let Some(log) = log else { return Ok(exit) };
    let pushed = push(log, &args.server, config, true)?;
    Ok(if exit == Exit::AllJudged { pushed } else { exit })
}

fn push(log: &Path, server_args: &ServerArgs, config: Option<&Path>, with_run: bool) -> Result<Exit, CliError> {
    let server = server(server_args)?;
    let logs = [log.to_owned()];
    let mut records = StandingRecords::of(&logs).map_err(|error| cannot_open(&error))?;
    let described = if with_run { Some(described(log)?) } else { None };
    let redact = Redact::of(&ConfigFile::load(config)?.redact).map_err(|error| CliError::of(&error))?;
    let mut progress = Progress::new();
    let mut on_progress = |pushed: &Pushed| progress.show(|| so_far(pushed));
    let pushed =
        runtime()?.block_on(mlflow::push(&server, &mut records, described.as_ref(), redact.as_ref(), &mut on_progress));
    progress.finish();
    let pushed = pushed.map_err(|error| match error {
        PushError::Log(error) => cannot_open(&error),
        PushError::Server(error) => failed(&error),
    })?;
    summary::print(&escaped(&shown(&pushed, log, &server)))?;
    for difference in &pushed.examples {
        print::message(escaped(&format!("differs: {difference}")));
    }
    match &pushed.stopped {
        Some(error) => {
            print::message(escaped(&format!("stopped: {}", failed(error).into_line())));
            if !matches!(error, ServerError::TooOld { .. }) {
                print::message(format_args!("to continue: judge-run mlflow push {}", log.display()));
            }
            Ok(Exit::Stopped)
        }
        None if pushed.n_failed() + pushed.n_differing > 0 => Ok(Exit::SomeFailed),
        None => Ok(Exit::AllJudged),
    }
}

fn so_far(pushed: &Pushed) -> String {
    let sent = pushed.sent + pushed.replaced;
    format!("{sent} sent, {} already there, of {}", pushed.present, counted(pushed.records, "record"))
}

/// The content of the evaluation run: the judges from the log's manifest, the figures from its report.
fn described(log: &Path) -> Result<Described, CliError> {
    let manifest = Manifest::read(&Manifest::path_of(log)).ok();
    let report = report_of(log)?;
    let mut params = Vec::new();
    for judge in manifest.iter().filter_map(|manifest| manifest.plans.first()).flat_map(|plan| &plan.judges) {
        let name = &judge.name;
        let file = judge.rubric.as_ref().unwrap_or(name);
        params.push((format!("judge.{name}"), format!("prompts:/{file}/{}", judge.version)));
        params.push((format!("judge.{name}.digest"), judge.blake3.clone()));
        params.push((format!("judge.{name}.model"), judge.model.to_string()));
    }
    let name = || log.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let run_id = manifest.map_or_else(name, |manifest| manifest.run_id);
    Ok(Described::new(&run_id, params, &report))
}

fn shown(pushed: &Pushed, log: &Path, server: &Server) -> String {
    let mut text = format!("{} of {} on {}\n", counted(pushed.records, "record"), log.display(), server.address());
    let mut line = |n: u64, what: &str| {
        if n > 0 {
            text.push_str(&format!("{n:>9}  {what}\n"));
        }
    };
    line(pushed.sent, "sent");
    line(pushed.present, "there already");
    line(pushed.replaced, "replaced an earlier state");
    line(pushed.rejected, "of these rejected, and marked as not valid");
    line(pushed.overruled, "overridden by someone on the server");
    line(pushed.n_differing, &format!("differ there: {}", by_count(&pushed.differing)));
    line(pushed.n_failed(), &format!("not sent: {}", by_count(&pushed.failed)));
    if let Some((run, experiment)) = &pushed.run {
        text.push_str(&format!("run: {}/#/experiments/{experiment}/runs/{run}\n", server.address()));
    }
    text
}

fn by_count<K: std::fmt::Display>(counts: &std::collections::BTreeMap<K, u64>) -> String {
    counts.iter().map(|(what, n)| format!("{what} {n}")).collect::<Vec<_>>().join(", ")
}

pub(super) fn pull_feedback(args: &PullFeedbackArgs) -> Result<ExitCode, CliError> {
    let PullFeedbackArgs { log, server: server_args } = args;
    let server = server(server_args)?;
    let (traces, known) = read(log)?;
    let found =
        runtime()?.block_on(mlflow::feedback_of_people(&server, &traces, &known)).map_err(|error| failed(&error))?;
    add(log, &found).map_err(|error| CliError::Other(format!("cannot write `{}`: {error}", log.display())))?;
    let n = counted(found.len() as u64, "record");
    let text =
        format!("{n} from people about {}, appended to {}\n", counted(traces.len() as u64, "trace"), log.display());
    summary::print(&escaped(&text))?;
    Ok(ExitCode::from(Exit::AllJudged.code()))
}

/// The traces of a log, and its feedback from people.
fn read(log: &Path) -> Result<(Vec<String>, Known), CliError> {
    // Refuses anything that is not a log.
    StandingRecords::of(&[log.to_owned()]).map_err(|error| cannot_open(&error))?;
    let cannot_read = |error| CliError::usage(format_args!("cannot read `{}`: {error}", log.display()));
    let file = std::fs::File::open(log).map_err(cannot_read)?;
    let (mut traces, mut known) = (BTreeSet::new(), Known::new());
    for line in BufReader::new(file).split(b'\n') {
        let line = line.map_err(cannot_read)?;
        let Some(record) = std::str::from_utf8(&line).ok().and_then(|line| Feedback::from_json(line).ok()) else {
            continue;
        };
        if record.source.source_type == SourceType::Human
            && let Some(id) = &record.assessment_id
        {
            known.insert(id.clone(), mlflow::state(&record));
        }
        traces.extend(record.trace_id);
    }
    Ok((traces.into_iter().collect(), known))
}
