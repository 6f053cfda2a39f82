//! The closing summary: what came of the run, and what to do next.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::path::Path;

use judge_run::feedback::ErrorCode;
use judge_run::run::{Distribution, Exit, LaneSummary, QuestionSummary, RunReport, StopReason};

use super::error::CliError;
use super::passed_over;
use super::print::{counted, escaped, one_line, short};
use super::selection;

/// The files of the run.
pub(crate) struct Places<'a> {
    pub log: Option<&'a Path>,
    /// What was made from the log.
    pub export: Option<&'a Path>,
    pub rejects: &'a Path,
}

/// The summary as text.
pub(crate) fn text(report: &RunReport, places: &Places<'_>, made_up: bool, command: &str) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut text, report, places, made_up, command);
    escaped(&text)
}

pub(crate) fn print(text: &str) -> Result<(), CliError> {
    let mut stdout = anstream::stdout().lock();
    let printed = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    printed.map_err(|error| match CliError::from(error) {
        CliError::Other(reason) => CliError::Other(format!("cannot write to standard output: {reason}")),
        other => other,
    })
}

fn write(out: &mut String, report: &RunReport, places: &Places<'_>, made_up: bool, command: &str) -> fmt::Result {
    let summary = &report.summary;
    write!(out, "{}, {}", counted(summary.traces, "trace"), counted(summary.requests, "request"))?;
    if summary.retries > 0 {
        write!(out, " ({} of them retries)", summary.retries)?;
    }
    writeln!(out, " in {:.1} s", summary.elapsed.as_secs_f64())?;
    if !summary.read_to_end {
        writeln!(out, "the rest of the dataset was not looked at")?;
    }
    selection::write(out, summary.shard, summary.traces, &summary.left_out, &summary.absent_trace_ids)?;
    if summary.rejects > 0 {
        let rejects = places.rejects.display();
        writeln!(out, "{} rejected, see {rejects}", counted(summary.rejects, "line"))?;
    }
    if summary.duplicates > 0 {
        writeln!(out, "{} skipped: the same trace was there already", counted(summary.duplicates, "line"))?;
    }
    for question in &summary.questions {
        writeln!(out)?;
        write_question(out, question)?;
    }
    for lane in &summary.lanes {
        write_lane(out, lane)?;
    }
    if summary.unsaved > 0 {
        let unsaved = counted(summary.unsaved, "judgment");
        writeln!(out, "\n{unsaved} of those above could not be saved: the numbers count what the feedback lacks")?;
    }
    writeln!(out)?;
    match (places.export, places.log) {
        (Some(path), Some(log)) => writeln!(out, "feedback in {}, from the log {}", path.display(), log.display())?,
        (_, Some(log)) if report.exit() != Exit::Usage => writeln!(out, "feedback in {}", log.display())?,
        _ => {}
    }
    if made_up {
        writeln!(out, "the verdicts are made up: --simulate asks no model")?;
    }
    write_next(out, report, command)
}

