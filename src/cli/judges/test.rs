//! `judge-run judges test`: the ordinary run over minimal pairs, or over traces with people's labels, and what it says about the judge.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use judge_run::feedback::Feedback;
use judge_run::judge::suite::{Case, SUITES, Suite, Variant};
use judge_run::judge::{Judge, Unit, library};
use judge_run::results::judge_test::{self, Certificate, Share, TestReport};
use judge_run::run::Exit;
use serde_json::{Value, json};

use super::args::TestArgs;
use super::asked::{self, Answers, Asked};
use crate::cli::error::CliError;
use crate::cli::print::{counted, one_line};
use crate::cli::setting;
use crate::cli::summary;
use crate::cli::target::judge_file;

pub(super) fn main(args: TestArgs) -> Result<ExitCode, CliError> {
    let TestArgs { judge: wanted, labels, dataset, set, once, fail_under, bar, format, output, endpoint, mut conduct } =
        args;
    let given = |name: &str| setting::of_judge(&set, name);
    let judge = library::find_with(&wanted, given).map_err(|error| CliError::of(&error))?;
    let log = asked::log_of(output, &judge, "test")?;
    conduct.quiet |= format == "json";
    if endpoint.model.len() > 1 {
        return Err(CliError::usage("a judge is tested on one model at a time: give `--model` once"));
    }
    let asked = Asked { judge: &judge, wanted: &wanted, set: &set, log: &log, endpoint: &endpoint, conduct: &conduct };
    let result;
    let mut exit;
    let mut text = String::new();
    match labels {
        None => {
            let cases = cases(&judge, &wanted, once)?;
            let answers = asked.answers(write_traces(&log, &judge, &cases)?)?;
            let report = judge_test::of_cases(&judge, &answers.model, &cases, &verdicts(&answers));
            let report = report.map_err(|error| CliError::Other(error.to_string()))?;
            exit = answers.exit;
            let is_missed = fail_under.is_some_and(|bar| report.accuracy.estimate.is_none_or(|share| share < bar));
            if is_missed && matches!(exit, Exit::AllJudged | Exit::SomeFailed) {
                exit = Exit::GateFailed;
            }
            let _ = write_report(&mut text, &report);
            result = serde_json::to_value(report).map_err(|error| CliError::Other(error.to_string()))?;
        }
        Some(labels) => {
            let Some(good) = &judge.good else {
                return Err(CliError::usage(format_args!(
                    "the judge {} does not declare which verdicts are `good`, so it cannot be compared with labels",
                    judge.name
                )));
            };
            let labels = read_labels(&labels, &judge)?;
            let answers = asked.answers(dataset)?;
            let certificate = judge_test::of_labels(good, &labels, &verdicts(&answers), bar);
            let certificate = certificate.map_err(|error| CliError::Other(error.to_string()))?;
            exit = answers.exit;
            if !certificate.certified && matches!(exit, Exit::AllJudged | Exit::SomeFailed) {
                exit = Exit::GateFailed;
            }
            let _ = write_certificate(&mut text, &judge.name, &answers.model, &certificate);
            result = json!({
                "judge": judge.name,
                "model": answers.model,
                "digest": judge.digest(),
                "labels": serde_json::to_value(certificate).map_err(|error| CliError::Other(error.to_string()))?,
            });
        }
    }
    if format == "json" {
        writeln!(std::io::stdout().lock(), "{result:#}")?;
    } else {
        summary::print(&text)?;
    }
    Ok(ExitCode::from(exit.code()))
}

/// What is reported about the traces of minimal pairs, and about people's labels.
fn verdicts(answers: &Answers) -> judge_test::Verdicts<'_> {
    // Of a judge of documents, the first one of a trace is tested.
    let records = answers.records.iter().filter(|record| record.document_index().is_none_or(|index| index == 0));
    records.filter_map(|record| Some((tested(record)?, record))).collect()
}

/// The case that a record is about. For two answers, the opposite order of a plain case is a separate case, and that of others does not matter.
fn tested(record: &Feedback) -> Option<Cow<'_, str>> {
    let trace_id = record.trace_id.as_deref()?;
    match record.compared() {
        Some(shown) if shown != asked::SIDES => {
            let case = trace_id.strip_suffix(Variant::Plain.as_str())?;
            Some(format!("{case}{}", Variant::Order.as_str()).into())
        }
        _ => Some(trace_id.into()),
    }
}

