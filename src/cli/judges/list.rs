//! The list of judges.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use judge_run::judge::{Judge, Unit, described, library};

use crate::cli::error::CliError;
use crate::cli::print;

pub(super) fn main(format: &str) -> Result<ExitCode, CliError> {
    let mut stdout = std::io::stdout().lock();
    let mut all = Vec::new();
    for (name, path) in library::names() {
        match library::find_all(&name) {
            Ok(judges) if format == "json" => all.push(described::described(&judges)),
            Ok(judges) => list(&judges, path.as_deref(), &mut stdout)?,
            Err(error) => print::message(format_args!("warning: {}", CliError::of(&error).into_line())),
        }
    }
    if format == "json" {
        writeln!(stdout, "{:#}", serde_json::Value::from(all))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A judge, or all criteria of a rubric.
fn list(judges: &[Judge], path: Option<&Path>, out: &mut impl Write) -> Result<(), CliError> {
    let Some(judge) = judges.first() else { return Ok(()) };
    let (name, description) = (judge.file_name(), judge.file_description());
    let origin = path.map_or("built in".to_owned(), |path| path.display().to_string());
    let unit = match judge.select.unit() {
        Unit::Trace => String::new(),
        unit => format!("judges: {unit}s · "),
    };
    let verdict = described::verdict_in_words(judges);
    writeln!(out, "{name}\n    {description}\n    {unit}verdict: {verdict} · version {} · {origin}", judge.version)?;
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
