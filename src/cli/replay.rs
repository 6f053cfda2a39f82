//! `judge-run replay`: retry failures, as the manifest says. A log may hold the records of several runs; each failure is retried as its own run was
//! set up.

use std::collections::{BTreeSet, HashSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use judge_run::batch::ledger_of;
use judge_run::endpoint::ModelUri;
use judge_run::feedback::ErrorCode;
use judge_run::feedback::forms::Form;
use judge_run::feedback::log::OpinionKey;
use judge_run::judge::JudgeKind;
use judge_run::run::manifest::{Manifest, ManifestError};
use judge_run::run::{Dataset, Fingerprint};
use judge_run::run::{EndpointPlan, Event, Exit, FailureScope, JudgePlan, RunPlan, Scope, SelectionPlan, StopReason};

use super::endpoint::Layers;
use super::environment::{self, Env};
use super::error::CliError;
use super::flags::{ConductArgs, EndpointArgs};
use super::gates::Gates;
use super::not_retried::{By, Failures, Left, Reason};
use super::open::{self, Prepared};
use super::paths;
use super::paths::shown;
use super::plan::{self, Invocation, Planned, digest, wanted};
use super::print::{self, counted};
use super::programs;
use super::quickstart;
use super::subcommands::ReplayArgs;
use super::summary;
use super::target::Target;
use super::{compact, conduct, dry_run};

pub(crate) fn main(args: ReplayArgs) -> Result<ExitCode, CliError> {
    let ReplayArgs { log, only, include_invalid, compact, dataset, endpoint, conduct, variables } = args;
    let variables = variables.unwrap_or_else(|| endpoint.clone());
    let log = log_of(log)?;
    let mut plans = read(&log)?;
    let mut replay = Replay {
        log,
        dataset,
        endpoint,
        variables,
        conduct,
        only: (!only.is_empty()).then_some(only),
        include_invalid,
        failed_again: HashSet::new(),
    };
    let mut failures = Failures::of(&replay.log, &replay.scope(Vec::new()))?;
    let (mut left, mut exit) = (Left::default(), Exit::AllJudged);
    'plans: for i in 0..plans.len() {
        failures.covered_by(&plans[i]);
        for by in By::ALL {
            let Some(of_run) = replay.plan(&mut plans, (i, by), &mut failures, &mut left)? else { continue };
            exit = worse(exit, of_run.exit);
            if of_run.is_last {
                replay.not_reached(&plans[i..], &mut failures, &mut left);
                break 'plans;
            }
        }
    }
    failures.rest(&mut left, !replay.endpoint.model.is_empty());
    if left.total() > 0 {
        exit = worse(exit, Exit::SomeFailed);
    }
    replay.conclude(&failures, &left, exit)?;
    // The log is released before it is compacted.
    if compact && matches!(exit, Exit::AllJudged | Exit::SomeFailed) {
        compact::after_replay(&replay.log, replay.conduct.quiet)?;
    }
    Ok(ExitCode::from(exit.code()))
}

/// What the command line says.
struct Replay {
    log: PathBuf,
    dataset: Vec<PathBuf>,
    endpoint: EndpointArgs,
    /// What variables say; they override no plan.
    variables: EndpointArgs,
    conduct: ConductArgs,
    only: Option<Vec<ErrorCode>>,
    include_invalid: bool,
    /// The failures that this replay retried and that failed again.
    failed_again: HashSet<OpinionKey>,
}

/// How one plan of the replay ended.
struct Ended {
    exit: Exit,
    /// Those after it have no turn.
    is_last: bool,
}

impl Replay {
    /// `of` gives, for each question, the model whose failures are meant.
    fn scope(&self, of: Vec<String>) -> Scope {
        let only = self.only.as_ref().map(|only| only.iter().copied().collect());
        let except = self.failed_again.clone();
        Scope::Failures(FailureScope { only, of, invalid: self.include_invalid, except })
    }

