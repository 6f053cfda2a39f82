//! The digest of what a trace says: equal for equal content, whatever the source's spelling of it.

use serde_json::{Number, Value};

use super::{Span, Trace};
use crate::feedback::IdHasher;

impl Trace {
    /// 128 bits of a hash over everything but the id and the feedback that the source already has. Derived trace ids are made
    /// from it, so its value must never change.
    pub fn content_digest(&self) -> [u8; 16] {
        digest(&self.content(Vec::new()))
    }

    /// Bytes that contain everything but the id and the feedback that the source already has, written to `buffer`. Traces with
    /// the same content have the same bytes, and only those.
    ///
    /// The order of keys inside JSON objects does not matter; `1` and `1.0` differ.
    pub(crate) fn content(&self, mut buffer: Vec<u8>) -> Vec<u8> {
        let Self {
            trace_id: _,
            inputs,
            outputs,
            expectations,
            spans,
            tags,
            metadata,
            session_id,
            user,
            state,
            request_time_ms,
            execution_duration_ms,
            token_usage,
            assessments: _,
            side: _,
        } = self;
        buffer.clear();
        let mut to = Encoding(buffer);
        to.optional(inputs.as_ref(), Encoding::value);
        to.optional(outputs.as_ref(), Encoding::value);
        to.object(expectations);
        to.length(spans.len());
        for span in spans {
            to.span(span);
        }
        for labels in [tags, metadata] {
            to.length(labels.len());
            for (key, value) in labels {
                to.text(key);
                to.text(value);
            }
        }
        to.optional(session_id.as_deref(), Encoding::text);
        to.optional(user.as_deref(), Encoding::text);
        to.0.push(*state as u8);
        to.optional(request_time_ms.as_ref(), |to, ms| to.word(&ms.to_le_bytes()));
        to.optional(execution_duration_ms.as_ref(), |to, ms| to.word(&ms.to_le_bytes()));
        to.optional(token_usage.as_ref(), |to, usage| {
            for count in [usage.input_tokens, usage.output_tokens, usage.total_tokens] {
                to.word(&count.to_le_bytes());
            }
        });
        to.0
    }
}

/// The digest of a trace's content.
pub(crate) fn digest(content: &[u8]) -> [u8; 16] {
    *IdHasher::new("trace-content").part(content).finish().as_bytes()
}

/// Bytes unique to the content: every text and list is preceded by its length, every JSON value by its type.
struct Encoding(Vec<u8>);

impl Encoding {
    fn word(&mut self, bytes: &[u8; 8]) {
        self.0.extend_from_slice(bytes);
    }

    fn length(&mut self, length: usize) {
        self.word(&(length as u64).to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.length(text.len());
        self.0.extend_from_slice(text.as_bytes());
    }

    fn optional<T: ?Sized>(&mut self, value: Option<&T>, encode: impl FnOnce(&mut Self, &T)) {
        self.0.push(u8::from(value.is_some()));
        if let Some(value) = value {
            encode(self, value);
        }
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.0.push(b'n'),
            Value::Bool(value) => self.0.extend_from_slice(&[b'b', u8::from(*value)]),
            Value::Number(number) => self.number(number),
            Value::String(text) => {
                self.0.push(b's');
                self.text(text);
            }
            Value::Array(values) => {
                self.0.push(b'a');
                self.length(values.len());
                for value in values {
                    self.value(value);
                }
            }
            Value::Object(fields) => {
                self.0.push(b'o');
                self.object(fields);
            }
        }
    }

    fn number(&mut self, number: &Number) {
        // Every number of serde_json is one of the three.
        if let Some(number) = number.as_u64() {
            self.0.push(b'u');
            self.word(&number.to_le_bytes());
        } else if let Some(number) = number.as_i64() {
            self.0.push(b'i');
            self.word(&number.to_le_bytes());
        } else {
            self.0.push(b'f');
            self.word(&number.as_f64().unwrap_or(f64::NAN).to_bits().to_le_bytes());
        }
    }

