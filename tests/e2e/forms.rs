//! The forms of `report` and `compare`, and `show`.

use serde_json::{Value, json};

use crate::common::{Fake, Place, answers};

const LOG: &str = "traces.feedback.jsonl";
const HOSTILE: &str = "</script><script>alert(1)</script> \u{202e}x\u{1b}[2J ]]> a|b `c`\n::error::x";

/// A run over 6 traces; the judge refuses one and finds two bad, and its words are hostile.
fn judged() -> Place {
    let place = Place::with_traces(6);
    let fake = Fake::start(|request| match request.trace() {
        3 => answers::error(424, "invalid_value", HOSTILE),
        n => answers::completion(&json!({"rationale": format!("{HOSTILE} {n}"), "value": n < 3}).to_string()),
    });
    place.judge(&fake.base_url(), &["-q"]).run().exits_with(3);
    place
}

#[test]
fn the_name_of_the_output_or_format_sets_the_form() {
    let place = judged();
    for (name, begins) in [
        ("r.txt", "traces.feedback.jsonl\n"),
        ("r.json", "{\n  \"schema_version\": 1,"),
        ("r.md", "<!-- judge-run -->\n## "),
        ("r.xml", "<?xml version=\"1.0\" encoding=\"UTF-8\"?>"),
        ("r.csv", "name,source_type,source_id,"),
        ("r.html", "<!doctype html>"),
    ] {
        place.run(["report", LOG, "-o", name]).exits_with(0).prints(&[]);
        assert!(place.read(name).starts_with(begins), "{name}");
        place.run(["compare", LOG, LOG, "-o", name]).exits_with(0);
    }
    let stdout = |format: &str| place.run(["report", LOG, "--format", format]).exits_with(0).stdout;
    assert!(
        stdout("junit")
            .contains("<testsuite name=\"safety (openai:/gpt-4.1-mini)\" tests=\"2\" skipped=\"0\" errors=\"1\"")
    );
    assert!(stdout("html").ends_with("</html>\n"));
    place.run(["report", LOG, "--format", "pdf"]).exits_with(2).says(&["pdf", "junit"]);
    place.run(["report", LOG, "-o", LOG, "--format", "json"]).exits_with(2).says(&["both input and output"]);
    place.run(["report", LOG, "-o", "r"]).exits_with(2).says(&["cannot infer the form"]);
}

#[test]
fn a_runs_report_may_be_a_page_with_its_traces() {
    let place = Place::with_traces(2);
    let fake = Fake::start(|_| answers::verdict(true));
    place.judge(&fake.base_url(), &["--report", "r.html", "-q"]).run().exits_with(0);
    let block = |id: &str| {
        let page = place.read("r.html");
        let (_, rest) = page.split_once(&format!("id=\"{id}\">")).unwrap();
        serde_json::from_str::<Value>(rest.split_once("</script>").unwrap().0).unwrap()
    };
    assert_eq!(block("data")["traces"]["id"].as_array().unwrap().len(), 2);
    assert!(block("traces-0")[0]["trace"]["inputs"].is_object(), "found where the manifest says");
    std::fs::rename(place.path("traces.jsonl"), place.path("moved.jsonl")).unwrap();
    place.run(["report", LOG, "-o", "r.html"]).exits_with(0).says(&["no longer exists", "--dataset"]);
    assert!(block("traces-0")[0].get("trace").is_none(), "the log alone makes a page, too");
    place.run(["report", LOG, "-o", "r.html", "-d", "moved.jsonl"]).exits_with(0);
    assert!(block("traces-0")[0]["trace"]["inputs"].is_object());
}

#[test]
fn slices_of_a_page_are_those_of_the_report() {
    let place = judged();
    place.run(["report", LOG, "--by", "trace.trace_id", "-o", "r.html"]).exits_with(0);
    let page = place.read("r.html");
    let (_, rest) = page.split_once("id=\"data\">").unwrap();
    let data: Value = serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap();
    assert_eq!(data["slices"][0]["by"], "trace.trace_id");
    assert_eq!(data["slices"][0]["values"].as_array().unwrap().len(), 6);
    assert_eq!(data["slices"][0]["of"], json!([0, 1, 2, 3, 4, 5]));
}

#[test]
fn github_gets_a_summary_and_annotations() {
    let place = judged();
    place.write("summary.md", "before\n");
    let report = ["report", LOG, "--format", "json", "--github", "--gate", "safety.pass >= 0.9"];
    let finished = place.command(report).env("GITHUB_STEP_SUMMARY", place.path("summary.md")).run().exits_with(1);
    let commands: Vec<_> = finished.stderr.lines().filter(|line| line.starts_with("::")).collect();
    assert_eq!(commands.len(), 2, "{commands:?}");
    assert!(commands[0].starts_with("::error title=Gate fails%3A safety.pass >= 0.9::60.0%25 ["), "{}", commands[0]);
    assert!(commands[1].starts_with("::warning title=1 failed judgment of safety::"), "{}", commands[1]);
    serde_json::from_str::<Value>(&finished.stdout).unwrap();
    let summary = place.read("summary.md");
    assert!(summary.starts_with("before\n<!-- judge-run -->\n") && !summary.contains("<script"), "{summary}");
    place.run(["report", LOG, "--github"]).exits_with(0).says(&["GITHUB_STEP_SUMMARY is not set"]);
}

#[test]
fn a_trace_is_shown_with_what_was_said_of_it() {
    let place = judged();
    let list = place.run(["show", LOG]).exits_with(0).stdout;
    assert_eq!(list.lines().count(), 6, "{list}");
    let ids: Vec<_> = list.lines().map(|line| line.split_whitespace().next().unwrap().to_owned()).collect();
    assert!(ids.contains(&"trace-0".to_owned()), "{list}");
    let shown = place.run(["show", LOG, "trace-0"]).exits_with(0).stdout;
    for line in shown.lines() {
        assert!(line.chars().count() <= 80 && !line.trim_start().starts_with("::"), "{line}");
    }
    let harmful = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert_eq!(shown.chars().find(|c| harmful(*c)), None);
    for words in ["\ninput\n  │ ", "\noutput\n  │ ", "✓ safety: true (model openai:/gpt-4.1-mini)", "│ ::error::x 0"]
    {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    place.run(["show", LOG, "no such"]).exits_with(2).says(&["no judgment is about a trace", "judge-run show LOG"]);
    place.run(["show", LOG, "tr"]).exits_with(2).says(&["6 traces begin with", "give more of its id"]);
    place.run(["show", "none.jsonl"]).exits_with(2).says(&["none.jsonl"]);
}

#[test]
fn long_texts_are_shown_to_their_end_on_demand() {
    let place = Place::new();
    let record = json!({"name": "j", "trace_id": "t", "value": 1, "rationale": "a line\n".repeat(5000) + "the end",
                        "source": {"source_type": "HUMAN", "source_id": "kim"}});
    place.write("a.jsonl", format!("{record}\n"));
    let shown = place.run(["show", "a.jsonl", "t"]).exits_with(0).stdout;
    assert!(shown.lines().count() < 30 && shown.contains("characters in all; --full shows them"), "{shown}");
    let full = place.run(["show", "a.jsonl", "t", "--full"]).exits_with(0).stdout;
    assert!(full.lines().count() > 5000 && full.contains("│ the end"));
}
