//! `judge-run judges test`: the ordinary run over minimal pairs, or over traces with people's labels, and what it says about the judge.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use judge_run::feedback::Feedback;
use judge_run::judge::suite::{Case, Variant};
use judge_run::judge::{Judge, Unit};
use judge_run::results::certificate::{self, Certificate};
use judge_run::results::judge_test::{self, Figures, Flips, Share, TestReport, Tested, Verdicts};
use judge_run::run::Exit;
use serde_json::{Value, json};

use super::args::TestArgs;
use super::asked::{self, Answers, Asked};
use super::labels::{self, Labels};
use super::subject::Subject;
use crate::cli::error::CliError;
use crate::cli::print::{counted, one_line};
use crate::cli::{setting, summary};

pub(super) fn main(args: TestArgs) -> Result<ExitCode, CliError> {
    let TestArgs { judge: wanted, labels, dataset, set, once, fail_under, bar, format, output, endpoint, mut conduct } =
        args;
    let subject = Subject::find(wanted, &set)?;
    let log = asked::log_of(output, &subject, "test")?;
    conduct.quiet |= format == "json";
    if endpoint.model.len() > 1 {
        return Err(CliError::usage("a judge is tested on one model at a time: give `--model` once"));
    }
    let asked = Asked { subject: &subject, set: &set, log: &log, endpoint: &endpoint, conduct: &conduct };
    let result;
    let mut exit;
    let mut text = String::new();
    match labels {
        None => {
            let cases = subject.cases(once)?;
            let answers = answers_about(&asked, &cases)?;
            let tested: Vec<_> =
                subject.tested().map(|judge| Tested { judge, verdicts: verdicts(&answers, judge) }).collect();
            let report = judge_test::of_cases(subject.name(), &answers.model, &tested, &cases);
            let report = report.map_err(|error| CliError::Other(error.to_string()))?;
            exit = answers.exit;
            let accuracy = report.figures.accuracy.estimate;
            let is_missed = fail_under.is_some_and(|bar| accuracy.is_none_or(|share| share < bar));
            if is_missed && matches!(exit, Exit::AllJudged | Exit::SomeFailed) {
                exit = Exit::GateFailed;
            }
            let _ = write_report(&mut text, &report);
            result = serde_json::to_value(report).map_err(|error| CliError::Other(error.to_string()))?;
        }
        Some(labels) => {
            let labels = labels::read(&labels, &subject)?;
            // A verdict without a label to compare it with would be paid for in vain. A name that begins with @ would mean a file.
            let labelled = labels.iter().flat_map(|labels| labels.is_good.keys()).filter(|id| !id.starts_with('@'));
            let labelled: BTreeSet<String> = labelled.cloned().collect();
            let answers = asked.answers(dataset, labelled.into_iter().collect())?;
            let certificates = certificates(&labels, &answers, bar)?;
            exit = answers.exit;
            let are_certified = certificates.iter().all(|(_, certificate)| certificate.certified);
            if !are_certified && matches!(exit, Exit::AllJudged | Exit::SomeFailed) {
                exit = Exit::GateFailed;
            }
            for (judge, certificate) in &certificates {
                let _ = write_certificate(&mut text, &judge.name, &answers.model, certificate);
            }
            result = described(&subject, &answers.model, &certificates)?;
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
fn verdicts<'a>(answers: &'a Answers, judge: &Judge) -> Verdicts<'a> {
    // Of a judge of documents, the first one of a trace is tested.
    let is_tested =
        |record: &&Feedback| record.name == judge.name && record.document_index().is_none_or(|index| index == 0);
    let records = answers.records.iter().filter(is_tested);
    records.filter_map(|record| Some((tested(record)?, record))).collect()
}

fn certificates<'a>(
    labels: &[Labels<'a>],
    answers: &Answers,
    bar: f64,
) -> Result<Vec<(&'a Judge, Certificate)>, CliError> {
    let of_judge = |Labels { judge, is_good }: &Labels<'a>| {
        let good = judge.good.as_ref()?;
        let certificate = certificate::of_labels(good, is_good, &verdicts(answers, judge), bar);
        Some(certificate.map(|certificate| (*judge, certificate)))
    };
    let all: Result<_, _> = labels.iter().filter_map(of_judge).collect();
    all.map_err(|error| CliError::Other(error.to_string()))
}

