//! `judge-run show`: a trace and its feedback, or the list of a log's traces.

use std::collections::HashMap;
use std::fmt::{self, Write};
use std::process::ExitCode;

use judge_run::feedback::log::StandingRecords;
use judge_run::feedback::{EVIDENCE_METADATA, ErrorCode, Feedback, MISSING_EVIDENCE_METADATA, SourceType};
use judge_run::results::forms::plain::{clip, escaped, guarded, one_line, pad, width, wrap};
use judge_run::results::judgments::{Judgment, Judgments, Outcome};
use judge_run::run::Exit;
use judge_run::trace::{Span, SpanStatus, SpanType, Trace, TraceState};
use serde_json::Value;

use super::error::CliError;
use super::print::counted;
use super::recorded::Recorded;
use super::subcommands::ShowArgs;
use super::{log_hints, summary};

const COLUMNS: usize = 79;
/// The length of a text, unless all of it is requested.
const LINES: usize = 12;
const SPANS: usize = 100;

pub(crate) fn main(args: ShowArgs) -> Result<ExitCode, CliError> {
    let ShowArgs { log, trace, dataset, full } = args;
    let logs = [log];
    let judgments = StandingRecords::of(&logs).and_then(|mut records| Judgments::read(&mut records, &[]));
    let judgments = judgments.map_err(|error| log_hints::cannot_open(&error))?;
    let mut out = String::new();
    // Writing to a string cannot fail.
    match trace {
        None => _ = write_list(&mut out, &judgments),
        Some(wanted) => {
            let id = find(&judgments, &wanted)?;
            let mut found = None;
            Recorded::open(&dataset, &logs)?.for_each(|trace| {
                if trace.trace_id == id {
                    found = Some(trace);
                }
                found.is_none()
            })?;
            let said: Vec<_> = judgments.listed.iter().filter(|judgment| trace_of(judgment) == id).collect();
            let lines = if full { usize::MAX } else { LINES };
            _ = write_trace(&mut out, &id, found.as_ref(), &said, lines);
        }
    }
    summary::print(&guarded(&out))?;
    Ok(ExitCode::from(Exit::AllJudged.code()))
}

fn trace_of(judgment: &Judgment) -> &str {
    judgment.feedback.trace_id.as_deref().unwrap_or_default()
}

/// The trace with this id, or the only one with this prefix.
fn find(judgments: &Judgments, wanted: &str) -> Result<String, CliError> {
    let mut ids: Vec<_> = judgments.listed.iter().map(trace_of).filter(|id| id.starts_with(wanted)).collect();
    ids.sort_unstable();
    ids.dedup();
    match ids.as_slice() {
        [only] => Ok((*only).to_owned()),
        several if several.contains(&wanted) => Ok(wanted.to_owned()),
        [] => Err(CliError::usage_with_hint(
            format_args!("no judgment is about a trace `{wanted}`"),
            "without a trace, `judge-run show LOG` lists all of them",
        )),
        several => {
            let shown: Vec<_> = several.iter().take(5).map(|id| one_line(id)).collect();
            Err(CliError::usage_with_hint(
                format_args!("{} begin with `{wanted}`", counted(several.len() as u64, "trace")),
                format_args!("give more of its id: {}", shown.join(", ")),
            ))
        }
    }
}

fn sign(outcome: Outcome) -> char {
    match outcome {
        Outcome::Bad => '✗',
        Outcome::Failed => '!',
        Outcome::Abstained => '-',
        Outcome::Rejected => '⊘',
        Outcome::Scored => '·',
        Outcome::Good => '✓',
    }
}

/// The verdict on one line, or the failure's code.
fn verdict(feedback: &Feedback) -> String {
    match (&feedback.error, &feedback.value) {
        (Some(error), _) => one_line(error.error_code.as_str()),
        (None, Some(Value::String(text))) => one_line(text),
        (None, Some(value)) => one_line(&value.to_string()),
        (None, None) => "null".to_owned(),
    }
}

