//! What tokens cost.

use std::fmt;

use jiff::civil::Date;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::endpoint::wire::answer::Usage;

/// Prices in US dollars (or whatever currency the budget is in) per million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// Of the prompt.
    pub input: f64,
    /// Of the part of the prompt that the provider had cached; the same as `input` by default.
    pub cached_input: Option<f64>,
    /// Of the part of the prompt that the provider writes to its cache; the same as `input` by default.
    pub cache_write: Option<f64>,
    /// Of the answer, hidden reasoning included.
    pub output: f64,
    /// Of the hidden reasoning; the same as `output` by default.
    pub reasoning: Option<f64>,
    /// The day that the prices are of.
    #[serde(default, deserialize_with = "date", serialize_with = "as_text")]
    pub as_of: Option<Date>,
}

impl Prices {
    /// Prices of prompt and answer only.
    pub fn new(input: f64, output: f64) -> Self {
        Self { input, output, cached_input: None, cache_write: None, reasoning: None, as_of: None }
    }

    /// What a call cost.
    #[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
    pub fn cost(&self, usage: &Usage) -> f64 {
        let cached = usage.cached_tokens.min(usage.input_tokens);
        let written = usage.cache_written_tokens.min(usage.input_tokens - cached);
        let reasoning = usage.reasoning_tokens.min(usage.output_tokens);
        let parts = [
            (usage.input_tokens - cached - written, self.input),
            (cached, self.cached_input.unwrap_or(self.input)),
            (written, self.cache_write.unwrap_or(self.input)),
            (usage.output_tokens - reasoning, self.output),
            (reasoning, self.reasoning.unwrap_or(self.output)),
        ];
        parts.into_iter().map(|(tokens, price)| tokens as f64 * price).sum::<f64>() / 1e6
    }
}

impl fmt::Display for Prices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in, {} out per million tokens", self.input, self.output)?;
        self.as_of.map_or(Ok(()), |date| write!(f, ", as of {date}"))
    }
}

fn date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Date>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    text.parse().map(Some).map_err(|_| serde::de::Error::custom("`as_of` must be a date such as \"2026-11-28\""))
}

fn as_text<S: Serializer>(date: &Option<Date>, serializer: S) -> Result<S::Ok, S::Error> {
    date.map(|date| date.to_string()).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_call_has_its_own_price() {
        let usage = Usage {
            input_tokens: 1_000_000,
            cached_tokens: 400_000,
            cache_written_tokens: 200_000,
            output_tokens: 100_000,
            reasoning_tokens: 40_000,
        };
        let cost = |prices: Prices| (prices.cost(&usage) * 1e6).round();
        let flat = Prices::new(0.4, 1.6);
        assert_eq!(cost(flat), 560_000.0);
        assert_eq!(cost(Prices { cached_input: Some(0.1), ..flat }), 560_000.0 - 120_000.0);
        assert_eq!(cost(Prices { cache_write: Some(0.5), ..flat }), 560_000.0 + 20_000.0);
        assert_eq!(cost(Prices { reasoning: Some(2.6), ..flat }), 560_000.0 + 40_000.0);
    }

    #[test]
    fn parts_that_exceed_the_whole_cost_no_more_than_it() {
        let usage = Usage {
            input_tokens: 10,
            cached_tokens: 90,
            cache_written_tokens: 90,
            output_tokens: 10,
            reasoning_tokens: 90,
        };
        let prices = Prices { cached_input: Some(1e6), reasoning: Some(1e6), ..Prices::new(7.0, 7.0) };
        assert_eq!(prices.cost(&usage), 20.0);
    }

    #[test]
    fn prices_are_read_and_shown_with_their_date() {
        let read = |text: &str| toml::from_str::<Prices>(text).map_err(|error| error.message().to_owned());
        let prices = read("input = 0.4\ncached_input = 0.1\noutput = 1.6\nas_of = \"2026-11-28\"").unwrap();
        assert_eq!(prices.to_string(), "0.4 in, 1.6 out per million tokens, as of 2026-11-28");
        assert_eq!(read("input = 0.4\noutput = 1.6").unwrap(), Prices::new(0.4, 1.6));
        for prices in [prices, Prices::new(0.4, 1.6)] {
            let text = serde_json::to_string(&prices).unwrap();
            assert_eq!(serde_json::from_str::<Prices>(&text).unwrap(), prices, "{text}");
        }
        assert!(
            read("input = 0.4\noutput = 1.6\nas_of = \"yesterday\"").unwrap_err().contains("`as_of` must be a date")
        );
    }
}