/// `labels` with the certificate; of a rubric `criteria`, each with its own.
fn described(subject: &Subject, model: &str, certificates: &[(&Judge, Certificate)]) -> Result<Value, CliError> {
    let one = |judge: &Judge, certificate: &Certificate| {
        let labels = serde_json::to_value(certificate).map_err(|error| CliError::Other(error.to_string()))?;
        Ok::<_, CliError>(json!({"digest": judge.digest(), "labels": labels}))
    };
    let mut result = json!({"judge": subject.name(), "model": model});
    if subject.tested().count() == 1 {
        for (judge, certificate) in certificates {
            let Value::Object(members) = one(judge, certificate)? else { continue };
            members.into_iter().for_each(|(key, value)| result[key] = value);
        }
    } else {
        result["certified"] = certificates.iter().all(|(_, certificate)| certificate.certified).into();
        for (judge, certificate) in certificates {
            result["criteria"][judge.criterion().unwrap_or_default()] = one(judge, certificate)?;
        }
    }
    Ok(result)
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

/// Asks about all cases: those for which the judge has the same parameters in one run, all with the same log and on one budget. A run that ends early is
/// the last.
fn answers_about(asked: &Asked<'_>, cases: &[Case]) -> Result<Answers, CliError> {
    let Asked { subject, set, log, endpoint, conduct } = *asked;
    let judge = subject.all.first().map_or("", Judge::file_name);
    let all_params: BTreeSet<_> = cases.iter().map(|case| &case.params).collect();
    let mut conduct = conduct.clone();
    let mut all: Option<Answers> = None;
    for (number, params) in all_params.into_iter().enumerate() {
        let kind = if params.is_empty() { "traces".to_owned() } else { format!("traces.{}", number + 1) };
        let cases: Vec<_> = cases.iter().filter(|case| case.params == *params).collect();
        let set = setting::with(set, judge, params);
        let of_these = Asked { subject, set: &set, log, endpoint, conduct: &conduct };
        // They know what the log has, of the runs before, too.
        let mut answers = of_these.answers(write_traces(log, &kind, subject, &cases)?, Vec::new())?;
        conduct.spend(&answers.report);
        let is_whole = matches!(answers.exit, Exit::AllJudged | Exit::SomeFailed);
        if is_whole && all.is_some_and(|before| before.exit == Exit::SomeFailed) {
            answers.exit = Exit::SomeFailed;
        }
        all = Some(answers);
        if !is_whole {
            break;
        }
    }
    all.ok_or_else(|| CliError::usage("no minimal pairs"))
}

/// The dataset of a test, next to its log; for a judge of pairs, one for each side.
fn write_traces(log: &Path, kind: &str, subject: &Subject, cases: &[&Case]) -> Result<Vec<PathBuf>, CliError> {
    let lines = |traces: &mut dyn Iterator<Item = &Value>| traces.map(|trace| format!("{trace}\n")).collect::<String>();
    if subject.unit() != Unit::Pair {
        let all = lines(&mut cases.iter().flat_map(|case| &case.traces));
        return Ok(vec![asked::write_traces(log, kind, &all)?]);
    }
    let side = |(number, name): (usize, &&str)| {
        let of_side = lines(&mut cases.iter().filter_map(|case| case.traces.get(number)));
        asked::write_traces(log, &format!("{kind}.{name}"), &of_side)
    };
    asked::SIDES.iter().enumerate().map(side).collect()
}

pub(super) fn percent(share: &Share) -> String {
    let estimate = share.estimate.map_or("-".to_owned(), |estimate| format!("{:.1}%", 100.0 * estimate));
    format!("{estimate}  (95%: {:.1} to {:.1})", 100.0 * share.low, 100.0 * share.high)
}

fn write_report(out: &mut String, report: &TestReport) -> fmt::Result {
    let TestReport { judge, version, model, figures, criteria, wrong, .. } = report;
    writeln!(out, "\n{judge} version {version} on {}", one_line(model))?;
    write_figures(out, figures, "  ", if criteria.is_empty() { "" } else { ", by every criterion" })?;
    for (name, criterion) in criteria {
        writeln!(out, "  {name}")?;
        write_figures(out, &criterion.figures, "    ", "")?;
    }
    for wrong in wrong {
        let expected: Vec<_> = wrong.expected.iter().map(Value::to_string).collect();
        let criterion = wrong.criterion.as_ref().map_or_else(String::new, |criterion| format!("{criterion} "));
        writeln!(
            out,
            "  wrong      {}: {criterion}{} instead of {}; the pair differs in {}",
            wrong.trace_id,
            one_line(&wrong.value.to_string()),
            expected.join(" or "),
            wrong.differs
        )?;
    }
    Ok(())
}

fn write_figures(out: &mut String, figures: &Figures, indent: &str, by: &str) -> fmt::Result {
    let Figures { n, n_failed, n_abstained, accuracy, pairs, flips } = figures;
    writeln!(out, "{indent}accuracy   {}  of {}{by}", percent(accuracy), counted(*n, "trace"))?;
    writeln!(out, "{indent}pairs      {}  both right of {}", percent(&pairs.share), counted(pairs.n, "pair"))?;
    if *n_abstained > 0 {
        writeln!(out, "{indent}abstained  {n_abstained}")?;
    }
    if *n_failed > 0 {
        writeln!(out, "{indent}failed     {n_failed}  without a verdict, in no share")?;
    }
    for (name, Flips { flips, beyond_placebo }) in flips {
        write!(out, "{indent}{name:<10} {}  verdicts changed of {}", percent(&flips.share), flips.n)?;
        match beyond_placebo {
            Some(Share { estimate: Some(more), low, high }) => {
                let points = |share: f64| format!("{:+.1}", 100.0 * share);
                writeln!(out, "; beyond placebo {} points ({} to {})", points(*more), points(*low), points(*high))?;
            }
            _ => writeln!(out)?,
        }
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
