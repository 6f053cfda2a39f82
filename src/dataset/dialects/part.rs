//! Parts of a trace that may have others elsewhere in the dataset.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::dataset::depth::{MAX_DEPTH, flatten, is_deeper};
use crate::trace::{Span, Trace};

/// A part of a trace.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Part {
    /// What is known about the trace itself, with or without spans: it may be a single field next to the id.
    Trace(Trace),
    /// One of its spans.
    Span {
        /// The trace that it belongs to.
        trace_id: String,
        /// The span.
        span: Span,
    },
    /// Messages of a model call that were recorded apart from its span.
    Messages {
        /// The trace that they belong to.
        trace_id: String,
        /// What was recorded.
        messages: SpanMessages,
    },
}

/// Messages of one moment of a span.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SpanMessages {
    pub span_id: String,
    /// In nanoseconds of Unix time.
    pub time: u64,
    /// Messages to the model.
    pub asked: Vec<Value>,
    /// Messages by the model.
    pub answered: Vec<Value>,
}

impl Part {
    /// Makes sure that it can be stored in a file and read back: JSON in texts inside JSON may be nested deeper than that.
    pub(crate) fn flatten(&mut self) {
        match self {
            Self::Trace(trace) => {
                let of_trace = trace.inputs.iter_mut().chain(&mut trace.outputs).chain(trace.expectations.values_mut());
                let of_feedback = trace.assessments.iter_mut().filter_map(|feedback| feedback.value.as_mut());
                of_trace.chain(of_feedback).for_each(flatten_value);
                trace.spans.iter_mut().for_each(flatten_span);
            }
            Self::Span { span, .. } => flatten_span(span),
            Self::Messages { messages, .. } => {
                messages.asked.iter_mut().chain(&mut messages.answered).for_each(flatten_value);
            }
        }
    }
}

fn flatten_span(span: &mut Span) {
    let Span { inputs, outputs, attributes, .. } = span;
    inputs.iter_mut().chain(outputs).chain(attributes.values_mut()).for_each(flatten_value);
}

fn flatten_value(value: &mut Value) {
    if is_deeper(value, MAX_DEPTH) {
        flatten(value, MAX_DEPTH);
    }
}
