//! Arize Phoenix: feedback as annotations of traces, spans and documents, and people's annotations as feedback.
//!
//! An annotation is identified by its name, its subject and its identifier; sending the same again replaces it. So each source has one, and whatever is sent
//! twice is there once.
//!
//! Source: `phoenix.server.api.routers.v1`: `annotateTraces`, `annotateSpans`, `annotateSpanDocuments`, `getSpans`, `listTraceAnnotationsByTraceIds`,
//! `listSpanAnnotationsBySpanIds`.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::http::Http;
use super::receiving::of_people;
use super::sending::{Sent, standing};
use crate::endpoint::config::EndpointConfig;
use crate::feedback::log::{OpenError, StandingRecords, Stands};
use crate::feedback::{Feedback, SourceType};
use crate::judge::redact::Redact;
use crate::servers::ServerError;

/// Annotations in one request.
const TOGETHER: usize = 100;

/// Traces asked for together, each with its spans.
const TRACES: usize = 20;
/// What one answer has at most.
const PAGE: &str = "1000";
/// The prefix of our own annotations' identifiers.
const IDENTIFIER: &str = "judge-run ";

#[derive(Deserialize)]
struct Span {
    context: SpanContext,
}

#[derive(Deserialize)]
struct SpanContext {
    trace_id: String,
    span_id: String,
}

/// A Phoenix server.
#[derive(Debug)]
pub struct Phoenix {
    http: Http,
}

#[derive(Debug, Serialize)]
struct Annotation {
    #[serde(skip_serializing_if = "Option::is_none")]
    span_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    /// Which of the documents that the span found, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    document_position: Option<u32>,
    name: String,
    annotator_kind: &'static str,
    result: Outcome,
    metadata: Value,
    identifier: String,
}

#[derive(Debug, Default, PartialEq, Serialize)]
struct Outcome {
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<String>,
}

impl Phoenix {
    /// The server at this address, with the key of `PHOENIX_API_KEY`. Nothing is sent yet.
    ///
    /// # Errors
    /// When the address cannot be used.
    pub fn new(address: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, ServerError> {
        let mut endpoint = EndpointConfig::new("phoenix", address);
        endpoint.api_key = variable("PHOENIX_API_KEY").filter(|key| !key.trim().is_empty()).map(Into::into);
        Http::new(&endpoint, Ok).map(|http| Self { http })
    }

    /// Where it is, as it may be shown.
    pub fn address(&self) -> &str {
        self.http.address()
    }

    /// Whether it answers and grants access, by its list of projects.
    ///
    /// # Errors
    /// When it does not.
    pub async fn access(&self) -> Result<(), ServerError> {
        self.http.get::<Value>(&["v1/projects"], &[("limit", "1")]).await.map(drop)
    }

    /// People's feedback in a project about these traces and their spans. Annotations that were pushed from a log are left out.
    ///
    /// # Errors
    /// When there is no such project, or the server does not answer.
    pub async fn people(
        &self,
        project: &str,
        traces: &BTreeSet<String>,
        now_ms: i64,
    ) -> Result<Vec<Feedback>, ServerError> {
        match self.http.get::<Value>(&["v1/projects", project], &[]).await {
            Err(error) if error.status() == Some(404) => {
                let (address, name) = (self.address().to_owned(), project.to_owned());
                return Err(ServerError::NoProject { address, name });
            }
            found => found?,
        };
        let all: Vec<_> = traces.iter().map(String::as_str).collect();
        let mut found = Vec::new();
        for ids in all.chunks(TRACES) {
            let path = ["v1/projects", project, "trace_annotations"];
            let mut annotations: Vec<Value> = self.pages(&path, "trace_ids", ids).await?;
            let spans: Vec<Span> = self.pages(&["v1/projects", project, "spans"], "trace_id", ids).await?;
            // A server that does not support the filter returns all spans.
            let spans: BTreeMap<_, _> =
                spans.into_iter().map(|span| (span.context.span_id, span.context.trace_id)).collect();
            let ids: Vec<_> =
                spans.iter().filter(|(_, trace)| traces.contains(*trace)).map(|(span, _)| span.as_str()).collect();
            for ids in ids.chunks(TOGETHER) {
                let path = ["v1/projects", project, "span_annotations"];
                for mut annotation in self.pages::<Value>(&path, "span_ids", ids).await? {
                    let trace = annotation["span_id"].as_str().and_then(|span| spans.get(span)).cloned();
                    annotation["trace_id"] = json!(trace);
                    annotations.push(annotation);
                }
            }
            annotations.retain(|one| !one["identifier"].as_str().is_some_and(|own| own.starts_with(IDENTIFIER)));
            found.extend(of_people(&annotations, traces, now_ms));
        }
        Ok(found)
    }

    /// Everything about these ids. It answers 404 if it knows none of them.
    async fn pages<T: DeserializeOwned>(&self, path: &[&str], key: &str, ids: &[&str]) -> Result<Vec<T>, ServerError> {
        #[derive(Deserialize)]
        struct Page<T> {
            data: Vec<T>,
            next_cursor: Option<String>,
        }
        let (mut all, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let mut query: Vec<_> = ids.iter().map(|id| (key, *id)).chain([("limit", PAGE)]).collect();
            query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
            let page: Page<T> = match self.http.get(path, &query).await {
                Err(error) if error.status() == Some(404) => return Ok(all),
                page => page?,
            };
            all.extend(page.data);
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(all);
            }
        }
    }

