//! Nightly runs: anchors, the nights of a baseline, and what survives a kill.

use serde_json::{Value, json};

use crate::common::{Fake, Finished, Latch, Place, answers};

/// A log of `n` booleans, the first `passed` of which are true.
fn booleans(passed: usize, n: usize) -> String {
    let record = |i: usize| {
        let record = json!({
            "assessment_id": format!("a-{i:032x}"), "name": "safety", "trace_id": format!("t{i}"), "value": i < passed,
            "source": {"source_type": "LLM_JUDGE", "source_id": "e:/m"}, "create_time_ms": 1,
            "metadata": {"run_id": "r", "judge_prompt": "prompts:/j/1", "judge_digest": "d1", "good": "true"},
        });
        format!("{record}\n")
    };
    (0..n).map(record).collect()
}

fn parsed(finished: &Finished) -> Value {
    serde_json::from_str(&finished.stdout).unwrap()
}

/// The anchors of these tests have other numbers than the traces of the application.
fn write_anchors(place: &Place, n: usize) {
    place.write("anchors.jsonl", (1000..1000 + n).map(|i| format!("{}\n", answers::trace(i))).collect::<String>());
}

#[test]
fn anchors_are_chosen_once_and_keep_their_texts() {
    let place = Place::with_traces(60);
    let choose = |args: &[&str]| place.run([&["anchors", "traces.jsonl"], args].concat());
    choose(&["-n", "20", "--seed", "1", "-o", "a.jsonl"])
        .exits_with(0)
        .says(&["wrote 20 anchors", "--anchors a.jsonl"]);
    choose(&["-n", "20", "--seed", "1", "-o", "b.jsonl"]).exits_with(0);
    choose(&["-n", "20", "--seed", "2", "-o", "c.jsonl"]).exits_with(0);
    assert_eq!(place.read("a.jsonl"), place.read("b.jsonl"));
    assert_ne!(place.read("a.jsonl"), place.read("c.jsonl"));
    choose(&["-n", "20", "-o", "a.jsonl"]).exits_with(2).says(&["already has anchors", "--overwrite"]);
    choose(&["-n", "5", "-o", "a.jsonl", "--overwrite"]).exits_with(0);
    assert_eq!((place.lines("a.jsonl").len(), place.lines("a.jsonl.bak").len()), (5, 20));
    choose(&["--filter", "trace.tags.x == 'y'", "-o", "d.jsonl"]).exits_with(2).says(&["no trace"]);
    // What a judge is asked about them is what it is asked about the traces themselves.
    let fake = Fake::start(|_| answers::verdict(true));
    let ids = |dataset: &str, log: &str| {
        let args = ["-d", dataset, "-J", "safety", "--base-url", &fake.base_url(), "-o", log, "-q"];
        place.run(args).exits_with(0);
        place.lines(log).iter().map(|line| line["assessment_id"].to_string()).collect::<Vec<_>>()
    };
    let all = ids("traces.jsonl", "all.jsonl");
    assert!(ids("b.jsonl", "anchors.feedback.jsonl").iter().all(|id| all.contains(id)));
}

