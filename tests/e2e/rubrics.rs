//! Several criteria in one request: one record for each.

use serde_json::{Map, Value, json};

use crate::common::{Fake, Finished, Place, answers};

const LOG: &str = "traces.feedback.jsonl";

/// A folder with traces and a rubric of three criteria.
fn place(traces: usize, more: &str) -> Place {
    let place = Place::with_traces(traces);
    let criteria = "[[criteria]]\nname = \"faithful\"\ndescription = \"Says nothing that the source lacks.\"\n\
                    verdict = { type = \"boolean\", good = true }\n\
                    [[criteria]]\nname = \"clear\"\ndescription = \"1 = unclear, 4 = clear.\"\n\
                    verdict = { type = \"integer\", min = 1, max = 4, better = \"higher\" }\n\
                    [[criteria]]\nname = \"tone\"\ndescription = \"Kind or rude.\"\n\
                    verdict = { type = \"category\", labels = [\"kind\", \"rude\"], good = [\"kind\"] }\n";
    let prompt = "[prompt]\nsystem = \"Judge.\"\nuser = \"{{ outputs | fence('answer') }}\"\n";
    place.write("sum.toml", format!("[verdict]\ntype = \"rubric\"\n{more}\n{criteria}{prompt}"));
    place
}

fn judge(place: &Place, fake: &Fake, more: &[&str]) -> Finished {
    let args = ["-d", "traces.jsonl", "-J", "./sum.toml", "--base-url", &fake.base_url(), "-q"];
    place.run(args.iter().chain(more))
}

/// The keys of the answer that a request asks for, in their order.
fn keys(request: &Value) -> Vec<String> {
    let required = &request["response_format"]["json_schema"]["schema"]["required"];
    required.as_array().unwrap().iter().map(|key| key.as_str().unwrap().to_owned()).collect()
}

/// An answer with these criteria.
fn answer(of: &[(&str, Value)]) -> String {
    let of = of
        .iter()
        .map(|(name, value)| ((*name).to_owned(), json!({"rationale": format!("So {name}."), "value": value})));
    Value::Object(of.collect::<Map<_, _>>()).to_string()
}

fn whole() -> String {
    answer(&[("faithful", json!(true)), ("clear", json!(3)), ("tone", json!("rude"))])
}

fn named<'a>(records: &'a [Value], name: &str) -> &'a Value {
    records.iter().rfind(|record| record["name"] == name).unwrap()
}

#[test]
fn one_request_gives_a_record_for_each_criterion() {
    let place = place(1, "");
    let fake = Fake::start(|_| answers::completion(&whole()));
    judge(&place, &fake, &["--keep-answers"]).exits_with(0);
    let records = place.lines(LOG);
    assert_eq!((fake.seen().len(), records.len()), (1, 3));
    for (name, value, good) in [
        ("sum.faithful", json!(true), "true"),
        ("sum.clear", json!(3), "higher"),
        ("sum.tone", json!("rude"), "[\"kind\"]"),
    ] {
        let record = named(&records, name);
        assert_eq!((&record["value"], &record["metadata"]["good"]), (&value, &json!(good)), "{record}");
        assert_eq!(record["metadata"]["judge_prompt"], "prompts:/sum/1");
    }
    assert_eq!(named(&records, "sum.clear")["rationale"], "So clear.");
    // The tokens and time of the answer are reported once.
    let payers: Vec<_> = records.iter().filter(|record| record["metadata"]["input_tokens"] == "100").collect();
    assert_eq!(payers.len(), 1);
    let riders: Vec<_> = records.iter().filter(|record| record["metadata"]["attempts"].is_null()).collect();
    assert_eq!(riders.len(), 2);
    assert!(riders.iter().all(|record| record["metadata"]["asked_with"] == payers[0]["assessment_id"]));
    judge(&place, &fake, &[]).exits_with(0);
    assert_eq!((fake.seen().len(), place.lines(LOG).len()), (1, 3), "all of it is there");
    judge(&place, &fake, &["--gate", "sum.clear.mean >= 3", "--gate", "sum.faithful.pass >= 1"]).exits_with(0);
}

