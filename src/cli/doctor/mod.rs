//! `judge-run doctor`: what is configured, whether it works, and what would be sent where.

mod asked;
mod batches;
mod finding;
mod here;
mod sends;
mod text;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueHint};
use judge_run::endpoint::ModelUri;
use judge_run::run::Exit;

use self::finding::{Diagnosis, Finding, Part};
use super::config_file::{self, ConfigFile};
use super::endpoint::{Env, Layers};
use super::error::CliError;
use super::flags::{ENDPOINT, EndpointArgs, INPUT, OUTPUT};
use super::mlflow::ServerArgs;
use super::setting::Setting;
use super::summary;

#[derive(Debug, Args)]
#[command(after_help = "\
Looks at judge-run.toml, variables, dataset, judges and log, and asks each endpoint and server that they name
with one request that judges nothing and costs nothing. Names of variables are shown, values never.

Exit codes:
  0  everything that is configured works
  1  something does not

Examples:
  Before the first night:
    judge-run doctor
  Without the network, for a program:
    judge-run doctor --offline --format json
  For the options of a command:
    judge-run doctor -d traces.jsonl -J safety -m openai:/gpt-4.1-mini --batch")]
pub(crate) struct DoctorArgs {
    /// Traces, as with --dataset of a run
    #[arg(short, long, value_name = "FILE", env = "JUDGE_RUN_DATASET", value_hint = ValueHint::FilePath,
          help_heading = INPUT)]
    pub dataset: Vec<PathBuf>,

    /// Judge, as with --judge of a run
    #[arg(short = 'J', long, value_name = "NAME|FILE", env = "JUDGE_RUN_JUDGE", value_delimiter = ',',
          help_heading = INPUT)]
    pub judge: Vec<String>,

    /// Set a parameter of a judge, as with --set of a run
    #[arg(long, value_name = "JUDGE.NAME=VALUE", env = "JUDGE_RUN_SET", help_heading = INPUT)]
    pub set: Vec<Setting>,

    /// Log, as with --output of a run
    #[arg(short, long, value_name = "FILE", env = "JUDGE_RUN_OUTPUT", value_hint = ValueHint::FilePath,
          help_heading = OUTPUT)]
    pub output: Option<PathBuf>,

    /// Stronger model, as with --escalate-to of a run
    #[arg(long, value_name = "ENDPOINT:/MODEL", env = "JUDGE_RUN_ESCALATE_TO", help_heading = ENDPOINT)]
    pub escalate_to: Option<ModelUri>,

    /// Ask for the list of batches, too, as --batch of a run needs the batch API
    #[arg(long, env = "JUDGE_RUN_BATCH", help_heading = ENDPOINT)]
    pub batch: bool,

    #[command(flatten)]
    pub endpoint: EndpointArgs,

    #[command(flatten, next_help_heading = INPUT)]
    pub server: ServerArgs,

    /// Send nothing: do not contact endpoints and servers
    #[arg(long)]
    pub offline: bool,

    /// Form of the answer
    #[arg(long, value_name = "FORM", default_value = "text", value_parser = ["text", "json"], help_heading = OUTPUT)]
    pub format: String,
}

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
