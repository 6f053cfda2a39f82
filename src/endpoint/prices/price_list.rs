//! LiteLLM's list of models and prices, `model_prices_and_context_window.json`, from a file: nothing is fetched.
//!
//! Its prices are per token. A model is listed under its own name, with its provider in a field, or as `provider/model`.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use crate::endpoint::ModelUri;
use crate::endpoint::prices::prices::Prices;
use crate::endpoint::provider;

/// LiteLLM's names for the providers that have another name here.
const PROVIDERS: &[(&str, &str)] = &[("together", "together_ai"), ("vllm", "hosted_vllm"), ("lmstudio", "lm_studio")];

/// The prices of many models.
#[derive(Debug, Clone)]
pub struct PriceList {
    models: Map<String, Value>,
    as_of: Option<Date>,
}

/// Why a file is not a list of prices.
#[derive(Debug, thiserror::Error)]
pub enum PriceListError {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        error: std::io::Error,
    },
    /// It is not JSON.
    #[error("{}: not JSON, at line {line}, column {column}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where.
        line: usize,
        /// Where.
        column: usize,
    },
    /// It is JSON of another kind.
    #[error("{}: not a list of prices: no model in it has `input_cost_per_token`", path.display())]
    NotPrices {
        /// The file.
        path: PathBuf,
    },
}

impl PriceList {
    /// Reads a file. Its prices date from the day on which it was last changed.
    ///
    /// # Errors
    /// When it cannot be read, or is something else.
    pub fn read(path: &Path) -> Result<Self, PriceListError> {
        let cannot_read = |error| PriceListError::Read { path: path.to_owned(), error };
        let mut file = File::open(path).map_err(cannot_read)?;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(cannot_read)?;
        let changed = file.metadata().and_then(|metadata| metadata.modified()).ok();
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let value: Value = serde_json::from_str(text).map_err(|error| PriceListError::Json {
            path: path.to_owned(),
            line: error.line(),
            column: error.column(),
        })?;
        match value {
            Value::Object(models) if models.values().any(|model| model.get("input_cost_per_token").is_some()) => {
                Ok(Self { models, as_of: changed.and_then(day) })
            }
            _ => Err(PriceListError::NotPrices { path: path.to_owned() }),
        }
    }

    /// The prices of a model on an endpoint, for a service tier if one is asked for. A preset's prices are those of its own provider.
    pub fn prices(&self, uri: &ModelUri, tier: Option<&str>) -> Option<Prices> {
        let ModelUri { endpoint, model } = uri;
        let provider = PROVIDERS.iter().find(|(name, _)| name == endpoint).map_or(endpoint.as_str(), |(_, name)| name);
        let is_preset = provider::preset(endpoint).is_some();
        let of_provider =
            |entry: &&Value| !is_preset || entry.get("litellm_provider").and_then(Value::as_str) == Some(provider);
        let with_provider = self.models.get(&format!("{provider}/{model}"));
        let entry = with_provider.or_else(|| self.models.get(model).filter(of_provider))?;
        let tier = tier.map(|tier| format!("_{tier}"));
        let price = |name: &str| {
            let of_tier = tier.as_ref().and_then(|tier| for_a_million(entry.get(format!("{name}{tier}"))?));
            of_tier.or_else(|| for_a_million(entry.get(name)?))
        };
        Some(Prices {
            input: price("input_cost_per_token")?,
            output: price("output_cost_per_token")?,
            cached_input: price("cache_read_input_token_cost"),
            cache_write: price("cache_creation_input_token_cost"),
            reasoning: price("output_cost_per_reasoning_token"),
            as_of: self.as_of,
        })
    }
}

/// A price, rounded to what prices have: a millionth of a cent.
fn for_a_million(price: &Value) -> Option<f64> {
    let price = price.as_f64().or_else(|| price.as_str()?.trim().parse().ok())?;
    (price.is_finite() && price >= 0.0).then(|| (price * 1e14).round() / 1e8)
}

