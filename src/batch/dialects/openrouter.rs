//! OpenRouter's batches: the requests go with the submission, the results come with the batch itself, and a batch has no name.
//!
//! Source: OpenRouter's Batch API Quickstart and its OpenAPI document, `/batches`. It reads a submission as it comes, so that `endpoint` and `model` must
//! stand before the requests. There is no way to cancel a batch.

use std::fmt;
use std::fs::File;
use std::io::{BufReader, Write};
use std::path::Path;

use reqwest::Method;
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::super::error::BatchError;
use super::super::http::{Http, Sent};
use super::super::ledger::Batch;
use super::super::line::CustomId;
use super::super::provider::{CLOCKS_MS, Candidate, End, Provider, Sign, Standing, Step};
use super::super::spool::{BatchLimits, CHAT_COMPLETIONS};
use super::rewritten::{Frame, rewritten};

/// OpenRouter's 5,000 requests, and below its 200 MB.
const LIMITS: BatchLimits = BatchLimits { requests: Some(5_000), bytes: Some(190_000_000), tokens: None };

#[derive(Debug)]
pub(in super::super) struct OpenRouter {
    http: Http,
    model: String,
}

#[derive(Debug, Deserialize)]
struct BatchObject {
    id: String,
    status: Option<String>,
    model: Option<String>,
    /// Unix seconds.
    created_at: Option<i64>,
    request_counts: Option<Counts>,
    error: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Counts {
    total: u64,
    completed: u64,
    failed: u64,
}

impl OpenRouter {
    pub(in super::super) fn new(http: Http, model: &str) -> Self {
        Self { http, model: model.to_owned() }
    }

    /// The batch; each of its results goes to `each`.
    async fn batch(
        &self,
        what: &str,
        id: &str,
        each: impl FnMut(&RawValue) -> std::io::Result<()>,
    ) -> Result<BatchObject, BatchError> {
        let file = self.http.fetch(what, &self.http.url(&["batches", id], &[])).await?;
        read(file, each).map_err(|error| BatchError::Unexpected { what: what.to_owned(), reason: error.to_string() })
    }

    /// The `custom_id` of a batch's first result.
    async fn first_result(&self, id: &str) -> Result<Option<String>, BatchError> {
        let mut first = None;
        let each = |result: &RawValue| {
            if first.is_none() {
                first = serde_json::from_str::<CustomId<'_>>(result.get()).ok().map(|line| line.custom_id.into_owned());
            }
            Ok(())
        };
        self.batch("look at the results", id, each).await?;
        Ok(first)
    }
}

impl BatchObject {
    fn state(&self) -> String {
        self.status.as_deref().unwrap_or_default().to_ascii_lowercase()
    }

    fn standing(self) -> Standing {
        let state = self.state();
        let end = match state.as_str() {
            "completed" => Some(End::Completed),
            "expired" => Some(End::Expired),
            "cancelled" => Some(End::Cancelled),
            "failed" => Some(End::Failed),
            _ => None,
        };
        let Counts { total, completed, failed } = self.request_counts.unwrap_or_default();
        let message = self.error.as_ref().and_then(|error| error.get("message").unwrap_or(error).as_str());
        // What failed was not accepted.
        let files = if end.is_some_and(|end| end != End::Failed) { vec![self.id] } else { Vec::new() };
        let message = message.map(ToOwned::to_owned);
        Standing { state, end, done: completed + failed, total, files, message, ..Standing::default() }
    }
}

/// Reads a batch of any length, result by result.
fn read(file: File, each: impl FnMut(&RawValue) -> std::io::Result<()>) -> serde_json::Result<BatchObject> {
    let mut json = serde_json::Deserializer::from_reader(BufReader::with_capacity(1 << 16, file));
    let members = json.deserialize_map(Whole(each))?;
    json.end()?;
    serde_json::from_value(Value::Object(members))
}

/// A batch: its members, but for the results.
struct Whole<F>(F);

impl<'de, F: FnMut(&RawValue) -> std::io::Result<()>> Visitor<'de> for Whole<F> {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a batch")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "results" => map.next_value_seed(Results(&mut self.0))?,
                _ => _ = members.insert(name, map.next_value()?),
            }
        }
        Ok(members)
    }
}

/// The results, or null.
struct Results<'a, F>(&'a mut F);

impl<'de, F: FnMut(&RawValue) -> std::io::Result<()>> DeserializeSeed<'de> for Results<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, F: FnMut(&RawValue) -> std::io::Result<()>> Visitor<'de> for Results<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of results")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(result) = list.next_element::<Box<RawValue>>()? {
            (self.0)(&result).map_err(A::Error::custom)?;
        }
        Ok(())
    }
}

impl Provider for OpenRouter {
    fn http(&self) -> &Http {
        &self.http
    }

    fn limits(&self) -> BatchLimits {
        LIMITS
    }

