//! The fields of a trace, as [`Trace`] serializes them and people write them.

use serde_json::{Map, Value};

use crate::dataset::dialects::fields::{count, facts, labels, list, object, text};
use crate::dataset::dialects::span::{self, Style};
use crate::dataset::dialects::times;
use crate::dataset::json;
use crate::dataset::notice::Notices;
use crate::dataset::python;
use crate::trace::{Span, SpanType, TokenUsage, Trace, TraceState};

/// Every field.
pub(crate) const FIELDS: [&str; 15] = [
    "trace_id",
    "inputs",
    "outputs",
    "expectations",
    "documents",
    "spans",
    "tags",
    "metadata",
    "session_id",
    "user",
    "state",
    "request_time",
    "request_time_ms",
    "execution_duration_ms",
    "token_usage",
];

/// The trace, even if incomplete, and the fields that no trace has.
pub(crate) fn read(fields: Map<String, Value>, notices: &mut Notices) -> Result<(Trace, Map<String, Value>), String> {
    let mut trace = Trace::default();
    let mut documents = None;
    let mut rest = Map::new();
    for (key, value) in fields {
        let name = key.as_str();
        match name {
            "trace_id" => trace.trace_id = text(name, value)?.unwrap_or_default(),
            "inputs" => trace.inputs = Some(value),
            "outputs" => trace.outputs = Some(value),
            "expectations" => trace.expectations = object(name, value)?,
            "documents" => documents = Some(value),
            "spans" => trace.spans = span::read_all(list(name, "a list of objects", value)?, Style::Plain, notices)?,
            "tags" => trace.tags = labels(name, value)?,
            "metadata" => trace.metadata = facts(name, value),
            "session_id" => trace.session_id = text(name, value)?,
            "user" => trace.user = text(name, value)?,
            "state" => trace.state = TraceState::from_name(&text(name, value)?.unwrap_or_default()),
            "request_time" => trace.request_time_ms = times::ms(name, &value, notices),
            "request_time_ms" => trace.request_time_ms = times::exact_ms(name, &value, notices),
            "execution_duration_ms" => trace.execution_duration_ms = count(name, value)?,
            "token_usage" => trace.token_usage = Some(token_usage(name, value)?),
            _ => drop(rest.insert(key, value)),
        }
    }
    add_documents(&mut trace, documents.unwrap_or_default());
    Ok((trace, rest))
}

/// The trace that was written as one, even if incomplete.
pub(crate) fn read_back(fields: Map<String, Value>) -> Result<Trace, String> {
    read(fields, &mut Notices::default()).map(|(trace, _)| trace)
}

/// Adds documents that were recorded next to a trace as a step that retrieved them. `null` is none; an empty list says that nothing was
/// found.
pub(crate) fn add_documents(trace: &mut Trace, documents: Value) {
    let documents = match documents {
        Value::Null => return,
        Value::String(text) if text.trim().is_empty() => return,
        Value::String(text) => match listed(&text) {
            Some(documents) => documents,
            None => Value::Array(vec![Value::String(text)]),
        },
        documents @ Value::Array(_) => documents,
        document => Value::Array(vec![document]),
    };
    let parent_id = trace.root_span().map(|root| root.span_id.clone());
    trace.spans.push(Span {
        span_id: format!("{:016x}", trace.spans.len() + 1),
        parent_id,
        name: "documents".to_owned(),
        span_type: SpanType::new(SpanType::RETRIEVER),
        outputs: Some(documents),
        ..Span::default()
    });
}

/// A list that a table has as its text.
fn listed(text: &str) -> Option<Value> {
    let text = text.trim();
    let value = json::from_str(text).ok().or_else(|| python::literal(text).ok())?;
    value.is_array().then_some(value)
}

/// The tokens in an object `{"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}`, also under the names that OpenAI's chat
/// completions, Langfuse and Gemini use; a missing sum is computed.
pub(crate) fn token_usage(name: &str, value: Value) -> Result<TokenUsage, String> {
    let mut usage = TokenUsage::default();
    let mut total = None;
    for (key, value) in object(name, value)? {
        let tokens = |value| count(format_args!("{name}.{key}"), value);
        match key.as_str() {
            "input_tokens" | "prompt_tokens" | "input" | "prompt" | "promptTokenCount" => {
                usage.input_tokens = tokens(value)?.unwrap_or_default();
            }
            "output_tokens" | "completion_tokens" | "output" | "completion" | "candidatesTokenCount" => {
                usage.output_tokens = tokens(value)?.unwrap_or_default();
            }
            "total_tokens" | "total" | "totalTokenCount" => total = tokens(value)?,
            _ => {}
        }
    }
    usage.total_tokens = total.unwrap_or_else(|| usage.input_tokens.saturating_add(usage.output_tokens));
    Ok(usage)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spans_of(documents: Value) -> Vec<Span> {
        let mut trace = Trace::default();
        add_documents(&mut trace, documents);
        trace.spans
    }

    #[test]
    fn documents_are_the_outputs_of_a_retriever() {
        let expected = Span {
            span_id: "0000000000000001".into(),
            name: "documents".into(),
            span_type: SpanType::new("RETRIEVER"),
            outputs: Some(json!(["a", "b"])),
            ..Span::default()
        };
        for documents in [json!(["a", "b"]), json!("[\"a\", \"b\"]"), json!("['a', 'b']"), json!("['a' 'b']")] {
            assert_eq!(spans_of(documents.clone()), std::slice::from_ref(&expected), "{documents}");
        }
        for (documents, outputs) in [
            (json!("[not a list"), json!(["[not a list"])),
            (json!("42"), json!(["42"])),
            (json!({"text": "a"}), json!([{"text": "a"}])),
            (json!([]), json!([])),
        ] {
            assert_eq!(spans_of(documents)[0].outputs, Some(outputs));
        }
        assert!(spans_of(json!(null)).is_empty() && spans_of(json!(" ")).is_empty());
    }

    #[test]
    fn documents_beside_spans_belong_to_the_root() {
        let fields = json!({"inputs": 1, "spans": [{"span_id": "r"}], "documents": ["a"]});
        let trace = read_back(fields.as_object().unwrap().clone()).unwrap();
        assert_eq!(
            (trace.spans[1].parent_id.as_deref(), trace.spans[1].span_id.as_str()),
            (Some("r"), "0000000000000002")
        );
    }

    #[test]
    fn tokens_are_counted_under_every_name() {
        for value in [
            json!({"input_tokens": 1, "output_tokens": 2}),
            json!({"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}),
            json!({"input": 1, "output": 2, "total": 3, "unit": "TOKENS"}),
            json!({"promptTokenCount": 1, "candidatesTokenCount": 2}),
            json!({"prompt": 1, "completion": 2}),
        ] {
            let usage = token_usage("usage", value).unwrap();
            assert_eq!((usage.input_tokens, usage.output_tokens, usage.total_tokens), (1, 2, 3));
        }
    }
}
