//! The simulator over real sockets, byte by byte.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// No test waits this long unless it fails.
const PATIENCE: Duration = Duration::from_secs(20);

fn config(faults: &str) -> SimulatorConfig {
    SimulatorConfig { latency: Duration::ZERO, faults: faults.parse().unwrap(), ..SimulatorConfig::default() }
}

fn start(faults: &str) -> BackgroundSimulator {
    Simulator::spawn(config(faults)).unwrap()
}

pub(super) fn chat(prompt: &str) -> String {
    let schema =
        json!({"type": "object", "properties": {"rationale": {"type": "string"}, "value": {"type": "number"}}});
    json!({
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": prompt}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "verdict", "strict": true, "schema": schema}},
        "max_tokens": 100,
    })
    .to_string()
}

pub(super) fn request(method: &str, path: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: simulator\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// All bytes of the answer, or the error that the connection ended with.
pub(super) fn exchange(address: SocketAddr, request: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The verdict of a good answer.
    fn verdict(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        serde_json::from_str(self.json()["choices"][0]["message"]["content"].as_str().unwrap()).unwrap()
    }
}

fn call(simulator: &BackgroundSimulator, method: &str, path: &str, body: &str) -> Answer {
    let answer = exchange(simulator.local_addr(), &request(method, path, body)).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    Answer { status: head[9..12].parse().unwrap(), head: head.to_owned(), body: body.to_owned() }
}

fn ask(simulator: &BackgroundSimulator, prompt: &str) -> Answer {
    call(simulator, "POST", "/v1/chat/completions", &chat(prompt))
}

fn wait_until(mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < PATIENCE, "it never came to this");
        thread::yield_now();
    }
}

#[test]
fn the_same_request_gets_the_same_verdict_from_every_simulator() {
    let (one, other) = (start(""), start(""));
    let answer = ask(&one, "a");
    let verdict = answer.verdict();
    assert_eq!(verdict["rationale"], "Simulated: no model was asked.");
    assert_eq!(verdict, ask(&other, "a").verdict());
    assert_eq!(verdict, call(&one, "POST", "/chat/completions", &chat("a")).verdict());
    assert_ne!(verdict, ask(&one, "b").verdict());
    assert!(answer.header("x-request-id").unwrap().starts_with("req_"));
    assert!(answer.header("openai-processing-ms").unwrap().parse::<u64>().is_ok());
    assert_eq!(answer.header("x-ratelimit-limit-requests"), None);
    assert_ne!(answer.header("x-request-id"), ask(&one, "a").header("x-request-id"));
}

