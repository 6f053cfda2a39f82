//! From flags, environment, `judge-run.toml` and judge files, in this order of precedence, to the plan of a run.

use std::path::{Path, PathBuf};
use std::time::Duration;

use judge_run::endpoint::ModelUri;
use judge_run::judge::redact::Redact;
use judge_run::judge::{Given, Judge, JudgeKind, library};
use judge_run::results::{Gate, by};
use judge_run::run::{
    Budget, Dataset, EndpointPlan, Export, JudgePlan, PanelPlan, Policy, Reading, RunPlan, RunReport, RunSettings,
    SelectionPlan, Shard,
};

use super::anchors;
use super::config_file::{self, ConfigFile, DatasetTable};
use super::endpoint::{self, Layers, Secrets};
use super::environment::Env;
use super::error::CliError;
use super::flags::{ConductArgs, Confirm, ProgressForm, SelectionArgs};
use super::gates::{self, Gates};
use super::paths::absolute;
use super::programs;
use super::quickstart;
use super::run_args::{Purpose, RunArgs};
use super::setting;
use super::sides;
use super::table;
use super::target::{Target, judge_file};
use super::until;

/// A run that can be opened.
pub(crate) struct Planned {
    pub plan: RunPlan,
    /// What the plan withholds, by endpoint.
    pub secrets: Vec<Secrets>,
    /// Lines about what was found.
    pub notes: Vec<String>,
}

/// What concerns this invocation alone.
pub(crate) struct Invocation {
    /// `None` where the records go to standard output.
    pub log: Option<PathBuf>,
    pub overwrite: bool,
    /// Logs of other runs.
    pub reuse: Vec<PathBuf>,
    /// What the results must be like.
    pub gates: Gates,
    /// Pass rates that end the run once they are decided.
    pub until: Vec<Gate>,
    /// Traces that show a change of the judge.
    pub anchors: Option<PathBuf>,
    /// The file for a report on the log at the end.
    pub report: Option<PathBuf>,
    /// What divides the report.
    pub by: Vec<String>,
    pub dry_run: bool,
    pub quiet: bool,
    pub verbose: u8,
    pub progress: ProgressForm,
}

/// The flags of a run, with the configuration file's dataset and judges as defaults.
pub(crate) fn with_file(args: RunArgs) -> Result<RunArgs, CliError> {
    let ConfigFile { judges, dataset: DatasetTable { path, .. }, .. } =
        ConfigFile::load(args.endpoint.config.as_deref())?;
    let sides = args.sides.paths();
    if !args.dataset.is_empty() && !sides.is_empty() {
        return Err(CliError::usage_with_hint(
            "`--dataset` and `--side` both name traces",
            "to compare outputs, name them only with `--side`",
        ));
    }
    Ok(RunArgs {
        dataset: match (args.dataset.is_empty(), sides.is_empty()) {
            (false, _) => args.dataset,
            (true, false) => sides,
            (true, true) => path,
        },
        judge: if args.judge.is_empty() { judges } else { args.judge },
        ..args
    })
}

