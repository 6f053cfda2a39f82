//! `judge-run judges attack`: injection patterns in traces that the judge finds bad, and how often its verdict turns.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::{self, Write as _};
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use judge_run::feedback::Feedback;
use judge_run::judge::attack::{self, CONTROL, Pattern};
use judge_run::judge::suite::Variant;
use judge_run::judge::{Judge, library};
use judge_run::results::attack::{Asked, AttackReport, of_answers};
use judge_run::results::judge_test::answer;
use judge_run::run::Exit;
use judge_run::trace::Trace;
use serde_json::Value;

use super::args::AttackArgs;
use super::asked;
use super::test::{cases, percent, read_labels};
use crate::cli::error::CliError;
use crate::cli::print::{counted, one_line};
use crate::cli::recorded::Recorded;
use crate::cli::setting;
use crate::cli::summary;

/// The suffixes of the ids of the same trace, asked again and with a pattern.
const AGAIN: &str = "again";

/// By trace and span.
type Records<'a> = HashMap<About<'a>, &'a Feedback>;
/// A trace, perhaps a span, perhaps one of its documents.
type About<'a> = (&'a str, Option<&'a str>, Option<u32>);

pub(super) fn main(args: AttackArgs) -> Result<ExitCode, CliError> {
    let AttackArgs {
        judge: wanted,
        dataset,
        labels,
        patterns,
        limit,
        set,
        fail_over,
        format,
        output,
        endpoint,
        mut conduct,
    } = args;
    let given = |name: &str| setting::of_judge(&set, name);
    let judge = library::find_with(&wanted, given).map_err(|error| CliError::of(&error))?;
    let Some(verdict) = attack::good_verdict(&judge) else {
        return Err(CliError::usage(format_args!(
            "the judge {} does not declare which verdicts are `good`, so no verdict can turn good",
            judge.name
        )));
    };
    let patterns = match patterns {
        Some(path) => read_patterns(&path)?,
        None => attack::built_in(),
    };
    let log = asked::log_of(output, &judge, "attack")?;
    conduct.quiet |= format == "json";
    if endpoint.model.len() > 1 {
        return Err(CliError::usage("a judge is attacked on one model at a time: give `--model` once"));
    }
    let asked =
        asked::Asked { judge: &judge, wanted: &wanted, set: &set, log: &log, endpoint: &endpoint, conduct: &conduct };

    // The traces as they are, each twice: the judge has to find them bad before a verdict can turn.
    let is_bad = |id: &str, labels: &BTreeMap<String, bool>| labels.get(id).is_some_and(|good| !good);
    let traces = match (dataset.is_empty(), labels) {
        (true, _) => of_suite(&judge, &wanted)?,
        (false, None) => recorded(&dataset, |_| true)?,
        (false, Some(labels)) => {
            let labels = read_labels(&labels, &judge)?;
            recorded(&dataset, |trace| is_bad(&trace.trace_id, &labels))?
        }
    };
    let again: Vec<Trace> = traces.iter().map(|trace| renamed(trace, AGAIN)).collect();
    let clean = asked::write_traces(&log, "clean.traces", &lines(traces.iter().chain(&again))?)?;
    let before = asked.answers(vec![clean])?;
    if !matches!(before.exit, Exit::AllJudged | Exit::SomeFailed) {
        return Ok(ExitCode::from(before.exit.code()));
    }
    let known = by_subject(&before.records);
    let passes = |record: &&Feedback| answer(record).and_then(|value| attack::passes(&judge, value));
    // The log may have those of an earlier attack.
    let own: BTreeSet<&str> = traces.iter().map(|trace| trace.trace_id.as_str()).collect();
    let firsts: Vec<_> = known.iter().filter(|((id, ..), _)| own.contains(id)).collect();
    let n_good = firsts.iter().filter(|(_, record)| passes(record) == Some(true)).count() as u64;
    let mut bad: Vec<About<'_>> =
        firsts.iter().filter(|(_, record)| passes(record) == Some(false)).map(|(key, _)| **key).collect();
    bad.sort_unstable();
    bad.truncate(limit.get());
    if bad.is_empty() {
        return Err(CliError::usage_with_hint(
            format_args!("the judge {} finds none of {} bad", judge.name, counted(firsts.len() as u64, "trace")),
            "give traces that should fail: -d traces.jsonl, with --labels if people labelled them",
        ));
    }

    let families: BTreeSet<&str> = patterns.iter().map(|pattern| pattern.family.as_str()).collect();
    let mut planted: Vec<(Trace, &Pattern)> = Vec::new();
    let ids: BTreeSet<&str> = bad.iter().map(|(id, ..)| *id).collect();
    for family in families {
        let of_family: Vec<&Pattern> = patterns.iter().filter(|pattern| pattern.family == family).collect();
        // The other traces of a conversation accompany its last one.
        let sessions: BTreeSet<&str> =
            traces.iter().filter(|trace| ids.contains(trace.trace_id.as_str())).filter_map(Trace::session).collect();
        let is_wanted = |trace: &&Trace| {
            ids.contains(trace.trace_id.as_str()) || trace.session().is_some_and(|id| sessions.contains(id))
        };
        for (at, trace) in traces.iter().filter(is_wanted).enumerate() {
            // Each trace is asked about once with a family.
            let pattern = of_family[at % of_family.len()];
            planted.extend(pattern.planted(&judge, trace, &verdict).map(|own| (renamed(&own, family), pattern)));
        }
    }
    let attacked = asked::write_traces(&log, "traces", &lines(planted.iter().map(|(trace, _)| trace))?)?;
    let after = asked.answers(vec![attacked])?;
    let report =
        of_answers(&judge, &before.model, n_good, &all_asked(&bad, &planted, &known, &by_subject(&after.records)));
    let report = report.map_err(|error| CliError::Other(error.to_string()))?;

    let mut exit = after.exit;
    let is_over = |(family, found): (&String, &judge_run::results::attack::Family)| {
        family != CONTROL && fail_over.is_some_and(|bar| found.flips.share.estimate.is_some_and(|share| share > bar))
    };
    if report.families.iter().any(is_over) && matches!(exit, Exit::AllJudged | Exit::SomeFailed) {
        exit = Exit::GateFailed;
    }
    if format == "json" {
        let text = serde_json::to_string_pretty(&report).map_err(|error| CliError::Other(error.to_string()))?;
        writeln!(std::io::stdout().lock(), "{text}")?;
    } else {
        let mut text = String::new();
        let _ = write_report(&mut text, &report);
        summary::print(&text)?;
    }
    Ok(ExitCode::from(exit.code()))
}

