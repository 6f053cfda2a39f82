//! An assessment as a client sends it.

use serde_json::{Map, Value};

use super::access::{Application, Rights};
use super::error::ApiError;
use crate::feedback::wire::{Assessment, Wire};
use crate::feedback::{AssessmentId, DELETED_BY_METADATA, Feedback, IdHasher, REJECTED_BY_METADATA, SourceType};

/// The longest names, ids and sources, as in MLflow's database.
const MAX_NAME: usize = 250;
const MAX_ID: usize = 50;
/// The member of `metadata` that says which application feedback came through. Clients do not see it.
pub const RECEIVED_METADATA: &str = "received_by";
/// What no client says.
const SERVERS_OWN: [&str; 3] = [RECEIVED_METADATA, REJECTED_BY_METADATA, DELETED_BY_METADATA];

/// What a request is to create.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct New {
    pub feedback: Feedback,
    /// Whether the client said when it was made.
    pub has_time: bool,
}

/// What a request is to change.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Change {
    patch: Feedback,
    fields: Vec<Field>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Name,
    Feedback,
    Rationale,
    Metadata,
}

impl New {
    /// Reads the body of a request to create. The trace is that of the address. `key` is the client's own for this request
    /// (`Idempotency-Key`). Without an id, feedback that says when it was made gets an id from its content, so that a client that repeats a request
    /// after a lost answer does not double it.
    pub(super) fn read(
        body: &[u8],
        trace_id: &str,
        application: &Application,
        key: Option<&str>,
        now_ms: i64,
    ) -> Result<Self, ApiError> {
        let assessment = member(body)?;
        let has_time = assessment.contains_key("create_time");
        let mut feedback = feedback_of(assessment, now_ms)?;
        if let Some(key) = SERVERS_OWN.iter().find(|key| feedback.metadata.contains_key(**key)) {
            return Err(ApiError::invalid(format!("The metadata key '{key}' is the server's own")));
        }
        check(&feedback, application)?;
        feedback.trace_id = Some(trace_id.to_owned());
        feedback.valid = None;
        feedback.metadata.insert(RECEIVED_METADATA.to_owned(), application.name.clone());
        if feedback.assessment_id.is_none() {
            feedback.assessment_id = match key {
                Some(key) => {
                    let mut hasher = IdHasher::new("judge-run intake key 1");
                    let hasher = hasher.part(application.name.as_bytes()).part(trace_id.as_bytes());
                    Some(hasher.part(key.as_bytes()).finish().to_string())
                }
                None if has_time => Some(id_of_content(&feedback).to_string()),
                None => judge_run_web::random_id().map(|id| format!("a-{id}")),
            };
        }
        Ok(Self { feedback, has_time })
    }

    /// Whether a record is what this would have created.
    pub(super) fn is(&self, recorded: &Feedback) -> bool {
        let of = |feedback: &Feedback| {
            let mut feedback = feedback.clone();
            feedback.last_update_time_ms = 0;
            if !self.has_time {
                feedback.create_time_ms = 0;
            }
            feedback
        };
        of(&self.feedback) == of(recorded)
    }
}

/// Repeated requests are the same feedback if a client that sends the time sends the same content.
fn id_of_content(feedback: &Feedback) -> AssessmentId {
    let timeless = Feedback { last_update_time_ms: 0, ..feedback.clone() };
    let text = serde_json::to_vec(&timeless).unwrap_or_default();
    IdHasher::new("judge-run intake content 1").part(&text).finish()
}

fn check(feedback: &Feedback, application: &Application) -> Result<(), ApiError> {
    let Feedback { assessment_id, name, source, overrides, span_id, .. } = feedback;
    if name.is_empty() {
        return Err(ApiError::invalid("Missing value for required parameter 'assessment_name'"));
    }
    let texts = [("assessment_name", Some(name), MAX_NAME), ("source_id", source.source_id.as_ref(), MAX_NAME)];
    let ids = [("assessment_id", assessment_id), ("overrides", overrides), ("span_id", span_id)];
    let ids = ids.map(|(what, id)| (what, id.as_ref(), MAX_ID));
    for (what, text, most) in texts.into_iter().chain(ids) {
        let Some(text) = text else { continue };
        if text.chars().count() > most {
            return Err(ApiError::invalid(format!("'{what}' is longer than {most} characters")));
        }
        if text.chars().any(char::is_control) {
            return Err(ApiError::invalid(format!("'{what}' has a control character")));
        }
    }
    if assessment_id.as_ref().is_some_and(String::is_empty) {
        return Err(ApiError::invalid("'assessment_id' is empty"));
    }
    if application.rights == Rights::PostOnly {
        if overrides.is_some() {
            return Err(ApiError::denied("This token may not override feedback"));
        }
        if source.source_type == SourceType::LlmJudge {
            return Err(ApiError::denied("This token may not post a model's feedback"));
        }
    }
    Ok(())
}

