//! The steps of a judgment, one by one, through the library's public API: `cargo bench --bench micro`.

#![expect(clippy::unwrap_used, reason = "a benchmark may panic")]

#[path = "end_to_end/traces.rs"]
mod traces;

use std::hint::black_box;
use std::path::Path;
use std::time::SystemTime;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use judge_run::dataset::{DatasetOptions, DatasetReader, Entry};
use judge_run::endpoint::classify_response;
use judge_run::endpoint::provider::wire_profile;
use judge_run::endpoint::wire::answer::Answer;
use judge_run::feedback::Feedback;
use judge_run::feedback::log::{Mode, OpenLog};
use judge_run::judge::parse::parse_verdict;
use judge_run::judge::verdict::VerdictType;
use judge_run::judge::{Question, library};
use judge_run::trace::Trace;
use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::{Map, json};

const TRACES: u64 = 1_000;

fn read(path: &Path) -> impl Iterator<Item = Trace> {
    DatasetReader::open(DatasetOptions::new([path])).unwrap().filter_map(|entry| match entry.unwrap() {
        Entry::Trace(trace) => Some(trace.value),
        Entry::Reject(_) | Entry::Duplicate(_) => None,
    })
}

fn dataset(c: &mut Criterion) {
    let place = tempfile::tempdir().unwrap();
    let mut group = c.benchmark_group("read a dataset");
    type Write = fn(&Path, u64) -> std::io::Result<()>;
    for (dialect, write) in [("plain", traces::plain as Write), ("mlflow", traces::mlflow as Write)] {
        let path = place.path().join(dialect);
        write(&path, TRACES).unwrap();
        group.throughput(Throughput::Bytes(path.metadata().unwrap().len()));
        group.bench_function(dialect, |b| b.iter(|| assert_eq!(read(&path).count() as u64, TRACES)));
    }
}

fn request(c: &mut Criterion) {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("traces.jsonl");
    traces::plain(&path, 1).unwrap();
    let trace = read(&path).next().unwrap();
    let judge = library::find("factual_accuracy").unwrap();
    let question = Question::new(judge, &"simulated:/judge".parse().unwrap(), &Map::new());
    c.bench_function("render a prompt", |b| b.iter(|| question.judge.request(black_box(&trace)).unwrap()));
    c.bench_function("render a prompt and hash its judgment's id", |b| {
        b.iter(|| question.judgment(black_box(&trace)).unwrap());
    });
    let request = question.judge.request(&trace).unwrap();
    let profile = wire_profile(None, "", "judge");
    c.bench_function("write a request", |b| {
        b.iter(|| black_box(&request).body("judge", &profile, 2048, &Map::new()).unwrap());
    });
}

fn answer(c: &mut Criterion) {
    let json = r#"{"rationale": "Two of the three claims agree with the reference: 27 days, and seven carried over.", "value": 0.67}"#;
    let fenced = format!("Here is my verdict.\n\n```json\n{json}\n```\n");
    let prose = "Two of the three claims agree with the reference. The third names a date that it does not have.\n\n\
                 **Value: 0.67**";
    let verdict = VerdictType::Number { min: Some(0.0), max: Some(1.0) };
    for (form, text) in [("JSON", json), ("a fence", &fenced), ("prose", prose)] {
        c.bench_function(&format!("parse a verdict in {form}"), |b| {
            b.iter(|| parse_verdict(black_box(text), &verdict).unwrap());
        });
    }
    let completion = json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1_700_000_000, "model": "judge",
        "choices": [{
            "index": 0, "message": {"role": "assistant", "content": json, "refusal": null}, "logprobs": null,
            "finish_reason": "stop",
        }],
        "usage": {"prompt_tokens": 812, "completion_tokens": 41, "total_tokens": 853},
    });
    let completion = completion.to_string();
    c.bench_function("read an answer", |b| b.iter(|| Answer::from_body(black_box(completion.as_bytes())).unwrap()));
}

fn failure(c: &mut Criterion) {
    let body = json!({"error": {
        "message": "Rate limit reached for gpt-4.1-mini on requests per min (RPM): Limit 500, Used 500, Requested 1. \
                    Please try again in 120ms.",
        "type": "requests", "param": null, "code": "rate_limit_exceeded",
    }});
    let body = body.to_string();
    let headers = HeaderMap::from_iter([(reqwest::header::RETRY_AFTER, HeaderValue::from_static("1"))]);
    let now = SystemTime::now();
    c.bench_function("classify a failure", |b| {
        b.iter(|| classify_response(429, &headers, black_box(body.as_bytes()), now));
    });
}

fn log(c: &mut Criterion) {
    let place = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let record = Feedback::from_json(
        r#"{"assessment_id":"a-e50847eec64e5f070f88b59a2da0137f","name":"factual_accuracy","value":0.67,
        "rationale":"Two of the three claims agree with the reference: 27 days, and seven carried over.",
        "source":{"source_type":"LLM_JUDGE","source_id":"simulated:/judge"},
        "metadata":{"attempts":"1","input_tokens":"812","judge_prompt":"prompts:/factual_accuracy/1","latency_ms":"24",
        "model":"judge","output_tokens":"41","request_id":"req_1","run_id":"run-20261123T163439Z-1b9095"},
        "create_time_ms":1795451679330,"last_update_time_ms":1795451679330,"trace_id":"tr-quickstart-01"}"#,
    );
    let record = record.unwrap();
    let log = OpenLog::open(&place.path().join("feedback.jsonl"), Mode::Resume).unwrap();
    let writer = log.into_writer().unwrap();
    c.bench_function("append to the log and wait until it is written", |b| {
        b.iter_batched(
            || record.clone(),
            |record| runtime.block_on(writer.append(record)).unwrap(),
            BatchSize::SmallInput,
        );
    });
    runtime.block_on(writer.close(std::future::pending())).unwrap();
}

criterion_group!(benches, dataset, request, answer, failure, log);
criterion_main!(benches);
