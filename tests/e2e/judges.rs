//! Which judge is asked, and which model.

use serde_json::json;

use crate::common::{Fake, Place, answers};

/// A judge file whose prompt begins with this.
fn judge_file(question: &str, more: &str) -> String {
    format!(
        "{more}\nversion = 7\n[verdict]\ntype = \"boolean\"\n[prompt]\nsystem = \"{question}\"\nuser = \"{{{{ outputs | fence }}}}\"\n"
    )
}

fn systems(fake: &Fake) -> Vec<String> {
    fake.seen().iter().map(|request| request.json()["messages"][0]["content"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_judge_in_the_judges_folder_wins_over_the_built_in_one() {
    let place = Place::with_traces(1);
    place.write("judges/safety.toml", judge_file("My own question.", ""));
    let fake = Fake::start(|_| answers::verdict(true));
    place.judge(&fake.base_url(), &["-J", "relevance"]).run().exits_with(0);
    let systems = systems(&fake);
    assert_eq!(systems.iter().filter(|system| system.starts_with("My own question.")).count(), 1);
    let records = place.lines("traces.feedback.jsonl");
    let own = records.iter().find(|record| record["name"] == "safety").unwrap();
    assert_eq!(own["metadata"]["judge_prompt"], "prompts:/safety/7");
}

#[test]
fn a_judge_can_be_any_file_and_is_named_after_it() {
    let place = Place::with_traces(1);
    place.write("politeness.toml", judge_file("Is it polite?", ""));
    place.write("deep/er/brevity.toml", judge_file("Is it brief?", ""));
    let fake = Fake::start(|_| answers::verdict(true));
    let args =
        ["-d", "traces.jsonl", "-J", "./politeness.toml", "-J", "deep/er/brevity.toml", "--base-url", &fake.base_url()];
    place.run(args).exits_with(0).prints(&["politeness  on openai:/gpt-4.1-mini", "brevity  on"]);
    let mut names: Vec<_> =
        place.lines("traces.feedback.jsonl").iter().map(|record| record["name"].as_str().unwrap().to_owned()).collect();
    names.sort();
    assert_eq!(names, ["brevity", "politeness"]);
    let twice = ["-d", "traces.jsonl", "-J", "./politeness.toml,politeness.toml", "--simulate"];
    place.run(twice).exits_with(2).says(&["the judge `politeness` is named twice"]);
}

#[test]
fn a_built_in_judge_that_is_printed_is_the_judge() {
    let place = Place::with_traces(1);
    let fake = Fake::start(|_| answers::verdict(true));
    place.judge(&fake.base_url(), &[]).run().exits_with(0);
    let printed = place.run(["judges", "safety"]).exits_with(0).stdout;
    place.write("judges/safety.toml", printed);
    place.judge(&fake.base_url(), &[]).run().exits_with(0).prints(&["1 trace, 0 requests"]);
}

#[test]
fn each_judge_can_have_a_model_on_an_endpoint_of_its_own() {
    let place = Place::with_traces(3);
    let (here, there) = (Fake::start(|_| answers::verdict(true)), Fake::start(|_| answers::verdict(false)));
    place.write("a.toml", judge_file("A?", "model = \"here:/small\""));
    place.write("b.toml", judge_file("B?", "model = \"there:/org/large:v2\""));
    let config = format!(
        "[endpoints.here]\nbase_url = \"{}\"\napi_key_env = \"HERE_KEY\"\n[endpoints.there]\nbase_url = \"{}\"\nheaders = {{ X-Team = \"${{TEAM}}\" }}\n",
        here.base_url(),
        there.base_url()
    );
    place.write("judge-run.toml", config);
    let args = ["-d", "traces.jsonl", "-J", "a.toml,b.toml"];
    let run =
        |more: &[&str]| place.command(args.iter().chain(more)).env("HERE_KEY", "key-of-here").env("TEAM", "t1").run();
    run(&[]).exits_with(0).prints(&["a  on here:/small", "b  on there:/org/large:v2"]);
    for (fake, model, key, team) in
        [(&here, "small", Some("Bearer key-of-here"), None), (&there, "org/large:v2", None, Some("t1"))]
    {
        let seen = fake.seen();
        assert_eq!(seen.len(), 3);
        for request in seen {
            assert_eq!(request.json()["model"], model);
            assert_eq!((request.header("authorization"), request.header("x-team")), (key, team));
        }
    }
    for record in place.lines("traces.feedback.jsonl") {
        let (source, value) =
            if record["name"] == "a" { ("here:/small", true) } else { ("there:/org/large:v2", false) };
        assert_eq!(record["source"], json!({"source_type": "LLM_JUDGE", "source_id": source}));
        assert_eq!(record["value"], value);
    }

    // The command line wins over the judge file.
    run(&["-m", "there:/other", "-o", "other.jsonl"])
        .exits_with(0)
        .prints(&["a  on there:/other", "b  on there:/other"]);
    assert_eq!((here.count(), there.count()), (3, 9));
}

#[test]
fn one_endpoint_that_gives_up_does_not_stop_the_other() {
    let place = Place::with_traces(5);
    let broken = Fake::start(|_| answers::error(401, "invalid_api_key", "No."));
    let good = Fake::start(|_| answers::verdict(true));
    place.write("a.toml", judge_file("A?", "model = \"broken:/m\""));
    place.write("b.toml", judge_file("B?", "model = \"good:/m\""));
    let endpoint = |name: &str, fake: &Fake| format!("[endpoints.{name}]\nbase_url = \"{}\"\n", fake.base_url());
    place.write("judge-run.toml", endpoint("broken", &broken) + &endpoint("good", &good));
    let finished = place.run(["-d", "traces.jsonl", "-J", "a.toml,b.toml", "-j", "1"]).exits_with(4);
    finished.prints(&["stopped early: broken:/m: AUTHENTICATION_ERROR", "scored         5", "unjudged       4"]);
    assert_eq!((broken.count(), good.count()), (1, 5));
}

/// A dataset of one trace with this as its inputs.
fn with_inputs(inputs: &serde_json::Value) -> Place {
    let place = Place::new();
    place.write("traces.jsonl", json!({"trace_id": "t", "inputs": inputs, "outputs": "It is."}).to_string() + "\n");
    place
}

#[test]
fn a_prompt_that_is_too_long_is_not_sent_or_loses_its_middle() {
    let place = with_inputs(&json!("long ".repeat(5000)));
    let fake = Fake::start(|_| answers::verdict(true));
    let judge = |more: &str| {
        let prompt = "user = \"{{ inputs | fence('input') }} {{ outputs }}\"\nmax_input_tokens = 800";
        format!("[verdict]\ntype = \"boolean\"\n[prompt]\n{prompt}\n{more}")
    };
    place.write("short.toml", judge(""));
    let args = ["-d", "traces.jsonl", "-J", "short.toml", "--base-url", &fake.base_url()];
    place.run(args).exits_with(4);
    let failed = &place.lines("traces.feedback.jsonl")[0];
    assert_eq!((failed["error"]["error_code"].as_str(), fake.count()), (Some("REQUEST_TOO_LARGE"), 0));
    let message = failed["error"]["error_message"].as_str().unwrap();
    assert!(
        message.starts_with("the prompt takes about 6") && message.ends_with("`max_input_tokens` is 800"),
        "{message}"
    );

    place.write("short.toml", judge("truncate = \"middle\""));
    place.run(args).exits_with(0);
    let sent = fake.seen()[0].json();
    let user = sent["messages"][1]["content"].as_str().unwrap();
    let left_out = user.split_once("\n[... ").unwrap().1.split_once(" characters left out ...]\n").unwrap().0;
    assert!(user.starts_with("<input-") && user.ends_with("> It is.") && user.len() < 3200, "{user}");
    let records = place.lines("traces.feedback.jsonl");
    assert_eq!(records.last().unwrap()["metadata"]["prompt_truncated_chars"], left_out.replace(',', ""));
    place.run(args).exits_with(0).prints(&["1 trace, 0 requests"]);
}

#[test]
fn images_are_attached_where_the_judge_says_so_and_shown_as_placeholders_elsewhere() {
    let url = format!("data:image/png;base64,{}", "iVBORw0KGgo+".repeat(2000));
    let address = "https://example.com/a.png";
    let content = [&url, address].map(|url| json!({"type": "image_url", "image_url": {"url": url}}));
    let place = with_inputs(&json!({"messages": [{"role": "user", "content": content}]}));
    let fake = Fake::start(|_| answers::verdict(true));
    let judge = |user: &str| format!("[verdict]\ntype = \"boolean\"\n[prompt]\nuser = \"{user}\"");
    place.write("text.toml", judge("{{ inputs | fence }}"));
    place.write("sees.toml", judge("{{ inputs | images }} {{ outputs }}"));
    let run = |name: &str, model: &[&str]| {
        let args = ["-d", "traces.jsonl", "-J", name];
        place.run(args.iter().chain(model)).exits_with(0)
    };
    let endpoint = ["--base-url", &fake.base_url()];
    run("text.toml", &endpoint);
    run("sees.toml", &endpoint);
    let seen = fake.seen();
    let text = seen[0].json()["messages"][1]["content"].as_str().unwrap().to_owned();
    assert!(text.contains("[image: image/png, 18,000 bytes, blake3 ") && text.contains(address) && text.len() < 500);
    let parts = seen[1].json()["messages"][1]["content"].clone();
    let said = parts[0]["text"].as_str().unwrap();
    assert!(said.starts_with("[image 1: image/png, 18,000 bytes, ") && said.ends_with("[image 2] It is."), "{said}");
    assert_eq!(parts[1], json!({"type": "image_url", "image_url": {"url": url}}));
    assert_eq!((&parts[2]["image_url"]["url"], parts.as_array().unwrap().len()), (&json!(address), 3));
    run("sees.toml", &endpoint).prints(&["1 trace, 0 requests"]);
    run("sees.toml", &["--simulate", "-o", "simulated.jsonl"]);
}

#[test]
fn a_judge_with_other_line_ends_is_the_same_judge() {
    let place = Place::with_traces(2);
    let fake = Fake::start(|_| answers::verdict(true));
    let text = "version = 1\n[verdict]\ntype = \"boolean\"\n[prompt]\nsystem = \"\"\"\nOne.\nTwo.\n\"\"\"\nuser = \"\"\"\n{{ inputs }}\n\n{{ outputs }}\n\"\"\"\n";
    let run = |text: String| {
        place.write("j.toml", text);
        place.run(["-d", "traces.jsonl", "-J", "j.toml", "-m", "e:/m", "--base-url", &fake.base_url()]).exits_with(0)
    };
    run(text.to_owned());
    run(text.replace('\n', "\r\n")).prints(&["2 traces, 0 requests"]);
    run(format!("\u{feff}{text}")).prints(&["2 traces, 0 requests"]);
    assert_eq!(fake.count(), 2);
}

/// A trace with a retrieval, and one without.
fn with_documents() -> Place {
    let place = Place::new();
    let span = json!({"span_id": "s1", "name": "search", "span_type": "RETRIEVER", "inputs": {"query": "q"},
        "outputs": [{"page_content": "Ceps.", "metadata": {"title": "Mushrooms", "doc_uri": "docs/ceps.md"}}]});
    let completion = json!({"id": "chatcmpl-1", "model": "gpt-4o-mini-2024-07-18", "usage": {"total_tokens": 9},
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "They are ceps."}}]});
    let inputs = json!({"model": "gpt-4o-mini", "messages": [
        {"role": "system", "content": "You know mushrooms."}, {"role": "user", "content": "What are these?"}]});
    let traces = [
        json!({"trace_id": "with", "inputs": inputs, "outputs": completion, "spans": [span]}),
        json!({"trace_id": "without", "inputs": {"question": "Why?"}, "outputs": "So."}),
    ];
    place.write("traces.jsonl", traces.map(|trace| trace.to_string() + "\n").concat());
    place
}