impl Change {
    /// Reads the body of a request to change. Only what `update_mask` names changes.
    pub(super) fn read(body: &[u8], now_ms: i64) -> Result<Self, ApiError> {
        let mask = object(body)?.get("update_mask").or(object(body)?.get("updateMask")).cloned();
        let Some(Value::String(mask)) = mask else {
            return Err(ApiError::invalid("Missing value for required parameter 'update_mask'"));
        };
        let field = |name: &str| match name.trim() {
            "assessmentName" | "assessment_name" => Ok(Field::Name),
            "feedback" => Ok(Field::Feedback),
            "rationale" => Ok(Field::Rationale),
            "metadata" => Ok(Field::Metadata),
            "expectation" => Err(ApiError::invalid("Cannot update expectation value on a Feedback assessment.")),
            other => Err(ApiError::invalid(format!("'{other}' cannot be updated"))),
        };
        let fields =
            mask.split(',').filter(|name| !name.trim().is_empty()).map(field).collect::<Result<Vec<_>, _>>()?;
        let mut assessment = member(body)?;
        let has_feedback = assessment.contains_key("feedback");
        if fields.contains(&Field::Feedback) && !has_feedback {
            return Err(ApiError::invalid("Missing value for required parameter 'feedback'"));
        }
        if !has_feedback {
            assessment.insert("feedback".to_owned(), Value::Object(Map::new()));
        }
        // What is not said stays as it is.
        assessment.entry("source").or_insert_with(|| serde_json::json!({"source_type": "HUMAN"}));
        let patch = feedback_of(assessment, now_ms)?;
        Ok(Self { patch, fields })
    }

    /// The record with the change, which is another line of its id.
    pub(super) fn apply(&self, mut record: Feedback) -> Result<Feedback, ApiError> {
        let Self { patch, fields } = self;
        for field in fields {
            match field {
                Field::Name if patch.name == record.name || patch.name.is_empty() => {}
                Field::Name => {
                    return Err(ApiError::invalid(
                        "The name of feedback cannot change: delete it, and create it under the other name",
                    ));
                }
                Field::Feedback => (record.value, record.error) = (patch.value.clone(), patch.error.clone()),
                Field::Rationale => record.rationale.clone_from(&patch.rationale),
                Field::Metadata => {
                    let theirs = patch.metadata.iter().filter(|(key, _)| !SERVERS_OWN.contains(&key.as_str()));
                    record.metadata.extend(theirs.map(|(key, value)| (key.clone(), value.clone())));
                }
            }
        }
        record.last_update_time_ms = patch.last_update_time_ms.max(record.last_update_time_ms);
        Ok(record)
    }
}

fn object(body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    let missing = || ApiError::invalid("Missing value for required parameter 'assessment'");
    serde_json::from_slice(body).map_err(|_| missing())
}

/// The assessment in a body, its names as protocol buffers spell them. JSON of protocol buffers may spell them in camel case, too.
fn member(body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    let Some(Value::Object(assessment)) = object(body)?.remove("assessment") else {
        return Err(ApiError::invalid("Missing value for required parameter 'assessment'"));
    };
    let mut assessment = snake_cased(assessment);
    // Absent members may be null.
    assessment.retain(|_, value| !value.is_null());
    for inner in ["source", "feedback"] {
        if let Some(Value::Object(fields)) = assessment.get_mut(inner) {
            *fields = snake_cased(std::mem::take(fields));
            if let Some(Value::Object(error)) = fields.get_mut("error") {
                *error = snake_cased(std::mem::take(error));
            }
        }
    }
    Ok(assessment)
}

