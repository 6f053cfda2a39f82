//! Mistral's batch jobs. The model belongs to the job; results are kept for 24 hours.
//!
//! Source: Mistral's API reference, "Batch".

use std::io::Write;
use std::path::Path;

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::http::{Http, PAGE, Sent};
use super::super::ledger::Batch;
use super::super::provider::{Candidate, End, Provider, Sign, Standing, Step};
use super::super::spool::{BatchLimits, CHAT_COMPLETIONS};
use super::rewritten::{Frame, rewritten};

/// Below Mistral's 100,000 requests and 512 MB.
const LIMITS: BatchLimits = BatchLimits { requests: Some(100_000), bytes: Some(480_000_000), tokens: None };
const NAME: &str = "judge_run_batch";

#[derive(Debug)]
pub(in super::super) struct Mistral {
    http: Http,
    model: String,
}

#[derive(Debug, Deserialize)]
struct File {
    id: String,
}

#[derive(Debug, Deserialize)]
struct Job {
    id: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    metadata: Option<Value>,
    #[serde(default)]
    input_files: Vec<String>,
    #[serde(default)]
    output_file: Option<String>,
    #[serde(default)]
    error_file: Option<String>,
    #[serde(default)]
    errors: Vec<JobError>,
    #[serde(default)]
    total_requests: u64,
    #[serde(default)]
    completed_requests: u64,
}

#[derive(Debug, Deserialize)]
struct JobError {
    #[serde(default)]
    message: String,
}

#[derive(Debug, Deserialize)]
struct Jobs {
    #[serde(default)]
    data: Vec<Job>,
}

impl Mistral {
    pub(in super::super) fn new(http: Http, model: &str) -> Self {
        Self { http, model: model.to_owned() }
    }
}

impl Job {
    fn standing(self) -> Standing {
        let state = self.status.to_ascii_lowercase();
        let end = match state.as_str() {
            "success" => Some(End::Completed),
            "timeout_exceeded" => Some(End::Expired),
            "cancelled" => Some(End::Cancelled),
            "failed" => Some(End::Failed),
            _ => None,
        };
        Standing {
            state,
            end,
            done: self.completed_requests,
            total: self.total_requests,
            files: [self.output_file, self.error_file].into_iter().flatten().collect(),
            message: self.errors.into_iter().next().map(|error| error.message),
            ..Standing::default()
        }
    }
}

impl Provider for Mistral {
    fn http(&self) -> &Http {
        &self.http
    }

    fn limits(&self) -> BatchLimits {
        LIMITS
    }

    fn list(&self) -> (&'static [&'static str], &'static str) {
        (&["batch", "jobs"], "page_size")
    }

    fn upload<'a>(&'a self, requests: &'a Path, batch: &'a Batch) -> Step<'a, Option<String>> {
        Box::pin(async move {
            // The model belongs to the job.
            let converted = rewritten(requests, Frame("", "\n", "\n"), |request| {
                let mut body: Map<String, Value> = serde_json::from_str(request.body.get())?;
                body.remove("model");
                serde_json::to_string(&json!({"custom_id": request.custom_id, "body": body}))
            })?;
            let name = format!("{}.jsonl", batch.planned.batch);
            let sent = Sent::Form(&[("purpose", "batch")], &name, converted.path());
            let file: File = self.http.ask("upload the requests", Method::POST, &["files"], &[], sent).await?;
            Ok(Some(file.id))
        })
    }

    fn submit<'a>(&'a self, _: &'a Path, batch: &'a Batch) -> Step<'a, String> {
        Box::pin(async move {
            let body = json!({
                "input_files": [batch.file], "model": self.model, "endpoint": CHAT_COMPLETIONS, "timeout_hours": 24,
                "metadata": {NAME: batch.planned.batch},
            });
            let path = ["batch", "jobs"];
            let job: Job = self.http.once("submit the batch", Method::POST, &path, &[], Sent::Json(&body)).await?;
            Ok(job.id)
        })
    }

    fn find<'a>(&'a self, batch: &'a Batch, _: &'a [String]) -> Step<'a, Vec<Candidate>> {
        Box::pin(async move {
            let is_it = |job: &Job| {
                let named = job.metadata.as_ref().and_then(|metadata| metadata.get(NAME)?.as_str());
                named == Some(&batch.planned.batch)
                    || batch.file.as_ref().is_some_and(|file| job.input_files.contains(file))
            };
            // The whole list is looked through: what is not found is submitted again.
            let path = ["batch", "jobs"];
            let mut first = None;
            for page in 0_u64.. {
                let page = page.to_string();
                let query = [("page", page.as_str()), ("page_size", PAGE)];
                let jobs: Jobs = self.http.ask("list the batches", Method::GET, &path, &query, Sent::Nothing).await?;
                let first_here = jobs.data.first().map(|job| job.id.clone());
                // The end, or a server that does not know of pages.
                if first_here.is_none() || first_here == first {
                    break;
                }
                first = first_here;
                if let Some(job) = jobs.data.into_iter().find(is_it) {
                    return Ok(vec![Candidate { id: job.id, sign: Sign::Name }]);
                }
            }
            Ok(Vec::new())
        })
    }

    fn poll<'a>(&'a self, id: &'a str) -> Step<'a, Standing> {
        Box::pin(async move {
            let path = ["batch", "jobs", id];
            let job: Job = self.http.ask("look at the batch", Method::GET, &path, &[], Sent::Nothing).await?;
            Ok(job.standing())
        })
    }

    fn cancel<'a>(&'a self, id: &'a str) -> Step<'a, ()> {
        Box::pin(async move {
            let path = ["batch", "jobs", id, "cancel"];
            self.http.ask::<Value>("cancel the batch", Method::POST, &path, &[], Sent::Nothing).await.map(drop)
        })
    }

    fn results<'a>(&'a self, file: &'a str, into: &'a mut dyn Write) -> Step<'a, ()> {
        Box::pin(async move {
            let url = self.http.url(&["files", file, "content"], &[]);
            self.http.fetch_into("fetch the results", &url, into, <[u8]>::to_vec).await
        })
    }

    fn delete<'a>(&'a self, batch: &'a Batch) -> Step<'a, ()> {
        Box::pin(self.http.delete_files(batch.file.iter().chain(&batch.files)))
    }
}
