//! Every form of one report, in which every text from outside is hostile.

use quick_junit::Report as Junit;
use serde_json::{Value, json};

use super::*;
use crate::feedback::Feedback;
use crate::results::compare::ComparisonReport;
use crate::results::gate::GateOutcome;
use crate::results::judgments::{Judgment, Judgments, Outcome};
use crate::results::report::{JudgeReport, Report};
use crate::trace::Trace;

const HOSTILE: &str = "</script><script>alert(1)</script><img src=x onerror=alert(2)> \u{202e}gnihsihp\u{202c} \u{1b}[31mred\u{1b}[0m ]]> a|b `c` <!-- d --> @kim #1\u{2028}\u{0}\n::error::e\n| --- |";

fn estimate(estimate: f64) -> Value {
    json!({"estimate": estimate, "low": estimate - 0.01, "high": estimate + 0.01, "level": 0.95, "method": "wilson", "n": 990})
}

fn report() -> Report {
    let long = "x".repeat(1 << 20);
    let judge = |name: &str, source_id: &str, figures: Value| {
        let mut judge = json!({
            "name": name, "source_type": "LLM_JUDGE", "source_id": source_id, "good": "true", "n_scored": 990, "n_failed": 10,
            "failed": {"TIMEOUT": 7, "FOREIGN|CODE": 3}, "n_abstained": 2, "n_invalid": 1, "n_skipped": 5,
            "usage": {"input_tokens": 234_200, "output_tokens": 4700, "cached_tokens": 100_000, "reasoning_tokens": 12, "cost_usd": 0.1234, "attempts": 1020},
            "latency_ms": {"p50": 812.0, "p90": 2100.0, "p99": 7100.0, "max": 9000.0}, "readings": {"strict": 900, "prose": 90},
        });
        judge.as_object_mut().unwrap().extend(figures.as_object().unwrap().clone());
        judge
    };
    let slices = json!([
        {"by": "trace.tags.topic", "value": "leave", "n_scored": 500, "n_failed": 0, "failed": {}, "pass": estimate(0.98)},
        {"by": "trace.tags.topic", "value": HOSTILE, "n_scored": 4, "n_failed": 1, "failed": {"TIMEOUT": 1}, "pass": estimate(0.75)},
    ]);
    let bins: Vec<_> =
        (0..20_u32).map(|i| json!({"low": f64::from(i) / 20.0, "high": f64::from(i + 1) / 20.0, "n": i * i})).collect();
    serde_json::from_value(json!({
        "schema_version": 1,
        "logs": ["traces.feedback.jsonl"],
        "judges": [
            judge("safety", "openai:/gpt-4.1-mini", json!({"pass": estimate(0.972), "bounds": {"low": 0.96, "high": 0.98}, "slices": slices,
                "warnings": [{"code": "failures_could_decide", "message": format!("Beware: {HOSTILE}")}],
                "categories": [{"label": "true", "n": 960, "share": 0.97}, {"label": "false", "n": 30, "share": 0.03}]})),
            judge("accuracy", "openai:/gpt-4.1-mini", json!({"mean": estimate(0.78), "histogram": bins, "clusters": {"n": 100, "design_effect": 1.5},
                "quantiles": {"min": 0.0, "p10": 0.4, "p25": 0.6, "p50": 0.8, "p75": 0.9, "p90": 1.0, "max": 1.0}})),
            judge(HOSTILE, HOSTILE, json!({"categories": [{"label": "curt", "n": 900, "share": 0.9}, {"label": HOSTILE, "n": 90, "share": 0.1}]})),
            judge("nothing", "m", json!({"n_scored": 0, "n_failed": 0, "failed": {}})),
        ],
        "gates": [
            {"gate": "safety.pass >= 0.97", "outcome": "pass", "estimate": 0.972, "low": 0.962, "high": 0.982, "threshold": 0.97},
            {"gate": "accuracy.mean >= 0.9", "outcome": "fail", "estimate": 0.78, "low": 0.77, "high": 0.79, "threshold": 0.9, "reason": HOSTILE,
             "traces": [{"trace_id": HOSTILE, "name": "accuracy", "value": 0.1, "rationale": long}]},
            {"gate": "coverage >= 99%", "outcome": "inconclusive", "estimate": 0.99, "low": 0.98, "high": 0.995, "threshold": 0.99, "reason": "too few"},
        ],
        "comparisons": [{
            "name": "safety", "source_id": "openai:/gpt-4.1-mini", "measure": "pass", "n_pairs": 980, "n_only_base": 3, "n_only_new": 7, "base": 0.985, "new": 0.971,
            "difference": {"estimate": -0.014, "low": -0.024, "high": -0.004, "level": 0.95, "method": "tango"}, "p_value": 0.004, "p_adjusted": 0.012,
            "minimum_detectable": 0.013, "margin": 0.01, "outcome": "worse", "n_flips": 30,
            "flips": [{"trace_id": HOSTILE, "base": true, "new": false, "base_rationale": HOSTILE, "new_rationale": long}],
        }],
        "warnings": [{"code": "not_records", "message": HOSTILE}],
    }))
    .unwrap()
}

