//! A span as it was recorded, and what conventions have found in it so far.

use serde_json::{Value, json};

use crate::dataset::dialects::messages;
use crate::dataset::dialects::otel::attributes::Attributes;
use crate::trace::{Span, SpanType};

/// A span with what conventions have not read yet.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    pub span: Span,
    pub attributes: Attributes,
    pub events: Vec<Event>,
}

/// Something that happened during a span.
#[derive(Debug)]
pub(crate) struct Event {
    pub name: String,
    pub attributes: Attributes,
}

impl Recorded {
    /// Sets the inputs, unless known.
    pub(crate) fn note_inputs(&mut self, inputs: Option<Value>) {
        self.span.inputs = self.span.inputs.take().or(inputs);
    }

    /// Sets the outputs, unless known.
    pub(crate) fn note_outputs(&mut self, outputs: Option<Value>) {
        self.span.outputs = self.span.outputs.take().or(outputs);
    }

    /// Sets the input messages, unless others are known; an empty list is ignored.
    pub(crate) fn note_messages(&mut self, messages: Vec<Value>) {
        if !messages.is_empty() {
            self.note_inputs(Some(json!({ "messages": messages })));
        }
    }

    /// Sets the output messages, unless others are known.
    pub(crate) fn note_answer(&mut self, messages: Vec<Value>) {
        self.note_outputs(messages::answer(messages));
    }

    /// Notes the type, unless it is known.
    pub(crate) fn note_type(&mut self, name: &str) {
        if self.span.span_type == SpanType::default() {
            self.span.span_type = SpanType::new(name);
        }
    }
}

#[cfg(test)]
impl Recorded {
    /// A span with these attributes and nothing else.
    pub(crate) fn with(attributes: &Value) -> Self {
        let attributes = Attributes::new(attributes.as_object().unwrap().clone());
        Self { attributes, ..Self::default() }
    }

    /// What a convention finds in it.
    pub(crate) fn read_by(mut self, convention: fn(&mut Self)) -> Span {
        convention(&mut self);
        self.span.attributes = self.attributes.into_map();
        self.span
    }
}
