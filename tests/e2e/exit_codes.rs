//! Exit codes 0, 3 and 4: how a run that began has ended.

use std::net::TcpListener;

use crate::common::{Action, Fake, Finished, Place, Request, answers};

/// Judges this many traces, one after the other, at an endpoint that does this.
fn judged(
    n: usize,
    more: &[&str],
    respond: impl Fn(&Request) -> Action + Send + Sync + 'static,
) -> (Finished, Fake, Place) {
    let place = Place::with_traces(n);
    let fake = Fake::start(respond);
    let finished = place.judge(&fake.base_url(), &[&["-j", "1"], more].concat()).run();
    (finished, fake, place)
}

fn codes(place: &Place) -> Vec<String> {
    let records = place.lines("traces.feedback.jsonl");
    records.iter().map(|record| record["error"]["error_code"].as_str().unwrap_or("-").to_owned()).collect()
}

#[test]
fn everything_judged_is_0() {
    let (finished, fake, place) = judged(3, &[], |_| answers::verdict(true));
    finished.exits_with(0).prints(&["3 traces, 3 requests", "100.0% true (3 true, 0 false)"]);
    assert_eq!((fake.count(), codes(&place)), (3, vec!["-".to_owned(); 3]));
}

#[test]
fn some_failures_are_3_and_the_summary_says_what_to_do() {
    let (finished, _, place) = judged(4, &[], |request| match request.trace() {
        1 => answers::error(424, "invalid_value", "Bad trace."),
        2 => answers::error(400, "content_filter", "Filtered."),
        _ => answers::verdict(false),
    });
    finished.exits_with(3).prints(&[
        "scored         2  0.0% true (0 true, 2 false)",
        "failed         2",
        "1  INVALID_REQUEST",
        "1  CONTENT_FILTERED",
        "what to do about the failures:",
        "next: the same command asks only what is missing or failed",
        "judge-run -d traces.jsonl -J safety --base-url http://127.0.0.1:",
    ]);
    assert_eq!(codes(&place), ["-", "INVALID_REQUEST", "CONTENT_FILTERED", "-"]);
}

#[test]
fn rejected_lines_are_3_though_everything_else_is_judged() {
    let place = Place::new();
    place.write("traces.jsonl", format!("{}oops\n", answers::traces(2)));
    let finished = place.run(["-d", "traces.jsonl", "-J", "safety", "--simulate"]).exits_with(3);
    finished.says(&["traces.jsonl:3: not JSON"]).prints(&["1 line rejected, see traces.feedback.rejects.jsonl"]);
    assert_eq!(place.lines("traces.feedback.jsonl").len(), 2);
}

#[test]
fn a_trace_that_lacks_what_the_judge_needs_is_3_and_is_not_sent() {
    let place = Place::new();
    place.write("traces.jsonl", format!("{}{{\"trace_id\": \"bare\", \"inputs\": \"x\"}}\n", answers::traces(1)));
    let fake = Fake::start(|_| answers::verdict(true));
    place.judge(&fake.base_url(), &[]).run().exits_with(3).prints(&["1  INPUT_ERROR"]);
    let records = place.lines("traces.feedback.jsonl");
    let failed = records.iter().find(|record| record["trace_id"] == "bare").unwrap();
    assert!(failed["error"]["error_message"].as_str().unwrap().contains("`answer`"), "{failed}");
    assert_eq!((fake.count(), records.len()), (1, 2));
}

#[test]
fn a_key_that_is_not_accepted_stops_immediately_with_4() {
    let (finished, fake, place) =
        judged(20, &[], |_| answers::error(401, "invalid_api_key", "Incorrect API key provided."));
    let words = ["stopped early: openai:/gpt-4.1-mini: AUTHENTICATION_ERROR: Incorrect API key", "`api_key_env`"];
    finished.exits_with(4).prints(&words).prints(&["the rest of the dataset was not read"]);
    assert_eq!((fake.count(), codes(&place)), (1, vec!["AUTHENTICATION_ERROR".to_owned()]));
}

