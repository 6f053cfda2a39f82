//! Replaces personal data and secrets in traces before anything leaves: `[redacted email]`.
//!
//! Judges, and the ids of their judgments, see the redacted trace. Filters and sessions see it as it was recorded.

mod error;
mod pattern;
mod plan;

use std::borrow::Cow;

use serde_json::{Map, Value};

pub use error::InvalidRedaction;
pub use pattern::BuiltIn;
use pattern::Rule;
pub use plan::RedactPlan;

use super::glob;
use crate::feedback::{Feedback, SESSION_ID_METADATA, SESSION_METADATA};
use crate::trace::{Session, Span, Trace};

/// The prefix before the name of what was there.
const MARK: &str = "[redacted ";

/// The rules, compiled.
#[derive(Debug)]
pub struct Redact {
    rules: Vec<Rule>,
    /// Exceptions, as patterns with `*` and `?`.
    allow: Vec<String>,
}

impl Redact {
    /// Compiles the rules; `None` if there are none.
    ///
    /// # Errors
    /// When an expression is wrong.
    pub fn of(plan: &RedactPlan) -> Result<Option<Self>, InvalidRedaction> {
        let own = plan.own.iter().map(|(name, expression)| Rule::own(name, expression));
        let rules: Vec<_> =
            own.chain(plan.patterns.iter().map(|pattern| Ok(pattern.rule()))).collect::<Result<_, _>>()?;
        Ok((!rules.is_empty()).then(|| Self { rules, allow: plan.allow.clone() }))
    }

    /// What the rules find, by name.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|rule| rule.name.as_str())
    }

    /// A text with the rules' matches replaced.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        for rule in &self.rules {
            if let Some(changed) =
                rule.replaced(&text, MARK, |found| self.allow.iter().any(|pattern| glob::fits(pattern, found)))
            {
                text = Cow::Owned(changed);
            }
        }
        text
    }

    /// How often something was replaced in a text that was made of redacted values.
    pub fn count(&self, text: &str) -> u64 {
        self.rules.iter().map(|rule| text.matches(&format!("{MARK}{}]", rule.name)).count() as u64).sum()
    }

    /// The trace as it may be shown. Ids, numbers and the names of fields stay.
    pub fn trace(&self, trace: &Trace) -> Trace {
        let mut trace = trace.clone();
        [&mut trace.inputs, &mut trace.outputs].into_iter().flatten().for_each(|value| self.value(value));
        self.members(&mut trace.expectations);
        trace.tags.values_mut().chain(trace.metadata.values_mut()).for_each(|text| self.own(text));
        trace.user.iter_mut().for_each(|text| self.own(text));
        for Span { name, inputs, outputs, status_message, attributes, .. } in &mut trace.spans {
            self.own(name);
            [inputs, outputs].into_iter().flatten().for_each(|value| self.value(value));
            status_message.iter_mut().for_each(|text| self.own(text));
            self.members(attributes);
        }
        trace
    }

    /// The session as it may be shown.
    pub fn session(&self, session: &Session) -> Option<Session> {
        Session::new(session.traces().map(|trace| self.trace(trace)).collect())
    }

    /// A record as it may be sent: its rationale, its error and its metadata.
    pub fn feedback(&self, feedback: &mut Feedback) {
        feedback.rationale.iter_mut().for_each(|text| self.own(text));
        feedback.value.iter_mut().for_each(|value| self.value(value));
        if let Some(error) = &mut feedback.error {
            error.error_message.iter_mut().chain(&mut error.stack_trace).for_each(|text| self.own(text));
        }
        // By its session a record is known.
        let is_id = |key: &str| [SESSION_METADATA, SESSION_ID_METADATA].contains(&key);
        feedback.metadata.iter_mut().filter(|(key, _)| !is_id(key)).for_each(|(_, text)| self.own(text));
    }

    fn own(&self, text: &mut String) {
        if let Cow::Owned(changed) = self.text(text) {
            *text = changed;
        }
    }

    fn value(&self, value: &mut Value) {
        match value {
            Value::String(text) => self.own(text),
            Value::Array(values) => values.iter_mut().for_each(|value| self.value(value)),
            Value::Object(members) => self.members(members),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn members(&self, members: &mut Map<String, Value>) {
        members.values_mut().for_each(|value| self.value(value));
    }
}

#[cfg(test)]
mod tests;
