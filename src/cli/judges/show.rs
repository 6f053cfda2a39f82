//! `judge-run judges show`: a judge as a file, by its name or by what a record names as `judge_prompt`.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use judge_run::judge::{Judge, library};
use judge_run::servers::mlflow::JudgeUri;

use crate::cli::error::CliError;
use crate::cli::mlflow::args::ServerArgs;
use crate::cli::mlflow::{self, FOLDER};
use crate::cli::print;

pub(super) fn main(name: &str, server: &ServerArgs) -> Result<ExitCode, CliError> {
    let text = if JudgeUri::is_meant(name) {
        let (text, judge) = resolved(name, server)?;
        print::message(format_args!("note: judge_digest {}", judge.digest()));
        text
    } else {
        library::source(name).map_err(|error| CliError::of(&error))?
    };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// What a URI refers to: the text, and the judge.
fn resolved(name: &str, server: &ServerArgs) -> Result<(String, Judge), CliError> {
    let uri: JudgeUri = name.parse().map_err(|error| CliError::usage(format_args!("`{name}`: {error}")))?;
    let mut here = match &uri {
        JudgeUri::Prompt { name, .. } => here(name),
        JudgeUri::Scorer { .. } | JudgeUri::Alias { .. } => Vec::new(),
    };
    if let Some(place) = here.iter().position(|(_, judge)| judge.prompt_uri() == name) {
        return Ok(here.swap_remove(place));
    }
    if !mlflow::is_named(server) {
        let mut known: Vec<_> = here.iter().map(|(_, judge)| judge.prompt_uri()).collect();
        known.dedup();
        let known = if known.is_empty() { String::new() } else { format!("; here is {}", known.join(", ")) };
        return Err(CliError::usage_with_hint(
            format_args!("no judge `{uri}` here{known}"),
            "it may be on an MLflow server (`--tracking-uri URL`) or in the version control of your judges",
        ));
    }
    let imported = mlflow::imported(&uri, server, None).or_else(|error| match &uri {
        // Records of a registered scorer name its version as a prompt's.
        JudgeUri::Prompt { name, version } => {
            let scorer = JudgeUri::Scorer { name: name.clone(), version: Some(version.clone()) };
            mlflow::imported(&scorer, server, None).map_err(|_| error)
        }
        JudgeUri::Scorer { .. } | JudgeUri::Alias { .. } => Err(error),
    })?;
    let judge = Judge::compile(&imported.name, &imported.toml, name).map_err(|error| CliError::of(&error))?;
    Ok((imported.toml, judge))
}

/// The judges of this name: a file in `judges/`, or else a built-in one; and one that a run took from a server.
fn here(name: &str) -> Vec<(String, Judge)> {
    let pulled = Path::new(FOLDER).join(format!("{name}.toml")).display().to_string();
    let built_in = library::built_in(name).map(ToOwned::to_owned);
    let texts = [library::source(name).ok(), built_in, library::source(&pulled).ok()].into_iter().flatten();
    texts.filter_map(|text| Some((text.clone(), Judge::compile(name, &text, name).ok()?))).collect()
}
