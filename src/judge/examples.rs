//! `[[examples]]`: judgments as they should be, shown to the model after the rubric and before the trace.

use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::{Value, json};

use super::form::{RATIONALE_KEY, VALUE_KEY};
use super::verdict::VerdictType;

/// One example as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// The trace that it was taken from: people's labels of it no longer say anything about the judge.
    pub trace_id: Option<String>,
    /// What was asked.
    pub inputs: Option<toml::Value>,
    /// What was answered.
    pub outputs: Option<toml::Value>,
    /// What a right answer looks like.
    pub expectations: Option<toml::Value>,
    /// What was found, a text each.
    #[serde(default)]
    pub documents: Vec<String>,
    /// The reasoning of the right judgment.
    pub rationale: String,
    /// Its verdict; for a judge with `unknown`, the text `unknown` means none.
    pub value: toml::Value,
}

/// The examples as the instructions show them: each has the judged material and the whole answer in its form.
///
/// # Errors
/// Which example is not one, and why.
pub(super) fn shown(examples: &[Example], verdict: &VerdictType, can_abstain: bool) -> Result<Option<String>, String> {
    if examples.is_empty() {
        return Ok(None);
    }
    let mut text = "# Examples\nThese are not the material to judge; they show how the rules apply.".to_owned();
    for (at, example) in examples.iter().enumerate() {
        let Example { trace_id: _, inputs, outputs, expectations, documents, rationale, value } = example;
        let wrong = |reason: String| format!("example {}: {reason}", at + 1);
        if inputs.is_none() && outputs.is_none() {
            return Err(wrong("it needs `inputs` or `outputs`".to_owned()));
        }
        if rationale.trim().is_empty() {
            return Err(wrong("its `rationale` is empty".to_owned()));
        }
        let json = serde_json::to_value(value).map_err(|error| wrong(error.to_string()))?;
        let value = match verdict.check(&json) {
            Ok(value) => value,
            Err(_) if can_abstain && json == "unknown" => Value::Null,
            Err(error) => return Err(wrong(error.to_string())),
        };
        let _ = write!(text, "\n\n## Example {}", at + 1);
        let documents = documents.iter().map(|document| ("document", document.clone()));
        let blocks = [("input", inputs), ("expectations", expectations), ("answer", outputs)];
        let blocks = blocks.into_iter().filter_map(|(label, value)| Some((label, plain(value.as_ref()?))));
        for (label, block) in documents.chain(blocks) {
            let _ = write!(text, "\n<{label}>\n{}\n</{label}>", block.trim());
        }
        let _ = write!(text, "\nJudgment: {}", json!({RATIONALE_KEY: rationale.trim(), VALUE_KEY: value}));
    }
    Ok(Some(text))
}

fn plain(value: &toml::Value) -> String {
    let text = value.as_str().map(ToOwned::to_owned);
    text.unwrap_or_else(|| serde_json::to_string(value).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct File {
        #[serde(default)]
        examples: Vec<Example>,
    }

    fn text(toml: &str) -> Result<Option<String>, String> {
        let file: File = toml::from_str(toml).unwrap();
        shown(&file.examples, &VerdictType::Integer { min: 1, max: 4 }, true)
    }

    #[test]
    fn an_example_shows_what_was_judged_and_the_whole_answer() {
        let toml =
            "[[examples]]\ninputs = \"Why?\"\noutputs = { a = 1 }\ndocuments = [\"D\"]\nrationale = \"So.\"\nvalue = 3";
        let expected = "\n\n## Example 1\n<document>\nD\n</document>\n<input>\nWhy?\n</input>\n<answer>\n{\"a\":1}\n</answer>\nJudgment: {\"rationale\":\"So.\",\"value\":3}";
        assert!(text(toml).unwrap().unwrap().ends_with(expected));
        assert_eq!(text(""), Ok(None));
        let abstains = toml.replace("value = 3", "value = \"unknown\"");
        assert!(text(&abstains).unwrap().unwrap().ends_with("\"value\":null}"));
        for (from, to, words) in [
            ("value = 3", "value = 7", "example 1: the verdict must be an integer from 1 to 4, but is 7"),
            ("\"So.\"", "\" \"", "example 1: its `rationale` is empty"),
        ] {
            assert_eq!(text(&toml.replace(from, to)).unwrap_err(), words);
        }
    }
}
