//! The rules as configured: `[redact]` of judge-run.toml, and a run's plan.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::pattern::BuiltIn;

/// Which rules. None by default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedactPlan {
    /// Of those that are built in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patterns: Vec<BuiltIn>,
    /// Further regular expressions, by what they find.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub own: BTreeMap<String, String>,
    /// Exceptions to the rules, such as `*@example.com`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
}

impl RedactPlan {
    /// Whether nothing is redacted.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty() && self.own.is_empty()
    }
}