    /// Retries what failed in the runs of one plan, by the model or by a simulator in its place; `None` where nothing did, or where it cannot be
    /// retried.
    fn plan(
        &mut self,
        plans: &mut [RunPlan],
        (i, by): (usize, By),
        failures: &mut Failures,
        left: &mut Left,
    ) -> Result<Option<Ended>, CliError> {
        let env: Env<'_> = &|name| std::env::var(name).ok();
        let mut plan = plans[i].clone();
        plan.retain_judges(|judge| failures.open(judge, by) > 0);
        if plan.judges.is_empty() {
            return Ok(None);
        }
        let judges = plan.judges.clone();
        let several = plans.len() > 1;
        let (datasets, prepared) = match self.prepared(&plan, by, several, env) {
            Ok(prepared) => prepared,
            Err(error) => {
                let reason = error.into_line();
                judges.iter().for_each(|judge| failures.blocked(judge, by, &reason));
                return Ok(None);
            }
        };
        // Options for this replay are not remembered for the next one; the new place of a moved dataset is.
        if !plans[i].datasets.iter().all(|dataset| dataset.path.exists()) {
            plans[i].datasets = datasets;
        }
        let invocation = self.invocation();
        let samples: Vec<_> = judges.iter().map(|judge| plan.samples(judge) as usize).collect();
        let of = judges.iter().zip(&samples).flat_map(|(judge, n)| vec![by.source_of(judge); *n]).collect();
        let scope = self.scope(of);
        let opened = prepared.begin(&invocation, scope.clone(), Some(plans.to_vec()))?;
        if self.conduct.dry_run {
            let dry = dry_run::show(opened)?;
            let mut questions = dry.questions.iter();
            for (judge, n) in judges.iter().zip(samples) {
                for question in questions.by_ref().take(n) {
                    let found = left.after_dry_run((judge, by), question, &plan);
                    failures.found(judge, by, found);
                }
            }
            return Ok(Some(Ended { exit: Exit::AllJudged, is_last: false }));
        }
        let report = conduct::execute(opened, &mut |event| {
            if let Event::Recorded { feedback, .. } = event
                && feedback.is_error()
            {
                let (trace, span) = (feedback.trace_id.as_deref(), feedback.span_id.as_deref());
                let opinion = OpinionKey::new(trace, span, &feedback.name, &feedback.source);
                let opinion = opinion.sample(feedback.sample()).comparing(feedback.compared());
                self.failed_again.insert(opinion.of_document(feedback.document_index()));
            }
        })?;
        let mut questions = report.summary.questions.iter();
        for (judge, n) in judges.iter().zip(samples) {
            for question in questions.by_ref().take(n) {
                let found = left.after_run((judge, by), question, &scope, &plan);
                failures.found(judge, by, found);
            }
        }
        if report.ended_early() && !report.summary.read_to_end {
            self.not_reached(std::slice::from_ref(&plan), failures, left);
        }
        self.conduct.spend(&report);
        let is_last = matches!(report.stop, Some(StopReason::Interrupted | StopReason::Budget(_)));
        let exit = match report.exit() {
            // None of the traces is in this dataset.
            Exit::Usage => Exit::AllJudged,
            exit => exit,
        };
        Ok(Some(Ended { exit, is_last }))
    }

    /// What concerns this replay alone.
    fn invocation(&self) -> Invocation {
        Invocation {
            log: Some(self.log.clone()),
            overwrite: false,
            reuse: Vec::new(),
            gates: Gates::default(),
            anchors: None,
            by: Vec::new(),
            until: Vec::new(),
            report: None,
            dry_run: self.conduct.dry_run,
            quiet: self.conduct.quiet,
            verbose: self.conduct.verbose,
            progress: self.conduct.progress,
        }
    }

    /// A plan that can be run, and the files that it reads.
    fn prepared(
        &self,
        plan: &RunPlan,
        by: By,
        several: bool,
        env: Env<'_>,
    ) -> Result<(Vec<Dataset>, Prepared), CliError> {
        let mut planned = self.replanned(plan, env)?;
        let datasets = planned.plan.datasets.clone();
        if several {
            let judges: Vec<_> = plan.judges.iter().map(|judge| format!("{} on {}", judge.name, judge.model)).collect();
            let paths: Vec<_> = datasets.iter().map(|dataset| shown(&dataset.path).display().to_string()).collect();
            planned.notes.insert(0, format!("replaying {}: {}", paths.join(", "), judges.join(", ")));
        }
        let prepared = open::prepare(planned, env)?;
        prepared.check_clients()?;
        if by == By::Simulator && !self.conduct.dry_run {
            // A model is not asked because a simulator failed.
            prepared.check_simulators()?;
        }
        Ok((datasets, prepared))
    }