fn write_question(out: &mut String, question: &QuestionSummary) -> fmt::Result {
    writeln!(out, "{}  on {}{}", question.judge, question.source_id, passed_over::unit(&question.passed_over))?;
    let scored = question.scored_in_all();
    write!(out, "  scored   {scored:>7}")?;
    if question.kept_scored > 0 {
        write!(out, "  ({} now, {} before)", question.scored, question.kept_scored)?;
    }
    write_distribution(out, &question.distribution)?;
    writeln!(out)?;
    writeln!(out, "  failed   {:>7}", question.failed_in_all())?;
    let mut failed: BTreeMap<&str, u64> = BTreeMap::new();
    for (code, n) in &question.failed {
        *failed.entry(code.as_str()).or_default() += n;
    }
    for (code, n) in &question.kept_failed {
        *failed.entry(code.map_or("(another tool's error)", ErrorCode::as_str)).or_default() += n;
    }
    for (code, n) in failed {
        writeln!(out, "           {n:>7}  {code}")?;
    }
    let skipped = question.kept_scored - question.reused + question.kept_failed.values().sum::<u64>();
    if skipped > 0 {
        writeln!(out, "  skipped  {skipped:>7}  already in the log")?;
    }
    if question.kept_invalid > 0 {
        let n = question.kept_invalid;
        writeln!(out, "  invalid  {n:>7}  marked so in the log; judge-run replay --include-invalid asks again")?;
    }
    if question.reused > 0 {
        writeln!(out, "  reused   {:>7}  from other logs, at no cost", question.reused)?;
    }
    if question.changed > 0 {
        writeln!(
            out,
            "  changed  {:>7}  asked again: prompt, parameters or trace are not what they were",
            question.changed
        )?;
    }
    if question.unmatched > 0 {
        let n = question.unmatched;
        writeln!(out, "  changed  {n:>7}  not asked: prompt, parameters or trace are not those that failed")?;
    }
    if question.missing > 0 {
        writeln!(
            out,
            "  missing  {:>7}  not in the log, not asked: a replay is about failures alone",
            question.missing
        )?;
    }
    passed_over::write(out, &question.passed_over)?;
    if question.unjudged() > 0 {
        writeln!(out, "  unjudged {:>7}  not come to", question.unjudged())?;
    }
    let usage = question.usage;
    if usage.input_tokens + usage.output_tokens > 0 {
        write!(out, "  tokens   {:>7} in, {} out", short(usage.input_tokens), short(usage.output_tokens))?;
        if usage.cached_tokens > 0 {
            write!(out, ", {} of the input from the provider's cache", short(usage.cached_tokens))?;
        }
        if let Some(cost) = question.cost {
            write!(out, ", cost {cost:.4}")?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// What was learnt of an endpoint, if anything was.
fn write_lane(out: &mut String, lane: &LaneSummary) -> fmt::Result {
    let limit = |limit: Option<u64>, what| limit.map(|limit| format!("{} {what}", short(limit)));
    let limits: Vec<_> =
        [limit(lane.learnt_requests, "requests"), limit(lane.learnt_tokens, "tokens")].into_iter().flatten().collect();
    if !lane.adapted.is_empty() {
        writeln!(out, "\n{} was asked with {}", lane.source_id, lane.adapted.join(", "))?;
    }
    if !limits.is_empty() {
        writeln!(out, "\n{} told its quota, and was asked by it: {}", lane.source_id, limits.join(", "))?;
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "percentages for the eye")]
fn write_distribution(out: &mut String, distribution: &Distribution) -> fmt::Result {
    match distribution {
        Distribution::Boolean { yes, no } if yes + no > 0 => {
            let share = 100.0 * *yes as f64 / (yes + no) as f64;
            write!(out, "  {share:.1}% true ({yes} true, {no} false)")
        }
        Distribution::Number { count, min, max, .. } if *count > 0 => {
            let mean = distribution.mean().unwrap_or(f64::NAN);
            write!(out, "  mean {mean:.3} (min {min}, max {max})")
        }
        Distribution::Category(labels) => {
            let total: u64 = labels.iter().map(|(_, n)| n).sum();
            let shares = labels
                .iter()
                .filter(|(_, n)| *n > 0)
                .map(|(label, n)| format!("{label} {n} ({:.1}%)", 100.0 * *n as f64 / total as f64));
            write!(out, "  {}", shares.collect::<Vec<_>>().join(", "))
        }
        _ => Ok(()),
    }
}

fn write_next(out: &mut String, report: &RunReport, command: &str) -> fmt::Result {
    let summary = &report.summary;
    let codes: BTreeMap<ErrorCode, u64> = summary
        .questions
        .iter()
        .flat_map(|question| {
            let kept = question.kept_failed.iter().filter_map(|(code, n)| Some(((*code)?, *n)));
            question.failed.iter().map(|(code, n)| (*code, *n)).chain(kept)
        })
        .fold(BTreeMap::new(), |mut codes, (code, n)| {
            *codes.entry(code).or_default() += n;
            codes
        });
    if let Some(stop) = &report.stop {
        writeln!(out, "\nstopped early: {}", one_line(&stop.to_string()))?;
        if let StopReason::Fatal { code, .. } | StopReason::NothingButFailures { code, .. } = stop {
            writeln!(out, "what to do: {}", code.traits().remedy)?;
        }
    } else if summary.selected() == 0 && summary.left_out.other_shards == 0 {
        let why = match summary.traces {
            0 => selection::why_nothing(summary.rejects, &summary.left_out),
            _ => passed_over::why_nothing(summary.questions.iter().map(|question| &question.passed_over))
                .unwrap_or_else(|| "the dataset has none of the traces that failed".to_owned()),
        };
        writeln!(out, "\nnothing was judged: {why}")?;
    }
    if report.stop.is_none() && !codes.is_empty() {
        writeln!(out, "\nwhat to do about the failures:")?;
        for (code, n) in &codes {
            let traits = code.traits();
            writeln!(out, "  {code} ({n}): {}; {}", traits.meaning, traits.remedy)?;
        }
    }
    let again = codes.iter().any(|(code, _)| code.traits().resumable);
    if again || summary.unjudged() > 0 || summary.unsaved > 0 || !summary.read_to_end {
        writeln!(out, "next: the same command asks only what is missing or failed\n  {command}")?;
    }
    Ok(())
}
