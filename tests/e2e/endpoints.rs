//! What is learnt of an endpoint, several of them, and the check.

use serde_json::json;

use crate::common::{Action, Fake, Place, Request, answers};

/// Refuses one part of the request after the other, as servers really do, until all is left out.
fn picky(request: &Request) -> Action {
    let body = request.json();
    let refused = |status, message: &str, parameter: Option<&str>| {
        let code = parameter.map(|_| "unsupported_value");
        answers::response(status, &[], &json!({"error": {"message": message, "param": parameter, "code": code}}))
    };
    if body["response_format"]["type"] == "json_schema" {
        return refused(500, "1 validation error: response_format: Input should be 'text' or 'json_object'", None);
    }
    if body.get("temperature").is_some() {
        return refused(400, "Unsupported value: 'temperature' does not support 0.", Some("temperature"));
    }
    if body["messages"][0]["role"] == "system" {
        return refused(400, "System role not supported", None);
    }
    answers::completion("```json\n{\"rationale\": \"r\", \"value\": true}\n```")
}

#[test]
fn what_an_endpoint_refuses_is_learnt_with_one_request_each() {
    let place = Place::with_traces(20);
    let fake = Fake::start(picky);
    let finished = place.judge(&fake.base_url(), &[]).run().exits_with(0);
    finished.prints(&[
        "scored        20",
        "were adapted: response_format json_schema (not strict), response_format json_object (with schema), without \
         temperature, instructions in the user message",
    ]);
    // One request for each of the four rungs; a machine under load may let a few more out before the first answer is read.
    assert!((24..=24 + 16).contains(&fake.count()), "{}", fake.count());
    for record in place.lines("traces.feedback.jsonl") {
        assert_eq!(record["metadata"]["dropped_parameters"], "temperature");
        assert_eq!(record["metadata"]["parse"], "extracted");
    }
}

#[test]
fn a_refusal_after_good_answers_is_the_requests_own_fault() {
    let place = Place::with_traces(6);
    let fake = Fake::start(|request| match request.trace() {
        5 => answers::error(400, "invalid_request", "failed to parse grammar"),
        _ => answers::verdict(true),
    });
    place
        .judge(&fake.base_url(), &["-j", "1"])
        .run()
        .exits_with(3)
        .prints(&["scored         5", "UNSUPPORTED_PARAMETER"]);
    assert!(fake.seen().iter().all(|request| request.json()["response_format"]["type"] == "json_schema"));
}

/// A configuration with a pool of these.
fn pool(members: &[&Fake]) -> String {
    let member =
        |fake: &&Fake| format!("[[endpoints.ours.pool]]\nbase_url = \"{}\"\nconcurrency = 1\n", fake.base_url());
    members.iter().map(member).collect()
}

#[test]
fn a_pool_shares_the_work_and_what_one_refuses_goes_to_another() {
    let place = Place::with_traces(10);
    let good = Fake::start(|_| answers::verdict(true));
    let full = Fake::start(|_| answers::error_with(429, &[("retry-after", "200")], "rate_limit_exceeded", "Full."));
    let locked = Fake::start(|_| answers::error(401, "invalid_api_key", "No."));
    place.write("judge-run.toml", pool(&[&full, &locked, &good]));
    let finished = place.run(["-d", "traces.jsonl", "-J", "safety", "-m", "ours:/m"]).exits_with(0);
    finished.prints(&["scored        10", "failed         0"]).says(&["AUTHENTICATION_ERROR"]);
    assert_eq!((full.count(), locked.count(), good.count()), (1, 1, 10));
}

#[test]
fn a_pool_without_members_left_ends_the_run() {
    let place = Place::with_traces(3);
    let fakes = [(); 2].map(|()| Fake::start(|_| answers::error(401, "invalid_api_key", "No.")));
    place.write("judge-run.toml", pool(&[&fakes[0], &fakes[1]]));
    place.run(["-d", "traces.jsonl", "-J", "safety", "-m", "ours:/m"]).exits_with(4).prints(&["AUTHENTICATION_ERROR"]);
    assert_eq!(fakes.map(|fake| fake.count()), [1, 1]);
}

