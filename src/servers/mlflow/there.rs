//! What the server has of some traces: their experiment and their assessments.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde_json::{Value, json};

use super::Server;
use crate::feedback::wire::Assessment;
use crate::servers::ServerError;

/// The assessments of some traces, by trace and by id.
#[derive(Debug, Default)]
pub(super) struct There {
    assessments: HashMap<String, BTreeMap<String, Assessment>>,
    experiments: HashMap<String, String>,
}

#[derive(Deserialize)]
struct Infos {
    #[serde(default)]
    trace_infos: Vec<Info>,
}

#[derive(Deserialize)]
struct Info {
    trace_id: String,
    trace_location: Option<Value>,
    #[serde(default)]
    assessments: Vec<Value>,
}

impl There {
    /// Requests all of them at once; from a server that cannot do that (such as 3.5), one after another.
    pub(super) async fn of(server: &Server, trace_ids: &[&str]) -> Result<Self, ServerError> {
        let path = ["api/3.0/mlflow/traces/batchGetInfos"];
        let infos = match server.http.post::<Infos>(&path, &json!({ "trace_ids": trace_ids })).await {
            Ok(infos) => infos.trace_infos,
            Err(error) if matches!(error.status(), Some(404 | 405)) => one_by_one(server, trace_ids, error).await?,
            Err(error) => return Err(error),
        };
        let mut there = Self::default();
        for Info { trace_id, trace_location, assessments } in infos {
            // Newer kinds of assessment are not feedback.
            let read = assessments.into_iter().filter_map(|value| Assessment::deserialize(value).ok());
            let by_id = read.filter_map(|assessment| Some((id(&assessment)?.to_owned(), assessment))).collect();
            let experiment = trace_location
                .as_ref()
                .and_then(|location| location["mlflow_experiment"]["experiment_id"].as_str().map(ToOwned::to_owned));
            there.experiments.extend(experiment.map(|experiment| (trace_id.clone(), experiment)));
            there.assessments.insert(trace_id, by_id);
        }
        Ok(there)
    }

    /// The assessments of a trace; `None` if the server has no such trace.
    pub(super) fn take(&mut self, trace_id: &str) -> Option<BTreeMap<String, Assessment>> {
        self.assessments.remove(trace_id)
    }

    /// The experiment of a trace.
    pub(super) fn experiment(&self, trace_id: &str) -> Option<&str> {
        self.experiments.get(trace_id).map(String::as_str)
    }
}

async fn one_by_one(server: &Server, trace_ids: &[&str], error: ServerError) -> Result<Vec<Info>, ServerError> {
    #[derive(Deserialize)]
    struct Reply {
        trace: Trace,
    }
    #[derive(Deserialize)]
    struct Trace {
        trace_info: Info,
    }
    let error = server.without_route(error).await;
    if matches!(error, ServerError::TooOld { .. }) {
        return Err(error);
    }
    let mut infos = Vec::new();
    for trace_id in trace_ids {
        match server.http.get::<Reply>(&["api/3.0/mlflow/traces", trace_id], &[]).await {
            Ok(reply) => infos.push(reply.trace.trace_info),
            Err(error) if error.status() == Some(404) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(infos)
}

fn id(assessment: &Assessment) -> Option<&str> {
    match assessment {
        Assessment::Feedback(feedback) => feedback.assessment_id.as_deref(),
        Assessment::Expectation(expectation) => expectation.assessment_id.as_deref(),
    }
}
