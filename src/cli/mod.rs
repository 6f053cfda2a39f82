//! The command line: flags, configuration, progress and messages. The only place that knows clap or the terminal.

mod args;
mod check;
mod command_line;
mod compact;
mod config_file;
mod convert;
mod dataset_hints;
mod dry_run;
mod duration;
mod endpoint;
mod error;
mod generate;
mod judges;
mod manifest;
mod merge;
mod notices;
mod open_files;
mod passed_over;
mod paths;
mod print;
mod progress;
mod rejects;
mod replay;
mod reuse;
mod run;
mod selection;
mod settings;
mod simulate;
mod status;
mod subcommands;
mod summary;
mod target;

use std::process::ExitCode;

use args::{Cli, Command};
use error::CliError;

/// Parses the command line, runs the command, and reports what went wrong.
pub(crate) fn main() -> ExitCode {
    if let Err(error) = settings::load_env_file(std::env::args_os()) {
        return error.report();
    }
    let cli = match Cli::read() {
        Ok(cli) => cli,
        // Help and version are no errors; a closed pipe is none either.
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let result = match cli.command {
        None => run::main(cli.run),
        Some(Command::Simulate(args)) => simulate::main(args),
        Some(Command::Check(args)) => check::main(*args),
        Some(Command::Merge(args)) => merge::main(args),
        Some(Command::Compact(args)) => compact::main(&args),
        Some(Command::Convert(args)) => convert::main(args),
        Some(Command::Replay(args)) => replay::main(*args),
        Some(Command::Status(args)) => status::main(args),
        Some(Command::Judges(args)) => judges::main(&args),
        Some(Command::Completions(args)) => generate::completions(&args),
        Some(Command::Man(args)) => generate::man(&args),
    };
    result.unwrap_or_else(CliError::report)
}
