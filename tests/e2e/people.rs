//! People's feedback: added, rejected, corrected, imported, aggregated, compared with judges, and used to correct their rates.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::common::{Fake, Finished, Place, answers};

const LOG: &str = "traces.feedback.jsonl";

/// A log in which a judge passes, or fails, each of `n` traces.
fn judged(n: usize, passes: impl Fn(usize) -> bool) -> String {
    let record = |number: usize| {
        json!({
            "assessment_id": format!("a-{number:032x}"), "name": "helpful", "value": passes(number), "trace_id": format!("t{number}"),
            "source": {"source_type": "LLM_JUDGE", "source_id": "e:/m"}, "create_time_ms": 1, "last_update_time_ms": 1,
            "metadata": {"run_id": "r", "judge_prompt": "p", "judge_digest": "d1", "good": "true"},
        })
    };
    (0..n).map(|number| format!("{}\n", record(number))).collect()
}

/// A table of labels: trace, who, value.
fn sheet(rows: impl IntoIterator<Item = (usize, &'static str, bool)>) -> String {
    let mut sheet = "trace_id,name,value,source_id\n".to_owned();
    for (trace, who, value) in rows {
        writeln!(sheet, "t{trace},helpful,{value},{who}").unwrap();
    }
    sheet
}

#[track_caller]
fn json_of(finished: Finished) -> Value {
    serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished:?}"))
}

/// The id that a command names first.
fn id_in(finished: &Finished) -> String {
    let word = finished.stdout.split_whitespace().find(|word| word.starts_with("a-")).unwrap();
    word.trim_end_matches(':').to_owned()
}

#[track_caller]
fn near(value: &Value, expected: f64, tolerance: f64) {
    let value = value.as_f64().unwrap_or_else(|| panic!("{value} is not a number"));
    assert!((value - expected).abs() < tolerance, "{value} is not {expected}");
}

#[test]
fn what_a_person_says_is_added_once_and_corrected_later() {
    let place = Place::new();
    let add = |value: &str| {
        let args = [
            "feedback",
            "add",
            LOG,
            "--trace",
            "t1",
            "--name",
            "helpful",
            "--value",
            value,
            "--as",
            "anna@example.com",
        ];
        place.run(args).exits_with(0)
    };
    add("true");
    add("true");
    assert_eq!(place.lines(LOG).len(), 1);
    add("false");
    let lines = place.lines(LOG);
    assert_eq!((lines.len(), lines[1]["overrides"].clone()), (2, lines[0]["assessment_id"].clone()));
    assert_eq!(lines[0]["source"], json!({"source_type": "HUMAN", "source_id": "anna@example.com"}));
    assert_eq!((lines[0]["value"].clone(), lines[0]["trace_id"].clone()), (json!(true), json!("t1")));
    let span =
        ["feedback", "add", LOG, "--trace", "t1", "--span", "s", "--name", "helpful", "--value", "4", "--as", "bea"];
    place.run(span).exits_with(0);
    let history = json_of(place.run(["history", LOG, "--trace", "t1", "--format", "json"]).exits_with(0));
    let states: Vec<_> = history["records"].as_array().unwrap().iter().map(|record| record["state"].clone()).collect();
    assert_eq!(states, ["superseded", "holds", "holds"]);
    assert_eq!(history["records"][0]["replaced_by"], lines[1]["assessment_id"]);
    place.run(["history", LOG, "--trace", "t"]).exits_with(0).prints(&["anna@example.com", "superseded by a-"]);
    place.run(["history", LOG, "--trace", "x"]).exits_with(2).says(&["no feedback on a trace"]);
    place.run(["feedback", "add", LOG, "--trace", "t1", "--name", "helpful"]).exits_with(2);
    place.run(["feedback", "add", LOG, "--trace", " ", "--name", "x", "--value", "1"]).exits_with(2);
}

