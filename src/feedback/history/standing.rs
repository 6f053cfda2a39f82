//! How an opinion stands.

use serde_json::Value;

use crate::feedback::{ErrorCode, Feedback, IdHasher, RecordedErrorCode};

/// How a judgment, or a whole opinion, stands in a log.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Standing {
    /// A verdict: a number, 0 or 1 for a boolean.
    Number(f64),
    /// A verdict: a text, as its hash (see [`Standing::label_hash`]).
    Label(u64),
    /// There is a verdict of another form.
    Other,
    /// The judge chose not to say.
    Abstained,
    /// It failed.
    Failed {
        /// The code; `None` if it is not one of ours.
        code: Option<ErrorCode>,
        /// When the failure was first recorded (Unix milliseconds).
        create_time_ms: i64,
    },
    /// A verdict that a person rejected.
    Rejected {
        /// When it was first recorded (Unix milliseconds).
        create_time_ms: i64,
    },
}

impl Standing {
    /// How a record stands by itself.
    pub fn of(feedback: &Feedback) -> Self {
        let create_time_ms = feedback.create_time_ms;
        match &feedback.error {
            Some(error) if !error.error_code.is_abstention() => Self::failed(&error.error_code, create_time_ms),
            _ if feedback.valid == Some(false) => Self::Rejected { create_time_ms },
            Some(_) => Self::Abstained,
            None => Self::of_value(feedback.value.as_ref()),
        }
    }

    /// The standing of a verdict that nothing is wrong with.
    pub(super) fn of_value(value: Option<&Value>) -> Self {
        match value {
            Some(Value::Bool(value)) => Self::Number(f64::from(u8::from(*value))),
            Some(Value::Number(number)) => number.as_f64().map_or(Self::Other, Self::Number),
            Some(Value::String(label)) => Self::Label(Self::label_hash(label)),
            _ => Self::Other,
        }
    }

    pub(crate) fn failed(code: &RecordedErrorCode, create_time_ms: i64) -> Self {
        let code = match code {
            RecordedErrorCode::Known(code) => Some(*code),
            RecordedErrorCode::Foreign(_) => None,
        };
        Self::Failed { code, create_time_ms }
    }

    /// The hash of a label.
    pub fn label_hash(label: &str) -> u64 {
        IdHasher::new("judge-run label 1").part(label.as_bytes()).finish_u64()
    }
}
