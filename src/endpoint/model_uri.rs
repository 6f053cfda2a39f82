//! Model URIs: `openai:/gpt-4.1-mini` is the model `gpt-4.1-mini` on the endpoint `openai`.

use std::fmt;
use std::str::FromStr;

use crate::endpoint::provider;

/// An endpoint's name and a model on it; MLflow's notation, and the `source_id` of feedback.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelUri {
    /// The endpoint: one of the presets, or one from `judge-run.toml`.
    pub endpoint: String,
    /// The model's name as the endpoint knows it; may hold `/` and `:`.
    pub model: String,
}

impl ModelUri {
    /// The endpoint of a model named without one.
    pub const DEFAULT_ENDPOINT: &'static str = "openai";
    /// The endpoint of made-up answers, whatever the model.
    pub const SIMULATED: &'static str = "simulated";

    /// The model of this name, simulated.
    pub fn simulated(model: &str) -> Self {
        Self { endpoint: Self::SIMULATED.to_owned(), model: model.to_owned() }
    }

    /// Whether its answers are made up.
    pub fn is_simulated(&self) -> bool {
        self.endpoint == Self::SIMULATED
    }

    /// Whether a source of feedback is a simulated model.
    pub fn is_simulated_source(source_id: &str) -> bool {
        source_id.strip_prefix(Self::SIMULATED).is_some_and(|rest| rest.starts_with(":/"))
    }
}

impl fmt::Display for ModelUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The first slash of a path would be read as one of the notation's.
        let slashes = if self.model.starts_with('/') { "//" } else { "/" };
        write!(f, "{}:{slashes}{}", self.endpoint, self.model)
    }
}

/// Not a model URI.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidModelUri {
    /// It does not name a model.
    #[error("invalid model `{0}`, expected ENDPOINT:/MODEL, such as openai:/gpt-4.1-mini or ollama:/llama3.2:3b")]
    Malformed(String),
    /// The notation of other tools: as the name of a model on the default endpoint it would mean something else.
    #[error("did you mean `{0}`?")]
    Foreign(ModelUri),
}

impl FromStr for ModelUri {
    type Err = InvalidModelUri;

    /// A name without `:/` is a model on [`ModelUri::DEFAULT_ENDPOINT`], also when it has a colon, as Ollama's do, or a slash, as those of Hugging
    /// Face. After `:/` a further slash is ignored, as people write URLs; a name that begins with a slash follows two of them.
    fn from_str(text: &str) -> Result<Self, InvalidModelUri> {
        let invalid = || InvalidModelUri::Malformed(text.to_owned());
        let (endpoint, model) = match text.split_once(":/") {
            Some((endpoint, model)) => (endpoint, model.strip_prefix('/').unwrap_or(model)),
            None => match foreign(text) {
                Some(meant) => return Err(InvalidModelUri::Foreign(meant)),
                None => (Self::DEFAULT_ENDPOINT, text),
            },
        };
        let name_like = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if endpoint.is_empty() || !endpoint.chars().all(name_like) {
            return Err(invalid());
        }
        if model.is_empty() || model.ends_with(':') || model.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(invalid());
        }
        Ok(Self { endpoint: endpoint.to_owned(), model: model.to_owned() })
    }
}

/// Other tools' names for the endpoints that have a preset, if different: LiteLLM, Pydantic AI, the AI SDK.
const ALIASES: [(&str, &str); 10] = [
    ("azure_ai", "azure"),
    ("google-gla", "gemini"),
    ("google_genai", "gemini"),
    ("vertex_ai", "gemini"),
    ("together_ai", "together"),
    ("togetherai", "together"),
    ("ollama_chat", "ollama"),
    ("hosted_vllm", "vllm"),
    ("lm_studio", "lmstudio"),
    ("mistralai", "mistral"),
];

