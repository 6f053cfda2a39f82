//! The names under which models give the members of an answer.

use crate::judge::form::{RATIONALE_KEY, VALUE_KEY};

/// The names under which models give the verdict when they do not keep to [`VALUE_KEY`], also with `final_` or `overall_` before them.
pub(super) const VALUE_ALIASES: [&str; 9] =
    ["result", "score", "verdict", "rating", "answer", "label", "grade", "judgment", "judgement"];

/// The names of the reasoning, in order of preference.
pub(super) const RATIONALE_KEYS: [&str; 8] =
    [RATIONALE_KEY, "reasoning", "reason", "explanation", "analysis", "thought", "thoughts", "justification"];

/// The names of a boolean that says whether what is judged is good.
const PASS_KEYS: [&str; 2] = ["pass", "passed"];
/// Whether an object with this key is meant as the answer.
pub(super) fn is_key(key: &str) -> bool {
    is_value_key(key) || is_pass_key(key) || RATIONALE_KEYS.iter().any(|name| key.eq_ignore_ascii_case(name))
}

pub(super) fn is_value_key(key: &str) -> bool {
    let rest = ["final", "overall"].iter().find_map(|prefix| {
        let (start, rest) = key.split_at_checked(prefix.len())?;
        start.eq_ignore_ascii_case(prefix).then(|| rest.trim_start_matches(['_', '-', ' ']))
    });
    let name = rest.unwrap_or(key);
    name.eq_ignore_ascii_case(VALUE_KEY) || VALUE_ALIASES.iter().any(|alias| name.eq_ignore_ascii_case(alias))
}

pub(super) fn is_pass_key(key: &str) -> bool {
    PASS_KEYS.iter().any(|name| key.eq_ignore_ascii_case(name))
}
