//! A plan becomes a run: the dataset and the log are opened, the sample is drawn. Nothing is sent, and only the log is created.

use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use judge_run::dataset::{DatasetOptions, DatasetReader};
use judge_run::endpoint::ModelUri;
use judge_run::endpoint::client::Client;
use judge_run::endpoint::provider;
use judge_run::feedback::log::{self, Index, Mode, OpenError, OpenLog};
use judge_run::judge::redact::Redact;
use judge_run::judge::{JudgeKind, Question};
use judge_run::run::manifest::{Manifest, State};
use judge_run::run::{
    AggregatedRubric, Criteria, DrawError, Export, LaneIndex, LaneSettings, Output, RunPlan, RunSettings, Scope,
    Selection, Sides,
};
use judge_run_simulator::{BackgroundSimulator, Simulator, SimulatorConfig};
use tempfile::NamedTempFile;

use super::endpoint;
use super::environment::Env;
use super::error::CliError;
use super::flags::ProgressForm;
use super::manifest::Record;
use super::open_files;
use super::panel;
use super::paths::shown;
use super::pending::not_in_batches;
use super::plan::{Invocation, Planned, compiled};
use super::print::counted;
use super::programs;
use super::quickstart;
use super::reuse;
use super::selection;
use super::target::{mixed_log, rejects_of};
use super::until;

/// A run that can begin, and what the command line needs to report on it.
pub(crate) struct Opened {
    pub run: RunSettings,
    /// `None` when the records go to standard output.
    pub log: Option<PathBuf>,
    /// What is made from the log at the end.
    pub export: Option<Export>,
    /// The manifest next to the log.
    pub record: Option<Record>,
    /// What the log has, for a dry run.
    pub known: Index,
    /// Kept alive for the run.
    pub simulator: Option<Rc<BackgroundSimulator>>,
    /// Kept for the run.
    pub quickstart: Option<NamedTempFile>,
    /// The dataset, to be read again.
    pub dataset: DatasetOptions,
    /// Lines about what was found.
    pub notes: Vec<String>,
    pub quiet: bool,
    pub verbose: u8,
    pub progress: ProgressForm,
    /// Whether the log had records before.
    pub is_resumed: bool,
}

/// What a plan names, found and opened, except for the log.
pub(crate) struct Prepared {
    plan: RunPlan,
    lanes: Vec<LaneSettings>,
    questions: Vec<(Question, LaneIndex)>,
    traces: Traces,
    simulator: Option<Rc<BackgroundSimulator>>,
    notes: Vec<String>,
}

/// Looks up secrets, compiles judges, opens the dataset and draws the sample.
pub(crate) fn prepare(planned: Planned, env: Env<'_>) -> Result<Prepared, CliError> {
    let is_simulated = planned.plan.is_simulated();
    let simulator = if is_simulated { Some(Simulator::spawn(SimulatorConfig::default())?.into()) } else { None };
    prepare_with(planned, simulator, env)
}

/// The same, with a simulator that was there before.
pub(crate) fn prepare_with(
    planned: Planned,
    simulator: Option<Rc<BackgroundSimulator>>,
    env: Env<'_>,
) -> Result<Prepared, CliError> {
    let Planned { plan, secrets, mut notes } = planned;
    let lanes = plan.endpoints.iter().zip(&secrets);
    let lanes = lanes.map(|(plan, secrets)| endpoint::open::open(plan, secrets, simulator.as_deref(), env));
    let mut lanes: Vec<LaneSettings> = lanes.map(|lane| lane.map(Into::into)).collect::<Result<_, _>>()?;
    let questions = questions(&plan, &mut lanes, env)?;
    notes.extend(other_hosts(&plan).chain(dated_prices(&plan)));
    let traces = traces(&plan, lanes.len(), &mut notes)?;
    notes.extend(open_files::make_room(
        lanes.iter_mut().filter_map(LaneSettings::endpoint_mut).flat_map(|lane| lane.pool.iter_mut()),
    ));
    Ok(Prepared { plan, lanes, questions, traces, simulator, notes })
}

impl Prepared {
    /// Whether every endpoint can be asked as it is configured; nothing is sent.
    pub(crate) fn check_clients(&self) -> Result<(), CliError> {
        for lane in self.lanes.iter().filter_map(LaneSettings::endpoint) {
            for member in lane.pool.iter() {
                Client::new(member, &lane.model).map_err(|error| CliError::of(&error))?;
            }
        }
        Ok(())
    }