fn day(time: SystemTime) -> Option<Date> {
    Some(TimeZone::UTC.to_datetime(Timestamp::try_from(time).ok()?).date())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"{
        "sample_spec": {"input_cost_per_token": 0.0, "litellm_provider": "one of https://docs.litellm.ai/docs/providers", "max_tokens": "LEGACY"},
        "gpt-4.1-mini": {"litellm_provider": "openai", "input_cost_per_token": 4e-07, "output_cost_per_token": 1.6e-06,
            "cache_read_input_token_cost": 1e-07, "input_cost_per_token_flex": 2e-07, "output_cost_per_token_flex": "8e-07"},
        "azure/gpt-4.1-mini": {"litellm_provider": "azure", "input_cost_per_token": 5e-07, "output_cost_per_token": 2e-06},
        "gemini/gemini-2.5-flash": {"litellm_provider": "gemini", "input_cost_per_token": 3e-07, "output_cost_per_token": 2.5e-06,
            "output_cost_per_reasoning_token": 3.5e-06, "cache_creation_input_token_cost": 3.83e-07},
        "together_ai/meta/llama": {"litellm_provider": "together_ai", "input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06},
        "dall-e": {"litellm_provider": "openai", "input_cost_per_pixel": 1e-08},
        "odd": {"litellm_provider": "openai", "input_cost_per_token": -1, "output_cost_per_token": 1e-06}
    }"#;

    fn list() -> PriceList {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("prices.json");
        std::fs::write(&path, format!("\u{feff}{LIST}")).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000)).unwrap();
        PriceList::read(&path).unwrap()
    }

    #[test]
    fn a_model_has_the_prices_of_its_provider() {
        let list = list();
        let prices = |uri: &str| list.prices(&uri.parse().unwrap(), None).map(|prices| (prices.input, prices.output));
        assert_eq!(prices("openai:/gpt-4.1-mini"), Some((0.4, 1.6)));
        assert_eq!(prices("azure:/gpt-4.1-mini"), Some((0.5, 2.0)));
        assert_eq!(prices("together:/meta/llama"), Some((1.0, 1.0)));
        assert_eq!(prices("my-proxy:/gpt-4.1-mini"), Some((0.4, 1.6)));
        assert_eq!(prices("my-proxy:/gemini/gemini-2.5-flash"), Some((0.3, 2.5)));
        for none in
            ["groq:/gpt-4.1-mini", "openai:/gpt-5", "openai:/dall-e", "openai:/odd", "openai:/gemini/gemini-2.5-flash"]
        {
            assert_eq!(prices(none), None, "{none}");
        }
    }

    #[test]
    fn all_its_prices_are_read_with_the_day_of_the_file() {
        let prices = list().prices(&"gemini:/gemini-2.5-flash".parse().unwrap(), None).unwrap();
        let date = "2023-11-14".parse().unwrap();
        let expected =
            Prices { reasoning: Some(3.5), cache_write: Some(0.383), as_of: Some(date), ..Prices::new(0.3, 2.5) };
        assert_eq!(prices, expected);
        let flex = list().prices(&"openai:/gpt-4.1-mini".parse().unwrap(), Some("flex")).unwrap();
        assert_eq!((flex.input, flex.output, flex.cached_input), (0.2, 0.8, Some(0.1)));
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.json");
        let error = |text: &str| {
            std::fs::write(&path, text).unwrap();
            PriceList::read(&path).unwrap_err().to_string()
        };
        assert!(error("{\n \"a\": sk-secret}").ends_with("x.json: not JSON, at line 2, column 7"));
        for other in ["[]", "{}", r#"{"a":{"b":1}}"#] {
            assert!(error(other).contains("not a list of prices"), "{other}");
        }
        let missing = PriceList::read(&folder.path().join("none.json")).unwrap_err();
        assert!(missing.to_string().starts_with("cannot read ") && std::error::Error::source(&missing).is_some());
    }
}
