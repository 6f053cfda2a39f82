//! `[code]` as written: flat, so that messages name the wrong key.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use toml::Spanned;

/// `[code]` of a judge file: either an expression, or a check and what it needs.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct CodeTable {
    /// An expression with the variables of prompts: the verdict.
    pub value: Option<Spanned<String>>,
    /// A named check.
    pub check: Option<CheckName>,
    /// An expression: what is checked. By default the text of the answer, or what the check is about.
    pub actual: Option<Spanned<String>>,
    /// An expression: what it is compared with. By default the expectation that the check is about.
    pub expected: Option<Spanned<String>>,
    /// Whether case matters not.
    pub ignore_case: Option<bool>,
    /// Whether only the presence of white space matters.
    pub ignore_space: Option<bool>,
    /// Whether punctuation matters not.
    pub ignore_punctuation: Option<bool>,
    /// Whether one of several expected texts is enough.
    pub any: Option<bool>,
    /// A regular expression.
    pub pattern: Option<String>,
    /// A JSON Schema: a table, or its JSON text.
    pub schema: Option<toml::Value>,
    /// How far off a number may be.
    pub tolerance: Option<f64>,
    /// How far off a number may be, as a share of the larger one.
    pub relative: Option<f64>,
    /// How many of the retrieved documents count.
    pub k: Option<usize>,
    /// Languages, by code or English name.
    pub languages: Option<Vec<String>>,
    /// Kinds of personal data.
    pub kinds: Option<Vec<super::pii::Kind>>,
    /// Whether the order of calls matters.
    pub order: Option<super::tools::Order>,
    /// How the arguments of calls are compared.
    pub arguments: Option<super::tools::Arguments>,
    /// What a length is counted in.
    pub unit: Option<super::words::Unit>,
    /// The least that is good, where a measure gives true or false.
    pub min: Option<f64>,
    /// The most that is good.
    pub max: Option<f64>,
}

/// The named checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "docs/judges.md has a line on each")]
pub enum CheckName {
    ExactMatch,
    Contains,
    Regex,
    Json,
    JsonSchema,
    Number,
    TokenF1,
    RougeL,
    EditSimilarity,
    Length,
    Language,
    Pii,
    PrecisionAtK,
    RecallAtK,
    NdcgAtK,
    ToolCalls,
    LatencyMs,
    Tokens,
    Cost,
}

/// What a check gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gives {
    /// True or false.
    Boolean,
    /// A number.
    Number,
    /// True or false, or a number, depending on the verdict's type.
    Either,
    /// A label, or whether it is one of the named ones.
    Label,
}

impl CheckName {
    /// The name in judge files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ExactMatch => "exact_match",
            Self::Contains => "contains",
            Self::Regex => "regex",
            Self::Json => "json",
            Self::JsonSchema => "json_schema",
            Self::Number => "number",
            Self::TokenF1 => "token_f1",
            Self::RougeL => "rouge_l",
            Self::EditSimilarity => "edit_similarity",
            Self::Length => "length",
            Self::Language => "language",
            Self::Pii => "pii",
            Self::PrecisionAtK => "precision_at_k",
            Self::RecallAtK => "recall_at_k",
            Self::NdcgAtK => "ndcg_at_k",
            Self::ToolCalls => "tool_calls",
            Self::LatencyMs => "latency_ms",
            Self::Tokens => "tokens",
            Self::Cost => "cost",
        }
    }

    pub(super) fn gives(self) -> Gives {
        match self {
            Self::ExactMatch | Self::Contains | Self::Regex | Self::Json | Self::JsonSchema | Self::Number => {
                Gives::Boolean
            }
            Self::TokenF1
            | Self::RougeL
            | Self::EditSimilarity
            | Self::Length
            | Self::PrecisionAtK
            | Self::RecallAtK
            | Self::NdcgAtK
            | Self::LatencyMs
            | Self::Tokens
            | Self::Cost => Gives::Number,
            Self::Pii | Self::ToolCalls => Gives::Either,
            Self::Language => Gives::Label,
        }
    }

    /// The keys of `[code]` that it reads.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::ExactMatch => &["actual", "expected", "ignore_case", "ignore_space", "ignore_punctuation"],
            Self::Contains => &["actual", "expected", "ignore_case", "ignore_space", "ignore_punctuation", "any"],
            Self::Regex => &["actual", "pattern", "ignore_case"],
            Self::Json => &["actual"],
            Self::JsonSchema => &["actual", "schema"],
            Self::Number => &["actual", "expected", "tolerance", "relative"],
            Self::TokenF1 | Self::RougeL | Self::EditSimilarity => &["actual", "expected", "min", "max"],
            Self::Length => &["actual", "unit", "min", "max"],
            Self::Language => &["actual", "expected", "languages"],
            Self::Pii => &["actual", "kinds"],
            Self::PrecisionAtK | Self::RecallAtK | Self::NdcgAtK => &["actual", "expected", "k", "min", "max"],
            Self::ToolCalls => &["actual", "expected", "order", "arguments"],
            Self::LatencyMs | Self::Tokens | Self::Cost => &["min", "max"],
        }
    }
}

impl CodeTable {
    /// The keys that are there, and their values, in the order of this struct.
    fn written(&self) -> Vec<(String, Value)> {
        let Ok(Value::Object(members)) = serde_json::to_value(self) else { return Vec::new() };
        members.into_iter().filter(|(_, value)| !value.is_null()).collect()
    }

    /// Everything that determines a verdict, as one text: keys that are added later change nothing if unused.
    pub(in crate::judge) fn identity(&self) -> String {
        Value::Object(self.written().into_iter().collect()).to_string()
    }

    /// Whether every key fits the check or expression of the table.
    pub(super) fn check_keys(&self) -> Result<(), String> {
        let (what, keys) = match (&self.value, self.check) {
            (Some(_), None) => ("an expression".to_owned(), &[][..]),
            (None, Some(check)) => (format!("the check `{}`", check.as_str()), check.keys()),
            (Some(_), Some(_)) => return Err("`value` and `check` exclude each other".to_owned()),
            (None, None) => return Err("write `value = \"EXPRESSION\"` or `check = \"NAME\"`".to_owned()),
        };
        let own = ["value", "check"];
        match self.written().iter().find(|(key, _)| !own.contains(&key.as_str()) && !keys.contains(&key.as_str())) {
            None => Ok(()),
            Some((key, _)) if keys.is_empty() => Err(format!("`{key}` has no meaning for {what}")),
            Some((key, _)) => Err(format!("`{key}` has no meaning for {what}, which reads {}", listed(keys))),
        }
    }
}

fn listed(keys: &[&str]) -> String {
    keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
}