/// The plan of a run. Judges are compiled and files are looked for; nothing is opened, made or sent. `escalated` are the traces that the first votes
/// of a cascade left open.
pub(crate) fn of_run(
    args: RunArgs,
    escalated: Option<Vec<String>>,
    env: Env<'_>,
) -> Result<(Planned, Invocation), CliError> {
    let RunArgs {
        dataset,
        map,
        dataset_format,
        judge,
        set,
        sides,
        selection,
        strict,
        max_line_bytes,
        output,
        output_format,
        overwrite,
        reuse,
        table,
        gates,
        until,
        confirm,
        anchors,
        report,
        mlflow: _,
        by,
        conduct,
        endpoint,
        purpose,
        panel,
        layout,
        batch,
    } = args;
    let (config, env_file) = (config_path(endpoint.config.as_deref()), endpoint.env_file.as_deref().map(absolute));
    let named_config = endpoint.config.clone();
    let layers = Layers::new(endpoint, conduct.dry_run)?;
    if dataset.is_empty() {
        return Err(CliError::usage_with_hint(
            "no dataset: name a file of traces with `--dataset`, or in judge-run.toml",
            format_args!("to try: {}", quickstart::COMMAND),
        ));
    }
    let confirms = matches!(confirm, Some(Confirm::All | Confirm::Sample));
    if confirms && dataset.iter().any(|path| path.as_os_str() == "-") {
        return Err(CliError::usage_with_hint(
            "--confirm may have to ask about traces again, but standard input can be read only once",
            "write the traces to a file first",
        ));
    }
    if judge.is_empty() {
        let known: Vec<_> = library::names().into_iter().map(|(name, _)| name).collect();
        return Err(CliError::usage_with_hint(
            "no judge: name one with `--judge`, or in judge-run.toml",
            format_args!("known: {}", known.join(", ")),
        ));
    }
    let (shard, shard_origin) = match selection.shard {
        Some(shard) => shard.resolve(env).map(|(shard, origin)| (Some(shard), origin))?,
        None => (None, None),
    };
    let target = Target::new(output, output_format, &dataset, shard.filter(|_| shard_origin.is_some()))?;
    let with = table.plan(target.export.as_ref().map(|export| export.form))?;
    table::check(&with, &dataset)?;
    target.check_overwrites(&dataset, &judge, named_config.as_deref(), overwrite)?;
    let map = if map.is_empty() { layers.file.dataset.map.clone() } else { map };
    let is_compared = !sides.side.is_empty() || sides.pair_by.is_some();
    let (dataset, sides) = sides.resolve(&dataset, &target.written(), &map)?;
    let gates = if purpose == Purpose::Application { Gates::of(gates, &layers.file)? } else { Gates::default() };
    Redact::of(&layers.file.redact).map_err(|error| CliError::of(&error))?;
    let anchors = anchors.or_else(|| layers.file.gates.anchors.clone());
    let anchors = anchors.filter(|_| purpose == Purpose::Application);
    let mut planned = Planned {
        plan: RunPlan {
            datasets: dataset.iter().map(|path| dataset_plan(path)).collect(),
            reading: match purpose {
                // They are in judge-run's own form, whatever the dataset is in.
                Purpose::Anchors => Reading { format: None, map: Vec::new(), max_line_bytes, strict },
                Purpose::Application | Purpose::Confirmation => {
                    Reading { format: dataset_format.or(layers.file.dataset.format), map, max_line_bytes, strict }
                }
            },
            selection: selection.plan(shard),
            judges: Vec::new(),
            panels: Vec::new(),
            rubrics: Vec::new(),
            endpoints: Vec::new(),
            export: target.export.map(|export| Export { path: absolute(&export.path), table: with, ..export }),
            policy: Policy {
                max_retries: layers.file.max_retries.unwrap_or(Policy::default().max_retries),
                ..Policy::default()
            },
            budget: Budget::default(),
            grace: RunSettings::DEFAULT_GRACE,
            config,
            env_file,
            anchors: if purpose == Purpose::Anchors { anchors::digest(&dataset)? } else { None },
            redact: layers.file.redact.clone(),
            batch: batch.plan(),
            sides: None,
            layout: layout.or(layers.file.layout).unwrap_or_default(),
        },
        secrets: Vec::new(),
        notes: layers.file.doubts(),
    };
    if let Some((shard, origin)) = shard.zip(shard_origin) {
        planned.notes.push(format!("shard {shard}, by {origin}"));
    }
    let mut all = Vec::new();
    for wanted in &judge {
        let given = |name: &str| setting::of_judge(&set, name);
        for compiled in library::find_all_with(wanted, given).map_err(|error| CliError::of(&error))? {
            if compiled.kind() != JudgeKind::Llm {
                let stands_for_model = compiled.kind().uri(&compiled.name);
                planned.add_judge(judge_plan(wanted, &compiled, stands_for_model, given(compiled.file_name())))?;
                all.push(compiled);
                continue;
            }
            let voters = layers.voters(compiled.model.as_ref())?;
            let decides = panel.escalate_to.as_ref().map(|model| layers.ask(Some(model)));
            let votes = panel.plan(&layers.file.panel, &compiled, &voters, decides.as_ref(), target.log.is_some())?;
            planned.notes.extend(panel_note(&compiled, votes.as_ref()));
            planned.plan.panels.extend(votes);
            for model in voters {
                planned.add_judge(judge_plan(wanted, &compiled, model, given(compiled.file_name())))?;
            }
            all.push(compiled);
        }
    }
    if target.log.is_some() {
        planned.plan.rubrics = aggregated(&all);
    }
    planned.plan.sides = sides::of_judges(sides, &all, is_compared)?;
    if planned.plan.sides.is_some() && (confirms || anchors.is_some()) {
        return Err(CliError::usage(
            "--confirm and --anchors are about judges of traces, not about judges that compare outputs",
        ));
    }
    setting::check(
        &set,
        planned.plan.judges.iter().map(|judge| judge.rubric.as_ref().unwrap_or(&judge.name).as_str()),
    )?;
    match (escalated, &panel.escalate_to) {
        (Some(traces), _) => planned.plan.escalate(traces),
        (None, Some(model)) if conduct.dry_run => {
            planned.notes.push(format!(
                "{model} is asked only about what the other votes leave open, which is not counted here"
            ));
        }
        _ => {}
    }
    programs::allowed(&planned.plan.judges, conduct.allow_commands || layers.file.allow_commands)?;
    planned.ask(|model| layers.endpoint(model, env))?;
    let names: Vec<_> = planned.plan.judges.iter().map(|judge| judge.name.as_str()).collect();
    let with_rubrics: Vec<_> = names.iter().copied().chain(planned.plan.rubrics.iter().map(String::as_str)).collect();
    let gates = gates.checked(&with_rubrics, "run")?;
    gates.check_sides(planned.plan.sides.as_ref().map_or(&[], |sides| &sides.names))?;
    let until = until::of_run(&until, &names)?;
    if planned.plan.batch.is_some() && planned.plan.datasets.iter().any(|dataset| dataset.path.as_os_str() == "-") {
        return Err(CliError::usage_with_hint(
            "batches read the traces more than once, but standard input can be read only once",
            "write the traces to a file first",
        ));
    }
    if !until.is_empty() && !planned.plan.panels.is_empty() {
        return Err(CliError::usage("`--until` decides by single verdicts and cannot be used with several votes"));
    }
    gates::before_run(&gates, report.as_deref(), target.log.as_deref())?;
    anchors.iter().try_for_each(|anchors| anchors::before_run(anchors, target.log.as_deref()))?;
    by::compile(&by).map_err(|(source, error)| CliError::usage(format_args!("--by {source}: {error}")))?;
    let invocation = Invocation {
        log: target.log,
        overwrite,
        reuse,
        gates,
        until,
        anchors,
        report,
        by,
        dry_run: conduct.dry_run,
        quiet: conduct.quiet,
        verbose: conduct.verbose,
        progress: conduct.progress,
    };
    conduct.apply(&mut planned.plan);
    planned.check_prices()?;
    Ok((planned, invocation))
}