#[test]
fn what_an_answer_lacks_is_asked_again_and_the_rest_is_kept() {
    let place = place(1, "");
    let part = answer(&[("faithful", json!(true)), ("tone", json!("polite"))]);
    let fake =
        Fake::start(move |request| answers::completion(&if request.number == 0 { part.clone() } else { whole() }));
    judge(&place, &fake, &[]).exits_with(3);
    let first = place.lines(LOG);
    assert_eq!((fake.seen().len(), first.len()), (1, 3), "a verdict that is there is not asked for again");
    assert_eq!(named(&first, "sum.faithful")["value"], true);
    assert_eq!(named(&first, "sum.clear")["error"]["error_code"], "UNPARSEABLE_VERDICT");
    assert_eq!(named(&first, "sum.tone")["error"]["error_code"], "OUT_OF_RANGE");
    judge(&place, &fake, &[]).exits_with(0);
    let records = place.lines(LOG);
    assert_eq!((fake.seen().len(), records.len()), (2, 5));
    assert!(records[3..].iter().all(|record| record["name"] != "sum.faithful"));
    assert_eq!(named(&records, "sum.clear")["value"], 3);
    // One of the two was asked, and paid for, with the other.
    let payers = records[3..].iter().filter(|record| record["metadata"]["input_tokens"] == "100").count();
    assert_eq!(payers, 1);
}

#[test]
fn a_failure_of_the_request_is_one_of_every_criterion() {
    let place = place(1, "");
    let fake = Fake::start(|_| answers::error(424, "invalid_value", "Not today."));
    judge(&place, &fake, &[]).exits_with(4);
    let records = place.lines(LOG);
    let codes: Vec<_> = records.iter().map(|record| record["error"]["error_code"].as_str().unwrap()).collect();
    assert_eq!((codes.len(), fake.seen().len()), (3, 1));
    assert!(codes.iter().all(|code| *code == codes[0]), "{codes:?}");
}

#[test]
fn the_order_of_criteria_differs_from_trace_to_trace_unless_it_is_fixed() {
    let of = |more: &str| {
        let place = place(12, more);
        let fake = Fake::start(|_| answers::completion(&whole()));
        judge(&place, &fake, &[]).exits_with(0);
        let mut orders: Vec<_> = fake.seen().iter().map(|request| keys(&request.json())).collect();
        orders.sort();
        orders.dedup();
        orders
    };
    assert_eq!(of("").len(), 3);
    assert_eq!(of("order = \"fixed\""), [["faithful", "clear", "tone"]]);
}

#[test]
fn criteria_may_have_a_request_each() {
    let place = place(1, "calls = \"each\"");
    let fake = Fake::start(|request| {
        let schema = request.json()["response_format"]["json_schema"]["schema"]["properties"]["value"].clone();
        answers::verdict(match schema["type"].as_str() {
            Some("boolean") => json!(true),
            Some("integer") => json!(2),
            _ => json!("kind"),
        })
    });
    judge(&place, &fake, &[]).exits_with(0);
    let records = place.lines(LOG);
    assert_eq!((fake.seen().len(), records.len()), (3, 3));
    assert_eq!(named(&records, "sum.clear")["value"], 2);
    let system = |n: usize| fake.seen()[n].json()["messages"][0]["content"].as_str().unwrap().to_owned();
    assert_eq!((0..3).filter(|n| system(*n).contains("Criterion: Kind or rude.")).count(), 1);
}

