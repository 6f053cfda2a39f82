//! How an answer is asked for: a value with its reasoning, the same with quotations, or a list of claims.

use std::sync::Arc;

use serde_json::{Value, json};

use super::claims::Claims;
use super::form::length;
use super::rubric::Rubric;
use super::verdict::VerdictType;

/// The key of the passages that support a verdict.
pub(super) const QUOTES_KEY: &str = "quotes";
/// More quotations show no more.
const MAX_QUOTES: u32 = 5;
/// Characters that a bounded schema allows for one.
const MAX_QUOTE_CHARS: u32 = 400;

/// How a judge's answer is asked for and read.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum AnswerForm {
    /// A rationale and a value.
    #[default]
    Value,
    /// The same, preceded by the supporting passages.
    Quoting,
    /// Items with marks, from which code computes the value.
    Claims(Claims),
    /// A rationale and a value for each criterion of a rubric; what is read is one of them.
    Criterion {
        /// All criteria.
        rubric: Arc<Rubric>,
        /// Which one.
        index: usize,
    },
}

impl AnswerForm {
    /// The number of orders of its parts. The other functions take the index of one.
    pub fn orders(&self) -> usize {
        match self {
            Self::Value | Self::Quoting | Self::Claims(_) => 1,
            Self::Criterion { rubric, .. } => rubric.orders(),
        }
    }

    /// The order for a trace.
    pub fn order_for(&self, trace_id: &str) -> usize {
        match self {
            Self::Value | Self::Quoting | Self::Claims(_) => 0,
            Self::Criterion { rubric, .. } => rubric.order_for(trace_id),
        }
    }

    /// An id for a trace that is to have this order (modulo their number): this one, with a number at its end where another order belongs to it.
    pub fn id_in_order(&self, id: String, order: usize) -> String {
        let order = order % self.orders();
        // One in twenty has the right order, if not more.
        let numbered = (2..10_000).map(|n| format!("{id}-{n}"));
        let found = std::iter::once(id.clone()).chain(numbered).find(|id| self.order_for(id) == order);
        found.unwrap_or(id)
    }

    /// The JSON schema of the answer, in the subset that every strict endpoint takes.
    pub(super) fn json_schema(&self, verdict: &VerdictType, order: usize) -> Value {
        match self {
            Self::Value => verdict.json_schema(),
            Self::Quoting => with_quotes(&verdict.json_schema(), &quotes(false)),
            Self::Claims(claims) => claims.json_schema(),
            Self::Criterion { rubric, .. } => rubric.json_schema(order),
        }
    }

    /// The same for endpoints that enforce more keywords: nothing in it can continue indefinitely.
    pub(super) fn bounded_json_schema(&self, verdict: &VerdictType, max_rationale_chars: u32, order: usize) -> Value {
        match self {
            Self::Value => verdict.bounded_json_schema(max_rationale_chars),
            Self::Quoting => with_quotes(&verdict.bounded_json_schema(max_rationale_chars), &quotes(true)),
            Self::Claims(claims) => claims.bounded_json_schema(),
            Self::Criterion { rubric, .. } => rubric.bounded_json_schema(order, max_rationale_chars),
        }
    }

    /// What the prompt says about the form of the answer.
    pub(super) fn instructions(&self, verdict: &VerdictType, max_rationale_chars: u32, order: usize) -> String {
        match self {
            Self::Value => verdict.instructions(max_rationale_chars),
            Self::Quoting => with_quotes_in_words(&verdict.instructions(max_rationale_chars)),
            Self::Claims(claims) => claims.instructions(),
            Self::Criterion { rubric, .. } => rubric.instructions(order, &length(max_rationale_chars)),
        }
    }

    /// What represents these in the identity of a judgment: see [`VerdictType::hashed_instructions`].
    pub(super) fn hashed_instructions(&self, verdict: &VerdictType) -> String {
        match self {
            Self::Value => verdict.hashed_instructions(),
            Self::Quoting => with_quotes_in_words(&verdict.hashed_instructions()),
            Self::Claims(claims) => format!("{}\nrange: {verdict}", claims.hashed()),
            Self::Criterion { rubric, .. } => rubric.instructions(0, "a few sentences"),
        }
    }
}

fn quotes(is_bounded: bool) -> Value {
    let description = format!("at most {MAX_QUOTES} passages that bear the verdict out, word for word");
    if is_bounded {
        let quote = json!({"type": "string", "maxLength": MAX_QUOTE_CHARS});
        return json!({"type": "array", "description": description, "items": quote, "maxItems": MAX_QUOTES});
    }
    json!({"type": "array", "description": description, "items": {"type": "string"}})
}

/// The schema with the quotations before everything else: what a judge looks up first, it reasons about.
fn with_quotes(schema: &Value, quotes: &Value) -> Value {
    let mut with = schema.clone();
    let keys = schema["required"].as_array().into_iter().flatten();
    with["required"] = std::iter::once(&Value::from(QUOTES_KEY)).chain(keys).cloned().collect();
    let properties = schema["properties"].as_object().into_iter().flatten();
    let properties = properties.map(|(key, value)| (key.clone(), value.clone()));
    with["properties"] =
        Value::Object(std::iter::once((QUOTES_KEY.to_owned(), quotes.clone())).chain(properties).collect());
    with
}

fn with_quotes_in_words(instructions: &str) -> String {
    let quotes = format!(
        "these three keys, in this order:\n\"{QUOTES_KEY}\": a list of at most {MAX_QUOTES} strings, the passages that bear \
         your verdict out, copied word for word from what you were shown; [] if there are none."
    );
    instructions.replacen("these two keys, in this order:", &quotes, 1).replacen(
        "Form: {",
        &format!("Form: {{\"{QUOTES_KEY}\":[\"<a passage>\"],"),
        1,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotations_come_first_in_schema_and_words() {
        let (form, verdict) = (AnswerForm::Quoting, VerdictType::Boolean);
        let schema = form.json_schema(&verdict, 0);
        assert_eq!(schema["required"], json!(["quotes", "rationale", "value"]));
        assert_eq!(schema["properties"].as_object().unwrap().keys().next().unwrap(), "quotes");
        assert_eq!(schema["properties"]["quotes"]["maxItems"], Value::Null);
        let bounded = form.bounded_json_schema(&verdict, 1200, 0);
        assert_eq!(bounded["properties"]["quotes"]["maxItems"], MAX_QUOTES);
        assert_eq!(bounded["properties"]["rationale"]["maxLength"], 1200);
        let words = form.instructions(&verdict, 1200, 0);
        assert!(words.contains("exactly these three keys, in this order:\n\"quotes\": a list"), "{words}");
        assert!(words.contains("Form: {\"quotes\":[\"<a passage>\"],\"rationale\":"), "{words}");
        assert_eq!(AnswerForm::Value.instructions(&verdict, 1200, 0), verdict.instructions(1200));
    }
}