impl Planned {
    pub(crate) fn add_judge(&mut self, judge: JudgePlan) -> Result<(), CliError> {
        if self.plan.judges.iter().any(|other| (&other.name, &other.model) == (&judge.name, &judge.model)) {
            return Err(CliError::usage(format_args!("the judge `{}` is named twice", judge.name)));
        }
        self.plan.judges.push(judge);
        Ok(())
    }

    /// Adds the endpoints of all judges.
    pub(crate) fn ask(
        &mut self,
        endpoint: impl Fn(&ModelUri) -> Result<(EndpointPlan, Secrets), CliError>,
    ) -> Result<(), CliError> {
        (self.plan.endpoints, self.secrets) = (Vec::new(), Vec::new());
        for judge in self.plan.judges.iter().filter(|judge| judge.kind == JudgeKind::Llm) {
            if self.plan.endpoint(&judge.model).is_none() {
                let (plan, secrets) = endpoint(&judge.model)?;
                self.plan.endpoints.push(plan);
                self.secrets.push(secrets);
            }
        }
        Ok(())
    }

    /// A budget of money needs prices.
    pub(crate) fn check_prices(&self) -> Result<(), CliError> {
        let without = |endpoint: &&EndpointPlan| self.plan.budget.cost.is_some() && endpoint.prices.is_none();
        self.plan.endpoints.iter().find(without).map_or(Ok(()), |endpoint| Err(endpoint::no_prices(&endpoint.model)))
    }
}

impl ConductArgs {
    /// Flags override the plan, whether of a new run or of an earlier one.
    pub(crate) fn apply(self, plan: &mut RunPlan) {
        let Self {
            dry_run: _,
            allow_commands: _,
            warm_up,
            keep_answers,
            max_retries,
            re_ask,
            max_retry_after,
            max_errors,
            max_cost,
            max_tokens_total,
            time_limit,
            grace,
            quiet: _,
            verbose: _,
            progress: _,
        } = self;
        let RunPlan { policy, budget, grace: planned_grace, .. } = plan;
        policy.warm_up |= warm_up;
        policy.keep_answers |= keep_answers;
        set(&mut policy.max_retries, max_retries);
        policy.re_asks = re_ask.or(policy.re_asks);
        set(&mut policy.max_pause, max_retry_after);
        set(planned_grace, grace);
        budget.errors = max_errors.or(budget.errors);
        budget.cost = max_cost.or(budget.cost);
        budget.tokens = max_tokens_total.or(budget.tokens);
        budget.time = time_limit.or(budget.time);
    }
}

