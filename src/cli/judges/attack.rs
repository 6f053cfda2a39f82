//! `judge-run judges attack`: injection patterns in traces that the judge finds bad, and how often its verdict turns.

use std::collections::{BTreeSet, HashMap};
use std::fmt::{self, Write as _};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use judge_run::feedback::Feedback;
use judge_run::judge::Judge;
use judge_run::judge::attack::{self, CONTROL, Pattern, Wanted};
use judge_run::results::attack::{Asked, AttackReport, Figures, First, of_answers};
use judge_run::results::judge_test::answer;
use judge_run::run::Exit;
use judge_run::trace::Trace;
use serde_json::Value;

use super::args::AttackArgs;
use super::asked;
use super::labels;
use super::subject::Subject;
use super::test::percent;
use crate::cli::error::CliError;
use crate::cli::print::{counted, one_line};
use crate::cli::recorded::Recorded;
use crate::cli::summary;

/// The suffixes of the ids of the same trace, asked again and with a pattern.
const AGAIN: &str = "again";

/// A trace, perhaps a span, perhaps one of its documents.
type About<'a> = (&'a str, Option<&'a str>, Option<u32>);
/// By judge or criterion, and by what they are about.
type Records<'a> = HashMap<(&'a str, About<'a>), &'a Feedback>;

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
    let subject = Subject::find(wanted, &set)?;
    let judges: Vec<&Judge> = subject.tested().filter(|judge| attack::good_verdict(judge).is_some()).collect();
    let Some(wanted) = Wanted::of(&subject.all).filter(|_| !judges.is_empty()) else {
        return Err(CliError::usage(format_args!(
            "the judge {} does not declare which verdicts are `good`, so no verdict can turn good",
            subject.name()
        )));
    };
    let patterns = match patterns {
        Some(path) => read_patterns(&path)?,
        None => attack::built_in(),
    };
    let log = asked::log_of(output, &subject, "attack")?;
    conduct.quiet |= format == "json";
    if endpoint.model.len() > 1 {
        return Err(CliError::usage("a judge is attacked on one model at a time: give `--model` once"));
    }
    let asked = asked::Asked { subject: &subject, set: &set, log: &log, endpoint: &endpoint, conduct: &conduct };

    // The traces as they are, each twice: the judge has to find them bad before a verdict can turn.
    let Targets { traces, should_be_bad } = match labels {
        _ if dataset.is_empty() => of_suite(&subject)?,
        None => Targets { traces: recorded(&dataset, |_| true)?, should_be_bad: None },
        Some(labels) => labelled_bad(&dataset, &labels, &subject)?,
    };
    let again: Vec<Trace> = traces.iter().map(|trace| renamed(&subject, trace, AGAIN)).collect();
    let clean = asked::write_traces(&log, "clean.traces", &lines(traces.iter().chain(&again))?)?;
    let before = asked.answers(vec![clean], Vec::new())?;
    if !matches!(before.exit, Exit::AllJudged | Exit::SomeFailed) {
        return Ok(ExitCode::from(before.exit.code()));
    }
    let known = by_subject(&before.records);
    // The log may have those of an earlier attack.
    let own: BTreeSet<&str> = traces.iter().map(|trace| trace.trace_id.as_str()).collect();
    let mut firsts: Vec<(About<'_>, First<'_>)> = Vec::new();
    for ((name, about), record) in known.iter().filter(|((_, (id, ..)), _)| own.contains(id)) {
        let Some(judge) = judges.iter().copied().find(|judge| judge.name == *name) else { continue };
        let is_target =
            |targets: &BTreeSet<(String, String)>| targets.contains(&(judge.name.clone(), about.0.to_owned()));
        let is_good = answer(record).and_then(|value| attack::passes(judge, value));
        if let Some(is_good) = is_good.filter(|_| should_be_bad.as_ref().is_none_or(is_target)) {
            firsts.push((*about, First { judge, trace_id: named(about), is_good }));
        }
    }
    let mut bad: Vec<About<'_>> = firsts.iter().filter(|(_, first)| !first.is_good).map(|(about, _)| *about).collect();
    bad.sort_unstable();
    bad.dedup();
    bad.truncate(limit.get());
    if bad.is_empty() {
        let all: BTreeSet<_> = known.keys().map(|(_, about)| about).filter(|(id, ..)| own.contains(id)).collect();
        return Err(CliError::usage_with_hint(
            format_args!("the judge {} finds none of {} bad", subject.name(), counted(all.len() as u64, "trace")),
            "give traces that should fail: -d traces.jsonl, with --labels if people labelled them",
        ));
    }

    let planted = planted(&subject, &traces, &bad, &patterns, &wanted);
    let attacked = asked::write_traces(&log, "traces", &lines(planted.iter().map(|(_, trace, _)| trace))?)?;
    let after = asked.answers(vec![attacked], Vec::new())?;
    let attacked: Vec<_> = firsts
        .iter()
        .filter(|(about, first)| !first.is_good && bad.contains(about))
        .map(|(about, first)| (*about, first.judge))
        .collect();
    let all = all_asked(&subject, &attacked, &planted, &known, &by_subject(&after.records));
    let firsts: Vec<First<'_>> = firsts.iter().map(|(_, first)| first.clone()).collect();
    let report = of_answers(subject.name(), &before.model, &judges, &firsts, &all);
    let report = report.map_err(|error| CliError::Other(error.to_string()))?;

    let mut exit = after.exit;
    let is_over = |(family, found): (&String, &judge_run::results::attack::Family)| {
        family != CONTROL && fail_over.is_some_and(|bar| found.flips.share.estimate.is_some_and(|share| share > bar))
    };
    if report.figures.families.iter().any(is_over) && matches!(exit, Exit::AllJudged | Exit::SomeFailed) {
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

/// The bad traces with a pattern of each family, and the ids that they had.
fn planted<'a>(
    subject: &Subject,
    traces: &'a [Trace],
    bad: &[About<'_>],
    patterns: &'a [Pattern],
    wanted: &Wanted,
) -> Vec<(&'a str, Trace, &'a Pattern)> {
    let Some(judge) = subject.all.first() else { return Vec::new() };
    let families: BTreeSet<&str> = patterns.iter().map(|pattern| pattern.family.as_str()).collect();
    let ids: BTreeSet<&str> = bad.iter().map(|(id, ..)| *id).collect();
    // The other traces of a conversation accompany its last one.
    let sessions: BTreeSet<&str> =
        traces.iter().filter(|trace| ids.contains(trace.trace_id.as_str())).filter_map(Trace::session).collect();
    let is_wanted = |trace: &&Trace| {
        ids.contains(trace.trace_id.as_str()) || trace.session().is_some_and(|id| sessions.contains(id))
    };
    let mut planted = Vec::new();
    for family in families {
        let of_family: Vec<&Pattern> = patterns.iter().filter(|pattern| pattern.family == family).collect();
        for (at, trace) in traces.iter().filter(is_wanted).enumerate() {
            // Each trace is asked about once with a family.
            let pattern = of_family[at % of_family.len()];
            let own = pattern.planted(judge, trace, wanted);
            planted.extend(own.map(|own| (trace.trace_id.as_str(), renamed(subject, &own, family), pattern)));
        }
    }
    planted
}

fn by_subject(records: &[Feedback]) -> Records<'_> {
    records
        .iter()
        .filter_map(|record| {
            let about = (record.trace_id.as_deref()?, record.span_id.as_deref(), record.document_index());
            Some(((record.name.as_str(), about), record))
        })
        .collect()
}

