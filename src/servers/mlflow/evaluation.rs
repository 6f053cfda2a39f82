//! The evaluation run on the server to which pushed feedback belongs, as MLflow's evaluation pages show it.
//!
//! MLflow recognises such a run by the tag `mlflow.runType`, its traces by links, its feedback by a member of the metadata
//! (`mlflow.assessment.sourceRunId`). Each of our runs has one there, found again by its tag, so that a killed push continues in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::Server;
use super::there::There;
use crate::feedback::SourceType;
use crate::feedback::wire::Assessment;
use crate::results::report::{JudgeReport, Report};
use crate::servers::ServerError;

/// This member of the metadata tells MLflow to which run an assessment belongs. It is the server's, not the record's.
pub(super) const RUN_METADATA: &str = "mlflow.assessment.sourceRunId";
/// The server's limit.
const LINKS: usize = 100;
/// The server's limit on metrics in one call is 1000, on parameters 100.
const METRICS: usize = 500;
const PARAMS: usize = 100;
/// By this tag a run is found again.
const TAG: &str = "judge_run.run_id";

/// What an evaluation run says about itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Described {
    /// Of our run.
    pub run_id: String,
    /// Judges, digests and models; names and values.
    pub params: Vec<(String, String)>,
    /// Names and figures.
    pub metrics: Vec<(String, f64)>,
}

impl Described {
    /// With the figures of a report as metrics: `JUDGE/mean`, MLflow's name; for the pass rate and its interval, coverage, failures and cost
    /// there are no names in MLflow.
    pub fn new(run_id: &str, params: Vec<(String, String)>, report: &Report) -> Self {
        let judges: Vec<_> = report.judges.iter().filter(|judge| judge.source_type != SourceType::Human).collect();
        let mut metrics = Vec::new();
        for judge in &judges {
            let is_alone = judges.iter().filter(|other| other.name == judge.name).count() == 1;
            let name = if is_alone { judge.name.clone() } else { format!("{} {}", judge.name, judge.source_id) };
            metrics.extend(metrics_of(judge).into_iter().map(|(what, value)| (key(&format!("{name}/{what}")), value)));
        }
        Self { run_id: run_id.to_owned(), params, metrics }
    }
}

fn metrics_of(judge: &JudgeReport) -> Vec<(&'static str, f64)> {
    let figures = &judge.figures;
    #[expect(clippy::cast_precision_loss, reason = "metrics are doubles")]
    let count = |n: u64| n as f64;
    // MLflow's mean of yes and no, or of true and false, is the share of the former.
    let share = |label: &str| figures.categories.iter().find(|category| category.label == label).map(|c| c.share);
    let is_binary = !figures.categories.is_empty()
        && (figures.categories.iter().all(|c| ["true", "false"].contains(&c.label.as_str()))
            || figures.categories.iter().all(|c| ["yes", "no"].contains(&c.label.as_str())));
    let mean = figures.mean.as_ref().map(|mean| mean.estimate);
    let mean = mean.or_else(|| is_binary.then(|| share("true").or_else(|| share("yes")).unwrap_or(0.0)));
    let asked = figures.n_scored + figures.n_failed;
    let mut metrics: Vec<_> = mean.map(|mean| ("mean", mean)).into_iter().collect();
    if let Some(pass) = &figures.pass {
        metrics.extend([("pass_rate", pass.estimate), ("pass_rate/lower", pass.low), ("pass_rate/upper", pass.high)]);
    }
    if let Some(mean) = &figures.mean {
        metrics.extend([("mean/lower", mean.low), ("mean/upper", mean.high)]);
    }
    metrics.extend([("scored", count(figures.n_scored)), ("failed", count(figures.n_failed))]);
    if asked > 0 {
        metrics.push(("coverage", count(figures.n_scored) / count(asked)));
    }
    metrics.extend(judge.usage.cost_usd.map(|cost| ("cost_usd", cost)));
    metrics
}

/// A metric's or parameter's name: MLflow accepts letters, digits and some signs.
fn key(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || "_-. :/".contains(c) { c } else { '_' }).collect()
}

/// The run on the server, if it exists.
pub(super) struct Evaluation {
    server: Arc<Server>,
    described: Described,
    was_looked_for: bool,
    /// Its id and its experiment's.
    run: Option<(String, String)>,
    traces: Vec<String>,
}

#[derive(Deserialize)]
struct RunReply {
    run: Run,
}

