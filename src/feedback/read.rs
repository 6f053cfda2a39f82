//! Reading a record, whichever form it has.

use serde::Deserialize;

use super::feedback::Feedback;
use super::wire::Assessment;

/// A text that is not feedback.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Not JSON, or a field is missing or of the wrong type.
    #[error("not a feedback record: {0}")]
    Json(#[from] serde_json::Error),
    /// An assessment of the other kind: what a right answer would be, not how good one was.
    #[error("the assessment is an expectation, not feedback")]
    Expectation,
}

impl Feedback {
    /// Reads one record in either form: the flat one, or MLflow's wire form (bare or inside `{"assessment": ...}`).
    ///
    /// # Errors
    /// When the text is not JSON, or the object is neither form of feedback.
    pub fn from_json(text: &str) -> Result<Self, ReadError> {
        // A quick look decides the form, so that serde's message is about the right one.
        #[derive(Deserialize)]
        struct Shape<'a> {
            #[serde(borrow)]
            assessment: Option<&'a serde_json::value::RawValue>,
            #[serde(borrow)]
            assessment_name: Option<&'a serde_json::value::RawValue>,
        }
        let shape: Shape<'_> = serde_json::from_str(text)?;
        let wire = match (shape.assessment, shape.assessment_name) {
            (Some(inner), _) => inner.get(),
            (None, Some(_)) => text,
            (None, None) => return Ok(serde_json::from_str(text)?),
        };
        match serde_json::from_str::<Assessment>(wire)? {
            Assessment::Feedback(feedback) => Ok(feedback),
            Assessment::Expectation(_) => Err(ReadError::Expectation),
        }
    }
}
