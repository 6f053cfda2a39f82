//! What goes over the wire, compared withOpenAI's own document.

use std::collections::BTreeSet;

use jsonschema::Validator;
use judge_run::endpoint::wire::chat::{LimitField, ResponseFormat, WireProfile};
use judge_run::judge::{Judge, Unit, library};
use judge_run::trace::Trace;
use serde_json::{Value, json};

use crate::common::{Action, Fake, Place, Request, answers};

/// OpenAI's OpenAPI document (MIT licence), without descriptions and all that `CreateChatCompletionRequest` and `CreateBatchRequest` do not reach.
const DOCUMENT: &str = include_str!("../fixtures/openai/create-chat-completion-request.json");

/// One judge file for each type of verdict, and every parameter of `[params]`.
pub(crate) const OWN_JUDGES: &[(&str, &str)] = &[
    ("boolean", "type = \"boolean\"\n[params]\ntemperature = 0.7\ntop_p = 0.9\nseed = 7\n"),
    ("category", "type = \"category\"\nlabels = [\"good\", \"bad \\\"quoted\\\"\", \"N/A\"]\n"),
    ("integer", "type = \"integer\"\nmin = 1\nmax = 5\n[params]\nreasoning_effort = \"low\"\n"),
    ("number", "type = \"number\"\nmin = 0\nmax = 1\n[params]\nmax_output_tokens = 99\n"),
    ("unbounded", "type = \"number\"\n"),
];

pub(crate) fn own_judge(verdict: &str) -> String {
    format!("prompt = {{ system = \"Judge.\", user = \"{{{{ outputs | fence }}}}\" }}\n[verdict]\n{verdict}")
}

/// OpenAI's schema of this name, closed: a property that it does not name is an error.
pub(crate) fn openai(name: &str) -> Validator {
    fn close(value: &mut Value, is_part: bool) {
        match value {
            Value::Object(schema) => {
                for (key, value) in schema.iter_mut() {
                    match value {
                        Value::Array(parts) if key == "allOf" => parts.iter_mut().for_each(|part| close(part, true)),
                        value => {
                            close(value, key == "ModelResponseProperties" || key == "CreateModelResponseProperties")
                        }
                    }
                }
                if schema.get("properties").is_some_and(Value::is_object) && !is_part {
                    schema.entry("additionalProperties").or_insert(false.into());
                }
            }
            Value::Array(values) => values.iter_mut().for_each(|value| close(value, false)),
            _ => {}
        }
    }
    let mut document: Value = serde_json::from_str(DOCUMENT).unwrap();
    close(&mut document, false);
    document["$ref"] = format!("#/components/schemas/{name}").into();
    document["unevaluatedProperties"] = false.into();
    jsonschema::draft202012::new(&document).unwrap()
}

#[track_caller]
pub(crate) fn assert_valid(openai: &Validator, body: &Value) {
    let errors: Vec<_> = openai.iter_errors(body).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}\n{body:#}");
}

/// A verdict that the request's own schema allows.
fn fitting(request: &Request) -> Action {
    let body = request.json();
    let properties = &body["response_format"]["json_schema"]["schema"]["properties"];
    if let Some(marks) = properties.pointer("/items/items/properties/mark/enum") {
        let item = json!({"text": "An item.", "quote": "", "mark": marks[0]});
        return answers::completion(&json!({"items": [item]}).to_string());
    }
    // Where the judge may abstain, its type is the first of two.
    let value = &properties["value"];
    let value = value.get("anyOf").map_or(value, |types| &types[0]);
    answers::verdict(match (&value["enum"][0], value["type"].as_str().unwrap()) {
        (Value::Null, "boolean") => true.into(),
        (Value::Null, "array") => json!([value["items"]["enum"][0]]),
        (Value::Null, _) => json!(0.5),
        (first, _) => first.clone(),
    })
}

