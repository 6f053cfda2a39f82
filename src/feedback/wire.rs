//! MLflow's wire form of an assessment: what its REST API accepts and returns, and what `Feedback.to_dictionary()` and
//! `Trace.to_json()` write.
//!
//! Differences from the flat form: `assessment_name` for `name`, value and error inside `feedback`, RFC 3339 times with
//! milliseconds, and expectations as a second kind of assessment.
//! Source: `mlflow/entities/assessment.py` and `mlflow/protos/assessments.proto` (MLflow 3.17).
//!
//! `Assessment.from_dictionary()` reads every record in this form as it is. A server (3.17.2, SQLite) keeps ids, times, overrides and spans, but
//! answers numbers as doubles (4 as 4.0, and nothing beyond 2^53 exactly), leaves empty strings out, keeps the last 10,000 characters of a
//! stack trace, takes an assessment as valid until it gets one that overrides it, and refuses an id that it has with a status of 500.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::feedback::{Feedback, FeedbackError, Source};
use super::fields::{present, string_map};

/// An assessment of either kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Assessment {
    /// How good something was.
    Feedback(Feedback),
    /// What would have been right.
    Expectation(Expectation),
}

/// What a right answer looks like, as recorded on a trace.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Expectation {
    /// The server's id.
    pub assessment_id: Option<String>,
    /// Such as `expected_response`.
    pub name: String,
    /// Any JSON value.
    pub value: Value,
    /// Who said so.
    pub source: Source,
    /// Strings to strings.
    pub metadata: BTreeMap<String, String>,
    /// Milliseconds of Unix time.
    pub create_time_ms: i64,
    /// Milliseconds of Unix time.
    pub last_update_time_ms: i64,
    /// The trace that it belongs to.
    pub trace_id: Option<String>,
    /// The span, if it belongs to one.
    pub span_id: Option<String>,
    /// `Some(false)` once it is no longer in force.
    pub valid: Option<bool>,
}

/// Writes feedback in the wire form: `serde_json::to_string(&Wire(&feedback))`.
#[derive(Debug, Clone, Copy)]
pub struct Wire<'a>(pub &'a Feedback);

#[derive(Serialize, Deserialize)]
struct WireAssessment<F, X> {
    #[serde(skip_serializing_if = "Option::is_none")]
    assessment_id: Option<String>,
    #[serde(default)]
    assessment_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    span_id: Option<String>,
    #[serde(default)]
    source: Source,
    /// Always present, as `from_dictionary()` requires it.
    #[serde(default, with = "rfc3339_ms")]
    create_time: i64,
    #[serde(default, with = "rfc3339_ms")]
    last_update_time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    feedback: Option<F>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expectation: Option<X>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rationale: Option<String>,
    #[serde(default, deserialize_with = "string_map", skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    overrides: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    valid: Option<bool>,
}

#[derive(Serialize)]
struct FeedbackOut<'a> {
    /// Written as `null` next to an error, as in MLflow.
    value: &'a Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: &'a Option<FeedbackError>,
}

#[derive(Deserialize)]
struct FeedbackIn {
    #[serde(default, deserialize_with = "present")]
    value: Option<Value>,
    error: Option<FeedbackError>,
}

/// Scalars are in `value`; lists and objects in `serialized_value`, as JSON text.
#[derive(Serialize, Deserialize)]
struct ExpectationValue {
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    value: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    serialized_value: Option<SerializedValue>,
}

#[derive(Serialize, Deserialize)]
struct SerializedValue {
    serialization_format: String,
    value: String,
}

impl Serialize for Wire<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let feedback = self.0;
        WireAssessment::<_, ()> {
            assessment_id: feedback.assessment_id.clone(),
            assessment_name: feedback.name.clone(),
            trace_id: feedback.trace_id.clone(),
            span_id: feedback.span_id.clone(),
            source: feedback.source.clone(),
            create_time: feedback.create_time_ms,
            last_update_time: feedback.last_update_time_ms,
            feedback: Some(FeedbackOut { value: &feedback.value, error: &feedback.error }),
            expectation: None,
            rationale: feedback.rationale.clone(),
            metadata: feedback.metadata.clone(),
            overrides: feedback.overrides.clone(),
            // MLflow's reader wants it said.
            valid: Some(feedback.valid.unwrap_or(true)),
        }
        .serialize(serializer)
    }
}

impl Serialize for Assessment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let expectation = match self {
            Self::Feedback(feedback) => return Wire(feedback).serialize(serializer),
            Self::Expectation(expectation) => expectation.clone(),
        };
        let value = match expectation.value {
            value @ (Value::Array(_) | Value::Object(_)) => ExpectationValue {
                value: None,
                serialized_value: Some(SerializedValue {
                    serialization_format: "JSON_FORMAT".to_owned(),
                    value: value.to_string(),
                }),
            },
            scalar => ExpectationValue { value: Some(scalar), serialized_value: None },
        };
        WireAssessment::<(), _> {
            assessment_id: expectation.assessment_id,
            assessment_name: expectation.name,
            trace_id: expectation.trace_id,
            span_id: expectation.span_id,
            source: expectation.source,
            create_time: expectation.create_time_ms,
            last_update_time: expectation.last_update_time_ms,
            feedback: None,
            expectation: Some(value),
            rationale: None,
            metadata: expectation.metadata,
            overrides: None,
            valid: expectation.valid,
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Assessment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let wire = WireAssessment::<FeedbackIn, ExpectationValue>::deserialize(deserializer)?;
        match (wire.feedback, wire.expectation) {
            (Some(feedback), None) => Ok(Self::Feedback(Feedback {
                assessment_id: wire.assessment_id,
                name: wire.assessment_name,
                value: match (feedback.value, &feedback.error) {
                    (Some(Value::Null), Some(_)) => None,
                    (None, None) => Some(Value::Null),
                    (value, _) => value,
                },
                error: feedback.error,
                rationale: wire.rationale,
                source: wire.source,
                metadata: wire.metadata,
                create_time_ms: wire.create_time,
                last_update_time_ms: wire.last_update_time,
                trace_id: wire.trace_id,
                span_id: wire.span_id,
                overrides: wire.overrides,
                valid: wire.valid,
            })),
            (None, Some(expectation)) => {
                let value = match (expectation.serialized_value, expectation.value) {
                    (Some(serialized), _) => serde_json::from_str(&serialized.value)
                        .map_err(|error| D::Error::custom(format_args!("expectation.serialized_value: {error}")))?,
                    (None, value) => value.unwrap_or(Value::Null),
                };
                Ok(Self::Expectation(Expectation {
                    assessment_id: wire.assessment_id,
                    name: wire.assessment_name,
                    value,
                    source: wire.source,
                    metadata: wire.metadata,
                    create_time_ms: wire.create_time,
                    last_update_time_ms: wire.last_update_time,
                    trace_id: wire.trace_id,
                    span_id: wire.span_id,
                    valid: wire.valid,
                }))
            }
            (Some(_), Some(_)) => Err(D::Error::custom("the assessment has both `feedback` and `expectation`")),
            (None, None) => Err(D::Error::custom("the assessment has neither `feedback` nor `expectation`")),
        }
    }
}

mod rfc3339_ms {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(ms: &i64, serializer: S) -> Result<S::Ok, S::Error> {
        let time = Timestamp::from_millisecond(*ms).map_err(serde::ser::Error::custom)?;
        serializer.collect_str(&format_args!("{time:.3}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        let time: Timestamp = text.parse().map_err(serde::de::Error::custom)?;
        Ok(time.as_millisecond())
    }
}
