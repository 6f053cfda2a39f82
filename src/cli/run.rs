//! The main command: judge a dataset.

use std::path::PathBuf;
use std::process::ExitCode;

use judge_run::dataset::DatasetOptions;
use judge_run::feedback::forms::{self, ConvertError};
use judge_run::feedback::log::WriteError;
use judge_run::run::{self, Event, Exit, Export, RunReport, Scope, Shutdown, StopReason};
use tempfile::NamedTempFile;
use tokio::sync::watch;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

use super::args::RunArgs;
use super::batch::{self, How};
use super::endpoint::Env;
use super::error::CliError;
use super::open::{self, Opened};
use super::plan::{Invocation, Planned};
use super::progress::Progress;
use super::rerun::First;
use super::results;
use super::running::Running;
use super::{anchors, command_line, dry_run, escalate, mlflow, plan, print, rerun, summary, table};

pub(crate) fn main(args: RunArgs) -> Result<ExitCode, CliError> {
    let args = plan::with_file(args)?;
    let env: Env<'_> = &|name| std::env::var(name).ok();
    let args = mlflow::with_pulled(args)?;
    let (of_mlflow, config) = (args.mlflow.clone(), args.endpoint.config.clone());
    let mut first = First { args: args.clone(), judges: Vec::new(), is_resumed: false };
    let (planned, invocation) = plan::of_run(args, None, env)?;
    first.judges = planned.plan.judges.iter().map(|judge| (judge.name.clone(), plan::wanted(judge))).collect();
    if !invocation.dry_run {
        mlflow::before_run(&of_mlflow, invocation.log.as_deref())?;
    }
    if planned.plan.batch.is_some() && !invocation.dry_run {
        return batches(planned, invocation, first, env);
    }
    let opened = open::prepare(planned, env)?.begin(&invocation, Scope::All, None)?;
    first.is_resumed = opened.is_resumed;
    if invocation.dry_run {
        let exit = dry_run::main(opened)?;
        let exit = match (&invocation.anchors, &invocation.log) {
            (Some(anchors), Some(log)) if exit == Exit::AllJudged => anchors::dry_run(anchors, log, &first)?,
            _ => exit,
        };
        return Ok(ExitCode::from(exit.code()));
    }
    if let Some(log) = opened.log.as_deref().filter(|_| !opened.is_resumed) {
        rerun::set_aside(log)?;
    }
    let report = execute(opened, &mut |_| ())?;
    first.spend(&report);
    let log = invocation.log.clone();
    let exit = match escalate::decide(&first, &report, env)? {
        None => results::exit(&report, invocation, first)?,
        Some(second) => {
            first.spend(&second);
            escalate::exit(report.exit(), results::exit(&second, invocation, first)?)
        }
    };
    Ok(ExitCode::from(mlflow::push_of_run(&of_mlflow, config.as_deref(), log.as_deref(), exit)?.code()))
}

/// The same through a provider's batch API.
fn batches(planned: Planned, invocation: Invocation, mut first: First, env: Env<'_>) -> Result<ExitCode, CliError> {
    let log = invocation.log.clone();
    let resumes = |log: &PathBuf| std::fs::metadata(log).is_ok_and(|log| log.len() > 0);
    first.is_resumed = !invocation.overwrite && log.as_ref().is_some_and(resumes);
    if let Some(log) = log.as_deref().filter(|_| !first.is_resumed) {
        rerun::set_aside(log)?;
    }
    let how = How { submits: true, ..How::collects(!first.args.batch.detach) };
    let args = first.args.clone();
    let mut planned = Some((planned, invocation));
    let mut again = || planned.take().map_or_else(|| plan::of_run(args.clone(), None, env), Ok);
    let report = batch::execute(&mut again, &how)?;
    first.spend(&report);
    let (of_mlflow, config) = (first.args.mlflow.clone(), first.args.endpoint.config.clone());
    let (_, invocation) = plan::of_run(first.args.clone(), None, env)?;
    let exit = results::exit(&report, invocation, first)?;
    if exit == Exit::Pending {
        return Ok(ExitCode::from(exit.code()));
    }
    Ok(ExitCode::from(mlflow::push_of_run(&of_mlflow, config.as_deref(), log.as_deref(), exit)?.code()))
}

