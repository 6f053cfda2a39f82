//! `--progress json`: the figures of a run as JSON lines on standard error, for programs that watch it. The members are documented in
//! docs/configuration.md.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::manifest::now_ms;
use super::running::{LEVEL, Passes, Running};
use super::waiting;

/// A state of the run.
#[derive(Serialize)]
pub(crate) struct Line<'a> {
    time_ms: i64,
    state: &'static str,
    elapsed_s: f64,
    judgments: Judgments,
    failed: &'a BTreeMap<String, u64>,
    in_flight: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    slowest: Option<Slowest<'a>>,
    per_second: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    left_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting: Option<&'a str>,
    tokens: Spent<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<Spent<f64>>,
    lanes: Vec<Lane<'a>>,
    pass: Vec<Pass<'a>>,
}

#[derive(Serialize)]
struct Judgments {
    done: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<u64>,
    is_exact: bool,
}

#[derive(Serialize)]
struct Slowest<'a> {
    trace_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    span_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    document_index: Option<u32>,
    seconds: f64,
}

#[derive(Serialize)]
struct Spent<T> {
    spent: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<T>,
}

#[derive(Serialize)]
struct Lane<'a> {
    source_id: &'a str,
    in_flight: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    silent_s: Option<f64>,
    requests_last_minute: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    rpm: Option<u32>,
    tokens_last_minute: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    tpm: Option<u32>,
}

#[derive(Serialize)]
struct Pass<'a> {
    name: &'a str,
    source_id: &'a str,
    estimate: f64,
    low: f64,
    high: f64,
    level: f64,
    n: u64,
}

/// The state now, as one line.
pub(crate) fn line(running: &Running, has_ended: bool, now: Instant) -> String {
    let expected = running.expected();
    let slowest = running.slowest(now).map(|(subject, time)| Slowest {
        trace_id: &subject.trace_id,
        span_id: subject.span_id.as_deref(),
        document_index: subject.document.map(|place| place.index),
        seconds: rounded(time),
    });
    let line = Line {
        time_ms: now_ms(),
        state: if has_ended { "ended" } else { "running" },
        elapsed_s: rounded(running.elapsed(now)),
        judgments: Judgments {
            done: running.done,
            expected: expected.map(|expected| expected.judgments),
            is_exact: expected.is_some_and(|expected| expected.is_exact),
        },
        failed: &running.failed,
        in_flight: running.in_flight(),
        slowest,
        per_second: (running.rate(now) * 1000.0).round() / 1000.0,
        left_s: running.left(now).map(rounded),
        waiting: running.paused.as_deref(),
        tokens: Spent { spent: running.tokens, max: running.budget.tokens },
        cost: running.cost.map(|spent| Spent { spent, max: running.budget.cost }),
        lanes: running.lanes.iter().map(|lane| of_lane(lane, now)).collect(),
        pass: running.passes.iter().filter_map(of_passes).collect(),
    };
    // Numbers and texts are always JSON.
    serde_json::to_string(&line).unwrap_or_default()
}

fn of_lane(lane: &waiting::Lane, now: Instant) -> Lane<'_> {
    Lane {
        source_id: &lane.name,
        in_flight: lane.in_flight,
        silent_s: lane.silence(now).map(rounded),
        requests_last_minute: lane.requests(now),
        rpm: lane.max_requests.map(Into::into),
        tokens_last_minute: lane.tokens(now),
        tpm: lane.max_tokens.map(Into::into),
    }
}

fn of_passes(passes: &Passes) -> Option<Pass<'_>> {
    let (estimate, low, high) = passes.rate()?;
    let (name, source_id) = (&passes.info.judge, &passes.info.source_id);
    Some(Pass { name, source_id, estimate, low, high, level: LEVEL, n: passes.n })
}

/// In seconds, to the millisecond.
fn rounded(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::running::tests::{record, returned, running, sent, subject, verdict};
    use super::*;

    #[test]
    fn a_line_has_all_figures_and_leaves_out_what_does_not_apply() {
        let mut running = running();
        let start = Instant::now();
        let of = |running: &Running, now| serde_json::from_str::<Value>(&line(running, false, now)).unwrap();
        let empty = of(&running, start);
        assert_eq!(empty["judgments"], json!({"done": 0, "is_exact": false}));
        for absent in ["slowest", "left_s", "waiting", "cost"] {
            assert!(empty.get(absent).is_none(), "{absent}");
        }
        running.budget.cost = Some(2.0);
        running.budget.tokens = Some(1000);
        let (a, b) = (subject("a"), subject("b"));
        running.add(&sent(&a), start);
        running.add(&sent(&b), start);
        running.add(&returned(&b, Some(0.5)), start + Duration::from_secs(1));
        record(&mut running, &verdict(true));
        let now = start + Duration::from_secs(46);
        let full = of(&running, now);
        assert_eq!(full["slowest"], json!({"trace_id": "a", "seconds": 46.0}));
        assert_eq!(
            (&full["tokens"], &full["cost"]),
            (&json!({"spent": 120, "max": 1000}), &json!({"spent": 0.5, "max": 2.0}))
        );
        let lane = json!({"source_id": "e:/m", "in_flight": 1, "silent_s": 45.0, "requests_last_minute": 2, "tokens_last_minute": 120});
        assert_eq!(full["lanes"], json!([lane]));
        assert_eq!((&full["pass"][0]["name"], &full["pass"][0]["n"]), (&json!("safety"), &json!(1)));
        assert!(line(&running, true, now).contains("\"state\":\"ended\""));
    }
}
