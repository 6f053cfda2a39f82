//! The endpoints that have a name: their address, the variable that holds their key, and what they support.

use crate::endpoint::wire::chat::{LimitField, ResponseFormat, WireProfile};

/// What is known about a provider's OpenAI-compatible API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preset {
    /// The endpoint's name in model URIs.
    pub name: &'static str,
    /// Where the API is; `None` where every account has its own address.
    pub base_url: Option<&'static str>,
    /// The variable that holds the key by the provider's own convention.
    pub api_key_env: &'static str,
    /// Whether the service refuses to answer without a key.
    pub needs_key: bool,
    /// How the key is sent.
    pub key_header: KeyHeader,
    /// The best form of structured output that the API is known to support.
    pub response_format: ResponseFormat,
    /// Whether a schema may limit lengths: servers that turn it into a grammar enforce them.
    pub with_bounds: bool,
    /// Tokens that prompts must have in common to be cached.
    pub caches_from: u64,
}

/// How an API key is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyHeader {
    /// `Authorization: Bearer KEY`.
    Bearer,
    /// `api-key: KEY`, as Azure wants it.
    ApiKey,
}

/// What hosted APIs cache at least.
///
/// Source: OpenAI's guide on prompt caching (1,024 tokens, in steps of 128); Anthropic's and Gemini's begin there as well, for most models.
pub const CACHES_FROM: u64 = 1024;

const fn hosted(name: &'static str, base_url: &'static str, api_key_env: &'static str) -> Preset {
    Preset {
        name,
        base_url: Some(base_url),
        api_key_env,
        needs_key: true,
        key_header: KeyHeader::Bearer,
        response_format: ResponseFormat::JsonSchema,
        with_bounds: false,
        caches_from: CACHES_FROM,
    }
}

const fn local(name: &'static str, base_url: &'static str, api_key_env: &'static str) -> Preset {
    Preset { needs_key: false, with_bounds: true, caches_from: 1, ..hosted(name, base_url, api_key_env) }
}

/// All presets, in the order that `--help` and messages list them.
///
/// Sources: each provider's page on OpenAI compatibility.
pub const PRESETS: &[Preset] = &[
    hosted("openai", "https://api.openai.com/v1", "OPENAI_API_KEY"),
    Preset { base_url: None, key_header: KeyHeader::ApiKey, ..hosted("azure", "", "AZURE_OPENAI_API_KEY") },
    hosted("anthropic", "https://api.anthropic.com/v1", "ANTHROPIC_API_KEY"),
    hosted("gemini", "https://generativelanguage.googleapis.com/v1beta/openai", "GEMINI_API_KEY"),
    hosted("openrouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    hosted("groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    hosted("together", "https://api.together.xyz/v1", "TOGETHER_API_KEY"),
    hosted("mistral", "https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    Preset {
        response_format: ResponseFormat::JsonObject,
        ..hosted("deepseek", "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY")
    },
    local("ollama", "http://localhost:11434/v1", "OLLAMA_API_KEY"),
    local("vllm", "http://localhost:8000/v1", "VLLM_API_KEY"),
    local("llamacpp", "http://localhost:8080/v1", "LLAMA_API_KEY"),
    local("lmstudio", "http://localhost:1234/v1", "LMSTUDIO_API_KEY"),
];

/// The preset of this name.
pub fn preset(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name)
}

/// How a request to a model is first written, before anything is learnt from its answers.
///
/// OpenAI's and Azure's reasoning models accept neither `max_tokens` nor a temperature. Compatible servers often know only
/// `max_tokens` and silently ignore the other name, so the host decides.
pub fn wire_profile(preset: Option<&Preset>, base_url: &str, model: &str) -> WireProfile {
    let openai = is_openai(base_url);
    let no_temperature = (openai && is_reasoning_model(model)).then(|| "temperature".to_owned());
    WireProfile {
        limit_field: if openai { LimitField::MaxCompletionTokens } else { LimitField::MaxTokens },
        response_format: preset.map_or(ResponseFormat::JsonSchema, |preset| preset.response_format),
        with_bounds: preset.is_some_and(|preset| preset.with_bounds),
        dropped: no_temperature.into_iter().collect(),
        ..WireProfile::default()
    }
}

/// Whether an address is OpenAI's own or Azure's: there, requests are counted by what they reserve, and unknown parameters are refused.
pub fn is_openai(base_url: &str) -> bool {
    let host = host(base_url).split(':').next().unwrap_or_default();
    host == "api.openai.com" || host.ends_with(".azure.com")
}

/// The host of an address, with its port if it names one, and without user and password.
pub fn host(base_url: &str) -> &str {
    let authority = base_url.split("://").nth(1).unwrap_or(base_url).split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit('@').next().unwrap_or_default()
}

/// Whether a model of OpenAI's reasons before it answers: the o-series, and GPT-5 and later unless it is a chat variant.
pub fn is_reasoning_model(model: &str) -> bool {
    let model = model.rsplit('/').next().unwrap_or(model);
    let o_series = model.strip_prefix('o').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let gpt = model.strip_prefix("gpt-").and_then(|rest| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u32>().ok()
    });
    o_series || (gpt.is_some_and(|major| major >= 5) && !model.contains("-chat"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasoning_models_are_recognized() {
        for model in ["o1", "o3-mini", "o4-mini-2025-04-16", "gpt-5", "gpt-5.4-mini", "gpt-6"] {
            assert!(is_reasoning_model(model), "{model}");
        }
        for model in ["gpt-4o", "gpt-4.1-mini", "gpt-3.5-turbo", "gpt-5-chat-latest", "gpt-oss-20b", "olmo", "llama3.2"]
        {
            assert!(!is_reasoning_model(model), "{model}");
        }
    }

    #[test]
    fn the_host_decides_the_name_of_the_output_limit() {
        let field = |url| wire_profile(None, url, "m").limit_field;
        assert_eq!(field("https://api.openai.com/v1"), LimitField::MaxCompletionTokens);
        assert_eq!(field("https://x.openai.azure.com/openai/v1"), LimitField::MaxCompletionTokens);
        assert_eq!(field("https://user:pass@api.openai.com:443/v1"), LimitField::MaxCompletionTokens);
        assert_eq!(field("http://localhost:11434/v1"), LimitField::MaxTokens);
        assert_eq!(host("https://user:pass@h.example:8000/v1?key=x"), "h.example:8000");
        assert!(wire_profile(None, "https://api.openai.com/v1", "gpt-5-mini").dropped.contains("temperature"));
    }
}
