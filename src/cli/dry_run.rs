//! `--dry-run`: what would be sent, how long it would take and what it would cost.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::num::NonZeroU32;
use std::time::Duration;

use judge_run::endpoint::config::Pool;
use judge_run::endpoint::pacing::quota::Limits;
use judge_run::endpoint::prices::Prices;
use judge_run::endpoint::wire::Layout;
use judge_run::endpoint::wire::answer::Usage;
use judge_run::judge::JudgeKind;
use judge_run::run::{self, DryRun, Exit, Repeated};

use super::error::CliError;
use super::open::Opened;
use super::print::{self, counted, escaped, one_line, short, time};
use super::{notices, rejects, selection, skipped};

/// Beyond this many, rejects are only counted.
const REJECTS_SHOWN: usize = 20;

/// Shows what a run would do.
pub(crate) fn main(opened: Opened) -> Result<Exit, CliError> {
    let dry = show(opened)?;
    if dry.not_selected.other_shards == 0 {
        let why = match dry.traces {
            0 => Some(selection::why_nothing(dry.rejects.len() as u64, &dry.not_selected)),
            _ => skipped::why_nothing(
                dry.questions.iter().map(|question| (question.info.unit, &question.counts.skipped)),
            )
            .filter(|_| dry.selected() == 0),
        };
        if let Some(why) = why {
            return Err(CliError::usage(format_args!("nothing to judge: {why}")));
        }
    }
    // A run would send nothing, and record only failures.
    let all_fail = dry.selected() > 0 && dry.questions.iter().map(|q| q.not_askable).sum::<u64>() == dry.selected();
    Ok(if all_fail { Exit::Stopped } else { Exit::AllJudged })
}

/// Shows what a run would do, and gives the counts.
pub(crate) fn show(opened: Opened) -> Result<DryRun, CliError> {
    let lane =
        |lane: &run::EndpointLane| Lane { uri: lane.source_id(), limits: limits(&lane.pool), prices: lane.prices };
    let lanes: Vec<_> = opened.run.lanes.iter().filter_map(run::LaneSettings::endpoint).map(lane).collect();
    let Opened { run: settings, known, notes, quickstart: _file, quiet, verbose, .. } = opened;
    let dry = run::dry_run(settings, known).map_err(|error| CliError::of(&error))?;
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
    Ok(dry)
}

/// What shares a quota and prices.
struct Lane {
    uri: String,
    limits: Limits,
    prices: Option<Prices>,
}

