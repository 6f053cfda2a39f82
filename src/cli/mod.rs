//! The command line: flags, configuration, progress and messages. The only place that knows clap or the terminal.

mod aggregate;
mod agreement;
mod anchor_run;
mod anchors;
mod args;
mod batch;
mod batch_args;
mod calibrate;
mod check;
mod collect;
mod command_line;
mod compact;
mod companions;
mod compare;
mod conduct;
mod config_file;
mod confirmation;
mod convert;
mod dataset_hints;
mod distribution;
mod doctor;
mod dry_run;
mod duration;
mod endpoint;
mod environment;
mod error;
mod escalate;
mod exchange_args;
mod failures;
mod feedback;
mod feedback_import;
mod first_screen;
mod flags;
mod forms;
mod gates;
mod generate;
mod history;
mod init;
mod judges;
mod label_plan;
mod log_hints;
mod manifest;
mod merge;
mod mlflow;
mod named_logs;
mod neighbours;
mod not_retried;
mod notices;
mod open;
mod open_files;
mod override_args;
mod overrides;
mod page;
mod panel;
mod paths;
mod pending;
mod people_args;
mod plan;
mod plan_command;
mod print;
mod programs;
mod progress;
mod progress_json;
mod quickstart;
mod raters;
mod recorded;
mod rejects;
mod remedy;
mod replay;
mod report;
mod rerun;
mod results;
mod reuse;
mod review;
mod run;
mod run_args;
mod running;
mod selection;
mod serve_feedback;
mod servers;
mod setting;
mod shard;
mod show;
mod sides;
mod signals;
mod simulate;
mod skipped;
mod status;
mod subcommands;
mod suggest;
mod summary;
mod table;
mod target;
mod until;
mod variables;
mod waiting;

use std::process::ExitCode;

use args::{Cli, Command};
use error::CliError;
use judge_run::run::Exit;

/// Parses the command line, runs the command, and reports what went wrong.
pub(crate) fn main() -> ExitCode {
    if let Err(error) = environment::load_env_file(std::env::args_os()) {
        return error.report();
    }
    let cli = match Cli::read() {
        Ok(cli) => cli,
        // Help and version end here too; so does a closed pipe.
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    // Nothing was requested. In a script that is a mistake, so it is not a success.
    let says_nothing = std::env::args_os().len() <= 1 && cli.run.dataset.is_empty() && cli.run.judge.is_empty();
    if says_nothing && !config_file::is_there() {
        first_screen::show();
        return ExitCode::from(Exit::Usage.code());
    }
    if matches!(cli.command, None | Some(Command::Replay(_) | Command::Check(_))) && !cli.run.conduct.quiet {
        variables::warnings().iter().for_each(|warning| print::message(format_args!("warning: {warning}")));
    }
    let result = match cli.command {
        None => run::main(cli.run),
        Some(Command::Collect(args)) => collect::main(*args),
        Some(Command::Batch(args)) => collect::exchange(args),
        Some(Command::Simulate(args)) => simulate::main(args),
        Some(Command::Check(args)) => check::main(*args),
        Some(Command::Doctor(args)) => doctor::main(*args),
        Some(Command::Merge(args)) => merge::main(args),
        Some(Command::Compact(args)) => compact::main(&args),
        Some(Command::Convert(args)) => convert::main(args),
        Some(Command::Replay(args)) => replay::main(*args),
        Some(Command::Mlflow(args)) => mlflow::main(args),
        Some(Command::Phoenix(args)) => neighbours::phoenix(args),
        Some(Command::Langfuse(args)) => neighbours::langfuse(args),
        Some(Command::Show(args)) => show::main(args),
        Some(Command::Status(args)) => status::main(args),
        Some(Command::Report(args)) => report::main(*args),
        Some(Command::Compare(args)) => compare::main(args),
        Some(Command::Anchors(args)) => anchors::main(args),
        Some(Command::Plan(args)) => plan_command::main(args),
        Some(Command::Review(args)) => review::main(*args),
        Some(Command::ServeFeedback(args)) => serve_feedback::main(args),
        Some(Command::Feedback(args)) => feedback::main(*args),
        Some(Command::History(args)) => history::main(args),
        Some(Command::Aggregate(args)) => aggregate::main(args),
        Some(Command::Agreement(args)) => agreement::main(args),
        Some(Command::LabelPlan(args)) => label_plan::main(args),
        Some(Command::Calibrate(args)) => calibrate::main(args),
        Some(Command::Init(args)) => init::main(args),
        Some(Command::Judges(args)) => judges::main(*args),
        Some(Command::Completions(args)) => generate::completions(&args),
        Some(Command::Man(args)) => generate::man(&args),
    };
    result.unwrap_or_else(CliError::report)
}
