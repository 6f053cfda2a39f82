//! `judge-run judges import`: MLflow's scorers and prompts as judge files.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use judge_run::judge::import::{self, Imported};
use judge_run::judge::library;
use judge_run::run::Exit;

use super::args::ImportArgs;
use crate::cli::error::CliError;
use crate::cli::print::{self, one_line};

/// Writes a file for each judge, and says what could not be carried over. What cannot be a judge is named, and the exit code is 3.
pub(super) fn main(args: &ImportArgs) -> Result<ExitCode, CliError> {
    let mut exit = Exit::AllJudged;
    for file in &args.files {
        let cannot = || CliError::usage(format_args!("cannot import `{}`", file.display()));
        let text = fs::read_to_string(file).map_err(|error| cannot().because(&error))?;
        for imported in import::import(&text).map_err(|error| cannot().because(&error))? {
            match imported {
                Ok(judge) => write(&judge, file)?,
                Err(error) => {
                    print::message(format_args!("warning: {}: {}", file.display(), one_line(&error.to_string())));
                    exit = Exit::SomeFailed;
                }
            }
        }
    }
    Ok(ExitCode::from(exit.code()))
}

fn write(judge: &Imported, from: &Path) -> Result<(), CliError> {
    let Imported { name, toml, notes } = judge;
    // A name from outside is no path.
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | ' ');
    let file_name: String = name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    if file_name.trim().is_empty() {
        return Err(CliError::usage(format_args!("`{}` has a judge without a name", from.display())));
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
        print::message(format_args!("note: it has to be edited first: {}", CliError::of(&error).into_line()));
    }
    Ok(())
}