#[test]
fn a_dry_run_counts_the_requests_and_a_replay_asks_the_rubric_again() {
    let place = place(2, "");
    let fake = Fake::start(|request| match request.number {
        0 | 1 => answers::error(424, "invalid_value", "Not today."),
        _ => answers::completion(&whole()),
    });
    judge(&place, &fake, &[]).exits_with(4);
    place.run(["replay", LOG, "-q"]).exits_with(0);
    assert_eq!(fake.seen().len(), 4);
    let dry = ["-d", "traces.jsonl", "-J", "./sum.toml", "-o", "x.jsonl", "--dry-run"];
    place.run(dry).exits_with(0).prints(&["sum.faithful", "requests       2", "requests       0"]);
}

#[test]
fn a_rubric_is_checked_before_anything_is_asked() {
    for (text, words) in [
        ("[verdict]\ntype = \"rubric\"", "a rubric has 2 to 20 [[criteria]]"),
        ("[verdict]\ntype = \"boolean\"\ncalls = \"one\"", "`calls` requires type = \"rubric\""),
        ("[verdict]\ntype = \"rubric\"\ngood = true", "a rubric has no verdict itself"),
    ] {
        let place = Place::with_traces(1);
        place.write("sum.toml", format!("{text}\n[prompt]\nuser = \"{{{{ outputs }}}}\"\n"));
        place.run(["-d", "traces.jsonl", "-J", "./sum.toml", "--simulate"]).exits_with(2).says(&[words]);
    }
}

/// A rubric of two criteria whose verdicts come to one; the traces say in their outputs what is bad.
fn aggregated(traces: &[&str], more: &str) -> Place {
    let place = Place::new();
    let trace = |(n, outputs): (usize, &&str)| {
        json!({"trace_id": format!("t{n}"), "inputs": "q", "outputs": outputs}).to_string()
    };
    let lines: Vec<_> = traces.iter().enumerate().map(trace).collect();
    place.write("traces.jsonl", lines.join("\n"));
    place.write("sum.toml", rubric_with(&format!("aggregate = \"all\"\n{more}"), ""));
    place
}

fn rubric_with(of_verdict: &str, of_criterion: &str) -> String {
    let criteria = format!(
        "[[criteria]]\nname = \"faithful\"\ndescription = \"Says nothing that the source lacks.\"\n\
         verdict = {{ type = \"boolean\", good = true{of_criterion} }}\n\
         [[criteria]]\nname = \"clear\"\ndescription = \"1 = unclear, 4 = clear.\"\n\
         verdict = {{ type = \"integer\", min = 1, max = 4, better = \"higher\", threshold = 3{of_criterion} }}\n"
    );
    let prompt = "[prompt]\nsystem = \"Judge.\"\nuser = \"{{ outputs | fence('answer') }}\"\n";
    format!("[verdict]\ntype = \"rubric\"\n{of_verdict}\n{criteria}{prompt}")
}

/// Answers by what the trace says: which criterion is bad, or broken.
fn by_text() -> Fake {
    Fake::start(|request| {
        let user = request.json()["messages"][1]["content"].as_str().unwrap().to_owned();
        let mut all = vec![("faithful", json!(!user.contains("unfaithful")))];
        if !user.contains("no clear") {
            all.push(("clear", json!(if user.contains("unclear") { 1 } else { 4 })));
        }
        answers::completion(&answer(&all))
    })
}

/// The records under the rubric's own name, in the order of their lines.
fn concluded(place: &Place) -> Vec<Value> {
    place.lines(LOG).into_iter().filter(|record| record["name"] == "sum").collect()
}

fn last_of<'a>(records: &'a [Value], trace: &str) -> &'a Value {
    records.iter().rfind(|record| record["trace_id"] == trace).unwrap()
}