#[test]
fn a_rejected_verdict_is_not_asked_again_and_an_accepted_one_counts_again() {
    let place = Place::with_traces(3);
    let fake = Fake::start(|_| answers::verdict(true));
    let run = || place.judge(&fake.base_url(), &[]).run().exits_with(0);
    run();
    let id = place.lines(LOG)[0]["assessment_id"].as_str().unwrap().to_owned();
    let reject = place.run(["feedback", "reject", LOG, &id[..12], "--because", "=no", "--as", "anna"]).exits_with(0);
    assert_eq!(id_in(&reject), id);
    let last = place.lines(LOG).pop().unwrap();
    assert_eq!((last["valid"].clone(), last["metadata"]["rejected_by"].clone()), (json!(false), json!("anna")));
    run();
    assert_eq!(fake.count(), 3);
    let status =
        |place: &Place| json_of(place.run(["status", LOG, "--json"]).exits_with(0))["log"]["judges"][0].clone();
    assert_eq!((status(&place)["scored"].clone(), status(&place)["invalid"].clone()), (json!(2), json!(1)));
    place.run(["feedback", "reject", LOG, &id]).exits_with(0).prints(&["already rejected"]);
    place.run(["feedback", "accept", LOG, &id, "--as", "anna"]).exits_with(0);
    run();
    assert_eq!((fake.count(), status(&place)["scored"].clone()), (3, json!(3)));
    // A judge's verdict is never deleted: the next run would pay for it again.
    place.run(["feedback", "delete", LOG, &id]).exits_with(2).says(&["reject"]);
    place.run(["feedback", "reject", LOG, "--name", "safety"]).exits_with(2).says(&["3 records match"]);
    place.run(["feedback", "reject", LOG, "a-00"]).exits_with(2);
    place.run(["feedback", "reject", LOG]).exits_with(2);
}

