//! Every reader of what comes from outside, on inputs that begin as real ones and are then spoilt at random: none may panic.
//!
//! A short, fixed part of this runs with the other tests. To look for more, for ten minutes, with other inputs:
//! `FUZZ_SECONDS=600 FUZZ_SEED=7 cargo test --test library mutated -- --nocapture`

use std::fs;
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use fastrand::Rng;
use judge_run::dataset::{DatasetOptions, DatasetReader, Entry};
use judge_run::endpoint::classify_response;
use judge_run::endpoint::prices::PriceList;
use judge_run::endpoint::wire::answer::Answer;
use judge_run::feedback::forms::{Form, Input, TableOptions, convert};
use judge_run::feedback::log;
use judge_run::judge::parse::{Expected, parse_verdict};
use judge_run::judge::verdict::VerdictType;
use judge_run::judge::{Expression, Good, Judge, library};
use judge_run::results::Gate;
use judge_run::run::manifest::Manifest;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

/// Inputs of each reader in the short run.
const ROUNDS: u64 = 60;
/// Longer inputs are cut: they are mutated no better, only more slowly.
const MAX_BYTES: usize = 20_000;

/// What readers stumble over.
const TOKENS: [&str; 38] = [
    "\"",
    "\\",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\n",
    "\r\n",
    "\t",
    ";",
    "'",
    "null",
    "true",
    "NaN",
    "-Infinity",
    "1e999",
    "-0",
    "18446744073709551616",
    "0.1e-400",
    "\\ud800",
    "\\u0000",
    "\u{feff}",
    "\u{0}",
    "\u{200b}",
    "\u{202e}",
    "é",
    "日本",
    "=cmd()",
    "<|im_end|>",
    "```",
    "{{",
    "}}",
    "{%",
    "[[5]]",
    "Score: 3/5",
    "data: [DONE]\n\n",
];

/// A reader, and inputs to begin with.
struct Target {
    name: &'static str,
    seeds: Vec<Vec<u8>>,
    read: fn(&[u8], &Path, &mut Rng),
}

fn fixtures(folder: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(folder);
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.is_file());
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// The texts of this member in a file of JSON lines.
fn texts(lines: &str, member: &str) -> Vec<Vec<u8>> {
    let values = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    values.filter_map(|value| Some(value.get(member)?.as_str()?.as_bytes().to_vec())).collect()
}

fn records() -> Vec<Vec<u8>> {
    let record = |id: u8, rest: &str| {
        format!(
            "{{\"assessment_id\":\"a-{id:032x}\",\"name\":\"safety\",{rest},\"source\":{{\"source_type\":\"LLM_JUDGE\",\
             \"source_id\":\"e:/m\"}},\"metadata\":{{\"good\":\"true\"}},\"create_time_ms\":1,\"last_update_time_ms\":1,\"trace_id\":\"t{id}\"}}\n"
        )
    };
    let log = [
        record(1, "\"value\":true,\"rationale\":\"Fine, \\\"really\\\".\""),
        record(2, "\"error\":{\"error_code\":\"TIMEOUT\",\"error_message\":\"none\"}"),
        record(3, "\"value\":0.5,\"overrides\":\"a-00000000000000000000000000000001\""),
        record(4, "\"value\":\"=a,b\",\"valid\":false"),
    ];
    let table = "trace_id,span_id,name,value,rationale,error_code,error_message,source_type,source_id\n\
                 t1,,safety,true,\"a, \"\"b\"\"\",,,LLM_JUDGE,e:/m\nt2,,safety,,,TIMEOUT,none,LLM_JUDGE,e:/m\n";
    vec![log.concat().into_bytes(), table.as_bytes().to_vec()]
}

fn bodies() -> Vec<Vec<u8>> {
    let mut bodies: Vec<Vec<u8>> = [
        r#"{"id":"c","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"{\"rationale\":\"r\",\"value\":true}"},"finish_reason":"stop"}],"usage":{"prompt_tokens":300,"completion_tokens":20,"total_tokens":5320,"prompt_tokens_details":{"cached_tokens":7},"completion_tokens_details":{"reasoning_tokens":5}}}"#,
        "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: {\"choices\":[{\"delta\":{},\"finish_reason\":\"length\"}],\"usage\":null}\n\ndata: [DONE]\n\n",
        r#"{"error":{"message":"Rate limit reached: please try again in 6m12s","type":"tokens","code":"rate_limit_exceeded"}}"#,
        r#"{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"51s"}]}}"#,
        r#"{"detail":[{"loc":["body","response_format"],"msg":"Extra inputs are not permitted"}]}"#,
        r#"[{"error":{"message":"litellm.RateLimitError: {\"error\":{\"message\":\"2252 in the messages, 2048 in the completion\"}}"}}]"#,
        "<html><body>502 Bad Gateway</body></html>",
    ]
    .map(|body| body.as_bytes().to_vec())
    .into();
    bodies.extend(fixtures("openai"));
    bodies
}

