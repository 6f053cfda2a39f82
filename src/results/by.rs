//! How opinions are grouped into slices.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use super::extract::Extract;
use super::hash::hash;
use crate::feedback::{Feedback, SESSION_ID_METADATA, SESSION_METADATA};
use crate::judge::Expression;
use crate::judge::prompt::TemplateError;
use crate::trace::Trace;

/// An expression that groups opinions: a property of the record, or anything over the trace.
#[derive(Debug)]
pub struct By {
    source: String,
    of: Of,
}

#[derive(Debug)]
enum Of {
    /// The model that answered, as the provider calls it.
    Model,
    /// The session of the trace.
    Session,
    /// A member of the record's metadata.
    Metadata(String),
    /// Something that only the dataset knows: the number of the expression among those.
    Trace { number: usize, expression: Expression },
}

/// The expressions of a report, in their order.
///
/// # Errors
/// The first that is none, and why.
pub fn compile(sources: &[String]) -> Result<Vec<By>, (String, TemplateError)> {
    let mut number = 0;
    let by = sources.iter().map(|source| {
        let of = match source.trim() {
            "model" => Of::Model,
            "session" => Of::Session,
            text => match text.strip_prefix("metadata.") {
                Some(key) => Of::Metadata(key.to_owned()),
                None => {
                    let expression = Expression::compile(text).map_err(|error| (source.clone(), error))?;
                    number += 1;
                    Of::Trace { number: number - 1, expression }
                }
            },
        };
        Ok(By { source: source.trim().to_owned(), of })
    });
    by.collect()
}

impl By {
    /// Whether the dataset is needed.
    pub fn needs_traces(&self) -> bool {
        matches!(self.of, Of::Trace { .. })
    }

    /// The group of a whole record; `None` if unknown.
    pub(super) fn value_of(&self, feedback: &Feedback, facts: &TraceFacts) -> Option<String> {
        let trace = feedback.trace_id.as_deref().map(|id| hash(&[id]));
        let extract = Extract::of(feedback.clone());
        self.value(&extract, trace.and_then(|trace| facts.get(trace))).map(Cow::into_owned)
    }

    /// The group of a record; `None` if unknown.
    pub(super) fn value<'a>(&self, extract: &'a Extract<'_>, facts: Option<&'a Facts>) -> Option<Cow<'a, str>> {
        let metadata = &extract.metadata;
        match &self.of {
            Of::Model => Some(metadata.get("model").unwrap_or(&extract.source_id).into()),
            Of::Session => {
                let session = metadata.get(SESSION_ID_METADATA).or_else(|| metadata.get(SESSION_METADATA));
                session.map(Cow::Borrowed)
            }
            Of::Metadata(key) => metadata.get(key).map(Cow::Borrowed),
            Of::Trace { number, .. } => facts?.values.get(*number).map(|value| Cow::Borrowed(value.as_str())),
        }
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

/// What is known about traces from the dataset, by the hash of their ids.
#[derive(Debug, Default)]
pub struct TraceFacts {
    of: HashMap<u64, Facts>,
    /// Traces for which an expression failed, and the first reason.
    pub failed: u64,
    /// Why the first of them did.
    pub first_failure: Option<String>,
}

/// What is known of one trace.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// Its hash.
    pub session: Option<u64>,
    /// Of each expression over the trace.
    values: Vec<String>,
}

impl TraceFacts {
    /// Takes a trace into account.
    pub fn add(&mut self, by: &[By], trace: &Trace) {
        let expressions = by.iter().filter_map(|by| match &by.of {
            Of::Trace { expression, .. } => Some(expression),
            Of::Model | Of::Session | Of::Metadata(_) => None,
        });
        let values = expressions.map(|expression| {
            expression.text(trace).unwrap_or_else(|reason| {
                self.failed += 1;
                self.first_failure.get_or_insert(reason);
                String::new()
            })
        });
        let facts =
            Facts { values: values.collect(), session: trace.session().map(|session| hash(&["session", session])) };
        self.of.insert(hash(&[&trace.trace_id]), facts);
    }

    pub(super) fn get(&self, trace: u64) -> Option<&Facts> {
        self.of.get(&trace)
    }
}
