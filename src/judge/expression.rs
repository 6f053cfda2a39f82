//! Expressions over one trace, with the names and filters of prompts: for filters and strata.

use std::fmt;
use std::sync::LazyLock;

use minijinja::value::ValueKind;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value};

use super::engine::{environment, explained};
use super::template_code;
use super::template_error::{TemplateError, check_names};
use super::unit::Unit;
use super::value::json_text;
use super::variables::{Used, context};
use crate::trace::Trace;

static LENIENT: LazyLock<Environment<'static>> = LazyLock::new(|| environment(UndefinedBehavior::Chainable));
static STRICT: LazyLock<Environment<'static>> = LazyLock::new(|| environment(UndefinedBehavior::Strict));

/// A compiled expression.
///
/// What a trace lacks is not an error: it equals nothing, contains nothing and counts as false. In an expression with `<` or
/// `>` it makes the whole false, because the engine would sort it before every number.
pub struct Expression {
    source: String,
    compiled: minijinja::Expression<'static, 'static>,
    used: Used,
    /// The members of a trace that it names, as paths.
    members: Vec<String>,
}

impl Expression {
    /// Compiles an expression and checks that every name in it is one a trace can have.
    ///
    /// # Errors
    /// When the syntax is wrong, a filter or test is unknown, or a variable is not among [`super::prompt::VARIABLES`].
    pub fn compile(source: &str) -> Result<Self, TemplateError> {
        let invalid = |error: Error| TemplateError::syntax(source, &error);
        let orders = source.contains(['<', '>']);
        let environment: &'static Environment<'static> = if orders { &STRICT } else { &LENIENT };
        let compiled = environment.compile_expression_owned(source.to_owned()).map_err(invalid)?;
        let names = compiled.undeclared_variables(true);
        let mut members: Vec<String> = names.iter().filter(|name| name.contains('.')).cloned().collect();
        members.sort();
        let named = template_code::of_expression(source);
        let used = Used::check(names, Unit::Trace, &named, None)?;
        check_names(&named, environment)?;
        Ok(Self { source: source.to_owned(), compiled, used, members })
    }

    /// The members of a trace that it names, such as `inputs.question`.
    pub fn members(&self) -> &[String] {
        &self.members
    }

    /// Whether it is true of a trace.
    ///
    /// # Errors
    /// Why it cannot be evaluated, without a value of the trace.
    pub fn holds(&self, trace: &Trace) -> Result<bool, String> {
        self.value(trace).map(|value| value.is_true())
    }

    /// Its value for a trace, as prompts would show it; empty for none.
    ///
    /// # Errors
    /// Why it cannot be evaluated, without a value of the trace.
    pub fn text(&self, trace: &Trace) -> Result<String, String> {
        let value = self.value(trace)?;
        match value.kind() {
            ValueKind::Undefined => Ok(String::new()),
            ValueKind::String => Ok(value.as_str().unwrap_or_default().to_owned()),
            _ => json_text(&value).map_err(|error| explained(&error, trace.into())),
        }
    }

    fn value(&self, trace: &Trace) -> Result<Value, String> {
        match self.compiled.eval(context(trace.into(), &self.used, None)) {
            Err(error) if error.kind() == ErrorKind::UndefinedError => Ok(Value::UNDEFINED),
            other => other.map_err(|error| explained(&error, trace.into())),
        }
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.source).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn trace() -> Trace {
        Trace {
            inputs: Some(json!({"question": "a refund?", "k": 3, "list": ["x"]})),
            tags: [("env".to_owned(), "prod".to_owned())].into(),
            execution_duration_ms: Some(700),
            ..Trace::default()
        }
    }

    fn holds(source: &str) -> Result<bool, String> {
        Expression::compile(source).unwrap().holds(&trace())
    }

    #[test]
    fn conditions_use_the_names_of_prompts() {
        for source in [
            "trace.tags.env == 'prod' and 'refund' in inputs.question",
            "inputs.k >= 3 and trace.execution_duration_ms < 1000",
            "inputs.list | length == 1",
            "inputs.question is startingwith('a ')",
            "outputs is not defined",
            "inputs.question",
        ] {
            assert_eq!(holds(source), Ok(true), "{source}");
        }
        assert_eq!(holds("trace.tags.env in ['dev', 'test']"), Ok(false));
    }

    #[test]
    fn what_a_trace_lacks_equals_nothing_and_is_below_nothing() {
        for source in [
            "outputs.a.b == 'x'",
            "'x' in outputs",
            "outputs.answer",
            "trace.tags.none < 5",
            "5 > inputs.none",
            "not (outputs.n > 5)",
            "spans | documents",
        ] {
            assert_eq!(holds(source), Ok(false), "{source}");
        }
        for source in
            ["outputs.a != 'x'", "not outputs", "outputs.a == 1 or inputs.k == 3", "inputs.n | default(9) > 5"]
        {
            assert_eq!(holds(source), Ok(true), "{source}");
        }
    }

    #[test]
    fn an_expression_that_fails_shows_no_value() {
        let error = holds("'x' in inputs.k").unwrap_err();
        assert!(error.starts_with("cannot perform a containment check"), "{error}");
        let error = holds("inputs.question + 1 == 2").unwrap_err();
        assert!(!error.contains("refund"), "{error}");
    }

    #[test]
    fn mistakes_are_named_before_anything_is_read() {
        for (source, words) in [
            ("trace.tag.env == 'prod'", "no trace has `trace.tag`"),
            ("input.question", "no trace has `input`, known: `inputs`"),
            ("inputs.k ==", "syntax error: "),
            ("inputs | shout", "shout"),
            ("inputs is loud", "loud"),
            ("", "syntax error: "),
            ("inputs }} {{ outputs", "syntax error: "),
        ] {
            let error = Expression::compile(source).unwrap_err().to_string();
            assert!(error.contains(words), "{source}: {error}");
        }
    }

    #[test]
    fn a_text_is_as_a_prompt_would_show_it() {
        let text = |source: &str| Expression::compile(source).unwrap().text(&trace()).unwrap();
        assert_eq!(["trace.tags.env", "inputs.k", "inputs.list", "outputs"].map(text), ["prod", "3", "[\"x\"]", ""]);
    }
}