    /// Asks whether a simulator answers everywhere.
    pub(crate) fn check_simulators(&self) -> Result<(), CliError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let asked = self.lanes.iter().filter_map(LaneSettings::endpoint);
        for lane in asked.filter(|lane| !ModelUri::is_simulated_source(&lane.source_id())) {
            let client = Client::new(lane.pool.first(), &lane.model).map_err(|error| CliError::of(&error))?;
            if !runtime.block_on(client.is_simulator()) {
                return Err(CliError::usage_with_hint(
                    format_args!("the failures are a simulator's, and there is none at {}", client.address()),
                    "`--simulate` makes up the verdicts in this process",
                ));
            }
        }
        Ok(())
    }

    /// Opens the log. `plans` is what the manifest keeps; if it is `None`, this plan and those of earlier runs over the same log.
    pub(crate) fn begin(
        self,
        invocation: &Invocation,
        scope: Scope,
        plans: Option<Vec<RunPlan>>,
    ) -> Result<Opened, CliError> {
        let Self { plan, mut lanes, questions, traces, simulator, mut notes } = self;
        let Traces { options, datasets, selection, quickstart } = traces;
        let until = until::open(&invocation.until, &questions, options.clone(), &selection, plan.selection.seed)?;
        let log = invocation.log.as_deref();
        let asks_live = plan.batch.is_none() || plans.is_some();
        if let Some(log) = log.filter(|_| asks_live && !invocation.dry_run) {
            not_in_batches(log, &lanes)?;
        }
        if let Some(log) = log.filter(|_| !invocation.overwrite) {
            notes.extend(mixed_log(log, simulator.is_some()));
        }
        count_requests(&mut lanes, log);
        let reuse = reuse::open(&invocation.reuse)?;
        let Records { output, known, is_resumed } = records(invocation, &mut notes)?;
        let run = RunSettings {
            datasets,
            panels: panel::panels(&plan, &questions),
            rubrics: rubrics(&plan, &questions),
            questions,
            scope,
            lanes,
            output,
            reuse,
            rejects: rejects_of(log),
            selection,
            sides: plan.sides.as_ref().map(Sides::of).transpose().map_err(|error| CliError::of(&error))?.map(Arc::new),
            redact: Redact::of(&plan.redact).map_err(|error| CliError::of(&error))?.map(Arc::new),
            until: until.filter(|_| !invocation.dry_run),
            strict: plan.reading.strict,
            policy: plan.policy,
            grace: plan.grace,
            budget: plan.budget,
            batching: None,
            run_id: run_id(),
        };
        let export = plan.export.clone().map(|export| Export { path: shown(&export.path), ..export });
        let is_replay = plans.is_some();
        let plans = plans.unwrap_or_else(|| {
            let mut plans = log.filter(|_| is_resumed).map(earlier_plans).unwrap_or_default();
            plan.remember(&mut plans);
            plans
        });
        // What goes to standard output, or is only tried, has no manifest.
        let of_log = log.filter(|_| matches!(run.output, Output::Log(_)));
        Ok(Opened {
            record: of_log.and_then(|log| Record::begin(log, plans, is_replay, &run)),
            run,
            log: invocation.log.clone(),
            export,
            known,
            simulator,
            quickstart,
            dataset: options,
            notes,
            quiet: invocation.quiet,
            verbose: invocation.verbose,
            progress: invocation.progress,
            is_resumed,
        })
    }
}

