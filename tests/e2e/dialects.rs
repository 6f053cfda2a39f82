//! How providers differ, acted by the simulator: what they report of their quotas, what they do not take, how an answer comes.

use std::thread;

use serde_json::{Value, json};

use crate::common::{Place, SimulatorProcess};

const LOG: &str = "traces.feedback.jsonl";

#[test]
fn no_judgment_is_lost_whatever_tells_of_the_quota() {
    /// A minute's worth and two more: a run that is fast meets the end of its quota.
    const TRACES: usize = 122;
    // A provider whose headers report the quota by the minute is never asked too early.
    let dialects = ["openai", "mistral", "anthropic", "azure", "litellm"].map(|name| (name, true));
    thread::scope(|scope| {
        for (headers, tells) in dialects.into_iter().chain([("groq", false), ("none", false)]) {
            scope.spawn(move || {
                let args = ["--headers", headers, "--rpm", "120", "--burst", "60s", "--latency", "5ms"];
                let simulator = SimulatorProcess::start(&args);
                let place = Place::with_traces(TRACES);
                let finished = place.judge(&simulator.base_url(), &["-j", "8", "-v"]).run().exits_with(0);
                finished.prints(&["scored       122", "failed         0"]);
                let stats = simulator.stats();
                assert_eq!((&stats["answered"], &stats["answered_again"]), (&json!(TRACES), &json!(0)), "{headers}");
                let refused = stats["rate_limited"].as_u64().unwrap();
                assert!(refused <= if tells { 0 } else { 24 }, "{headers}: {stats:#}");
            });
        }
    });
}

#[test]
fn a_request_is_adapted_step_by_step_to_what_an_endpoint_takes() {
    // A step that the first request, which goes ahead, does not find in time may cost as many requests as may be in flight.
    for (concurrency, most_refused) in [("1", 5), ("8", 5 * 8)] {
        let faults = "schema500=100%,temperature=100%,system=100%,max_tokens=100%";
        let simulator = SimulatorProcess::start(&["--fail", faults, "--latency", "1ms"]);
        let place = Place::with_traces(30);
        let finished = place.judge(&simulator.base_url(), &["-j", concurrency]).run().exits_with(0);
        finished.prints(&[
            "scored        30",
            "failed         0",
            "response_format json_schema (not strict)",
            "response_format json_object (with schema)",
            "without temperature",
            "instructions in the user message",
            "max_completion_tokens instead of max_tokens",
        ]);
        let stats = simulator.stats();
        let refused = |fault: &str| stats["faults"][fault].as_u64().unwrap();
        let all = [refused("schema500"), refused("temperature"), refused("system"), refused("max_tokens")];
        assert!(all[0] >= 2 && all.iter().sum::<u64>() <= most_refused, "{stats:#}");
        assert_eq!((&stats["answered"], &stats["answered_again"]), (&json!(30), &json!(0)));
    }
}

#[test]
fn a_schema_that_is_not_taken_is_recognised_in_every_form_of_error() {
    for fault in ["schema", "schema500", "fastapi", "string"] {
        let simulator = SimulatorProcess::start(&["--fail", &format!("{fault}=100%"), "--latency", "1ms"]);
        let place = Place::with_traces(3);
        place
            .judge(&simulator.base_url(), &["-j", "1"])
            .run()
            .exits_with(0)
            .prints(&["scored         3", "response_format json_object (with schema)"]);
        assert_eq!(simulator.stats()["faults"], json!({ fault: 2 }));
    }
}

#[test]
fn an_answer_that_comes_in_a_strange_way_is_an_answer() {
    for fault in ["drip", "blank", "content-type"] {
        let simulator = SimulatorProcess::start(&["--fail", &format!("{fault}=100%"), "--latency", "1ms"]);
        let place = Place::with_traces(4);
        place.judge(&simulator.base_url(), &[]).run().exits_with(0).prints(&["scored         4", "failed         0"]);
        let stats = simulator.stats();
        assert_eq!((&stats["requests"], &stats["faults"][fault]), (&json!(4), &json!(4)));
    }
}

#[test]
fn a_refusal_for_the_rate_is_recognised_in_an_array_and_flat() {
    for fault in ["array", "flat"] {
        let fail = format!("{fault}=100%");
        let simulator = SimulatorProcess::start(&["--fail", &fail, "--clear-after", "1", "--latency", "1ms"]);
        let place = Place::with_traces(1);
        let finished = place.judge(&simulator.base_url(), &["-v"]).run().exits_with(0);
        finished.says(&["RATE_LIMIT_EXCEEDED (HTTP 429)"]).prints(&["scored         1"]);
        assert_eq!(simulator.stats()["faults"], json!({ fault: 1 }));
    }
}

#[test]
fn a_prompt_that_is_too_long_is_a_failure_also_where_it_is_cut_silently() {
    let place = Place::new();
    let trace = json!({"trace_id": "long", "inputs": "Why?", "outputs": "because ".repeat(2000)});
    place.write("traces.jsonl", trace.to_string());
    for (flags, code) in [
        (&["--context", "600"][..], "PROMPT_TRUNCATED"),
        (&["--fail", "context=100%", "--clear-after", "0"], "CONTEXT_LENGTH_EXCEEDED"),
    ] {
        let simulator = SimulatorProcess::start(flags);
        place.judge(&simulator.base_url(), &["--overwrite"]).run().exits_with(4);
        let codes: Vec<Value> = place.lines(LOG).iter().map(|record| record["error"]["error_code"].clone()).collect();
        assert_eq!(codes, [code]);
    }
}
