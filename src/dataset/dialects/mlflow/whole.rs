//! Inputs and outputs of a trace without a root span: whole, or not at all.

use serde_json::Value;

/// What can replace the root span's inputs, or outputs; the best first.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    /// `data.request` of MLflow 2: whole.
    pub data: Option<Value>,
    /// `mlflow.traceInputs` in the metadata: JSON text, cut off when long.
    pub metadata: Option<String>,
    /// `request_preview`: JSON text or only the last message, cut off when long.
    pub preview: Option<String>,
}

/// MLflow's mark where it cut a text off.
///
/// Source: `mlflow.tracing.utils.truncation`, `mlflow.tracing.utils.truncate_request_response`.
const CUT: &str = "...";

impl Sources {
    /// The value, if it is there whole.
    ///
    /// # Errors
    /// A description of what there is instead: a preview must not pass for the text.
    pub(crate) fn whole(self) -> Result<Option<Value>, &'static str> {
        let Self { data, metadata, preview } = self;
        if data.is_some() {
            return Ok(data);
        }
        let preview = preview.filter(|text| !text.is_empty());
        let Some(metadata) = metadata else {
            return match preview {
                None => Ok(None),
                Some(text) if text.ends_with(CUT) => Err("the beginning"),
                // Only JSON of this kind is certainly not the last message of a conversation.
                Some(text) if text.starts_with(['{', '[', '"']) => json(&text).map(Some).ok_or("a preview"),
                Some(_) => Err("a preview"),
            };
        };
        if let Some(value) = json(&metadata) {
            return Ok(Some(value));
        }
        let Some(beginning) = metadata.strip_suffix(CUT) else {
            return Ok(Some(Value::String(metadata)));
        };
        // The preview is cut off later. It is the same text only if it begins as the metadata do.
        let whole = preview.filter(|text| text.starts_with(beginning)).and_then(|text| json(&text));
        whole.map(Some).ok_or("the beginning")
    }
}

fn json(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn whole(metadata: &str, preview: &str) -> Result<Option<Value>, &'static str> {
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Sources { data: None, metadata: text(metadata), preview: text(preview) }.whole()
    }

    #[test]
    fn the_best_record_counts() {
        assert_eq!(whole(r#"{"m": 1}"#, r#"{"p": 1}"#), Ok(Some(json!({"m": 1}))));
        assert_eq!(whole(r#""4""#, "4"), Ok(Some(json!("4"))), "a text that is a number stays a text");
        assert_eq!(whole("", r#"{"p": 1}"#), Ok(Some(json!({"p": 1}))));
        assert_eq!(whole("plain text", ""), Ok(Some(json!("plain text"))));
        assert_eq!(whole("", ""), Ok(None));
        let data = Sources { data: Some(json!(1)), metadata: Some("2".into()), preview: None };
        assert_eq!(data.whole(), Ok(Some(json!(1))));
    }

    #[test]
    fn a_part_of_a_question_is_not_the_question() {
        assert_eq!(whole(r#"{"m": "cut o..."#, "What is it?"), Err("the beginning"));
        assert_eq!(whole(r#"{"m": "cut o..."#, r#"{"m": "cut off la..."#), Err("the beginning"));
        assert_eq!(whole(r#"{"m": "cut o..."#, r#"{"m": "cut off"}"#), Ok(Some(json!({"m": "cut off"}))));
        assert_eq!(whole("", r#"{"p": "cut o..."#), Err("the beginning"));
        assert_eq!(whole("", "What is it?"), Err("a preview"), "it may be the last of many messages");
        assert_eq!(whole("", "7.5"), Err("a preview"), "or a message that is a number");
    }
}
