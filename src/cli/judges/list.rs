//! The list of judges.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use judge_run::judge::{Judge, Unit, library};

use crate::cli::error::CliError;
use crate::cli::print;

pub(super) fn main(format: &str) -> Result<ExitCode, CliError> {
    let mut stdout = std::io::stdout().lock();
    let mut described = Vec::new();
    for (name, path) in library::names() {
        let judges = match library::find_all(&name) {
            Ok(judges) => judges,
            Err(error) => {
                print::message(format_args!("warning: {}", CliError::of(&error).into_line()));
                continue;
            }
        };
        for judge in judges {
            list(&judge, path.as_deref(), format, &mut stdout, &mut described)?;
        }
    }
    if format == "json" {
        writeln!(stdout, "{:#}", serde_json::Value::from(described))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// One judge; of a rubric, one criterion.
fn list(
    judge: &Judge,
    path: Option<&Path>,
    format: &str,
    out: &mut impl Write,
    described: &mut Vec<serde_json::Value>,
) -> Result<(), CliError> {
    if format == "json" {
        described.push(judge.described());
        return Ok(());
    }
    let name = &judge.name;
    let origin = path.map_or("built in".to_owned(), |path| path.display().to_string());
    let description = &judge.description;
    let unit = match judge.select.unit() {
        Unit::Trace => String::new(),
        unit => format!("judges: {unit}s · "),
    };
    let or_unknown = if judge.can_abstain { ", or unknown" } else { "" };
    let verdict = format!("verdict: {}{or_unknown}", judge.verdict);
    writeln!(out, "{name}\n    {description}\n    {unit}{verdict} · version {} · {origin}", judge.version)?;
    let requires: Vec<_> = judge.select.requires().collect();
    if !requires.is_empty() {
        writeln!(out, "    needs: {}", requires.join(", "))?;
    }
    let aliases = library::aliases_of(name);
    if !aliases.is_empty() {
        writeln!(out, "    also named: {}", aliases.join(", "))?;
    }
    Ok(())
}
