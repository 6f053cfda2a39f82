//! A small MLflow server: what judge-run uses of MLflow 3.17's REST API, with its traps. It keeps what it is sent.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};

use crate::common::{Action, Fake, Request, answers};

/// The time of the first trace, in milliseconds.
pub(super) const START_MS: i64 = 1_767_225_600_000;

#[derive(Default)]
pub(super) struct State {
    /// In any order.
    pub(super) traces: Vec<Trace>,
    /// By id: the trace and the assessment.
    pub(super) assessments: BTreeMap<String, (String, Value)>,
    pub(super) runs: Vec<Value>,
    pub(super) links: Vec<String>,
    pub(super) deletions: u32,
}

#[derive(Clone)]
pub(super) struct Trace {
    pub(super) id: String,
    pub(super) time_ms: i64,
    pub(super) state: &'static str,
    pub(super) in_artifacts: bool,
    /// The server has some of its spans.
    pub(super) is_partial: bool,
}

impl Trace {
    fn info(&self, assessments: &BTreeMap<String, (String, Value)>) -> Value {
        let time = format!(
            "2026-01-01T00:{:02}:{:02}.{:03}Z",
            (self.time_ms - START_MS) / 60_000,
            (self.time_ms - START_MS) / 1000 % 60,
            (self.time_ms - START_MS) % 1000
        );
        let location = if self.in_artifacts { "ARTIFACT_REPO" } else { "TRACKING_STORE" };
        let own: Vec<_> = assessments.values().filter(|(trace, _)| *trace == self.id).map(|(_, value)| value).collect();
        json!({
            "trace_id": self.id,
            "trace_location": {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "7"}},
            "request_time": time, "execution_duration": "0.1s", "state": self.state,
            "trace_metadata": {}, "tags": {"mlflow.trace.spansLocation": location}, "assessments": own,
        })
    }

    fn spans(&self) -> Value {
        let number = self.id.trim_start_matches("tr-");
        json!([{
            "trace_id": "4hxrVPUSOLr32/7ZCttnVA==", "span_id": "5AhwCilh1iQ=", "parent_span_id": null, "name": "bot",
            "start_time_unix_nano": 1, "end_time_unix_nano": 2, "status": {"code": "STATUS_CODE_OK"},
            "attributes": {
                "mlflow.spanInputs": json!({"question": format!("Question number {number}?")}).to_string(),
                "mlflow.spanOutputs": json!(format!("Answer number {number}.")).to_string(),
            },
        }])
    }
}

/// The server, and what it has.
pub(super) struct Mlflow {
    pub(super) fake: Fake,
    state: Arc<Mutex<State>>,
}

impl Mlflow {
    /// With `n` traces, a second apart: `tr-0`, `tr-1`, ...
    pub(super) fn with_traces(n: usize) -> Self {
        Self::with(n, |_| None)
    }

    /// The same; `fault` may answer a request in the server's place.
    pub(super) fn with(n: usize, fault: impl Fn(&Request) -> Option<Action> + Send + Sync + 'static) -> Self {
        let trace = |i: usize| Trace {
            id: format!("tr-{i}"),
            time_ms: START_MS + i64::try_from(i).unwrap() * 1000,
            state: "OK",
            in_artifacts: false,
            is_partial: false,
        };
        let state = State { traces: (0..n).map(trace).collect(), ..State::default() };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        let fake =
            Fake::start(move |request| fault(request).unwrap_or_else(|| answer(&mut shared.lock().unwrap(), request)));
        Self { fake, state }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// All requests of a route, by the end of their path.
    pub(super) fn count(&self, method: &str, end: &str) -> usize {
        let is = |request: &Request| request.line.starts_with(method) && path(request).ends_with(end);
        self.fake.seen().iter().filter(|request| is(request)).count()
    }
}

/// The server's answer to a request meant for another.
pub(super) fn answer_of(server: &Mlflow, request: &Request) -> Action {
    answer(&mut server.state(), request)
}

/// The path of a request, without the query.
pub(super) fn path(request: &Request) -> &str {
    request.line.split(' ').nth(1).unwrap().split('?').next().unwrap()
}

fn queried<'a>(request: &'a Request, name: &str) -> Vec<&'a str> {
    let url = request.line.split(' ').nth(1).unwrap();
    let query = url.split_once('?').map_or("", |(_, query)| query);
    query.split('&').filter_map(|pair| pair.split_once('=')).filter(|(key, _)| *key == name).map(|(_, v)| v).collect()
}

fn refused(status: u16, code: &str, message: &str) -> Action {
    answers::response(status, &[], &json!({"error_code": code, "message": message}))
}

