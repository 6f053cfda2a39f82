//! `judge-run report`, `judge-run compare` and gates.

use serde_json::{Value, json};

use crate::common::{Fake, Finished, Place, answers};

/// A record as a run would leave it: trace `t{n}`, with a verdict or, where that is `null`, a failure.
fn record(n: usize, name: &str, value: &Value, metadata: &Value) -> String {
    let mut record = json!({
        "assessment_id": format!("a-{n:028x}{:04x}", name.len()), "name": name, "trace_id": format!("t{n}"),
        "source": {"source_type": "LLM_JUDGE", "source_id": "e:/m"}, "create_time_ms": 1, "rationale": format!("Reason {n}."),
        "metadata": {"run_id": "r", "judge_prompt": "prompts:/j/1", "judge_digest": "d1"},
    });
    record["metadata"].as_object_mut().unwrap().extend(metadata.as_object().unwrap().clone());
    match value {
        Value::Null => record["error"] = json!({"error_code": "TIMEOUT"}),
        value => record["value"] = value.clone(),
    }
    format!("{record}\n")
}

/// A log of `n` booleans, the first `passed` of which are true.
fn booleans(name: &str, passed: usize, n: usize) -> String {
    (0..n).map(|i| record(i, name, &json!(i < passed), &json!({"good": "true"}))).collect()
}

fn parsed(finished: Finished) -> Value {
    serde_json::from_str(&finished.stdout).unwrap()
}

#[test]
fn a_report_on_a_run_says_what_came_of_it() {
    let place = Place::with_traces(10);
    let fake = Fake::start(|request| match request.trace() {
        7 => answers::error(424, "invalid_value", "Not today."),
        n => answers::verdict(n < 6),
    });
    place.judge(&fake.base_url(), &["-o", "a.jsonl", "-q"]).run().exits_with(3);
    let report = parsed(place.run(["report", "a.jsonl", "--format", "json"]).exits_with(0));
    let judge = &report["judges"][0];
    assert_eq!((&report["schema_version"], &report["logs"]), (&json!(1), &json!(["a.jsonl"])));
    assert_eq!((&judge["n_scored"], &judge["n_failed"], &judge["good"]), (&json!(9), &json!(1), &json!("true")));
    assert_eq!(judge["pass"]["estimate"].as_f64(), Some(6.0 / 9.0));
    assert_eq!(judge["bounds"], json!({"low": 0.6, "high": 0.7}));
    // One request for the failure, not repeated for an answer without a verdict.
    assert_eq!((&judge["usage"]["input_tokens"], &judge["usage"]["output_tokens"]), (&json!(900), &json!(90)));
    assert_eq!((&judge["n_skipped"], &report["gates"]), (&json!(0), &json!([])));
    place.run(["report", "a.jsonl", "-o", "r.json"]).exits_with(0).prints(&[]);
    assert_eq!(serde_json::from_str::<Value>(&place.read("r.json")).unwrap(), report);
    place.run(["report", "a.jsonl", "-o", "r.xyz"]).exits_with(2).says(&["cannot infer the form", "hint: name it"]);
}

#[test]
fn a_report_as_text_is_as_it_was_reviewed() {
    let place = Place::new();
    let mut log = String::new();
    for n in 0..40 {
        let session =
            json!({"good": "true", "session_id": format!("s{}", n / 2), "latency_ms": "700", "attempts": "1"});
        log += &record(n, "safety", &json!(n % 10 > 0), &session);
        let value = if n < 3 { Value::Null } else { json!(n % 5 + 1) };
        log += &record(n, "tone", &value, &json!({"good": ">= 4", "scale": "1..5"}));
    }
    log += r#"{"name":"safety","value":false,"trace_id":"t1","source":{"source_type":"HUMAN","source_id":"kim \u001b[2J"}}"#;
    place.write("a.jsonl", log);
    let report = ["report", "a.jsonl", "--by", "session", "--gate", "tone.pass >= 0.5", "--gate", "safety.pass >= 0.5"];
    let finished = place.run(report).exits_with(1);
    assert!(finished.stdout.lines().all(|line| line.chars().count() <= 80), "{}", finished.stdout);
    insta::assert_snapshot!(finished.stdout);
}