#[test]
fn the_criteria_come_to_one_record_under_the_rubrics_name() {
    let place = aggregated(&["fine", "unfaithful", "unfaithful, no clear", "no clear"], "");
    let fake = by_text();
    judge(&place, &fake, &[]).exits_with(3);
    let found = concluded(&place);
    assert_eq!(found.len(), 4);
    let good = last_of(&found, "t0");
    assert_eq!(
        (&good["value"], &good["source"]),
        (&json!(true), &json!({"source_type": "CODE", "source_id": "aggregate:all"}))
    );
    let metadata = &good["metadata"];
    assert_eq!((&metadata["good"], &metadata["judge_prompt"]), (&json!("true"), &json!("prompts:/sum/1")));
    assert_eq!((&metadata["criteria_good"], &metadata["criteria_bad"]), (&json!("faithful, clear"), &Value::Null));
    let bad = last_of(&found, "t1");
    assert_eq!((&bad["value"], &bad["rationale"]), (&json!(false), &json!("faithful: So faithful.")));
    assert_eq!(
        (&bad["metadata"]["criteria_good"], &bad["metadata"]["criteria_bad"]),
        (&json!("clear"), &json!("faithful"))
    );
    // What is bad decides, whatever is unknown.
    let decided = last_of(&found, "t2");
    assert_eq!((&decided["value"], &decided["metadata"]["criteria_failed"]), (&json!(false), &json!("clear")));
    let failed = last_of(&found, "t3");
    assert_eq!((&failed["value"], &failed["error"]["error_code"]), (&Value::Null, &json!("INCOMPLETE")));
    assert_eq!(failed["error"]["error_message"], "1 of 2 criteria have no verdict: clear");

    let report = place.run(["report", LOG, "--format", "json"]).exits_with(0).stdout;
    let report: Value = serde_json::from_str(&report).unwrap();
    let own = report["judges"].as_array().unwrap().iter().find(|judge| judge["name"] == "sum").unwrap();
    assert_eq!((&own["n_scored"], &own["n_failed"], &own["good"]), (&json!(3), &json!(1), &json!("true")));
    place.run(["report", LOG, "--gate", "sum.pass >= 0.3"]).exits_with(0);
    place.run(["report", LOG, "--gate", "sum.pass >= 0.4"]).exits_with(1);
    // A gate that names no judge is about the rubric, and about its criteria only where judgments are counted.
    let gates = |gate: &str| {
        let report = place.run(["report", LOG, "--gate", gate, "--format", "json"]).exits_with(0).stdout;
        serde_json::from_str::<Value>(&report).unwrap()["gates"].as_array().unwrap().clone()
    };
    assert_eq!(gates("pass >= 0.3").len(), 1);
    let errors = gates("errors <= 0.25");
    assert_eq!((errors.len(), &errors[0]["estimate"]), (1, &json!(0.25)));
}

#[test]
fn what_the_criteria_come_to_follows_their_verdicts_and_is_written_once() {
    let place = aggregated(&["fine", "no clear"], "");
    let fake = by_text();
    judge(&place, &fake, &[]).exits_with(3);
    let lines = place.lines(LOG).len();
    let asked = fake.seen().len();
    // As after a kill before the end: it is made of what the log has.
    let all = place.read(LOG);
    let without: String =
        all.lines().filter(|line| !line.contains("aggregate:all")).map(|line| format!("{line}\n")).collect();
    place.write(LOG, without);
    let mended = Fake::start(|_| answers::completion(&answer(&[("faithful", json!(true)), ("clear", json!(4))])));
    place.run(["replay", LOG, "-q", "--base-url", &mended.base_url()]).exits_with(0);
    assert_eq!((mended.seen().len(), fake.seen().len()), (1, asked));
    let found = concluded(&place);
    assert_eq!((found.len(), &last_of(&found, "t1")["value"]), (2, &json!(true)));
    assert_eq!(place.lines(LOG).len(), lines + 1, "only the criterion that failed is another record");
    judge(&place, &fake, &[]).exits_with(0);
    assert_eq!((fake.seen().len(), concluded(&place).len()), (asked, 2));

    // A person's own verdict is another opinion; where one rejects the judge's, there is none.
    let of = |command: &str, more: &[&str]| {
        let args =
            ["feedback", command, LOG, "--trace", "t0", "--name", "sum.clear", "--source", "openai:/gpt-4.1-mini"];
        place.run(args.iter().chain(more)).exits_with(0);
        judge(&place, &fake, &[]).exits_with(0);
        concluded(&place)
    };
    assert_eq!(of("override", &["--value", "1", "--as", "anna"]).len(), 2);
    place.run(["feedback", "delete", LOG, "--trace", "t0", "--source", "anna", "--as", "anna"]).exits_with(0);
    let rejected = of("reject", &["--as", "anna"]);
    assert_eq!((rejected.len(), &last_of(&rejected, "t0")["error"]["error_code"]), (3, &json!("INCOMPLETE")));
    let accepted = of("accept", &[]);
    assert_eq!((accepted.len(), &last_of(&accepted, "t0")["value"]), (4, &json!(true)));
    assert_eq!(fake.seen().len(), asked);
}

