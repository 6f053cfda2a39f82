//! Judges of an MLflow server, named by `--judge`: each becomes a judge file next to the log, so that a repetition and a replay ask the same.

use std::path::Path;

use judge_run::judge::import::{Imported, NotImported};
use judge_run::servers::mlflow::{JudgeUri, RegistryError, registered, scorers};

use super::args::ServerArgs;
use super::server::{failed, runtime, server};
use crate::cli::error::CliError;
use crate::cli::print::{self, escaped};
use crate::cli::run_args::RunArgs;

/// The source of an experiment's name.
const NO_EXPERIMENT: &str =
    "set MLFLOW_EXPERIMENT_NAME, or name it: `--experiment NAME`, or with traces `--dataset mlflow:/NAME`";
/// Where the files are put.
pub(crate) const FOLDER: &str = "mlflow-judges";

/// The arguments with the judges of a server as files. `experiment` is that of the dataset.
pub(super) fn with_judges(mut args: RunArgs, experiment: Option<&str>) -> Result<RunArgs, CliError> {
    let folder = args.output.as_deref().and_then(Path::parent).unwrap_or(Path::new("")).join(FOLDER);
    for judge in args.judge.iter_mut().filter(|judge| JudgeUri::is_meant(judge)) {
        let uri: JudgeUri =
            judge.parse().map_err(|error| CliError::usage(format_args!("the judge `{judge}`: {error}")))?;
        *judge = pulled(&uri, &args.mlflow.server, experiment, &folder, args.conduct.quiet)?;
    }
    Ok(args)
}

/// Writes the judge to a file, and returns the path.
fn pulled(
    uri: &JudgeUri,
    server_args: &ServerArgs,
    experiment: Option<&str>,
    folder: &Path,
    quiet: bool,
) -> Result<String, CliError> {
    let imported = imported(uri, server_args, experiment)?;
    let cannot_write = |path: &Path, error: std::io::Error| {
        CliError::usage(format_args!("cannot write `{}`", path.display())).because(&error)
    };
    std::fs::create_dir_all(folder).map_err(|error| cannot_write(folder, error))?;
    // Records have the judge's name, so that the server shows them in its column.
    let plain = |c: char| if c.is_control() || std::path::is_separator(c) || c == ':' { '-' } else { c };
    let name: String = imported.name.chars().map(plain).collect();
    let path = folder.join(format!("{}.toml", name.trim_start_matches('.')));
    if std::fs::read(&path).ok().as_deref() != Some(imported.toml.as_bytes()) {
        std::fs::write(&path, &imported.toml).map_err(|error| cannot_write(&path, error))?;
    }
    if !quiet {
        print::message(escaped(&format!("note: the judge {uri} is in {}", path.display())));
        imported.notes.iter().for_each(|note| print::message(escaped(&format!("note: {uri}: {note}"))));
    }
    Ok(path.display().to_string())
}

/// The judge, as on the server.
pub(crate) fn imported(
    uri: &JudgeUri,
    server_args: &ServerArgs,
    experiment: Option<&str>,
) -> Result<Imported, CliError> {
    let server = server(server_args)?;
    let experiment = experiment.map(ToOwned::to_owned).or_else(of_variable);
    let imported = runtime()?.block_on(async {
        let id = match (&uri, &experiment) {
            (JudgeUri::Scorer { .. }, Some(name)) => Some(server.experiment(name).await?.id),
            _ => None,
        };
        registered(&server, uri, id.as_deref()).await
    });
    imported.map_err(|error| match &error {
        RegistryError::Server(error) => failed(error),
        RegistryError::NoExperiment(_) => CliError::of(&error).hint(NO_EXPERIMENT),
        _ => CliError::of(&error),
    })
}

/// All scorers of an experiment.
pub(crate) fn all_scorers(
    server_args: &ServerArgs,
    experiment: Option<&str>,
) -> Result<Vec<Result<Imported, NotImported>>, CliError> {
    let server = server(server_args)?;
    let experiment = experiment.map(ToOwned::to_owned).or_else(of_variable);
    let experiment = experiment.ok_or_else(|| {
        CliError::usage_with_hint("scorers belong to an experiment, but none is given", NO_EXPERIMENT)
    })?;
    let found = runtime()?.block_on(async {
        let id = server.experiment(&experiment).await?.id;
        scorers(&server, &id).await
    });
    found.map_err(|error| failed(&error))
}

fn of_variable() -> Option<String> {
    let names = ["MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"];
    names.iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
}
