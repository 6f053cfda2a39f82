//! Completions and the manual page, from clap's model of the command line.

use std::io::Write;
use std::process::ExitCode;
use std::sync::LazyLock;

use clap::builder::PossibleValuesParser;
use clap::{Arg, Command, ValueHint};
use clap_complete::Shell;
use judge_run::dataset::Format;
use judge_run::endpoint::provider::PRESETS;
use judge_run::judge::library;

use super::args::command;
use super::error::CliError;
use super::subcommands::{CompletionsArgs, ManArgs};
use super::suggest;

pub(crate) fn completions(args: &CompletionsArgs) -> Result<ExitCode, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut with_values(command(), args.shell), "judge-run", &mut script);
    let script = completed(args.shell, &String::from_utf8_lossy(&script));
    std::io::stdout().lock().write_all(script.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn judges() -> Vec<&'static str> {
    library::BUILT_IN.iter().map(|(name, _)| *name).collect()
}

/// What model URIs begin with.
fn endpoints() -> Vec<&'static str> {
    static ENDPOINTS: LazyLock<Vec<String>> =
        LazyLock::new(|| PRESETS.iter().map(|preset| format!("{}:/", preset.name)).collect());
    ENDPOINTS.iter().map(String::as_str).collect()
}

fn commands() -> Vec<&'static str> {
    static COMMANDS: LazyLock<Vec<String>> =
        LazyLock::new(|| command().get_subcommands().map(|command| command.get_name().to_owned()).collect());
    COMMANDS.iter().map(String::as_str).collect()
}

/// Some values that the parsers accept, for the scripts to offer.
fn with_values(command: Command, shell: Shell) -> Command {
    // In zsh, functions say more than a list.
    let has_functions = shell == Shell::Zsh;
    let of_arg = move |arg: Arg| match arg.get_id().as_str() {
        "judge" if !has_functions => arg.value_parser(PossibleValuesParser::new(judges())),
        // Nothing is appended: the model's name follows.
        "model" if !has_functions => {
            arg.value_parser(PossibleValuesParser::new(endpoints())).value_hint(ValueHint::Other)
        }
        "dataset_format" => arg.value_parser(PossibleValuesParser::new(Format::names())),
        _ => arg,
    };
    let command = command.mut_args(of_arg).mut_subcommands(move |command| command.mut_args(of_arg));
    let command = command.mut_subcommand("judges", |command| {
        let of_judges = |arg: Arg| arg.value_parser(PossibleValuesParser::new(judges()));
        let command = command.mut_arg("name", of_judges);
        command.mut_subcommand("show", |command| command.mut_arg("name", of_judges))
    });
    command.mut_subcommand("man", |command| {
        command.mut_arg("command", |arg| arg.value_parser(PossibleValuesParser::new(commands())))
    })
}

/// The script, with additions to what its generator writes.
fn completed(shell: Shell, script: &str) -> String {
    let names = judges().join(" ");
    match shell {
        Shell::Bash => {
            // The generator replaces the hyphen differently where it sets the name of a subcommand and where it looks for it.
            let script = script.replace("judge__subcmd__run__subcmd__", "judge__run__subcmd__");
            // A judge may be a file.
            let of_judges = format!("COMPREPLY=($(compgen -W \"{names}\" -- \"${{cur}}\"))");
            let or_files =
                format!("COMPREPLY=($(compgen -W \"{names}\" -- \"${{cur}}\") $(compgen -f -- \"${{cur}}\"))");
            script.replace(&of_judges, &or_files)
        }
        Shell::Zsh => {
            let models = endpoints().join(" ");
            let functions = format!(
                "_judge_run_judges() {{\n    _alternative 'judges:judge:({names})' 'files:file:_files'\n}}\n\n\
                 _judge_run_models() {{\n    compadd -S '' -- {models}\n}}\n\n"
            );
            let script = script.replace(":NAME|FILE:_default'", ":NAME|FILE:_judge_run_judges'");
            let script = script.replace(":ENDPOINT\\:/MODEL:_default'", ":ENDPOINT\\:/MODEL:_judge_run_models'");
            script.replacen("if [ \"$funcstack[1]\"", &format!("{functions}if [ \"$funcstack[1]\""), 1)
        }
        Shell::Fish => {
            // Without -f, files are offered too.
            let first = judges().first().copied().unwrap_or_default();
            let (of_judges, or_files) = (format!("-r -f -a \"{first}\\t"), format!("-r -a \"{first}\\t"));
            script.replace(&of_judges, &or_files)
        }
        _ => script.to_owned(),
    }
}

pub(crate) fn man(args: &ManArgs) -> Result<ExitCode, CliError> {
    let mut command = command();
    // Names the commands in full, as in `judge-run-simulate`.
    command.build();
    if let Some(name) = &args.command {
        let found = command.find_subcommand(name).cloned();
        command = found.ok_or_else(|| {
            CliError::usage_with_hint(format_args!("unknown command `{name}`"), suggest::or_all(name, &commands()))
        })?;
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
