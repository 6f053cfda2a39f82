//! What tokens cost.

use serde::{Deserialize, Serialize};

use crate::endpoint::wire::answer::Usage;

/// Prices in US dollars (or whatever currency the budget is in) for a million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// Of the prompt.
    pub input: f64,
    /// Of the part of the prompt that the provider had cached; the same as `input` if not said.
    pub cached_input: Option<f64>,
    /// Of the answer, hidden reasoning included.
    pub output: f64,
}

impl Prices {
    /// What a call cost: `(input - cached) * input + cached * cached_input + output * output`, per million.
    #[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
    pub fn cost(&self, usage: &Usage) -> f64 {
        let cached = usage.cached_tokens.min(usage.input_tokens);
        let fresh = usage.input_tokens - cached;
        (fresh as f64 * self.input
            + cached as f64 * self.cached_input.unwrap_or(self.input)
            + usage.output_tokens as f64 * self.output)
            / 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cached_input_has_its_own_price() {
        let usage = Usage { input_tokens: 1_000_000, cached_tokens: 400_000, output_tokens: 100_000 };
        let prices = Prices { input: 0.4, cached_input: Some(0.1), output: 1.6 };
        assert!((prices.cost(&usage) - (0.24 + 0.04 + 0.16)).abs() < 1e-12);
        let flat = Prices { cached_input: None, ..prices };
        assert!((flat.cost(&usage) - (0.4 + 0.16)).abs() < 1e-12);
    }
}