#[test]
fn anchors_that_move_show_that_the_judge_changed() {
    let place = Place::with_traces(100);
    write_anchors(&place, 40);
    // Of the application's traces a tenth is bad, and then four tenths; of the anchors the same where the judge changed.
    let judge = |bad: usize, bad_anchors: usize| {
        Fake::start(move |request| match request.trace() {
            n if n >= 1000 => answers::verdict(n % 10 >= bad_anchors),
            n => answers::verdict(n % 10 >= bad),
        })
    };
    let night = |fake: &Fake, log: &str| {
        let gates = ["--anchors", "anchors.jsonl", "--baseline", "nights/*.jsonl", "--gate", "no worse than baseline"];
        place.judge(&fake.base_url(), &[&["-o", log, "--report", "r.json"], &gates[..]].concat()).run()
    };
    place.write("judge-run.toml", "[gates]\nbaseline = [\"nights/*.jsonl\"]\n");
    let first = |fake: &Fake, log: &str| {
        place.judge(&fake.base_url(), &["-o", log, "--anchors", "anchors.jsonl", "-q"]).run().exits_with(0)
    };
    for log in ["nights/1.jsonl", "nights/2.jsonl"] {
        let steady = judge(1, 1);
        first(&steady, log);
        assert_eq!(steady.count(), 140, "the anchors are asked anew each night");
    }
    let of_anchors = place.lines("nights/2.anchors.jsonl");
    assert_eq!(of_anchors.len(), 40);
    assert!(
        of_anchors.iter().all(|line| line["metadata"]["anchors"].as_str().is_some_and(|digest| digest.len() == 16))
    );
    assert!(place.lines("nights/2.jsonl").iter().all(|line| line["metadata"].get("anchors").is_none()));

    let outcome = || {
        let report: Value = serde_json::from_str(&place.read("r.json")).unwrap();
        let gate = &report["gates"][0];
        let of = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        assert_eq!(report["judges"][0]["n_scored"], 100, "the anchors are in no figure");
        (of(&gate["outcome"]), of(&gate["cause"]), of(&report["anchors"][0]["outcome"]))
    };
    let is = |outcome: (String, String, String), expected: (&str, &str, &str)| {
        assert_eq!((outcome.0.as_str(), outcome.1.as_str(), outcome.2.as_str()), expected);
    };
    // The application got worse.
    night(&judge(4, 1), "nights/3.jsonl").exits_with(1).prints(&["gate FAIL"]);
    is(outcome(), ("fail", "worse", "inconclusive"));
    // The judge got stricter.
    let changed = night(&judge(4, 4), "nights/4.jsonl").exits_with(0);
    changed.prints(&["gate judge changed", "verdicts on 40 anchors", "moved by -30.0"]);
    let report: Value = serde_json::from_str(&place.read("r.json")).unwrap();
    assert_eq!(report["comparisons"][0]["outcome"], "judge_changed");
    assert_eq!(report["anchors"][0]["n_pairs"], 40);
    is(outcome(), ("inconclusive", "judge_changed", "judge_changed"));
    // The same from the logs, in every form.
    let named = ["nights/4.jsonl", "--baseline", "nights/1.jsonl,nights/2.jsonl", "--gate", "no worse than baseline"];
    let forms = [
        ("text", "anchors\n  safety     THE JUDGE CHANGED"),
        ("markdown", "⚠️ the judge changed"),
        ("junit", "type=\"judge_changed\""),
        ("html", "judge_changed"),
    ];
    for (form, words) in forms {
        place.run([&["report", "--format", form], &named[..]].concat()).exits_with(0).prints(&[words]);
    }
    let compare = ["compare", "nights/1.jsonl,nights/2.jsonl", "nights/4.jsonl", "--format", "json"];
    let compared = parsed(&place.run(compare).exits_with(0));
    assert_eq!(compared["anchors"][0]["outcome"], "judge_changed");
    // Other anchors say nothing about these.
    write_anchors(&place, 39);
    let other = night(&judge(4, 4), "nights/5.jsonl").exits_with(1);
    other.prints(&["gate FAIL"]);
    // A log of anchors is shown when it is asked for, and is none of the application's otherwise.
    let own = parsed(&place.run(["report", "nights/4.anchors.jsonl", "--format", "json"]).exits_with(0));
    assert_eq!(own["judges"][0]["n_scored"], 40);
    place.run(["merge", "nights/4.jsonl", "nights/4.anchors.jsonl", "-o", "both.jsonl"]).exits_with(0);
    let both = parsed(&place.run(["report", "both.jsonl", "--format", "json"]).exits_with(0));
    assert_eq!(both["judges"][0]["n_scored"], 100);
}

