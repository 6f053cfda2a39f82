//! Langfuse: feedback as scores of traces, observations and sessions, and people's scores as feedback.
//!
//! A score with an existing id replaces it; each opinion has one id, so whatever is sent twice is stored once. A score has a value: a failure has
//! none, and is left out.
//!
//! Source: Langfuse's public API, `POST /api/public/scores`, `DELETE /api/public/scores/{scoreId}`, `GET /api/public/v3/scores` (since 3.179) and
//! `GET /api/public/v2/scores`.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};

use super::http::Http;
use super::receiving::of_people;
use super::sending::{Sent, opinion_id, standing};
use crate::endpoint::config::EndpointConfig;
use crate::feedback::log::{OpenError, StandingRecords, Stands};
use crate::feedback::{Feedback, SESSION_METADATA};
use crate::judge::redact::Redact;
use crate::servers::ServerError;

/// A Langfuse server, cloud or own.
#[derive(Debug)]
pub struct Langfuse {
    http: Http,
}

/// Scores in one answer.
const PAGE: &str = "100";

#[derive(Deserialize)]
struct Page {
    data: Vec<Value>,
    meta: Meta,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    cursor: Option<String>,
    page: Option<u64>,
    total_pages: Option<u64>,
}

enum Step {
    Put(Value),
    /// A rejected verdict.
    Delete(String),
}

impl Langfuse {
    /// The server at this address, with `LANGFUSE_PUBLIC_KEY` and `LANGFUSE_SECRET_KEY`. Nothing is sent yet.
    ///
    /// # Errors
    /// When the address cannot be used.
    pub fn new(address: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, ServerError> {
        let mut endpoint = EndpointConfig::new("langfuse", address);
        if let (Some(public), Some(secret)) = (variable("LANGFUSE_PUBLIC_KEY"), variable("LANGFUSE_SECRET_KEY")) {
            let basic = format!("Basic {}", STANDARD.encode(format!("{}:{}", public.trim(), secret.trim())));
            endpoint.headers.push(("Authorization".to_owned(), basic.into()));
            endpoint.secrets.push(SecretString::from(secret));
        }
        Http::new(&endpoint, Ok).map(|http| Self { http })
    }

    /// Where it is, as it may be shown.
    pub fn address(&self) -> &str {
        self.http.address()
    }

    /// The names of the projects that the keys are for.
    ///
    /// # Errors
    /// When it does not answer, or refuses the keys.
    pub async fn projects(&self) -> Result<Vec<String>, ServerError> {
        #[derive(Deserialize)]
        struct Projects {
            data: Vec<Project>,
        }
        #[derive(Deserialize)]
        struct Project {
            name: String,
        }
        let projects: Projects = self.http.get(&["api/public/projects"], &[]).await?;
        Ok(projects.data.into_iter().map(|project| project.name).collect())
    }

    /// People's feedback in Langfuse about these traces and their observations. Scores of sessions are about no trace, and are left out.
    ///
    /// # Errors
    /// When it does not answer, or refuses the keys.
    pub async fn people(&self, traces: &BTreeSet<String>, now_ms: i64) -> Result<Vec<Feedback>, ServerError> {
        let mut found = Vec::new();
        // With a cursor since 3.179, with page numbers before.
        let (mut path, mut next) = ("api/public/v3/scores", None::<String>);
        loop {
            let mut query = vec![("source", "ANNOTATION"), ("limit", PAGE)];
            match path {
                "api/public/v3/scores" => {
                    query.push(("fields", "details,subject,annotation"));
                    query.extend(next.as_deref().map(|cursor| ("cursor", cursor)));
                }
                _ => query.extend(next.as_deref().map(|page| ("page", page))),
            }
            let Page { data, meta } = match self.http.get(&[path], &query).await {
                Err(error) if next.is_none() && path.contains("v3") && matches!(error.status(), Some(400 | 404)) => {
                    path = "api/public/v2/scores";
                    continue;
                }
                page => page?,
            };
            let is_last = data.is_empty();
            found.extend(of_people(&data, traces, now_ms));
            next = match meta {
                _ if is_last => None,
                Meta { cursor: Some(cursor), .. } => Some(cursor),
                Meta { page: Some(page), total_pages: Some(total), .. } if page < total => Some((page + 1).to_string()),
                _ => None,
            };
            if next.is_none() {
                return Ok(found);
            }
        }
    }

    /// Sends the present state of a log; the score of a rejected verdict is deleted.
    ///
    /// # Errors
    /// When the log cannot be read. The server's part is in the result.
    pub async fn push(&self, records: &mut StandingRecords, redact: Option<&Redact>) -> Result<Sent, OpenError> {
        let mut sent = Sent::default();
        let mut steps = Vec::new();
        standing(records, redact, |stands, record| {
            sent.records += 1;
            match step(&record, stands) {
                Ok(step) => steps.push(step),
                Err(why) => *sent.left_out.entry(why).or_default() += 1,
            }
        })?;
        for step in steps {
            let result = match step {
                Step::Put(score) => self.http.send_json(Method::POST, &["api/public/scores"], &score).await,
                Step::Delete(id) => self.http.send(Method::DELETE, &["api/public/scores", &id], &[], None).await,
            };
            let result = result.and_then(|reply| match reply.status {
                // What never existed need not be deleted.
                404 => Ok(()),
                _ if reply.is_success() => Ok(()),
                _ => Err(reply.error()),
            });
            if !sent.add(result) {
                break;
            }
        }
        Ok(sent)
    }
}

/// What to do for a record, or why nothing can be done.
fn step(record: &Feedback, stands: Stands) -> Result<Step, &'static str> {
    let id = opinion_id(record);
    if stands == Stands::Rejected {
        return Ok(Step::Delete(id));
    }
    let (value, data_type) = match record.value.as_ref().filter(|_| !record.is_error()) {
        None => return Err("failures"),
        Some(Value::Null) => return Err("verdicts of null"),
        Some(Value::Bool(value)) => (json!(u8::from(*value)), "BOOLEAN"),
        Some(Value::Number(number)) => (json!(number), "NUMERIC"),
        Some(Value::String(text)) => (json!(text), "CATEGORICAL"),
        Some(_) => return Err("lists and objects"),
    };
    let mut metadata = record.metadata.clone();
    metadata.insert("source_id".to_owned(), record.source.source_id.clone().unwrap_or_default());
    metadata.extend(record.assessment_id.clone().map(|id| ("assessment_id".to_owned(), id)));
    let mut score = json!({
        "id": id, "name": record.name, "value": value, "dataType": data_type, "metadata": metadata,
    });
    match (record.metadata.get(SESSION_METADATA), &record.trace_id) {
        (Some(session), _) => score["sessionId"] = json!(session),
        (None, Some(trace)) => score["traceId"] = json!(trace),
        (None, None) => return Err("without a trace"),
    }
    if let Some(span) = &record.span_id {
        score["observationId"] = json!(span);
    }
    if let Some(rationale) = record.rationale.as_ref().filter(|text| !text.is_empty()) {
        score["comment"] = json!(rationale);
    }
    Ok(Step::Put(score))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feedback::Source;