/// `openai/gpt-4o` and `openai:gpt-4o`, as others write `openai:/gpt-4o`. Names of models can look alike: those of Hugging Face begin with an
/// organization and a slash, and those of Ollama end with a colon and a tag.
fn foreign(text: &str) -> Option<ModelUri> {
    let (provider, model) = text.split_once(['/', ':'])?;
    let has_slash = text[provider.len()..].starts_with('/');
    let preset = |name: &str| provider::preset(name).map(|preset| preset.name);
    let alias = || ALIASES.iter().find(|(alias, _)| *alias == provider).map(|(_, name)| *name);
    let endpoint = preset(provider).or_else(alias).or_else(|| {
        let is_gemini = provider == "google" && model.starts_with("gemini");
        is_gemini.then_some("gemini")
    })?;
    let is_open_model = match has_slash {
        // Organizations of Hugging Face.
        true => {
            (provider == "openai" && model.starts_with("gpt-oss"))
                || (provider == "mistralai" && model.starts_with(|c: char| c.is_ascii_uppercase()))
        }
        // A model in Ollama's library has the name of a provider.
        false => {
            provider == "mistral"
                && (model.starts_with(|c: char| c.is_ascii_digit()) || ["latest", "instruct", "text"].contains(&model))
        }
    };
    let is_name = !model.is_empty() && !model.chars().any(|c| c.is_whitespace() || c.is_control());
    (is_name && !is_open_model).then(|| ModelUri { endpoint: endpoint.to_owned(), model: model.to_owned() })
}

serde_as_text!(ModelUri);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn model_uris_are_read_and_written() {
        for (text, endpoint, model) in [
            ("openai:/gpt-4.1-mini", "openai", "gpt-4.1-mini"),
            ("gpt-4.1-mini", "openai", "gpt-4.1-mini"),
            ("ollama:/llama3.2:3b", "ollama", "llama3.2:3b"),
            ("mistral:7b", "openai", "mistral:7b"),
            ("llama3.2:3b", "openai", "llama3.2:3b"),
            ("openrouter:/anthropic/claude-sonnet-4", "openrouter", "anthropic/claude-sonnet-4"),
            ("our-gpu:/Qwen/Qwen3-8B", "our-gpu", "Qwen/Qwen3-8B"),
            ("openai://gpt-4o", "openai", "gpt-4o"),
            ("vllm:///models/Qwen3-32B", "vllm", "/models/Qwen3-32B"),
            ("Qwen/Qwen3-8B", "openai", "Qwen/Qwen3-8B"),
            ("openai/gpt-oss-20b", "openai", "openai/gpt-oss-20b"),
            ("google/gemma-3-4b-it", "openai", "google/gemma-3-4b-it"),
            ("ft:gpt-4o-mini:acme::x", "openai", "ft:gpt-4o-mini:acme::x"),
        ] {
            let uri: ModelUri = text.parse().unwrap();
            assert_eq!((uri.endpoint.as_str(), uri.model.as_str()), (endpoint, model), "{text}");
            assert_eq!(uri.to_string().parse::<ModelUri>().unwrap(), uri, "{text}");
        }
        for text in ["", ":/x", "openai:/", "a b:/x", "x\ny", "openai:", "openai:/ x"] {
            assert!(matches!(text.parse::<ModelUri>(), Err(InvalidModelUri::Malformed(_))), "{text}");
        }
    }

    #[test]
    fn the_notations_of_other_tools_are_recognized() {
        for (text, meant) in [
            ("openai/gpt-4o-mini", "openai:/gpt-4o-mini"),
            ("openai:gpt-4o-mini", "openai:/gpt-4o-mini"),
            ("anthropic/claude-sonnet-4", "anthropic:/claude-sonnet-4"),
            ("gemini/gemini-2.5-flash", "gemini:/gemini-2.5-flash"),
            ("google/gemini-2.5-flash", "gemini:/gemini-2.5-flash"),
            ("google-gla:gemini-2.5-flash", "gemini:/gemini-2.5-flash"),
            ("together_ai/meta-llama/Llama-3", "together:/meta-llama/Llama-3"),
            ("openrouter/anthropic/claude-sonnet-4", "openrouter:/anthropic/claude-sonnet-4"),
            ("ollama:llama3.2:3b", "ollama:/llama3.2:3b"),
            ("mistral:mistral-large-latest", "mistral:/mistral-large-latest"),
        ] {
            let error = text.parse::<ModelUri>().unwrap_err();
            assert_eq!(error.to_string(), format!("did you mean `{meant}`?"), "{text}");
        }
    }
}
