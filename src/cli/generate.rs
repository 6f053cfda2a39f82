//! Completions and the manual page, from the clap tree.

use std::io::Write;
use std::process::ExitCode;

use super::args::command;
use super::error::CliError;
use super::subcommands::{CompletionsArgs, ManArgs};

pub(crate) fn completions(args: &CompletionsArgs) -> Result<ExitCode, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command(), "judge-run", &mut script);
    std::io::stdout().lock().write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn man(args: &ManArgs) -> Result<ExitCode, CliError> {
    let mut command = command();
    // Names the commands in full, as in `judge-run-simulate`.
    command.build();
    if let Some(name) = &args.command {
        let found = command.find_subcommand(name).cloned();
        command = found.ok_or_else(|| CliError::usage(format_args!("there is no command `{name}`")))?;
        let full_name = format!("judge-run-{name}");
        command = command.display_name(full_name).version(env!("CARGO_PKG_VERSION"));
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    // Examples keep their lines.
    let page = String::from_utf8_lossy(&page).replace("\n.SH EXTRA\n", "\n.SH NOTES\n.nf\n");
    let page = page.replace("\n.SH VERSION\n", "\n.fi\n.SH VERSION\n");
    std::io::stdout().lock().write_all(page.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
