//! JUnit's XML, which CI servers show: one suite per judge. A failed gate is a failure, a failed judgment an error, an undecided gate is skipped.

use quick_junit::{NonSuccessKind, Report as Junit, SerializeError, TestCase, TestCaseStatus, TestSuite, XmlString};

use super::figures::{counted, of_gate};
use super::findings::Findings;
use super::headline::Headline;
use super::plain::{clip, one_line, verdict};
use crate::feedback::ErrorCode;
use crate::results::gate::{GateOutcome, GateResult};
use crate::results::judgments::Judgment;
use crate::results::report::JudgeReport;

/// How much CI servers show without problems, in characters.
const MAX_NAME: usize = 512;
const MAX_MESSAGE: usize = 1024;
const MAX_DETAILS: usize = 8192;
/// Of each judge; more are counted.
const MAX_ERRORS: usize = 1000;

/// `failed` are the failed judgments that are listed one by one.
pub(super) fn write(results: &Findings<'_>, failed: &[&Judgment]) -> Result<String, SerializeError> {
    let mut junit = Junit::new(short("judge-run"));
    let judges = results.judges();
    let names: Vec<&str> = judges.iter().map(|judge| judge.name.as_str()).collect();
    for judge in judges {
        let source = if judge.source_id.is_empty() { String::new() } else { format!(" ({})", judge.source_id) };
        let mut suite = TestSuite::new(short(&format!("{}{source}", judge.name)));
        suite.add_test_case(verdicts(judge));
        // A name's gates are in its first suite, if it has several.
        let is_first = names.iter().position(|name| *name == judge.name)
            == judges.iter().position(|other| std::ptr::eq(other, judge));
        let own = results.gates().iter().filter(|gate| is_first && judge_of(gate, &names) == Some(&judge.name));
        suite.add_test_cases(own.map(|gate| gate_case(gate, &judge.name)));
        suite.add_test_cases(errors(judge, failed));
        junit.add_test_suite(suite);
    }
    let others: Vec<_> = results.gates().iter().filter(|gate| judge_of(gate, &names).is_none()).collect();
    if !others.is_empty() || judges.is_empty() {
        let mut suite = TestSuite::new("gates");
        suite.add_test_cases(others.into_iter().map(|gate| gate_case(gate, "gates")));
        let text = Headline::of(results).details.join("\n");
        if !text.is_empty() {
            suite.set_system_out(XmlString::new(text));
        }
        junit.add_test_suite(suite);
    }
    junit.to_string().map(without_skipped)
}

/// `<testsuites>` has no number of skipped tests: only each suite has, in Jenkins' schema (`junit-10.xsd`) and in others.
fn without_skipped(xml: String) -> String {
    let tag = xml.find("<testsuites ").and_then(|from| Some((from, from + xml[from..].find('>')?)));
    let Some((from, to)) = tag else { return xml };
    let counted = xml[from..to].find(" skipped=\"").and_then(|at| {
        let value = from + at + " skipped=\"".len();
        Some((from + at, value + xml[value..to].find('"')? + 1))
    });
    match counted {
        Some((start, end)) => format!("{}{}", &xml[..start], &xml[end..]),
        None => xml,
    }
}

/// The judge whose figures a gate is about: the longest matching name.
fn judge_of<'a>(gate: &GateResult, names: &[&'a str]) -> Option<&'a str> {
    let rest = |name: &str| gate.gate.trim_start().strip_prefix(name)?.chars().next();
    let is_named = |name: &&&str| rest(name).is_some_and(|c| !c.is_alphanumeric() && c != '_' && c != '-');
    names.iter().filter(is_named).max_by_key(|name| name.len()).copied()
}

fn short(text: &str) -> XmlString {
    XmlString::new(clip(&one_line(text), MAX_NAME))
}

fn case(name: &str, judge: &str, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(short(name), status);
    case.set_classname(short(judge));
    case
}

/// The verdicts as one test: a bad verdict is not a failure of the run, unless a gate makes it one.
fn verdicts(judge: &JudgeReport) -> TestCase {
    let scored = judge.figures.n_scored;
    let status = if scored > 0 { TestCaseStatus::success() } else { TestCaseStatus::skipped() };
    case(&counted(scored, "verdict"), &judge.name, status)
}

fn gate_case(gate: &GateResult, judge: &str) -> TestCase {
    let mut status = match gate.outcome {
        GateOutcome::Pass => TestCaseStatus::success(),
        GateOutcome::Fail => TestCaseStatus::non_success(NonSuccessKind::Failure),
        GateOutcome::Inconclusive => TestCaseStatus::skipped(),
    };
    if gate.outcome != GateOutcome::Pass {
        let reason = gate.reason.as_ref().map(|reason| format!("; {reason}")).unwrap_or_default();
        status.set_type(match gate.outcome {
            GateOutcome::Fail => "gate",
            _ if gate.is_judge_changed() => "judge_changed",
            _ => "inconclusive",
        });
        status.set_message(XmlString::new(clip(&one_line(&format!("{}{reason}", of_gate(gate))), MAX_MESSAGE)));
        let traces: Vec<_> = gate
            .traces
            .iter()
            .map(|trace| {
                one_line(&format!("{} {}", trace.trace_id, trace.value.as_ref().map(verdict).unwrap_or_default()))
            })
            .collect();
        if !traces.is_empty() {
            status.set_description(XmlString::new(clip(&traces.join("\n"), MAX_DETAILS)));
        }
    }
    case(&gate.gate, judge, status)
}

/// The failed judgments one by one if listed, the others by code.
fn errors(judge: &JudgeReport, failed: &[&Judgment]) -> Vec<TestCase> {
    let mut known = std::collections::BTreeMap::<&str, u64>::new();
    let mut cases = Vec::new();
    let is_its_own = |judgment: &&&Judgment| judgment.is_of(judge);
    for judgment in failed.iter().filter(is_its_own).take(MAX_ERRORS) {
        let Some(error) = &judgment.feedback.error else { continue };
        let error_code = error.error_code.as_str();
        *known.entry(error_code).or_default() += 1;
        let message = error.error_message.as_deref().unwrap_or(error_code);
        let span = judgment.feedback.span_id.as_ref().map(|id| format!(" span {id}")).unwrap_or_default();
        let document = judgment.feedback.document_index().map(|index| format!(" document_index {index}"));
        let document = document.unwrap_or_default();
        let trace = judgment.feedback.trace_id.as_deref().unwrap_or("no trace");
        cases.push(case(&format!("{trace}{span}{document}"), &judge.name, error_status(error_code, message)));
    }
    for (error_code, n) in &judge.figures.failed {
        let more = n.saturating_sub(known.get(error_code.as_str()).copied().unwrap_or(0));
        if more > 0 {
            let name = counted(more, if known.is_empty() { "judgment" } else { "more judgment" });
            cases.push(case(&format!("{name}: {error_code}"), &judge.name, error_status(error_code, &name)));
        }
    }
    cases
}

fn error_status(error_code: &str, message: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    status.set_type(short(error_code));
    status.set_message(XmlString::new(clip(&one_line(message), MAX_MESSAGE)));
    if let Ok(known) = error_code.parse::<ErrorCode>() {
        let traits = known.traits();
        status.set_description(XmlString::new(format!("{}. Remedy: {}.", traits.meaning, traits.remedy)));
    }
    status
}
