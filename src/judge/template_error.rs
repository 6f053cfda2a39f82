//! Why a template cannot be used at all.

use std::ops::Range;

use minijinja::{Environment, Error};

use super::names::{CALL_FIELDS, DOCUMENT_FIELDS, SPAN_FIELDS, TOOL_FIELDS, TRACE_FIELDS};
use super::template_code::{Named, What};
use super::unit::Unit;

/// Why a template or an expression cannot be used for any trace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Not a Jinja template, or not an expression.
    #[error("syntax error: {reason}")]
    Syntax {
        /// The parser's words.
        reason: String,
        /// Bytes of the template.
        at: Range<usize>,
    },
    /// A filter or test that the engine does not have.
    #[error("unknown {what} `{name}`")]
    UnknownFunction {
        /// `filter` or `test`.
        what: &'static str,
        /// As it stands in the template.
        name: String,
        /// What there is.
        known: &'static [&'static str],
        /// Bytes of the template.
        at: Range<usize>,
    },
    /// A variable that no trace can have, or a member that nothing can.
    #[error("no {owner} has `{name}`, known: {}", listed(known))]
    UnknownName {
        /// What does not have it.
        owner: &'static str,
        /// As it stands in the template.
        name: String,
        /// What there is instead.
        known: &'static [&'static str],
        /// Bytes of the template, where they are known.
        at: Option<Range<usize>>,
    },
    /// A parameter that the judge's file does not declare.
    #[error("the judge has no parameter `{name}`: declare it as `[params.{name}]`")]
    UnknownParameter {
        /// As it stands in the template.
        name: String,
        /// What there is instead.
        known: Vec<String>,
        /// Bytes of the template, where they are known.
        at: Option<Range<usize>>,
    },
    /// A variable of another unit.
    #[error("no trace has `{name}`, only judges of {unit}s have it")]
    OtherUnit {
        /// As it stands in the template.
        name: String,
        /// What a judge must judge to have it.
        unit: Unit,
        /// Bytes of the template, where they are known.
        at: Option<Range<usize>>,
    },
    /// A variable that each of two compared traces has.
    #[error("a pair has two of `{name}`, one for each side")]
    OfEachSide {
        /// As it stands in the template.
        name: String,
        /// Bytes of the template, where they are known.
        at: Option<Range<usize>>,
    },
}

fn listed(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

impl TemplateError {
    /// What the engine's parser says.
    pub(super) fn syntax(source: &str, error: &Error) -> Self {
        let reason = error.detail().map_or_else(|| error.kind().to_string(), ToOwned::to_owned);
        let start_of_line = error
            .line()
            .map_or(0, |line| source.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum());
        Self::Syntax { reason, at: error.range().unwrap_or(start_of_line..start_of_line) }
    }

    /// Bytes of the template, where they are known.
    pub fn at(&self) -> Option<&Range<usize>> {
        match self {
            Self::Syntax { at, .. } | Self::UnknownFunction { at, .. } => Some(at),
            Self::UnknownName { at, .. }
            | Self::UnknownParameter { at, .. }
            | Self::OtherUnit { at, .. }
            | Self::OfEachSide { at, .. } => at.as_ref(),
        }
    }

    /// An unknown name, and the known ones.
    pub fn misspelt(&self) -> Option<(&str, Vec<&str>)> {
        match self {
            Self::UnknownFunction { name, known, .. } => Some((name, known.to_vec())),
            Self::UnknownName { name, known, .. } => Some((name.rsplit('.').next().unwrap_or(name), known.to_vec())),
            Self::UnknownParameter { name, known, .. } => Some((name, known.iter().map(String::as_str).collect())),
            Self::Syntax { .. } | Self::OtherUnit { .. } | Self::OfEachSide { .. } => None,
        }
    }
}

/// The engine's filters, for suggestions. Those that templates use for themselves come first.
const FILTERS: &[&str] = &[
    "fence",
    "documents",
    "images",
    "tojson",
    "abs",
    "attr",
    "batch",
    "bool",
    "capitalize",
    "chain",
    "count",
    "default",
    "dictsort",
    "first",
    "float",
    "format",
    "groupby",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "lines",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "pprint",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "safe",
    "select",
    "selectattr",
    "slice",
    "sort",
    "split",
    "string",
    "sum",
    "title",
    "trim",
    "unique",
    "upper",
    "zip",
];
/// The engine's tests, for suggestions.
const TESTS: &[&str] = &[
    "boolean",
    "defined",
    "divisibleby",
    "endingwith",
    "eq",
    "even",
    "false",
    "float",
    "ge",
    "gt",
    "in",
    "integer",
    "iterable",
    "le",
    "lower",
    "lt",
    "mapping",
    "ne",
    "none",
    "number",
    "odd",
    "sequence",
    "startingwith",
    "string",
    "true",
    "undefined",
    "upper",
];
/// The members of a turn of a conversation.
const TURN_FIELDS: &[&str] = &["role", "content"];

/// Checks that the engine has the filters and tests that code names, and that the items of known lists have the members.
pub(super) fn check_names(named: &[Named], environment: &Environment<'_>) -> Result<(), TemplateError> {
    for Named { what, name, at } in named {
        let unknown =
            |what, known| Err(TemplateError::UnknownFunction { what, name: name.clone(), known, at: at.clone() });
        match what {
            What::Filter if !has(environment, name, "filter") => return unknown("filter", FILTERS),
            What::Test if !has(environment, name, "test") => return unknown("test", TESTS),
            What::Item => check_item(name, at)?,
            _ => {}
        }
    }
    Ok(())
}

/// Whether the engine has a filter or test, by its own word.
fn has(environment: &Environment<'_>, name: &str, what: &str) -> bool {
    let expression = format!("\"{name}\" is {what}");
    let is_there = environment.compile_expression(&expression).and_then(|expression| expression.eval(()));
    is_there.is_ok_and(|is_there| is_there.is_true())
}

/// `spans[].outputs`
fn check_item(name: &str, at: &Range<usize>) -> Result<(), TemplateError> {
    let Some((list, path)) = name.rsplit_once("[]") else { return Ok(()) };
    let (owner, known) = match list {
        "spans" | "trace.spans" => ("span", SPAN_FIELDS),
        "session.traces" => ("trace", TRACE_FIELDS),
        "conversation" | "history" => ("turn of a conversation", TURN_FIELDS),
        "calls" => ("call", CALL_FIELDS),
        "documents" => ("document", DOCUMENT_FIELDS),
        "tools" => ("tool", TOOL_FIELDS),
        _ => return Ok(()),
    };
    let member = path.trim_start_matches('.').split('.').next().unwrap_or_default();
    if member.is_empty() || known.contains(&member) {
        return Ok(());
    }
    Err(TemplateError::UnknownName { owner, name: member.to_owned(), known, at: Some(at.clone()) })
}

#[cfg(test)]
mod tests {
    use minijinja::UndefinedBehavior;

    use super::*;
    use crate::judge::engine::environment;

    #[test]
    fn what_is_suggested_exists() {
        let environment = environment(UndefinedBehavior::Strict);
        for (names, what) in [(FILTERS, "filter"), (TESTS, "test")] {
            for name in names {
                assert!(has(&environment, name, what), "{name}");
            }
        }
        assert!(!has(&environment, "fense", "filter") && !has(&environment, "defind", "test"));
    }
}
