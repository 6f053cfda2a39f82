//! Conducts a run that was opened to its end: progress meanwhile, and what is printed and written at the end.

use std::path::PathBuf;

use judge_run::dataset::DatasetOptions;
use judge_run::feedback::forms::{self, ConvertError};
use judge_run::feedback::log::WriteError;
use judge_run::run::{self, Event, Exit, Export, RunReport, StopReason};
use tempfile::NamedTempFile;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

use super::error::CliError;
use super::open::Opened;
use super::progress::Progress;
use super::running::Running;
use super::signals::on_signals;
use super::{command_line, print, summary, table};

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
    /// It only collected the results of batches: the same command asks nothing.
    pub collects: bool,
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
    let collects = false;
    Ok((report, Closing { progress, log, export, dataset, rejects, made_up, quiet, collects, _quickstart: quickstart }))
}

impl Closing {
    /// Writes the outputs made from the log, and prints the summary.
    pub(crate) fn close(self, report: &RunReport) -> Result<(), CliError> {
        let Self { progress, log, export, dataset, rejects, made_up, quiet, collects, _quickstart } = self;
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
            let command = (!collects).then(|| command_line::shown(std::env::args_os().skip(1)));
            let text = summary::text(report, &places, made_up, command.as_deref());
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