#[test]
fn what_is_wrong_with_anchors_is_said_before_anything_is_sent() {
    let place = Place::with_traces(3);
    let fake = Fake::start(|_| answers::verdict(true));
    let judge = |args: &[&str]| place.judge(&fake.base_url(), args).run();
    judge(&["--anchors", "none.jsonl"])
        .exits_with(2)
        .says(&["no anchors in `none.jsonl`", "judge-run anchors DATASET"]);
    write_anchors(&place, 2);
    judge(&["--anchors", "anchors.jsonl", "-o", "-"]).exits_with(2).says(&["anchors need a log"]);
    assert_eq!(fake.count(), 0);
    judge(&["--anchors", "anchors.jsonl", "--dry-run"]).exits_with(0).prints(&["3 traces", "2 traces"]);
    assert_eq!((fake.count(), place.path("traces.feedback.anchors.jsonl").exists()), (0, false));
    // From the configuration, and not a second time.
    place.write("judge-run.toml", "[gates]\nanchors = \"anchors.jsonl\"\n");
    judge(&["-q"]).exits_with(0);
    judge(&["-q"]).exits_with(0);
    assert_eq!((fake.count(), place.lines("traces.feedback.anchors.jsonl").len()), (5, 2));
    // A new log is a new night, whatever is next to it.
    judge(&["-q", "--overwrite"]).exits_with(0);
    assert_eq!(fake.count(), 10);
}

#[test]
fn a_run_that_is_killed_while_it_judges_anchors_asks_none_of_them_twice() {
    let place = Place::with_traces(10);
    write_anchors(&place, 20);
    let latch = Latch::default();
    let held = latch.clone();
    let fake = Fake::start(move |request| {
        if request.number == 18 {
            held.wait();
        }
        answers::verdict(true)
    });
    let judge = || place.judge(&fake.base_url(), &["--anchors", "anchors.jsonl", "-j", "1", "-q"]);
    let running = judge().start();
    fake.wait_for(19);
    running.kill();
    latch.open();
    judge().run().exits_with(0);
    let mut ids: Vec<_> =
        place.lines("traces.feedback.anchors.jsonl").iter().map(|line| line["trace_id"].to_string()).collect();
    assert_eq!(ids.len(), 20);
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), fake.count()), (20, 31), "only what was in flight is asked again");
}

#[test]
fn red_stays_red_until_a_night_is_shown_to_be_within_the_margin() {
    let place = Place::new();
    for night in 1..=5 {
        place.write(&format!("nights/{night}.jsonl"), booleans(360, 400));
    }
    place.write("nights/6.jsonl", booleans(320, 400));
    place.write("so-so.jsonl", booleans(354, 400));
    place.write("good.jsonl", booleans(360, 400));
    let tonight = |log: &str, code: i32| {
        let gate = ["--baseline", "nights/*.jsonl", "--gate", "no worse than baseline", "--format", "json"];
        let report = parsed(&place.run([&["report", log], &gate[..]].concat()).exits_with(code));
        (report["gates"][0].clone(), report["comparisons"][0].clone())
    };
    let (gate, comparison) = tonight("so-so.jsonl", 1);
    assert_eq!((&gate["outcome"], &gate["cause"]), (&json!("fail"), &json!("still_worse")));
    assert_eq!(comparison["worse_since"], "nights/6.jsonl");
    assert!((comparison["base"].as_f64().unwrap() - 0.9).abs() < 1e-12, "without that night");
    let outcomes: Vec<_> = comparison["nights"].as_array().unwrap().iter().map(|night| &night["outcome"]).collect();
    assert_eq!(outcomes, ["first", "first", "first", "first", "first", "worse"]);
    let (gate, _) = tonight("good.jsonl", 0);
    assert_eq!(gate["outcome"], "pass");
    // The second run of that night did not confirm it, so it was not red.
    place.write("nights/6.confirm.jsonl", booleans(360, 400));
    let (gate, comparison) = tonight("so-so.jsonl", 0);
    assert_eq!((&gate["outcome"], &comparison["nights"][5]["outcome"]), (&json!("pass"), &json!("inconclusive")));
    place.write("nights/6.confirm.jsonl", booleans(322, 400));
    assert_eq!(tonight("so-so.jsonl", 1).0["cause"], "still_worse");
    // A night within the margin ends it.
    place.write("nights/7.jsonl", booleans(360, 400));
    let (gate, comparison) = tonight("so-so.jsonl", 0);
    assert_eq!((&gate["outcome"], comparison.get("worse_since")), (&json!("inconclusive"), None));
    assert_eq!(comparison["warnings"][0]["code"], "nights_left_out");
}