#[test]
fn a_quota_that_is_used_up_stops_with_4_in_the_middle_of_a_run() {
    let (finished, fake, place) = judged(20, &[], |request| match request.number {
        0..3 => answers::verdict(true),
        _ => answers::error(429, "insufficient_quota", "You exceeded your current quota."),
    });
    finished.exits_with(4).prints(&[
        "INSUFFICIENT_QUOTA",
        "add credit",
        "the rest of the dataset was not read",
        "next:",
    ]);
    assert_eq!((fake.count(), codes(&place)), (4, ["-", "-", "-", "INSUFFICIENT_QUOTA"].map(String::from).into()));
}

#[test]
fn a_model_that_does_not_exist_stops_with_4() {
    let (finished, fake, _) = judged(9, &["-m", "openai:/gpt-9"], |_| {
        answers::error(404, "model_not_found", "The model `gpt-9` does not exist or you do not have access to it.")
    });
    finished.exits_with(4).prints(&["openai:/gpt-9: MODEL_NOT_FOUND: The model `gpt-9`", "check `model`"]);
    assert_eq!(fake.count(), 1);
}

#[test]
fn a_wrong_url_stops_with_4_and_shows_no_html() {
    let (finished, fake, _) = judged(9, &[], |_| {
        answers::raw(404, &[("content-type", "text/html")], "<html><head><title>404 Not Found</title></head></html>")
    });
    let finished = finished.exits_with(4).prints(&["NOT_FOUND", "check `base_url`; for most endpoints it ends in /v1"]);
    assert!(!finished.stdout.contains('<'), "{}", finished.stdout);
    assert_eq!(fake.count(), 1);
}

#[test]
fn a_web_page_instead_of_an_api_stops_with_4() {
    let (finished, fake, _) =
        judged(20, &[], |_| answers::raw(200, &[("content-type", "text/html")], "<html><title>Hello</title></html>"));
    finished.exits_with(4).prints(&["MALFORMED_RESPONSE", "check that `base_url` is an OpenAI-compatible API"]);
    assert!(fake.count() <= 5, "{} requests", fake.count());
}

#[test]
fn a_server_that_is_not_there_stops_with_4() {
    // A port that was free a moment ago, with no listener.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let place = Place::with_traces(9);
    let finished = place.judge(&format!("http://127.0.0.1:{port}/v1"), &[]).run().exits_with(4);
    finished.prints(&["CONNECTION_ERROR", "refused", "check that the server runs at `base_url`"]);
}

#[test]
fn strict_stops_with_4_at_the_first_line_that_is_not_a_trace() {
    let place = Place::new();
    place.write("traces.jsonl", format!("oops\n{}", answers::traces(3)));
    let fake = Fake::start(|_| answers::verdict(true));
    let finished = place.judge(&fake.base_url(), &["--strict"]).run().exits_with(4);
    finished.prints(&["stopped early: traces.jsonl:1: not JSON", "--strict"]);
    assert_eq!(fake.count(), 0);
}

#[test]
fn nothing_but_failures_stops_with_4_long_before_the_end() {
    let (finished, fake, place) = judged(200, &["--max-retries", "0"], |request| {
        let message = if request.number % 2 == 0 { "Boom." } else { "Bang!" };
        answers::response(500, &[], &serde_json::json!({"error": {"message": message}}))
    });
    finished.exits_with(4).prints(&["no answer to 20 judgments in a row", "SERVER_ERROR: Bang!", "unjudged"]);
    assert_eq!((fake.count(), codes(&place).len()), (20, 20));
}

#[test]
fn an_endpoint_that_never_answers_and_always_says_the_same_stops_with_4_after_a_few_requests() {
    let (finished, fake, place) = judged(200, &["--max-retries", "1"], |request| {
        let message = format!("worker {} has crashed", request.number);
        answers::error_with(500, &[("retry-after-ms", "1")], "server_error", &message)
    });
    finished.exits_with(4).prints(&["has crashed", "unjudged"]);
    assert_eq!((fake.count(), codes(&place).len()), (8, 4), "two attempts for each judgment");
}

#[test]
fn where_every_judgment_fails_it_is_4_whatever_the_reason() {
    let (finished, _, place) = judged(3, &[], |_| answers::error(400, "content_filter", "Filtered."));
    finished.exits_with(4).prints(&["failed         3", "the first: Filtered."]);
    assert_eq!(codes(&place), ["CONTENT_FILTERED"; 3]);

    let place = Place::new();
    let bare = |n: u64| format!("{{\"trace_id\": \"t{n}\", \"inputs\": \"x\"}}\n");
    place.write("traces.jsonl", (0..25).map(bare).collect::<String>());
    let fake = Fake::start(|_| answers::verdict(true));
    for _ in 0..2 {
        place.judge(&fake.base_url(), &[]).run().exits_with(4).prints(&["25  INPUT_ERROR"]);
    }
    assert_eq!((fake.count(), place.lines("traces.feedback.jsonl").len()), (0, 25));
}