    /// Sends the present state of a log. A failure is an annotation without label and score, and so is a rejected verdict.
    ///
    /// # Errors
    /// When the log cannot be read. The server's part is in the result.
    pub async fn push(&self, records: &mut StandingRecords, redact: Option<&Redact>) -> Result<Sent, OpenError> {
        let mut sent = Sent::default();
        let (mut of_traces, mut of_spans, mut of_documents) = (Vec::new(), Vec::new(), Vec::new());
        standing(records, redact, |stands, record| {
            sent.records += 1;
            let annotation = annotation(record, stands);
            match (&annotation.span_id, &annotation.trace_id) {
                (Some(_), _) if annotation.document_position.is_some() => of_documents.push(annotation),
                (Some(_), _) => of_spans.push(annotation),
                (None, Some(_)) => of_traces.push(annotation),
                (None, None) => *sent.left_out.entry("without a trace").or_default() += 1,
            }
        })?;
        for (path, annotations) in [
            ("v1/trace_annotations", of_traces),
            ("v1/span_annotations", of_spans),
            ("v1/document_annotations", of_documents),
        ] {
            for together in annotations.chunks(TOGETHER) {
                if !self.send(path, together, &mut sent).await {
                    return Ok(sent);
                }
            }
        }
        Ok(sent)
    }

    /// Sends annotations together; if the server refuses them, one by one: one about something unknown there fails all.
    async fn send(&self, path: &str, annotations: &[Annotation], sent: &mut Sent) -> bool {
        match self.request(path, annotations).await {
            Ok(()) => annotations.iter().all(|_| sent.add(Ok(()))),
            Err(error) if error.is_final() => sent.add(Err(error)),
            Err(_) => {
                for one in annotations {
                    if !sent.add(self.request(path, std::slice::from_ref(one)).await) {
                        return false;
                    }
                }
                true
            }
        }
    }

    async fn request(&self, path: &str, annotations: &[Annotation]) -> Result<(), ServerError> {
        let body = serde_json::to_vec(&json!({ "data": annotations })).unwrap_or_default();
        // Otherwise it answers before it has looked.
        let reply = self.http.send(reqwest::Method::POST, &[path], &[("sync", "true")], Some(body)).await?;
        if reply.is_success() { Ok(()) } else { Err(reply.error()) }
    }
}