#[test]
fn a_criterion_alone_comes_to_nothing_and_all_of_them_do_also_by_name() {
    let place = aggregated(&["fine"], "calls = \"each\"");
    place.write("judges/sum.toml", place.read("sum.toml"));
    let fake = Fake::start(|request| {
        let schema = request.json()["response_format"]["json_schema"]["schema"]["properties"]["value"].clone();
        answers::verdict(if schema["type"] == "boolean" { json!(true) } else { json!(4) })
    });
    let judge = |names: &[&str]| {
        let args = ["-d", "traces.jsonl", "--base-url", &fake.base_url(), "-q"];
        place.run(args.iter().chain(names)).exits_with(0);
        concluded(&place).len()
    };
    assert_eq!(judge(&["-J", "sum.faithful"]), 0);
    assert_eq!(judge(&["-J", "sum.clear"]), 0);
    assert_eq!(judge(&["-J", "sum.faithful", "-J", "sum.clear"]), 1);
    assert_eq!((judge(&["-J", "sum"]), fake.seen().len()), (1, 2));
}

#[test]
fn where_several_vote_the_aggregates_of_the_criteria_come_to_one() {
    let place = aggregated(&["fine", "unfaithful"], "");
    let fake = Fake::start(|request| {
        let json = request.json();
        let user = json["messages"][1]["content"].as_str().unwrap();
        // One of the three finds everything good, and one nothing.
        let faithful = json["model"] == "a" || (json["model"] == "b" && !user.contains("unfaithful"));
        answers::completion(&answer(&[("faithful", json!(faithful)), ("clear", json!(4))]))
    });
    let three = ["-m", "openai:/a", "-m", "openai:/b", "-m", "openai:/c"];
    judge(&place, &fake, &three).exits_with(0);
    let found = concluded(&place);
    assert_eq!((found.len(), &last_of(&found, "t0")["value"]), (2, &json!(true)));
    let bad = last_of(&found, "t1");
    assert_eq!((&bad["value"], &bad["metadata"]["criteria_bad"]), (&json!(false), &json!("faithful")));
    judge(&place, &fake, &[&three[..], &["--gate", "sum.pass >= 0.5"]].concat()).exits_with(0);
    assert_eq!((fake.seen().len(), concluded(&place).len()), (6, 2));
}

#[test]
fn an_aggregate_needs_to_know_what_is_good() {
    let place = place(1, "aggregate = \"all\"");
    let run = place.run(["-d", "traces.jsonl", "-J", "./sum.toml", "--simulate"]).exits_with(2);
    run.says(&["[criteria]: `clear`: `aggregate = \"all\"` needs to know which verdicts are good: add `threshold`"]);
    place.write("sum.toml", "[verdict]\ntype = \"boolean\"\naggregate = \"all\"\n[prompt]\nuser = \"{{ outputs }}\"\n");
    place
        .run(["-d", "traces.jsonl", "-J", "./sum.toml", "--simulate"])
        .exits_with(2)
        .says(&["`aggregate` requires type"]);
}