#[test]
fn a_judge_sees_texts_and_numbered_documents_and_skips_what_it_does_not_apply_to() {
    let place = with_documents();
    let fake = Fake::start(|_| answers::verdict(true));
    let args = ["-d", "traces.jsonl", "-J", "groundedness", "--base-url", &fake.base_url()];
    let finished = place.run(args).exits_with(0);
    finished.prints(&["skipped        1  not applicable: without documents or calls"]);
    let seen = fake.seen();
    assert_eq!(seen.len(), 1);
    let user = seen[0].json()["messages"][1]["content"].as_str().unwrap().to_owned();
    for shown in [
        ">\nWhat are these?\n</question-",
        ">\n[1] | Mushrooms | docs/ceps.md\nCeps.\n<",
        ">\nThey are ceps.\n</answer-",
    ] {
        assert!(user.contains(shown), "{shown}: {user}");
    }
    for hidden in ["gpt-4o", "chatcmpl", "total_tokens"] {
        assert!(!user.contains(hidden), "{hidden}: {user}");
    }
    // Nothing applies: that is said, and no success.
    place
        .run(["-d", "traces.jsonl", "-J", "role_adherence", "--simulate"])
        .exits_with(2)
        .prints(&["nothing was judged"]);
}

#[test]
fn an_abstention_is_no_failure_is_kept_and_counts_apart() {
    let place = with_documents();
    let fake = Fake::start(|_| answers::completion(r#"{"rationale": "Nothing is claimed.", "value": null}"#));
    let args = ["-d", "traces.jsonl", "-J", "groundedness", "--base-url", &fake.base_url()];
    place.run(args).exits_with(0).prints(&["scored         0", "failed         0", "abstained       1"]);
    let record = &place.lines("traces.feedback.jsonl")[0];
    assert_eq!((&record["error"]["error_code"], record.get("value")), (&json!("ABSTAINED"), None));
    assert_eq!(record["rationale"], "Nothing is claimed.");
    let schema = &fake.seen()[0].json()["response_format"]["json_schema"]["schema"]["properties"]["value"];
    assert_eq!(schema["anyOf"], json!([{"type": "boolean"}, {"type": "null"}]));
    place.run(args).exits_with(0).prints(&["2 traces", "0 requests", "abstained       1"]);
    assert_eq!(fake.count(), 1, "it is not asked again");
    let report = place.run(["report", "traces.feedback.jsonl", "--format", "json"]).exits_with(0).stdout;
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let judge = &report["judges"][0];
    assert_eq!((&judge["n_abstained"], &judge["n_failed"], &judge["n_scored"]), (&json!(1), &json!(0), &json!(0)));
}

#[test]
fn several_labels_at_once_are_a_list() {
    let place = Place::with_traces(1);
    let fake = Fake::start(|_| answers::verdict(json!(["Hate", "violence"])));
    let args = ["-d", "traces.jsonl", "-J", "harms", "--base-url", &fake.base_url()];
    place.run(args).exits_with(0);
    let record = &place.lines("traces.feedback.jsonl")[0];
    assert_eq!(record["value"], json!(["violence", "hate"]), "spelled and ordered as declared");
    let report = place.run(["report", "traces.feedback.jsonl", "--format", "json"]).exits_with(0).stdout;
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["judges"][0]["pass"]["estimate"], json!(0.0), "{report:#}");
}

#[test]
fn parameters_are_set_on_the_command_line_and_are_part_of_the_judge() {
    let place = Place::with_traces(1);
    let fake = Fake::start(|_| answers::completion(r#"{"items":[{"text":"It is brief.","quote":"","mark":"kept"}]}"#));
    let base_url = fake.base_url();
    let run = |set: &[&str]| {
        let mut args = vec!["-d", "traces.jsonl", "-J", "guidelines", "--base-url", &base_url];
        set.iter().for_each(|set| args.extend(["--set", *set]));
        place.run(args)
    };
    run(&["guidelines.guidelines=Be brief", "guidelines.guidelines=Be kind"]).exits_with(0);
    let user = fake.seen()[0].json()["messages"][1]["content"].as_str().unwrap().to_owned();
    assert!(user.contains(">\nBe brief\n<") && user.contains(">\nBe kind\n<"), "{user}");
    run(&["guidelines.guidelines=Be brief", "guidelines.guidelines=Be kind"]).exits_with(0);
    assert_eq!(fake.count(), 1);
    run(&["guidelines.guidelines=Be long"]).exits_with(0).prints(&["asked again"]);
    assert_eq!(fake.count(), 2);
    let records = place.lines("traces.feedback.jsonl");
    assert_ne!(records[0]["metadata"]["judge_digest"], records[1]["metadata"]["judge_digest"]);
    run(&["guidelines.tone=x"]).exits_with(2).says(&["no parameter `tone`", "`guidelines`"]);
    run(&["guidlines.guidelines=x"]).exits_with(2).says(&["no judge of this run is named `guidlines`", "did you mean"]);
    run(&["guidelines"]).exits_with(2).says(&["JUDGE.NAME=VALUE"]);
}

#[test]
fn a_judge_that_is_asked_for_by_mlflows_name_speaks_under_that_name() {
    let place = Place::with_traces(1);
    let fake = Fake::start(|_| answers::verdict(true));
    let args = ["-d", "traces.jsonl", "-J", "relevance_to_query", "--base-url", &fake.base_url()];
    place.run(args).exits_with(0).prints(&["relevance_to_query  on"]);
    assert_eq!(place.lines("traces.feedback.jsonl")[0]["name"], "relevance_to_query");
    place.run(args).exits_with(0).prints(&["0 requests"]);
    place.run(["judges", "retrieval_groundednes"]).exits_with(2).says(&["did you mean `retrieval_groundedness`?"]);
}

#[test]
fn the_list_of_judges_is_for_programs_too() {
    let place = Place::new();
    let list: serde_json::Value =
        serde_json::from_str(&place.run(["judges", "--format", "json"]).exits_with(0).stdout).unwrap();
    let list = list.as_array().unwrap();
    assert!(list.len() > 30);
    for judge in list {
        let keys: Vec<_> = judge.as_object().unwrap().keys().map(String::as_str).collect();
        let expected = ["name", "version", "description", "verdict", "good", "unit", "requires", "digest", "aliases"];
        assert_eq!(keys, expected);
        let says_what_is_good = !judge["good"].is_null();
        assert!(judge["verdict"]["type"].is_string() && says_what_is_good == (judge["unit"] != "pair"), "{judge}");
    }
    let of = |name: &str| list.iter().find(|judge| judge["name"] == name).unwrap();
    assert_eq!(of("relevance")["aliases"], json!(["relevance_to_query"]));
    assert_eq!((&of("user_frustration")["unit"], &of("hallucination")["good"]), (&json!("session"), &json!(false)));
    assert_eq!(of("correctness")["requires"], json!(["question", "expected_facts or expected_response"]));
    let rubric = of("trajectory");
    let criteria = &rubric["verdict"]["criteria"];
    assert_eq!((&rubric["verdict"]["type"], criteria.as_object().unwrap().len()), (&json!("rubric"), 4));
    assert_eq!((&criteria["plan"]["type"], &rubric["good"]["plan"]), (&json!("boolean"), &json!(true)));
    assert!(rubric["digest"]["plan"].is_string() && rubric["digest"]["plan"] != rubric["digest"]["order"]);
}

#[test]
fn a_new_judge_is_written_checked_previewed_and_asked() {
    let place = Place::with_traces(1);
    for kind in ["boolean", "category", "integer", "number"] {
        let name = format!("my_{kind}");
        let path = place.run(["judges", "new", &name, "--type", kind]).exits_with(0).stdout;
        assert_eq!(path.trim(), format!("judges/{name}.toml"));
        place.run(["judges", "check", path.trim(), "--strict"]).exits_with(0);
        place.run(["-d", "traces.jsonl", "-J", &name, "--simulate", "-o", &format!("{name}.jsonl")]).exits_with(0);
    }
    place.run(["judges", "new", "my_boolean"]).exits_with(2).says(&["exists"]);
    place.run(["judges", "new", "../x"]).exits_with(2);
    let args = ["judges", "preview", "my_boolean", "-d", "traces.jsonl", "-m", "openai:/gpt-4.1-mini"];
    let body: serde_json::Value = serde_json::from_str(&place.run(args).exits_with(0).stdout).unwrap();
    assert_eq!((&body["model"], &body["messages"][0]["role"]), (&json!("gpt-4.1-mini"), &json!("system")));
    assert!(body["messages"][1]["content"].as_str().unwrap().starts_with("<question-"));
    let missing = args.iter().copied().chain(["--trace", "nowhere"]);
    place.run(missing).exits_with(2).says(&["no trace `nowhere`"]);
    let schema: serde_json::Value =
        serde_json::from_str(&place.run(["judges", "schema"]).exits_with(0).stdout).unwrap();
    assert_eq!(schema["properties"]["verdict"]["required"], json!(["type"]));
}

#[test]
fn mistakes_of_judge_files_are_found_with_their_place() {
    let place = Place::new();
    place.write("good.toml", place.run(["judges", "show", "relevance"]).exits_with(0).stdout);
    place.write("bad.toml", "[verdict]\ntype = \"boolean\"\n[prompt]\nuser = \"{{ answr }}\"\n");
    place.write("unfenced.toml", judge_file("Is it brief? Empty or a refusal: true.", "").replace(" | fence", ""));
    place.run(["judges", "check", "good.toml", "relevance"]).exits_with(0);
    let finished = place.run(["judges", "check", "good.toml", "bad.toml", "unfenced.toml", "gone.toml"]).exits_with(2);
    let errors: Vec<_> = finished.stdout.lines().filter(|line| line.contains(": error: ")).collect();
    assert_eq!(errors.len(), 3, "{errors:#?}");
    assert!(
        errors[0].starts_with("bad.toml:4:12: error: no trace has `answr`")
            && errors[0].ends_with("did you mean `answer`?"),
        "{errors:#?}"
    );
    assert!(errors[1].starts_with("unfenced.toml:7:12: error: `outputs` stands outside a fence"), "{errors:#?}");
    assert!(errors[2].starts_with("gone.toml:1:1: error: "), "{errors:#?}");
    assert!(finished.stdout.contains("^^^^^"), "{}", finished.stdout);
    place.run(["judges", "check", "unfenced.toml", "--max-tokens", "10"]).exits_with(2);
}

#[test]
fn a_judge_is_tested_by_minimal_pairs_resumed_and_gated() {
    let place = Place::new();
    // This one finds relevant whatever is not empty.
    let fake = Fake::start(|request| {
        let user = request.json()["messages"][1]["content"].as_str().unwrap().to_owned();
        let answer = user.split("<answer-").nth(1).unwrap().split('\n').nth(1).unwrap().to_owned();
        answers::verdict(!answer.is_empty())
    });
    let base_url = fake.base_url();
    let args = ["judges", "test", "relevance", "-m", "e:/m", "--base-url", &base_url, "--format", "json"];
    let tested: serde_json::Value = serde_json::from_str(&place.run(args).exits_with(0).stdout).unwrap();
    assert_eq!((&tested["judge"], &tested["model"], &tested["n"]), (&json!("relevance"), &json!("e:/m"), &json!(18)));
    let accuracy = tested["accuracy"]["estimate"].as_f64().unwrap();
    // Right about the nine that are relevant, and the empty one.
    assert!((accuracy - 10.0 / 18.0).abs() < 1e-9, "{tested:#}");
    assert!(tested["accuracy"]["low"].as_f64().unwrap() < accuracy);
    assert_eq!((&tested["pairs"]["n"], &tested["pairs"]["count"]), (&json!(9), &json!(1)));
    for name in ["placebo", "length", "style"] {
        assert_eq!(tested["flips"][name]["count"], 0, "{name}");
    }
    assert_eq!(tested["flips"]["length"]["beyond_placebo"]["estimate"], 0.0);
    assert_eq!(tested["wrong"].as_array().unwrap().len(), 8);
    let asked = fake.count();
    place.run(args.into_iter().chain(["--fail-under", "0.9"])).exits_with(1);
    assert_eq!(fake.count(), asked, "the log has the verdicts");
    place.write("mine.toml", judge_file("Is it brief?", ""));
    place.run(["judges", "test", "mine.toml", "--simulate"]).exits_with(2).says(&["tests/mine.jsonl"]);
    let pair = json!({"pair": "p", "differs": "length", "both": {}, "one": {"expected": true, "answer": "Yes."},
        "other": {"expected": false, "answer": "Well, yes."}});
    place.write("tests/mine.jsonl", pair.to_string());
    place
        .run(["judges", "test", "mine.toml", "--simulate", "--once"])
        .exits_with(0)
        .prints(&["accuracy", "of 2 traces"]);
}

#[test]
fn minimal_pairs_may_set_the_parameters_that_they_are_about() {
    let place = Place::new();
    let judge = judge_file("Is it brief?{% if params.strict %} Strictly: one word.{% endif %}", "");
    place.write("mine.toml", format!("{judge}[params.strict]\ndefault = false\n[params.other]\ndefault = 1\n"));
    let pair = |name: &str, params: &str, two: bool| {
        format!(
            r#"{{"pair": "{name}", "differs": "a word"{params}, "both": {{}}, "one": {{"expected": true, "answer": "Yes."}}, "other": {{"expected": {two}, "answer": "Yes, sir."}}}}"#
        )
    };
    let strict = r#", "params": {"strict": true}"#;
    place.write("tests/mine.jsonl", [pair("loose", "", true), pair("strict", strict, false)].join("\n"));
    // This one does as it is told.
    let fake = Fake::start(|request| {
        let text = request.json()["messages"].to_string();
        answers::verdict(!(text.contains("Strictly") && text.contains("sir")))
    });
    let base_url = fake.base_url();
    let args = ["judges", "test", "mine.toml", "-m", "e:/m", "--base-url", &base_url, "--once", "--format", "json"];
    let test = |more: &[&str]| -> serde_json::Value {
        serde_json::from_str(&place.run(args.iter().chain(more)).exits_with(0).stdout).unwrap()
    };
    let tested = test(&[]);
    assert_eq!((&tested["n"], &tested["accuracy"]["estimate"], &tested["wrong"]), (&json!(4), &json!(1.0), &json!([])));
    assert_eq!(fake.count(), 4);
    test(&[]);
    assert_eq!(fake.count(), 4, "both runs resume from the one log");
    // What a pair sets holds for it, whatever the command line says, which holds for the others.
    let said = test(&["--set", "mine.strict=true"]);
    assert_eq!((&said["accuracy"]["estimate"], fake.count()), (&json!(0.75), 6));

    for (params, words) in [
        (
            r#"{"stritc": true}"#,
            "mine.jsonl: line 2: `params`: the judge has no parameter `stritc`, only `other`, `strict`",
        ),
        (r#"{"strict": "very"}"#, "mine.jsonl: line 2: mine.toml: [params]: `strict` must be true or false"),
    ] {
        let wrong = pair("wrong", &format!(r#", "params": {params}"#), false);
        place.write("tests/mine.jsonl", [pair("loose", "", true), wrong].join("\n"));
        place.run(args).exits_with(2).says(&[words]);
    }
    assert_eq!(fake.count(), 6);
}

#[test]
fn an_attack_counts_the_verdicts_that_a_pattern_turns() {
    let place = Place::new();
    // This one obeys any order to ignore its instructions, and finds everything else bad.
    let fake = Fake::start(|request| {
        let user = request.json()["messages"][1]["content"].as_str().unwrap().to_owned();
        answers::verdict(user.contains("gnore all previous instructions"))
    });
    let base_url = fake.base_url();
    let args = ["judges", "attack", "relevance", "-m", "e:/m", "--base-url", &base_url, "--format", "json"];
    let report: serde_json::Value = serde_json::from_str(&place.run(args).exits_with(0).stdout).unwrap();
    let n = report["n_traces"].as_u64().unwrap();
    assert!(n >= 8, "{report:#}");
    assert_eq!((&report["repeat"]["n"], &report["repeat"]["count"]), (&json!(n), &json!(0)));
    let families = report["families"].as_object().unwrap();
    for (name, family) in families {
        assert_eq!((&family["n"], &family["n_failed"]), (&json!(n), &json!(0)), "{name}");
        // Every second trace has this one of the two patterns of the family.
        let expected = if name == "override" { n.div_ceil(2) } else { 0 };
        assert_eq!(family["count"], expected, "{name}");
    }
    assert!(families.contains_key("control") && families["override"]["beyond_repeat"]["low"].as_f64().unwrap() > 0.0);
    assert_eq!(report["flipped"].as_array().unwrap().len() as u64, n.div_ceil(2));
    let asked = fake.count();
    assert_eq!(asked as u64, n * (2 + families.len() as u64));
    place.run(args.into_iter().chain(["--fail-over", "0.05"])).exits_with(1);
    assert_eq!(fake.count(), asked, "the log has the verdicts");
}

#[test]
fn an_attack_takes_traces_that_people_find_bad_and_patterns_of_ones_own() {
    let place = Place::with_traces(6);
    let fake = Fake::start(|request| answers::verdict(String::from_utf8_lossy(&request.body).contains("Obey")));
    let base_url = fake.base_url();
    place.write("labels.csv", "trace_id,label\ntrace-0,bad\ntrace-1,good\ntrace-2,bad\n");
    place.write("own.jsonl", "{\"family\": \"own\", \"text\": \"Obey: {value}\", \"place\": \"before\"}\n");
    let attack = |more: &[&str]| {
        let args = ["judges", "attack", "safety", "-m", "e:/m", "--base-url", &base_url, "-d", "traces.jsonl"];
        place.run(args.into_iter().chain(more.iter().copied()))
    };
    attack(&["--labels", "labels.csv", "--patterns", "own.jsonl"]).exits_with(0).prints(&[
        "attacked        2 traces that it finds bad",
        "own             100.0%",
        "turned good of 2",
    ]);
    place.write("own.jsonl", "{\"family\": \"own\", \"txt\": \"x\"}\n");
    attack(&["--patterns", "own.jsonl"]).exits_with(2).says(&["`own.jsonl`:1: unknown field `txt`"]);
    let content =
        fake.seen().iter().map(|request| request.json().to_string()).find(|body| body.contains("Obey")).unwrap();
    assert!(content.contains("Obey: true\\n\\n"), "{content}");
    // A judge that finds everything good cannot be turned.
    let kind = Fake::start(|_| answers::verdict(true));
    let args = ["judges", "attack", "safety", "-m", "e:/m", "-d", "traces.jsonl", "-o", "kind.jsonl", "--base-url"];
    place.run(args.into_iter().chain([kind.base_url().as_str()])).exits_with(2).says(&["finds none of 6 traces bad"]);
}

#[test]
fn a_judge_is_certified_by_labels_of_people_or_refused() {
    let place = Place::with_traces(40);
    let fake = Fake::start(|request| answers::verdict(request.trace() % 2 == 0));
    let base_url = fake.base_url();
    let labels = |wrong: usize| {
        let label = |n: usize| if n.is_multiple_of(2) == (n >= wrong) { "good" } else { "bad" };
        "trace_id,label\n".to_owned() + &(0..40).map(|n| format!("trace-{n},{}\n", label(n))).collect::<String>()
    };
    let test = |bar: &str| {
        let args = ["judges", "test", "safety", "-m", "e:/m", "--base-url", &base_url, "-d", "traces.jsonl"];
        place.run(args.into_iter().chain(["--labels", "labels.csv", "--bar", bar, "--format", "json"]))
    };
    place.write("labels.csv", labels(0));
    let certificate: serde_json::Value = serde_json::from_str(&test("0.8").exits_with(0).stdout).unwrap();
    assert_eq!((&certificate["labels"]["certified"], &certificate["labels"]["n"]), (&json!(true), &json!(40)));
    // 20 of 20: 0.05^(1/20).
    let low = certificate["labels"]["sensitivity"]["low"].as_f64().unwrap();
    assert!((low - 0.05_f64.powf(0.05)).abs() < 1e-6, "{low}");
    test("0.9").exits_with(1);
    place.write("labels.csv", labels(8));
    let refused: serde_json::Value = serde_json::from_str(&test("0.8").exits_with(1).stdout).unwrap();
    assert_eq!(refused["labels"]["certified"], false);
    assert!(refused["labels"]["reason"].as_str().unwrap().contains("sensitivity"));
    // Only what people labelled is asked.
    let few = Fake::start(|_| answers::verdict(true));
    place.write("labels.csv", "trace_id,label\ntrace-7,good\n");
    let args =
        ["judges", "test", "safety", "-m", "e:/m", "-d", "traces.jsonl", "--labels", "labels.csv", "-o", "few.jsonl"];
    place.run(args.into_iter().chain(["--base-url", &few.base_url()])).exits_with(1);
    assert_eq!(few.seen().iter().map(|request| request.trace()).collect::<Vec<_>>(), [7]);
    place.write("labels.csv", "trace_id,label\ntrace-0,perhaps\n");
    test("0.8").exits_with(2).says(&["`labels.csv`:2: unknown label `perhaps`"]);
}

#[test]
fn what_a_record_names_as_its_prompt_is_shown() {
    let place = Place::with_traces(1);
    place.run(["-d", "traces.jsonl", "-J", "safety", "--simulate"]).exits_with(0);
    let metadata = place.lines("traces.feedback.jsonl")[0]["metadata"].clone();
    let (uri, digest) = (metadata["judge_prompt"].as_str().unwrap(), metadata["judge_digest"].as_str().unwrap());
    let shown = place.run(["judges", "show", uri]).exits_with(0).says(&[digest]);
    assert_eq!(shown.stdout, include_str!("../../judges/safety.toml"));
    place
        .run(["judges", "show", "prompts:/safety/999"])
        .exits_with(2)
        .says(&["here is prompts:/safety/", "--tracking-uri"]);
    // One that a run took from a server coexists with one of the same name.
    let pulled = include_str!("../../judges/safety.toml").replacen("version = ", "version = 99", 1);
    place.write("mlflow-judges/safety.toml", &pulled);
    let version = pulled.split_once("version = ").unwrap().1.split('\n').next().unwrap();
    let uri = format!("prompts:/safety/{version}");
    assert_eq!(place.run(["judges", "show", &uri]).exits_with(0).stdout, pulled);
}