    fn object(&mut self, fields: &serde_json::Map<String, Value>) {
        let mut fields: Vec<_> = fields.iter().collect();
        fields.sort_unstable_by_key(|(key, _)| key.as_str());
        self.length(fields.len());
        for (key, value) in fields {
            self.text(key);
            self.value(value);
        }
    }

    fn span(&mut self, span: &Span) {
        let Span {
            span_id,
            parent_id,
            name,
            span_type,
            inputs,
            outputs,
            status,
            status_message,
            start_time_unix_nano,
            end_time_unix_nano,
            attributes,
        } = span;
        self.text(span_id);
        self.optional(parent_id.as_deref(), Self::text);
        self.text(name);
        self.text(span_type.as_str());
        self.optional(inputs.as_ref(), Self::value);
        self.optional(outputs.as_ref(), Self::value);
        self.0.push(*status as u8);
        self.optional(status_message.as_deref(), Self::text);
        self.optional(start_time_unix_nano.as_ref(), |to, time| to.word(&time.to_le_bytes()));
        self.optional(end_time_unix_nano.as_ref(), |to, time| to.word(&time.to_le_bytes()));
        self.object(attributes);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn trace(inputs: Value, outputs: Option<Value>) -> Trace {
        Trace { inputs: Some(inputs), outputs, ..Trace::default() }
    }

    fn digest(inputs: Value, outputs: Option<Value>) -> [u8; 16] {
        trace(inputs, outputs).content_digest()
    }

    #[test]
    fn the_order_of_keys_has_no_part_in_it() {
        let one = digest(json!({"a": 1, "b": {"c": [1, 2], "d": null}}), None);
        assert_eq!(one, digest(json!({"b": {"d": null, "c": [1, 2]}, "a": 1}), None));
        assert_ne!(one, digest(json!({"b": {"d": null, "c": [2, 1]}, "a": 1}), None));
    }

    #[test]
    fn what_looks_alike_differs() {
        let values = [
            json!(null),
            json!(""),
            json!("null"),
            json!([]),
            json!({}),
            json!([[]]),
            json!(0),
            json!("0"),
            json!(false),
            json!(0.0),
            json!(-1),
            json!(u64::MAX),
            json!(["a", "b"]),
            json!(["ab"]),
            json!({"a": "b"}),
        ];
        let digests: std::collections::HashSet<_> = values.iter().map(|value| digest(value.clone(), None)).collect();
        assert_eq!(digests.len(), values.len());
        assert_ne!(digest(json!(1), None), digest(json!(1), Some(json!(null))), "no answer is not an answer of null");
    }

    #[test]
    fn id_and_feedback_have_no_part_in_it_and_all_else_has() {
        let plain = trace(json!("q"), None);
        let named = Trace { trace_id: "tr-1".into(), assessments: vec![Default::default()], ..plain.clone() };
        assert_eq!(plain.content_digest(), named.content_digest());
        let label = || std::collections::BTreeMap::from([("k".to_owned(), "v".to_owned())]);
        let others = [
            Trace { tags: label(), ..plain.clone() },
            Trace { metadata: label(), ..plain.clone() },
            Trace { session_id: Some("k".into()), ..plain.clone() },
            Trace { user: Some("k".into()), ..plain.clone() },
            Trace { state: crate::trace::TraceState::Ok, ..plain.clone() },
            Trace { request_time_ms: Some(0), ..plain.clone() },
            Trace { execution_duration_ms: Some(0), ..plain.clone() },
            Trace { token_usage: Some(Default::default()), ..plain.clone() },
            Trace { spans: vec![Span::default()], ..plain.clone() },
            Trace { expectations: serde_json::Map::from_iter([("k".to_owned(), json!(1))]), ..plain.clone() },
            plain,
        ];
        let digests: std::collections::HashSet<_> = others.iter().map(Trace::content_digest).collect();
        assert_eq!(digests.len(), others.len());
    }

    #[test]
    fn the_digest_is_pinned() {
        // The ids of traces without one depend on this value: a change here judges them again.
        let bytes = digest(json!({"question": "What is MLflow?"}), Some(json!("An open source platform.")));
        assert_eq!(format!("{:032x}", u128::from_be_bytes(bytes)), "0268d7f94b57be35bd8e627c3146f794");
    }
}
