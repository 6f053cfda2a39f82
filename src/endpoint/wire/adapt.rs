//! The fallback ladder: what to leave out or rename when an endpoint refuses a part of the request.
//!
//! Each step is learnt once for an endpoint and model and kept for the run. The rungs end, so a request that is still refused at
//! the end is `UNSUPPORTED_PARAMETER`.

use crate::endpoint::Rejected;
use crate::endpoint::wire::chat::{LimitField, ResponseFormat, WireProfile};

impl WireProfile {
    /// Adapts the profile to a refusal. Returns what changed, in words; `None` when there is nothing left to change.
    pub fn adapt(&mut self, rejected: &Rejected) -> Option<String> {
        match rejected {
            Rejected::ResponseFormat => self.loosen_format(),
            Rejected::SystemRole if self.system_role => {
                self.system_role = false;
                Some("instructions in the user message".to_owned())
            }
            Rejected::SystemRole => None,
            Rejected::Parameter(name) => self.adapt_parameter(name),
        }
    }

    fn loosen_format(&mut self) -> Option<String> {
        if std::mem::take(&mut self.with_bounds) {
            return Some("a schema without bounds".to_owned());
        }
        self.response_format = match self.response_format {
            ResponseFormat::JsonSchema => ResponseFormat::LooseJsonSchema,
            ResponseFormat::LooseJsonSchema => ResponseFormat::JsonObjectWithSchema,
            ResponseFormat::JsonObjectWithSchema => ResponseFormat::JsonObject,
            ResponseFormat::JsonObject => ResponseFormat::Text,
            ResponseFormat::Text => return None,
        };
        Some(format!("response_format {}", self.response_format.as_str()))
    }

    fn adapt_parameter(&mut self, name: &str) -> Option<String> {
        // `response_format.json_schema.strict` and the like.
        let name = name.split(['.', '[']).next().unwrap_or(name);
        match name {
            "response_format" => self.loosen_format(),
            "max_tokens" | "max_completion_tokens" => {
                let (refused, other, field) = match self.limit_field {
                    LimitField::MaxTokens => ("max_tokens", "max_completion_tokens", LimitField::MaxCompletionTokens),
                    LimitField::MaxCompletionTokens => ("max_completion_tokens", "max_tokens", LimitField::MaxTokens),
                };
                // Once only: an endpoint that refuses both has another reason.
                if name != refused || !self.dropped.insert(refused.to_owned()) || self.dropped.contains(other) {
                    return None;
                }
                self.limit_field = field;
                Some(format!("{other} instead of {refused}"))
            }
            "model" | "messages" => None,
            _ => self.dropped.insert(name.to_owned()).then(|| format!("without {name}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::provider::{preset, wire_profile};

    fn parameter(name: &str) -> Rejected {
        Rejected::Parameter(name.to_owned())
    }

    #[test]
    fn the_format_is_loosened_rung_by_rung_and_ends() {
        let mut profile = wire_profile(None, "http://h/v1", "m");
        let steps: Vec<_> = std::iter::from_fn(|| profile.adapt(&Rejected::ResponseFormat)).collect();
        assert_eq!(
            steps,
            [
                "response_format json_schema (not strict)",
                "response_format json_object (with schema)",
                "response_format json_object",
                "response_format text"
            ]
        );
    }

    #[test]
    fn bounds_go_before_the_schema_does() {
        let mut profile = wire_profile(preset("llamacpp"), "http://h/v1", "m");
        assert_eq!(profile.adapt(&Rejected::ResponseFormat).unwrap(), "a schema without bounds");
        assert_eq!(profile.response_format, ResponseFormat::JsonSchema);
        assert_eq!(profile.adapt(&Rejected::ResponseFormat).unwrap(), "response_format json_schema (not strict)");
    }

    #[test]
    fn parameters_are_renamed_or_dropped_once() {
        let mut profile = wire_profile(None, "http://h/v1", "m");
        assert_eq!(profile.adapt(&parameter("max_tokens")).unwrap(), "max_completion_tokens instead of max_tokens");
        assert_eq!(profile.adapt(&parameter("max_completion_tokens")), None);
        assert_eq!(profile.adapt(&parameter("temperature")).unwrap(), "without temperature");
        assert_eq!(profile.adapt(&parameter("temperature")), None);
        assert_eq!(profile.adapt(&parameter("messages[0].content")), None);
        assert!(profile.adapt(&parameter("response_format.json_schema")).is_some());
        assert!(profile.adapt(&Rejected::SystemRole).is_some());
        assert_eq!(profile.adapt(&Rejected::SystemRole), None);
    }
}
