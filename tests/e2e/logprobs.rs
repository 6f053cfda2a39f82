//! Verdicts that are weighed by the probabilities of their labels.

use serde_json::{Value, json};

use crate::common::{Action, Fake, Finished, Place, answers};

const LOG: &str = "traces.feedback.jsonl";

fn place() -> Place {
    let place = Place::with_traces(2);
    let text = "[verdict]\ntype = \"integer\"\nmin = 1\nmax = 5\nbetter = \"higher\"\nthreshold = 4\n[params]\nlogprobs = true\n\
                [prompt]\nuser = \"{{ outputs | fence('answer') }}\"\n";
    place.write("scale.toml", text);
    place
}

fn judge(place: &Place, fake: &Fake, more: &[&str]) -> Finished {
    let args = ["-d", "traces.jsonl", "-J", "./scale.toml", "-m", "openai:/m", "--base-url", &fake.base_url()];
    place.run(args.iter().chain(more))
}

/// An answer of 4, and how probable it and other scores are.
fn weighed(others: &Value) -> Action {
    let content = r#"{"rationale":"So it is.","value":4}"#;
    let place =
        |token: &str, logprob: f64, others: &Value| json!({"token": token, "logprob": logprob, "top_logprobs": others});
    let tokens = [
        place(r#"{"rationale":"So it is.","value":"#, 0.0, &json!([])),
        place("4", -0.35, others),
        place("}", 0.0, &json!([])),
    ];
    answers::response(
        200,
        &[],
        &json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": content}, "logprobs": {"content": tokens}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
        }),
    )
}

#[test]
fn a_score_is_the_mean_of_the_labels_by_their_probabilities() {
    let place = place();
    let fake = Fake::start(|_| {
        weighed(
            &json!([{"token": "4", "logprob": -0.35}, {"token": "5", "logprob": -1.6}, {"token": "3", "logprob": -2.9}, {"token": " 4", "logprob": -5.0}, {"token": "The", "logprob": -6.0}]),
        )
    });
    judge(&place, &fake, &[]).exits_with(0);
    let request = fake.seen()[0].json();
    assert_eq!((&request["logprobs"], &request["top_logprobs"]), (&json!(true), &json!(20)));
    for record in place.lines(LOG) {
        assert!((record["value"].as_f64().unwrap() - 4.151_674).abs() < 1e-6, "{record}");
        assert_eq!(
            (&record["metadata"]["answered"], &record["metadata"]["label_mass"]),
            (&json!("4"), &json!("0.9683"))
        );
        assert!(record["metadata"].get("logprobs").is_none());
    }
}

#[test]
fn an_endpoint_that_refuses_probabilities_is_asked_without_and_that_is_said() {
    let place = place();
    let fake = Fake::start(|request| {
        if request.json().get("logprobs").is_some() {
            let body = json!({"error": {"message": "Unsupported parameter: 'logprobs' is not supported with this model.", "type": "invalid_request_error", "param": "logprobs", "code": "unsupported_parameter"}});
            return answers::response(400, &[], &body);
        }
        answers::verdict(4)
    });
    judge(&place, &fake, &["-j", "1"]).exits_with(0).prints(&["no usable probabilities"]);
    assert_eq!(fake.count(), 3);
    assert!(fake.seen()[2].json().get("top_logprobs").is_none());
    for record in place.lines(LOG) {
        assert_eq!((&record["value"], &record["metadata"]["logprobs"]), (&json!(4), &json!("none")));
        assert_eq!(record["metadata"]["dropped_parameters"], "logprobs");
    }
}

#[test]
fn labels_with_little_of_the_probability_are_not_believed() {
    let place = place();
    let fake = Fake::start(|_| weighed(&json!([{"token": "The", "logprob": -1.3}])));
    judge(&place, &fake, &[]).exits_with(0);
    for record in place.lines(LOG) {
        assert_eq!((&record["value"], &record["metadata"]["logprobs"]), (&json!(4), &json!("low")));
        assert!(record["metadata"].get("confidence").is_none());
    }
}

#[test]
fn the_simulator_gives_probabilities_and_other_judges_are_refused() {
    let place = place();
    place.run(["-d", "traces.jsonl", "-J", "./scale.toml", "--simulate"]).exits_with(0);
    for record in place.lines(LOG) {
        let confidence: f64 = record["metadata"]["confidence"].as_str().unwrap().parse().unwrap();
        assert!((0.5..1.0).contains(&confidence), "{record}");
    }
    // A built-in judge has no file to say it in.
    let set = |value: &str| {
        let set = format!("relevance.logprobs={value}");
        place.run([
            "-d",
            "traces.jsonl",
            "-J",
            "relevance",
            "--simulate",
            "-o",
            "built-in.jsonl",
            "--set",
            set.as_str(),
        ])
    };
    set("true").exits_with(0);
    assert!(place.lines("built-in.jsonl").iter().all(|record| record["metadata"].get("confidence").is_some()));
    set("perhaps").exits_with(2).says(&["`logprobs` must be true or false"]);
    place.write(
        "share.toml",
        "[verdict]\ntype = \"number\"\n[params]\nlogprobs = true\n[prompt]\nuser = \"{{ outputs }}\"\n",
    );
    place
        .run(["-d", "traces.jsonl", "-J", "./share.toml", "--simulate"])
        .exits_with(2)
        .says(&["`logprobs` weighs labels"]);
}
