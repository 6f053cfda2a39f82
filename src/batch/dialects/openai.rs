//! Files and batches, as in OpenAI's API and most compatible ones.
//!
//! Sources: OpenAI's API reference, "Files" and "Batch"; Azure's, Groq's and Together's pages on batches.

use std::io::Write;
use std::path::Path;

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::error::BatchError;
use super::super::http::{Http, PAGE, Sent};
use super::super::ledger::Batch;
use super::super::provider::{Candidate, End, Provider, Sign, Standing, Step, is_queue_full};
use super::super::spool::{BatchLimits, CHAT_COMPLETIONS};
use super::rewritten::{Frame, rewritten};
use crate::endpoint::pacing::backoff;

/// Requests of a batch, at OpenAI; others take as many or more.
const MAX_REQUESTS: usize = 50_000;
/// Bytes of a file: a margin below OpenAI's 200 MB.
const MAX_BYTES: u64 = 190_000_000;
/// The same at Together and Groq, which take 100 MB.
const MAX_BYTES_SMALL: u64 = 95_000_000;
/// The key of the metadata under which a batch has its own name.
const NAME: &str = "judge_run_batch";
/// Looks at a file that is not ready yet: some ten minutes.
const MAX_LOOKS: u32 = 15;

/// OpenAI's API, or one with Together's differences.
#[derive(Debug)]
pub(in super::super) struct OpenAi {
    http: Http,
    is_together: bool,
}

#[derive(Debug, Deserialize)]
struct File {
    id: String,
    #[serde(default)]
    status: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct BatchObject {
    id: String,
    status: Option<String>,
    input_file_id: Option<String>,
    output_file_id: Option<String>,
    error_file_id: Option<String>,
    errors: Option<Value>,
    error: Option<Value>,
    request_counts: Option<Counts>,
    metadata: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Counts {
    total: Option<u64>,
    completed: Option<u64>,
    failed: Option<u64>,
}

/// What a submission is answered with: the batch, or Together's wrapping of it.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Created {
    Wrapped { job: BatchObject },
    Plain(BatchObject),
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum List {
    Page {
        data: Vec<BatchObject>,
        #[serde(default)]
        has_more: bool,
    },
    /// Together's.
    All(Vec<BatchObject>),
}

impl OpenAi {
    pub(in super::super) fn new(http: Http) -> Self {
        Self { http, is_together: false }
    }

    pub(in super::super) fn together(http: Http) -> Self {
        Self { http, is_together: true }
    }

    /// Where chat completions are, as a batch at this address names it: Azure's older API has no version in it.
    fn endpoint(&self) -> &'static str {
        if self.http.deployment().is_some() { "/chat/completions" } else { CHAT_COMPLETIONS }
    }

    async fn upload_file(&self, requests: &Path, batch: &Batch) -> Result<Option<String>, BatchError> {
        let what = "upload the requests";
        let for_deployment = match self.http.deployment() {
            Some(deployment) => Some(rewritten(requests, Frame("", "\n", "\n"), |request| {
                let mut body: Map<String, Value> = serde_json::from_str(request.body.get())?;
                body.insert("model".to_owned(), deployment.into());
                let line =
                    json!({"custom_id": request.custom_id, "method": "POST", "url": self.endpoint(), "body": body});
                serde_json::to_string(&line)
            })?),
            None => None,
        };
        let requests = for_deployment.as_ref().map_or(requests, |file| file.path());
        let name = format!("{}.jsonl", batch.planned.batch);
        let purpose = if self.is_together { "batch-api" } else { "batch" };
        let fields = [("purpose", purpose), ("file_name", name.as_str())];
        let fields = if self.is_together { &fields[..] } else { &fields[..1] };
        let sent = Sent::Form(fields, &name, requests);
        let path: &[&str] = if self.is_together { &["files", "upload"] } else { &["files"] };
        let mut file: File = self.http.ask(what, Method::POST, path, &[], sent).await?;
        // Azure makes no batch of a file that it has not looked through.
        for looks in 0..MAX_LOOKS {
            let status = file.status.as_deref().unwrap_or_default().to_ascii_lowercase();
            match status.as_str() {
                "pending" | "running" | "notrunning" | "uploading" => {}
                "error" | "failed" => {
                    let reason = format!("the provider cannot read the file {}", file.id);
                    return Err(BatchError::Unexpected { what: what.to_owned(), reason });
                }
                _ => return Ok(Some(file.id)),
            }
            tokio::time::sleep(backoff::equal_jitter(looks)).await;
            file = self.http.ask(what, Method::GET, &["files", &file.id], &[], Sent::Nothing).await?;
        }
        Ok(Some(file.id))
    }

    /// Looks through the whole list: what is not found is submitted again, and an account may have had thousands of batches since.
    async fn find_batch(&self, batch: &Batch) -> Result<Option<String>, BatchError> {
        let mut after: Option<String> = None;
        loop {
            let mut query = vec![("limit", PAGE)];
            query.extend(after.as_deref().map(|after| ("after", after)));
            let list = self.http.ask("list the batches", Method::GET, &["batches"], &query, Sent::Nothing).await?;
            let (page, has_more) = match list {
                List::Page { data, has_more } => (data, has_more),
                List::All(data) => (data, false),
            };
            let last = page.last().map(|batch| batch.id.clone());
            let is_it = |found: &BatchObject| {
                let named = found.metadata.as_ref().and_then(|metadata| metadata.get(NAME)?.as_str());
                let is_named = named == Some(&batch.planned.batch);
                // A file is uploaded for one batch alone.
                let has_file = batch.file.is_some() && found.input_file_id == batch.file;
                is_named || has_file
            };
            // One that failed its validation, or found no room, was never accepted.
            let is_alive = |found: &&BatchObject| is_it(found) && found.state() != "failed";
            if let Some(found) = page.iter().find(is_alive) {
                return Ok(Some(found.id.clone()));
            }
            if !has_more || last.is_none() || last == after {
                return Ok(None);
            }
            after = last;
        }
    }
}

impl BatchObject {
    fn state(&self) -> String {
        self.status.as_deref().unwrap_or_default().to_ascii_lowercase()
    }