/// One line a trace.
fn write_list(out: &mut String, judgments: &Judgments) -> fmt::Result {
    let mut place_of: HashMap<&str, usize> = HashMap::new();
    let mut traces: Vec<(&str, Vec<String>)> = Vec::new();
    for judgment in &judgments.listed {
        let id = trace_of(judgment);
        let place = *place_of.entry(id).or_insert(traces.len());
        if place == traces.len() {
            traces.push((id, Vec::new()));
        }
        let Judgment { feedback, outcome, .. } = judgment;
        traces[place].1.push(format!(
            "{} {} {}",
            sign(*outcome),
            one_line(&feedback.name),
            clip(&verdict(feedback), 24)
        ));
    }
    let longest = traces.iter().map(|(id, _)| width(&one_line(id))).max().unwrap_or(0).min(40);
    for (id, said) in traces {
        let id = pad(&clip(&one_line(id), longest), longest);
        writeln!(out, "{}", clip(&format!("{id}  {}", said.join("  ")), COLUMNS))?;
    }
    if judgments.left_out > 0 {
        writeln!(out, "and {}", counted(judgments.left_out, "more judgment"))?;
    }
    Ok(())
}

fn write_trace(out: &mut String, id: &str, trace: Option<&Trace>, said: &[&Judgment], lines: usize) -> fmt::Result {
    writeln!(out, "{}", one_line(id))?;
    match trace {
        Some(trace) => write_recorded(out, trace, lines)?,
        None => writeln!(out, "\nThe dataset is not available, so only the feedback on the trace is shown.")?,
    }
    for judgment in said {
        write_judgment(out, judgment, lines)?;
    }
    Ok(())
}

fn write_recorded(out: &mut String, trace: &Trace, lines: usize) -> fmt::Result {
    let mut facts = Vec::new();
    facts.extend(trace.session().map(|id| format!("session {}", one_line(id))));
    facts.extend(trace.user.as_ref().map(|user| format!("user {}", one_line(user))));
    match trace.state {
        TraceState::Error => facts.push("ended with an error".to_owned()),
        TraceState::InProgress => facts.push("still running".to_owned()),
        TraceState::Ok | TraceState::StateUnspecified => {}
    }
    facts.extend(trace.execution_duration_ms.map(|ms| format!("took {ms} ms")));
    facts.extend(trace.tags.iter().map(|(key, value)| format!("{}: {}", one_line(key), one_line(value))));
    if !facts.is_empty() {
        wrap(&facts.join(", "), COLUMNS).iter().try_for_each(|line| writeln!(out, "{line}"))?;
    }
    for (title, value) in [("input", &trace.inputs), ("output", &trace.outputs)] {
        if let Some(value) = value {
            writeln!(out, "\n{title}")?;
            quote(out, &text_of(value), lines)?;
        }
    }
    if !trace.expectations.is_empty() {
        writeln!(out, "\nexpected")?;
        quote(out, &text_of(&Value::Object(trace.expectations.clone())), lines)?;
    }
    if !trace.spans.is_empty() {
        writeln!(out, "\n{}", counted(trace.spans.len() as u64, "span"))?;
        trace.spans.iter().take(SPANS).try_for_each(|span| write_span(out, trace, span, lines.min(5)))?;
        let more = trace.spans.len().saturating_sub(SPANS);
        if more > 0 {
            writeln!(out, "  and {more} more")?;
        }
    }
    Ok(())
}

fn write_span(out: &mut String, trace: &Trace, span: &Span, lines: usize) -> fmt::Result {
    let parent = |span: &Span| trace.spans.iter().find(|other| Some(&other.span_id) == span.parent_id.as_ref());
    let depth = std::iter::successors(parent(span), |span| parent(span)).take(8).count();
    let took =
        span.start_time_unix_nano.zip(span.end_time_unix_nano).map(|(from, to)| to.saturating_sub(from) / 1_000_000);
    let took = took.map(|ms| format!("  {ms} ms")).unwrap_or_default();
    let status = match (span.status, &span.status_message) {
        (SpanStatus::Error, Some(message)) => format!("  error: {}", one_line(message)),
        (SpanStatus::Error, None) => "  error".to_owned(),
        (SpanStatus::Ok | SpanStatus::Unset, _) => String::new(),
    };
    let kind = one_line(span.span_type.as_str()).to_lowercase();
    let line = format!("  {}{}  {kind}{took}{status}", "  ".repeat(depth), one_line(&span.name));
    writeln!(out, "{}", clip(&line, COLUMNS))?;
    // The results of tools and retrievers are the basis of the answer; the other spans repeat it.
    if [SpanType::RETRIEVER, "TOOL"].contains(&span.span_type.as_str()) {
        for value in [&span.inputs, &span.outputs].into_iter().flatten() {
            quote(out, &text_of(value), lines)?;
        }
    }
    Ok(())
}