#[test]
fn a_gates_margin_is_a_share_and_for_numbers_a_part_of_the_scale() {
    let place = Place::new();
    let scores = |low: usize| -> String {
        let record = |i: usize| {
            let record = json!({
                "assessment_id": format!("a-{i:032x}"), "name": "tone", "trace_id": format!("t{i}"),
                "value": if i < low { 3 } else { 4 + i % 2 },
                "source": {"source_type": "LLM_JUDGE", "source_id": "e:/m"}, "create_time_ms": 1,
                "metadata": {"run_id": "r", "judge_prompt": "prompts:/j/1", "scale": "1..5", "good": "higher"},
            });
            format!("{record}\n")
        };
        (0..1000).map(record).collect()
    };
    // 40 of 1,000 lose a point or two: 0.06 on a scale of 4, with an interval of some 0.02.
    place.write("base.jsonl", scores(0));
    place.write("new.jsonl", scores(40));
    for (margin, threshold, code) in [("0.03", -0.12, 0), ("3%", -0.12, 0), ("0.005", -0.02, 1)] {
        let gate = format!("no worse than baseline by {margin}");
        let report = place.run(["compare", "base.jsonl", "new.jsonl", "--gate", &gate, "--format", "json"]);
        let gate = &parsed(&report.exits_with(code))["gates"][0];
        assert!((gate["threshold"].as_f64().unwrap() - threshold).abs() < 1e-12, "{gate}");
        assert!((gate["estimate"].as_f64().unwrap() + 0.06).abs() < 1e-12, "{gate}");
    }
    place.write("base.jsonl", booleans(950, 1000));
    place.write("new.jsonl", booleans(930, 1000));
    for (margin, threshold, code) in [("0.04", -0.04, 0), ("4%", -0.04, 0), ("0.01", -0.01, 1)] {
        let gate = format!("no worse than baseline by {margin}");
        let report = place.run(["compare", "base.jsonl", "new.jsonl", "--gate", &gate, "--format", "json"]);
        assert_eq!(
            parsed(&report.exits_with(code))["gates"][0]["threshold"],
            threshold,
            "points, not percent of what was"
        );
    }
}

#[test]
fn small_losses_that_add_up_are_warned_of() {
    let place = Place::new();
    for night in 1..=5 {
        place.write(&format!("nights/{night:02}.jsonl"), booleans(90, 100));
    }
    let drift = |n: usize| {
        for night in 6..6 + n {
            place.write(&format!("nights/{night:02}.jsonl"), booleans(85, 100));
        }
        place.write("tonight.jsonl", booleans(85, 100));
        let gate = ["--baseline", "nights/*.jsonl", "--gate", "no worse than baseline by 0.01", "--format", "json"];
        let report = parsed(&place.run([&["report", "tonight.jsonl"], &gate[..]].concat()).exits_with(0));
        let comparison = report["comparisons"][0].clone();
        let codes: Vec<_> =
            comparison["warnings"].as_array().into_iter().flatten().map(|of| of["code"].clone()).collect();
        (comparison["drift"]["evidence"].as_f64().unwrap(), codes.contains(&json!("drift")))
    };
    // z = (-0.05 + 0.01) / 0.0219 = -1.826 per night: a factor of exp(1.5 · 1.826 - 1.125) = 5.02; tonight is the second.
    let (evidence, is_alarm) = drift(1);
    assert!((evidence - 25.2).abs() < 0.1 && !is_alarm, "{evidence}");
    let (evidence, is_alarm) = drift(2);
    assert!((evidence - 126.7).abs() < 0.5 && is_alarm, "{evidence}");
    let text = place.run(["report", "tonight.jsonl", "--baseline", "nights/*.jsonl"]).exits_with(0);
    text.prints(&["small losses add up over 3 nights"]);
}

