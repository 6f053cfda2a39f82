//! Model URIs: `openai:/gpt-4.1-mini` is the model `gpt-4.1-mini` on the endpoint `openai`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An endpoint's name and a model on it; MLflow's notation, and the `source_id` of feedback.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelUri {
    /// The endpoint: one of the presets, or one from `judge-run.toml`.
    pub endpoint: String,
    /// The model's name as the endpoint knows it; may hold `/` and `:`.
    pub model: String,
}

impl ModelUri {
    /// The endpoint of a model that is named without one.
    pub const DEFAULT_ENDPOINT: &'static str = "openai";
}

impl fmt::Display for ModelUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:/{}", self.endpoint, self.model)
    }
}

/// The text is no model URI.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no model; write ENDPOINT:/MODEL, such as openai:/gpt-4.1-mini or ollama:/llama3.2:3b")]
pub struct InvalidModelUri(String);

impl FromStr for ModelUri {
    type Err = InvalidModelUri;

    /// A name without `:/` is a model on [`ModelUri::DEFAULT_ENDPOINT`], also when it holds a colon, as Ollama's do.
    fn from_str(text: &str) -> Result<Self, InvalidModelUri> {
        let invalid = || InvalidModelUri(text.to_owned());
        let (endpoint, model) = match text.split_once(":/") {
            Some((endpoint, model)) => (endpoint, model.trim_start_matches('/')),
            None => (Self::DEFAULT_ENDPOINT, text),
        };
        let name_like = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if endpoint.is_empty() || !endpoint.chars().all(name_like) {
            return Err(invalid());
        }
        if model.is_empty() || model.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(invalid());
        }
        Ok(Self { endpoint: endpoint.to_owned(), model: model.to_owned() })
    }
}

impl Serialize for ModelUri {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ModelUri {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_notations_people_use_are_read() {
        for (text, endpoint, model) in [
            ("openai:/gpt-4.1-mini", "openai", "gpt-4.1-mini"),
            ("gpt-4.1-mini", "openai", "gpt-4.1-mini"),
            ("ollama:/llama3.2:3b", "ollama", "llama3.2:3b"),
            ("mistral:7b", "openai", "mistral:7b"),
            ("llama3.2:3b", "openai", "llama3.2:3b"),
            ("openrouter:/anthropic/claude-sonnet-4", "openrouter", "anthropic/claude-sonnet-4"),
            ("our-gpu:/Qwen/Qwen3-8B", "our-gpu", "Qwen/Qwen3-8B"),
            ("openai://gpt-4o", "openai", "gpt-4o"),
        ] {
            let uri: ModelUri = text.parse().unwrap();
            assert_eq!((uri.endpoint.as_str(), uri.model.as_str()), (endpoint, model), "{text}");
        }
        for text in ["", ":/x", "openai:/", "a b:/x", "x\ny"] {
            assert!(text.parse::<ModelUri>().is_err(), "{text}");
        }
    }
}
