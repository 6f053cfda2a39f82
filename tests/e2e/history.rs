//! What a log means: every command says the same, before and after a conversion.

use serde_json::{Value, json};

use crate::common::{Fake, Place, answers};

const LOG: &str = "traces.feedback.jsonl";

/// How many opinions `status` counts as scored, failed and rejected.
#[track_caller]
fn counts(place: &Place, log: &str) -> [u64; 3] {
    let status: Value = serde_json::from_str(&place.run(["status", log, "--json"]).exits_with(0).stdout).unwrap();
    let judges = status["log"]["judges"].as_array().unwrap();
    let sum = |of: &dyn Fn(&Value) -> u64| judges.iter().map(of).sum();
    let failed = |judge: &Value| judge["failed"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
    [sum(&|judge| judge["scored"].as_u64().unwrap()), sum(&failed), sum(&|judge| judge["invalid"].as_u64().unwrap())]
}

fn record(id: u8, more: Value) -> String {
    let mut record = json!({
        "assessment_id": format!("a-{id:032x}"), "name": "j", "trace_id": "t", "create_time_ms": 1,
        "source": {"source_type": "LLM_JUDGE", "source_id": "e:/m"}, "metadata": {"run_id": "r", "judge_prompt": "p"},
    });
    if let (Value::Object(record), Value::Object(more)) = (&mut record, more) {
        record.extend(more);
    }
    format!("{record}\n")
}

#[test]
fn a_verdict_a_failure_and_a_mark_count_the_same_in_every_form() {
    let place = Place::new();
    let failed = || record(2, json!({"error": {"error_code": "CONTENT_FILTERED"}, "last_update_time_ms": 2}));
    let verdict = || record(1, json!({"value": true}));
    let mark = || record(1, json!({"value": true, "valid": false, "last_update_time_ms": 3}));
    for (log, expected) in [
        (verdict() + &failed() + &mark(), [0, 1, 0]),
        (verdict() + &mark() + &failed(), [0, 1, 0]),
        (failed() + &verdict() + &mark(), [0, 0, 1]),
        (failed() + &verdict(), [1, 0, 0]),
    ] {
        place.write("log.jsonl", &log);
        assert_eq!(counts(&place, "log.jsonl"), expected, "{log}");
        for args in [
            &["convert", "log.jsonl", "present.jsonl", "--present", "--overwrite"][..],
            &["convert", "log.jsonl", "x.mlflow.jsonl", "--present", "--overwrite"],
            &["convert", "log.jsonl", "x.csv", "--overwrite"],
            &["convert", "x.csv", "table.jsonl", "--overwrite"],
            &["merge", "log.jsonl", "-o", "merged.jsonl", "--overwrite"],
            &["compact", "log.jsonl"],
        ] {
            place.run(args).exits_with(0);
        }
        for made in ["present.jsonl", "table.jsonl", "merged.jsonl", "log.jsonl"] {
            assert_eq!(counts(&place, made), expected, "{made} of {log}");
        }
        assert_eq!(place.read("x.csv").contains("CONTENT_FILTERED"), expected[1] == 1);
    }
}

#[test]
fn a_superseded_verdict_is_reinstated_also_after_a_way_through_other_forms() {
    let place = Place::with_traces(2);
    let fake = Fake::start(|_| answers::verdict(true));
    let run = |prompt: &str, log: &str| {
        let judge = format!("[verdict]\ntype = \"boolean\"\n[prompt]\nuser = \"{prompt} {{{{{{{{ outputs }}}}}}}}\"\n");
        place.write("j.toml", judge.replace("{{{{", "{{").replace("}}}}", "}}"));
        place.run(["-d", "traces.jsonl", "-J", "j.toml", "--base-url", &fake.base_url(), "-o", log]).exits_with(0);
        fake.count()
    };
    run("First?", LOG);
    run("Second?", LOG);
    for (made, args) in [
        ("x.mlflow.jsonl", &["convert", LOG, "x.mlflow.jsonl", "--present"][..]),
        ("mlflow.jsonl", &["convert", "x.mlflow.jsonl", "mlflow.jsonl"]),
        ("x.csv", &["convert", LOG, "x.csv"]),
        ("csv.jsonl", &["convert", "x.csv", "csv.jsonl"]),
    ] {
        place.run(args).exits_with(0);
        assert!(place.path(made).exists());
    }
    for log in [LOG, "mlflow.jsonl", "csv.jsonl"] {
        assert_eq!(run("First?", log), 4, "{log}: what was paid for is not asked again");
        assert_eq!(counts(&place, log), [2, 0, 0]);
    }
    // So it is in a log whose verdicts are reused.
    let args = ["-d", "traces.jsonl", "-J", "j.toml", "--base-url", &fake.base_url(), "-o", "new.jsonl"];
    place.run(args.iter().chain(&["--reuse", "mlflow.jsonl"])).exits_with(0);
    assert_eq!((fake.count(), place.lines("new.jsonl").len()), (4, 2));
}

#[test]
fn records_of_people_and_programs_are_not_the_runs_whatever_their_ids() {
    let place = Place::with_traces(3);
    let fake = Fake::start(|_| answers::verdict(true));
    place.judge(&fake.base_url(), &[]).run().exits_with(0);
    let replay = |more: &[&str]| place.run([&["replay", LOG, "--base-url", &fake.base_url()], more].concat()).stdout;
    let before = (counts(&place, LOG), replay(&[]), replay(&["--include-invalid"]));
    let theirs = |source: Value, more: Value| {
        let mut record = json!({
            "assessment_id": "a-0123456789abcdef0123456789abcdef", "assessment_name": "safety", "trace_id": "trace-1",
            "source": source, "feedback": {"value": true}, "metadata": {"mlflow.assessment.sourceRunId": "1"},
        });
        if let (Value::Object(record), Value::Object(more)) = (&mut record, more) {
            record.extend(more);
        }
        format!("{record}\n")
    };
    let judge = json!({"source_type": "LLM_JUDGE", "source_id": "openai:/gpt-4.1-mini"});
    let failed = json!({"feedback": {"value": null, "error": {"error_code": "SCORER_ERROR"}}});
    let more = theirs(json!({"source_type": "HUMAN", "source_id": "kim"}), json!({"valid": false}))
        + &theirs(json!({"source_type": "CODE", "source_id": "length.py"}), failed.clone())
        + &theirs(judge.clone(), failed)
        + &theirs(judge, json!({"valid": false}));
    place.write(LOG, place.read(LOG) + &more);
    assert_eq!((counts(&place, LOG), replay(&[]), replay(&["--include-invalid"])), before);
    place.run(["compact", LOG]).exits_with(0);
    assert!(place.read(LOG).ends_with(&more), "they stay as they are");
    place.judge(&fake.base_url(), &[]).run().exits_with(0);
    assert_eq!(fake.count(), 3);
}