/// The requests of a run of all judges, by the name of the judge.
fn all_requests() -> Vec<Request> {
    let place = Place::new();
    place.write("traces.jsonl", include_str!("../../datasets/quickstart.jsonl"));
    let fake = Fake::start(fitting);
    let mut args = vec!["-d".to_owned(), "traces.jsonl".to_owned(), "--base-url".to_owned(), fake.base_url()];
    // Code judges ask no endpoint, and judges of pairs need two sides.
    let others = ["type = \"code\"", "unit = \"pair\""];
    let of_models = library::BUILT_IN.iter().filter(|(_, text)| !others.iter().any(|line| text.contains(line)));
    let built_in = of_models.map(|(name, _)| (*name).to_owned());
    let own = OWN_JUDGES.iter().map(|(name, verdict)| {
        place.write(&format!("{name}.toml"), own_judge(verdict));
        format!("{name}.toml")
    });
    for judge in built_in.chain(own) {
        args.extend(["-J".to_owned(), judge]);
    }
    place.run(&args).exits_with(0);
    let seen = fake.seen();
    // Those that need no more than a question and an answer are asked about nearly all of the 25 traces.
    let is_of_all = |(name, text): &&(&str, &str)| {
        let judge = Judge::compile(name, text, name).unwrap();
        judge.select.unit() == Unit::Trace
            && judge.select.requires().all(|words| words == "question" || words == "answer")
    };
    let of_all = library::BUILT_IN.iter().filter(is_of_all).count() + OWN_JUDGES.len();
    assert!(of_all > 10 && seen.len() > 22 * of_all, "some traces have retrievals and sessions, too: {}", seen.len());
    seen
}

