//! A span as it was recorded, and its way through the conventions.

use serde_json::{Value, json};

use crate::dataset::dialects::otel::attributes::Attributes;
use crate::dataset::dialects::otel::events::{self, Event};
use crate::dataset::dialects::otel::{gen_ai, messages, mlflow, openinference, pydantic_ai, traceloop, vercel};
use crate::trace::Span;

/// A span with what no convention has read yet.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    pub span: Span,
    pub attributes: Attributes,
    pub events: Vec<Event>,
}

/// Every convention, the most particular first: what one has found, the later ones leave.
const CONVENTIONS: &[fn(&mut Recorded)] =
    &[mlflow::read, openinference::read, pydantic_ai::read, vercel::read, gen_ai::read, events::read, traceloop::read];

impl Recorded {
    /// The span as the conventions understand it; what they do not take stays among its attributes.
    pub(crate) fn read(mut self) -> Span {
        for convention in CONVENTIONS {
            convention(&mut self);
        }
        self.span.attributes = self.attributes.into_map();
        self.span
    }

    /// Notes what went in, unless that is known.
    pub(crate) fn note_inputs(&mut self, inputs: Option<Value>) {
        self.span.inputs = self.span.inputs.take().or(inputs);
    }

    /// Notes what came out, unless that is known.
    pub(crate) fn note_outputs(&mut self, outputs: Option<Value>) {
        self.span.outputs = self.span.outputs.take().or(outputs);
    }

    /// Notes the messages that went in, unless others are known; none at all are not noted.
    pub(crate) fn note_messages(&mut self, messages: Vec<Value>) {
        if !messages.is_empty() {
            self.note_inputs(Some(json!({ "messages": messages })));
        }
    }

    /// Notes the messages that came out, unless others are known.
    pub(crate) fn note_answer(&mut self, messages: Vec<Value>) {
        self.note_outputs(messages::answer(messages));
    }

    /// Notes the type, unless it is known.
    pub(crate) fn note_type(&mut self, name: &str) {
        if self.span.span_type == Default::default() {
            self.span.span_type = crate::trace::SpanType::new(name);
        }
    }
}

#[cfg(test)]
impl Recorded {
    /// The span with these attributes and nothing else.
    pub(crate) fn with(attributes: &Value) -> Span {
        let attributes = Attributes::new(attributes.as_object().unwrap().clone());
        Self { attributes, ..Self::default() }.read()
    }
}