fn read_verdict(bytes: &[u8], _: &Path, rng: &mut Rng) {
    let text = String::from_utf8_lossy(bytes);
    let verdicts = [
        VerdictType::Boolean,
        VerdictType::Integer { min: 1, max: 5 },
        VerdictType::Number { min: Some(0.0), max: Some(1.0) },
        VerdictType::Category { labels: vec!["good".into(), "not good".into(), "Output (a)".into()] },
    ];
    let prompt: String = text.chars().take(rng.usize(..200)).collect();
    let good = Good::Boolean(rng.bool());
    for verdict in verdicts {
        let expected = Expected { prompt: &prompt, good: rng.bool().then_some(&good), ..Expected::from(&verdict) };
        if let Ok(parsed) = parse_verdict(&text, expected) {
            assert_eq!(verdict.check(&parsed.verdict.value).as_ref(), Ok(&parsed.verdict.value));
        }
    }
}

fn read_dataset(bytes: &[u8], folder: &Path, rng: &mut Rng) {
    let name = ["x.jsonl", "x.json", "x.csv", "x.tsv", "x"][rng.usize(..5)];
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    let mappings = ["outputs=answer", "messages=chosen", "outputs=response", "documents=contexts", "inputs.q=question"];
    let mappings = mappings.iter().filter(|_| rng.u8(..) < 16).map(|mapping| mapping.parse().unwrap()).collect();
    let options = DatasetOptions { mappings, max_line_bytes: 1 << 20, ..DatasetOptions::new([path]) };
    let Ok(reader) = DatasetReader::open(options) else { return };
    let judges = ["safety", "factual_accuracy", "groundedness"].map(|name| library::find(name).unwrap());
    for entry in reader {
        let Ok(entry) = entry else { break };
        if let Entry::Trace(located) = entry {
            assert!(!located.value.trace_id.is_empty());
            for judge in &judges {
                let _ = judge.request(&located.value);
            }
        }
    }
}

fn read_log(bytes: &[u8], folder: &Path, rng: &mut Rng) {
    let path = folder.join("log.jsonl");
    fs::write(&path, bytes).unwrap();
    let _ = log::tally(&path);
    let _ = log::would_compact(&path);
    let _ = log::requests_since(&path, 0);
    let _ = log::ReuseLog::open(&path);
    let _ = String::from_utf8_lossy(bytes).lines().map(judge_run::feedback::Feedback::from_json).count();
    let forms = [Form::Jsonl, Form::Csv, Form::CsvWide, Form::Mlflow];
    let from = rng.bool().then(|| forms[rng.usize(..forms.len())]);
    if let Ok(input) = Input::of_reader(Box::new(Cursor::new(bytes.to_vec())), from) {
        let to = forms[rng.usize(..forms.len())];
        let _ = convert(
            input,
            to,
            rng.bool(),
            &mut TableOptions { bom: false, include: None },
            &mut Vec::new(),
            &mut |_, _| (),
        );
    }
    fs::write(Manifest::path_of(&path), bytes).unwrap();
    let _ = Manifest::read(&Manifest::path_of(&path));
}