#[derive(Deserialize)]
struct Run {
    info: RunInfo,
    #[serde(default)]
    data: RunData,
}

#[derive(Default, Deserialize)]
struct RunData {
    #[serde(default)]
    params: Vec<Param>,
}

#[derive(Deserialize)]
struct Param {
    key: String,
}

#[derive(Deserialize)]
struct RunInfo {
    run_id: String,
}

impl Evaluation {
    pub(super) fn new(server: Arc<Server>, described: &Described) -> Self {
        Self { server, described: described.clone(), was_looked_for: false, run: None, traces: Vec::new() }
    }

    /// The run's id, if it exists or something is to be sent; then the trace is recorded as its own.
    pub(super) async fn run_of(
        &mut self,
        trace_id: &str,
        assessments: &BTreeMap<String, Assessment>,
        is_sending: bool,
        there: &There,
    ) -> Result<Option<String>, ServerError> {
        if self.run.is_none()
            && let Some(experiment) = there.experiment(trace_id)
        {
            if !self.was_looked_for {
                self.was_looked_for = true;
                if let Some(run) = self.find(experiment).await? {
                    self.run = Some((self.with_params(run).await?, experiment.to_owned()));
                }
            }
            if self.run.is_none() && is_sending {
                let run = self.create(experiment).await?;
                self.run = Some((self.with_params(run).await?, experiment.to_owned()));
            }
        }
        let Some((run_id, _)) = &self.run else { return Ok(None) };
        let is_ours = |assessment: &Assessment| match assessment {
            Assessment::Feedback(feedback) => feedback.metadata.get(RUN_METADATA) == Some(run_id),
            Assessment::Expectation(_) => false,
        };
        if is_sending || assessments.values().any(is_ours) {
            self.traces.push(trace_id.to_owned());
        }
        Ok(Some(run_id.clone()))
    }

    async fn find(&self, experiment: &str) -> Result<Option<Run>, ServerError> {
        #[derive(Deserialize)]
        struct Found {
            #[serde(default)]
            runs: Vec<Run>,
        }
        let run_id = self.described.run_id.replace('\'', "");
        let filter = format!("tags.`{TAG}` = '{run_id}'");
        let search = json!({ "experiment_ids": [experiment], "filter": filter, "max_results": 1 });
        let found: Found = self.server.http.post(&["api/2.0/mlflow/runs/search"], &search).await?;
        Ok(found.runs.into_iter().next())
    }

    async fn create(&self, experiment: &str) -> Result<Run, ServerError> {
        let tag = |key: &str, value: &str| json!({ "key": key, "value": value });
        let run_id = self.described.run_id.replace('\'', "");
        let body = json!({
            "experiment_id": experiment,
            "start_time": now_ms(),
            "run_name": run_id,
            "tags": [
                tag("mlflow.runType", "genai_evaluate"),
                tag("mlflow.source.name", "judge-run"),
                tag("mlflow.source.type", "LOCAL"),
                tag(TAG, &run_id),
                tag("judge_run.version", env!("CARGO_PKG_VERSION")),
            ],
        });
        let created: RunReply = self.server.http.post(&["api/2.0/mlflow/runs/create"], &body).await?;
        Ok(created.run)
    }

    /// The run's id, once it has all parameters: a push that was killed after creating the run has left it without, and one that runs
    /// at the same time may not have written them yet. The server accepts the same value twice, but no other one.
    async fn with_params(&self, run: Run) -> Result<String, ServerError> {
        let run_id = run.info.run_id;
        let there: BTreeSet<_> = run.data.params.into_iter().map(|param| param.key).collect();
        let missing = self.described.params.iter().map(|(name, value)| (key(name), value));
        let missing: Vec<_> = missing.filter(|(key, _)| !there.contains(key)).collect();
        for params in missing.chunks(PARAMS) {
            let params: Vec<_> = params.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect();
            self.log(json!({ "run_id": run_id, "params": params })).await?;
        }
        Ok(run_id)
    }

