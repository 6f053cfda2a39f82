//! The record itself, and its flat form: one JSON object per line, exactly as on MLflow's Feedback concept page.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::fields::{present, string_map};
use super::{ErrorCode, Good, RecordedErrorCode};

/// The member of `metadata` by which MLflow recognises feedback on a whole session; it belongs to the session's last trace.
pub const SESSION_METADATA: &str = "mlflow.trace.session";
/// The member of `metadata` that says which of several independent answers it is, unless it is the first.
pub const SAMPLE_METADATA: &str = "sample";
/// The member of `metadata` that says which of the documents that its span found a record is about, from 0.
pub const DOCUMENT_METADATA: &str = "document_index";
/// The member of `metadata` with the number of these documents.
pub const DOCUMENT_COUNT_METADATA: &str = "document_count";
/// How the source of figures of a ranking begins, before the source of the verdicts that they are made of.
pub const RANKING: &str = "ranking:";
/// How the source of a verdict begins that code makes of other verdicts.
pub const AGGREGATE: &str = "aggregate:";
/// The source of the record under a rubric's own name, which follows from the verdicts on its criteria.
pub const ALL_CRITERIA: &str = "aggregate:all";
/// The members of `metadata` with the names of two compared outputs, in the order in which the judge was shown them.
pub const ANSWER_A_METADATA: &str = "answer_a";
/// See [`ANSWER_A_METADATA`].
pub const ANSWER_B_METADATA: &str = "answer_b";
/// The members of `metadata` with the traces of two compared outputs.
pub const TRACE_A_METADATA: &str = "answer_a_trace_id";
/// See [`TRACE_A_METADATA`].
pub const TRACE_B_METADATA: &str = "answer_b_trace_id";
/// The member of `metadata` that says why a verdict was not weighed by the probabilities of its labels, where it should have been: `none` were given, they
/// were `unread`, or too `low`.
pub const NOT_WEIGHED_METADATA: &str = "logprobs";
/// The member of `metadata` with what the prompt began with, unless that is the instructions.
pub const LAYOUT_METADATA: &str = "layout";
/// The member of `metadata` that says in how many orders a pair was shown, if only one.
pub const ORDERS_METADATA: &str = "orders";
/// The member of `metadata` with the model that decided what the first votes of a cascade left open.
pub const DECIDED_BY_METADATA: &str = "decided_by";
/// The verdict that neither of two outputs is better.
pub const TIE: &str = "tie";
/// The member of `metadata` with the session of the trace that a record is about. (One about a session has [`SESSION_METADATA`] instead.)
pub const SESSION_ID_METADATA: &str = "session_id";
/// The member of `metadata` with the id of the record that has the request and the tokens of an answer that this one shares.
pub const ASKED_WITH_METADATA: &str = "asked_with";
/// The member of `metadata` that names the judge's prompt: `prompts:/NAME/VERSION`.
pub const PROMPT_METADATA: &str = "judge_prompt";
/// The member of `metadata` that only verdicts on anchors have: the digest of the file of anchors. They are about the judge, not about the
/// application.
pub const ANCHORS_METADATA: &str = "anchors";
/// The member of `metadata` that changes with the judge's prompt, schema or sampling.
pub const DIGEST_METADATA: &str = "judge_digest";
/// The member of `metadata` that says which verdicts are good.
pub const GOOD_METADATA: &str = "good";
/// The member of `metadata` with the ends of the scale, such as `1..5`.
pub const SCALE_METADATA: &str = "scale";
/// The number for each label of a category, as a JSON object, where the judge declares them.
pub const SCORES_METADATA: &str = "scores";
/// The member of `metadata` with the items of a list of claims, as JSON: `[{"text", "quote", "mark"}]`.
pub const ITEMS_METADATA: &str = "items";
/// The member of `metadata` that says how many of a judge's quotations were found in what it was shown: `3/4`.
pub const EVIDENCE_METADATA: &str = "evidence";
/// The member of `metadata` with those that were not, as a JSON list of at most five.
pub const MISSING_EVIDENCE_METADATA: &str = "evidence_missing";

/// The member of `metadata` that says who rejected a verdict, in the record that marks it.
pub const REJECTED_BY_METADATA: &str = "rejected_by";
/// The member of `metadata` that says who deleted feedback, in the record that marks it: it no longer counts.
pub const DELETED_BY_METADATA: &str = "deleted_by";