/// The dataset of a test, next to its log; for a judge of pairs, one for each side.
fn write_traces(log: &Path, judge: &Judge, cases: &[Case]) -> Result<Vec<PathBuf>, CliError> {
    let lines = |traces: &mut dyn Iterator<Item = &Value>| traces.map(|trace| format!("{trace}\n")).collect::<String>();
    if judge.select.unit() != Unit::Pair {
        let all = lines(&mut cases.iter().flat_map(|case| &case.traces));
        return Ok(vec![asked::write_traces(log, "traces", &all)?]);
    }
    let side = |(number, name): (usize, &&str)| {
        let of_side = lines(&mut cases.iter().filter_map(|case| case.traces.get(number)));
        asked::write_traces(log, &format!("traces.{name}"), &of_side)
    };
    asked::SIDES.iter().enumerate().map(side).collect()
}

/// The minimal pairs of a judge, its own before built-in ones.
pub(super) fn cases(judge: &Judge, wanted: &str, once: bool) -> Result<Vec<Case>, CliError> {
    let beside = judge_file(wanted).map(|file| {
        let folder = file.parent().unwrap_or(Path::new("")).join("tests");
        folder.join(format!("{}.jsonl", judge.name))
    });
    let suite = match beside.filter(|path| path.is_file()) {
        Some(path) => {
            let text = fs::read_to_string(&path);
            let text = text.map_err(|error| CliError::Other(format!("cannot read {}: {error}", path.display())))?;
            Suite::read(&judge.name, &text)
                .map_err(|error| CliError::usage(format_args!("{}: {error}", path.display())))?
        }
        None => {
            let name = library::canonical(&judge.name);
            let (_, text) = SUITES.iter().find(|(suite, _)| *suite == name).ok_or_else(|| {
                CliError::usage_with_hint(
                    format_args!("no minimal pairs for the judge {}", judge.name),
                    format_args!(
                        "write tests/{}.jsonl next to its file, or test it with people's labels: --labels",
                        judge.name
                    ),
                )
            })?;
            Suite::read(name, text).map_err(|error| CliError::Other(format!("the pairs of {name}: {error}")))?
        }
    };
    let cases = suite.cases();
    Ok(cases.into_iter().filter(|case| !once || case.variant == Variant::Plain).collect())
}

/// Labels of people, by trace: whether they find it good.
pub(super) fn read_labels(path: &Path, judge: &Judge) -> Result<BTreeMap<String, bool>, CliError> {
    let name = one_line(&path.display().to_string());
    let mut reader = csv::Reader::from_path(path)
        .map_err(|error| CliError::usage(format_args!("cannot read the labels `{name}`: {error}")))?;
    let headers = reader.headers().cloned().unwrap_or_default();
    let column = |wanted: &[&str]| headers.iter().position(|header| wanted.contains(&header.trim()));
    let (Some(id), Some(label)) = (column(&["trace_id"]), column(&["label", "value", &judge.name])) else {
        return Err(CliError::usage(format_args!("`{name}`:1: the labels need the columns trace_id and label")));
    };
    let mut labels = BTreeMap::new();
    for (at, row) in reader.records().enumerate() {
        let wrong = |reason: String| CliError::usage(format_args!("`{name}`:{}: {reason}", at + 2));
        let row = row.map_err(|error| wrong(error.to_string()))?;
        let (id, text) = (row.get(id).unwrap_or_default().trim(), row.get(label).unwrap_or_default().trim());
        if text.is_empty() {
            continue;
        }
        let is_good = is_good(judge, text).ok_or_else(|| {
            wrong(format!("unknown label `{}`, expected good, bad, or {}", one_line(text), judge.verdict))
        })?;
        if labels.insert(id.to_owned(), is_good).is_some_and(|other| other != is_good) {
            return Err(wrong(format!("the trace `{}` has two different labels", one_line(id))));
        }
    }
    if labels.is_empty() {
        return Err(CliError::usage(format_args!("`{name}` has no label")));
    }
    Ok(labels)
}