fn read_body(bytes: &[u8], _: &Path, rng: &mut Rng) {
    if let Ok(answer) = Answer::from_body(bytes) {
        let _ = (answer.finish(), answer.withheld(), answer.without_text());
    }
    let mut headers = HeaderMap::new();
    let names =
        ["retry-after", "retry-after-ms", "x-ratelimit-reset-requests", "x-ratelimit-reset", "cf-mitigated", "server"];
    let drawn: Vec<_> = names.into_iter().filter(|_| rng.bool()).collect();
    for name in drawn {
        let start = rng.usize(..=bytes.len());
        let value = HeaderValue::from_bytes(&bytes[start..bytes.len().min(start + 20)]);
        if let Ok(value) = value {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    let status = [200, 400, 401, 403, 404, 407, 413, 422, 429, 500, 503, 529, 999][rng.usize(..13)];
    let failure =
        classify_response(status, &headers, bytes, SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
    assert!(failure.message.chars().count() <= 1000);
}

fn read_text(bytes: &[u8], folder: &Path, _: &mut Rng) {
    let text = String::from_utf8_lossy(bytes);
    let _ = Judge::compile("x", &text, "x.toml");
    for line in text.lines().take(20) {
        let _ = line.parse::<Gate>();
        let _ = Expression::compile(line);
        let _ = line.parse::<judge_run::dataset::Mapping>();
        let _ = line.parse::<judge_run::endpoint::ModelUri>();
        let _ = line.parse::<judge_run::run::SampleSize>();
    }
    let path = folder.join("prices.json");
    fs::write(&path, bytes).unwrap();
    let _ = PriceList::read(&path);
}

fn targets() -> Vec<Target> {
    let prose = [
        texts(include_str!("../fixtures/adversarial-answers.jsonl"), "text"),
        texts(include_str!("../fixtures/llmbar-sample.jsonl"), "completion"),
        texts(include_str!("../fixtures/scored-prose.jsonl"), "text"),
    ];
    let folders = ["traces/files", "otel", "mlflow", "langfuse", "langsmith", "openai"];
    let mut written: Vec<Vec<u8>> =
        library::names().iter().map(|(name, _)| library::source(name).unwrap().into_bytes()).collect();
    written.push(
        b"safety.pass >= 0.99\nerrors <= 1%\nno worse than baseline by 0.02\ntone.mean where trace.tags.env == 'prod' > 3\n\
          trace.tags.env == 'prod' and outputs | length > 3\ninputs.q=a.b.0\nopenai:/gpt-4.1-mini\n5%\n\
          {\"gpt\": {\"input_cost_per_token\": 1e-6, \"output_cost_per_token\": 2e-6, \"litellm_provider\": \"openai\"}}"
            .to_vec(),
    );
    vec![
        Target { name: "verdict", seeds: prose.concat(), read: read_verdict },
        Target {
            name: "dataset",
            seeds: folders.iter().flat_map(|folder| fixtures(folder)).collect(),
            read: read_dataset,
        },
        Target { name: "log", seeds: records(), read: read_log },
        Target { name: "body", seeds: bodies(), read: read_body },
        Target { name: "text", seeds: written, read: read_text },
    ]
}

/// A seed, spoilt in a few places.
fn mutated(seeds: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut bytes = part(&seeds[rng.usize(..seeds.len())], MAX_BYTES, rng).to_vec();
    for _ in 0..rng.usize(1..8) {
        let at = rng.usize(..=bytes.len());
        let end = bytes.len().min(at + rng.usize(..50));
        match rng.u8(..9) {
            0 if at < bytes.len() => bytes[at] ^= 1 << rng.u8(..8),
            1 if at < bytes.len() => bytes[at] = rng.u8(..),
            2 => _ = bytes.drain(at..end),
            3 => bytes.truncate(at),
            4 => {
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again.repeat(rng.usize(1..5)));
            }
            5 => {
                let other = part(&seeds[rng.usize(..seeds.len())], 400, rng).to_vec();
                bytes.splice(at..end, other);
            }
            6 => {
                let token = ["[", "{\"a\":", "(", "\"", "<", "9", "{{", "**"][rng.usize(..8)];
                bytes.splice(at..at, token.repeat(rng.usize(1..300)).into_bytes());
            }
            _ => {
                let token = TOKENS[rng.usize(..TOKENS.len())];
                bytes.splice(at..if rng.bool() { end } else { at }, token.bytes());
            }
        }
    }
    bytes
}

/// At most this many bytes of a seed, from any position in a long one.
fn part<'a>(seed: &'a [u8], max: usize, rng: &mut Rng) -> &'a [u8] {
    let start = if seed.len() > max { rng.usize(..=seed.len() - max) } else { 0 };
    // A file is read from its first line most of the time.
    let start = if rng.bool() { 0 } else { start };
    &seed[start..seed.len().min(start + max)]
}

#[test]
fn no_mutated_input_makes_a_reader_panic() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let folder = tempfile::tempdir().unwrap();
    let first = number("FUZZ_SEED").unwrap_or(1) << 32;
    let targets = targets();
    let each =
        number("FUZZ_SECONDS").map(|seconds| Duration::from_secs(seconds) / u32::try_from(targets.len()).unwrap());
    let mut panicked = Vec::new();
    for target in &targets {
        let (started, mut inputs, mut slowest) = (Instant::now(), 0, (Duration::ZERO, 0));
        while each.map_or(inputs < ROUNDS, |each| started.elapsed() < each) {
            let seed = first + inputs;
            let mut rng = Rng::with_seed(seed);
            let bytes = mutated(&target.seeds, &mut rng);
            let begun = Instant::now();
            if catch_unwind(AssertUnwindSafe(|| (target.read)(&bytes, folder.path(), &mut rng))).is_err() {
                panicked.push((target.name, seed, String::from_utf8_lossy(&bytes).into_owned()));
            }
            slowest = slowest.max((begun.elapsed(), seed));
            inputs += 1;
        }
        #[expect(clippy::print_stdout, reason = "the figures of a long run")]
        {
            println!("{}: {inputs} inputs; the slowest took {:?} (seed {})", target.name, slowest.0, slowest.1);
        }
    }
    assert!(panicked.is_empty(), "{} inputs: {:#?}", panicked.len(), &panicked[..panicked.len().min(3)]);
}