fn judgments() -> Judgments {
    let feedback = |name: &str, source: &str, trace: &str, rest: Value| {
        let mut record = json!({"name": name, "source": {"source_type": "LLM_JUDGE", "source_id": source}, "trace_id": trace, "last_update_time_ms": 1});
        record.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        Feedback::from_json(&record.to_string()).unwrap()
    };
    let model = "openai:/gpt-4.1-mini";
    let long = json!({"value": true, "rationale": format!("{HOSTILE}{}", "x".repeat(1 << 20)), "metadata": {"latency_ms": "12", "input_tokens": "3", "answer": HOSTILE}});
    let failed = json!({"error": {"error_code": "TIMEOUT", "error_message": HOSTILE}});
    let judgment =
        |feedback, outcome| Judgment { feedback, outcome, earlier: Vec::new(), slices: vec![Some(HOSTILE.to_owned())] };
    let mut first = judgment(feedback("safety", model, HOSTILE, long), Outcome::Good);
    first.earlier.push(feedback("safety", model, HOSTILE, failed.clone()));
    let second = judgment(feedback("safety", model, "tr-2", failed.clone()), Outcome::Failed);
    let mut third = judgment(
        feedback(HOSTILE, HOSTILE, "tr-2", json!({"value": {"a": [HOSTILE]}, "span_id": HOSTILE})),
        Outcome::Scored,
    );
    third.slices[0] = None;
    Judgments { listed: vec![first, second, third], by: vec![HOSTILE.to_owned()], left_out: 2 }
}

fn comparison() -> ComparisonReport {
    let Report { comparisons, anchors, gates, warnings, .. } = report();
    ComparisonReport {
        schema_version: 1,
        base: vec!["base.jsonl".into()],
        new: vec!["new.jsonl".into()],
        comparisons,
        anchors,
        gates,
        warnings,
    }
}