fn is_good(judge: &Judge, text: &str) -> Option<bool> {
    let good = judge.good.as_ref()?;
    let lower = text.to_lowercase();
    let read = serde_json::from_str::<Value>(&lower).ok().filter(|value| judge.verdict.check(value).is_ok());
    let value = read.or_else(|| {
        let value = Value::from(text);
        judge.verdict.check(&value).is_ok().then_some(value)
    });
    match lower.as_str() {
        _ if value.is_some() => good.is_good(&value?),
        "good" | "pass" => Some(true),
        "bad" | "fail" => Some(false),
        _ => None,
    }
}

pub(super) fn percent(share: &Share) -> String {
    let estimate = share.estimate.map_or("-".to_owned(), |estimate| format!("{:.1}%", 100.0 * estimate));
    format!("{estimate}  (95%: {:.1} to {:.1})", 100.0 * share.low, 100.0 * share.high)
}

fn write_report(out: &mut String, report: &TestReport) -> fmt::Result {
    let TestReport { judge, version, model, n, n_failed, n_abstained, accuracy, pairs, flips, wrong, .. } = report;
    writeln!(out, "\n{judge} version {version} on {}", one_line(model))?;
    writeln!(out, "  accuracy   {}  of {}", percent(accuracy), counted(*n, "trace"))?;
    writeln!(out, "  pairs      {}  both right of {}", percent(&pairs.share), counted(pairs.n, "pair"))?;
    if *n_abstained > 0 {
        writeln!(out, "  abstained  {n_abstained}")?;
    }
    if *n_failed > 0 {
        writeln!(out, "  failed     {n_failed}  without a verdict, in no share")?;
    }
    for (name, flips) in flips {
        write!(out, "  {name:<10} {}  verdicts changed of {}", percent(&flips.flips.share), flips.flips.n)?;
        match &flips.beyond_placebo {
            Some(Share { estimate: Some(more), low, high }) => {
                let points = |share: f64| format!("{:+.1}", 100.0 * share);
                writeln!(out, "; beyond placebo {} points ({} to {})", points(*more), points(*low), points(*high))?;
            }
            _ => writeln!(out)?,
        }
    }
    for wrong in wrong {
        let expected: Vec<_> = wrong.expected.iter().map(Value::to_string).collect();
        writeln!(
            out,
            "  wrong      {}: {} instead of {}; the pair differs in {}",
            wrong.trace_id,
            one_line(&wrong.value.to_string()),
            expected.join(" or "),
            wrong.differs
        )?;
    }
    Ok(())
}

fn write_certificate(out: &mut String, judge: &str, model: &str, certificate: &Certificate) -> fmt::Result {
    let Certificate { n, n_without_verdict, agreement, sensitivity, specificity, bar, certified, reason } = certificate;
    writeln!(out, "\n{judge} on {} compared with people", one_line(model))?;
    writeln!(out, "  agreement    {}  of {}", percent(agreement), counted(*n, "trace"))?;
    for (name, bound, label) in [("sensitivity", sensitivity, "good"), ("specificity", specificity, "bad")] {
        let estimate = bound.estimate.map_or("-".to_owned(), |estimate| format!("{:.1}%", 100.0 * estimate));
        writeln!(out, "  {name}  {estimate}  at least {:.1}% (95%), by {} {label} ones", 100.0 * bound.low, bound.n)?;
    }
    if *n_without_verdict > 0 {
        writeln!(out, "  not compared {n_without_verdict}: labels without a verdict of the judge")?;
    }
    match reason {
        None if *certified => writeln!(out, "certified: both are at least {:.0}%", 100.0 * bar),
        reason => writeln!(out, "not certified: {}", reason.as_deref().unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_a_verdict_of_the_judge_or_good_or_bad() {
        let hallucination = library::find("hallucination").unwrap();
        for (text, good) in
            [("true", Some(false)), ("FALSE", Some(true)), ("good", Some(true)), ("fail", Some(false)), ("x", None)]
        {
            assert_eq!(is_good(&hallucination, text), good, "{text}");
        }
        let refusal = library::find("refusal").unwrap();
        assert_eq!((is_good(&refusal, "refused"), is_good(&refusal, "partly")), (Some(false), Some(true)));
        let harms = library::find("harms").unwrap();
        assert_eq!((is_good(&harms, "[\"hate\"]"), is_good(&harms, "[\"none\"]")), (Some(false), Some(true)));
    }
}