#[test]
fn a_criterion_may_abstain_in_one_request_and_in_its_own() {
    for calls in ["one", "each"] {
        let place = aggregated(&["fine"], "");
        place.write("sum.toml", rubric_with(&format!("aggregate = \"all\"\ncalls = \"{calls}\""), ", unknown = true"));
        let fake = Fake::start(|request| {
            let properties = request.json()["response_format"]["json_schema"]["schema"]["properties"].clone();
            let missing = json!({"rationale": "No source.", "value": null});
            answers::completion(&match properties["faithful"]["properties"]["value"]["anyOf"][1]["type"].as_str() {
                Some(null) => {
                    assert_eq!(null, "null");
                    json!({"faithful": missing, "clear": {"rationale": "So.", "value": 4}}).to_string()
                }
                None if properties["value"]["anyOf"][0]["type"] == "boolean" => missing.to_string(),
                None => json!({"rationale": "So.", "value": 4}).to_string(),
            })
        });
        judge(&place, &fake, &[]).exits_with(0);
        let records = place.lines(LOG);
        let faithful = named(&records, "sum.faithful");
        assert_eq!(
            (&faithful["error"]["error_code"], &faithful["rationale"]),
            (&json!("ABSTAINED"), &json!("No source."))
        );
        let whole = named(&records, "sum");
        assert_eq!(
            (&whole["error"]["error_code"], &whole["rationale"]),
            (&json!("ABSTAINED"), &json!("faithful: No source."))
        );
        assert_eq!(whole["metadata"]["criteria_abstained"], "faithful");
        let asked = fake.seen().len();
        judge(&place, &fake, &[]).exits_with(0);
        assert_eq!((fake.seen().len(), place.lines(LOG).len()), (asked, 3), "{calls}");
    }
}

#[test]
fn a_criterion_has_the_labels_that_other_judges_have() {
    let place = Place::with_traces(1);
    let kinds = "labels = [\"none\", \"m\", \"M\"], multiple = true, case_sensitive = true, good = [\"none\"]";
    let tone = "labels = [\"rude\", \"kind\"], ordered = true, scores = { rude = 0, kind = 1 }, good = [\"kind\"]";
    let criterion = |name: &str, verdict: &str| {
        format!(
            "[[criteria]]\nname = \"{name}\"\ndescription = \"d\"\nverdict = {{ type = \"category\", {verdict} }}\n"
        )
    };
    let criteria = criterion("kinds", kinds) + &criterion("tone", tone);
    let prompt = "[prompt]\nuser = \"{{ outputs | fence('answer') }}\"\n";
    let of = |criteria: &str| format!("[verdict]\ntype = \"rubric\"\n{criteria}{prompt}");
    place.write("sum.toml", of(&criteria));
    let fake = Fake::start(|_| answers::completion(&answer(&[("kinds", json!(["M"])), ("tone", json!("Kind"))])));
    judge(&place, &fake, &[]).exits_with(0);
    let records = place.lines(LOG);
    assert_eq!(named(&records, "sum.kinds")["value"], json!(["M"]));
    let tone = named(&records, "sum.tone");
    assert_eq!((&tone["value"], &tone["metadata"]["scores"]), (&json!("kind"), &json!("{\"kind\":1.0,\"rude\":0.0}")));
    for (change, words) in [
        ("ordered = true, calls = \"each\"", "`tone`: `calls` requires type = \"rubric\""),
        ("evidence = true", "`tone`: a criterion is a boolean, a category, an integer or a number"),
    ] {
        place.write("sum.toml", of(&criteria.replace("ordered = true", change)));
        place.run(["-d", "traces.jsonl", "-J", "./sum.toml", "--simulate"]).exits_with(2).says(&[words]);
    }
}