fn written(form: Form, results: &Findings<'_>) -> String {
    let judgments = judgments();
    let mut traces = PageTraces::of(&judgments);
    let spans = vec![crate::trace::Span {
        name: HOSTILE.into(),
        start_time_unix_nano: Some(1_764_321_000_000_000_001),
        ..Default::default()
    }];
    let trace = Trace {
        trace_id: HOSTILE.into(),
        inputs: Some(json!({"question": HOSTILE})),
        outputs: Some(json!("y".repeat(1 << 20))),
        spans,
        ..Trace::default()
    };
    assert!(traces.add(&trace), "the other trace is not there");
    let about = vec![("safety".to_owned(), HOSTILE.to_owned())];
    let page = Page {
        judgments: &judgments,
        traces: &traces,
        about,
        facts: vec![(HOSTILE.to_owned(), HOSTILE.to_owned())],
        created_ms: 1_764_321_900_000,
    };
    let mut out = Vec::new();
    form.write(results, &page, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn both(form: Form, mut check: impl FnMut(&str)) {
    check(&written(form, &Findings::Report(&report())));
    check(&written(form, &Findings::Comparison(&comparison())));
}

fn assert_harmless(text: &str) {
    let is_harmful = |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2028}');
    assert_eq!(text.chars().find(|c| is_harmful(*c)), None);
}

#[test]
fn labels_are_shown_where_the_pass_rate_does_not_say_the_same() {
    let shows = |change: fn(&mut JudgeReport)| {
        let mut report = report();
        report.judges.truncate(1);
        change(&mut report.judges[0]);
        written(Form::Text, &Findings::Report(&report)).contains("960")
    };
    assert!(!shows(|_| ()));
    assert!(shows(|judge| judge.figures.categories[0].label = "fully correct".to_owned()));
    assert!(shows(|judge| judge.figures.pass = None));
}

#[test]
fn all_gates_pass_where_none_fails_and_none_is_undecided() {
    use GateOutcome::{Fail, Inconclusive, Pass};
    let outcome_of = |outcomes: &[GateOutcome]| {
        let mut report = report();
        report.gates.truncate(outcomes.len());
        report.gates.iter_mut().zip(outcomes).for_each(|(gate, outcome)| gate.outcome = *outcome);
        headline::Headline::of(&Findings::Report(&report)).outcome
    };
    assert_eq!(outcome_of(&[]), None);
    assert_eq!(outcome_of(&[Pass, Pass]), Some(Pass));
    assert_eq!(outcome_of(&[Pass, Inconclusive]), Some(Inconclusive));
    assert_eq!(outcome_of(&[Inconclusive, Fail]), Some(Fail));
}

#[test]
fn text_fits_a_terminal_and_commands_neither_it_nor_a_ci_server() {
    both(Form::Text, |text| {
        assert_harmless(text);
        for line in text.lines() {
            assert!(plain::width(line) <= 80, "{line}");
            assert!(!line.trim_start().starts_with("::"), "{line}");
        }
    });
    insta::assert_snapshot!(written(Form::Text, &Findings::Report(&report())));
}

#[test]
fn markdown_tables_keep_their_columns() {
    both(Form::Markdown, |text| {
        assert_harmless(text);
        assert!(text.starts_with(MARKER));
        assert!(text.len() < 1 << 20);
        assert_eq!(text.matches("<!--").count(), 1, "only the marker");
        assert!(!text.contains("<script") && !text.contains("<img"));
        let mut columns = None;
        for line in text.lines() {
            let n = line.starts_with('|').then(|| line.matches('|').count());
            assert!(columns.is_none() || n.is_none() || n == columns, "{line}");
            columns = n;
        }
    });
    insta::assert_snapshot!(written(Form::Markdown, &Findings::Report(&report())));
}

#[test]
fn junit_counts_failing_gates_as_failures_failed_judgments_as_errors_and_the_undecided_as_skipped() {
    both(Form::Junit, |xml| {
        assert_harmless(xml);
        let junit = Junit::deserialize_from_str(xml).unwrap();
        let root = xml.lines().find(|line| line.starts_with("<testsuites ")).unwrap();
        assert!(!root.contains("skipped") && xml.matches(" skipped=\"").count() == junit.test_suites.len(), "{root}");
        let sum = |of: fn(&quick_junit::TestSuite) -> usize| junit.test_suites.iter().map(of).sum::<usize>();
        assert_eq!(
            (junit.tests, junit.failures, junit.errors),
            (sum(|s| s.tests), sum(|s| s.failures), sum(|s| s.errors))
        );
        for suite in &junit.test_suites {
            assert_eq!(suite.tests, suite.test_cases.len());
        }
    });
    let junit = Junit::deserialize_from_str(&written(Form::Junit, &Findings::Report(&report()))).unwrap();
    let suites: Vec<_> = junit.test_suites.iter().map(|s| (s.tests, s.failures, s.errors, s.skipped)).collect();
    // Of safety one failed judgment is listed; the other codes and failures of a judge are one case each.
    assert_eq!(suites, [(5, 0, 3, 0), (4, 1, 2, 0), (3, 0, 2, 0), (1, 0, 0, 1), (1, 0, 0, 1)]);
    insta::assert_snapshot!(written(Form::Junit, &Findings::Report(&report())));
}

#[test]
fn every_row_of_a_table_has_all_columns_and_no_formula() {
    both(Form::Csv, |text| {
        let mut reader = ::csv::Reader::from_reader(text.as_bytes());
        let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
        assert!(!rows.is_empty());
    });
    let mut formula = report();
    formula.judges[0].name = "=1+1".into();
    let text = written(Form::Csv, &Findings::Report(&formula));
    let mut reader = ::csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().unwrap().clone();
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    let cell = |row: usize, column: &str| &rows[row][header.iter().position(|title| title == column).unwrap()];
    assert_eq!(rows.len(), 4 + 2, "judges and slices");
    assert_eq!(
        (cell(0, "name"), cell(0, "pass"), cell(0, "pass_method"), cell(0, "n_failed")),
        ("'=1+1", "0.972", "wilson", "10")
    );
    assert_eq!(
        (cell(1, "slice_by"), cell(1, "slice_value"), cell(1, "pass"), cell(1, "cost_usd")),
        ("trace.tags.topic", "leave", "0.98", "")
    );
    assert_eq!((cell(3, "mean"), cell(3, "p50"), cell(3, "design_effect")), ("0.78", "0.8", "1.5"));
}

#[test]
fn json_is_as_its_schema_says() {
    let schema: Value = serde_json::from_str(include_str!("../../../docs/report.schema.json")).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    both(Form::Json, |text| {
        let value: Value = serde_json::from_str(text).unwrap();
        let errors: Vec<_> =
            validator.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert_eq!(errors, [""; 0]);
    });
    let text = written(Form::Json, &Findings::Report(&report()));
    assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report());
    // The schema must refuse something, or it says nothing.
    let mut wrong: Value = serde_json::from_str(&text).unwrap();
    wrong["judges"][0]["pass"]["method"] = json!("guess");
    assert!(!validator.is_valid(&wrong));
    wrong = serde_json::from_str(&text).unwrap();
    wrong["judges"][0]["n_scored"] = json!(-1);
    assert!(!validator.is_valid(&wrong));
}

