//! The form of the answer: its JSON schema, and the words that ask for it.

use serde_json::{Map, Value, json};

use super::verdict::VerdictType;

/// The key of the verdict in the answer's object.
pub(super) const VALUE_KEY: &str = "value";
/// The key of the reasoning, which comes first: the judge reasons before it decides.
pub(super) const RATIONALE_KEY: &str = "rationale";

/// The longest rationale that a schema bounds: llama.cpp refuses grammars with 2000 or more repetitions.
const MAX_BOUNDED_CHARS: u32 = 1999;
/// Characters of a sentence, on average and generously: what turns a length into a number of sentences.
const CHARS_PER_SENTENCE: u32 = 240;

/// The widest scale that is sent as an `enum`; a wider one is a plain `integer` with the range in words.
const MAX_ENUM: i64 = 21;
/// The steps of a share from 0 to 1.
const STEPS: u32 = 100;

const RATIONALE_DESCRIPTION: &str = "the reasoning that leads to the verdict";
/// How the first version of the form asked for the reasoning. Part of every judgment's identity; see [`VerdictType::hashed_instructions`].
const FIRST_REASONING: [&str; 2] = ["your reasoning; write it before you decide", "your reasoning, in a few sentences"];

impl VerdictType {
    /// The JSON schema of the answer, in the subset that every strict endpoint takes: no numeric keywords, all
    /// properties required, `enum` for scales. Part of every judgment's identity.
    ///
    /// Source: OpenAI, "Structured model outputs", supported schemas.
    pub fn json_schema(&self) -> Value {
        let value = match self {
            Self::Boolean => json!({"type": "boolean"}),
            Self::Category { labels } => json!({"type": "string", "enum": labels}),
            Self::Labels { labels } => json!({"type": "array", "items": {"type": "string", "enum": labels}}),
            Self::Integer { min, max } if max.saturating_sub(*min) < MAX_ENUM => {
                json!({"type": "integer", "enum": (*min..=*max).collect::<Vec<_>>()})
            }
            Self::Integer { .. } => json!({"type": "integer"}),
            Self::Number { .. } => json!({"type": "number"}),
        };
        self.schema(json!({"type": "string", "description": RATIONALE_DESCRIPTION}), value)
    }

    /// The same for endpoints that enforce more keywords: neither the reasoning nor a number's digits can continue without end.
    pub fn bounded_json_schema(&self, max_rationale_chars: u32) -> Value {
        let mut schema = self.json_schema();
        if max_rationale_chars <= MAX_BOUNDED_CHARS {
            schema["properties"][RATIONALE_KEY]["maxLength"] = max_rationale_chars.into();
        }
        if let Self::Number { min: Some(0.0), max: Some(1.0) } = self {
            let shares: Vec<f64> = (0..=STEPS).map(|step| f64::from(step) / f64::from(STEPS)).collect();
            schema["properties"][VALUE_KEY]["enum"] = shares.into();
        }
        schema
    }

    fn schema(&self, rationale: Value, mut value: Value) -> Value {
        if let Value::Object(value) = &mut value {
            value.insert("description".to_owned(), format!("the verdict: {self}").into());
        }
        json!({
            "type": "object",
            "properties": {RATIONALE_KEY: rationale, VALUE_KEY: value},
            "required": [RATIONALE_KEY, VALUE_KEY],
            "additionalProperties": false,
        })
    }

    /// What the prompt says about the form of the answer, for endpoints that ignore the schema.
    pub fn instructions(&self, max_rationale_chars: u32) -> String {
        let length = length(max_rationale_chars);
        self.instructions_with(&[
            &format!("your reasoning in {length}; write it before you decide"),
            &format!("your reasoning, {length}"),
        ])
    }

    /// What stands for [`Self::instructions`] in the identity of a judgment: their first version. Better wording of the same form
    /// changes no identity, so that no judgment is paid for again because of it.
    pub(super) fn hashed_instructions(&self) -> String {
        self.instructions_with(&FIRST_REASONING)
    }

    fn instructions_with(&self, [reasoning, placeholder]: &[&str; 2]) -> String {
        let mut example = Map::new();
        example.insert(RATIONALE_KEY.to_owned(), format!("<{placeholder}>").into());
        example.insert(VALUE_KEY.to_owned(), format!("<{self}>").into());
        // The placeholder of the value has no quotes unless the value itself is a string.
        let mut example = Value::Object(example).to_string();
        if !matches!(self, Self::Category { .. }) {
            example = example.replace(&format!("\"<{self}>\""), &format!("<{self}>"));
        }
        format!(
            "Answer with one JSON object and nothing else. It has exactly these two keys, in this order:\n\
             \"{RATIONALE_KEY}\": a string, {reasoning}.\n\
             \"{VALUE_KEY}\": your verdict, {self}.\n\
             Form: {example}"
        )
    }
}

