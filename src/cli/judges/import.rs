//! `judge-run judges import`: MLflow's scorers and prompts as judge files.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use judge_run::judge::import::{self, Imported, NotImported};
use judge_run::judge::library;
use judge_run::run::Exit;
use judge_run::servers::mlflow::JudgeUri;

use super::args::ImportArgs;
use crate::cli::error::CliError;
use crate::cli::mlflow;
use crate::cli::print::{self, one_line};

/// Writes a file for each judge, and reports what could not be converted. What cannot be a judge is named, and the exit code is 3.
pub(super) fn main(args: &ImportArgs) -> Result<ExitCode, CliError> {
    let experiment = args.experiment.as_deref();
    let mut exit = Exit::AllJudged;
    let mut write_all = |from: &str, all: Vec<Result<Imported, NotImported>>| {
        for imported in all {
            match imported {
                Ok(judge) => write(&judge, from)?,
                Err(error) => {
                    print::message(format_args!("warning: {from}: {}", one_line(&error.to_string())));
                    exit = Exit::SomeFailed;
                }
            }
        }
        Ok::<_, CliError>(())
    };
    for from in &args.from {
        let imported = if JudgeUri::is_meant(from) {
            let uri = from.parse().map_err(|error| CliError::usage(format_args!("the judge `{from}`: {error}")))?;
            vec![Ok(mlflow::imported(&uri, &args.server, experiment)?)]
        } else {
            let cannot = || CliError::usage(format_args!("cannot import `{from}`"));
            let text = fs::read_to_string(from).map_err(|error| cannot().because(&error))?;
            import::import(&text).map_err(|error| cannot().because(&error))?
        };
        write_all(from, imported)?;
    }
    if args.from_server {
        let all = mlflow::all_scorers(&args.server, experiment)?;
        if all.is_empty() {
            print::message("the experiment has no scorers");
        }
        write_all("the server", all)?;
    }
    Ok(ExitCode::from(exit.code()))
}

fn write(judge: &Imported, from: &str) -> Result<(), CliError> {
    let Imported { name, toml, notes } = judge;
    // A name from outside is no path.
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | ' ');
    let file_name: String = name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    if file_name.trim().is_empty() {
        return Err(CliError::usage(format_args!("`{from}` has a judge without a name")));
    }
    let path: PathBuf = [library::FOLDER, &format!("{file_name}.toml")].iter().collect();
    fs::create_dir_all(library::FOLDER)?;
    let mut file = OpenOptions::new().write(true).create_new(true).open(&path).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => CliError::usage(format_args!("`{}` exists", path.display())),
        _ => CliError::Other(format!("cannot write {}: {error}", path.display())),
    })?;
    file.write_all(toml.as_bytes())?;
    writeln!(std::io::stdout().lock(), "{}", path.display())?;
    for note in notes {
        print::message(format_args!("note: {}: {}", one_line(name), one_line(note)));
    }
    if let Err(error) = library::find(&path.display().to_string()) {
        print::message(format_args!("note: edit it first: {}", CliError::of(&error).into_line()));
    }
    Ok(())
}