fn annotation(record: Feedback, stands: Stands) -> Annotation {
    let sample = match record.sample() {
        0 => String::new(),
        n => format!(" #{n}"),
    };
    let source = record.source.source_id.as_deref().unwrap_or_default();
    let identifier = format!("{IDENTIFIER}{source}{sample}");
    let mut metadata = record.metadata.clone();
    metadata.extend(record.assessment_id.clone().map(|id| ("assessment_id".to_owned(), id)));
    if let Some(error) = &record.error {
        metadata.insert("error_code".to_owned(), error.error_code.as_str().to_owned());
    }
    let result = result(&record, stands);
    Annotation {
        document_position: record.document_index(),
        trace_id: record.trace_id.filter(|_| record.span_id.is_none()),
        span_id: record.span_id,
        name: record.name,
        annotator_kind: match record.source.source_type {
            SourceType::LlmJudge => "LLM",
            SourceType::Human => "HUMAN",
            SourceType::Code | SourceType::Unspecified => "CODE",
        },
        result,
        metadata: json!(metadata),
        identifier,
    }
}

fn result(record: &Feedback, stands: Stands) -> Outcome {
    let explained = |explanation: String| Outcome { explanation: Some(explanation), ..Outcome::default() };
    if let Some(error) = &record.error {
        let message = error.error_message.as_deref().unwrap_or_default();
        return explained(format!("{}: {message}", error.error_code.as_str()));
    }
    let rationale = record.rationale.clone().filter(|text| !text.is_empty());
    if stands == Stands::Rejected {
        return explained(format!("rejected by a person; the judge said: {}", rationale.unwrap_or_default()));
    }
    let (label, score) = match record.value.as_ref().unwrap_or(&Value::Null) {
        Value::Bool(value) => (Some(value.to_string()), Some(f64::from(u8::from(*value)))),
        Value::Number(number) => (None, number.as_f64()),
        Value::String(text) => (Some(text.clone()), None),
        Value::Null => (None, None),
        other => (Some(other.to_string()), None),
    };
    let is_empty = label.is_none() && score.is_none() && rationale.is_none();
    Outcome { label, score, explanation: if is_empty { Some("no verdict".to_owned()) } else { rationale } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feedback::{ErrorCode, FeedbackError, Source};

    fn record(value: Option<Value>) -> Feedback {
        Feedback {
            name: "safety".into(),
            value,
            rationale: Some("so".into()),
            source: Source::llm_judge("openai:/m"),
            trace_id: Some("00ff".into()),
            ..Feedback::default()
        }
    }

    #[test]
    fn verdicts_are_labels_and_scores() {
        let of = |value: Value| {
            let Outcome { label, score, explanation } = result(&record(Some(value)), Stands::Verdict);
            assert_eq!(explanation.as_deref(), Some("so"));
            (label, score)
        };
        assert_eq!(of(json!(true)), (Some("true".into()), Some(1.0)));
        assert_eq!(of(json!(4)), (None, Some(4.0)));
        assert_eq!(of(json!("good")), (Some("good".into()), None));
        assert_eq!(of(json!(["a"])), (Some("[\"a\"]".into()), None));
    }

    #[test]
    fn a_document_is_named_by_its_place_in_the_span() {
        let metadata = [("document_index".to_owned(), "1".to_owned())].into();
        let of_span = Feedback { span_id: Some("0a".into()), metadata, ..record(Some(json!("relevant"))) };
        let sent = serde_json::to_value(annotation(of_span, Stands::Verdict)).unwrap();
        assert_eq!((&sent["span_id"], &sent["document_position"]), (&json!("0a"), &json!(1)));
        assert!(sent.get("trace_id").is_none());
        let of_trace = serde_json::to_value(annotation(record(Some(json!(true))), Stands::Verdict)).unwrap();
        assert!(of_trace.get("document_position").is_none());
    }

    #[test]
    fn neither_a_failure_nor_a_rejected_verdict_has_a_score() {
        let error = FeedbackError {
            error_code: ErrorCode::Timeout.into(),
            error_message: Some("too late".into()),
            stack_trace: None,
        };
        let failed = annotation(Feedback { error: Some(error), ..record(None) }, Stands::Failure);
        assert_eq!(failed.result, Outcome { explanation: Some("TIMEOUT: too late".into()), ..Outcome::default() });
        assert_eq!(failed.metadata["error_code"], "TIMEOUT");
        let rejected = result(&record(Some(json!(false))), Stands::Rejected);
        assert_eq!((rejected.label, rejected.score), (None, None));
        assert_eq!(failed.identifier, "judge-run openai:/m", "a verdict takes its place");
    }
}