fn write(out: &mut String, dry: &DryRun, lanes: &[Lane], prompts: bool) -> fmt::Result {
    writeln!(out, "dry run: nothing will be sent\n\n{}", counted(dry.traces, "trace"))?;
    selection::write(out, dry.shard, dry.traces, &dry.not_selected, &dry.absent_trace_ids)?;
    if dry.duplicates > 0 {
        writeln!(out, "{} would be skipped: repeats of a trace", counted(dry.duplicates, "line"))?;
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
        let (info, counts) = (&question.info, &question.counts);
        writeln!(out, "\n{}{}", escaped(&info.key().to_string()), skipped::unit(info.unit))?;
        match question.info.kind {
            JudgeKind::Llm => writeln!(out, "  requests {:>7}", question.requests())?,
            JudgeKind::Code => writeln!(out, "  computed {:>7}", question.requests())?,
            JudgeKind::Command => writeln!(out, "  asked    {:>7}  of a program", question.requests())?,
        }
        let kept = counts.already_in_log() - counts.unmatched.min(counts.already_in_log());
        if kept > 0 {
            writeln!(out, "  skipped  {kept:>7}  already in the log")?;
        }
        if counts.kept_invalid > 0 {
            let n = counts.kept_invalid;
            writeln!(
                out,
                "  rejected {n:>7}  marked invalid in the log; judge-run replay --include-invalid asks again"
            )?;
        }
        if counts.reused > 0 {
            writeln!(out, "  reused   {:>7}  from other logs, at no cost", counts.reused)?;
        }
        if counts.unmatched > 0 {
            let n = counts.unmatched;
            writeln!(out, "  changed  {n:>7}  not asked: the prompt, parameters or trace changed since they failed")?;
        }
        if counts.missing > 0 {
            writeln!(out, "  missing  {:>7}  not in the log, not asked", counts.missing)?;
        }
        skipped::write(out, info.unit, &counts.skipped)?;
        if let Some(reason) = &question.first_reason {
            writeln!(out, "  failing  {:>7}  cannot be asked; the first: {}", question.not_askable, one_line(reason))?;
        }
        if question.requests() > 0 && question.info.kind == JudgeKind::Llm {
            let (input, output) = (short(question.input_tokens), short(question.max_output_tokens));
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

/// The limits of all members of a pool together; none if one of them has none.
pub(crate) fn limits(pool: &Pool) -> Limits {
    let sum = |of: fn(&Limits) -> Option<NonZeroU32>| {
        let sum: Option<u32> = pool.iter().map(|member| of(&member.limits).map(NonZeroU32::get)).sum();
        sum.and_then(NonZeroU32::new)
    };
    Limits { rpm: sum(|limits| limits.rpm), tpm: sum(|limits| limits.tpm), ..pool.first().limits }
}

/// Time and money, as far as limits and prices are known.
fn write_lane(out: &mut String, dry: &DryRun, lane: &Lane) -> fmt::Result {
    let asked = dry.questions.iter().filter(|question| question.info.source_id == lane.uri);
    let (requests, input, output) =
        asked.fold((0, 0, 0), |(r, i, o), q| (r + q.requests(), i + q.input_tokens, o + q.max_output_tokens));
    let Limits { rpm, tpm, .. } = lane.limits;
    let repeated = dry.repeated.get(&lane.uri).copied().unwrap_or_default();
    let is_cached = Layout::ALL.iter().any(|layout| repeated.with(*layout) > 0);
    if requests == 0 || (rpm.is_none() && tpm.is_none() && lane.prices.is_none() && !is_cached) {
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
            write!(out, ", at most {} if every answer has the maximum length;", time(most))?;
        }
        writeln!(out, " with a quota of {} per minute", quota.join(" and "))?;
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
    if is_cached {
        write_repeated(out, input, repeated, lane.prices)?;
    }
    Ok(())
}

/// What the endpoint's cache can save, by what prompts begin with.
fn write_repeated(out: &mut String, input: u64, repeated: Repeated, prices: Option<Prices>) -> fmt::Result {
    let [instructions, trace] = Layout::ALL.map(|layout| repeated.with(layout));
    write!(
        out,
        "  caches   can save {} of the {} prompt tokens; {} with --layout trace-first",
        short(instructions),
        short(input),
        short(trace)
    )?;
    let costs = |cached_tokens| {
        let usage = Usage { input_tokens: input, cached_tokens, ..Usage::default() };
        prices.map(|prices| prices.cost(&usage))
    };
    match costs(instructions).zip(costs(trace)).map(|(instructions, trace)| instructions - trace) {
        Some(less) if less >= 0.000_05 => writeln!(out, ", which costs about {less:.4} less"),
        Some(less) if less <= -0.000_05 => writeln!(out, ", which costs about {:.4} more", -less),
        _ => writeln!(out),
    }
}

/// How long `n` take at this rate.
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
        (question.info.judge, question.info.source_id) = ("safety".to_owned(), "openai:/m".to_owned());
        (question.counts.planned, question.input_tokens, question.max_output_tokens) = (1000, 100_000, 50_000);
        question.first_prompt = Some(("be strict".to_owned(), "clear \u{1b}[2J\n\tand \u{202e}turn\n".to_owned()));
        dry.questions.push(question);
        dry
    }

    #[test]
    fn time_and_cost_follow_from_limits_and_prices() {
        let limits = Limits { rpm: NonZeroU32::new(500), tpm: NonZeroU32::new(60_000), burst: None };
        let prices = Prices::new(0.4, 1.6);
        let shown = text(&dry(), limits, Some(prices));
        let end = "openai:/m\n  time     at least 2 min 0 s, at most 2 min 30 s if every answer has the maximum length; \
                   with a quota of 500 requests and 60.0k tokens per minute\n  \
                   cost     about 0.0400 for the prompts, and at most 0.0800 for the answers\n";
        assert!(shown.ends_with(end), "{shown}");
        let requests_alone = Limits { tpm: None, ..limits };
        let shown = text(&dry(), requests_alone, None);
        assert!(shown.ends_with("  time     at least 2 min 0 s with a quota of 500 requests per minute\n"), "{shown}");
        assert!(!text(&dry(), Limits::default(), None).contains("time"));
    }

    #[test]
    fn what_caches_save_depends_on_what_prompts_begin_with() {
        let mut dry = dry();
        let repeated = Repeated { instructions_first: 20_000, trace_first: 80_000 };
        dry.repeated.insert("openai:/m".to_owned(), repeated);
        let mut prices = Prices::new(0.4, 1.6);
        let end = |prices| text(&dry, Limits::default(), prices).lines().last().unwrap().to_owned();
        let saved = "  caches   can save 20.0k of the 100.0k prompt tokens; 80.0k with --layout trace-first";
        assert_eq!(end(None), saved);
        assert_eq!(end(Some(prices)), saved, "cached tokens cost as much as others, for all that is known");
        prices.cached_input = Some(0.1);
        assert_eq!(end(Some(prices)), format!("{saved}, which costs about 0.0180 less"));
    }

    #[test]
    fn control_characters_of_the_dataset_are_shown_harmlessly() {
        let shown = text(&dry(), Limits::default(), None);
        assert!(!shown.contains(['\u{1b}', '\u{202e}']), "{shown}");
        assert!(shown.contains("--- user\nclear \\u{1b}[2J\n\tand \\u{202e}turn\n---\n"), "{shown}");
        assert!(shown.contains("1 line would be rejected:\n  t.jsonl:3: found"), "{shown}");
    }
}