/// The judges, compiled and bound to their models, each with its lane. Lanes of judges that ask no model are added: one for each program, and one for
/// all that is computed.
fn questions(
    plan: &RunPlan,
    lanes: &mut Vec<LaneSettings>,
    env: Env<'_>,
) -> Result<Vec<(Question, LaneIndex)>, CliError> {
    let mut questions = Vec::new();
    for judge in &plan.judges {
        let mut compiled = compiled(judge)?;
        if compiled.kind() != judge.kind {
            return Err(CliError::usage(format_args!("the judge `{}` had another type in that run", judge.name)));
        }
        compiled = compiled.laid_out(plan.layout);
        if let Some(digest) = &plan.anchors {
            compiled = compiled.for_anchors(digest);
        }
        if let Some(sides) = &plan.sides {
            compiled = compiled.for_sides(&sides.names);
        }
        let (question, lane) = match compiled.kind() {
            JudgeKind::Llm => {
                let place = plan.endpoints.iter().position(|endpoint| endpoint.model == judge.model);
                let found = place.and_then(|place| Some((place, lanes.get(place)?.endpoint()?)));
                let (place, lane) = found
                    .ok_or_else(|| CliError::usage(format_args!("the plan of `{}` names no endpoint", judge.model)))?;
                (Question::new(compiled, &judge.model, &lane.pool.first().extra_body), place)
            }
            JudgeKind::Code => {
                let place = lanes.iter().position(|lane| matches!(lane, LaneSettings::Code));
                let place = place.unwrap_or_else(|| {
                    lanes.push(LaneSettings::Code);
                    lanes.len() - 1
                });
                (Question::without_model(compiled), place)
            }
            JudgeKind::Command => {
                lanes.extend(programs::config(&compiled, env)?.map(LaneSettings::Program));
                (Question::without_model(compiled), lanes.len() - 1)
            }
        };
        let samples = (0..plan.samples(judge)).map(|sample| question.clone().with_sample(sample));
        questions.extend(samples.map(|question| (question, LaneIndex::new(lane))));
    }
    Ok(questions)
}

/// A note for each provider's name that is used for another host.
fn other_hosts(plan: &RunPlan) -> impl Iterator<Item = String> {
    plan.endpoints.iter().filter_map(|endpoint| {
        // What is not an address may be a key; it is refused when it is asked for.
        let base_url = endpoint.members.first()?.base_url.as_deref().filter(|url| url.contains("://"))?;
        let own = provider::preset(&endpoint.model.endpoint).filter(|preset| preset.needs_key)?.base_url?;
        let (host, own) = (provider::host(base_url), provider::host(own));
        (host != own).then(|| format!("{} is asked at {host}, not at {own}; records name the host", endpoint.model))
    })
}

/// A note for each list price, which may be out of date.
fn dated_prices(plan: &RunPlan) -> impl Iterator<Item = String> {
    let priced = plan.endpoints.iter().filter_map(|endpoint| Some((&endpoint.model, endpoint.prices?)));
    priced.filter(|(_, prices)| prices.as_of.is_some()).map(|(model, prices)| format!("prices of {model}: {prices}"))
}

/// The dataset, opened.
struct Traces {
    options: DatasetOptions,
    /// Once for each lane, or once if it can be read only once.
    datasets: Vec<DatasetReader>,
    selection: Selection,
    quickstart: Option<NamedTempFile>,
}

/// A mapping that matches nothing in this many records at the start of a file is reported before anything is paid for.
const LOOKED_AT: usize = 100;

fn traces(plan: &RunPlan, lanes: usize, notes: &mut Vec<String>) -> Result<Traces, CliError> {
    let paths: Vec<_> = plan.datasets.iter().map(|dataset| shown(&dataset.path)).collect();
    let (paths, quickstart) = quickstart::as_files(paths)?;
    let criteria = selection::criteria(&plan.selection, &paths)?;
    let criteria = Criteria { of_first_side: plan.sides.is_some(), ..criteria };
    let sides = plan.sides.as_ref().map(|sides| sides.of_datasets.clone());
    if let Some(sides) = sides.as_ref().filter(|sides| !sides.is_empty() && sides.len() != paths.len()) {
        return Err(CliError::usage(format_args!(
            "the run compares the outputs of {}, but there are {}",
            counted(sides.len() as u64, "file"),
            paths.len()
        )));
    }
    let readers = if paths.iter().any(|path| path.as_os_str() == "-") { 1 } else { lanes };
    let options = DatasetOptions {
        max_line_bytes: plan.reading.max_line_bytes,
        format: plan.reading.format.unwrap_or_default(),
        mappings: plan.reading.map.clone(),
        sides,
        ..DatasetOptions::new(paths)
    };
    let unmet = DatasetReader::unmet_mappings(&options, LOOKED_AT).map_err(|error| CliError::of(&error))?;
    notes.extend(unmet.iter().map(|mapping| format!("--map {mapping}: none of the first records has this field")));
    let open = || DatasetReader::open(options.clone());
    let datasets = (0..readers).map(|_| open().map_err(|error| CliError::of(&error))).collect::<Result<_, _>>()?;
    let selection = criteria.draw(open).map_err(|error| match &error {
        DrawError::Dataset(error) => CliError::of(error),
        DrawError::TooManyStrata => CliError::of(&error),
    })?;
    Ok(Traces { options, datasets, selection, quickstart })
}