#[test]
fn several_logs_are_read_as_one_and_each_judgment_counts_once() {
    let place = Place::new();
    place.write("a.jsonl", booleans("safety", 3, 5));
    place.write("b.jsonl", booleans("safety", 3, 8));
    for logs in [&["a.jsonl", "b.jsonl"][..], &["*.jsonl"], &["b.jsonl"]] {
        let report = place.run([&["report", "--format", "json"], logs].concat()).exits_with(0);
        assert_eq!(parsed(report)["judges"][0]["n_scored"], 8, "{logs:?}");
    }
    place.run(["report", "none.jsonl"]).exits_with(2).says(&["none.jsonl"]);
    place.write("other.txt", "no log\n");
    place.run(["report", "other.txt"]).exits_with(2).says(&["is not a feedback log"]);
}

#[test]
fn a_report_is_divided_by_facts_of_records_and_of_traces() {
    let place = Place::new();
    let trace = |n: usize| {
        let env = if n < 6 { "prod" } else { "test" };
        json!({"trace_id": format!("t{n}"), "inputs": {"q": n}, "outputs": "x", "tags": {"env": env}}).to_string()
            + "\n"
    };
    place.write("traces.jsonl", (0..10).map(trace).collect::<String>());
    place.write("a.jsonl", booleans("safety", 5, 10));
    let slices = |args: &[&str]| {
        let report = parsed(place.run([&["report", "a.jsonl", "--format", "json"], args].concat()).exits_with(0));
        let slices = report["judges"][0]["slices"].as_array().cloned().unwrap_or_default();
        let slice = |slice: &Value| (slice["value"].as_str().unwrap().to_owned(), slice["n_scored"].as_u64().unwrap());
        slices.iter().map(slice).collect::<Vec<_>>()
    };
    let by_env = slices(&["--by", "trace.tags.env", "-d", "traces.jsonl"]);
    assert_eq!(by_env, [("prod".to_owned(), 6), ("test".to_owned(), 4)]);
    assert_eq!(slices(&["--by", "metadata.judge_digest"]), [("d1".to_owned(), 10)]);
    let gate = |gate: &str, code| {
        place.run(["report", "a.jsonl", "-d", "traces.jsonl", "--gate", gate]).exits_with(code);
    };
    gate("safety[trace.tags.env = prod].pass >= 0.8", 0);
    gate("safety[trace.tags.env = 'test'].pass >= 0.8", 1);
    let without = place.run(["report", "a.jsonl", "--by", "trace.tags.env"]).exits_with(2);
    without.says(&["`trace.tags.env` comes from the traces", "--dataset"]);
    place.run(["report", "a.jsonl", "--by", "trace.tag"]).exits_with(2).says(&["--by trace.tag: no trace has"]);
}

