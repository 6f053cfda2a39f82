//! The closing summary: the outcome of the run, and what to do next.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::path::Path;

use judge_run::feedback::ALL_CRITERIA;
use judge_run::feedback::log::Restored;
use judge_run::run::{
    Exhausted, Exit, GivenUp, LaneSummary, PromptLimit, QuestionSummary, RankingSummary, RubricSummary, RunReport,
    StopReason, Summary,
};

use super::distribution::write_distribution;
use super::error::CliError;
use super::print::{counted, escaped, one_line, short};
use super::{failures, panel, selection, skipped, until};

/// The files of the run.
pub(crate) struct Places<'a> {
    pub log: Option<&'a Path>,
    /// What was made from the log.
    pub export: Option<&'a Path>,
    pub rejects: &'a Path,
}

/// The summary as text. `command` continues the run; without one, it only collected results.
pub(crate) fn text(report: &RunReport, places: &Places<'_>, made_up: bool, command: Option<&str>) -> String {
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

fn write(
    out: &mut String,
    report: &RunReport,
    places: &Places<'_>,
    made_up: bool,
    command: Option<&str>,
) -> fmt::Result {
    let summary = &report.summary;
    write_dataset(out, summary, places)?;
    for question in &summary.questions {
        writeln!(out)?;
        write_question(out, question)?;
    }
    summary.panels.iter().try_for_each(|panel| panel::write(out, panel))?;
    summary.rankings.iter().try_for_each(|ranking| write_ranking(out, ranking))?;
    summary.rubrics.iter().try_for_each(|rubric| write_rubric(out, rubric))?;
    summary.lanes.iter().try_for_each(|lane| write_lane(out, lane))?;
    write_endless(out, summary)?;
    if summary.unsaved > 0 {
        let unsaved = counted(summary.unsaved, "judgment");
        writeln!(out, "\n{unsaved} could not be saved: the numbers above include them, but the log does not")?;
    }
    write_restored(out, summary.log)?;
    until::write(out, &summary.until)?;
    writeln!(out)?;
    match (places.export, places.log) {
        (Some(path), Some(log)) => writeln!(out, "feedback in {}, from the log {}", path.display(), log.display())?,
        (_, Some(log)) if report.exit() != Exit::Usage => writeln!(out, "feedback in {}", log.display())?,
        _ => {}
    }
    if made_up {
        writeln!(out, "the verdicts are made up: --simulate asks no model")?;
    } else if summary.made_up > 0 {
        let verdicts = counted(summary.made_up, "verdict");
        writeln!(out, "{verdicts} made up by a simulator that answered in the model's place, recorded as simulated:/")?;
    }
    write_end(out, report, command)
}

/// How well retrievers ranked, by the verdicts on their documents.
fn write_ranking(out: &mut String, ranking: &RankingSummary) -> fmt::Result {
    let RankingSummary { judge, source_id, k, complete, incomplete, pending, means } = ranking;
    let retrievals = counted(*complete, "retrieval");
    let first = k.map(|k| format!(", first {}", counted(k.into(), "document"))).unwrap_or_default();
    writeln!(out, "\n{}  ranking by {}, {retrievals}{first}", one_line(judge), one_line(source_id))?;
    for (figure, mean) in means {
        writeln!(out, "  {figure:<15} {mean:.3}")?;
    }
    for (label, n, words) in [
        ("incomplete", incomplete, "not all documents of these retrievals have a verdict: no figure is made of them"),
        ("pending", pending, "not all documents of these retrievals are asked about yet"),
    ] {
        if *n > 0 {
            writeln!(out, "  {label:<15} {n:>5}  {words}")?;
        }
    }
    Ok(())
}

/// What the criteria of a rubric come to.
fn write_rubric(out: &mut String, rubric: &RubricSummary) -> fmt::Result {
    let RubricSummary { judge, criteria, good, bad, abstained, incomplete, pending } = rubric;
    writeln!(out, "\n{}  {ALL_CRITERIA} of {criteria} criteria", one_line(judge))?;
    writeln!(out, "  good     {good:>7}")?;
    writeln!(out, "  bad      {bad:>7}")?;
    line(out, "abstained", *abstained, "none of the criteria is bad, and the judge abstained from some")?;
    line(out, "incomplete", *incomplete, "none of the criteria is bad, and some have no verdict")?;
    line(out, "pending", *pending, "not all criteria are asked about yet")
}

fn write_dataset(out: &mut String, summary: &Summary, places: &Places<'_>) -> fmt::Result {
    write!(out, "{}, {}", counted(summary.traces, "trace"), counted(summary.requests, "request"))?;
    match summary.retries {
        0 => {}
        1 => write!(out, " (1 retry)")?,
        n => write!(out, " ({n} retries)")?,
    }
    writeln!(out, " in {:.1} s", summary.elapsed.as_secs_f64())?;
    if !summary.read_to_end {
        writeln!(out, "the rest of the dataset was not read")?;
    }
    selection::write(out, summary.shard, summary.traces, &summary.not_selected, &summary.absent_trace_ids)?;
    if summary.rejects > 0 {
        let rejects = places.rejects.display();
        writeln!(out, "{} rejected, see {rejects}", counted(summary.rejects, "line"))?;
    }
    if summary.duplicates > 0 {
        writeln!(out, "{} skipped: repeats of a trace", counted(summary.duplicates, "line"))?;
    }
    Ok(())
}

fn write_question(out: &mut String, question: &QuestionSummary) -> fmt::Result {
    let QuestionSummary { info, counts, distribution, from_prose, not_weighed, usage, cost } = question;
    writeln!(out, "{}{}", info.key(), skipped::unit(info.unit))?;
    write!(out, "  scored   {:>7}", counts.all_scored())?;
    if counts.kept_scored > 0 {
        write!(out, "  ({} now, {} before)", counts.scored, counts.kept_scored)?;
    }
    write_distribution(out, distribution)?;
    writeln!(out)?;
    writeln!(out, "  failed   {:>7}", counts.all_failed())?;
    for (code, n) in counts.failures_by_name() {
        writeln!(out, "           {n:>7}  {code}")?;
    }
    line(out, "abstained", counts.all_abstained(), "the judge says that the material does not allow a verdict")?;
    line(out, "prose", *from_prose, "of the new verdicts were read from prose, not from JSON")?;
    line(
        out,
        "unweighed",
        *not_weighed,
        "of the new verdicts: the endpoint gave no usable probabilities of the labels",
    )?;
    line(out, "skipped", counts.already_in_log(), "already in the log")?;
    line(
        out,
        "rejected",
        counts.kept_invalid,
        "marked invalid in the log; judge-run replay --include-invalid asks again",
    )?;
    line(out, "reused", counts.reused, "from other logs, at no cost")?;
    line(out, "changed", counts.changed, "asked again: the prompt, parameters or trace changed")?;
    line(out, "changed", counts.unmatched, "not asked: the prompt, parameters or trace changed since they failed")?;
    line(out, "missing", counts.missing, "not in the log, not asked: a replay retries failures only")?;
    skipped::write(out, info.unit, &counts.skipped)?;
    line(out, "batched", counts.batched, "in batches that have not ended")?;
    line(out, "unjudged", counts.unjudged(), "not reached")?;
    if usage.input_tokens + usage.output_tokens > 0 {
        write!(out, "  tokens   {:>7} in, {} out", short(usage.input_tokens), short(usage.output_tokens))?;
        if usage.cached_tokens > 0 {
            write!(out, ", {} of the input from the provider's cache", short(usage.cached_tokens))?;
        }
        if let Some(cost) = cost {
            write!(out, ", cost {cost:.4}")?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// A count, unless it is 0.
fn line(out: &mut String, label: &str, n: u64, words: &str) -> fmt::Result {
    if n == 0 { Ok(()) } else { writeln!(out, "  {label:<8} {n:>7}  {words}") }
}

/// What was learnt about an endpoint, and which of its members were given up.
fn write_lane(out: &mut String, lane: &LaneSummary) -> fmt::Result {
    let LaneSummary { source_id, adapted, learnt_requests, learnt_tokens, members_given_up, stopped: _, prompt_limit } =
        lane;
    let limit = |limit: &Option<u64>, what| limit.map(|limit| format!("{} {what}", short(limit)));
    let limits: Vec<_> =
        [limit(learnt_requests, "requests"), limit(learnt_tokens, "tokens")].into_iter().flatten().collect();
    if !adapted.is_empty() {
        writeln!(out, "\nrequests to {source_id} were adapted: {}", adapted.join(", "))?;
    }
    if !limits.is_empty() {
        writeln!(out, "\n{source_id} reported its limits, paced to them: {}", limits.join(", "))?;
    }
    if let Some(PromptLimit { tokens, unnoticed }) = prompt_limit {
        write!(out, "\n{source_id} cuts prompts after {tokens} tokens")?;
        match unnoticed {
            0 => writeln!(out)?,
            n => writeln!(out, "; {} on cut prompts before this was noticed", counted(*n, "verdict"))?,
        }
    }
    for (member, reason) in members_given_up {
        writeln!(out, "\n{source_id}: gave up on {member}: {}", one_line(&reason.to_string()))?;
    }
    Ok(())
}

/// What others did to the log, and what was restored.
fn write_restored(out: &mut String, Restored { deleted, put_back, lost }: Restored) -> fmt::Result {
    if deleted {
        writeln!(out, "\nthe log was deleted during the run; it is back, with all its records")?;
    }
    if put_back + lost > 0 {
        write!(out, "\nthe log was truncated during the run; {} put back", counted(put_back, "record"))?;
        match lost {
            0 => writeln!(out)?,
            n => writeln!(out, ", {n} from before lost")?,
        }
    }
    Ok(())
}

fn write_endless(out: &mut String, summary: &Summary) -> fmt::Result {
    let (endless, all) = (summary.endless, summary.usage().output_tokens);
    if endless.answers == 0 {
        return Ok(());
    }
    let share = 100 * endless.output_tokens / all.max(1);
    let answers = counted(endless.answers, "answer");
    writeln!(
        out,
        "\n{answers} did not end within the limit: {} of {} output tokens ({share}%)",
        short(endless.output_tokens),
        short(all)
    )
}

/// Why the run ended early, what to do about that and about its failures, and the command to continue with.
fn write_end(out: &mut String, report: &RunReport, command: Option<&str>) -> fmt::Result {
    let summary = &report.summary;
    let reasons = report.stop_reasons();
    for reason in &reasons {
        writeln!(out, "\nstopped early: {}", one_line(reason))?;
    }
    for hint in hints(report) {
        writeln!(out, "hint: {hint}")?;
    }
    if reasons.is_empty() && summary.selected() == 0 && summary.not_selected.other_shards == 0 {
        let all = || summary.questions.iter().map(|question| (question.info.unit, &question.counts.skipped));
        let why = match summary.traces {
            0 => selection::why_nothing(summary.rejects, &summary.not_selected),
            _ => skipped::why_nothing(all())
                .unwrap_or_else(|| "the dataset has none of the traces that failed".to_owned()),
        };
        writeln!(out, "\nnothing was judged: {why}")?;
    }
    if reasons.is_empty() {
        failures::write(out, summary)?;
    }
    let may_clear = failures::by_code(summary).keys().any(|code| code.traits().is_resumable);
    if may_clear || summary.unjudged() > 0 || summary.unsaved + summary.log.lost > 0 || !summary.read_to_end {
        match command {
            Some(command) => writeln!(out, "next: the same command asks only what is missing or failed\n  {command}")?,
            None => writeln!(out, "next: the command that submitted the batches asks only what is missing or failed")?,
        }
    }
    Ok(())
}

/// What to do about the reasons for which the run ended early, each once.
fn hints(report: &RunReport) -> Vec<&'static str> {
    let run = report.stop.as_ref().and_then(|reason| match reason {
        StopReason::Budget(Exhausted::Cost { .. }) => Some("raise --max-cost"),
        StopReason::Budget(Exhausted::Tokens { .. }) => Some("raise --max-tokens-total"),
        StopReason::Budget(Exhausted::Errors { .. }) => Some("look at the failures above, or raise --max-errors"),
        StopReason::Budget(Exhausted::Time { .. }) => Some("raise --time-limit"),
        StopReason::Strict(_) => Some("correct the line, or run without --strict to skip such lines"),
        StopReason::Dataset(_)
        | StopReason::Rejects(_)
        | StopReason::Votes(_)
        | StopReason::Log(_)
        | StopReason::Batch(_)
        | StopReason::Bug
        | StopReason::Interrupted => None,
    });
    let of_lane = |reason: &GivenUp| match reason {
        GivenUp::AsksTooLong { .. } => Some("run the same command again later, or raise --max-retry-after"),
        GivenUp::DailyLimit { .. } => Some("run the same command again tomorrow, or raise --rpd"),
        GivenUp::Refused { code, .. } | GivenUp::Outage { code, .. } | GivenUp::Hopeless { code, .. } => {
            Some(code.traits().remedy)
        }
    };
    let lanes = report.summary.lanes.iter().filter_map(|lane| lane.stopped.as_ref()).filter_map(of_lane);
    let mut hints: Vec<_> = run.into_iter().collect();
    for hint in lanes {
        if !hints.contains(&hint) {
            hints.push(hint);
        }
    }
    hints
}
