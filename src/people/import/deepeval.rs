//! DeepEval's test runs: a file of its results folder (`testCases`), the result of `evaluate()` (`test_results`), or one test case.
//!
//! ```json
//! {"testCases": [{"name": "test_case_0", "input": "...", "actualOutput": "...", "metadata": {"trace_id": "t1"},
//!   "metricsData": [{"name": "Correctness", "score": 0.8, "threshold": 0.5, "success": true, "reason": "...", "evaluationModel": "gpt-4.1"}]}]}
//! ```
//! Source: DeepEval's `LLMApiTestCase`, `MetricData` and `TestResult`. The trace is `trace_id` in the metadata of the test case, failing that its
//! name.

use serde_json::{Map, Value};

use super::fields::{Options, member};
use crate::feedback::{Feedback, Source};
use crate::people::edit::metadata;

const CASES: [&str; 4] = ["testCases", "test_cases", "test_results", "testResults"];
const METRICS: [&str; 2] = ["metricsData", "metrics_data"];

pub(super) fn fits(object: &Map<String, Value>) -> bool {
    CASES.iter().chain(&METRICS).any(|key| object.get(*key).is_some_and(Value::is_array))
}

pub(super) fn read(object: &Map<String, Value>, options: &Options) -> Result<Vec<Feedback>, String> {
    let Some(cases) = CASES.iter().find_map(|key| object.get(*key)).and_then(Value::as_array) else {
        return read_case(object, options);
    };
    let mut records = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        let case = case.as_object().ok_or_else(|| format!("`testCases[{number}]` is not an object"))?;
        records.extend(read_case(case, options).map_err(|reason| format!("`testCases[{number}]`: {reason}"))?);
    }
    Ok(records)
}

fn read_case(case: &Map<String, Value>, options: &Options) -> Result<Vec<Feedback>, String> {
    let within = |key: &str| case.get(key).and_then(Value::as_object);
    let named = ["metadata", "additionalMetadata", "additional_metadata"]
        .iter()
        .find_map(|key| member(within(key)?, "trace_id"));
    let trace_id = named.or_else(|| member(within("trace")?, "uuid")).or_else(|| member(case, "name"));
    let trace_id = trace_id.ok_or("no `metadata.trace_id` and no `name`, which would name the trace")?;
    let metrics = METRICS.iter().find_map(|key| case.get(*key)).and_then(Value::as_array);
    let mut records = Vec::new();
    for metric in metrics.into_iter().flatten().filter_map(Value::as_object) {
        // Without a score the metric failed, and says nothing about the trace.
        let Some(score) = metric.get("score").filter(|score| score.is_number()) else { continue };
        let model = member(metric, "evaluationModel").or_else(|| member(metric, "evaluation_model"));
        records.push(Feedback {
            name: member(metric, "name").or_else(|| options.name.clone()).ok_or("no `metricsData[].name`")?,
            value: Some(score.clone()),
            rationale: member(metric, "reason"),
            source: model.map_or_else(|| Source::code("deepeval"), Source::llm_judge),
            metadata: metadata([
                ("threshold", metric.get("threshold").filter(|threshold| threshold.is_number()).map(Value::to_string)),
                ("success", metric.get("success").filter(|success| success.is_boolean()).map(Value::to_string)),
            ]),
            create_time_ms: options.now_ms,
            last_update_time_ms: options.now_ms,
            trace_id: Some(trace_id.clone()),
            ..Feedback::default()
        });
    }
    Ok(records)
}
