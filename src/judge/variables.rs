//! The variables of prompts and expressions: their names, which of them are used, and their values.

use std::collections::HashSet;

use minijinja::Value;
use minijinja::value::Serde;

use super::conversation::turns;
use super::names::{FUNCTIONS, SESSION_FIELDS, SPAN_FIELDS, TRACE_FIELDS, VARIABLES, VARIABLES_OF};
use super::select::Unit;
use super::subject::Subject;
use super::template_code::Named;
use super::template_error::TemplateError;

/// Which of the variables are used that cost something to make.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "one a variable")]
pub(super) struct Used {
    trace: bool,
    spans: bool,
    pub(super) span: bool,
    conversation: bool,
    session: bool,
}

impl Used {
    /// Checks that what is judged can have all of these names, which may be paths.
    /// `named` says where they stand.
    pub(super) fn check(names: HashSet<String>, judged: Unit, named: &[Named]) -> Result<Self, TemplateError> {
        let place = |name: &str| {
            let begins =
                |path: &str| path.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
            named.iter().find(|named| begins(&named.name)).map(|named| named.at.clone())
        };
        let mut used = Self { trace: false, spans: false, span: false, conversation: false, session: false };
        let mut names: Vec<String> = names.into_iter().collect();
        names.sort();
        for name in names {
            let (root, rest) = name.split_once('.').map_or((name.as_str(), None), |(root, rest)| (root, Some(rest)));
            match VARIABLES_OF.iter().find(|(name, _)| *name == root) {
                Some((_, unit)) if *unit != judged => {
                    let at = place(root);
                    return Err(TemplateError::OtherUnit { name: root.to_owned(), unit: *unit, at });
                }
                None if FUNCTIONS.contains(&root) => continue,
                None if !VARIABLES.contains(&root) => {
                    let (owner, at) = ("trace", place(root));
                    return Err(TemplateError::UnknownName { owner, name: root.to_owned(), known: VARIABLES, at });
                }
                _ => {}
            }
            let (owner, known) = match root {
                "trace" => ("trace", TRACE_FIELDS),
                "span" => ("span", SPAN_FIELDS),
                "session" => ("session", SESSION_FIELDS),
                _ => ("", &[][..]),
            };
            let field = rest.map(|rest| rest.split('.').next().unwrap_or(rest));
            if let Some(field) = field.filter(|field| !known.is_empty() && !known.contains(field)) {
                let name = format!("{root}.{field}");
                let at = place(&name);
                return Err(TemplateError::UnknownName { owner, name, known, at });
            }
            used.trace |= root == "trace";
            used.spans |= root == "spans";
            used.span |= root == "span";
            used.conversation |= root == "conversation";
            used.session |= root == "session";
        }
        Ok(used)
    }
}

/// The variables of what is judged.
pub(super) fn context(subject: Subject<'_>, used: Used) -> Value {
    let (trace, expectations) = (subject.trace(), subject.expectations());
    let mut context: Vec<(&str, Value)> = Vec::with_capacity(VARIABLES.len() + VARIABLES_OF.len());
    if let Some(inputs) = &trace.inputs {
        context.push(("inputs", Value::from(Serde(inputs))));
    }
    if let Some(outputs) = &trace.outputs {
        context.push(("outputs", Value::from(Serde(outputs))));
    }
    if !expectations.is_empty() {
        context.push(("expectations", Value::from(Serde(expectations))));
    }
    if used.spans && !trace.spans.is_empty() {
        context.push(("spans", Value::from(Serde(&trace.spans))));
    }
    if used.trace {
        context.push(("trace", Value::from(Serde(trace))));
    }
    match subject {
        Subject::Span { span, .. } if used.span => context.push(("span", Value::from(Serde(span)))),
        Subject::Session(session) => {
            if used.conversation {
                context.push(("conversation", Value::from(Serde(&turns(session)))));
            }
            if used.session {
                context.push(("session", Value::from(Serde(session))));
            }
        }
        Subject::Trace(_) | Subject::Span { .. } => {}
    }
    Value::from_pairs(context)
}
