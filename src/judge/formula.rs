//! A number that code computes from the count of each mark, because models count and divide badly.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

use minijinja::{Environment, UndefinedBehavior};
use serde_json::{Number, Value};

use super::engine::environment;
use super::template_code;
use super::template_error::{TemplateError, check_names};

/// The name of the number of all items.
pub(super) const TOTAL: &str = "total";

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| environment(UndefinedBehavior::Strict));

/// An expression over the numbers of items with each mark, such as `supported / (supported + wrong)`.
#[derive(Clone)]
pub struct Formula {
    source: String,
    compiled: Arc<minijinja::Expression<'static, 'static>>,
}

impl Formula {
    /// Compiles an expression that may name `marks`, and `total`.
    ///
    /// # Errors
    /// What is wrong with it, as a sentence fragment.
    pub(super) fn compile(source: &str, marks: &[String]) -> Result<Self, String> {
        let invalid = |error: &TemplateError| format!("`value`: {error}");
        let compiled = ENVIRONMENT
            .compile_expression_owned(source.to_owned())
            .map_err(|error| invalid(&TemplateError::syntax(source, &error)))?;
        check_names(&template_code::of_expression(source), &ENVIRONMENT).map_err(|error| invalid(&error))?;
        let mut names: Vec<_> = compiled.undeclared_variables(false).into_iter().collect();
        names.sort();
        if let Some(unknown) = names.iter().find(|name| *name != TOTAL && !marks.contains(name)) {
            return Err(format!("`value` names `{unknown}`, which is neither one of the `marks` nor `{TOTAL}`"));
        }
        let formula = Self { source: source.to_owned(), compiled: Arc::new(compiled) };
        // Tried without items, which may give no value, and with some: if that is not a number, nothing is.
        let some: Vec<_> = (1..).zip(marks).map(|(n, mark)| (mark.as_str(), n)).collect();
        match formula.eval(&some) {
            Ok(_) => Ok(formula),
            Err(reason) => Err(format!("`value` is not a number: {reason}")),
        }
    }

    /// The value for these numbers of items; `None` where the formula has none, as in a division by zero.
    pub(super) fn value(&self, counts: &[(&str, u32)]) -> Option<Value> {
        self.eval(counts).ok().flatten()
    }

    fn eval(&self, counts: &[(&str, u32)]) -> Result<Option<Value>, String> {
        let total = counts.iter().map(|(_, n)| n).sum();
        let names: BTreeMap<_, _> = counts.iter().copied().chain([(TOTAL, total)]).collect();
        let value = self
            .compiled
            .eval(names)
            .map_err(|error| error.detail().map_or_else(|| error.kind().to_string(), ToOwned::to_owned))?;
        if !value.is_number() {
            return Err(format!("it is a {}", value.kind()));
        }
        let whole = i64::try_from(value.clone()).ok().filter(|_| value.is_integer());
        Ok(match whole {
            Some(whole) => Some(whole.into()),
            None => f64::try_from(value).ok().and_then(Number::from_f64).map(Value::Number),
        })
    }
}

impl fmt::Display for Formula {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

impl fmt::Debug for Formula {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Formula").field(&self.source).finish()
    }
}

impl PartialEq for Formula {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn marks() -> Vec<String> {
        ["supported", "wrong", "missing"].map(String::from).into()
    }

    #[test]
    fn a_formula_counts_marks() {
        let value = |source: &str, counts: [u32; 3]| {
            let names = marks();
            let counts: Vec<_> = names.iter().map(String::as_str).zip(counts).collect();
            Formula::compile(source, &names).unwrap().value(&counts)
        };
        let share = "supported / (supported + wrong + missing)";
        assert_eq!(value(share, [3, 1, 0]), Some(json!(0.75)));
        assert_eq!(value(share, [0, 1, 0]), Some(json!(0.0)));
        assert_eq!(value(share, [0, 0, 0]), None, "0 of 0 is no share");
        assert_eq!(value("wrong / supported", [0, 1, 0]), None);
        assert_eq!(value("wrong", [1, 2, 0]), Some(json!(2)));
        assert_eq!(value("total - missing", [1, 2, 4]), Some(json!(3)));
        assert_eq!(value("1 if wrong == 0 else 0", [1, 2, 4]), Some(json!(0)));
        assert_eq!(value("[supported, 2] | min", [5, 0, 0]), Some(json!(2)));
    }

    #[test]
    fn a_formula_that_never_is_a_number_is_refused() {
        for (source, words) in [
            ("supported /", "syntax error"),
            ("supported / all", "names `all`, which is neither one of the `marks` nor `total`"),
            ("supported | shout", "unknown filter `shout`"),
            ("supported > wrong", "is not a number"),
            ("'supported'", "is not a number"),
            ("", "syntax error"),
        ] {
            let error = Formula::compile(source, &marks()).unwrap_err();
            assert!(error.contains(words), "{source}: {error}");
        }
    }
}