    /// The plan of an earlier run with what the command line says over it.
    fn replanned(&self, plan: &RunPlan, env: Env<'_>) -> Result<Planned, CliError> {
        let mut notes = Vec::new();
        let env_file = plan.env_file.as_ref().filter(|_| self.variables.env_file.is_none());
        env_file.map_or(Ok(()), |path| environment::load_variables(path))?;
        let datasets = self.datasets(plan, &mut notes)?;
        let of_plan = || plan.config.clone().filter(|path| path.is_file());
        let config = self.endpoint.config.clone().or_else(of_plan).or_else(|| self.variables.config.clone());
        let args = |args: &EndpointArgs| EndpointArgs { config: config.clone(), ..args.clone() };
        let layers = Layers::new(args(&self.endpoint), self.conduct.dry_run)?.with_variables(args(&self.variables))?;
        let mut planned = Planned {
            plan: RunPlan {
                datasets,
                // Earlier runs may have selected other traces: the log has their failures too.
                selection: SelectionPlan { shard: plan.selection.shard, ..SelectionPlan::default() },
                judges: Vec::new(),
                export: plan.export.clone().filter(|export| is_log_of(&export.path, &self.log)),
                ..plan.clone()
            },
            secrets: Vec::new(),
            notes: Vec::new(),
        };
        if layers.one_model()?.is_some() {
            let names: BTreeSet<_> = plan.judges.iter().map(|judge| &judge.name).collect();
            if names.len() < plan.judges.len() {
                // Each failure would be asked of it, once for each model of the panel.
                return Err(CliError::usage("several models vote, and a single other model cannot replace them all"));
            }
        }
        let mut models = Vec::new();
        for judge in &plan.judges {
            let wanted = wanted(judge);
            let compiled = plan::compiled(judge)?;
            if digest(&wanted) != judge.blake3 {
                notes.push(format!("the judge {} has changed since the run", shown(Path::new(&wanted)).display()));
            }
            let model = match compiled.kind() {
                JudgeKind::Llm => model(&layers, plan, judge, compiled.model.as_ref()),
                _ => judge.model.clone(),
            };
            models.push((model.clone(), judge.model.clone()));
            planned.plan.judges.push(plan::judge_plan(&wanted, &compiled, model, judge.params.clone()));
        }
        programs::allowed(&planned.plan.judges, self.conduct.allow_commands || layers.file.allow_commands)?;
        planned.ask(|model| {
            let of_run = models.iter().find(|(now, _)| now == model).and_then(|(_, then)| plan.endpoint(then));
            match of_run.filter(|of_run| of_run.model.endpoint == model.endpoint) {
                Some(of_run) => {
                    let prices = of_run.prices.filter(|_| of_run.model == *model);
                    layers.endpoint_again(&EndpointPlan { model: model.clone(), prices, ..of_run.clone() }, env)
                }
                // Address, key and headers are those of one endpoint.
                None => layers.endpoint(model, env),
            }
        })?;
        self.conduct.clone().apply(&mut planned.plan);
        planned.check_prices()?;
        planned.notes = notes;
        Ok(planned)
    }

    /// The files to read.
    fn datasets(&self, plan: &RunPlan, notes: &mut Vec<String>) -> Result<Vec<Dataset>, CliError> {
        let remedy = "name it with `--dataset FILE`";
        let now: Vec<_> = if self.dataset.is_empty() {
            for Dataset { path, .. } in &plan.datasets {
                if path.as_os_str() == "-" {
                    return Err(CliError::usage_with_hint("the run read its traces from standard input", remedy));
                }
                if !path.exists() && !quickstart::is_meant(path) {
                    let message = format!("the dataset `{}` does not exist", shown(path).display());
                    return Err(CliError::usage_with_hint(message, remedy));
                }
            }
            plan.datasets.iter().map(|dataset| plan::dataset_plan(&dataset.path)).collect()
        } else {
            let named = paths::datasets(&self.dataset, std::slice::from_ref(&self.log))?;
            named.iter().map(|path| plan::dataset_plan(path)).collect()
        };
        let then: Vec<_> = plan.datasets.iter().filter_map(|dataset| dataset.fingerprint.as_ref()).collect();
        let is_known = |now: &Fingerprint| then.iter().any(|then| then.same_content(now));
        for dataset in now.iter().filter(|dataset| dataset.fingerprint.as_ref().is_some_and(|now| !is_known(now))) {
            notes.push(format!("{} has changed since the run", shown(&dataset.path).display()));
        }
        Ok(now)
    }

    /// The failures of plans that will no longer run.
    fn not_reached(&self, plans: &[RunPlan], failures: &mut Failures, left: &mut Left) {
        for plan in plans {
            failures.covered_by(plan);
            for (judge, by) in plan.judges.iter().flat_map(|judge| By::ALL.map(|by| (judge, by))) {
                let open = failures.open(judge, by);
                left.add(&judge.name, &by.source_of(judge), Reason::NotReached, open, Some(plan));
                failures.found(judge, by, open);
            }
        }
    }

    /// Says what is left.
    fn conclude(&self, failures: &Failures, left: &Left, exit: Exit) -> Result<(), CliError> {
        let mut text = String::new();
        // Writing to a string cannot fail.
        if failures.selected() == 0 {
            let why = if failures.total() == 0 { ": no judgment failed" } else { "" };
            let _ = writeln!(text, "nothing to replay in {}{why}", self.log.display());
        }
        let _ = left.write(&mut text, &self.log);
        if failures.invalid() > 0 {
            let verdicts = counted(failures.invalid(), "rejected verdict");
            let _ = writeln!(text, "{verdicts} in the log; `--include-invalid` asks again");
        }
        match (self.conduct.quiet, exit) {
            (true, Exit::AllJudged) => Ok(()),
            (true, _) => {
                if !text.is_empty() {
                    print::message(text.trim_end());
                }
                Ok(())
            }
            (false, _) => summary::print(&print::escaped(&text)),
        }
    }
}

