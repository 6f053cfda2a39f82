//! Refusals of a part of the request, in the words of many servers: the request is put otherwise, once for the whole run.

use serde_json::{Value, json};

use crate::common::{Action, Fake, Place, Request, answers};

const JUDGE: &str =
    "[verdict]\ntype = \"boolean\"\n[prompt]\nsystem = \"You judge it.\"\nuser = \"{{ outputs | fence }}\"\n";

/// A refusal: the parameters of the judge, what in a request is refused, with which status and body, and what a good request has.
struct Case {
    params: &'static str,
    refuses: fn(&Value) -> bool,
    status: u16,
    body: fn() -> Value,
    /// Requests that are refused at most, with a single trace before it.
    rungs: usize,
}

fn format(body: &Value) -> &str {
    body["response_format"]["type"].as_str().unwrap_or_default()
}

fn roles(body: &Value) -> Vec<&str> {
    body["messages"].as_array().unwrap().iter().map(|message| message["role"].as_str().unwrap()).collect()
}

fn has_system_role(body: &Value) -> bool {
    roles(body).contains(&"system")
}

fn openai(message: &str) -> Value {
    json!({"error": {"message": message, "type": "invalid_request_error", "param": null, "code": null}})
}

fn google(message: &str) -> Value {
    json!([{"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}}])
}

const CASES: &[Case] = &[
    Case {
        params: "",
        refuses: has_system_role,
        status: 400,
        body: || google("Developer instruction is not enabled for models/gemma-3-27b-it"),
        rungs: 1,
    },
    Case {
        params: "",
        refuses: has_system_role,
        status: 400,
        body: || {
            let message = "Unsupported value: 'messages[0].role' does not support 'system' with this model.";
            json!({"error": {"message": message, "param": "messages[0].role", "code": "unsupported_value"}})
        },
        rungs: 1,
    },
    Case {
        params: "",
        refuses: |body| roles(body) != ["user"],
        status: 400,
        body: || openai("Conversation roles must alternate user/assistant/user/assistant/..."),
        rungs: 1,
    },
    Case {
        params: "",
        refuses: |body| body.get("temperature").is_some(),
        status: 400,
        body: || openai("`temperature` is deprecated for this model."),
        rungs: 1,
    },
    Case {
        params: "temperature = 0.3",
        refuses: |body| body.get("temperature").is_some(),
        status: 400,
        body: || {
            let raw = openai("invalid temperature: only 1 is allowed for this model").to_string();
            json!({"error": {"message": "Provider returned error", "code": 400, "metadata": {"raw": raw}}})
        },
        rungs: 1,
    },
    Case {
        params: "temperature = 0.3\ntop_p = 0.9",
        refuses: |body| body.get("temperature").is_some() && body.get("top_p").is_some(),
        status: 400,
        body: || openai("`temperature` and `top_p` cannot both be specified for this model."),
        rungs: 1,
    },
    Case {
        params: "",
        refuses: |body| !format(body).is_empty(),
        status: 400,
        body: || google("JSON mode is not enabled for models/gemma-3-27b-it"),
        rungs: 4,
    },
    Case {
        params: "",
        refuses: |body| format(body) == "json_schema",
        status: 400,
        body: || {
            google(
                "Invalid JSON payload received. Unknown name \"additionalProperties\" at 'generation_config.response_schema'",
            )
        },
        rungs: 2,
    },
    Case {
        params: "reasoning_effort = \"low\"",
        refuses: |body| body.get("reasoning_effort").is_some(),
        status: 400,
        body: || openai("\"llama3.2:latest\" does not support thinking"),
        rungs: 1,
    },
    Case {
        params: "seed = 7",
        refuses: |body| body.get("seed").is_some(),
        status: 422,
        body: || {
            let detail =
                json!([{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]);
            json!({"object": "error", "message": {"detail": detail}, "type": "invalid_request_error", "code": null})
        },
        rungs: 1,
    },
    Case {
        params: "",
        refuses: |body| body["max_tokens"].as_u64() > Some(1024),
        status: 400,
        body: || openai("max_tokens is too large: 2048. This model supports at most 1024 completion tokens."),
        rungs: 1,
    },
    Case {
        params: "",
        refuses: |body| body.get("enable_thinking") != Some(&Value::Bool(false)),
        status: 400,
        body: || openai("parameter.enable_thinking must be set to false for non-streaming calls"),
        rungs: 1,
    },
    Case {
        params: "",
        refuses: |body| body["stream"] != true,
        status: 400,
        body: || openai("This model only support stream mode, please enable the stream parameter to access the model."),
        rungs: 1,
    },
    // Refusals that say nothing, one of them with status 200: parts are tried one by one.
    Case { params: "", refuses: has_system_role, status: 400, body: || openai("Bad request (17)"), rungs: 3 },
    Case {
        params: "",
        refuses: |body| !format(body).is_empty(),
        status: 200,
        body: || json!({"error": {"message": "upstream said no", "code": 400}}),
        rungs: 2,
    },
    Case { params: "", refuses: |body| body.get("max_tokens").is_some(), status: 422, body: || json!({}), rungs: 4 },
];

#[test]
fn a_run_is_adapted_to_whatever_part_of_a_request_is_refused() {
    for case in CASES {
        let place = Place::with_traces(5);
        place.write("mine.toml", format!("{JUDGE}[params]\n{}\n", case.params));
        let (refuses, status, body) = (case.refuses, case.status, case.body);
        let fake = Fake::start(move |request| match refuses(&request.json()) {
            true => answers::response(status, &[], &body()),
            false => answers::verdict(true),
        });
        let args = ["-d", "traces.jsonl", "-J", "mine.toml", "-m", "x:/m", "--base-url", &fake.base_url(), "-j", "1"];
        let finished = place.run(args).exits_with(0);
        let about = (case.body)();
        assert!(finished.stdout.contains("scored         5"), "{about}: {}", finished.stdout);
        assert_eq!(fake.count(), 5 + case.rungs, "{about}");
        for request in &fake.seen()[case.rungs..] {
            let body = request.json();
            let user = body["messages"].as_array().unwrap().last().unwrap()["content"].to_string();
            assert!(
                has_system_role(&body) || user.contains("You judge it."),
                "the instructions are still there: {about}"
            );
        }
    }
}

#[test]
fn what_has_no_reason_is_given_back_and_fails_alone() {
    let place = Place::with_traces(3);
    // Always one trace, whatever is left out of the request.
    let fake = Fake::start(|request| match request.trace() {
        0 => answers::error(400, "invalid_value", "Not this one."),
        _ => answers::verdict(true),
    });
    let finished = place.judge(&fake.base_url(), &["-j", "1"]).run().exits_with(3);
    finished.prints(&["scored         2", "1  INVALID_REQUEST"]);
    let others = fake.seen().into_iter().filter(|request| request.trace() > 0);
    assert!(others.map(|request| request.json()).all(|body| format(&body) == "json_schema" && has_system_role(&body)));
    let refused = fake.seen().iter().filter(|request| request.trace() == 0).count();
    assert!((2..=6).contains(&refused), "{refused}");
}

#[test]
fn a_second_judge_that_asks_for_more_is_adapted_too() {
    let place = Place::with_traces(3);
    place.write("plain.toml", JUDGE);
    place.write("seeded.toml", format!("{JUDGE}[params]\nseed = 7\n"));
    let fake = Fake::start(|request| match request.json().get("seed") {
        Some(_) => answers::response(400, &[], &openai("Unrecognized request argument supplied: seed")),
        None => answers::verdict(true),
    });
    let args = ["-d", "traces.jsonl", "-J", "plain.toml", "-J", "seeded.toml", "-m", "x:/m", "-j", "1"];
    place.command(args.iter().chain(&["--base-url", &fake.base_url()])).run().exits_with(0);
    assert_eq!(fake.count(), 7);
}

/// A server that counts the room for the answer against the context.
fn narrow(request: &Request) -> Action {
    if request.json()["max_tokens"].as_u64() <= Some(1844) {
        return answers::verdict(true);
    }
    let message = "This model's maximum context length is 4096 tokens. However, you requested 4300 tokens (2252 in the messages, \
                   2048 in the completion). Please reduce the length of the messages or completion.";
    answers::response(400, &[], &json!({"object": "error", "message": message, "type": "BadRequestError", "code": 400}))
}

#[test]
fn a_prompt_that_fits_is_asked_again_with_the_room_that_is_left() {
    let place = Place::with_traces(3);
    let fake = Fake::start(narrow);
    place.judge(&fake.base_url(), &["-j", "1"]).run().exits_with(0);
    let rooms: Vec<_> = fake.seen().iter().map(|request| request.json()["max_tokens"].as_u64().unwrap()).collect();
    // How much is left differs from prompt to prompt.
    assert_eq!(rooms, [2048, 1844, 2048, 1844, 2048, 1844]);
}

#[test]
fn a_failure_for_lack_of_room_does_not_survive_a_judge_that_wants_less() {
    let place = Place::with_traces(2);
    let judge = |params: &str| place.write("mine.toml", format!("{JUDGE}[params]\n{params}\n"));
    let fake = Fake::start(|request| match request.json()["max_tokens"].as_u64() {
        Some(500) => answers::verdict(true),
        _ => {
            let message = "This model's maximum context length is 4096 tokens. However, you requested 5548 tokens (3500 in the \
                           messages, 2048 in the completion).";
            answers::response(400, &[], &openai(message))
        }
    });
    let run = || place.run(["-d", "traces.jsonl", "-J", "mine.toml", "-m", "x:/m", "--base-url", &fake.base_url()]);
    judge("");
    run().exits_with(4).prints(&["2  REQUEST_TOO_LARGE"]);
    assert_eq!(fake.count(), 4, "once more with the 596 tokens that should be left, and no more often");
    judge("max_output_tokens = 500");
    run().exits_with(0).prints(&["scored         2"]);
}

#[test]
fn an_answer_that_could_not_be_finished_is_asked_for_again_with_more_room() {
    let place = Place::with_traces(3);
    let fake = Fake::start(|request| match request.json()["max_tokens"].as_u64() {
        Some(4000..) => answers::verdict(true),
        _ => answers::response(
            400,
            &[],
            &openai("Could not finish the message because max_tokens or model output limit was reached."),
        ),
    });
    place.judge(&fake.base_url(), &[]).run().exits_with(0);
    assert_eq!(fake.count(), 6);
}

#[test]
fn a_check_reports_every_adaptation() {
    let place = Place::new();
    let fake = Fake::start(|request| match has_system_role(&request.json()) {
        true => answers::response(400, &[], &openai("no")),
        false if request.json().get("temperature").is_some() => {
            answers::response(400, &[], &openai("temperature is deprecated"))
        }
        false => answers::verdict(true),
    });
    let finished = place.run(["check", "-m", "x:/m", "--base-url", &fake.base_url()]).exits_with(0);
    finished.prints(&["adapted   instructions in the user message\n            without temperature\n"]);
    let broken = Fake::start(|_| answers::response(400, &[], &openai("no")));
    let finished = place.run(["check", "-m", "x:/m", "--base-url", &broken.base_url()]).exits_with(4);
    finished.prints(&["INVALID_REQUEST (HTTP 400): no", "tried     6 requests"]);
    assert_eq!(broken.count(), 6);
}
