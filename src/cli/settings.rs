//! From flags, environment, `judge-run.toml` and judge files to plain settings, in this order of precedence.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use judge_run::dataset::{DatasetOptions, DatasetReader};
use judge_run::endpoint::ModelUri;
use judge_run::feedback::log::{self, Index, Mode, OpenError, OpenLog};
use judge_run::judge::{Question, library};
use judge_run::run::manifest::{Manifest, State};
use judge_run::run::{Budget, LaneSettings, Output, Policy, RunSettings, Sample, Scope};
use judge_run_simulator::BackgroundSimulator;

use super::args::{ConductArgs, RunArgs};
use super::dataset_hints;
use super::endpoint::{self, Asked};
use super::error::CliError;
use super::manifest::{self, Record};
use super::open_files;
use super::paths;
use super::reuse;
use super::selection;
use super::target::{Export, Target, mixed_log, rejects_of};

/// A run, and what the command line needs to tell about it.
pub(crate) struct Resolved {
    pub run: RunSettings,
    /// `None` when the records go to standard output.
    pub log: Option<PathBuf>,
    /// What is to be made from the log at the end.
    pub export: Option<Export>,
    /// The manifest to be kept beside the log.
    pub record: Option<Record>,
    /// How many failures a replay is about.
    pub failures: Option<u64>,
    /// What the log has, for a dry run.
    pub known: Index,
    /// Kept alive for the run.
    pub simulator: Option<BackgroundSimulator>,
    /// Lines about the log that was found.
    pub notes: Vec<String>,
    pub quiet: bool,
    pub verbose: u8,
}

/// What a replay takes from the run before it.
#[derive(Default)]
pub(crate) struct Replay {
    /// Which failures.
    pub scope: Scope,
    /// By judge, in their order; empty where another model is named.
    pub models: Vec<ModelUri>,
}

/// Loads the variables of `--env-file` before flags are read, since flags have variables too.
pub(crate) fn load_env_file(args: impl Iterator<Item = OsString>) -> Result<(), CliError> {
    let mut args = args.skip(1);
    let mut path = std::env::var_os("JUDGE_RUN_ENV_FILE");
    while let Some(arg) = args.next() {
        if arg == "--env-file" {
            path = args.next();
        } else if let Some(value) = arg.to_str().and_then(|arg| arg.strip_prefix("--env-file=")) {
            path = Some(value.into());
        }
    }
    path.filter(|path| !path.is_empty()).map_or(Ok(()), |path| load_variables(Path::new(&path)))
}

/// Loads the variables of a file; those already set win.
pub(crate) fn load_variables(path: &Path) -> Result<(), CliError> {
    // The line itself may hold a key, so it is not shown.
    dotenvy::from_path(path).map_err(|error| {
        let reason = match error {
            dotenvy::Error::LineParse(_, position) => {
                format!("a line is not NAME=VALUE (at character {position} of it)")
            }
            other => other.to_string(),
        };
        CliError::usage(format_args!("cannot use the environment file {}: {reason}", path.display()))
    })
}