fn snake_cased(fields: Map<String, Value>) -> Map<String, Value> {
    let name = |name: String| {
        let mut snake = String::with_capacity(name.len() + 2);
        for c in name.chars() {
            if c.is_ascii_uppercase() {
                snake.push('_');
            }
            snake.push(c.to_ascii_lowercase());
        }
        snake
    };
    fields.into_iter().map(|(key, value)| (name(key), value)).collect()
}

/// Feedback with a valid source. MLflow's server treats a misspelt source as missing, and then no one knows whose opinion it is.
fn feedback_of(mut assessment: Map<String, Value>, now_ms: i64) -> Result<Feedback, ApiError> {
    if !assessment.contains_key("feedback") {
        let kind = ["expectation", "issue"].into_iter().find(|kind| assessment.contains_key(*kind));
        return Err(ApiError::invalid(match kind {
            Some(kind) => format!("Unsupported assessment type: {kind}; this server stores only feedback"),
            None => "Unknown assessment type: None".to_owned(),
        }));
    }
    assessment.retain(|name, _| !matches!(name.as_str(), "expectation" | "issue"));
    let Some(Value::Object(source)) = assessment.get_mut("source") else {
        return Err(ApiError::invalid("Missing value for required parameter 'source'"));
    };
    let source_type = match source.get("source_type") {
        Some(Value::String(name)) => SourceType::from_name(name),
        // The numbers of the protocol buffer.
        Some(Value::Number(number)) => match number.as_u64() {
            Some(1) => SourceType::Human,
            Some(2) => SourceType::LlmJudge,
            Some(3) => SourceType::Code,
            _ => SourceType::Unspecified,
        },
        _ => SourceType::Unspecified,
    };
    if source_type == SourceType::Unspecified {
        return Err(ApiError::invalid("'source_type' must be HUMAN, LLM_JUDGE or CODE"));
    }
    source.insert("source_type".to_owned(), source_type.as_str().into());
    let (no_create, no_update) =
        (!assessment.contains_key("create_time"), !assessment.contains_key("last_update_time"));
    match serde_json::from_value(Value::Object(assessment)) {
        Ok(Assessment::Feedback(feedback)) => {
            let create_time_ms = if no_create { now_ms } else { feedback.create_time_ms };
            let last_update_time_ms = if no_update { create_time_ms } else { feedback.last_update_time_ms };
            Ok(Feedback { create_time_ms, last_update_time_ms, ..feedback })
        }
        Ok(Assessment::Expectation(_)) => Err(ApiError::invalid("Unsupported assessment type: expectation")),
        Err(error) => Err(ApiError::invalid(format!("Invalid assessment: {error}"))),
    }
}