    /// Links the traces, writes the metrics, and ends the run; one that the server interrupted stays open for the next push.
    pub(super) async fn end(self, is_whole: bool) -> Result<Option<(String, String)>, ServerError> {
        let Some((run_id, experiment)) = &self.run else { return Ok(None) };
        if !is_whole {
            return Ok(self.run);
        }
        for traces in self.traces.chunks(LINKS) {
            match self.link(run_id, traces).await {
                // A server refuses all of them if one is already linked, or is being linked by another push.
                Err(error) if is_there_already(&error) => {
                    for trace in traces {
                        let linked = self.link(run_id, std::slice::from_ref(trace)).await;
                        linked.or_else(|error| if is_there_already(&error) { Ok(()) } else { Err(error) })?;
                    }
                }
                // Servers of before 3.3 know no links.
                Err(error) if !matches!(error.status(), Some(404 | 405)) => return Err(error),
                _ => {}
            }
        }
        let now = now_ms();
        for metrics in self.described.metrics.chunks(METRICS) {
            let metric =
                |(key, value): &(String, f64)| json!({ "key": key, "value": value, "timestamp": now, "step": 0 });
            self.log(json!({ "run_id": run_id, "metrics": metrics.iter().map(metric).collect::<Vec<_>>() })).await?;
        }
        let update = json!({ "run_id": run_id, "status": "FINISHED", "end_time": now });
        self.server.http.post::<Value>(&["api/2.0/mlflow/runs/update"], &update).await?;
        Ok(Some((run_id.clone(), experiment.clone())))
    }

    async fn link(&self, run_id: &str, traces: &[String]) -> Result<(), ServerError> {
        let link = json!({ "trace_ids": traces, "run_id": run_id });
        self.server.http.post::<Value>(&["api/2.0/mlflow/traces/link-to-run"], &link).await.map(drop)
    }

    async fn log(&self, batch: Value) -> Result<(), ServerError> {
        self.server.http.post::<Value>(&["api/2.0/mlflow/runs/log-batch"], &batch).await.map(drop)
    }
}

/// Whether the database refused a duplicate: SQLite and PostgreSQL speak of a unique constraint, MySQL of a duplicate entry.
fn is_there_already(error: &ServerError) -> bool {
    let ServerError::Status { status: 400 | 500, message, .. } = error else { return false };
    let message = message.to_ascii_lowercase();
    message.contains("unique") || message.contains("duplicate")
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::report::{Category, Estimate, Figures, Method, SCHEMA_VERSION};

    fn judge(name: &str, source_id: &str, figures: Figures) -> JudgeReport {
        JudgeReport {
            name: name.into(),
            source_type: SourceType::LlmJudge,
            source_id: source_id.into(),
            good: None,
            figures,
            n_skipped: 0,
            corrected: None,
            usage: crate::results::report::Usage::default(),
            latency_ms: None,
            readings: BTreeMap::new(),
            evidence: None,
            cascade: None,
            pairwise: None,
            slices: Vec::new(),
            warnings: Vec::new(),
        }
    }

    fn metrics(judges: Vec<JudgeReport>) -> BTreeMap<String, f64> {
        let report = Report {
            schema_version: SCHEMA_VERSION,
            logs: Vec::new(),
            judges,
            gates: Vec::new(),
            comparisons: Vec::new(),
            anchors: Vec::new(),
            warnings: Vec::new(),
        };
        Described::new("run-1", Vec::new(), &report).metrics.into_iter().collect()
    }

    #[test]
    fn metrics_are_named_as_mlflow_names_them_and_failures_are_in_no_mean() {
        let category = |label: &str, n, share| Category { label: label.into(), n, share };
        let pass = Estimate { estimate: 0.75, low: 0.3, high: 0.95, level: 0.95, method: Method::Wilson, n: 4 };
        let figures = Figures {
            n_scored: 4,
            n_failed: 1,
            pass: Some(pass),
            categories: vec![category("true", 3, 0.75), category("false", 1, 0.25)],
            ..Figures::default()
        };
        let metrics = metrics(vec![judge("is it \"safe\"?", "openai:/m", figures)]);
        let value = |key: &str| metrics.get(&format!("is it _safe__/{key}")).copied();
        assert_eq!((value("mean"), value("pass_rate"), value("pass_rate/lower")), (Some(0.75), Some(0.75), Some(0.3)));
        assert_eq!((value("scored"), value("failed"), value("coverage")), (Some(4.0), Some(1.0), Some(0.8)));
        assert_eq!(value("cost_usd"), None);
    }

    #[test]
    fn two_models_under_one_name_are_kept_apart() {
        let metrics = metrics(vec![judge("j", "a:/m", Figures::default()), judge("j", "b:/m", Figures::default())]);
        assert!(metrics.contains_key("j a:/m/scored") && metrics.contains_key("j b:/m/scored"));
        assert!(!metrics.contains_key("j/scored"));
    }
}