    fn upload<'a>(&'a self, _: &'a Path, _: &'a Batch) -> Step<'a, Option<String>> {
        Box::pin(async { Ok(None) })
    }

    fn submit<'a>(&'a self, requests: &'a Path, _: &'a Batch) -> Step<'a, String> {
        Box::pin(async move {
            let before =
                format!("{{\"endpoint\":{},\"model\":{},\"requests\":[", json!(CHAT_COMPLETIONS), json!(self.model));
            let submission = rewritten(requests, Frame(&before, ",", "]}"), |request| {
                Ok(format!("{{\"custom_id\":{},\"body\":{}}}", json!(request.custom_id), request.body))
            })?;
            let sent = Sent::File(submission.path());
            let batch: BatchObject = self.http.once("submit the batch", Method::POST, &["batches"], &[], sent).await?;
            Ok(batch.id)
        })
    }

    /// Model, time and number of requests say which it may be, its results say whether it is.
    fn find<'a>(&'a self, batch: &'a Batch, others: &'a [String]) -> Step<'a, Vec<Candidate>> {
        Box::pin(async move {
            let is_old = |found: &BatchObject| {
                let created_ms = found.created_at.map(|seconds| seconds.saturating_mul(1_000));
                created_ms.is_some_and(|at| at < batch.submitting_ms - CLOCKS_MS)
            };
            let mut candidates = Vec::new();
            for found in self.http.list(&["batches"], "after", is_old).await? {
                let total = found.request_counts.as_ref().map(|counts| counts.total);
                let is_same = found.model.as_ref() == Some(&self.model) && total == Some(batch.planned.requests as u64);
                if !is_same || others.contains(&found.id) {
                    continue;
                }
                let id = found.id.clone();
                let sign = match found.standing().end {
                    None => Some(Sign::Later),
                    // It was not accepted.
                    Some(End::Failed) => None,
                    Some(_) => self.first_result(&id).await?.map(Sign::Result),
                };
                candidates.extend(sign.map(|sign| Candidate { id, sign }));
            }
            Ok(candidates)
        })
    }

    fn poll<'a>(&'a self, id: &'a str) -> Step<'a, Standing> {
        Box::pin(async move { Ok(self.batch("look at the batch", id, |_| Ok(())).await?.standing()) })
    }

    fn cancel<'a>(&'a self, id: &'a str) -> Step<'a, ()> {
        Box::pin(async move {
            let address = self.http.address().to_owned();
            Err(BatchError::CannotCancel { address, id: id.to_owned() })
        })
    }

    fn results<'a>(&'a self, file: &'a str, into: &'a mut dyn Write) -> Step<'a, ()> {
        Box::pin(async move {
            let each = |result: &RawValue| {
                // Between its members there may be line breaks.
                let line = result.get().replace(['\r', '\n'], " ");
                into.write_all(&self.http.without_secrets(line.as_bytes()))?;
                into.write_all(b"\n")
            };
            self.batch("fetch the results", file, each).await.map(drop)
        })
    }

    fn delete<'a>(&'a self, batch: &'a Batch) -> Step<'a, ()> {
        Box::pin(async move {
            let Some(id) = &batch.id else { return Ok(()) };
            match self.http.ask::<Value>("delete the batch", Method::DELETE, &["batches", id], &[], Sent::Nothing).await
            {
                Err(BatchError::Endpoint { failure, .. }) if failure.http_status == Some(404) => Ok(()),
                result => result.map(drop),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, SeekFrom};

    use super::*;

    fn results(json: &str) -> (Standing, Vec<String>) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(json.as_bytes()).unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        let mut results = Vec::new();
        let batch = read(file, |result| {
            results.push(result.get().to_owned());
            Ok(())
        });
        (batch.unwrap().standing(), results)
    }

    #[test]
    fn a_batch_is_read_result_by_result() {
        let open =
            r#"{"id": "batch_1", "status": "in_progress", "request_counts": null, "results": null, "error": null}"#;
        let (standing, none) = results(open);
        assert_eq!((standing.end, standing.files, none), (None, Vec::new(), Vec::new()));
        let done = r#"{"results": [{"custom_id": "a"}, {"custom_id": "b"}], "id": "batch_1", "status": "completed",
            "request_counts": {"total": 2, "completed": 1, "failed": 1}}"#;
        let (standing, two) = results(done);
        assert_eq!(
            (standing.end, standing.done, standing.files),
            (Some(End::Completed), 2, vec!["batch_1".to_owned()])
        );
        assert_eq!(two, [r#"{"custom_id": "a"}"#, r#"{"custom_id": "b"}"#]);
    }

    #[test]
    fn a_batch_that_failed_says_why() {
        let (standing, _) =
            results(r#"{"id": "b", "status": "failed", "results": null, "error": {"message": "no images"}}"#);
        assert_eq!(
            (standing.end, standing.message.as_deref(), standing.files.len()),
            (Some(End::Failed), Some("no images"), 0)
        );
    }
}