impl ConductArgs {
    /// Takes what a run has spent from the budgets, which are those of the command as a whole.
    pub(crate) fn spend(&mut self, report: &RunReport) {
        let questions = &report.summary.questions;
        let Self { max_cost, max_tokens_total, time_limit, .. } = self;
        let cost: f64 = questions.iter().filter_map(|question| question.cost).sum();
        let tokens: u64 = questions.iter().map(|q| q.usage.input_tokens + q.usage.output_tokens).sum();
        *max_cost = max_cost.map(|limit| (limit - cost).max(0.0));
        *max_tokens_total = max_tokens_total.map(|limit| limit.saturating_sub(tokens));
        *time_limit =
            time_limit.map(|limit| limit.saturating_sub(report.summary.elapsed).max(Duration::from_millis(1)));
    }
}

fn set<T>(planned: &mut T, flag: Option<T>) {
    if let Some(value) = flag {
        *planned = value;
    }
}

impl SelectionArgs {
    /// With this process's part.
    fn plan(self, shard: Option<Shard>) -> SelectionPlan {
        let Self { limit, shard: _, filter, sample, seed, stratify, trace_id } = self;
        SelectionPlan { shard, trace_ids: trace_id, filter, sample, seed: seed.unwrap_or(0), stratify, limit }
    }
}

/// The rubrics with an `aggregate`, all of whose criteria are among these judges.
fn aggregated(judges: &[Judge]) -> Vec<String> {
    let mut rubrics: Vec<String> = Vec::new();
    for judge in judges {
        let rubric = judge.file_name();
        let is_asked = |criterion: &str| {
            judges.iter().any(|judge| judge.file_name() == rubric && judge.criterion() == Some(criterion))
        };
        let is_whole = judge.aggregated.as_ref().is_some_and(|all| all.iter().all(|(name, _)| is_asked(name)));
        if is_whole && !rubrics.iter().any(|known| known == rubric) {
            rubrics.push(rubric.to_owned());
        }
    }
    rubrics
}

/// A note on votes that can hardly differ.
fn panel_note(judge: &Judge, panel: Option<&PanelPlan>) -> Option<String> {
    let is_same = panel.is_some_and(|panel| panel.samples > 1) && judge.temperature() == Some(0.0);
    is_same.then(|| {
        format!("the votes of `{}` on one model may all be the same: its temperature is 0, see [params]", judge.name)
    })
}

/// A judge as it is now.
pub(crate) fn judge_plan(wanted: &str, compiled: &Judge, model: ModelUri, params: Given) -> JudgePlan {
    JudgePlan {
        name: compiled.name.clone(),
        rubric: (compiled.name != compiled.file_name()).then(|| compiled.file_name().to_owned()),
        version: compiled.version,
        file: judge_file(wanted).map(|path| absolute(&path)),
        blake3: digest(wanted),
        kind: compiled.kind(),
        model,
        params,
        examples: compiled.example_traces.clone(),
    }
}

/// How `--judge` names a judge of a plan.
pub(crate) fn wanted(judge: &JudgePlan) -> String {
    let name = judge.rubric.as_ref().unwrap_or(&judge.name);
    judge.file.as_ref().map_or_else(|| name.clone(), |file| file.display().to_string())
}

/// The judge of a plan, or the criterion of a rubric, as it is now.
pub(crate) fn compiled(judge: &JudgePlan) -> Result<Judge, CliError> {
    let all = library::find_all_with(&wanted(judge), |_| judge.params.clone()).map_err(|error| CliError::of(&error))?;
    let same = |compiled: &Judge| judge.rubric.is_none() || compiled.name == judge.name;
    all.into_iter().find(same).ok_or_else(|| {
        CliError::usage(format_args!("the judge `{}` no longer has this criterion: `{}`", wanted(judge), judge.name))
    })
}

/// Of a judge's TOML text; empty if it can no longer be read.
pub(crate) fn digest(judge: &str) -> String {
    library::source(judge).map(|text| blake3::hash(text.as_bytes()).to_hex().to_string()).unwrap_or_default()
}

/// A dataset as it is now.
pub(crate) fn dataset_plan(path: &Path) -> Dataset {
    if quickstart::is_meant(path) { Dataset { path: path.to_owned(), fingerprint: None } } else { Dataset::of(path) }
}

/// The configuration file that is read, if any.
fn config_path(named: Option<&Path>) -> Option<PathBuf> {
    named.or_else(|| config_file::is_there().then_some(Path::new(config_file::DEFAULT_PATH))).map(absolute)
}
