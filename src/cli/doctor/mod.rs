//! `judge-run doctor`: what is configured, whether it works, and what would be sent where.

pub(crate) mod args;
mod asked;
mod batches;
mod finding;
mod here;
mod sends;
mod text;

use std::process::ExitCode;

use judge_run::run::Exit;

use self::args::DoctorArgs;
use self::finding::{Diagnosis, Finding, Part};
use super::config_file::{self, ConfigFile};
use super::endpoint::Layers;
use super::environment::Env;
use super::error::CliError;
use super::summary;

pub(crate) fn main(args: DoctorArgs) -> Result<ExitCode, CliError> {
    let format = args.format.clone();
    let env: Env<'_> = &|name| std::env::var(name).ok();
    let diagnosis = diagnose(args, env)?;
    let text = if format == "json" { diagnosis.as_json()? } else { text::text(&diagnosis) };
    summary::print(&text)?;
    Ok(ExitCode::from(if diagnosis.is_well() { Exit::AllJudged } else { Exit::GateFailed }.code()))
}

fn diagnose(args: DoctorArgs, env: Env<'_>) -> Result<Diagnosis, CliError> {
    let DoctorArgs { mut dataset, mut judge, set, output, escalate_to, batch, endpoint, server, offline, format: _ } =
        args;
    let mut diagnosis = Diagnosis::default();
    let path = endpoint.config.clone().unwrap_or_else(|| config_file::DEFAULT_PATH.into());
    if let Err(error) = ConfigFile::load(endpoint.config.as_deref()) {
        // Its content is unknown, so nothing else can be checked.
        diagnosis.add([Finding::of_error(Part::Configuration, path.display(), error)]);
        return Ok(diagnosis);
    }
    let layers = Layers::new(endpoint, false)?;
    if dataset.is_empty() {
        dataset.clone_from(&layers.file.dataset.path);
    }
    if judge.is_empty() {
        judge.clone_from(&layers.file.judges);
    }
    diagnosis.add(here::configuration(&layers, &path));
    diagnosis.add(here::variables(env));
    let asker = asked::Asker::new(offline, &server, batch, env)?;
    diagnosis.add(here::datasets(&dataset, &layers.file));
    diagnosis.add(here::log(output, &dataset));
    let mut judges = Vec::new();
    for wanted in &judge {
        match asker.judges(wanted, &set, &dataset) {
            Ok(Some(found)) => judges.extend(found),
            Ok(None) => diagnosis.add([Finding::not_asked(Part::Judge, wanted, "it is on the MLflow server")]),
            Err(error) => diagnosis.add([Finding::of_error(Part::Judge, wanted, error)]),
        }
    }
    diagnosis.add(judges.iter().map(|judge| here::judge(judge, &layers.file)));
    let models = asked::models(&layers, &judges, escalate_to.as_ref(), &mut diagnosis);
    let needs_mlflow = asked::needs_mlflow(&dataset, &judge);
    for model in &models {
        diagnosis.add(asker.endpoint(&layers, model));
    }
    diagnosis.add(asker.mlflow(&dataset, needs_mlflow));
    diagnosis.add(asker.phoenix());
    diagnosis.add(asker.langfuse());
    diagnosis.sends = sends::of(&layers, &models, &judges, &asker);
    Ok(diagnosis)
}