#[test]
fn other_paths_and_methods_are_answered_as_openai_answers_them() {
    let simulator = start("");
    assert_eq!(call(&simulator, "GET", "/v1/models", "").json()["data"][0]["id"], "simulated");
    assert_eq!(call(&simulator, "GET", "/health", "").json(), json!({"status": "ok"}));
    let missing = call(&simulator, "POST", "/v1/v1/chat/completions", "{}");
    assert_eq!(missing.status, 404);
    assert_eq!(missing.json()["error"]["message"], "Invalid URL (POST /v1/v1/chat/completions)");
    let wrong = call(&simulator, "GET", "/v1/chat/completions", "");
    assert_eq!((wrong.status, &wrong.json()["error"]["type"]), (405, &json!("invalid_request_error")));
    let invalid = call(&simulator, "POST", "/v1/chat/completions", r#"{"model":"m"}"#);
    assert_eq!((invalid.status, &invalid.json()["error"]["param"]), (400, &json!("messages")));
    let large = call(&simulator, "POST", "/v1/chat/completions", &" ".repeat((32 << 20) + 1));
    assert_eq!((large.status, &large.json()["error"]["type"]), (413, &json!("invalid_request_error")));
    for answer in [missing, wrong, invalid, large, ask(&simulator, "a"), ask(&start("500=100%"), "a")] {
        assert_eq!(answer.header("x-judge-run-simulator"), Some(env!("CARGO_PKG_VERSION")), "{}", answer.head);
    }
}

#[test]
fn what_was_done_is_counted() {
    let simulator = start("500=50%");
    (0..40).for_each(|i| _ = ask(&simulator, &i.to_string()));
    let stats = call(&simulator, "GET", "/v1/stats", "").json();
    assert_eq!(stats, serde_json::to_value(simulator.stats()).unwrap());
    let (good, failed) = (stats["answered"].as_u64().unwrap(), stats["faults"]["500"].as_u64().unwrap());
    assert!(good > 5 && failed > 5, "{stats}");
    assert_eq!(
        (good + failed, stats["requests"].as_u64(), stats["distinct_requests"].as_u64()),
        (40, Some(40), Some(40))
    );
    assert_eq!(stats["answers_by_status"], json!({"200": good, "500": failed}));
    assert_eq!((stats["answered_again"].as_u64(), stats["max_concurrent_requests"].as_u64()), (Some(0), Some(1)));
    assert_eq!(stats["prompt_tokens"].as_u64(), Some(5 * good));
    _ = ask(&simulator, "0");
    _ = ask(&simulator, "0");
    _ = ask(&simulator, "0");
    assert!(simulator.stats().answered_again > 0);
    assert_eq!(simulator.stats().distinct_requests, 40);
}

#[test]
fn a_fault_clears_after_its_tries() {
    let twice = start("503=100%");
    assert_eq!([(); 4].map(|()| ask(&twice, "a").status), [503, 503, 200, 200]);
    assert_eq!(ask(&twice, "b").status, 503, "each request for itself");
    let faults = "503=100%".parse::<FaultPlan>().unwrap();
    let once = Simulator::spawn(SimulatorConfig { faults: faults.clone().clear_after(1), ..config("") }).unwrap();
    assert_eq!([(); 2].map(|()| ask(&once, "a").status), [503, 200]);
    let never = Simulator::spawn(SimulatorConfig { faults: faults.clear_after(0), ..config("") }).unwrap();
    assert_eq!([(); 4].map(|()| ask(&never, "a").status), [503; 4]);
}

#[test]
fn a_reset_comes_before_any_byte_of_the_answer() {
    let simulator = start("reset=100%");
    let error = exchange(simulator.local_addr(), &request("POST", "/v1/chat/completions", &chat("a"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!((simulator.stats().faults["reset"], simulator.stats().answers_by_status.len()), (1, 0));
}

#[test]
fn a_close_is_no_reset_and_no_answer() {
    let simulator = start("close=100%");
    let answer = exchange(simulator.local_addr(), &request("POST", "/v1/chat/completions", &chat("a")));
    assert_eq!(answer.unwrap(), "");
}

#[test]
fn a_cut_answer_ends_in_the_middle_of_its_body() {
    let simulator = start("cut=100%");
    let answer = ask(&simulator, "a");
    let announced: usize = answer.header("content-length").unwrap().parse().unwrap();
    assert_eq!((answer.status, answer.body.len()), (200, announced / 2));
    assert!(answer.body.starts_with(r#"{"id":"chatcmpl-"#));
}

#[test]
fn a_hanging_request_ends_when_the_client_goes() {
    let simulator = start("hang=100%");
    let mut client = TcpStream::connect(simulator.local_addr()).unwrap();
    client.write_all(request("POST", "/v1/chat/completions", &chat("a")).as_bytes()).unwrap();
    wait_until(|| simulator.stats().concurrent_requests == 1);
    client.set_nonblocking(true).unwrap();
    assert_eq!(client.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    drop(client);
    wait_until(|| simulator.stats().concurrent_requests == 0);
    assert_eq!((simulator.stats().faults["hang"], simulator.stats().answers_by_status.len()), (1, 0));
}

#[tokio::test]
async fn a_shutdown_lets_hanging_requests_go() {
    let simulator = Simulator::bind(([127, 0, 0, 1], 0).into(), config("hang=100%")).await.unwrap();
    let (address, shared) = (simulator.local_addr(), simulator.shared.clone());
    let (shutdown, requested) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(simulator.serve(async { _ = requested.await }));
    let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
    client.write_all(request("POST", "/v1/chat/completions", &chat("a")).as_bytes()).await.unwrap();
    while shared.counters.stats().concurrent_requests == 0 {
        tokio::task::yield_now().await;
    }
    shutdown.send(()).unwrap();
    tokio::time::timeout(PATIENCE, server).await.expect("it stops").unwrap().unwrap();
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
}

#[test]
fn answers_under_200_can_be_broken() {
    let malformed = ask(&start("malformed=100%"), "a");
    assert_eq!((malformed.status, malformed.header("content-type")), (200, Some("application/json")));
    assert_eq!(malformed.header("content-length").unwrap(), malformed.body.len().to_string(), "all of it came");
    assert!(serde_json::from_str::<Value>(&malformed.body).is_err());
    let html = ask(&start("html=100%"), "a");
    assert_eq!((html.status, html.header("content-type")), (200, Some("text/html")));
    let error = ask(&start("error200=100%"), "a");
    assert_eq!((error.status, &error.json()["error"]["code"]), (200, &json!(502)));
    assert_eq!(ask(&start("range=100%"), "a").verdict()["value"], 1e9);
}

#[test]
fn a_slow_answer_is_a_good_one() {
    let simulator = start("slow=100%");
    assert_eq!(ask(&simulator, "a").verdict(), ask(&start(""), "a").verdict());
    assert_eq!((simulator.stats().answered, simulator.stats().faults["slow"]), (1, 1));
}

#[test]
fn with_limits_on_every_answer_says_what_is_left() {
    // One request a minute: the second cannot become due while the test runs.
    let limits = SimulatorConfig { rpm: Some(1), tpm: Some(6_000), ..config("") };
    let simulator = Simulator::spawn(limits).unwrap();
    let invalid = call(&simulator, "POST", "/v1/chat/completions", "{}");
    assert_eq!((invalid.status, invalid.header("x-ratelimit-remaining-requests")), (400, Some("1")));
    let good = ask(&simulator, "a");
    assert_eq!((good.status, good.header("x-ratelimit-limit-requests")), (200, Some("1")));
    assert_eq!(good.header("x-ratelimit-remaining-requests"), Some("0"));
    assert_eq!(good.header("x-ratelimit-limit-tokens"), Some("6000"));
    assert!(good.header("x-ratelimit-reset-requests").is_some_and(|reset| reset.ends_with('s')));
    assert!(good.header("x-ratelimit-remaining-tokens").is_some() && good.header("x-ratelimit-reset-tokens").is_some());
    let refused = ask(&simulator, "b");
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (429, &json!("rate_limit_exceeded")));
    let wait = |name| refused.header(name).unwrap().parse::<u64>().unwrap();
    assert!((1..=60).contains(&wait("retry-after")) && wait("retry-after-ms") <= 60_000, "{}", refused.head);
    assert_eq!(refused.header("x-ratelimit-limit-requests"), Some("1"));
    let stats = simulator.stats();
    assert_eq!((stats.rate_limited, stats.answers_by_status[&429], stats.faults.len()), (1, 1, 0));
}

#[test]
fn the_quota_is_told_as_the_configured_provider_tells_it() {
    let limits = SimulatorConfig { rpm: Some(1), dialect: Dialect::Mistral, ..config("") };
    let simulator = Simulator::spawn(limits).unwrap();
    let good = ask(&simulator, "a");
    assert_eq!((good.status, good.header("x-ratelimit-limit-req-minute")), (200, Some("1")));
    let usage = good.json()["usage"]["total_tokens"].to_string();
    assert_eq!(good.header("x-ratelimit-tokens-query-cost"), Some(usage.as_str()));
    let refused = ask(&simulator, "b");
    assert_eq!((refused.status, &refused.json()["code"], refused.header("retry-after")), (429, &json!("1300"), None));
    assert_eq!((refused.header("x-ratelimit-tokens-query-cost"), simulator.stats().rate_limited), (None, 1));
    let fault = Simulator::spawn(SimulatorConfig { dialect: Dialect::Azure, ..config("429=100%") }).unwrap();
    assert_eq!(ask(&fault, "a").json()["error"]["code"], "429");
}

#[test]
fn a_refund_gives_back_what_an_answer_did_not_use() {
    for (refund, second) in [(false, 429), (true, 200)] {
        // Each takes 105 at first and uses about 20; what is missing flows in over 24 s.
        let limits = SimulatorConfig { tpm: Some(150), burst: Duration::from_secs(60), refund, ..config("") };
        let simulator = Simulator::spawn(limits).unwrap();
        assert_eq!(["a", "b"].map(|prompt| ask(&simulator, prompt).status), [200, second]);
    }
}

#[test]
fn a_prompt_that_is_cut_shows_in_the_usage_alone() {
    let simulator = Simulator::spawn(SimulatorConfig { context: Some(3), ..config("") }).unwrap();
    let (cut, whole) = (ask(&simulator, "a").json(), ask(&start(""), "a").json());
    assert_eq!((&cut["usage"]["prompt_tokens"], &whole["usage"]["prompt_tokens"]), (&json!(3), &json!(5)));
    assert_eq!(cut["usage"]["total_tokens"].as_u64(), whole["usage"]["total_tokens"].as_u64().map(|n| n - 2));
    assert_eq!(cut["choices"], whole["choices"]);
}

#[test]
fn a_good_answer_can_come_in_a_strange_way() {
    let whole = ask(&start(""), "a").verdict();
    for fault in ["drip", "blank", "content-type"] {
        let simulator = start(&format!("{fault}=100%"));
        let answer = ask(&simulator, "a");
        let (chunked, length) = (answer.header("transfer-encoding"), answer.header("content-length"));
        assert_eq!((chunked.is_some(), length.is_some()), (fault == "blank", fault != "blank"), "{}", answer.head);
        if fault == "blank" {
            assert!(answer.body.starts_with("1\r\n\n\r\n1\r\n\n\r\n"), "{}", answer.body);
            assert!(answer.body.contains(r#"{"id":"chatcmpl-"#) && answer.body.ends_with("}\r\n0\r\n\r\n"));
        } else {
            assert_eq!(answer.verdict(), whole);
        }
        assert_eq!(answer.header("content-type") == Some("text/html"), fault == "content-type");
        assert_eq!((simulator.stats().answered, simulator.stats().faults[fault]), (1, 1));
    }
}

#[test]
fn what_a_request_carries_is_refused_until_it_is_left_out() {
    let simulator = start("schema=100%,500=100%");
    let adapted = chat("a").replace("json_schema\",\"json_schema\"", "json_object\",\"json_schema\"");
    let status = |body: &str| call(&simulator, "POST", "/v1/chat/completions", body).status;
    assert_eq!([(); 4].map(|()| status(&chat("a"))), [400; 4], "it does not clear");
    assert_eq!([(); 3].map(|()| status(&adapted)), [500, 500, 200], "other faults are drawn beside it");
    assert_eq!(serde_json::to_value(simulator.stats().faults).unwrap(), json!({"500": 2, "schema": 4}));
}

#[tokio::test]
async fn a_background_simulator_starts_inside_a_runtime_and_stops_when_dropped() {
    let simulator = start("hang=100%");
    let address = simulator.local_addr();
    assert_eq!(simulator.base_url(), format!("http://{address}/v1"));
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(request("POST", "/v1/chat/completions", &chat("a")).as_bytes()).unwrap();
    wait_until(|| simulator.stats().concurrent_requests == 1);
    drop(simulator);
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}