#[test]
fn two_endpoints_do_not_wait_for_each_other() {
    let place = Place::with_traces(200);
    let latch = crate::common::Latch::default();
    let held = latch.clone();
    let slow = Fake::start(move |_| {
        held.wait();
        answers::verdict(true)
    });
    let fast = Fake::start(|_| answers::verdict(true));
    let endpoint =
        |name: &str, fake: &Fake| format!("[endpoints.{name}]\nbase_url = \"{}\"\nconcurrency = 2\n", fake.base_url());
    place.write("judge-run.toml", endpoint("slow", &slow) + &endpoint("fast", &fast));
    let judge = |model: &str| {
        format!(
            "model = \"{model}:/m\"\n[verdict]\ntype = \"boolean\"\n[prompt]\nuser = \"{{{{ outputs | fence }}}}\"\n"
        )
    };
    place.write("a.toml", judge("slow"));
    place.write("b.toml", judge("fast"));
    let running = place.command(["-d", "traces.jsonl", "-J", "./a.toml", "-J", "./b.toml"]).start();
    // All of one are answered while none of the other is.
    fast.wait_for(200);
    latch.open();
    running.finish().exits_with(0);
    assert_eq!((slow.count(), place.lines("traces.feedback.jsonl").len()), (200, 400));
}

#[test]
fn budgets_stop_a_run_and_the_next_one_goes_on() {
    let place = Place::with_traces(30);
    let fake = Fake::start(|_| answers::verdict(true));
    let limited = |more: &[&str]| place.judge(&fake.base_url(), &[&["-j", "1"], more].concat()).run();
    limited(&["--rpd", "5"]).exits_with(4).prints(&["all 5 requests of the day are sent", "--rpd"]);
    assert_eq!(fake.count(), 5);
    // 110 tokens each.
    limited(&["--max-tokens-total", "500"]).exits_with(4).prints(&["the budget of 500 tokens is used up: 550 used"]);
    assert_eq!(fake.count(), 10);
    limited(&["--max-cost", "1"]).exits_with(2).says(&["`--max-cost` needs the prices of openai:/gpt-4.1-mini"]);
    place.write("judge-run.toml", "[endpoints.openai.prices.\"gpt-4.1-mini\"]\ninput = 10000\noutput = 100000\n");
    // A prompt costs 1, an answer 1.
    limited(&["--max-cost", "5"]).exits_with(4).prints(&["the budget of 5 is used up: 6.0000 spent", "cost 6.0000"]);
    assert_eq!(fake.count(), 13);
    limited(&[]).exits_with(0).prints(&["scored        30"]);
    assert_eq!(fake.count(), 30);
}

#[test]
fn too_many_failures_stop_a_run_when_the_user_says_so() {
    let place = Place::with_traces(9);
    let fake = Fake::start(|_| answers::completion("I'd rather not say."));
    let args = ["-j", "1", "--max-errors", "2", "--re-ask", "0"];
    place.judge(&fake.base_url(), &args).run().exits_with(4).prints(&["too many failures: 3 of 3 judgments"]);
    assert_eq!(fake.count(), 3);
}

#[test]
fn a_prompt_that_no_minute_allows_is_never_sent() {
    let place = Place::new();
    let long = json!({"trace_id": "long", "inputs": "x".repeat(60_000), "outputs": "y"});
    place.write("traces.jsonl", format!("{long}\n{}\n", answers::trace(0)));
    let fake = Fake::start(|_| answers::verdict(true));
    place.judge(&fake.base_url(), &["--tpm", "10000"]).run().exits_with(3).prints(&["1  REQUEST_TOO_LARGE"]);
    assert_eq!(fake.count(), 1);
}