/// One opinion, or one failure to get one, about a trace, a span of it or its session.
///
/// This is `mlflow.entities.Feedback`; `Serialize` and `Deserialize` are the flat form of its concept page. For the form that
/// MLflow's REST API and `to_dictionary()` use, see [`super::wire`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Feedback {
    /// `a-` and 32 hex digits in records of ours (see [`super::AssessmentId`]); any string in others'; at most 50 characters
    /// for MLflow.
    pub assessment_id: Option<String>,
    /// What was judged: the judge's name.
    pub name: String,
    /// The verdict: any JSON value. `None` when there is only an error; `Some(Value::Null)` is a verdict of `null`.
    pub value: Option<Value>,
    /// Why there is no verdict.
    pub error: Option<FeedbackError>,
    /// The reasoning behind the verdict.
    pub rationale: Option<String>,
    /// Whose opinion it is.
    pub source: Source,
    /// Facts about the judgment, strings to strings.
    pub metadata: BTreeMap<String, String>,
    /// When the opinion was first recorded, in milliseconds of Unix time.
    pub create_time_ms: i64,
    /// When it last changed, in milliseconds of Unix time.
    pub last_update_time_ms: i64,
    /// What the opinion is about.
    pub trace_id: Option<String>,
    /// The span of the trace, when it is about one.
    pub span_id: Option<String>,
    /// The id of the opinion that this one replaces.
    pub overrides: Option<String>,
    /// `Some(false)` once another opinion replaced this one, or a person rejected it; `None` if absent, which means valid.
    pub valid: Option<bool>,
}

/// A document among those that its span found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocumentPlace {
    /// From 0.
    pub index: u32,
    /// How many there are.
    pub count: u32,
}

/// Why a judgment has no verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedbackError {
    /// The stable name.
    pub error_code: RecordedErrorCode,
    /// The endpoint's or our own message, shortened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// The chain of causes, outermost first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack_trace: Option<String>,
}

/// Whose opinion a feedback is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Source {
    /// What kind of judge.
    #[serde(default)]
    pub source_type: SourceType,
    /// Which one: a model URI for a model, a user name for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_id: Option<String>,
}

impl Source {
    /// The source of a verdict by a model; `model_uri` as in `openai:/gpt-4.1-mini`.
    pub fn llm_judge(model_uri: impl Into<String>) -> Self {
        Self { source_type: SourceType::LlmJudge, source_id: Some(model_uri.into()) }
    }

    /// The source of feedback by a person, such as `anna@example.com`.
    pub fn human(name: impl Into<String>) -> Self {
        Self { source_type: SourceType::Human, source_id: Some(name.into()) }
    }

    /// The source of results of code, such as `aggregate:majority`.
    pub fn code(source_id: impl Into<String>) -> Self {
        Self { source_type: SourceType::Code, source_id: Some(source_id.into()) }
    }
}

/// The kinds of source (MLflow's `AssessmentSourceType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SourceType {
    /// Absent; only in files that are read, never written by judge-run itself.
    #[default]
    Unspecified,
    /// A person.
    Human,
    /// A language model.
    LlmJudge,
    /// A program.
    Code,
}

impl SourceType {
    /// The name in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "SOURCE_TYPE_UNSPECIFIED",
            Self::Human => "HUMAN",
            Self::LlmJudge => "LLM_JUDGE",
            Self::Code => "CODE",
        }
    }

    /// The type with this name, in any case; `AI_JUDGE` is MLflow's deprecated name for `LLM_JUDGE`. An unknown one is unspecified: the
    /// opinion is worth more than its label.
    pub fn from_name(name: &str) -> Self {
        match name.to_ascii_uppercase().as_str() {
            "HUMAN" => Self::Human,
            "LLM_JUDGE" | "AI_JUDGE" => Self::LlmJudge,
            "CODE" => Self::Code,
            _ => Self::Unspecified,
        }
    }
}

impl fmt::Display for SourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for SourceType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for SourceType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|name| Self::from_name(&name))
    }
}

impl Feedback {
    /// Whether the record is a failure: no verdict, for a reason.
    pub fn is_error(&self) -> bool {
        self.error.as_ref().is_some_and(|error| !error.error_code.is_abstention())
    }

    /// Which of several independent answers of one judge and model it is: 0, 1, ...
    pub fn sample(&self) -> u32 {
        self.metadata.get(SAMPLE_METADATA).and_then(|sample| sample.parse().ok()).unwrap_or(0)
    }

    /// Which of the documents that its span found it is about, from 0, if it is about one.
    pub fn document_index(&self) -> Option<u32> {
        self.metadata.get(DOCUMENT_METADATA)?.parse().ok()
    }

    /// The names of the two outputs that it compares, in the order in which the judge was shown them.
    pub fn compared(&self) -> Option<[&str; 2]> {
        let name = |key| self.metadata.get(key).map(String::as_str);
        Some([name(ANSWER_A_METADATA)?, name(ANSWER_B_METADATA)?])
    }

    /// Whether its verdict is good, where it has one and says which are.
    pub fn is_good(&self) -> Option<bool> {
        let good: Good = self.metadata.get(GOOD_METADATA)?.parse().ok()?;
        good.is_good(self.value.as_ref().filter(|_| !self.is_error())?)
    }

    /// Whether someone took it back.
    pub fn is_deleted(&self) -> bool {
        self.valid == Some(false) && self.metadata.contains_key(DELETED_BY_METADATA)
    }

    /// The error's code, if it is one of ours.
    pub fn error_code(&self) -> Option<ErrorCode> {
        match self.error.as_ref()?.error_code {
            RecordedErrorCode::Known(code) => Some(code),
            RecordedErrorCode::Foreign(_) => None,
        }
    }
}

