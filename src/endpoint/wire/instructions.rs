//! What a judge says to the model about every trace.

use std::ops::Deref;
use std::sync::Arc;

use serde_json::value::{RawValue, to_raw_value};

/// A text that goes into every request of a judge, escaped once for all of them.
#[derive(Debug, Clone)]
pub struct Instructions {
    text: Arc<str>,
    json: Arc<RawValue>,
}

impl Instructions {
    /// # Errors
    /// None known: a text is always valid JSON.
    pub fn new(text: &str) -> Result<Self, serde_json::Error> {
        Ok(Self { text: text.into(), json: to_raw_value(text)?.into() })
    }

    /// The text as JSON.
    pub fn json(&self) -> &RawValue {
        &self.json
    }
}

impl Deref for Instructions {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}
