//! The earlier runs of a log, each to be continued as it was set up, with what the command line says over it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use judge_run::endpoint::ModelUri;
use judge_run::feedback::forms::Form;
use judge_run::judge::JudgeKind;
use judge_run::run::manifest::{Manifest, ManifestError};
use judge_run::run::{Dataset, EndpointPlan, Exit, Fingerprint, JudgePlan, RunPlan, SelectionPlan};

use super::endpoint::Layers;
use super::environment::{self, Env};
use super::error::CliError;
use super::flags::{ConductArgs, EndpointArgs};
use super::gates::Gates;
use super::override_args::OverrideArgs;
use super::paths::{self, shown};
use super::plan::{self, Invocation, Planned, digest, wanted};
use super::programs;
use super::quickstart;
use super::target::Target;

/// What the command line says.
pub(crate) struct Overrides {
    pub log: PathBuf,
    dataset: Vec<PathBuf>,
    pub endpoint: EndpointArgs,
    /// What variables say; they override no plan.
    variables: EndpointArgs,
    pub conduct: ConductArgs,
}

impl Overrides {
    pub(crate) fn of(log: PathBuf, args: OverrideArgs) -> Self {
        let OverrideArgs { dataset, endpoint, conduct, variables } = args;
        let variables = variables.unwrap_or_else(|| endpoint.clone());
        Self { log, dataset, endpoint, variables, conduct }
    }

    /// What concerns this command alone.
    pub(crate) fn invocation(&self) -> Invocation {
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

    /// The plan of an earlier run with what the command line says over it.
    pub(crate) fn replanned(&self, plan: &RunPlan, env: Env<'_>) -> Result<Planned, CliError> {
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
pub(crate) fn log_of(named: PathBuf) -> Result<PathBuf, CliError> {
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
pub(crate) fn plans(log: &Path) -> Result<Vec<RunPlan>, CliError> {
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