#[test]
fn a_criterion_of_a_file_is_named_by_its_path() {
    let place = aggregated(&["fine"], "calls = \"each\"");
    let fake = Fake::start(|request| match request.number {
        0 => answers::error(424, "invalid_value", "Not today."),
        _ => answers::verdict(true),
    });
    let base_url = fake.base_url();
    let run = |judge: &str| place.run(["-d", "traces.jsonl", "-J", judge, "--base-url", &base_url, "-q"]);
    run("sum.toml:faithful").exits_with(4);
    place.run(["replay", LOG, "-q"]).exits_with(0);
    run("./sum.toml:faithful").exits_with(0);
    let names: Vec<_> = place.lines(LOG).iter().map(|record| record["name"].clone()).collect();
    assert_eq!((names, fake.seen().len()), (vec![json!("sum.faithful"), json!("sum.faithful")], 2));
    let pair = json!({"pair": "p", "differs": "d", "both": {}, "one": {"expected": {"faithful": true}, "answer": "x"},
        "other": {"expected": {"faithful": false}, "answer": "y"}});
    place.write("tests/sum.jsonl", pair.to_string());
    place.run(["judges", "test", "./sum.toml:faithful", "--simulate", "--once"]).exits_with(0).prints(&["of 2 traces"]);
    for near in ["./sum.toml.faithful", "./sum.toml::faithful", "./sum.faithful", "sum.toml:faithfull"] {
        let path = if near.starts_with('.') { "./sum.toml:faithful" } else { "sum.toml:faithful" };
        run(near).exits_with(2).says(&[&format!("unknown judge `{near}`"), path]);
    }
    run("./other.toml:faithful").exits_with(2).says(&["cannot read the judge file `./other.toml`"]);
}

#[test]
fn sessions_and_batches_have_the_record_too() {
    let place = Place::new();
    let trace = |n: usize| {
        let session = format!("s{}", n / 2);
        json!({"trace_id": format!("t{n}"), "session_id": session, "inputs": "q", "outputs": "a"}).to_string()
    };
    place.write("traces.jsonl", (0..4).map(trace).collect::<Vec<_>>().join("\n"));
    place.run(["judges", "new", "sum", "--type", "rubric", "--unit", "session"]).exits_with(0);
    let run =
        |more: &[&str]| place.run(["-d", "traces.jsonl", "-J", "sum", "--simulate"].iter().chain(more)).exits_with(0);
    run(&[]).prints(&["sum  aggregate:all of 2 criteria"]);
    let found = concluded(&place);
    let session = |record: &Value| record["metadata"]["mlflow.trace.session"].clone();
    let sessions: Vec<_> = found.iter().map(session).collect();
    assert_eq!((sessions.len(), sessions.contains(&json!("s0")), sessions.contains(&json!("s1"))), (2, true, true));
    assert_eq!((&last_of(&found, "t1")["trace_id"], &last_of(&found, "t3")["trace_id"]), (&json!("t1"), &json!("t3")));
    run(&["--batch", "--poll-every", "1ms", "-o", "batch.jsonl"]);
    let of_batch = place.lines("batch.jsonl");
    assert_eq!(of_batch.iter().filter(|record| record["source"]["source_id"] == "aggregate:all").count(), 2);
    // The same verdicts come to the same, however they came.
    let values = |records: &[Value]| ["t1", "t3"].map(|trace| last_of(records, trace)["value"].clone());
    let in_batch: Vec<_> = of_batch.into_iter().filter(|record| record["name"] == "sum").collect();
    assert_eq!(values(&found), values(&in_batch));
    run(&["--dry-run"]).prints(&["requests       0"]);
    // Without a log there is nothing to make it of, and what is known only at the end ends no run.
    assert!(!run(&["-o", "-", "-q"]).stdout.contains("aggregate:all"));
    let until = ["-d", "traces.jsonl", "-J", "sum", "--simulate", "--until", "sum.pass >= 0.5"];
    place.run(until).exits_with(2).says(&["known only at the end", "RUBRIC.CRITERION.pass"]);
}
