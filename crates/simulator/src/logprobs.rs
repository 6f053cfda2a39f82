//! `logprobs`: made up as the verdict is. The verdict's label is the most probable, and its alternatives share what is left.

use serde_json::{Value, json};

use super::request::Format;

/// The position of a verdict.
const VALUE: &str = "\"value\":";

/// OpenAI's `logprobs` of a choice with this text: a token up to the verdict, the verdict with its alternatives, and the rest.
pub(super) fn of(text: &str, format: &Format, seed: u64) -> Value {
    let start = text.rfind(VALUE).map_or(text.len(), |at| at + VALUE.len());
    let (before, rest) = text.split_at(start);
    let end = rest.rfind('}').unwrap_or(rest.len());
    let (value, after) = rest.split_at(end);
    let mut content = vec![token(before, 1.0, &[])];
    if !value.is_empty() {
        let others: Vec<String> = labels(format).into_iter().filter(|label| label != value).collect();
        // Between a half and nearly one.
        let share = 0.5 + 0.49 * (seed % 1000) as f64 / 1000.0;
        let each = (1.0 - share) / others.len().max(1) as f64;
        let all: Vec<_> =
            std::iter::once((value.to_owned(), share)).chain(others.into_iter().map(|label| (label, each))).collect();
        content.push(token(value, share, &all));
        content.push(token(after, 1.0, &[]));
    }
    json!({"content": content, "refusal": null})
}

fn token(text: &str, probability: f64, others: &[(String, f64)]) -> Value {
    let others: Vec<_> =
        others.iter().map(|(text, p)| json!({"token": text, "logprob": p.ln(), "bytes": text.as_bytes()})).collect();
    json!({"token": text, "logprob": probability.ln(), "bytes": text.as_bytes(), "top_logprobs": others})
}

/// What the schema allows as a verdict, as JSON.
fn labels(format: &Format) -> Vec<String> {
    let Format::Schema(schema) = format else { return vec!["true".to_owned(), "false".to_owned()] };
    let value = &schema["properties"]["value"];
    match value["enum"].as_array() {
        Some(labels) => labels.iter().map(Value::to_string).collect(),
        None if value["type"] == "boolean" => vec!["true".to_owned(), "false".to_owned()],
        None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_labels_share_all_probability_where_the_verdict_stands() {
        let schema = json!({"properties": {"value": {"enum": [1, 2, 3]}}});
        let logprobs = of(r#"{"rationale":"\"value\":","value":2}"#, &Format::Schema(schema), 700);
        let content = logprobs["content"].as_array().unwrap();
        assert_eq!((content.len(), &content[1]["token"]), (3, &json!("2")));
        let places = content[1]["top_logprobs"].as_array().unwrap();
        let sum: f64 = places.iter().map(|place| place["logprob"].as_f64().unwrap().exp()).sum();
        assert!((sum - 1.0).abs() < 1e-9 && places.len() == 3);
        let text: String = content.iter().map(|token| token["token"].as_str().unwrap()).collect();
        assert_eq!(text, r#"{"rationale":"\"value\":","value":2}"#);
    }
}