#[test]
fn a_prompt_that_was_cut_gives_no_verdict() {
    let place = Place::new();
    place.write("traces.jsonl", format!("{}\n", json!({"inputs": "x".repeat(40_000), "outputs": "y"})));
    let fake = Fake::start(|_| {
        let mut body = json!({"choices": [{"message": {"content": "{\"rationale\":\"r\",\"value\":true}"}}]});
        body["usage"] = json!({"prompt_tokens": 2048, "completion_tokens": 9});
        answers::response(200, &[], &body)
    });
    place.judge(&fake.base_url(), &[]).run().exits_with(4).prints(&["PROMPT_TRUNCATED"]);
}

#[test]
fn a_told_quota_is_followed_and_shown() {
    let place = Place::with_traces(4);
    let fake = Fake::start(|request| {
        let remaining = (60 - request.number).to_string();
        let headers = [("x-ratelimit-limit-requests", "60"), ("x-ratelimit-remaining-requests", remaining.as_str())];
        let body = json!({"choices": [{"message": {"content": "{\"rationale\":\"r\",\"value\":true}"}}]});
        answers::response(200, &headers, &body)
    });
    place.judge(&fake.base_url(), &[]).run().exits_with(0).prints(&["reported its limits, paced to them: 60 requests"]);
}

#[test]
fn a_check_tells_what_an_endpoint_takes() {
    let place = Place::new();
    let fake = Fake::start(picky);
    let check = |fake: &Fake| place.run(["check", "--base-url", &fake.base_url(), "-m", "m1"]);
    check(&fake).exits_with(0).prints(&[
        "openai:/m1 at http://127.0.0.1:",
        "as fake-model-2026-01-01",
        "verdict   read, extracted",
        "format    json_object (with schema)",
        "adapted   response_format json_schema (not strict)\n            response_format json_object (with schema)\n",
        "limits    not reported",
    ]);
    let locked = Fake::start(|_| answers::error(401, "invalid_api_key", "Incorrect API key provided."));
    check(&locked).exits_with(4).prints(&["answers   no", "AUTHENTICATION_ERROR (HTTP 401)", "`api_key_env`"]);
    assert!(place.names().is_empty());
}

#[test]
fn the_first_request_of_a_judge_warms_the_cache_up_for_the_others() {
    let place = Place::with_traces(8);
    let latch = crate::common::Latch::default();
    let held = latch.clone();
    let fake = Fake::start(move |_| {
        held.wait();
        answers::verdict(true)
    });
    let running = place.judge(&fake.base_url(), &["--warm-up", "-v"]).start();
    fake.wait_for(1);
    // Nothing but an answer lets the others out; the head start of the first request is long over when it comes.
    running.wait_for_stderr("0 of 8 judgments");
    assert_eq!(fake.count(), 1);
    latch.open();
    running.finish().exits_with(0);
    assert_eq!(fake.count(), 8);
}

#[test]
fn made_up_and_real_verdicts_in_one_log_are_noted() {
    let place = Place::with_traces(2);
    let locked = Fake::start(|_| answers::error(401, "invalid_api_key", "No."));
    let simulate = || place.run(["-d", "traces.jsonl", "-J", "safety", "--simulate"]);
    let url = locked.base_url();
    let real = |more: &[&'static str]| {
        place
            .run([&["-d", "traces.jsonl", "-J", "safety", "-m", "e:/m", "--base-url", &url][..], more].concat())
            .exits_with(4)
    };
    assert_eq!(simulate().exits_with(0).stderr, "");
    real(&[]).says(&["note: traces.feedback.jsonl also has made-up verdicts"]);
    let anew = real(&["--overwrite"]);
    assert!(!anew.stderr.contains("made-up"), "{}", anew.stderr);
    // With failures alone, no verdicts get mixed up.
    assert!(!simulate().exits_with(0).stderr.contains("adding made-up verdicts to"));
    let log = place.read("traces.feedback.jsonl").lines().last().unwrap().replace("simulated:/judge", "openai:/m");
    place.write("traces.feedback.jsonl", format!("{log}\n"));
    simulate().says(&["note: adding made-up verdicts to traces.feedback.jsonl"]);
}