#[test]
fn nights_of_another_version_of_the_judge_are_no_baseline() {
    let place = Place::new();
    place.write("nights/1.jsonl", booleans(300, 400).replace("\"d1\"", "\"d0\""));
    place.write("nights/2.jsonl", booleans(360, 400));
    place.write("tonight.jsonl", booleans(360, 400));
    let compare = ["compare", "nights/*.jsonl", "tonight.jsonl", "--format", "json"];
    let comparison = parsed(&place.run(compare).exits_with(0))["comparisons"][0].clone();
    assert_eq!(comparison["outcome"], "equivalent");
    assert!((comparison["base"].as_f64().unwrap() - 0.9).abs() < 1e-12, "{comparison}");
    assert_eq!(comparison["warnings"][0]["code"], "nights_left_out");
}

#[test]
fn a_confirmation_is_resumed_and_not_paid_for_again() {
    let place = Place::with_traces(200);
    let good = Fake::start(|_| answers::verdict(true));
    place.judge(&good.base_url(), &["-o", "nights/1.jsonl", "-q"]).run().exits_with(0);
    let bad = Fake::start(|request| answers::verdict(request.trace() >= 40));
    let run = || {
        let gate = ["--baseline", "nights/*.jsonl", "--gate", "no worse than baseline", "--confirm"];
        place.judge(&bad.base_url(), &[&["-o", "nights/2.jsonl"], &gate[..]].concat()).run()
    };
    run().exits_with(1).prints(&["a fresh run confirms"]);
    // Neither the log itself nor its confirmation is taken for a night before.
    run().exits_with(1).prints(&["a fresh run confirms"]);
    assert_eq!(bad.count(), 400);
    let from_stdin = ["-d", "-", "-J", "safety", "--confirm", "--base-url", &bad.base_url(), "-o", "x.jsonl"];
    place.run(from_stdin).exits_with(2).says(&["standard input can be read only once"]);
}

#[test]
fn a_random_sample_confirms_what_is_plain_and_is_resumed() {
    let place = Place::with_traces(200);
    let good = Fake::start(|_| answers::verdict(true));
    place.judge(&good.base_url(), &["-o", "nights/1.jsonl", "-q"]).run().exits_with(0);
    let latch = Latch::default();
    let held = latch.clone();
    let bad = Fake::start(move |request| {
        if request.number == 230 {
            held.wait();
        }
        answers::verdict(request.trace() >= 60)
    });
    let judge = || {
        let gate = ["--baseline", "nights/*.jsonl", "--gate", "no worse than baseline", "--confirm=sample", "-j", "1"];
        place.judge(&bad.base_url(), &[&["-o", "nights/2.jsonl"], &gate[..]].concat())
    };
    let running = judge().start();
    bad.wait_for(231);
    running.kill();
    latch.open();
    judge().run().exits_with(1).prints(&["a fresh run confirms"]);
    let asked: Vec<String> =
        place.lines("nights/2.confirm.jsonl").iter().map(|line| line["trace_id"].to_string()).collect();
    // 30 points lost: ((2.326 + 1.645) sqrt(0.3) / 0.3)^2 is 52.6.
    assert_eq!(asked.len(), 53);
    let flipped = place.lines("nights/2.jsonl").into_iter().filter(|line| line["value"] == false);
    let flipped: Vec<String> = flipped.map(|line| line["trace_id"].to_string()).collect();
    assert!(asked.iter().any(|id| !flipped.contains(id)), "not only what flipped");
    assert_eq!(bad.count(), 200 + asked.len() + 1, "only what was in flight is asked again");
    judge().run().exits_with(1).prints(&["a fresh run confirms"]);
    assert_eq!(bad.count(), 200 + asked.len() + 1);
    place.judge(&bad.base_url(), &["--confirm=some"]).run().exits_with(2);
}