/// The flat form, borrowing for writing and owning for reading.
#[derive(Serialize)]
struct FlatOut<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    assessment_id: &'a Option<String>,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: &'a Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rationale: &'a Option<String>,
    source: &'a Source,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: &'a Option<FeedbackError>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: &'a BTreeMap<String, String>,
    create_time_ms: i64,
    last_update_time_ms: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    span_id: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    overrides: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    valid: &'a Option<bool>,
}

#[derive(Deserialize)]
struct FlatIn {
    assessment_id: Option<String>,
    name: String,
    #[serde(default, deserialize_with = "present")]
    value: Option<Value>,
    rationale: Option<String>,
    #[serde(default)]
    source: Source,
    error: Option<FeedbackError>,
    #[serde(default, deserialize_with = "string_map")]
    metadata: BTreeMap<String, String>,
    #[serde(default)]
    create_time_ms: i64,
    last_update_time_ms: Option<i64>,
    trace_id: Option<String>,
    span_id: Option<String>,
    overrides: Option<String>,
    valid: Option<bool>,
}

impl Serialize for Feedback {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self {
            assessment_id,
            name,
            value,
            error,
            rationale,
            source,
            metadata,
            create_time_ms,
            last_update_time_ms,
            trace_id,
            span_id,
            overrides,
            valid,
        } = self;
        FlatOut {
            assessment_id,
            name,
            value,
            rationale,
            source,
            error,
            metadata,
            create_time_ms: *create_time_ms,
            last_update_time_ms: *last_update_time_ms,
            trace_id,
            span_id,
            overrides,
            valid,
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Feedback {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let flat = FlatIn::deserialize(deserializer)?;
        let value = match (flat.value, &flat.error) {
            (Some(Value::Null), Some(_)) => None,
            (value, _) => value,
        };
        Ok(Self {
            assessment_id: flat.assessment_id,
            name: flat.name,
            value,
            error: flat.error,
            rationale: flat.rationale,
            source: flat.source,
            metadata: flat.metadata,
            create_time_ms: flat.create_time_ms,
            last_update_time_ms: flat.last_update_time_ms.unwrap_or(flat.create_time_ms),
            trace_id: flat.trace_id,
            span_id: flat.span_id,
            overrides: flat.overrides,
            valid: flat.valid,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feedback::read::ReadError;

    #[test]
    fn the_flat_form_is_the_concept_page_example() {
        let feedback = Feedback {
            name: "factual_accuracy".into(),
            value: Some(0.85.into()),
            rationale: Some("3 of 4 facts".into()),
            source: Source::llm_judge("openai:/gpt-4o-mini"),
            metadata: BTreeMap::from([("judge_prompt".into(), "prompts:/factual_accuracy/1".into())]),
            create_time_ms: 1,
            last_update_time_ms: 2,
            trace_id: Some("tr-1".into()),
            ..Feedback::default()
        };
        let text = serde_json::to_string(&feedback).unwrap();
        assert_eq!(
            text,
            r#"{"name":"factual_accuracy","value":0.85,"rationale":"3 of 4 facts","source":{"source_type":"LLM_JUDGE","source_id":"openai:/gpt-4o-mini"},"metadata":{"judge_prompt":"prompts:/factual_accuracy/1"},"create_time_ms":1,"last_update_time_ms":2,"trace_id":"tr-1"}"#
        );
        assert_eq!(Feedback::from_json(&text).unwrap(), feedback);
    }

    #[test]
    fn a_code_of_ours_is_known_and_another_tools_is_not() {
        let code = |code: &str| {
            let source = r#"{"source_type": "LLM_JUDGE", "source_id": "m"}"#;
            let text = format!(
                r#"{{"name": "j", "error": {{"error_code": "{code}"}}, "source": {source}, "create_time_ms": 1, "last_update_time_ms": 1, "trace_id": "t"}}"#
            );
            Feedback::from_json(&text).unwrap().error_code()
        };
        assert_eq!((code("TIMEOUT"), code("SOMETHING_ELSE")), (Some(ErrorCode::Timeout), None));
        assert_eq!(Feedback::default().error_code(), None);
    }

    #[test]
    fn a_null_verdict_is_not_a_missing_one() {
        let null = Feedback::from_json(r#"{"name":"n","value":null,"source":{"source_type":"CODE"}}"#).unwrap();
        assert_eq!(null.value, Some(Value::Null));
        let none = Feedback::from_json(r#"{"name":"n","error":{"error_code":"TIMEOUT"}}"#).unwrap();
        assert_eq!((none.value, none.error.unwrap().error_code), (None, ErrorCode::Timeout.into()));
        let both = Feedback::from_json(r#"{"name":"n","value":null,"error":{"error_code":"TIMEOUT"}}"#).unwrap();
        assert_eq!(both.value, None);
    }

    #[test]
    fn what_is_not_feedback_is_refused_with_the_reason() {
        let error = Feedback::from_json(r#"{"value":1}"#).unwrap_err().to_string();
        assert!(error.contains("missing field `name`"), "{error}");
        let error = Feedback::from_json(r#"{"assessment_name":"x","expectation":{"value":1}}"#).unwrap_err();
        assert!(matches!(error, ReadError::Expectation));
    }
}