#[test]
fn a_dry_run_shows_time_and_cost_and_needs_no_key() {
    let place = Place::with_traces(2);
    let args = ["-d", "traces.jsonl", "-J", "safety,relevance", "-m", "openai:/m", "--dry-run"];
    place.run(args).exits_with(0).prints(&["nothing will be sent"]);
    place.write(
        "judge-run.toml",
        "[endpoints.openai]\nrpm = 1\n[endpoints.openai.prices.m]\ninput = 1000.0\noutput = 1.0\n",
    );
    place.run(args).exits_with(0).prints(&[
        "\nopenai:/m\n  time     at least 4 min 0 s",
        "  cost     about ",
        " for the prompts, and at most 0.0082",
    ]);
    assert!(!place.path("traces.feedback.jsonl").exists());
}

#[test]
fn a_presets_name_on_another_host_is_noted_and_the_host_recorded() {
    let place = Place::with_traces(1);
    let fake = Fake::start(|_| answers::verdict(true));
    let host = fake.base_url().replace("http://", "").replace("/v1", "");
    let finished = place.judge(&fake.base_url(), &[]).run().exits_with(0);
    finished.says(&[&format!("note: openai:/gpt-4.1-mini is asked at {host}, not at api.openai.com")]);
    let args =
        ["-d", "traces.jsonl", "-J", "safety", "-m", "mine:/m", "--base-url", &fake.base_url(), "-o", "mine.jsonl"];
    assert_eq!(place.run(args).exits_with(0).stderr, "");
    for log in ["traces.feedback.jsonl", "mine.jsonl"] {
        assert_eq!(place.lines(log)[0]["metadata"]["host"], host.as_str(), "{log}");
    }
}

#[test]
fn a_name_that_is_a_path_keeps_its_first_slash() {
    let place = Place::with_traces(1);
    let fake = Fake::start(|_| answers::verdict(true));
    let args = ["-d", "traces.jsonl", "-J", "safety", "-m", "vllm:///models/x", "--base-url", &fake.base_url()];
    place.run(args).exits_with(0);
    place.run(args).exits_with(0).prints(&["1 trace, 0 requests"]);
    assert_eq!(fake.seen()[0].json()["model"], "/models/x");
    assert_eq!(place.lines("traces.feedback.jsonl")[0]["source"]["source_id"], "vllm:///models/x");
}

#[test]
fn made_up_verdicts_of_a_simulator_never_stand_under_a_models_name() {
    let place = Place::with_traces(3);
    let simulator = crate::common::SimulatorProcess::start(&["--latency", "0"]);
    let real = Fake::start(|_| answers::verdict(true));
    let run = |url: &str| place.judge(url, &["-m", "openai:/gpt-4.1-mini"]).run().exits_with(0);
    run(&simulator.base_url()).prints(&["3 requests", "made up"]);
    // A drill resumes as a run does.
    run(&simulator.base_url()).prints(&["safety  on simulated:/gpt-4.1-mini", "0 requests"]);
    let made_up = place.lines("traces.feedback.jsonl");
    assert!(made_up.iter().all(|record| record["source"]["source_id"] == "simulated:/gpt-4.1-mini"), "{made_up:#?}");
    run(&real.base_url());
    let asked = || real.seen().iter().filter(|request| request.line.starts_with("POST")).count();
    assert_eq!(asked(), 3, "every trace is asked");
    let ids: std::collections::BTreeSet<_> =
        place.lines("traces.feedback.jsonl").iter().map(|record| record["assessment_id"].to_string()).collect();
    assert_eq!(ids.len(), 6, "they are other judgments");
    place
        .judge(&real.base_url(), &["-m", "openai:/gpt-4.1-mini"])
        .run()
        .exits_with(0)
        .prints(&["3 traces, 0 requests"]);
}

#[test]
fn a_simulator_elsewhere_is_asked_at_its_address() {
    let place = Place::with_traces(1);
    let fake = Fake::start(|_| answers::completion("{\"rationale\": \"r\", \"value\": true}"));
    place.judge(&fake.base_url(), &["-m", "simulated:/judge"]).run().exits_with(0);
    assert_eq!(fake.count(), 1);
}