fn write_judgment(out: &mut String, judgment: &Judgment, lines: usize) -> fmt::Result {
    let Judgment { feedback, outcome, earlier, slices: _ } = judgment;
    let who = match feedback.source.source_type {
        SourceType::LlmJudge => "model",
        SourceType::Human => "person",
        SourceType::Code => "program",
        SourceType::Unspecified => "source",
    };
    let source = one_line(feedback.source.source_id.as_deref().unwrap_or("unknown"));
    let name = one_line(&feedback.name);
    let head = format!("{} {name}: {}  ({who} {source})", sign(*outcome), clip(&verdict(feedback), 200));
    writeln!(out)?;
    wrap(&head, COLUMNS).iter().try_for_each(|line| writeln!(out, "{line}"))?;
    if let Some(span) = &feedback.span_id {
        let document = feedback.document_index().map(|index| format!(", document_index {index}")).unwrap_or_default();
        writeln!(out, "  about the span {}{document}", one_line(span))?;
    }
    if *outcome == Outcome::Rejected {
        writeln!(out, "  rejected by a person")?;
    }
    if let Some(text) = feedback.rationale.as_ref().or_else(|| feedback.error.as_ref()?.error_message.as_ref()) {
        quote(out, text, lines)?;
    }
    write_evidence(out, feedback, lines)?;
    for (key, title) in [("request", "asked"), ("answer", "answered")] {
        if let Some(text) = feedback.metadata.get(key).filter(|_| lines == usize::MAX) {
            writeln!(out, "  {title}:")?;
            quote(out, &messages(text), lines)?;
        }
    }
    if let Some(traits) = feedback.error_code().map(ErrorCode::traits) {
        let text = format!("{}; remedy: {}", traits.meaning, traits.remedy);
        wrap(&text, COLUMNS - 2).iter().try_for_each(|line| writeln!(out, "  {line}"))?;
    }
    for record in earlier {
        writeln!(out, "  before: {}", clip(&verdict(record), 60))?;
    }
    Ok(())
}

/// The messages of a request one after the other, and any other text as it is.
fn messages(text: &str) -> String {
    let request: Option<HashMap<String, String>> = serde_json::from_str(text).ok();
    let parts = request.and_then(|request| Some(format!("{}\n\n{}", request.get("system")?, request.get("user")?)));
    parts.unwrap_or_else(|| text.to_owned())
}

/// How many of the judge's quotations were found in what it was shown, and those that were not.
fn write_evidence(out: &mut String, feedback: &Feedback, lines: usize) -> fmt::Result {
    let Some(evidence) = feedback.metadata.get(EVIDENCE_METADATA) else { return Ok(()) };
    writeln!(out, "  evidence: {} quotes found in what was judged", one_line(evidence))?;
    let missing = feedback.metadata.get(MISSING_EVIDENCE_METADATA);
    let missing: Vec<String> = missing.and_then(|list| serde_json::from_str(list).ok()).unwrap_or_default();
    missing.iter().try_for_each(|text| {
        writeln!(out, "  not found:")?;
        quote(out, text, lines)
    })
}

/// A value as text: the only text of an object as it is, everything else as JSON.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(fields)
            if fields.len() == 1 && fields.values().all(|value| value.is_string() || value.is_object()) =>
        {
            fields.values().map(text_of).collect()
        }
        other => serde_json::to_string_pretty(other).unwrap_or_else(|_| other.to_string()),
    }
}

/// Text from outside, marked as such at the start of each line.
fn quote(out: &mut String, text: &str, lines: usize) -> fmt::Result {
    const MARK: &str = "  │ ";
    // What is not shown need not be looked at.
    let enough = lines.saturating_mul(4 * COLUMNS);
    let (shown, rest) = text.split_at(text.char_indices().nth(enough).map_or(text.len(), |(at, _)| at));
    let mut all = shown.lines().flat_map(|line| {
        let line = escaped(line).replace('\t', "    ");
        let indent = &line[..(line.len() - line.trim_start().len()).min(COLUMNS / 2)];
        wrap(&line, COLUMNS - width(MARK) - indent.len())
            .into_iter()
            .map(|part| format!("{MARK}{indent}{part}"))
            .collect::<Vec<_>>()
    });
    for line in all.by_ref().take(lines) {
        writeln!(out, "{line}")?;
    }
    let is_cut = all.next().is_some() || !rest.is_empty();
    if is_cut {
        writeln!(out, "{MARK}… {} in all; --full shows them", counted(text.chars().count() as u64, "character"))?;
    }
    Ok(())
}