/// How long a rationale may be, in words.
pub(super) fn length(max_rationale_chars: u32) -> String {
    match (max_rationale_chars / CHARS_PER_SENTENCE).max(1) {
        1 => "one sentence".to_owned(),
        sentences => format!("at most {sentences} sentences"),
    }
}

/// Whether a rationale is the form itself, copied: then nothing was judged.
pub(super) fn is_placeholder(rationale: &str) -> bool {
    let text = rationale.trim();
    let inner = text.strip_prefix('<').and_then(|text| text.strip_suffix('>'));
    // Angle brackets around all of it mark a placeholder, whatever it says.
    let is_bracketed =
        |inner: &str| !inner.contains(['<', '>', '/']) && inner.contains(char::is_alphabetic) && inner.len() < 200;
    inner.is_some_and(is_bracketed) || text == RATIONALE_DESCRIPTION || is_copied(text)
}

/// `your reasoning, at most 5 sentences` and its like.
fn is_copied(text: &str) -> bool {
    let words = text.strip_prefix("a string, ").unwrap_or(text).trim_end_matches('.');
    let length = words.strip_prefix("your reasoning").filter(|_| words.len() < 80);
    length.is_some_and(|length| length.is_empty() || length.starts_with([',', ';']) || length.starts_with(" in "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::wire::chat::Sampling;

    const SHARE: VerdictType = VerdictType::Number { min: Some(0.0), max: Some(1.0) };

    #[test]
    fn the_rationale_comes_before_the_value() {
        let text = VerdictType::Boolean.json_schema().to_string();
        assert!(text.find("rationale").unwrap() < text.find("\"value\"").unwrap());
    }

    #[test]
    fn a_bounded_schema_bounds_the_rationale_and_the_digits_of_a_share() {
        let schema = SHARE.bounded_json_schema(1200);
        assert_eq!(schema["properties"]["rationale"]["maxLength"], 1200);
        let shares = schema["properties"]["value"]["enum"].as_array().unwrap();
        assert_eq!((shares.len(), shares[0].as_f64(), shares[29].to_string().as_str()), (101, Some(0.0), "0.29"));
        assert_eq!(shares[100], 1.0);
        let other = VerdictType::Number { min: Some(0.0), max: Some(10.0) };
        assert_eq!(other.bounded_json_schema(1200)["properties"]["value"]["enum"], Value::Null);
        let long = SHARE.bounded_json_schema(2000);
        assert_eq!(long["properties"]["rationale"]["maxLength"], Value::Null, "llama.cpp would refuse it");
        assert_eq!(VerdictType::Boolean.json_schema()["properties"]["rationale"]["maxLength"], Value::Null);
    }

    #[test]
    fn instructions_show_the_form() {
        let text = VerdictType::Integer { min: 1, max: 5 }.instructions(Sampling::DEFAULT_MAX_RATIONALE_CHARS);
        let form = r#"{"rationale":"<your reasoning, at most 5 sentences>","value":<an integer from 1 to 5>}"#;
        assert!(text.ends_with(form), "{text}");
        let text = VerdictType::Category { labels: vec!["a".into(), "b".into()] }.instructions(100);
        assert!(text.contains(r#""value": your verdict, one of "a", "b"."#), "{text}");
        assert!(text.contains("your reasoning in one sentence; write it before you decide"), "{text}");
    }

    #[test]
    fn the_words_that_are_hashed_are_pinned() {
        assert_eq!(
            VerdictType::Boolean.hashed_instructions(),
            "Answer with one JSON object and nothing else. It has exactly these two keys, in this order:\n\
             \"rationale\": a string, your reasoning; write it before you decide.\n\
             \"value\": your verdict, true or false.\n\
             Form: {\"rationale\":\"<your reasoning, in a few sentences>\",\"value\":<true or false>}"
        );
    }

    #[test]
    fn the_form_itself_is_not_a_rationale() {
        for copied in [
            "<your reasoning, in a few sentences>",
            " <your reasoning, at most 5 sentences> ",
            "<your reasoning>",
            "<why>",
            "your reasoning, in a few sentences",
            "your reasoning in at most 5 sentences; write it before you decide",
            "a string, your reasoning; write it before you decide.",
            "the reasoning that leads to the verdict",
        ] {
            assert!(is_placeholder(copied), "{copied}");
        }
        for own in ["x", "", "Your reasoning is sound.", "<b>Good</b>", "< 5 facts, > 3 errors", "a < b > c", "<3>"] {
            assert!(!is_placeholder(own), "{own}");
        }
    }
}
