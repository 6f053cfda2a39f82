//! Expressions of code judges: strict, so that what a trace lacks is a failure and never a verdict.

use std::sync::LazyLock;

use minijinja::{Environment, UndefinedBehavior};
use serde_json::Value;

use crate::judge::Subject;
use crate::judge::engine::{environment, explained};
use crate::judge::template_code;
use crate::judge::template_error::{TemplateError, check_names};
use crate::judge::unit::Unit;
use crate::judge::variables::{Used, context};

static STRICT: LazyLock<Environment<'static>> = LazyLock::new(|| environment(UndefinedBehavior::Strict));

/// A compiled expression.
#[derive(Debug)]
pub(super) struct Operand {
    source: String,
    compiled: minijinja::Expression<'static, 'static>,
    used: Used,
}

impl Operand {
    pub(super) fn compile(source: &str, unit: Unit) -> Result<Self, TemplateError> {
        let compiled = STRICT
            .compile_expression_owned(source.to_owned())
            .map_err(|error| TemplateError::syntax(source, &error))?;
        let named = template_code::of_expression(source);
        let used = Used::check(compiled.undeclared_variables(true), unit, &named, None)?;
        check_names(&named, &STRICT)?;
        Ok(Self { source: source.to_owned(), compiled, used })
    }

    /// What it is of this subject.
    ///
    /// # Errors
    /// What the trace lacks, or why it cannot be evaluated, without a value of the trace.
    pub(super) fn value(&self, subject: Subject<'_>) -> Result<Value, String> {
        let value =
            self.compiled.eval(context(subject, &self.used, None)).map_err(|error| explained(&error, subject))?;
        if value.is_undefined() {
            return Err(format!("the {} has no `{}`", subject.noun(), self.source));
        }
        serde_json::to_value(&value).map_err(|_| format!("`{}` is not a JSON value", self.source))
    }
}