fn answer(state: &mut State, request: &Request) -> Action {
    let ok = |body: Value| answers::response(200, &[], &body);
    let method = request.line.split(' ').next().unwrap();
    let path = path(request).trim_start_matches("/v1/").to_owned();
    let not_found = || refused(404, "RESOURCE_DOES_NOT_EXIST", "not found");
    let parts: Vec<_> = path.split('/').collect();
    match (method, parts.as_slice()) {
        ("GET", ["version"]) => answers::raw(200, &[], "3.17.2"),
        ("GET", [.., "experiments", "get-by-name"]) if queried(request, "experiment_name") == ["bot"] => {
            ok(json!({"experiment": {"experiment_id": "7", "name": "bot"}}))
        }
        ("POST", [.., "traces", "search"]) => search(state, &request.json()),
        ("GET", [.., "traces", "batchGet"]) => {
            let ids = queried(request, "trace_ids");
            let found: Vec<_> = state.traces.iter().filter(|trace| ids.contains(&trace.id.as_str())).collect();
            if found.iter().any(|trace| trace.in_artifacts) {
                return refused(500, "INTERNAL_ERROR", "Trace data not stored in tracking store");
            }
            let whole = |trace: &&Trace| json!({"trace_info": trace.info(&state.assessments), "spans": trace.spans()});
            ok(json!({"traces": found.iter().filter(|trace| !trace.is_partial).map(whole).collect::<Vec<_>>()}))
        }
        ("GET", [.., "get-trace-artifact"]) => {
            let ids = queried(request, "request_id");
            match state.traces.iter().find(|trace| ids.contains(&trace.id.as_str())) {
                Some(trace) => ok(json!({"spans": trace.spans()})),
                None => not_found(),
            }
        }
        ("POST", [.., "traces", "batchGetInfos"]) => {
            let ids: Vec<String> = serde_json::from_value(request.json()["trace_ids"].clone()).unwrap();
            let found = state.traces.iter().filter(|trace| ids.contains(&trace.id));
            ok(json!({"trace_infos": found.map(|trace| trace.info(&state.assessments)).collect::<Vec<_>>()}))
        }
        ("POST", [.., "traces", trace, "assessments"]) => create(state, trace, request.json()["assessment"].clone()),
        ("GET", [.., "assessments", id]) => match state.assessments.get(*id) {
            Some((_, assessment)) => ok(json!({"assessment": assessment})),
            None => not_found(),
        },
        ("DELETE", [.., "assessments", id]) => {
            state.deletions += 1;
            if let Some((_, deleted)) = state.assessments.remove(*id)
                && let Some((_, overridden)) = state.assessments.get_mut(deleted["overrides"].as_str().unwrap_or(""))
            {
                overridden["valid"] = true.into();
            }
            ok(json!({}))
        }
        ("POST", [.., "runs", "search"]) => ok(json!({"runs": state.runs.iter().map(found_run).collect::<Vec<_>>()})),
        ("POST", [.., "runs", "create"]) => {
            let run = json!({"info": {"run_id": format!("r{}", state.runs.len())}, "sent": request.json()});
            state.runs.push(run.clone());
            ok(json!({"run": run}))
        }
        ("POST", [.., "runs", "log-batch"]) => {
            let (body, run) = (request.json(), state.runs.last_mut().unwrap());
            for param in body["params"].as_array().into_iter().flatten() {
                let there = &run["params"][param["key"].as_str().unwrap()];
                if !there.is_null() && *there != param["value"] {
                    return refused(400, "INVALID_PARAMETER_VALUE", "Changing param values is not allowed.");
                }
            }
            for kind in ["params", "metrics"] {
                for item in body[kind].as_array().into_iter().flatten() {
                    run[kind][item["key"].as_str().unwrap()] = item["value"].clone();
                }
            }
            ok(json!({}))
        }
        ("POST", [.., "runs", "update"]) => {
            state.runs.last_mut().unwrap()["status"] = request.json()["status"].clone();
            ok(json!({}))
        }
        ("POST", [.., "traces", "link-to-run"]) => {
            let ids: Vec<String> = serde_json::from_value(request.json()["trace_ids"].clone()).unwrap();
            state.links.extend(ids);
            ok(json!({}))
        }
        _ => not_found(),
    }
}

/// With the parameters as a list, as MLflow has them.
fn found_run(run: &Value) -> Value {
    let params = run["params"].as_object().into_iter().flatten();
    let params: Vec<_> = params.map(|(key, value)| json!({"key": key, "value": value})).collect();
    json!({"info": run["info"], "data": {"params": params}})
}

/// Pages by offset, as MLflow does.
fn search(state: &State, body: &Value) -> Action {
    let filter = body["filter"].as_str().unwrap();
    let from = filter.split("timestamp_ms >= ").nth(1).map_or(i64::MIN, |number| number.parse().unwrap());
    let mut found: Vec<_> = state.traces.iter().filter(|trace| trace.time_ms >= from).collect();
    found.sort_by_key(|trace| trace.time_ms);
    assert_eq!(body["order_by"], json!(["timestamp_ms ASC"]));
    let offset: usize = body["page_token"].as_str().map_or(0, |token| token.parse().unwrap());
    let max = usize::try_from(body["max_results"].as_u64().unwrap()).unwrap();
    let infos: Vec<_> = found.iter().skip(offset).take(max).map(|trace| trace.info(&state.assessments)).collect();
    let mut page = json!({"traces": infos});
    if offset + max < found.len() {
        page["next_page_token"] = (offset + max).to_string().into();
    }
    answers::response(200, &[], &page)
}

fn create(state: &mut State, trace: &str, mut assessment: Value) -> Action {
    if !state.traces.iter().any(|known| known.id == trace) {
        return refused(404, "RESOURCE_DOES_NOT_EXIST", &format!("Trace with ID '{trace}' not found."));
    }
    let id = assessment["assessment_id"].as_str().unwrap().to_owned();
    if state.assessments.contains_key(&id) {
        return refused(500, "INTERNAL_ERROR", "due to a constraint violation.");
    }
    if let Some(overridden) = assessment["overrides"].as_str() {
        match state.assessments.get_mut(overridden) {
            Some((_, overridden)) => overridden["valid"] = false.into(),
            None => return refused(404, "RESOURCE_DOES_NOT_EXIST", "Assessment not found."),
        }
    }
    assessment["valid"] = true.into();
    // Numbers are doubles there.
    if let Some(number) = assessment["feedback"]["value"].as_f64() {
        assessment["feedback"]["value"] = number.into();
    }
    state.assessments.insert(id, (trace.to_owned(), assessment.clone()));
    answers::response(200, &[], &json!({"assessment": assessment}))
}