#[test]
fn an_override_stands_in_for_a_verdict_until_it_is_deleted() {
    let place = Place::new();
    place.write(LOG, judged(2, |_| true));
    let args = [
        "feedback",
        "override",
        LOG,
        "--trace",
        "t1",
        "--name",
        "helpful",
        "--value",
        "false",
        "--as",
        "anna",
        "--rationale",
        "no",
    ];
    let said = place.run(args).exits_with(0);
    let lines = place.lines(LOG);
    assert_eq!(lines[2]["overrides"], lines[1]["assessment_id"]);
    let states = |place: &Place| -> Vec<String> {
        let history = json_of(place.run(["history", LOG, "--trace", "t1", "--format", "json"]).exits_with(0));
        history["records"]
            .as_array()
            .unwrap()
            .iter()
            .map(|record| record["state"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(states(&place), ["overridden", "holds"]);
    assert!(said.stdout.contains("by"));
    place.run(["feedback", "delete", LOG, "--trace", "t1", "--source", "anna", "--as", "anna"]).exits_with(0);
    assert_eq!(states(&place), ["holds", "updated", "deleted"]);
    // What is deleted counts for nothing, not even as rejected.
    let report = json_of(place.run(["report", LOG, "--format", "json"]).exits_with(0));
    let counted: u64 =
        report["judges"].as_array().unwrap().iter().filter_map(|judge| judge["n_invalid"].as_u64()).sum();
    assert_eq!((report["judges"].as_array().unwrap().len(), counted), (1, 0));
    place.run(["feedback", "accept", LOG, "--trace", "t1", "--source", "anna"]).exits_with(0);
    assert_eq!(states(&place).last().unwrap(), "holds");
}

#[test]
fn importing_twice_adds_nothing_and_what_is_no_label_is_named() {
    let place = Place::new();
    place.write(
        "labels.csv",
        sheet((0..4).flat_map(|trace| [(trace, "anna", true), (trace, "bea", trace > 1)]))
            + "t9,helpful,,anna\nt9,helpful\n",
    );
    let import = || place.run(["feedback", "import", "labels.csv", "--log", LOG]);
    import().exits_with(3).says(&["labels.csv:11: "]).prints(&[
        "8 records added",
        "1  without a value",
        "1  not feedback",
    ]);
    assert_eq!(place.lines(LOG).len(), 8);
    import().exits_with(3).prints(&["0 records added", "8  there already"]);
    assert_eq!(place.lines(LOG).len(), 8);
    place.write("later.csv", sheet([(0, "anna", false)]));
    let later = |more: &[&str]| place.run(["feedback", "import", "later.csv", "--log", LOG].iter().chain(more));
    later(&["--dry-run"]).exits_with(0).prints(&["would be added"]);
    assert_eq!(place.lines(LOG).len(), 8);
    later(&[]).exits_with(0);
    let last = place.lines(LOG).pop().unwrap();
    assert_eq!(last["overrides"], place.lines(LOG)[0]["assessment_id"]);
    place.write("sheet.csv", "ID;Good?\nt1;yes\n");
    place.run(["feedback", "import", "sheet.csv", "--log", LOG]).exits_with(2).says(&["no column `trace_id`", "--map"]);
    let mapped = ["--map", "ID=trace_id", "--map", "Good?=value", "--name", "helpful"];
    let import =
        |more: &[&str]| place.run(["feedback", "import", "sheet.csv", "--log", LOG].iter().chain(&mapped).chain(more));
    import(&[]).exits_with(2).says(&["--as"]);
    import(&["--as", "cem"]).exits_with(0);
    let rows = json!({"trace_id": "t1", "name": "helpful", "value": 1, "source_id": "dan"}).to_string();
    place.command(["feedback", "import", "-", "--log", LOG]).stdin(rows).run().exits_with(0);
    assert_eq!(place.lines(LOG).len(), 11);
    for (name, text) in [("broken.json", "{\"a\":"), ("empty.csv", ""), ("list.json", "[1]")] {
        place.write(name, text);
        place.run(["feedback", "import", name, "--log", LOG]).exits_with(2).says(&[name]);
    }
    place.run(["feedback", "import", "labels.csv", "--log", "labels.csv"]).exits_with(2).says(&["not a feedback log"]);
}

#[test]
fn people_write_while_a_run_does_and_nothing_is_lost() {
    let place = Place::with_traces(40);
    let fake = Fake::start(|_| answers::verdict(true));
    let running = place.judge(&fake.base_url(), &["--rpm", "600", "--burst", "100ms"]).start();
    place.wait_for_lines(LOG, 1);
    let people = 24;
    let commands: Vec<_> = (0..people)
        .map(|n| {
            let (trace, who) = (format!("t{n}"), format!("p{n}"));
            place
                .command([
                    "feedback", "add", LOG, "--trace", &trace, "--name", "helpful", "--value", "true", "--as", &who,
                ])
                .start()
        })
        .collect();
    commands.into_iter().for_each(|command| drop(command.finish().exits_with(0)));
    running.finish().exits_with(0);
    let lines = place.lines(LOG);
    let of = |kind: &str| lines.iter().filter(|line| line["source"]["source_type"] == kind).count();
    assert_eq!((of("LLM_JUDGE"), of("HUMAN")), (40, people));
    let ids: BTreeSet<_> = lines.iter().map(|line| line["assessment_id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 40 + people);
    // Half a line that a crash left does not take the next one with it.
    place.write(LOG, place.read(LOG) + "{\"name\":\"torn");
    place
        .run(["feedback", "add", LOG, "--trace", "t1", "--name", "helpful", "--value", "4", "--as", "zoe"])
        .exits_with(0);
    place.judge(&fake.base_url(), &[]).run().exits_with(0);
    assert!(place.lines(LOG).iter().any(|line| line["source"]["source_id"] == "zoe"));
    assert_eq!(fake.count(), 40);
}

#[test]
fn annotators_are_aggregated_and_the_result_is_written_once() {
    let place = Place::new();
    let votes = (0..30).flat_map(|t| [(t, "anna", t % 3 > 0), (t, "bea", t % 3 > 0), (t, "cem", t % 3 == 0)]);
    place.write("labels.csv", sheet(votes));
    place.run(["feedback", "import", "labels.csv", "--log", LOG]).exits_with(0);
    let aggregate = |method: &str, more: &[&str]| {
        let args = ["aggregate", LOG, "--name", "helpful", "--method", method, "--format", "json"];
        json_of(place.run(args.iter().chain(more)).exits_with(0))
    };
    let found = aggregate("dawid-skene", &["--write"]);
    assert_eq!((found["n_items"].clone(), found["n_annotators"].clone()), (json!(30), json!(3)));
    assert!(found["items"][1]["posteriors"]["true"].as_f64().unwrap() > 0.99);
    let accuracies: Vec<_> =
        found["annotators"].as_array().unwrap().iter().map(|a| a["accuracy"].as_f64().unwrap()).collect();
    assert!(accuracies[0] > 0.95 && accuracies[2] < 0.05, "{accuracies:?}");
    assert_eq!(place.lines(LOG).len(), 120);
    let written = place.lines(LOG).pop().unwrap();
    assert_eq!(written["source"], json!({"source_type": "CODE", "source_id": "aggregate:dawid_skene"}));
    assert!(written["metadata"]["votes"].as_str().unwrap().contains("anna"));
    aggregate("dawid-skene", &["--write"]);
    assert_eq!(place.lines(LOG).len(), 120);
    let quorum = aggregate("majority", &["--quorum", "4"]);
    assert_eq!((quorum["undecided"]["quorum"].clone(), quorum["items"][0]["value"].clone()), (json!(30), Value::Null));
    place.run(["aggregate", LOG, "--name", "helpful", "--people", "anna,nobody"]).exits_with(2).says(&["nobody"]);
    place.run(["aggregate", LOG, "--name", "helpfull"]).exits_with(2).says(&["helpful"]);
    place.run(["aggregate", LOG, "--name", "helpful"]).exits_with(0).prints(&["annotators", "accuracy"]);
}

#[test]
fn agreement_says_how_well_a_judge_and_people_agree_and_gates_hold_or_fail() {
    let place = Place::new();
    // Rows people, columns judge: [[45, 5], [8, 22]] with true first.
    let judge = |t: usize| t < 45 || (50..58).contains(&t);
    place.write(LOG, judged(80, judge));
    place.write("labels.csv", sheet((0..80).map(|t| (t, "anna", t < 50))));
    place.run(["feedback", "import", "labels.csv", "--log", LOG]).exits_with(0);
    let args = ["agreement", LOG, "--name", "helpful", "--format", "json"];
    let found = json_of(place.run(args).exits_with(0));
    assert_eq!(
        (found["name"].clone(), found["n_items"].clone(), found["n_raters"].clone()),
        (json!("helpful"), json!(80), json!(2))
    );
    near(&found["accuracy"], 0.8375, 1e-9);
    near(&found["kappa"]["estimate"], 0.6462585034, 1e-6);
    near(&found["kappa"]["low"], 0.4718868768, 1e-6);
    near(&found["ac1"]["estimate"], 0.6998123827, 1e-6);
    near(&found["fleiss"], 0.6457162323, 1e-6);
    assert_eq!(found["alpha"]["metric"], "nominal");
    assert_eq!(found["confusion"]["counts"], json!([[22, 8], [5, 45]]));
    assert_eq!(found["disagreements"].as_array().unwrap().len(), 13);
    let gate = |gate: &str| place.run(args.iter().chain(&["--gate", gate]));
    assert_eq!(json_of(gate("kappa.lower >= 0.4").exits_with(0))["gates"][0]["outcome"], "pass");
    gate("kappa.lower >= 0.6").exits_with(1).says(&["kappa.lower >= 0.6"]);
    gate("kapa >= 0.6").exits_with(2).says(&["unknown figure"]);
    place.run(["agreement", LOG, "--name", "helpful"]).exits_with(0).prints(&["Cohen's kappa", "disagreements"]);
    // With more people their own agreement is shown as well.
    let more = (0..80).flat_map(|t| [(t, "bea", t < 52), (t, "cem", t < 48)]);
    place.write("more.csv", sheet(more));
    place.run(["feedback", "import", "more.csv", "--log", LOG]).exits_with(0);
    let found = json_of(place.run(args).exits_with(0));
    assert_eq!((found["n_raters"].clone(), found["people"]["n_raters"].clone()), (json!(4), json!(3)));
    assert!(found["alt_test"]["winning_rate"].is_number() && found["people"]["pairs"].as_array().unwrap().len() == 3);
    let people = json_of(place.run(args.iter().chain(&["--people", "bea,cem"])).exits_with(0));
    assert_eq!((people["n_raters"].clone(), people["judge"].clone()), (json!(2), Value::Null));
    near(&people["accuracy"], 0.95, 1e-9);
    place.run(["agreement", LOG, "--name", "helpful", "--judge", "nobody"]).exits_with(2).says(&["e:/m"]);
}

#[test]
fn a_planned_sample_corrects_the_rate_of_a_judge() {
    let place = Place::new();
    place.write(LOG, judged(1_000, |t| t % 10 < 7));
    let plan = ["label-plan", LOG, "--name", "helpful", "--n", "120", "--seed", "5"];
    let sheet = place.run(plan).exits_with(0).says(&["120 items to label", "of 700: pass"]);
    assert_eq!(sheet.stdout.lines().count(), 121);
    assert!(!sheet.stdout.contains("judge_value"), "blind");
    let kept: Value = serde_json::from_str(&place.read("traces.feedback.label-plan.json")).unwrap();
    let items = kept["plans"][0]["items"].as_array().unwrap();
    assert!(items.len() == 120 && items.iter().all(|item| item["probability"].as_f64().unwrap() > 0.0));
    place.run(plan.iter().chain(&["-o", "sheet.csv"])).exits_with(0);
    place.run(plan.iter().chain(&["-o", "sheet.csv"])).exits_with(2).says(&["--overwrite"]);
    // People pass 9 of 10 that the judge passes, and 1 of 5 that it fails.
    let mut labels = "trace_id,name,value\n".to_owned();
    for (number, line) in place.read("sheet.csv").lines().skip(1).enumerate() {
        let trace = line.split(',').next().unwrap();
        let passed = trace[1..].parse::<usize>().unwrap() % 10 < 7;
        let value = if passed { number % 10 != 0 } else { number % 5 == 0 };
        writeln!(labels, "{trace},helpful,{value}").unwrap();
    }
    place.write("labels.csv", &labels);
    let calibrate =
        |more: &[&str]| place.run(["calibrate", LOG, "--name", "helpful", "--format", "json"].iter().chain(more));
    calibrate(&[]).exits_with(2).says(&["label-plan"]);
    place.run(["feedback", "import", "labels.csv", "--log", LOG, "--as", "anna"]).exits_with(0);
    let found = json_of(calibrate(&[]).exits_with(0));
    assert_eq!((found["n"].clone(), found["n_labelled"].clone()), (json!(1_000), json!(120)));
    near(&found["naive"]["estimate"], 0.7, 1e-9);
    let corrected = &found["corrected"];
    near(&corrected["estimate"], 0.7 * 0.9 + 0.3 * 0.2, 0.09);
    assert!(corrected["method"] == "jeffreys" && corrected["low"].as_f64() < corrected["high"].as_f64());
    assert!(found["refused"].is_null() && found["human_only"]["estimate"].is_number());
    for method in ["ppi++", "rogan-gladen"] {
        let found = json_of(calibrate(&["--method", method]).exits_with(0));
        assert_eq!(found["corrected"]["method"], method);
        near(&found["corrected"]["estimate"], 0.69, 0.12);
    }
    // The judge changed: what was labelled says nothing about what it says now.
    place.write(LOG, place.read(LOG).replacen("\"d1\"", "\"d2\"", 300));
    let refused = json_of(calibrate(&[]).exits_with(1));
    assert!(refused["refused"].as_str().unwrap().contains("changed"));
    assert_eq!(refused["corrected"]["method"], "human_only");
}

#[test]
fn a_report_and_its_gates_know_the_corrected_rate() {
    let place = Place::new();
    place.write(LOG, judged(1_000, |t| t % 10 < 7));
    let report = |more: &[&str]| place.run(["report", LOG, "--format", "json"].iter().chain(more));
    assert!(json_of(report(&[]).exits_with(0))["judges"][0].get("corrected").is_none());
    let unlabelled = report(&["--gate", "helpful.corrected >= 0.1"]).exits_with(0);
    unlabelled.says(&["decides nothing: people labelled none"]);
    // Of 100 labelled items people pass 60 of the 70 that the judge passes, and none of the others.
    place.write("labels.csv", sheet((0..100).map(|t| (t, "anna", t % 10 < 6))));
    place.run(["feedback", "import", "labels.csv", "--log", LOG]).exits_with(0);
    let found = json_of(report(&[]).exits_with(0));
    let judge = found["judges"].as_array().unwrap().iter().find(|judge| judge["source_type"] == "LLM_JUDGE").unwrap();
    near(&judge["pass"]["estimate"], 0.7, 1e-9);
    let corrected = &judge["corrected"];
    near(&corrected["estimate"], 0.7 * 60.5 / 71.0 + 0.3 * 0.5 / 31.0, 0.01);
    assert_eq!((&corrected["n_labelled"], &corrected["method"]), (&json!(100), &json!("jeffreys")));
    assert_eq!((&corrected["n"], &corrected["is_planned"]), (&json!(1_000), &json!(false)));
    let calibrated = json_of(place.run(["calibrate", LOG, "--name", "helpful", "--format", "json"]).exits_with(0));
    assert_eq!(calibrated["corrected"]["low"], corrected["low"], "the same figure everywhere");
    for (gate, code) in [
        ("helpful.corrected >= 0.65", 1),
        ("helpful.corrected.lower >= 0.5", 0),
        ("helpful.corrected.upper <= 68%", 0),
        ("helpful.pass >= 0.65", 0),
    ] {
        let found = json_of(report(&["--gate", gate]).exits_with(code));
        assert_eq!(found["gates"][0]["outcome"], if code == 0 { "pass" } else { "fail" }, "{gate}");
    }
    for form in ["text", "markdown"] {
        place.run(["report", LOG, "--format", form]).exits_with(0).prints(&["by 100 labels of people"]);
    }
    place.run(["report", LOG, "--format", "csv"]).exits_with(0).prints(&["corrected_low", "jeffreys,100"]);
    // Of another version of the judge the labels say what they say themselves.
    place.write(LOG, place.read(LOG).replacen("\"d1\"", "\"d2\"", 300));
    let found = json_of(report(&["--gate", "helpful.corrected >= 0.55"]).exits_with(0));
    let gate = &found["gates"][0];
    assert!(gate["outcome"] == "pass" && gate["reason"].as_str().unwrap().contains("changed"), "{gate}");
    near(&gate["estimate"], 0.6, 1e-9);
}

#[test]
fn labels_of_a_judges_own_examples_do_not_certify_it() {
    let place = Place::with_traces(40);
    let id = |i: usize| answers::trace(i)["trace_id"].as_str().unwrap().to_owned();
    let example = format!(
        "[[examples]]\ntrace_id = \"{}\"\ninputs = \"x\"\noutputs = \"y\"\nrationale = \"r\"\nvalue = true\n",
        id(3)
    );
    let judge = "version = 1\ndescription = \"d\"\n[verdict]\ntype = \"boolean\"\ngood = true\n[prompt]\nsystem = \"s\"\n\
                 user = \"{{ inputs }} {{ outputs }}\"\n";
    place.write("own.toml", format!("{judge}{example}"));
    let fake = Fake::start(|request| answers::verdict(request.trace() % 2 == 0));
    let args = ["-d", "traces.jsonl", "-J", "own.toml", "--base-url", &fake.base_url(), "-o", LOG, "-q"];
    place.run(args).exits_with(0);
    let rows: String = (0..20).map(|i| format!("{},own,{},anna\n", id(i), i % 2 == 0)).collect();
    place.write("labels.csv", format!("trace_id,name,value,source_id\n{rows}"));
    place.run(["feedback", "import", "labels.csv", "--log", LOG]).exits_with(0);
    let found = json_of(place.run(["calibrate", LOG, "--name", "own", "--format", "json"]).exits_with(0));
    assert_eq!((found["n_labelled"].clone(), found["n_excluded"].clone()), (json!(19), json!(1)));
    let report = json_of(place.run(["report", LOG, "--format", "json"]).exits_with(0));
    assert_eq!(report["judges"][0]["corrected"]["n_excluded"], 1);
}

#[test]
fn a_judge_at_chance_is_refused_and_examples_do_not_count() {
    let place = Place::new();
    place.write(LOG, judged(100, |t| t % 2 == 0));
    place.write("labels.csv", sheet((0..60).map(|t| (t, "anna", t % 4 < 2))));
    place.run(["feedback", "import", "labels.csv", "--log", LOG]).exits_with(0);
    let calibrate =
        |more: &[&str]| place.run(["calibrate", LOG, "--name", "helpful", "--format", "json"].iter().chain(more));
    let found = json_of(calibrate(&[]).exits_with(1));
    assert!(found["refused"].as_str().unwrap().contains("chance"), "{found}");
    place.write("examples.txt", "t0\nt1\n");
    let found = json_of(calibrate(&["--examples", "@examples.txt", "--examples", "t2"]).exits_with(1));
    assert_eq!((found["n_labelled"].clone(), found["n_excluded"].clone()), (json!(57), json!(3)));
    calibrate(&["--labels", LOG]).exits_with(2).says(&["rogan-gladen"]);
    place.run(["calibrate", LOG, "--name", "helpful"]).exits_with(1).prints(&["refused", "adds nothing"]);
}