#[test]
#[cfg(target_os = "linux")]
fn an_output_that_cannot_be_written_is_4() {
    let place = Place::with_traces(2);
    let fake = Fake::start(|_| answers::verdict(true));
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let finished = place.judge(&fake.base_url(), &["-o", "-"]).run_with_stdout(full).exits_with(4);
    finished.says(&["stopped early: cannot write to standard output: No space left on device", "were not saved"]);
}

#[test]
fn the_summary_comes_before_a_table_that_cannot_be_written() {
    let place = Place::with_traces(2);
    // The table is written next to its place and then moved; a folder is in the way.
    std::fs::create_dir(place.path("out.csv.writing")).unwrap();
    let finished = place.run(["-d", "traces.jsonl", "-J", "safety", "--simulate", "-o", "out.csv"]).exits_with(4);
    finished.prints(&["scored         2", "feedback in out.feedback.jsonl"]).says(&["cannot write out.csv"]);
}

#[test]
fn a_dry_run_in_which_every_trace_fails_is_not_a_success() {
    let place = Place::new();
    place.write("traces.jsonl", "{\"trace_id\": \"a\", \"inputs\": \"x\"}\n{\"trace_id\": \"b\", \"inputs\": \"x\"}\n");
    let args = ["-d", "traces.jsonl", "-J", "safety", "--simulate", "--dry-run"];
    place.run(args).exits_with(4).prints(&["failing        2"]);
    place.write("traces.jsonl", format!("{}{{\"trace_id\": \"b\", \"inputs\": \"x\"}}\n", answers::traces(1)));
    place.run(args).exits_with(0);
}

#[test]
fn a_pool_of_which_one_member_is_given_up_is_0_and_the_summary_names_it() {
    let place = Place::with_traces(6);
    let dead = Fake::start(|_| answers::error(401, "invalid_api_key", "Incorrect API key provided."));
    let alive = Fake::start(|_| answers::verdict(true));
    let member = |fake: &Fake| format!("[[endpoints.ours.pool]]\nbase_url = \"{}\"\n", fake.base_url());
    place.write("judge-run.toml", format!("model = \"ours:/m\"\n{}{}", member(&dead), member(&alive)));
    let finished = place.run(["-d", "traces.jsonl", "-J", "safety"]).exits_with(0);
    let gave_up = format!("ours:/m: gave up on {}: AUTHENTICATION_ERROR: Incorrect API key", dead.base_url());
    assert!(!finished.stderr.contains("giving up:"), "{}", finished.stderr);
    finished.prints(&["scored         6", &gave_up]).says(&["giving up on"]);
    // How many were in flight when the first refusal came back is chance.
    assert!((1..=6).contains(&dead.count()) && alive.count() == 6, "{} and {}", dead.count(), alive.count());
}

#[test]
fn prompts_that_the_server_cuts_to_one_length_give_no_verdicts() {
    let place = Place::new();
    let trace =
        |n: usize| serde_json::json!({"trace_id": format!("c{n}"), "inputs": "word ".repeat(n / 5), "outputs": "x"});
    place.write("traces.jsonl", [6_000, 16_000, 19_000, 24_000].map(|n| trace(n).to_string() + "\n").concat());
    let fake = Fake::start(|_| {
        let content = "{\"rationale\": \"r\", \"value\": true}";
        let mut body = serde_json::json!({"choices": [{"message": {"content": content}, "finish_reason": "stop"}]});
        body["usage"] = serde_json::json!({"prompt_tokens": 2050, "completion_tokens": 20});
        answers::response(200, &[], &body)
    });
    let finished = place.judge(&fake.base_url(), &["-j", "1"]).run().exits_with(3);
    finished.prints(&["3  PROMPT_TRUNCATED", "cuts prompts after 2050 tokens"]);
    assert_eq!(codes(&place), ["-", "PROMPT_TRUNCATED", "PROMPT_TRUNCATED", "PROMPT_TRUNCATED"]);
}