    fn record(value: Option<Value>) -> Feedback {
        Feedback {
            assessment_id: Some("a-1".into()),
            name: "safety".into(),
            value,
            source: Source::llm_judge("openai:/m"),
            trace_id: Some("t".into()),
            ..Feedback::default()
        }
    }

    fn score(value: Value) -> Value {
        match step(&record(Some(value)), Stands::Verdict) {
            Ok(Step::Put(score)) => score,
            _ => panic!("no score"),
        }
    }

    #[test]
    fn a_verdict_has_the_type_that_langfuse_knows_and_an_id_of_its_opinion() {
        let (yes, four, good) = (score(json!(true)), score(json!(4)), score(json!("good")));
        assert_eq!((&yes["value"], &yes["dataType"]), (&json!(1), &json!("BOOLEAN")));
        assert_eq!((&four["value"], &four["dataType"]), (&json!(4), &json!("NUMERIC")));
        assert_eq!((&good["value"], &good["dataType"]), (&json!("good"), &json!("CATEGORICAL")));
        assert_eq!(yes["id"], four["id"], "a later verdict replaces an earlier one");
        let other = Feedback { trace_id: Some("u".into()), ..record(None) };
        assert_ne!(yes["id"], opinion_id(&other));
    }

    #[test]
    fn what_has_no_value_is_left_out_with_the_reason() {
        assert_eq!(step(&record(None), Stands::Failure).err(), Some("failures"));
        assert_eq!(step(&record(Some(json!([]))), Stands::Verdict).err(), Some("lists and objects"));
        assert!(matches!(step(&record(Some(json!(true))), Stands::Rejected), Ok(Step::Delete(_))));
        let of_session =
            Feedback { metadata: [(SESSION_METADATA.to_owned(), "s".to_owned())].into(), ..record(Some(json!(true))) };
        let Ok(Step::Put(score)) = step(&of_session, Stands::Verdict) else { panic!("no score") };
        assert_eq!((&score["sessionId"], score.get("traceId")), (&json!("s"), None));
    }
}