#[test]
fn every_request_is_one_that_openai_documents() {
    let openai = openai("CreateChatCompletionRequest");
    let mut schemas = BTreeSet::new();
    for request in all_requests() {
        assert_eq!(request.line, "POST /v1/chat/completions HTTP/1.1");
        assert_eq!(request.header("content-type"), Some("application/json"));
        assert!(request.header("host").is_some_and(|host| host.starts_with("127.0.0.1:")));
        let agent = request.header("user-agent").unwrap();
        assert_eq!(agent, concat!("judge-run/", env!("CARGO_PKG_VERSION")));

        let body = request.json();
        assert_valid(&openai, &body);
        let roles: Vec<_> = body["messages"].as_array().unwrap().iter().map(|message| &message["role"]).collect();
        assert_eq!(roles, ["system", "user"]);
        assert_eq!(body["model"], "gpt-4.1-mini");
        assert!(body["max_tokens"].as_u64().is_some(), "an unknown server knows only the older name: {body}");
        assert_eq!(body.get("max_completion_tokens"), None);

        let format = &body["response_format"];
        assert_eq!((&format["type"], &format["json_schema"]["strict"]), (&json!("json_schema"), &json!(true)));
        let name = format["json_schema"]["name"].as_str().unwrap();
        assert!(name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'));
        schemas.insert(format["json_schema"]["schema"].to_string());
    }
    assert!(schemas.len() > 5, "one for each type of verdict, and each set of labels: {schemas:#?}");
    for schema in &schemas {
        assert_strict(&serde_json::from_str(schema).unwrap());
    }
}

/// What OpenAI's structured outputs want of a schema, and that the judge reasons before it decides.
fn assert_strict(schema: &Value) {
    assert_eq!(schema["additionalProperties"], false);
    jsonschema::draft202012::meta::validate(schema).unwrap();
    let properties = schema["properties"].as_object().unwrap();
    if let Some(items) = properties.get("items") {
        assert_eq!((&schema["required"], properties.len()), (&json!(["items"]), 1));
        let item = &items["items"];
        assert_eq!(
            (&item["additionalProperties"], &item["required"]),
            (&json!(false), &json!(["text", "quote", "mark"]))
        );
        return;
    }
    assert_eq!(properties.keys().collect::<Vec<_>>(), ["rationale", "value"], "reasons come first");
    assert_eq!(schema["required"], json!(["rationale", "value"]));
    assert_eq!(schema["type"], "object");
    assert_eq!(properties["rationale"]["type"], "string");
    let allowed = ["type", "enum", "description", "minimum", "maximum", "anyOf", "items"];
    for key in properties["value"].as_object().unwrap().keys() {
        assert!(allowed.contains(&key.as_str()), "{key} is not taken in strict mode");
    }
}

#[test]
fn parameters_of_the_judge_file_are_sent_and_no_others() {
    let requests = all_requests();
    let sent = |name: &str| {
        let bodies = requests.iter().map(Request::json);
        let values: BTreeSet<_> = bodies.filter_map(|body| body.get(name).map(Value::to_string)).collect();
        values.into_iter().collect::<Vec<_>>()
    };
    assert_eq!(sent("temperature"), ["0.0", "0.7"]);
    assert_eq!(sent("top_p"), ["0.9"]);
    assert_eq!(sent("seed"), ["7"]);
    assert_eq!(sent("reasoning_effort"), ["\"low\""]);
    assert_eq!(sent("max_tokens"), ["2048", "99"]);
    for name in ["stream", "n", "user", "logprobs", "tools"] {
        assert_eq!(sent(name), [""; 0], "{name}");
    }
}

#[test]
fn every_wire_profile_gives_a_documented_body() {
    let openai = openai("CreateChatCompletionRequest");
    let line = include_str!("../../datasets/quickstart.jsonl").lines().next().unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    let trace = Trace {
        trace_id: "t".into(),
        inputs: Some(line["inputs"].clone()),
        outputs: Some(line["outputs"].clone()),
        ..Trace::default()
    };
    for (name, verdict) in OWN_JUDGES {
        let request = Judge::compile(name, &own_judge(verdict), name).unwrap().request(&trace).unwrap();
        for limit_field in [LimitField::MaxCompletionTokens, LimitField::MaxTokens] {
            // All but llama.cpp's own form, which only an endpoint gets that refused OpenAI's.
            let formats = [
                ResponseFormat::JsonSchema,
                ResponseFormat::LooseJsonSchema,
                ResponseFormat::JsonObject,
                ResponseFormat::Text,
            ];
            for response_format in formats {
                for temperature in [true, false] {
                    let dropped = (!temperature).then(|| "temperature".to_owned()).into_iter().collect();
                    let profile = WireProfile {
                        limit_field,
                        response_format,
                        with_bounds: temperature,
                        system_role: temperature,
                        dropped,
                        ..WireProfile::default()
                    };
                    let body = request.body("o4-mini", &profile, 321, &serde_json::Map::new()).unwrap();
                    let body: Value = serde_json::from_slice(&body).unwrap();
                    assert_valid(&openai, &body);
                    assert_eq!(body.get("temperature").is_some(), temperature);
                    let limits = ["max_completion_tokens", "max_tokens"].map(|name| body.get(name).is_some());
                    assert_eq!(
                        limits,
                        [limit_field == LimitField::MaxCompletionTokens, limit_field == LimitField::MaxTokens]
                    );
                }
            }
        }
    }
}

#[test]
fn the_check_against_openais_document_finds_what_is_wrong() {
    let openai = openai("CreateChatCompletionRequest");
    let good = json!({
        "model": "m",
        "messages": [{"role": "user", "content": "x"}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "strict": true, "schema": {"x": 1}}},
        "temperature": 0.0,
        "seed": 1,
    });
    assert_valid(&openai, &good);
    for (pointer, key, value) in [
        ("", "max_output_tokens", json!(1)),
        ("", "temperature", json!(3)),
        ("", "seed", json!("1")),
        ("/messages/0", "content_type", json!("text")),
        ("/messages/0", "role", json!("judge")),
        ("/response_format", "schema", json!({})),
        ("/response_format/json_schema", "version", json!(1)),
        ("/response_format/json_schema", "name", json!(null)),
    ] {
        let mut bad = good.clone();
        bad.pointer_mut(pointer).unwrap()[key] = value;
        assert!(!openai.is_valid(&bad), "{pointer}/{key}");
    }
}

#[test]
fn a_proxy_of_the_environment_is_not_asked_for_what_is_on_this_machine() {
    let place = Place::with_traces(1);
    let (fake, proxy) = (Fake::start(|_| answers::verdict(true)), Fake::start(|_| answers::verdict(false)));
    let mut invocation = place.judge(&fake.base_url(), &[]);
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        invocation = invocation.env(name, proxy.base_url().trim_end_matches("/v1"));
    }
    invocation.run().exits_with(0);
    assert_eq!((fake.count(), proxy.count()), (1, 0));
}

#[test]
fn a_base_url_is_completed_and_its_query_kept() {
    let place = Place::with_traces(1);
    for (suffix, path) in [
        ("/v1", "/v1/chat/completions"),
        ("/v1/", "/v1/chat/completions"),
        ("/v1/chat/completions", "/v1/chat/completions"),
        ("/openai/v1?api-version=preview", "/openai/v1/chat/completions?api-version=preview"),
    ] {
        let fake = Fake::start(|_| answers::verdict(true));
        let url = fake.base_url().replace("/v1", suffix);
        place.judge(&url, &["--overwrite"]).run().exits_with(0);
        assert_eq!(fake.seen()[0].line, format!("POST {path} HTTP/1.1"));
    }
}
