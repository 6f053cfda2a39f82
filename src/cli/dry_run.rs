//! `--dry-run`: what would be asked, and what it would take.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use judge_run::run::{self, Exit};

use super::error::CliError;
use super::print::{counted, one_line, short};
use super::settings::Resolved;

pub(crate) fn main(resolved: Resolved) -> Result<ExitCode, CliError> {
    let limits: Vec<_> = resolved
        .run
        .lanes
        .iter()
        .map(|lane| (lane.endpoint.name.clone(), lane.model.clone(), lane.endpoint.limits))
        .collect();
    let verbose = resolved.verbose;
    let plan = run::dry_run(resolved.run).map_err(CliError::usage)?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "dry run: nothing is sent\n{}", counted(plan.traces, "trace"))?;
    for reject in &plan.rejects {
        writeln!(out, "  would be rejected: {}", one_line(reject))?;
    }
    for question in &plan.questions {
        writeln!(out, "\n{}  on {}", question.judge, question.source_id)?;
        writeln!(out, "  requests       {}", question.requests)?;
        if question.kept > 0 {
            writeln!(out, "  already judged {}", question.kept)?;
        }
        if let Some(reason) = &question.first_reason {
            writeln!(out, "  not askable    {}, the first because {}", question.not_askable, one_line(reason))?;
        }
        writeln!(
            out,
            "  tokens         about {} in, at most {} out",
            short(question.input_tokens),
            short(question.most_output_tokens)
        )?;
        if verbose > 0
            && let Some((system, user)) = &question.first_prompt
        {
            writeln!(out, "\n--- system\n{system}\n--- user\n{user}\n---")?;
        }
    }
    for (endpoint, model, limits) in limits {
        let uri = format!("{endpoint}:/{model}");
        let (requests, tokens) = plan
            .questions
            .iter()
            .filter(|question| question.source_id == uri)
            .fold((0, 0), |sum, q| (sum.0 + q.requests, sum.1 + q.input_tokens));
        let minutes = |n: u64, per_minute: Option<std::num::NonZeroU32>| {
            per_minute.map(|per_minute| Duration::from_secs(60 * n / u64::from(per_minute.get())))
        };
        if let Some(time) = minutes(requests, limits.rpm).max(minutes(tokens, limits.tpm)) {
            writeln!(out, "\n{uri}: at least {} s at the quota", time.as_secs())?;
        }
    }
    let selected = plan.questions.iter().any(|q| q.requests + q.kept + q.not_askable > 0);
    Ok(ExitCode::from(if selected { Exit::AllJudged } else { Exit::Usage }.code()))
}