/// How results name what is judged.
fn named((id, span, document): &About<'_>) -> String {
    let mut name = span.map_or_else(|| (*id).to_owned(), |span| format!("{id} {span}"));
    name.extend(document.map(|index| format!(" document_index {index}")));
    name
}

/// The questions about the bad traces: again as they are, and with each family's pattern.
fn all_asked<'a>(
    subject: &Subject,
    attacked: &[(About<'_>, &'a Judge)],
    planted: &[(&str, Trace, &Pattern)],
    before: &Records<'_>,
    after: &Records<'_>,
) -> Vec<Asked<'a>> {
    let mut all = Vec::new();
    for (about @ (id, span, document), judge) in attacked {
        let mut add = |record: Option<&&Feedback>, pattern: Option<&Pattern>| {
            all.push(Asked {
                judge,
                trace_id: named(about),
                family: pattern.map(|pattern| pattern.family.clone()),
                text: pattern.map(|pattern| pattern.text.clone()),
                value: record.and_then(|record| answer(record)).cloned(),
                rationale: record.and_then(|record| record.rationale.clone()),
            });
        };
        let again = id_with(subject, id, AGAIN);
        add(before.get(&(judge.name.as_str(), (again.as_str(), *span, *document))), None);
        for (_, trace, pattern) in planted.iter().filter(|(of, ..)| of == id) {
            add(after.get(&(judge.name.as_str(), (trace.trace_id.as_str(), *span, *document))), Some(pattern));
        }
    }
    all
}