/// The content of the script element with this id.
fn block<'a>(page: &'a str, id: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("<script type=\"application/json\" id=\"{id}\">")).unwrap();
    rest.split_once("</script>").unwrap().0
}

#[test]
fn a_page_holds_hostile_text_as_data_alone() {
    both(Form::Html, |page| {
        // Two blocks of data and the script.
        assert_eq!((page.matches("<script").count(), page.matches("</script").count()), (3, 3));
        for id in ["data", "traces-0"] {
            let text = block(page, id);
            assert_eq!(text.find(['<', '>', '&', '\u{2028}', '\u{2029}']), None);
            serde_json::from_str::<Value>(text).unwrap();
        }
        assert!(page.len() < 2_000_000, "{}", page.len());
    });
    let page = written(Form::Html, &Findings::Report(&report()));
    let data: Value = serde_json::from_str(block(&page, "data")).unwrap();
    assert_eq!(data["traces"]["id"][0], HOSTILE);
    assert_eq!((&data["judgments"]["outcome"], &data["judgments"]["trace"]), (&json!([5, 1, 4]), &json!([0, 1, 1])));
    assert_eq!((&data["judgments"]["tokens"][0], &data["judgments"]["latency_ms"][0]), (&json!(3), &json!(12)));
    assert_eq!((&data["left_out"], &data["sources"][1]["judge"]), (&json!(2), &json!(2)));
    assert_eq!(data["slices"], json!([{"by": HOSTILE, "values": [HOSTILE], "of": [0, 0, null]}]));
    let traces: Value = serde_json::from_str(block(&page, "traces-0")).unwrap();
    assert_eq!(traces[0]["trace"]["inputs"]["question"], HOSTILE);
    assert_eq!(traces[0]["trace"]["spans"][0]["start_time_unix_nano"], "1764321000000000001");
    assert!(traces[0]["cut"].as_u64().unwrap() > 600_000, "most of the answer is not on the page");
    assert!(traces[0]["feedback"][0]["rationale_cut"].as_u64().unwrap() > 1_000_000);
    assert_eq!(traces[0]["feedback"][0]["history"][0]["code"], "TIMEOUT");
    assert_eq!(traces[1].get("trace"), None, "it was not found");
}

#[test]
fn a_page_allows_its_own_style_and_script_alone() {
    use base64::Engine as _;
    let page = written(Form::Html, &Findings::Report(&report()));
    let policy = page
        .split_once("Content-Security-Policy\" content=\"")
        .unwrap()
        .1
        .split_once('"')
        .unwrap()
        .0
        .replace("&#39;", "'");
    let between = |from: &str, to: &str| page.split_once(from).unwrap().1.split_once(to).unwrap().0.to_owned();
    let hash = |text: &str| {
        base64::engine::general_purpose::STANDARD.encode(ring::digest::digest(&ring::digest::SHA256, text.as_bytes()))
    };
    let style = hash(&between("<style>", "</style>"));
    let script = hash(&between("<script>", "</script>"));
    assert_eq!(
        policy,
        format!(
            "default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; img-src data:; base-uri 'none'; form-action 'none'"
        )
    );
    for attribute in [" onclick=", " onerror=x", " style=", "javascript:", "http://", "https://"] {
        let own = page.replace(block(&page, "data"), "").replace(block(&page, "traces-0"), "");
        let own = own.replace("http://www.w3.org/2000/svg", "");
        assert!(!own.contains(attribute), "{attribute}");
    }
}
