//! The form of requests for one endpoint and model.

use std::collections::{BTreeMap, BTreeSet};

/// The form of requests for one endpoint and model. It starts with what is known about the provider and is adapted to what the endpoint refuses (see
/// [`Ladder`](crate::endpoint::wire::ladder::Ladder)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireProfile {
    /// What the output limit is called.
    pub limit_field: LimitField,
    /// How the form of the answer is asked for.
    pub response_format: ResponseFormat,
    /// Whether a schema also limits lengths.
    pub with_bounds: bool,
    /// Whether instructions have their own message; otherwise they are at the beginning of the user's.
    pub system_role: bool,
    /// Parameters that the endpoint does not accept.
    pub dropped: BTreeSet<String>,
    /// Further members that must have a certain value.
    pub switches: BTreeMap<String, bool>,
    /// Whether the answer is asked for as a stream: some models have no other.
    pub stream: bool,
    /// The highest output limit that the endpoint accepts, if it says so.
    pub max_output: Option<u32>,
}

impl Default for WireProfile {
    /// What most compatible servers take.
    fn default() -> Self {
        Self {
            limit_field: LimitField::MaxTokens,
            response_format: ResponseFormat::JsonSchema,
            with_bounds: false,
            system_role: true,
            dropped: BTreeSet::new(),
            switches: BTreeMap::new(),
            stream: false,
            max_output: None,
        }
    }
}

impl WireProfile {
    /// The output limit to request if a judgment wants this one.
    pub fn room(&self, wanted: u32) -> u32 {
        self.max_output.map_or(wanted, |max| wanted.min(max))
    }
}

/// The two names of the output limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LimitField {
    /// OpenAI's current name.
    MaxCompletionTokens,
    /// The older name, which most compatible servers support.
    MaxTokens,
}

impl LimitField {
    /// The name in requests.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MaxCompletionTokens => "max_completion_tokens",
            Self::MaxTokens => "max_tokens",
        }
    }

    /// The other one.
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::MaxCompletionTokens => Self::MaxTokens,
            Self::MaxTokens => Self::MaxCompletionTokens,
        }
    }
}

/// How the form of the answer is asked for, from strictest to loosest. The prompt states it in words in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ResponseFormat {
    /// A JSON schema that is enforced.
    JsonSchema,
    /// A JSON schema without `strict`.
    LooseJsonSchema,
    /// A JSON object, with the schema next to it, as llama.cpp accepts it.
    JsonObjectWithSchema,
    /// Any JSON object.
    JsonObject,
    /// Nothing is said.
    Text,
}

impl ResponseFormat {
    /// The name in records and summaries.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::JsonSchema => "json_schema",
            Self::LooseJsonSchema => "json_schema (not strict)",
            Self::JsonObjectWithSchema => "json_object (with schema)",
            Self::JsonObject => "json_object",
            Self::Text => "text",
        }
    }

    /// The next looser one.
    pub(crate) const fn looser(self) -> Option<Self> {
        match self {
            Self::JsonSchema => Some(Self::LooseJsonSchema),
            Self::LooseJsonSchema => Some(Self::JsonObjectWithSchema),
            Self::JsonObjectWithSchema => Some(Self::JsonObject),
            Self::JsonObject => Some(Self::Text),
            Self::Text => None,
        }
    }

    /// Whether a schema goes with it.
    pub(crate) const fn has_schema(self) -> bool {
        matches!(self, Self::JsonSchema | Self::LooseJsonSchema | Self::JsonObjectWithSchema)
    }
}