/// Resolves everything and opens dataset and log. Nothing is sent, and nothing but the log is made.
pub(crate) fn resolve(
    args: RunArgs,
    replay: Option<Replay>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Resolved, CliError> {
    let said = manifest::options(&args);
    let is_replay = replay.is_some();
    let Replay { scope, models } = replay.unwrap_or_default();
    let RunArgs {
        dataset,
        map,
        dataset_format,
        judge,
        selection,
        strict,
        max_line_bytes,
        output,
        output_format,
        overwrite,
        reuse,
        conduct,
        endpoint,
    } = args;
    let ConductArgs {
        dry_run,
        max_retries,
        max_retry_after,
        re_ask,
        warm_up,
        rpd,
        grace,
        max_cost,
        max_tokens_total,
        max_errors,
        time_limit,
        quiet,
        verbose,
    } = conduct;
    if dataset.is_empty() {
        return Err(CliError::usage_with_hint("no dataset; name a file of traces with --dataset", try_quickstart()));
    }
    if judge.is_empty() {
        let known: Vec<_> = library::names().into_iter().map(|(name, _)| name).collect();
        let known = known.join(", ");
        return Err(CliError::usage_with_hint("no judge; name one with --judge", format_args!("there are {known}")));
    }
    let target = Target::new(output, output_format, &dataset)?;
    target.spares(&dataset, &judge, endpoint.config.as_deref(), overwrite)?;
    let dataset = paths::datasets(&dataset, &target.written())?;
    let mut selection = selection::resolve(selection, &dataset)?;
    let simulate = endpoint.simulate;
    let asked = Asked::new(endpoint, dry_run)?;

    let mut lanes: Vec<LaneSettings> = Vec::new();
    let mut questions: Vec<(Question, usize)> = Vec::new();
    for (i, wanted) in judge.iter().enumerate() {
        let judge = library::find(wanted).map_err(CliError::usage)?;
        if questions.iter().any(|(question, _)| question.judge.name == judge.name) {
            return Err(CliError::usage(format_args!("the judge `{}` is named twice", judge.name)));
        }
        let uri = models.get(i).cloned().unwrap_or_else(|| asked.model(judge.model.as_ref()));
        let same = |lane: &LaneSettings| lane.endpoint.name == uri.endpoint && lane.model == uri.model;
        let lane = match lanes.iter().position(same) {
            Some(lane) => lane,
            None => {
                let lane = asked.lane(&uri, env)?;
                if max_cost.is_some() && lane.prices.is_none() {
                    return Err(endpoint::no_prices(&uri));
                }
                lanes.push(lane);
                lanes.len() - 1
            }
        };
        questions.push((Question::new(judge, &uri, &lanes[lane].endpoint.extra_body), lane));
    }

    // Standard input can be read only once.
    let readers = if dataset.iter().any(|path| path.as_os_str() == "-") { 1 } else { lanes.len() };
    let options = DatasetOptions {
        max_line_bytes,
        format: dataset_format.or(asked.config.dataset.format).unwrap_or_default(),
        mappings: if map.is_empty() { asked.config.dataset.map.clone() } else { map },
        ..DatasetOptions::new(dataset.clone())
    };
    let open = |_| DatasetReader::open(options.clone()).map_err(dataset_hints::error);
    let datasets = (0..readers).map(open).collect::<Result<_, _>>()?;
    if selection.sample.as_ref().is_some_and(Sample::hangs_on_all) {
        selection.draw(open(0)?).map_err(CliError::usage)?;
    }
    let mut notes = Vec::new();
    let endpoints = lanes.iter_mut().flat_map(|lane| match lane.endpoint.pool.is_empty() {
        true => std::slice::from_mut(&mut lane.endpoint),
        false => lane.endpoint.pool.as_mut_slice(),
    });
    notes.extend(open_files::make_room(endpoints));
    if let Some(log) = target.log.as_deref().filter(|_| !overwrite) {
        notes.extend(mixed_log(log, simulate));
    }
    let rejects = rejects_of(target.log.as_deref());
    let reuse = reuse::open(&reuse)?;
    let mut known = Index::default();
    let output = match &target.log {
        None => Output::Stdout,
        // A dry run makes, locks and mends no file.
        Some(path) if dry_run => {
            if !overwrite {
                known = OpenLog::read_index(path).map_err(CliError::usage)?;
            }
            Output::Stdout
        }
        Some(path) => {
            let mode = if overwrite { Mode::Overwrite } else { Mode::Resume };
            let log = OpenLog::open(path, mode).map_err(|error| cannot_open(path, error))?;
            if let Some(moved_to) = &log.report.moved_to {
                notes.push(format!(
                    "{}: {} damaged line(s) moved to {}; what they were about is judged again",
                    path.display(),
                    log.report.moved_lines,
                    moved_to.display()
                ));
            }
            Output::Log(log)
        }
    };
    let run = RunSettings {
        datasets,
        questions,
        scope,
        lanes,
        output,
        reuse,
        rejects,
        selection,
        strict,
        policy: Policy {
            max_retries: max_retries.or(asked.config.max_retries).unwrap_or(Policy::default().max_retries),
            re_asks: re_ask.unwrap_or(Policy::default().re_asks),
            longest_pause: max_retry_after.unwrap_or(Policy::default().longest_pause),
            warm_up,
        },
        grace: grace.unwrap_or(RunSettings::DEFAULT_GRACE),
        budget: Budget {
            cost: max_cost,
            tokens: max_tokens_total,
            requests: rpd,
            errors: max_errors,
            time: time_limit,
        },
        run_id: run_id(),
    };
    let record = match (&run.output, &target.log) {
        (Output::Log(_), Some(log)) => Record::begin(log, said, is_replay, &dataset, &judge, &run),
        _ => None,
    };
    Ok(Resolved {
        run,
        log: target.log,
        export: target.export,
        record,
        failures: None,
        known,
        simulator: asked.simulator,
        notes,
        quiet,
        verbose,
    })
}

/// A log that is locked is another run's: the system says which process that is, or else that run's manifest, if it has one by now.
fn cannot_open(log: &Path, error: OpenError) -> CliError {
    let OpenError::Locked { .. } = error else { return CliError::usage(error) };
    let of_manifest = || Manifest::read(&Manifest::path_of(log)).ok().filter(|m| m.state == State::Running);
    match log::lock_holder(log).or_else(|| of_manifest().map(|manifest| manifest.pid)) {
        Some(process) => CliError::usage_with_hint(
            error,
            format_args!("it is process {process}; judge-run status {} tells how far it is", log.display()),
        ),
        None => CliError::usage(error),
    }
}

fn try_quickstart() -> &'static str {
    "to try: judge-run --dataset datasets/quickstart.jsonl --judge factual_accuracy --simulate"
}

/// `run-` and the time of the start, with a random end: sorted by time, and unique.
fn run_id() -> String {
    let now = jiff::Timestamp::now();
    format!("run-{}-{:06x}", now.strftime("%Y%m%dT%H%M%SZ"), fastrand::u32(..0x100_0000))
}