    fn standing(self) -> Standing {
        let state = self.state();
        let end = match state.as_str() {
            "completed" | "complete" | "succeeded" => Some(End::Completed),
            "expired" => Some(End::Expired),
            "cancelled" | "canceled" => Some(End::Cancelled),
            "failed" => Some(End::Failed),
            _ => None,
        };
        let Counts { total, completed, failed } = self.request_counts.unwrap_or_default();
        let files = [self.output_file_id, self.error_file_id].into_iter().flatten().filter(|id| !id.is_empty());
        let mut standing = Standing {
            state,
            end,
            done: completed.unwrap_or(0) + failed.unwrap_or(0),
            total: total.unwrap_or(0),
            files: files.collect(),
            ..Standing::default()
        };
        let data = self.errors.as_ref().map(|errors| errors.get("data").unwrap_or(errors));
        let listed = data.and_then(Value::as_array).cloned().unwrap_or_default();
        for error in listed.iter().chain(&self.error) {
            let text = |key| error.get(key).and_then(Value::as_str);
            let message = text("message").or(error.as_str()).unwrap_or("no explanation").to_owned();
            let code = text("code").unwrap_or_default();
            standing.is_queue_full |= is_queue_full(code);
            match error.get("line").and_then(Value::as_u64).and_then(|line| usize::try_from(line).ok()) {
                Some(line) if line > 0 => standing.rejected.push((line, message)),
                _ => _ = standing.message.get_or_insert(message),
            }
        }
        standing
    }
}

impl Provider for OpenAi {
    fn http(&self) -> &Http {
        &self.http
    }

    fn limits(&self) -> BatchLimits {
        let is_small = self.is_together || self.http.address().contains("groq.com");
        let bytes = if is_small { MAX_BYTES_SMALL } else { MAX_BYTES };
        BatchLimits { requests: Some(MAX_REQUESTS), bytes: Some(bytes), tokens: None }
    }

    fn upload<'a>(&'a self, requests: &'a Path, batch: &'a Batch) -> Step<'a, Option<String>> {
        Box::pin(self.upload_file(requests, batch))
    }

    fn submit<'a>(&'a self, _: &'a Path, batch: &'a Batch) -> Step<'a, String> {
        Box::pin(async move {
            let mut body =
                json!({"input_file_id": batch.file, "endpoint": self.endpoint(), "completion_window": "24h"});
            // Together's API has no metadata; there, a batch is known by its file.
            if !self.is_together {
                body["metadata"] = json!({NAME: batch.planned.batch});
            }
            let what = "submit the batch";
            let created = self.http.once(what, Method::POST, &["batches"], &[], Sent::Json(&body)).await?;
            let (Created::Wrapped { job: batch } | Created::Plain(batch)) = created;
            match batch.id.is_empty() {
                true => {
                    Err(BatchError::Unexpected { what: what.to_owned(), reason: "the answer has no id".to_owned() })
                }
                false => Ok(batch.id),
            }
        })
    }

    fn find<'a>(&'a self, batch: &'a Batch, _: &'a [String]) -> Step<'a, Vec<Candidate>> {
        Box::pin(async move {
            let found = self.find_batch(batch).await?;
            Ok(found.map(|id| Candidate { id, sign: Sign::Name }).into_iter().collect())
        })
    }

    fn poll<'a>(&'a self, id: &'a str) -> Step<'a, Standing> {
        Box::pin(async move {
            let batch: BatchObject =
                self.http.ask("look at the batch", Method::GET, &["batches", id], &[], Sent::Nothing).await?;
            Ok(batch.standing())
        })
    }

    fn cancel<'a>(&'a self, id: &'a str) -> Step<'a, ()> {
        Box::pin(async move {
            let path = ["batches", id, "cancel"];
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

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(json: Value) -> Standing {
        serde_json::from_value::<BatchObject>(json).unwrap().standing()
    }

    #[test]
    fn states_are_read_in_any_case_and_each_file_may_be_missing() {
        let done = standing(json!({
            "id": "b", "status": "COMPLETED", "output_file_id": null, "error_file_id": "e",
            "request_counts": {"total": 3, "completed": 1, "failed": 2},
        }));
        assert_eq!((done.end, done.done, done.total, done.files), (Some(End::Completed), 3, 3, vec!["e".to_owned()]));
        for (state, end) in [
            ("validating", None),
            ("IN_PROGRESS", None),
            ("progress", None),
            ("finalizing", None),
            ("cancelling", None),
            ("Expired", Some(End::Expired)),
            ("cancelled", Some(End::Cancelled)),
            ("FAILED", Some(End::Failed)),
        ] {
            assert_eq!(standing(json!({"id": "b", "status": state})).end, end, "{state}");
        }
    }

    #[test]
    fn what_was_not_accepted_is_read_with_its_lines() {
        let failed = standing(json!({
            "id": "b", "status": "failed",
            "errors": {"object": "list", "data": [
                {"code": "invalid_json_line", "line": 2, "message": "no JSON"},
                {"code": "token_limit_exceeded", "line": null, "message": "too much"},
            ]},
        }));
        assert_eq!(failed.rejected, [(2, "no JSON".to_owned())]);
        assert!(failed.is_queue_full && failed.message.as_deref() == Some("too much"));
    }
}
