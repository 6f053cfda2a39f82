//! `judge-run judges`: the judges that have a name.

use std::io::Write;
use std::process::ExitCode;

use judge_run::judge::{Unit, library};

use super::error::CliError;
use super::import_judges;
use super::print;
use super::subcommands::{JudgesArgs, JudgesCommand};

pub(crate) fn main(args: &JudgesArgs) -> Result<ExitCode, CliError> {
    if let Some(JudgesCommand::Import(args)) = &args.command {
        return import_judges::main(args);
    }
    let mut stdout = std::io::stdout().lock();
    if let Some(name) = &args.name {
        stdout.write_all(library::source(name).map_err(|error| CliError::of(&error))?.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    for (name, path) in library::names() {
        match library::find(&name) {
            Ok(judge) => {
                let origin = path.map_or("built in".to_owned(), |path| path.display().to_string());
                let description = &judge.description;
                let unit = match judge.select.unit() {
                    Unit::Trace => String::new(),
                    unit => format!("judges: {unit}s · "),
                };
                writeln!(
                    stdout,
                    "{name}\n    {description}\n    {unit}verdict: {} · version {} · {origin}",
                    judge.verdict, judge.version
                )?;
            }
            Err(error) => print::message(format_args!("warning: {}", CliError::of(&error).into_line())),
        }
    }
    Ok(ExitCode::SUCCESS)
}