#[test]
fn a_gate_that_has_nothing_to_go_by_is_not_green() {
    let place = Place::new();
    let failed = booleans(0, 5).replace("\"value\":false", "\"error\":{\"error_code\":\"TIMEOUT\"}");
    place.write("a.jsonl", failed);
    let report = place.run(["report", "a.jsonl", "--gate", "safety.pass >= 0.9"]).exits_with(3);
    report.says(&["warning: the gate `safety.pass >= 0.9` decides nothing: nothing was judged"]);
    place.run(["report", "a.jsonl", "--gate", "safety.mean >= 0.9", "--gate", "errors <= 1%"]).exits_with(1);
    place.write("b.jsonl", booleans(5, 5));
    let report = place.run(["report", "b.jsonl", "--gate", "safety.mean >= 0.9"]).exits_with(0);
    report.says(&["warning: the gate `safety.mean >= 0.9` decides nothing: no verdict is a number"]);
}

#[test]
fn a_runs_report_is_divided() {
    let place = Place::new();
    let trace = |i: usize| {
        let mut trace = answers::trace(i);
        trace["tags"] = json!({"env": if i < 4 { "prod" } else { "test" }});
        format!("{trace}\n")
    };
    place.write("traces.jsonl", (0..10).map(trace).collect::<String>());
    let fake = Fake::start(|request| answers::verdict(request.trace() > 0));
    let judge = |more: &[&str]| place.judge(&fake.base_url(), more).run();
    judge(&["--report", "r.json", "--by", "trace.tags.nothing["]).exits_with(2).says(&["--by trace.tags.nothing["]);
    judge(&["--by", "model"]).exits_with(2);
    assert_eq!(fake.count(), 0);
    judge(&["--report", "r.json", "--by", "trace.tags.env", "-q"]).exits_with(0);
    let report: Value = serde_json::from_str(&place.read("r.json")).unwrap();
    let slices = report["judges"][0]["slices"].as_array().unwrap();
    assert_eq!((&slices[0]["value"], &slices[0]["n_scored"]), (&json!("test"), &json!(6)));
    assert_eq!(slices[1]["pass"]["estimate"], 0.75);
}

#[cfg(unix)]
#[test]
fn the_script_for_ci_leaves_a_night_and_its_report() {
    use std::process::Command;

    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_judge-run"));
    let place = Place::with_traces(20);
    write_anchors(&place, 5);
    place.write("judge-run.toml", std::fs::read(root.join("docs/ci/judge-run.toml")).unwrap());
    place.write("ci/anchors.jsonl", place.read("anchors.jsonl"));
    let fake = Fake::start(|request| answers::verdict(request.trace() > 3));
    let night = |date: &str, code: i32| {
        let mut command = Command::new("sh");
        command.arg(root.join("docs/ci/nightly.sh")).current_dir(place.path("")).env_clear();
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", binary.parent().unwrap().display());
        command.envs([("PATH", path.as_str()), ("NIGHT", date), ("KEEP", "1"), ("OPENAI_API_KEY", "none")]);
        command.envs([("JUDGE_RUN_BASE_URL", fake.base_url()), ("GITHUB_STEP_SUMMARY", "summary.md".to_owned())]);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
    };
    night("2026-01-05", 0);
    assert_eq!(fake.count(), 25);
    night("2026-01-05", 0);
    assert_eq!(fake.count(), 25, "the same night again");
    night("2026-01-06", 0);
    assert_eq!(
        (fake.count(), place.lines("nights/2026-01-06.jsonl").len()),
        (30, 20),
        "only the anchors are asked anew"
    );
    let summary = place.read("summary.md");
    assert!(summary.contains("no worse than baseline"), "{summary}");
    for (file, words) in [("junit.xml", "<testsuite "), ("index.html", "<html"), ("report.json", "\"gates\"")] {
        assert!(place.read(&format!("report/{file}")).contains(words), "{file}");
    }
    night("2026-01-07", 0);
    assert!(place.path("nights/2026-01-06.jsonl").is_file() && !place.path("nights/2026-01-05.jsonl").exists());
    assert!(!place.path("nights/2026-01-05.anchors.jsonl").exists());
}
