//! `--dry-run`: what would be asked, and what it would take.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::num::NonZeroU32;
use std::process::ExitCode;
use std::time::Duration;

use judge_run::endpoint::pacing::quota::Limits;
use judge_run::endpoint::prices::Prices;
use judge_run::endpoint::wire::answer::Usage;
use judge_run::run::{self, DryRun, Exit};

use super::error::CliError;
use super::print::{self, counted, escaped, one_line, short, time};
use super::settings::Resolved;
use super::{notices, passed_over, rejects, selection};

/// A dataset full of rejects should not fill a screen.
const REJECTS_SHOWN: usize = 20;

pub(crate) fn main(resolved: Resolved) -> Result<ExitCode, CliError> {
    let lane = |lane: &run::LaneSettings| Lane {
        uri: format!("{}:/{}", lane.endpoint.name, lane.model),
        limits: lane.endpoint.limits,
        prices: lane.prices,
    };
    let lanes: Vec<_> = resolved.run.lanes.iter().map(lane).collect();
    let Resolved { run: settings, known, notes, quiet, verbose, .. } = resolved;
    let dry = run::dry_run(settings, known).map_err(CliError::usage)?;
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut text, &dry, &lanes, verbose > 0);
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()?;
    drop(stdout);
    if !quiet {
        for note in notes.into_iter().chain(notices::notes(&dry.notices)) {
            print::message(format_args!("note: {}", one_line(&note)));
        }
        for hint in rejects::hints(&dry.hints) {
            print::message(format_args!("hint: {hint}"));
        }
    }
    if dry.traces == 0 && dry.left_out.other_shards == 0 {
        let why = selection::why_nothing(dry.rejects.len() as u64, &dry.left_out);
        return Err(CliError::usage(format_args!("there is nothing to judge: {why}")));
    }
    if let Some(why) = passed_over::why_nothing(dry.questions.iter().map(|question| &question.passed_over))
        && dry.selected() == 0
        && dry.left_out.other_shards == 0
    {
        return Err(CliError::usage(format_args!("there is nothing to judge: {why}")));
    }
    Ok(ExitCode::from(Exit::AllJudged.code()))
}

/// What shares a quota and prices.
struct Lane {
    uri: String,
    limits: Limits,
    prices: Option<Prices>,
}

fn write(out: &mut String, dry: &DryRun, lanes: &[Lane], prompts: bool) -> fmt::Result {
    writeln!(out, "dry run: nothing is sent\n\n{}", counted(dry.traces, "trace"))?;
    selection::write(out, dry.shard, dry.traces, &dry.left_out, &dry.absent_trace_ids)?;
    if dry.duplicates > 0 {
        writeln!(out, "{} would be skipped: the same trace is there already", counted(dry.duplicates, "line"))?;
    }
    if !dry.rejects.is_empty() {
        writeln!(out, "{} would be rejected:", counted(dry.rejects.len() as u64, "line"))?;
        for reject in dry.rejects.iter().take(REJECTS_SHOWN) {
            writeln!(out, "  {}", one_line(reject))?;
        }
        if dry.rejects.len() > REJECTS_SHOWN {
            writeln!(out, "  and {} more", dry.rejects.len() - REJECTS_SHOWN)?;
        }
    }
    if dry.traces == 0 {
        return Ok(());
    }
    for question in &dry.questions {
        let unit = passed_over::unit(&question.passed_over);
        writeln!(out, "\n{}  on {}{unit}", one_line(&question.judge), question.source_id)?;
        writeln!(out, "  requests {:>7}", question.requests)?;
        if question.kept > 0 {
            writeln!(out, "  skipped  {:>7}  already in the log", question.kept)?;
        }
        if question.invalid > 0 {
            let n = question.invalid;
            writeln!(out, "  invalid  {n:>7}  marked so in the log; judge-run replay --include-invalid asks again")?;
        }
        if question.reused > 0 {
            writeln!(out, "  reused   {:>7}  from other logs, at no cost", question.reused)?;
        }
        if question.unmatched > 0 {
            let n = question.unmatched;
            writeln!(out, "  changed  {n:>7}  not asked: prompt, parameters or trace are not those that failed")?;
        }
        if question.missing > 0 {
            writeln!(out, "  missing  {:>7}  not in the log, not asked", question.missing)?;
        }
        passed_over::write(out, &question.passed_over)?;
        if let Some(reason) = &question.first_reason {
            writeln!(out, "  failing  {:>7}  cannot be asked; the first: {}", question.not_askable, one_line(reason))?;
        }
        if question.requests > 0 {
            let (input, output) = (short(question.input_tokens), short(question.most_output_tokens));
            writeln!(out, "  tokens   {input:>7} in (estimated), at most {output} out")?;
        }
        if prompts && let Some((system, user)) = &question.first_prompt {
            writeln!(out, "\n  the first prompt:")?;
            for (role, text) in [("system", system), ("user", user)] {
                writeln!(out, "--- {role}\n{}", escaped(text.trim_end()))?;
            }
            writeln!(out, "---")?;
        }
    }
    lanes.iter().try_for_each(|lane| write_lane(out, dry, lane))
}