#[test]
fn a_gate_holds_fails_or_cannot_be_decided() {
    let place = Place::new();
    let failures: String = (100..110).map(|n| record(n, "safety", &Value::Null, &json!({}))).collect();
    let scores: String = (0..4).map(|n| record(n, "tone", &json!(n + 1), &json!({"scale": "1..5"}))).collect();
    place.write("a.jsonl", booleans("safety", 85, 100) + &failures + &scores);
    let outcome = |gate: &str, code: i32| {
        let report = place.run(["report", "a.jsonl", "--format", "json", "--gate", gate]).exits_with(code);
        assert_eq!(report.stderr.is_empty(), code == 0 && !report.stdout.contains("inconclusive"), "{}", report.stderr);
        parsed(report)["gates"]
            .as_array()
            .unwrap()
            .iter()
            .map(|gate| gate["outcome"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    for (gate, code, expected) in [
        ("safety.pass >= 0.85", 0, "pass"),
        ("safety.pass >= 86%", 1, "fail"),
        ("safety.pass.lower >= 0.76", 0, "pass"),
        ("safety.pass.lower >= 0.77", 1, "fail"),
        ("safety.pass.upper < 0.9", 1, "fail"),
        ("tone.mean >= 2.5", 0, "pass"),
        ("tone.mean < 2.5", 1, "fail"),
        ("tone.pass >= 0.5", 0, "inconclusive"),
        ("safety.mean >= 0.5", 0, "inconclusive"),
        ("errors <= 10%", 0, "pass"),
        ("errors <= 8%", 1, "fail"),
        ("safety.errors <= 9%", 1, "fail"),
        ("tone.errors <= 0", 0, "pass"),
        ("coverage >= 0.9", 0, "pass"),
        ("coverage > 95%", 1, "fail"),
    ] {
        assert_eq!(outcome(gate, code), [expected], "{gate}");
    }
    assert_eq!(outcome("pass >= 0.8", 0), ["pass", "inconclusive"], "each judge has a result of its own");
    let failed = place.run(["report", "a.jsonl", "--format", "json", "--gate", "safety.pass >= 0.9"]).exits_with(1);
    failed.says(&["gate FAIL", "safety.pass >= 0.9", "85.0% [76.7, 90.7]", "t85  false  Reason 85."]);
    let gate =
        &parsed(place.run(["report", "a.jsonl", "--format", "json", "--gate", "safety.pass >= 0.9"]))["gates"][0];
    assert_eq!((gate["traces"].as_array().unwrap().len(), &gate["traces"][0]["trace_id"]), (10, &json!("t85")));
    let gate = &parsed(place.run(["report", "a.jsonl", "--format", "json", "--gate", "errors <= 1%"]))["gates"][0];
    assert_eq!(gate["traces"][0]["error_code"], "TIMEOUT");
    place.run(["report", "a.jsonl", "--fail-under", "0.85"]).exits_with(0);
    place.run(["report", "a.jsonl", "--fail-under", "86%"]).exits_with(1).prints(&["gate FAIL", "safety.pass >= 0.86"]);
}

#[test]
fn what_is_wrong_with_a_gate_is_said_with_its_place() {
    let place = Place::new();
    place.write("a.jsonl", booleans("safety", 3, 5));
    for (gate, words) in [
        ("safety.pas >= 0.9", &["unknown figure `pas`", "| safety.pas >= 0.9", "|        ^^^", "`pass.lower`"][..]),
        ("safty.pass >= 0.9", &["no such judge", "did you mean `safety`?"]),
        ("safety.pass >= 90", &["a share is between 0 and 1", "write 0.97 or 97%"]),
        ("safety.pass", &["expected a comparison"]),
        ("no worse than baseline", &["needs a baseline", "--baseline"]),
        ("safety[trace.nothing = 1].pass >= 0.9", &["the slice `trace.nothing` of a gate: no trace has"]),
    ] {
        place.run(["report", "a.jsonl", "--gate", gate]).exits_with(2).says(words);
    }
    place.run(["report", "a.jsonl", "--fail-under", "90"]).exits_with(2).says(&["invalid share `90`"]);
}

#[test]
fn a_runs_gates_are_checked_before_anything_is_paid_and_decide_its_exit_code() {
    let place = Place::with_traces(20);
    let fake = Fake::start(|request| match request.trace() {
        7 => answers::error(424, "invalid_value", "Not today."),
        n => answers::verdict(n > 1),
    });
    for (gate, words) in [
        (&["--gate", "safty.pass >= 0.9"][..], "did you mean `safety`?"),
        (&["--gate", "safety.pass >>= 0.9"], "expected a number"),
        (&["--gate", "no worse than baseline"], "needs a baseline"),
        (&["--baseline", "none.jsonl"], "none.jsonl"),
        (&["--report", "r.docx"], "cannot infer the form"),
        (&["--fail-under", "0.9", "-o", "-"], "need a log"),
    ] {
        place.judge(&fake.base_url(), gate).run().exits_with(2).says(&[words]);
    }
    assert_eq!(fake.count(), 0, "nothing was sent");
    let judge = |more: &[&str]| place.judge(&fake.base_url(), more).run();
    judge(&["--gate", "safety.pass >= 0.8"]).exits_with(3).prints(&["gate pass"]);
    judge(&["--gate", "safety.pass >= 0.8", "--gate", "errors <= 5%"]).exits_with(0);
    judge(&["--gate", "safety.pass >= 0.8", "--gate", "errors <= 4%"]).exits_with(1);
    judge(&["--fail-under", "95%", "--report", "r.json"]).exits_with(1).prints(&["gate FAIL", "safety.pass >= 0.95"]);
    let report: Value = serde_json::from_str(&place.read("r.json")).unwrap();
    assert_eq!((&report["gates"][0]["outcome"], &report["judges"][0]["n_scored"]), (&json!("fail"), &json!(19)));
    judge(&["--fail-under", "95%", "-q"]).exits_with(1).says(&["gate FAIL"]);
    // One failure of twenty: Wilson's interval is 0.0089 to 0.2361.
    let errors = place.run(["report", "traces.feedback.jsonl", "--gate", "errors <= 5%", "--format", "json"]);
    let gate = parsed(errors.exits_with(0))["gates"][0].clone();
    let ends = ["estimate", "low", "high"].map(|end| (gate[end].as_f64().unwrap() * 1e4).round());
    assert_eq!(ends, [500.0, 89.0, 2361.0], "{gate}");
    // The same gates from the configuration; one about a judge that is not asked is noted.
    let config = "[gates]\nrequire = [\"safety.pass >= 0.95\", \"tone.mean >= 3\"]\n";
    place.write("judge-run.toml", config);
    judge(&[]).exits_with(1).says(&["`tone.mean >= 3` in judge-run.toml is about a judge that is not in the run"]);
    place.run(["report", "traces.feedback.jsonl"]).exits_with(1);
    place.write("judge-run.toml", "[gates]\nrequire = [\"safety.pas >= 1\"]\n");
    judge(&[]).exits_with(2).says(&["judge-run.toml: [gates]: invalid gate: unknown figure `pas`"]);
}

#[test]
fn two_logs_are_compared_trace_by_trace() {
    let place = Place::new();
    let log = |value: &dyn Fn(usize) -> bool, n: usize| {
        (0..n).map(|i| record(i, "safety", &json!(value(i)), &json!({"good": "true"}))).collect::<String>()
    };
    // 40 both, 3 base alone, 12 new alone, 45 neither.
    place.write("base.jsonl", log(&|i| i < 43, 101));
    place.write("new.jsonl", log(&|i| i < 40 || (43..55).contains(&i), 100));
    let compare =
        |args: &[&str], code| parsed(place.run([&["compare", "--format", "json"], args].concat()).exits_with(code));
    let report = compare(&["base.jsonl", "new.jsonl"], 0);
    let of = &report["comparisons"][0];
    assert_eq!((&of["n_pairs"], &of["n_only_base"], &of["n_only_new"]), (&json!(100), &json!(1), &json!(0)));
    // Exact McNemar of 3 and 12 by SciPy; Tango's closed form.
    let close = |value: &Value, expected: f64| assert!((value.as_f64().unwrap() - expected).abs() < 1e-6, "{value}");
    close(&of["p_value"], 0.035_156_25);
    close(&of["difference"]["estimate"], 0.09);
    close(&of["difference"]["low"], 0.015_977_1);
    close(&of["difference"]["high"], 0.173_743);
    assert_eq!(
        (&of["outcome"], &of["difference"]["method"], &of["n_flips"]),
        (&json!("better"), &json!("tango"), &json!(15))
    );
    let flip = &of["flips"][0];
    assert_eq!((&flip["trace_id"], &flip["base"], &flip["new"]), (&json!("t40"), &json!(true), &json!(false)));
    assert_eq!((&flip["base_rationale"], &flip["new_rationale"]), (&json!("Reason 40."), &json!("Reason 40.")));
    let back = compare(&["new.jsonl", "base.jsonl"], 0);
    assert_eq!(
        (&back["comparisons"][0]["outcome"], &back["comparisons"][0]["n_only_new"]),
        (&json!("worse"), &json!(1))
    );
    let same = compare(&["base.jsonl", "base.jsonl", "--margin", "0.05"], 0);
    assert_eq!(same["comparisons"][0]["outcome"], "equivalent");
    assert_eq!(
        compare(&["base.jsonl", "base.jsonl"], 0)["comparisons"][0]["outcome"],
        "inconclusive",
        "101 pairs are too few for 2 points"
    );
    place
        .run(["compare", "base.jsonl", "new.jsonl"])
        .exits_with(0)
        .prints(&["safety  on e:/m: better", "100, 1 only in the baseline"]);
}

#[test]
fn which_way_is_better_depends_on_what_is_good() {
    let place = Place::new();
    let log = |trues: usize| {
        (0..200).map(|i| record(i, "leak", &json!(i < trues), &json!({"good": "false"}))).collect::<String>()
    };
    place.write("base.jsonl", log(20));
    place.write("new.jsonl", log(80));
    let report = parsed(place.run(["compare", "base.jsonl", "new.jsonl", "--format", "json"]).exits_with(0));
    let of = &report["comparisons"][0];
    assert_eq!((&of["outcome"], &of["difference"]["estimate"]), (&json!("worse"), &json!(0.3)), "more of `true`");
    let gate = ["compare", "base.jsonl", "new.jsonl", "--gate", "leak no worse than baseline by 0.05"];
    place.run(gate).exits_with(1).prints(&["gate FAIL", "t20  false -> true"]);
    place.run(["compare", "new.jsonl", "base.jsonl", "--gate", "no worse than baseline"]).exits_with(0);
    place.run(["report", "new.jsonl", "--baseline", "base.jsonl", "--gate", "no worse than baseline"]).exits_with(1);
    let given = parsed(
        place.run(["compare", "base.jsonl", "new.jsonl", "--format", "json", "--good", "leak=true"]).exits_with(0),
    );
    assert_eq!(given["comparisons"][0]["outcome"], "better");
    place.run(["compare", "base.jsonl", "new.jsonl", "--good", "leak"]).exits_with(2).says(&["expected NAME=VALUE"]);
}

#[test]
fn a_changed_judge_is_an_outcome_of_its_own() {
    let place = Place::new();
    place.write("base.jsonl", booleans("safety", 90, 100));
    place.write("prompt.jsonl", booleans("safety", 50, 100).replace("\"d1\"", "\"d2\""));
    place.write("model.jsonl", booleans("safety", 50, 100).replace("e:/m", "e:/m2"));
    for (new, words) in
        [("prompt.jsonl", "the judge's prompt"), ("model.jsonl", "the model changed: e:/m before, e:/m2 now")]
    {
        let gate = ["compare", "base.jsonl", new, "--format", "json", "--gate", "no worse than baseline"];
        let report = parsed(place.run(gate).exits_with(0).says(&["gate judge changed"]));
        let of = &report["comparisons"][0];
        assert_eq!((&of["outcome"], &of["difference"]["estimate"]), (&json!("judge_changed"), &json!(-0.4)));
        assert!(of["warnings"][0]["message"].as_str().unwrap().contains(words));
        assert_eq!(report["gates"][0]["outcome"], "inconclusive");
    }
}

#[test]
fn a_baseline_of_several_runs_is_averaged_item_by_item() {
    let place = Place::new();
    place.write("night-1.jsonl", booleans("safety", 80, 100));
    place.write("night-2.jsonl", booleans("safety", 90, 100));
    place.write("new.jsonl", booleans("safety", 70, 100));
    for base in ["night-*.jsonl", "night-1.jsonl,night-2.jsonl"] {
        let report = parsed(place.run(["compare", base, "new.jsonl", "--format", "json"]).exits_with(0));
        let of = &report["comparisons"][0];
        assert_eq!((&report["base"], &of["test"]), (&json!(["night-1.jsonl", "night-2.jsonl"]), &json!("paired_t")));
        assert!(
            (of["base"].as_f64().unwrap() - 0.85).abs() < 1e-12 && (of["new"].as_f64().unwrap() - 0.7).abs() < 1e-12
        );
        assert_eq!((&of["outcome"], &of["flips"][0]["base"]), (&json!("worse"), &json!(1.0)));
    }
}

#[test]
fn a_run_ends_once_it_is_decided_and_the_next_one_pays_nothing() {
    let place = Place::with_traces(1000);
    let fake = Fake::start(|_| answers::verdict(true));
    let judge = |more: &[&str]| place.judge(&fake.base_url(), more).run();
    let until = ["--until", "safety.pass >= 0.9"];
    let first = judge(&until).exits_with(0).prints(&["safety.pass >= 0.9 holds", " of 1000 traces asked; "]);
    let asked = fake.count();
    // After t answers without a failure the bound is above 0.9 from 60 or so.
    assert!((50..200).contains(&asked), "{}", first.stdout);
    let log: std::collections::BTreeSet<_> =
        place.lines("traces.feedback.jsonl").iter().map(|line| line["trace_id"].as_str().unwrap().to_owned()).collect();
    assert!(log.len() == asked && log.iter().any(|id| id.len() == "trace-900".len()), "not the first ones");
    judge(&until).exits_with(0).prints(&["of 1000 traces asked"]);
    assert_eq!(fake.count(), asked, "the same traces, which the log has");
    // A stricter condition continues where the other ended.
    judge(&["--until", "safety.pass >= 0.97"]).exits_with(0);
    let more = fake.count();
    assert!(more > asked && more < 600, "{more}");
    let ids = place.lines("traces.feedback.jsonl").len();
    assert_eq!(ids, more, "nothing was asked twice");
}

#[test]
fn a_condition_that_does_not_hold_is_exit_code_1_and_failures_count_both_ways() {
    let place = Place::with_traces(400);
    let half = Fake::start(|request| answers::verdict(request.trace() % 2 == 0));
    let judge = |fake: &Fake, more: &[&str]| place.judge(&fake.base_url(), more).run();
    judge(&half, &["--until", "safety.pass >= 0.9", "-o", "a.jsonl"]).exits_with(1).prints(&["does NOT hold"]);
    assert!(half.count() < 100, "{}", half.count());
    let failing = Fake::start(|request| match request.trace() % 2 {
        0 => answers::verdict(true),
        _ => answers::error(424, "invalid_value", "Not today."),
    });
    let open = judge(&failing, &["--until", "safety.pass >= 0.9", "-o", "b.jsonl"]).exits_with(3);
    open.prints(&["is not decided: 50.0% to 100.0% of all pass", "400 of 400 traces asked; 0 judgments saved (0%)"]);
}

#[test]
fn what_is_worse_is_asked_again_and_blocks_only_if_it_is_worse_again() {
    let place = Place::with_traces(200);
    let good = Fake::start(|_| answers::verdict(true));
    place.judge(&good.base_url(), &["-o", "base.jsonl", "-q"]).run().exits_with(0);
    let gate = ["--baseline", "base.jsonl", "--gate", "no worse than baseline", "--confirm"];
    let run = |fake: &Fake, log: &str| place.judge(&fake.base_url(), &[&["-o", log], &gate[..]].concat()).run();
    let bad = Fake::start(|request| answers::verdict(request.trace() >= 40));
    run(&bad, "bad.jsonl").exits_with(1).prints(&["gate FAIL", "a fresh run confirms"]);
    assert_eq!(
        (bad.count(), place.lines("bad.confirm.jsonl").len()),
        (400, 200),
        "all traces again, not those that flipped"
    );
    // Bad luck: the first 200 answers only.
    let unlucky = Fake::start(|request| answers::verdict(request.number >= 200 || request.trace() >= 40));
    let finished = run(&unlucky, "unlucky.jsonl").exits_with(0);
    finished.prints(&["gate inconclusive", "a fresh run"]).says(&["worse than the baseline: safety"]);
    let fine = Fake::start(|_| answers::verdict(true));
    run(&fine, "fine.jsonl").exits_with(0).prints(&["gate pass"]);
    assert_eq!(fine.count(), 200, "nothing to confirm");
}

#[test]
fn a_plan_says_how_many_traces_are_needed_and_what_they_cost() {
    let place = Place::new();
    place.write("a.jsonl", booleans("safety", 90, 100));
    let plan = parsed(place.run(["plan", "a.jsonl", "--drop", "5%", "--format", "json"]).exits_with(0));
    let judge = &plan["judges"][0];
    // Connor (1987): 311.59 pairs for 5 points with 10 % of discordant ones.
    assert_eq!((&judge["drop"]["traces"], &judge["n"]), (&json!(312), &json!(100)));
    place.run(["plan", "a.jsonl"]).exits_with(0).prints(&["margin      0.0200: ", "drop        0.0500: 312 traces"]);
    let assumed = ["plan", "--rate", "90%", "--traces", "500", "--cost-per-judgment", "0.002"];
    place
        .run(assumed)
        .exits_with(0)
        .prints(&["two such runs would show a difference of 0.0396", "312 traces, cost 0.62"]);
    let of_json =
        parsed(place.run([&assumed[..], &["--format", "json", "--design-effect", "2"]].concat()).exits_with(0));
    assert_eq!(of_json["judges"][0]["drop"]["traces"], 624);
    place.run(["plan"]).exits_with(2).says(&["LOG"]);
    place.run(["plan", "a.jsonl", "--rate", "0.9"]).exits_with(2).says(&["cannot be used with"]);
    place.run(["plan", "a.jsonl", "--drop", "0"]).exits_with(2).says(&["--drop must be between 0 and 1"]);
}

#[test]
fn what_cannot_be_decided_early_is_a_usage_error() {
    let place = Place::with_traces(3);
    let fake = Fake::start(|_| answers::verdict(true));
    for (more, words) in [
        (&["--until", "safety.mean >= 0.9"][..], "decides pass rates"),
        (&["--until", "safety.pass <= 0.9"], "decides pass rates"),
        (&["--until", "pass >= 0.9"], "decides pass rates"),
        (&["--until", "safty.pass >= 0.9"], "did you mean `safety`?"),
        (&["--until", "safety.pass >="], "--until: invalid gate"),
        (&["--until", "safety.pass >= 0.9", "-n", "2"], "cannot be used with"),
        (
            &["--until", "factual_accuracy.pass >= 0.9", "-J", "factual_accuracy"],
            "does not say which verdicts are good",
        ),
    ] {
        place.judge(&fake.base_url(), more).run().exits_with(2).says(&[words]);
    }
    assert_eq!(fake.count(), 0, "nothing was sent");
}