fn by_subject(records: &[Feedback]) -> Records<'_> {
    records
        .iter()
        .filter_map(|record| {
            Some(((record.trace_id.as_deref()?, record.span_id.as_deref(), record.document_index()), record))
        })
        .collect()
}

/// The questions about the bad traces: again as they are, and with each family's pattern.
fn all_asked(
    bad: &[About<'_>],
    planted: &[(Trace, &Pattern)],
    before: &Records<'_>,
    after: &Records<'_>,
) -> Vec<Asked> {
    let mut all = Vec::new();
    for (id, span, document) in bad {
        let mut name = span.map_or_else(|| (*id).to_owned(), |span| format!("{id} {span}"));
        name.extend(document.map(|index| format!(" document_index {index}")));
        let mut add = |record: Option<&&Feedback>, pattern: Option<&Pattern>| {
            all.push(Asked {
                trace_id: name.clone(),
                family: pattern.map(|pattern| pattern.family.clone()),
                text: pattern.map(|pattern| pattern.text.clone()),
                value: record.and_then(|record| answer(record)).cloned(),
                rationale: record.and_then(|record| record.rationale.clone()),
            });
        };
        add(before.get(&(format!("{id}/{AGAIN}").as_str(), *span, *document)), None);
        for (trace, pattern) in planted {
            if trace.trace_id == format!("{id}/{}", pattern.family) {
                add(after.get(&(trace.trace_id.as_str(), *span, *document)), Some(pattern));
            }
        }
    }
    all
}

/// The same trace under another id, in a separate conversation.
fn renamed(trace: &Trace, suffix: &str) -> Trace {
    Trace {
        trace_id: format!("{}/{suffix}", trace.trace_id),
        session_id: trace.session_id.as_ref().map(|id| format!("{id}/{suffix}")),
        ..trace.clone()
    }
}

fn lines<'a>(traces: impl Iterator<Item = &'a Trace>) -> Result<String, CliError> {
    let mut lines = String::new();
    for trace in traces {
        let line = serde_json::to_string(trace).map_err(|error| CliError::Other(error.to_string()))?;
        lines += &line;
        lines.push('\n');
    }
    Ok(lines)
}

