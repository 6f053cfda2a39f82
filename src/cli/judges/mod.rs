//! `judge-run judges`: commands about judges.

pub(crate) mod args;
mod asked;
mod attack;
mod check;
mod import;
mod labels;
mod list;
mod new;
mod preview;
mod show;
mod subject;
mod test;

use std::io::Write;
use std::process::ExitCode;

use judge_run::judge::schema;

use super::error::CliError;
use super::mlflow::args::ServerArgs;

use args::{JudgesArgs, JudgesCommand};

pub(crate) fn main(args: JudgesArgs) -> Result<ExitCode, CliError> {
    let JudgesArgs { command, name, format } = args;
    match command {
        None => match name {
            Some(name) => show::main(&name, &ServerArgs::default()),
            None => list::main(&format),
        },
        Some(JudgesCommand::Show(args)) => show::main(&args.name, &args.server),
        Some(JudgesCommand::New(args)) => new::main(&args),
        Some(JudgesCommand::Check(args)) => check::main(&args),
        Some(JudgesCommand::Preview(args)) => preview::main(*args),
        Some(JudgesCommand::Test(args)) => test::main(*args),
        Some(JudgesCommand::Attack(args)) => attack::main(*args),
        Some(JudgesCommand::Import(args)) => import::main(&args),
        Some(JudgesCommand::Schema) => {
            writeln!(std::io::stdout().lock(), "{:#}", schema::of_judge_files())?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