/// Runs what was opened, to its end, and reports the outcome. `observe` also sees all events.
pub(crate) fn execute(opened: Opened, observe: &mut dyn FnMut(&Event<'_>)) -> Result<RunReport, CliError> {
    let (report, closing) = conduct(opened, observe)?;
    closing.close(&report)?;
    Ok(report)
}

/// What is printed and written at the end of a run.
pub(crate) struct Closing {
    progress: Progress,
    log: Option<PathBuf>,
    export: Option<Export>,
    dataset: DatasetOptions,
    rejects: PathBuf,
    made_up: bool,
    quiet: bool,
    /// Read again by what is made at the end.
    _quickstart: Option<NamedTempFile>,
}

/// Runs what was opened, to its end.
pub(crate) fn conduct(opened: Opened, observe: &mut dyn FnMut(&Event<'_>)) -> Result<(RunReport, Closing), CliError> {
    let Opened {
        run: settings,
        log,
        export,
        mut record,
        known: _,
        simulator,
        quickstart,
        dataset,
        notes,
        quiet,
        verbose,
        progress: form,
        is_resumed: _,
    } = opened;
    show_traces(verbose);
    if !quiet {
        notes.iter().for_each(|note| print::message(format_args!("note: {note}")));
    }
    let rejects = settings.rejects.clone();
    let mut progress = Progress::new(form, quiet, verbose, Running::of(&settings));
    // One thread is enough: it does little but wait, and the dataset and the log have their own threads.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(async {
        let shutdown = on_signals();
        let mut on_event = |event: &Event<'_>| {
            progress.show(event);
            observe(event);
            if let Some(warning) = record.as_mut().and_then(|record| record.add(event)) {
                progress.warn(&warning);
            }
        };
        run::run(settings, shutdown, &mut on_event).await
    });
    progress.finish();
    let report = report.map_err(|error| CliError::of(&error))?;
    // What still waits (standard input, an aborted request) must not hold the process.
    runtime.shutdown_background();
    if let Some(warning) = record.and_then(|record| record.end(&report)) {
        print::message(format_args!("warning: {warning}"));
    }
    if matches!(report.stop, Some(StopReason::Log(WriteError::BrokenPipe { .. }))) {
        return Err(CliError::BrokenPipe);
    }
    if let (Exit::Usage, Some(StopReason::Dataset(error))) = (report.exit(), &report.stop) {
        return Err(CliError::of(error));
    }
    let made_up = simulator.is_some();
    Ok((report, Closing { progress, log, export, dataset, rejects, made_up, quiet, _quickstart: quickstart }))
}

impl Closing {
    /// Writes the outputs made from the log, and prints the summary.
    pub(crate) fn close(self, report: &RunReport) -> Result<(), CliError> {
        let Self { progress, log, export, dataset, rejects, made_up, quiet, _quickstart } = self;
        let exit = report.exit();
        let to_stdout = log.is_none();
        // A run that had nothing to do leaves no log.
        let log = log.filter(|log| log.exists());
        let exported = match (&log, &export) {
            (Some(log), Some(Export { path, form, table })) if exit != Exit::Usage => {
                let exported =
                    table::with_options(table, Some(dataset), |table| forms::export(log, path, *form, table));
                exported.and_then(|exported| {
                    exported.map_err(|error| match error {
                        ConvertError::Write(error) => {
                            CliError::Other(format!("cannot write {}: {error}", path.display()))
                        }
                        other => {
                            CliError::Other(format!("cannot make {} from {}: {other}", path.display(), log.display()))
                        }
                    })
                })
            }
            _ => Ok(()),
        };
        let export = export.filter(|_| exported.is_ok() && exit != Exit::Usage && log.is_some());
        let export = export.as_ref().map(|export| export.path.as_path());
        let places = summary::Places { log: log.as_deref(), export, rejects: &rejects };
        if !quiet || exit != Exit::AllJudged {
            let text = summary::text(report, &places, made_up, &command_line::shown(std::env::args_os().skip(1)));
            if to_stdout || quiet {
                print::message(text.trim_end());
            } else {
                match summary::print(&text) {
                    // A reader that has seen enough does not change the outcome of the run.
                    Ok(()) | Err(CliError::BrokenPipe) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        for hint in progress.hints() {
            print::message(format_args!("hint: {hint}"));
        }
        exported
    }
}

/// The first signal drains the run, the second ends it.
fn on_signals() -> watch::Receiver<Shutdown> {
    let (sender, receiver) = watch::channel(Shutdown::No);
    tokio::spawn(async move {
        while let Ok(()) = signal().await {
            let next = if *sender.borrow() == Shutdown::No { Shutdown::Drain } else { Shutdown::Abort };
            if sender.send(next).is_err() {
                return;
            }
        }
    });
    receiver
}

#[cfg(unix)]
pub(crate) async fn signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let hangup = async {
        match ends_with_its_terminal() {
            true => signal(SignalKind::hangup())?.recv().await,
            false => std::future::pending().await,
        };
        Ok(())
    };
    tokio::select! {
        result = tokio::signal::ctrl_c() => result,
        _ = terminate.recv() => Ok(()),
        result = hangup => result,
    }
}

/// Whether the run ends, as after Ctrl-C, when its terminal is closed. Under `nohup` the hangup signal is ignored from the start, and a
/// handler would undo that. Where this cannot be determined without unsafe code, the system's default applies: to end immediately, or to ignore it.
///
/// Source: proc_pid_status(5), `SigIgn`: bit 0 is signal 1, which is SIGHUP.
#[cfg(unix)]
fn ends_with_its_terminal() -> bool {
    static ENDS: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *ENDS.get_or_init(|| {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 0)
    })
}

#[cfg(not(unix))]
pub(crate) async fn signal() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}

fn show_traces(verbose: u8) {
    // Requests and answers are shown from -vv; the libraries' messages about connections from -vvv.
    let lines = tracing_subscriber::fmt().with_writer(std::io::stderr);
    let _ = match verbose {
        0 | 1 => return,
        2 => {
            let own = Targets::new().with_target("judge_run", tracing::Level::DEBUG);
            let lines = lines.with_max_level(tracing::Level::DEBUG).without_time().with_level(false).with_target(false);
            lines.finish().with(own).try_init()
        }
        3 => lines.with_max_level(tracing::Level::DEBUG).finish().try_init(),
        _ => lines.with_max_level(tracing::Level::TRACE).finish().try_init(),
    };
}