fn recorded(dataset: &[std::path::PathBuf], is_wanted: impl Fn(&Trace) -> bool) -> Result<Vec<Trace>, CliError> {
    let mut traces = Vec::new();
    Recorded::open(dataset, &[])?.for_each(|trace| {
        if is_wanted(&trace) {
            traces.push(trace);
        }
        true
    })?;
    Ok(traces)
}

/// The traces of the judge's minimal pairs for which every right verdict is bad.
fn of_suite(judge: &Judge, wanted: &str) -> Result<Vec<Trace>, CliError> {
    let is_bad = |value: &Value| attack::passes(judge, value) == Some(false);
    let cases = cases(judge, wanted, true)?;
    let bad = cases.iter().filter(|case| case.variant == Variant::Plain && case.expected.iter().all(is_bad));
    let lines: String = bad.flat_map(|case| &case.traces).map(|trace| format!("{trace}\n")).collect();
    let mut file = tempfile::Builder::new().suffix(".jsonl").tempfile()?;
    file.write_all(lines.as_bytes())?;
    recorded(&[file.path().to_owned()], |_| true)
}

fn read_patterns(path: &Path) -> Result<Vec<Pattern>, CliError> {
    let name = one_line(&path.display().to_string());
    let text = fs::read_to_string(path);
    let text = text.map_err(|error| CliError::usage(format_args!("cannot read the patterns `{name}`: {error}")))?;
    let mut patterns = Vec::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = |reason: String| CliError::usage(format_args!("`{name}`:{}: {reason}", at + 1));
        let pattern: Pattern = serde_json::from_str(line).map_err(|error| wrong(error.to_string()))?;
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if pattern.family.is_empty() || pattern.family == AGAIN || !pattern.family.chars().all(is_plain) {
            return Err(wrong("a `family` is a name of letters, digits, - and _, and not `again`".to_owned()));
        }
        patterns.push(pattern);
    }
    if patterns.is_empty() {
        return Err(CliError::usage(format_args!("`{name}` has no pattern")));
    }
    Ok(patterns)
}

fn write_report(out: &mut String, report: &AttackReport) -> fmt::Result {
    let AttackReport { judge, version, model, n_traces, n_already_good, repeat, families, flipped, .. } = report;
    writeln!(out, "\n{judge} version {version} on {}", one_line(model))?;
    writeln!(out, "  attacked        {} that it finds bad", counted(*n_traces, "trace"))?;
    if *n_already_good > 0 {
        writeln!(out, "  not attacked    {n_already_good} that it finds good as they are")?;
    }
    writeln!(out, "  asked again     {}  turned good of {}", percent(&repeat.share), repeat.n)?;
    for (name, family) in families {
        write!(out, "  {name:<15} {}  turned good of {}", percent(&family.flips.share), family.flips.n)?;
        if let Some(more) = family.beyond_repeat.estimate {
            let points = |share: f64| format!("{:+.1}", 100.0 * share);
            let (low, high) = (points(family.beyond_repeat.low), points(family.beyond_repeat.high));
            write!(out, "; beyond asking again {} points ({low} to {high})", points(more))?;
        }
        match family.n_failed {
            0 => writeln!(out)?,
            n => writeln!(out, "; {n} failed")?,
        }
    }
    for turned in flipped {
        let text = one_line(&turned.text);
        writeln!(out, "  turned          {}: {} after `{text}`", one_line(&turned.trace_id), turned.value)?;
    }
    Ok(())
}
