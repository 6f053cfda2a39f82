//! Tokens that a call used, in every form in which servers report them.
//!
//! OpenAI counts reasoning as a part of the answer and cached tokens as a part of the prompt. Some layers count either separately, and only
//! their total tells; others use Anthropic's or Google's names.

use std::ops::AddAssign;

use serde::de::MapAccess;
use serde_json::Value;

use crate::endpoint::wire::members::{Members, Raw, if_object, value};

/// Tokens that one call used, or several.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt.
    pub input_tokens: u64,
    /// Of these, read from the provider's cache.
    pub cached_tokens: u64,
    /// Of these, written to the provider's cache.
    pub cache_written_tokens: u64,
    /// Tokens of the answer, hidden reasoning included.
    pub output_tokens: u64,
    /// Of these, hidden reasoning, as far as the server reports it.
    pub reasoning_tokens: u64,
}

impl Usage {
    /// Prompt and answer together.
    pub fn total(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        let Self { input_tokens, cached_tokens, cache_written_tokens, output_tokens, reasoning_tokens } = other;
        self.input_tokens = self.input_tokens.saturating_add(input_tokens);
        self.cached_tokens = self.cached_tokens.saturating_add(cached_tokens);
        self.cache_written_tokens = self.cache_written_tokens.saturating_add(cache_written_tokens);
        self.output_tokens = self.output_tokens.saturating_add(output_tokens);
        self.reasoning_tokens = self.reasoning_tokens.saturating_add(reasoning_tokens);
    }
}

/// The members of `usage`, by whatever names.
#[derive(Default)]
pub(crate) struct Tokens<'a> {
    prompt: Raw<'a>,
    completion: Raw<'a>,
    total: Raw<'a>,
    prompt_details: Raw<'a>,
    completion_details: Raw<'a>,
    /// In the details of the prompt; DeepSeek's and Anthropic's names are next to it.
    cached: Raw<'a>,
    /// Anthropic's prompt is what was neither read from the cache nor written to it.
    is_anthropic: bool,
    written: Raw<'a>,
    /// In the details of the completion, or next to it.
    reasoning: Raw<'a>,
}

impl<'a> Members<'a> for Tokens<'a> {
    fn take<A: MapAccess<'a>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        let member = match name {
            "prompt_tokens" | "promptTokenCount" => &mut self.prompt,
            "input_tokens" => {
                self.is_anthropic = true;
                &mut self.prompt
            }
            "completion_tokens" | "output_tokens" | "candidatesTokenCount" => &mut self.completion,
            "total_tokens" | "totalTokenCount" => &mut self.total,
            "prompt_tokens_details" | "input_tokens_details" => &mut self.prompt_details,
            "completion_tokens_details" | "output_tokens_details" => &mut self.completion_details,
            "cached_tokens" | "prompt_cache_hit_tokens" | "cache_read_input_tokens" | "cachedContentTokenCount" => {
                &mut self.cached
            }
            "cache_creation_input_tokens" | "cache_write_tokens" => &mut self.written,
            "reasoning_tokens" | "thoughtsTokenCount" => &mut self.reasoning,
            _ => return Ok(false),
        };
        // Some servers give both names, and one of them without a number.
        let raw: Raw<'a> = map.next_value()?;
        *member = raw.or(*member);
        Ok(true)
    }
}

impl Tokens<'_> {
    /// The usage, where the server counts any tokens. A paid answer does not fail because its bill is odd.
    pub(crate) fn usage(&self) -> Option<Usage> {
        let details: Tokens<'_> = if_object(self.prompt_details);
        let of_completion: Tokens<'_> = if_object(self.completion_details);
        let (prompt, completion, total) = (count(self.prompt), count(self.completion), count(self.total));
        let cached = count(details.cached).or_else(|| count(self.cached)).unwrap_or(0);
        let written = count(details.written).or_else(|| count(self.written)).unwrap_or(0);
        let reasoning = count(of_completion.reasoning).or_else(|| count(self.reasoning)).unwrap_or(0);
        let is_apart = cached > prompt.unwrap_or(0)
            || self.is_anthropic && details.cached.is_none() && cached.saturating_add(written) > 0;
        let apart = if is_apart { cached.saturating_add(written) } else { 0 };
        let mut input = prompt.unwrap_or(0).saturating_add(apart);
        let mut output = completion.unwrap_or(0);
        let beyond = total.unwrap_or(0).saturating_sub(input.saturating_add(output));
        match (prompt, completion) {
            // What one of them lacks is filled in from the other.
            (None, _) => input = input.saturating_add(beyond),
            (Some(_), _) if beyond == cached && beyond > 0 && reasoning == 0 => input = input.saturating_add(beyond),
            // Reasoning that the completion does not include, since it is larger.
            _ if beyond > 0 => output = output.saturating_add(beyond),
            _ if reasoning > output => output = output.saturating_add(reasoning),
            _ => {}
        }
        (input > 0 || output > 0).then_some(Usage {
            input_tokens: input,
            cached_tokens: cached,
            cache_written_tokens: written,
            output_tokens: output,
            reasoning_tokens: reasoning,
        })
    }
}