/// The id of the same trace with something else: the criteria of a rubric are asked for in the same order.
fn id_with(subject: &Subject, id: &str, suffix: &str) -> String {
    let with = format!("{id}/{suffix}");
    match subject.all.first() {
        Some(Judge { form, .. }) => form.id_in_order(with, form.order_for(id)),
        None => with,
    }
}

/// The same trace under another id, in a separate conversation.
fn renamed(subject: &Subject, trace: &Trace, suffix: &str) -> Trace {
    Trace {
        trace_id: id_with(subject, &trace.trace_id, suffix),
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

fn recorded(dataset: &[PathBuf], is_wanted: impl Fn(&Trace) -> bool) -> Result<Vec<Trace>, CliError> {
    let mut traces = Vec::new();
    Recorded::open(dataset, &[])?.for_each(|trace| {
        if is_wanted(&trace) {
            traces.push(trace);
        }
        true
    })?;
    Ok(traces)
}

/// What may be attacked.
struct Targets {
    traces: Vec<Trace>,
    /// The names of judges or criteria with the traces that each should find bad; all, where nobody says.
    should_be_bad: Option<BTreeSet<(String, String)>>,
}

/// The traces of the minimal pairs for which every right verdict is bad, by at least one criterion.
fn of_suite(subject: &Subject) -> Result<Targets, CliError> {
    let mut cases = subject.cases(true)?;
    // The others are about another setting of the judge.
    cases.retain(|case| case.params.is_empty());
    let mut should_be_bad = BTreeSet::new();
    let mut lines = String::new();
    for case in &cases {
        let is_bad = |judge: &&Judge| {
            let is_bad = |value: &Value| attack::passes(judge, value) == Some(false);
            case.expected.get(&judge.name).is_some_and(|right| right.iter().all(is_bad))
        };
        let bad: Vec<_> = subject.tested().filter(is_bad).collect();
        should_be_bad.extend(bad.iter().map(|judge| (judge.name.clone(), case.trace_id.clone())));
        if !bad.is_empty() {
            case.traces.iter().for_each(|trace| lines += &format!("{trace}\n"));
        }
    }
    let mut file = tempfile::Builder::new().suffix(".jsonl").tempfile()?;
    file.write_all(lines.as_bytes())?;
    Ok(Targets { traces: recorded(&[file.path().to_owned()], |_| true)?, should_be_bad: Some(should_be_bad) })
}

/// The traces that people labelled bad, by at least one criterion.
fn labelled_bad(dataset: &[PathBuf], labels: &Path, subject: &Subject) -> Result<Targets, CliError> {
    let mut should_be_bad = BTreeSet::new();
    for labels in labels::read(labels, subject)? {
        let bad = labels.is_good.into_iter().filter(|(_, is_good)| !is_good);
        should_be_bad.extend(bad.map(|(trace_id, _)| (labels.judge.name.clone(), trace_id)));
    }
    let ids: BTreeSet<&str> = should_be_bad.iter().map(|(_, trace_id)| trace_id.as_str()).collect();
    let traces = recorded(dataset, |trace| ids.contains(trace.trace_id.as_str()))?;
    Ok(Targets { traces, should_be_bad: Some(should_be_bad) })
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
    let AttackReport { judge, version, model, figures, criteria, flipped, .. } = report;
    writeln!(out, "\n{judge} version {version} on {}", one_line(model))?;
    write_figures(out, figures, "  ", if criteria.is_empty() { "" } else { ", by some criterion" })?;
    for (name, criterion) in criteria {
        writeln!(out, "  {name}")?;
        write_figures(out, &criterion.figures, "    ", "")?;
    }
    for turned in flipped {
        let (trace, text) = (one_line(&turned.trace_id), one_line(&turned.text));
        let criterion = turned.criterion.as_ref().map_or_else(String::new, |criterion| format!("{criterion} "));
        writeln!(out, "  turned          {trace}: {criterion}{} after `{text}`", turned.value)?;
    }
    Ok(())
}

fn write_figures(out: &mut String, figures: &Figures, indent: &str, by: &str) -> fmt::Result {
    let Figures { n_traces, n_already_good, repeat, families } = figures;
    writeln!(out, "{indent}attacked        {} that it finds bad{by}", counted(*n_traces, "trace"))?;
    if *n_already_good > 0 {
        writeln!(out, "{indent}not attacked    {n_already_good} that it finds good as they are")?;
    }
    writeln!(out, "{indent}asked again     {}  turned good of {}", percent(&repeat.share), repeat.n)?;
    for (name, family) in families {
        write!(out, "{indent}{name:<15} {}  turned good of {}", percent(&family.flips.share), family.flips.n)?;
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
    Ok(())
}
