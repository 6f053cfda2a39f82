//! The list of judges.

use std::io::Write;
use std::process::ExitCode;

use judge_run::judge::{Unit, library};

use crate::cli::error::CliError;
use crate::cli::print;

pub(super) fn main(format: &str) -> Result<ExitCode, CliError> {
    let mut stdout = std::io::stdout().lock();
    let mut described = Vec::new();
    for (name, path) in library::names() {
        let judge = match library::find(&name) {
            Ok(judge) => judge,
            Err(error) => {
                print::message(format_args!("warning: {}", CliError::of(&error).into_line()));
                continue;
            }
        };
        if format == "json" {
            described.push(judge.described());
            continue;
        }
        let origin = path.map_or("built in".to_owned(), |path| path.display().to_string());
        let description = &judge.description;
        let unit = match judge.select.unit() {
            Unit::Trace => String::new(),
            unit => format!("judges: {unit}s · "),
        };
        let or_unknown = if judge.can_abstain { ", or unknown" } else { "" };
        let verdict = format!("verdict: {}{or_unknown}", judge.verdict);
        writeln!(stdout, "{name}\n    {description}\n    {unit}{verdict} · version {} · {origin}", judge.version)?;
        let requires: Vec<_> = judge.select.requires().collect();
        if !requires.is_empty() {
            writeln!(stdout, "    needs: {}", requires.join(", "))?;
        }
        let aliases = library::aliases_of(&name);
        if !aliases.is_empty() {
            writeln!(stdout, "    also named: {}", aliases.join(", "))?;
        }
    }
    if format == "json" {
        writeln!(stdout, "{:#}", serde_json::Value::from(described))?;
    }
    Ok(ExitCode::SUCCESS)
}
