//! `[select] requires`: what a trace must have for a judge to apply to it.

use minijinja::Value;
use minijinja::value::ValueKind;

use super::names::{PARAMETERS, VARIABLES, VARIABLES_OF};
use super::parameters::Parameters;
use super::subject::Subject;
use super::variables::value;

/// Expectations that need no `expectations.` before them: MLflow's, and those of the built-in judges.
pub const EXPECTATIONS: &[&str] =
    &["expected_response", "expected_facts", "expected_retrieved_context", "expected_tool_calls", "guidelines", "goal"];
/// Between alternatives.
const OR: &str = " or ";

/// Something that a trace must have, in one of several forms.
#[derive(Debug, Clone)]
pub struct Requirement {
    /// As written.
    words: String,
    alternatives: Vec<Vec<String>>,
}

impl Requirement {
    /// Reads `documents`, `expected_facts or expected_response`, `expectations.tone`, `params.guidelines`.
    ///
    /// # Errors
    /// Which name means nothing.
    pub(super) fn parse(words: &str) -> Result<Self, String> {
        let alternative = |name: &str| {
            let name = name.trim();
            let path: Vec<String> = match name {
                _ if EXPECTATIONS.contains(&name) => vec!["expectations".to_owned(), name.to_owned()],
                _ => name.split('.').map(ToOwned::to_owned).collect(),
            };
            let root = path.first().map_or("", String::as_str);
            let of_units = VARIABLES_OF.iter().map(|(name, _)| *name);
            let mut known = VARIABLES.iter().copied().chain(of_units).chain([PARAMETERS]);
            if known.any(|known| known == root) && path.iter().all(|part| !part.is_empty()) {
                return Ok(path);
            }
            let known: Vec<_> = EXPECTATIONS.iter().chain(VARIABLES).map(|name| format!("`{name}`")).collect();
            Err(format!("`requires` names `{name}`, which no trace has; known: {}", known.join(", ")))
        };
        let alternatives = words.split(OR).map(alternative).collect::<Result<_, _>>()?;
        Ok(Self { words: words.to_owned(), alternatives })
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.words
    }

    pub(super) fn is_met(&self, subject: Subject<'_>, parameters: &Parameters) -> bool {
        self.alternatives.iter().any(|path| match path.as_slice() {
            [root, name] if root == PARAMETERS => parameters.is_said(name),
            [root, rest @ ..] => is_there(root, rest, subject),
            [] => true,
        })
    }
}

/// Whether a variable, or a member of it, is present and not empty. A retrieval that found nothing counts as present.
fn is_there(root: &str, rest: &[String], subject: Subject<'_>) -> bool {
    let member = |value: Value, name: &String| value.get_attr(name).ok().filter(|value| !value.is_undefined());
    let found = value(root, subject).and_then(|value| rest.iter().try_fold(value, member));
    found.is_some_and(|value| match value.kind() {
        ValueKind::Undefined | ValueKind::None => false,
        ValueKind::String => value.as_str().is_some_and(|text| !text.trim().is_empty()),
        ValueKind::Seq | ValueKind::Iterable | ValueKind::Map => root == "documents" || value.len() != Some(0),
        _ => true,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::trace::{Span, SpanType, Trace};

    #[test]
    fn a_trace_has_what_says_something() {
        let expectations = json!({"expected_facts": ["a"], "expected_response": " ", "tone": {"formal": true}});
        let retriever = Span { span_type: SpanType::new("RETRIEVER"), outputs: Some(json!([])), ..Span::default() };
        let trace = Trace {
            inputs: Some(json!({"question": "Why?"})),
            outputs: Some(json!(null)),
            expectations: expectations.as_object().unwrap().clone(),
            spans: vec![retriever],
            ..Trace::default()
        };
        for (words, is_met) in [
            ("question", true),
            ("answer", false),
            ("expected_facts", true),
            ("expected_response", false),
            ("expected_response or expected_facts", true),
            ("expectations.tone.formal", true),
            ("expectations.tone.warm", false),
            ("documents", true),
            ("calls", false),
            ("calls or documents", true),
            ("tree", true),
            ("system", false),
            ("params.fields", false),
        ] {
            let requirement = Requirement::parse(words).unwrap();
            assert_eq!(requirement.is_met((&trace).into(), &Parameters::default()), is_met, "{words}");
        }
        let bare = Requirement::parse("documents").unwrap();
        assert!(!bare.is_met((&Trace::default()).into(), &Parameters::default()), "nothing was retrieved");
    }

    #[test]
    fn a_name_that_means_nothing_is_refused() {
        for words in ["documnt", "", "question or answr", "expectations."] {
            let error = Requirement::parse(words).unwrap_err();
            assert!(error.starts_with("`requires` names `"), "{words}: {error}");
        }
    }
}