/// Where the records go, and what is already there.
struct Records {
    output: Output,
    /// For a dry run.
    known: Index,
    is_resumed: bool,
}

fn records(invocation: &Invocation, notes: &mut Vec<String>) -> Result<Records, CliError> {
    let Invocation { log, overwrite, dry_run, .. } = invocation;
    let nowhere = |known| Records { output: Output::Stdout, known, is_resumed: false };
    let Some(path) = log else { return Ok(nowhere(Index::default())) };
    // A dry run creates, locks and repairs no file.
    if *dry_run {
        let known = if *overwrite { Ok(Index::default()) } else { OpenLog::read_index(path) };
        return known.map(nowhere).map_err(|error| CliError::of(&error));
    }
    make_folder(path)?;
    let is_resumed = !overwrite && std::fs::metadata(path).is_ok_and(|log| log.len() > 0);
    let mode = if *overwrite { Mode::Overwrite } else { Mode::Resume };
    let log = OpenLog::open(path, mode).map_err(|error| cannot_open(path, error))?;
    if let Some(moved_to) = &log.report.moved_to {
        notes.push(format!(
            "{}: {} moved to {}; judgments that they held are asked again",
            path.display(),
            counted(log.report.moved_lines, "damaged line"),
            moved_to.display()
        ));
    }
    Ok(Records { output: Output::Log(log), known: Index::default(), is_resumed })
}

/// Counts the requests of today that the log shows, where there is a daily limit. A log that cannot be read is handled where it is opened.
fn count_requests(lanes: &mut [LaneSettings], log: Option<&Path>) {
    const DAY_MS: i64 = 24 * 60 * 60 * 1000;
    if let Some(log) = log
        && lanes.iter().filter_map(LaneSettings::endpoint).any(|lane| lane.requests_per_day.is_some())
    {
        let now = jiff::Timestamp::now().as_millisecond();
        let requests = log::requests_since(log, now - now.rem_euclid(DAY_MS)).unwrap_or_default();
        for lane in lanes.iter_mut().filter_map(LaneSettings::endpoint_mut) {
            lane.requests_today = requests.get(&lane.source_id()).copied().unwrap_or(0);
        }
    }
}

/// How earlier runs over a log were set up. A manifest that cannot be read says nothing.
fn earlier_plans(log: &Path) -> Vec<RunPlan> {
    Manifest::read(&Manifest::path_of(log)).map(|manifest| manifest.plans).unwrap_or_default()
}

/// The folder that a log is made in.
fn make_folder(log: &Path) -> Result<(), CliError> {
    let folder = log.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists());
    folder.map_or(Ok(()), std::fs::create_dir_all).map_err(|error: io::Error| {
        CliError::usage(format_args!("cannot create the folder of `{}`", log.display())).because(&error)
    })
}

/// A locked log belongs to another run: the system says which process that is, or else that run's manifest, if it has one by now.
fn cannot_open(log: &Path, error: OpenError) -> CliError {
    let usage = CliError::of(&error);
    let OpenError::Locked { .. } = error else { return usage };
    let of_manifest = || Manifest::read(&Manifest::path_of(log)).ok().filter(|m| m.state == State::Running);
    match log::lock_holder(log).or_else(|| of_manifest().map(|manifest| manifest.pid)) {
        Some(process) => usage.hint(format_args!("it is process {process}; see `judge-run status {}`", log.display())),
        None => usage,
    }
}

/// `run-` and the time of the start, with a random end: sorted by time, and unique.
fn run_id() -> String {
    let now = jiff::Timestamp::now();
    format!("run-{}-{:06x}", now.strftime("%Y%m%dT%H%M%SZ"), fastrand::u32(..0x100_0000))
}

/// The rubrics of a plan whose verdicts come to one, for the questions that are asked.
fn rubrics(plan: &RunPlan, questions: &[(Question, LaneIndex)]) -> Vec<AggregatedRubric> {
    let mut rubrics: Vec<AggregatedRubric> = Vec::new();
    for rubric in questions.iter().filter_map(|(question, _)| AggregatedRubric::of(&question.judge, plan)) {
        if !rubrics.iter().any(|known| known.judge == rubric.judge) {
            rubrics.push(rubric);
        }
    }
    rubrics
}
