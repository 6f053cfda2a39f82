//! The variables of prompts and expressions: their names, which of them are used, and their values.

use std::collections::{BTreeSet, HashSet};

use minijinja::Value;
use minijinja::value::Serde;

use super::conversation::turns;
use super::documents;
use super::names::{
    FUNCTIONS, NOT_OF_PAIRS, OWN_DOCUMENT_FIELDS, PARAMETERS, SESSION_FIELDS, SPAN_FIELDS, TRACE_FIELDS, VARIABLES,
    VARIABLES_OF,
};
use super::parameters::Parameters;
use super::said;
use super::subject::Subject;
use super::template_code::Named;
use super::template_error::TemplateError;
use super::tools;
use super::tree;
use super::unit::Unit;

/// The variables that are used: only these are made, since some cost something to make.
#[derive(Debug, Clone, Default)]
pub(super) struct Used(BTreeSet<&'static str>);

impl Used {
    /// Checks that what is judged can have all of these names, which may be paths.
    /// `named` says where they stand; `parameters` are those of the judge, where there is one.
    pub(super) fn check(
        names: HashSet<String>,
        judged: Unit,
        named: &[Named],
        parameters: Option<&Parameters>,
    ) -> Result<Self, TemplateError> {
        let place = |name: &str| {
            let begins =
                |path: &str| path.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
            named.iter().find(|named| begins(&named.name)).map(|named| named.at.clone())
        };
        let mut used = Self::default();
        let mut names: Vec<String> = names.into_iter().collect();
        names.sort();
        for name in names {
            let (root, rest) = name.split_once('.').map_or((name.as_str(), None), |(root, rest)| (root, Some(rest)));
            let field = rest.map(|rest| rest.split('.').next().unwrap_or(rest));
            if let Some(parameters) = parameters.filter(|_| root == PARAMETERS) {
                if let Some(field) = field.filter(|field| !parameters.has(field)) {
                    let at = place(&format!("{root}.{field}"));
                    return Err(TemplateError::UnknownParameter {
                        name: field.to_owned(),
                        known: parameters.names(),
                        at,
                    });
                }
                continue;
            }
            let known_name = match VARIABLES_OF.iter().find(|(name, _)| *name == root) {
                Some((_, unit)) if !judged.has_those_of(*unit) => {
                    let at = place(root);
                    return Err(TemplateError::OtherUnit { name: root.to_owned(), unit: *unit, at });
                }
                Some((name, _)) => name,
                None if FUNCTIONS.contains(&root) => continue,
                None if judged == Unit::Pair && NOT_OF_PAIRS.contains(&root) => {
                    return Err(TemplateError::OfEachSide { name: root.to_owned(), at: place(root) });
                }
                None => match VARIABLES.iter().find(|name| **name == root) {
                    Some(name) => name,
                    None => {
                        let (owner, at) = ("trace", place(root));
                        return Err(TemplateError::UnknownName { owner, name: root.to_owned(), known: VARIABLES, at });
                    }
                },
            };
            let (owner, known) = match root {
                "trace" | "trace_a" | "trace_b" => ("trace", TRACE_FIELDS),
                "span" => ("span", SPAN_FIELDS),
                "document" => ("document", OWN_DOCUMENT_FIELDS),
                "session" => ("session", SESSION_FIELDS),
                _ => ("", &[][..]),
            };
            if let Some(field) = field.filter(|field| !known.is_empty() && !known.contains(field)) {
                let name = format!("{root}.{field}");
                let at = place(&name);
                return Err(TemplateError::UnknownName { owner, name, known, at });
            }
            used.0.insert(known_name);
        }
        Ok(used)
    }

    /// Whether it says anything of this.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// The variables, sorted.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().copied()
    }
}

/// The variables of what is judged, as far as they are used.
pub(super) fn context(subject: Subject<'_>, used: &Used, parameters: Option<&Parameters>) -> Value {
    let of_subject = used.names().filter_map(|name| Some((name, value(name, subject)?)));
    let parameters = parameters.map(|parameters| (PARAMETERS, parameters.value()));
    Value::from_pairs(of_subject.chain(parameters))
}

/// The value of a variable; `None` where what is judged lacks it.
pub(super) fn value(name: &str, subject: Subject<'_>) -> Option<Value> {
    let trace = subject.trace();
    match name {
        "inputs" => trace.inputs.as_ref().map(|inputs| Value::from(Serde(inputs))),
        "outputs" => trace.outputs.as_ref().map(|outputs| Value::from(Serde(outputs))),
        "expectations" => {
            let expectations = subject.expectations();
            (!expectations.is_empty()).then(|| Value::from(Serde(expectations)))
        }
        "trace" => Some(Value::from(Serde(trace))),
        "spans" => (!trace.spans.is_empty()).then(|| Value::from(Serde(&trace.spans))),
        "question" => said::question(trace),
        "answer" => said::answer(trace),
        "system" => match subject {
            Subject::Session(session) => said::system_of_session(session),
            _ => said::system(trace),
        }
        .map(Value::from),
        "history" => Some(said::history(trace).into()),
        "context" => said::context(trace),
        "documents" => match subject {
            Subject::Span { span, .. } | Subject::Document { span, .. } => documents::of_span(span),
            _ => documents::of_trace(trace),
        }
        .map(Value::from),
        "calls" => {
            let calls = match subject {
                Subject::Session(session) => session.traces().flat_map(tools::calls).collect(),
                _ => tools::calls(trace),
            };
            (!calls.is_empty()).then(|| Value::from(Serde(&calls)))
        }
        "tools" => tools::offered(trace).map(|tools| Value::from(Serde(&tools))),
        "tree" => tree::of(trace).map(Value::from),
        _ => match (name, subject) {
            ("span", Subject::Span { span, .. } | Subject::Document { span, .. }) => Some(Value::from(Serde(span))),
            ("document", Subject::Document { documents, index, .. }) => {
                documents.get(index).map(|document| Value::from_object(document.clone()))
            }
            ("conversation", Subject::Session(session)) => Some(Value::from(Serde(&turns(session)))),
            ("session", Subject::Session(session)) => Some(Value::from(Serde(session))),
            ("answer_a", Subject::Pair(pair)) => said::answer(pair.a.trace),
            ("answer_b", Subject::Pair(pair)) => said::answer(pair.b.trace),
            ("outputs_a", Subject::Pair(pair)) => {
                pair.a.trace.outputs.as_ref().map(|outputs| Value::from(Serde(outputs)))
            }
            ("outputs_b", Subject::Pair(pair)) => {
                pair.b.trace.outputs.as_ref().map(|outputs| Value::from(Serde(outputs)))
            }
            ("trace_a", Subject::Pair(pair)) => Some(Value::from(Serde(pair.a.trace))),
            ("trace_b", Subject::Pair(pair)) => Some(Value::from(Serde(pair.b.trace))),
            _ => None,
        },
    }
}