/// The model to ask instead of the run's, or the run's.
fn model(layers: &Layers, plan: &RunPlan, judge: &JudgePlan, of_judge: Option<&ModelUri>) -> ModelUri {
    let (was_simulated, names_other) = (plan.is_simulated(), !layers.models.is_empty() || layers.names_an_address());
    let simulate = layers.simulate || (was_simulated && !names_other);
    match layers.models.first() {
        // Made-up verdicts never have a model's name, nor a model's verdicts theirs.
        _ if simulate && was_simulated => judge.model.clone(),
        chosen if simulate => ModelUri::simulated(chosen.map_or(judge.model.model.as_str(), |uri| uri.model.as_str())),
        _ if was_simulated => layers.model(of_judge),
        Some(chosen) => chosen.clone(),
        None => judge.model.clone(),
    }
}

/// The log that is meant; what was made from a log refers to it.
fn log_of(named: PathBuf) -> Result<PathBuf, CliError> {
    let log = Target::new(Some(named.clone()), None, &[], None)?.log.unwrap_or(named);
    if !log.is_file() {
        return Err(CliError::usage_with_hint(
            format_args!("no log `{}`", log.display()),
            "name the .jsonl file that the run wrote",
        ));
    }
    Ok(log)
}

/// How the runs over a log were set up.
fn read(log: &Path) -> Result<Vec<RunPlan>, CliError> {
    let of_command = "the run's own command retries its failures, and writes a manifest";
    let manifest = Manifest::read(&Manifest::path_of(log)).map_err(|error| {
        let hint = match error {
            ManifestError::Newer { .. } => "update judge-run",
            _ => of_command,
        };
        CliError::of(&error).hint(hint)
    })?;
    if manifest.plans.is_empty() {
        let message = format!(
            "{} was written by judge-run {}, which did not record how a run was set up",
            Manifest::path_of(log).display(),
            manifest.version
        );
        return Err(CliError::usage_with_hint(message, of_command));
    }
    Ok(manifest.plans)
}

/// Whether a file is made from this log.
fn is_log_of(path: &Path, log: &Path) -> bool {
    let its_log = Form::log_of(path).canonicalize().ok();
    its_log.is_some() && its_log == log.canonicalize().ok()
}

/// The exit code of two plans: an interruption before a stop, a stop before failures.
pub(crate) fn worse(a: Exit, b: Exit) -> Exit {
    if a.code() >= b.code() { a } else { b }
}

/// The endpoint options: as typed, and together with the variables.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    pub typed: EndpointArgs,
    pub variables: EndpointArgs,
}

/// The plans of a log's manifest, to be run again as they were.
pub(crate) struct Again {
    replay: Replay,
    plans: Vec<RunPlan>,
}

impl Again {
    /// Those of this log.
    pub(crate) fn of(
        log: PathBuf,
        dataset: Vec<PathBuf>,
        endpoint: Endpoint,
        conduct: ConductArgs,
    ) -> Result<Self, CliError> {
        // A log without records does not exist yet, but its batches do.
        let log = if ledger_of(&log).is_file() { log } else { log_of(log)? };
        let plans = read(&log)?;
        let Endpoint { typed: endpoint, variables } = endpoint;
        let (only, include_invalid, failed_again) = (None, false, HashSet::new());
        Ok(Self {
            replay: Replay { log, dataset, endpoint, variables, conduct, only, include_invalid, failed_again },
            plans,
        })
    }

    /// The places of plans whose requests go in batches.
    pub(crate) fn with_batches(&self) -> Result<Vec<usize>, CliError> {
        let with_batches: Vec<_> = (0..self.plans.len()).filter(|i| self.plans[*i].batch.is_some()).collect();
        if with_batches.is_empty() {
            return Err(CliError::usage_with_hint(
                format_args!("no run over `{}` submitted batches", self.replay.log.display()),
                "submit them with `--batch --detach`",
            ));
        }
        Ok(with_batches)
    }

    /// The plan at a place, about the same traces as then.
    pub(crate) fn plan(&mut self, place: usize, env: Env<'_>) -> Result<(Planned, Invocation), CliError> {
        let plan = &self.plans[place];
        let mut planned = self.replay.replanned(plan, env)?;
        planned.plan.selection = plan.selection.clone();
        Ok((planned, self.replay.invocation()))
    }
}