/// A number that is not negative, in whatever form.
fn count(raw: Raw<'_>) -> Option<u64> {
    const MAX: f64 = 9e15;
    let digits = raw?.get().parse().ok().filter(|digits: &u64| *digits < MAX as u64);
    if digits.is_some() {
        return digits;
    }
    let number = match value(raw)? {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked: exact up to 2^53")]
    number.filter(|number: &f64| (0.0..MAX).contains(number)).map(|number| number.round() as u64)
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    /// Input, cached, written, output, reasoning.
    fn read(text: &str) -> Option<[u64; 5]> {
        let raw = RawValue::from_string(text.to_owned()).unwrap();
        let usage = if_object::<Tokens<'_>>(Some(&raw)).usage()?;
        let Usage { input_tokens, cached_tokens, cache_written_tokens, output_tokens, reasoning_tokens } = usage;
        Some([input_tokens, cached_tokens, cache_written_tokens, output_tokens, reasoning_tokens])
    }

    #[test]
    fn every_shape_gives_what_is_paid() {
        for (server, text, expected) in [
            (
                "OpenAI",
                r#"{"prompt_tokens":300,"completion_tokens":5020,"total_tokens":5320,"prompt_tokens_details":{"cached_tokens":256},"completion_tokens_details":{"reasoning_tokens":5000}}"#,
                [300, 256, 0, 5020, 5000],
            ),
            (
                "reasoning apart",
                r#"{"prompt_tokens":300,"completion_tokens":20,"total_tokens":5320,"completion_tokens_details":{"reasoning_tokens":5000}}"#,
                [300, 0, 0, 5020, 5000],
            ),
            (
                "reasoning apart, without details",
                r#"{"prompt_tokens":300,"completion_tokens":20,"total_tokens":5320}"#,
                [300, 0, 0, 5020, 0],
            ),
            (
                "reasoning apart, without a total",
                r#"{"prompt_tokens":300,"completion_tokens":20,"reasoning_tokens":5000}"#,
                [300, 0, 0, 5020, 5000],
            ),
            (
                "reasoning apart, and a total without it",
                r#"{"prompt_tokens":300,"completion_tokens":20,"total_tokens":320,"completion_tokens_details":{"reasoning_tokens":5000}}"#,
                [300, 0, 0, 5020, 5000],
            ),
            ("no completion", r#"{"prompt_tokens":300,"total_tokens":340}"#, [300, 0, 0, 40, 0]),
            ("no prompt", r#"{"completion_tokens":40,"total_tokens":340}"#, [300, 0, 0, 40, 0]),
            ("a total alone", r#"{"total_tokens":340}"#, [340, 0, 0, 0, 0]),
            (
                "a total that is too small",
                r#"{"prompt_tokens":300,"completion_tokens":20,"total_tokens":7}"#,
                [300, 0, 0, 20, 0],
            ),
            (
                "cached tokens apart",
                r#"{"prompt_tokens":100,"completion_tokens":20,"total_tokens":120,"prompt_tokens_details":{"cached_tokens":5000}}"#,
                [5100, 5000, 0, 20, 0],
            ),
            (
                "cached tokens apart, in the total",
                r#"{"prompt_tokens":6000,"completion_tokens":20,"total_tokens":11020,"prompt_tokens_details":{"cached_tokens":5000}}"#,
                [11_000, 5000, 0, 20, 0],
            ),
            (
                "Anthropic",
                r#"{"input_tokens":2000,"cache_creation_input_tokens":300,"cache_read_input_tokens":1500,"output_tokens":50}"#,
                [3800, 1500, 300, 50, 0],
            ),
            (
                "OpenAI's Responses",
                r#"{"input_tokens":2000,"input_tokens_details":{"cached_tokens":1500},"output_tokens":50,"output_tokens_details":{"reasoning_tokens":40},"total_tokens":2050}"#,
                [2000, 1500, 0, 50, 40],
            ),
            (
                "OpenAI, with what is written",
                r#"{"prompt_tokens":2000,"completion_tokens":9,"prompt_tokens_details":{"cached_tokens":1000,"cache_write_tokens":500}}"#,
                [2000, 1000, 500, 9, 0],
            ),
            (
                "DeepSeek",
                r#"{"prompt_tokens":50,"completion_tokens":3,"prompt_cache_hit_tokens":20}"#,
                [50, 20, 0, 3, 0],
            ),
            (
                "Google",
                r#"{"promptTokenCount":300,"candidatesTokenCount":20,"thoughtsTokenCount":100,"totalTokenCount":420}"#,
                [300, 0, 0, 120, 100],
            ),
            (
                "both names",
                r#"{"prompt_tokens":300,"completion_tokens":20,"input_tokens":null,"output_tokens":null}"#,
                [300, 0, 0, 20, 0],
            ),
            (
                "odd numbers",
                r#"{"prompt_tokens":50.0,"completion_tokens":"3","prompt_tokens_details":"none","prompt_cache_hit_tokens":"20"}"#,
                [50, 20, 0, 3, 0],
            ),
            ("beyond all bounds", r#"{"prompt_tokens":1e999,"completion_tokens":2}"#, [0, 0, 0, 2, 0]),
        ] {
            assert_eq!(read(text), Some(expected), "{server}: {text}");
        }
        for none in
            [r#""free""#, "[]", "null", "{}", r#"{"prompt_tokens":0,"completion_tokens":0}"#, r#"{"prompt_tokens":-1}"#]
        {
            assert_eq!(read(none), None, "{none}");
        }
    }

    #[test]
    fn usages_add_up_in_every_part() {
        let mut sum =
            Usage { input_tokens: 1, cached_tokens: 2, cache_written_tokens: 3, output_tokens: 4, reasoning_tokens: 5 };
        sum += Usage {
            input_tokens: 10,
            cached_tokens: 20,
            cache_written_tokens: 30,
            output_tokens: 40,
            reasoning_tokens: 50,
        };
        assert_eq!(
            sum,
            Usage {
                input_tokens: 11,
                cached_tokens: 22,
                cache_written_tokens: 33,
                output_tokens: 44,
                reasoning_tokens: 55
            }
        );
        assert_eq!(sum.total(), 55);
    }
}