/// The body of an answer.
pub(super) fn shown(feedback: &Feedback) -> String {
    let mut feedback = feedback.clone();
    feedback.metadata.remove(RECEIVED_METADATA);
    serde_json::to_string(&serde_json::json!({"assessment": Wire(&feedback)})).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn application(rights: Rights) -> Application {
        Application { name: "shop".into(), rights }
    }

    fn read(assessment: &Value) -> Result<New, ApiError> {
        let body = json!({"assessment": assessment}).to_string();
        New::read(body.as_bytes(), "tr-1", &application(Rights::Full), None, 7)
    }

    fn thumbs() -> Value {
        json!({"assessment_name": "helpful", "source": {"source_type": "HUMAN", "source_id": "anna"}, "feedback": {"value": true}})
    }

    fn with(key: &str, value: Value) -> Value {
        let mut assessment = thumbs();
        assessment[key] = value;
        assessment
    }

    #[test]
    fn the_address_says_the_trace_and_the_server_the_rest() {
        let new = read(&with("trace_id", json!("tr-other"))).unwrap().feedback;
        assert_eq!((new.trace_id.as_deref(), new.create_time_ms, new.last_update_time_ms), (Some("tr-1"), 7, 7));
        let body: Value = serde_json::from_str(&shown(&new)).unwrap();
        assert_eq!(body["assessment"]["feedback"], json!({"value": true}));
        assert_eq!((&body["assessment"]["valid"], &body["assessment"]["metadata"]), (&json!(true), &Value::Null));
    }

    #[test]
    fn a_client_that_says_the_time_has_one_id_for_one_content() {
        let id = |assessment: &Value| read(assessment).unwrap().feedback.assessment_id.unwrap();
        let timed = with("create_time", json!("2026-11-23T12:49:56.378Z"));
        assert_eq!(id(&timed), id(&timed));
        let mut other = timed.clone();
        other["feedback"]["value"] = json!(false);
        assert_ne!(id(&timed), id(&other));
        assert_ne!(id(&thumbs()), id(&thumbs()), "several users may say the same");
        assert_eq!(id(&with("assessment_id", json!("a-1"))), "a-1");
        let keyed = |key| {
            New::read(
                json!({"assessment": thumbs()}).to_string().as_bytes(),
                "tr-1",
                &application(Rights::Full),
                Some(key),
                7,
            )
        };
        let id = |key| keyed(key).unwrap().feedback.assessment_id;
        assert!(id("k") == id("k") && id("k") != id("l"));
    }

    #[test]
    fn protocol_buffers_json_in_either_spelling_is_read() {
        let camel = json!({"assessmentName": "helpful", "source": {"sourceType": 2, "sourceId": "m"}, "spanId": "s",
            "feedback": {"value": null, "error": {"errorCode": "TIMEOUT", "errorMessage": "x"}}, "createTime": "2026-11-23T12:49:56Z"});
        let feedback = read(&camel).unwrap().feedback;
        assert_eq!((feedback.source.source_type, feedback.span_id.as_deref()), (SourceType::LlmJudge, Some("s")));
        assert_eq!((feedback.value, feedback.error.unwrap().error_code.as_str()), (None, "TIMEOUT"));
        assert_eq!(read(&with("feedback", json!({}))).unwrap().feedback.value, Some(Value::Null));
    }

    #[test]
    fn what_would_be_kept_wrongly_is_refused() {
        for (key, value) in [
            ("assessment_name", json!("")),
            ("assessment_name", json!("x".repeat(251))),
            (
                "assessment_name",
                json!(
                    "a
b"
                ),
            ),
            ("source", json!({"source_type": "human being"})),
            ("source", Value::Null),
            ("feedback", Value::Null),
            ("feedback", json!(true)),
            ("create_time", json!(5)),
            ("assessment_id", json!("x".repeat(51))),
            ("metadata", json!({"received_by": "other"})),
        ] {
            let error = read(&with(key, value.clone())).unwrap_err();
            assert_eq!(error.answer().status, 400, "{key} {value}");
        }
        for body in ["", "{}", "[]", "nonsense", r#"{"assessment": 1}"#] {
            let error = New::read(body.as_bytes(), "t", &application(Rights::Full), None, 0).unwrap_err();
            assert_eq!(error, ApiError::invalid("Missing value for required parameter 'assessment'"));
        }
    }

    #[test]
    fn a_public_token_overrides_nothing() {
        let post = |assessment: &Value| {
            let body = json!({"assessment": assessment}).to_string();
            New::read(body.as_bytes(), "tr-1", &application(Rights::PostOnly), None, 7)
        };
        assert!(post(&thumbs()).is_ok());
        assert_eq!(post(&with("overrides", json!("a-1"))).unwrap_err().answer().status, 403);
        assert_eq!(post(&with("source", json!({"source_type": "LLM_JUDGE"}))).unwrap_err().answer().status, 403);
    }

    #[test]
    fn only_what_the_mask_names_changes() {
        let record =
            Feedback { rationale: Some("old".into()), ..read(&with("metadata", json!({"a": "1"}))).unwrap().feedback };
        let patch = json!({"assessment_name": "helpful", "feedback": {"value": false}, "rationale": "new", "metadata": {"b": "2", "received_by": "x"}});
        let change = |mask: &str| {
            let body = json!({"assessment": patch, "update_mask": mask}).to_string();
            Change::read(body.as_bytes(), 9)?.apply(record.clone())
        };
        let all = change("assessmentName,feedback,rationale,metadata").unwrap();
        assert_eq!(
            (all.value, all.rationale.as_deref(), all.last_update_time_ms, all.create_time_ms),
            (Some(json!(false)), Some("new"), 9, 7)
        );
        let keys: Vec<_> = all.metadata.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(keys, [("a", "1"), ("b", "2"), ("received_by", "shop")]);
        let some = change("rationale").unwrap();
        assert_eq!((some.value, some.rationale.as_deref()), (Some(json!(true)), Some("new")));
        assert!(change("valid").is_err() && change("expectation").is_err());
    }
}
