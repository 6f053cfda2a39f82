//! `judge-run judges check`: one line per finding.

use std::io::Write;
use std::process::ExitCode;

use judge_run::judge::lint::{self, Finding, Severity};
use judge_run::judge::{JudgeError, library};
use judge_run::run::Exit;

use super::args::CheckArgs;
use crate::cli::error::CliError;
use crate::cli::print::{self, counted};
use crate::cli::suggest;

pub(super) fn main(args: &CheckArgs) -> Result<ExitCode, CliError> {
    let CheckArgs { files, strict, max_tokens } = args;
    let (mut errors, mut warnings) = (0_u64, 0_u64);
    let mut stdout = std::io::stdout().lock();
    for file in files {
        let path = print::one_line(file);
        let found = match library::look_for(file) {
            Ok(found) => found,
            Err(error) => {
                errors += 1;
                let reason = match &error {
                    JudgeError::Read { source, .. } => format!("cannot be read: {source}"),
                    _ => CliError::of(&error).into_line(),
                };
                writeln!(stdout, "{path}:1:1: error: {}", print::one_line(&reason))?;
                continue;
            }
        };
        for finding in lint::check(&found.name, &found.text, *max_tokens) {
            let Finding { severity, line, column, mut message, place, misspelt } = finding;
            let near =
                misspelt.as_ref().and_then(|(name, known)| suggest::nearest(name, known.iter().map(String::as_str)));
            if let Some(near) = near {
                message.push_str(&format!("; did you mean `{near}`?"));
            }
            let word = match severity {
                Severity::Error => {
                    errors += 1;
                    "error"
                }
                Severity::Warning => {
                    warnings += 1;
                    "warning"
                }
            };
            writeln!(stdout, "{path}:{line}:{column}: {word}: {}", print::one_line(&message))?;
            if let Some(place) = place {
                for line in place.to_string().lines() {
                    writeln!(stdout, "  {}", print::one_line(line))?;
                }
            }
        }
    }
    print::message(format_args!(
        "{} checked: {}, {}",
        counted(files.len() as u64, "file"),
        counted(errors, "error"),
        counted(warnings, "warning")
    ));
    let fails = errors > 0 || *strict && warnings > 0;
    Ok(ExitCode::from(if fails { Exit::Usage } else { Exit::AllJudged }.code()))
}