/// Time and money, as far as quota and prices are known.
fn write_lane(out: &mut String, dry: &DryRun, lane: &Lane) -> fmt::Result {
    let asked = dry.questions.iter().filter(|question| question.source_id == lane.uri);
    let (requests, input, output) =
        asked.fold((0, 0, 0), |(r, i, o), q| (r + q.requests, i + q.input_tokens, o + q.most_output_tokens));
    let Limits { rpm, tpm, .. } = lane.limits;
    if requests == 0 || (rpm.is_none() && tpm.is_none() && lane.prices.is_none()) {
        return Ok(());
    }
    writeln!(out, "\n{}", lane.uri)?;
    let quota: Vec<_> = [(rpm, "requests"), (tpm, "tokens")]
        .into_iter()
        .filter_map(|(limit, what)| limit.map(|limit| format!("{} {what}", short(limit.get().into()))))
        .collect();
    let least = flow(requests, rpm).max(flow(input, tpm));
    let most = flow(requests, rpm).max(flow(input + output, tpm));
    if let (Some(least), Some(most)) = (least, most) {
        write!(out, "  time     at least {}", time(least))?;
        if most > least {
            write!(out, ", at most {} if every answer is as long as it may be;", time(most))?;
        }
        writeln!(out, " with a quota of {} a minute", quota.join(" and "))?;
    }
    if let Some(prices) = lane.prices {
        let cost =
            |input_tokens, output_tokens| prices.cost(&Usage { input_tokens, output_tokens, ..Usage::default() });
        writeln!(
            out,
            "  cost     about {:.4} for the prompts, and at most {:.4} for the answers",
            cost(input, 0),
            cost(0, output)
        )?;
    }
    Ok(())
}

/// How long `n` take at so many a minute.
fn flow(n: u64, per_minute: Option<NonZeroU32>) -> Option<Duration> {
    per_minute.map(|per_minute| Duration::from_millis(n.saturating_mul(60_000) / u64::from(per_minute.get())))
}

#[cfg(test)]
mod tests {
    use judge_run::run::DryRunQuestion;

    use super::*;

    fn text(dry: &DryRun, limits: Limits, prices: Option<Prices>) -> String {
        let mut text = String::new();
        write(&mut text, dry, &[Lane { uri: "openai:/m".into(), limits, prices }], true).unwrap();
        text
    }

    fn dry() -> DryRun {
        let mut dry = DryRun { traces: 3, ..DryRun::default() };
        dry.rejects.push("t.jsonl:3: found the keys `\u{1b}[2J`".to_owned());
        let mut question = DryRunQuestion::default();
        (question.judge, question.source_id) = ("safety".to_owned(), "openai:/m".to_owned());
        (question.requests, question.input_tokens, question.most_output_tokens) = (1000, 100_000, 50_000);
        question.first_prompt = Some(("be strict".to_owned(), "clear \u{1b}[2J\n\tand \u{202e}turn\n".to_owned()));
        dry.questions.push(question);
        dry
    }

    #[test]
    fn time_and_cost_follow_from_quota_and_prices() {
        let limits = Limits { rpm: NonZeroU32::new(500), tpm: NonZeroU32::new(60_000), burst: None };
        let prices = Prices { input: 0.4, cached_input: None, output: 1.6 };
        let shown = text(&dry(), limits, Some(prices));
        let end = "openai:/m\n  time     at least 2 min 0 s, at most 2 min 30 s if every answer is as long as it may be; \
                   with a quota of 500 requests and 60.0k tokens a minute\n  \
                   cost     about 0.0400 for the prompts, and at most 0.0800 for the answers\n";
        assert!(shown.ends_with(end), "{shown}");
        let requests_alone = Limits { tpm: None, ..limits };
        let shown = text(&dry(), requests_alone, None);
        assert!(shown.ends_with("  time     at least 2 min 0 s with a quota of 500 requests a minute\n"), "{shown}");
        assert!(!text(&dry(), Limits::default(), None).contains("time"));
    }

    #[test]
    fn nothing_from_the_dataset_reaches_the_terminal_as_a_command() {
        let shown = text(&dry(), Limits::default(), None);
        assert!(!shown.contains(['\u{1b}', '\u{202e}']), "{shown}");
        assert!(shown.contains("--- user\nclear \\u{1b}[2J\n\tand \\u{202e}turn\n---\n"), "{shown}");
        assert!(shown.contains("1 line would be rejected:\n  t.jsonl:3: found"), "{shown}");
    }
}
