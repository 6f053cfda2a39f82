//! The JSON schema of a judge's answer, in two strengths.

use std::sync::Arc;

use serde_json::value::RawValue;

/// The JSON schema of a judge's answer.
#[derive(Debug, Clone)]
pub struct AnswerSchema {
    plain: Arc<RawValue>,
    bounded: Arc<RawValue>,
}

impl AnswerSchema {
    /// `plain` keeps to what every strict endpoint accepts; `bounded` also limits lengths.
    pub fn new(plain: Box<RawValue>, bounded: Box<RawValue>) -> Self {
        Self { plain: plain.into(), bounded: bounded.into() }
    }

    /// Whether bounds make a difference.
    pub fn has_bounds(&self) -> bool {
        self.bounded.get() != self.plain.get()
    }

    /// The schema to send: with bounds or without.
    pub fn json(&self, with_bounds: bool) -> &RawValue {
        if with_bounds { &self.bounded } else { &self.plain }
    }
}

impl From<Box<RawValue>> for AnswerSchema {
    /// A schema that has no bounds to leave out.
    fn from(schema: Box<RawValue>) -> Self {
        let plain: Arc<RawValue> = schema.into();
        Self { bounded: Arc::clone(&plain), plain }
    }
}
