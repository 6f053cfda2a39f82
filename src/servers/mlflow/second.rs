//! Infos of traces from MLflow 2.14 to 3.1, whose API has version 2: converted to the form of version 3, so that all files of pulled traces have the same form.
//!
//! Source: `SearchTraces` and `TraceInfo` in MLflow's `service.proto`, `TraceInfoV2.to_v3`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

use super::Server;
use super::page::Page;
use crate::servers::ServerError;

#[derive(Deserialize)]
struct OldPage {
    #[serde(default)]
    traces: Vec<OldInfo>,
    next_page_token: Option<String>,
}

#[derive(Deserialize)]
struct OldInfo {
    request_id: String,
    experiment_id: String,
    timestamp_ms: i64,
    execution_time_ms: Option<u64>,
    status: Option<String>,
    #[serde(default)]
    request_metadata: Vec<Pair>,
    #[serde(default)]
    tags: Vec<Pair>,
}

#[derive(Deserialize)]
struct Pair {
    key: String,
    #[serde(default)]
    value: String,
}

/// A page of the search in version 2 of the API.
pub(super) async fn page(
    server: &Server,
    experiment_id: &str,
    filter: &str,
    max_results: usize,
    page_token: Option<&str>,
) -> Result<Page, ServerError> {
    let max_results = max_results.to_string();
    let mut query = vec![
        ("experiment_ids", experiment_id),
        ("max_results", max_results.as_str()),
        ("order_by", "timestamp_ms ASC"),
    ];
    query.extend(Some(("filter", filter)).filter(|_| !filter.is_empty()));
    query.extend(page_token.map(|token| ("page_token", token)));
    let OldPage { traces, next_page_token } = server.http.get(&["api/2.0/mlflow/traces"], &query).await?;
    let traces = traces.into_iter().map(OldInfo::into_third).collect::<Result<_, _>>();
    let traces = traces.map_err(|error| ServerError::Unexpected {
        request: "the search for traces".to_owned(),
        reason: error.to_string(),
    })?;
    Ok(Page { traces, next_page_token })
}

impl OldInfo {
    fn into_third(self) -> Result<Box<RawValue>, serde_json::Error> {
        let map = |pairs: Vec<Pair>| pairs.into_iter().map(|pair| (pair.key, pair.value)).collect::<BTreeMap<_, _>>();
        let time = Timestamp::from_millisecond(self.timestamp_ms).unwrap_or_default();
        let milliseconds = self.execution_time_ms;
        to_raw_value(&json!({
            "trace_id": self.request_id,
            "trace_location": {
                "type": "MLFLOW_EXPERIMENT", "mlflow_experiment": { "experiment_id": self.experiment_id },
            },
            "request_time": time.to_string(),
            "execution_duration": milliseconds.map(|ms| format!("{}.{:03}s", ms / 1000, ms % 1000)),
            "state": self.status,
            "trace_metadata": map(self.request_metadata),
            "tags": map(self.tags),
        }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn an_info_of_the_second_version_says_the_same_in_the_third() {
        let old = json!({
            "request_id": "tr-1", "experiment_id": "7", "timestamp_ms": 1_767_225_602_040_i64, "execution_time_ms": 1064,
            "status": "OK", "request_metadata": [{"key": "mlflow.trace.session", "value": "s"}],
            "tags": [{"key": "mlflow.traceName", "value": "bot"}],
        });
        let new = OldInfo::deserialize(old).unwrap().into_third().unwrap();
        let new: Value = serde_json::from_str(new.get()).unwrap();
        assert_eq!(
            (&new["request_time"], &new["execution_duration"]),
            (&json!("2026-01-01T00:00:02.04Z"), &json!("1.064s"))
        );
        assert_eq!((&new["state"], &new["trace_metadata"]["mlflow.trace.session"]), (&json!("OK"), &json!("s")));
    }
}
