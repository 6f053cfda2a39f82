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
