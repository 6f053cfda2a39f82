//! What a reviewer is asked, and what the answer may be.

use std::str::FromStr;

use serde::Serialize;
use serde_json::Value;

use crate::feedback::Good;
use crate::judge::verdict::VerdictType;

/// The form of an answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Schema {
    /// `true` or `false`.
    Boolean,
    /// One of these.
    Category {
        /// In the order of their keys.
        options: Vec<String>,
    },
    /// A number, with inclusive ends, if any.
    Number {
        /// The lowest.
        min: Option<f64>,
        /// The highest.
        max: Option<f64>,
        /// Whether it is whole.
        whole: bool,
    },
    /// Any text but an empty one.
    Text,
}

/// A label that reviewers give.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// The name of the feedback: the judge's, if a judge answers the same.
    pub name: String,
    /// What is asked, in words.
    pub about: String,
    /// What may be answered.
    pub schema: Schema,
    /// Which answers are good; others need a rationale.
    pub good: Option<Good>,
}

/// A text that is not a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected NAME=boolean, NAME=text, NAME=1..5 or NAME=first,second")]
pub struct InvalidLabel;

/// The most values of a scale that have their own keys.
const MAX_KEYS: f64 = 9.0;
const MAX_TEXT: usize = 100_000;

impl Schema {
    /// That of a judge's verdicts.
    pub fn of_verdict(verdict: &VerdictType) -> Self {
        let (min, max) = verdict.scale();
        match verdict {
            VerdictType::Category { labels } => Self::Category { options: labels.clone() },
            VerdictType::Integer { .. } => Self::Number { min, max, whole: true },
            VerdictType::Number { .. } => Self::Number { min, max, whole: false },
            _ => Self::Boolean,
        }
    }

    /// That of recorded verdicts, if nothing else is known. `scale` is as in records: `1..5`.
    pub fn of_values<'a>(values: impl IntoIterator<Item = &'a Value>, scale: Option<&str>) -> Self {
        let values: Vec<_> = values.into_iter().filter(|value| !value.is_null()).collect();
        let all = |is: fn(&Value) -> bool| !values.is_empty() && values.iter().all(|value| is(value));
        if all(Value::is_boolean) {
            return Self::Boolean;
        }
        if all(Value::is_number) {
            let (min, max) = scale.and_then(|scale| scale.split_once("..")).unwrap_or_default();
            let whole = values.iter().all(|value| value.as_f64().is_some_and(|number| number.fract() == 0.0));
            return Self::Number { min: min.parse().ok(), max: max.parse().ok(), whole };
        }
        let mut options: Vec<String> = values.iter().filter_map(|value| value.as_str().map(str::to_owned)).collect();
        options.sort();
        options.dedup();
        if all(Value::is_string) && (2..=9).contains(&options.len()) && options.iter().all(|option| option.len() <= 60)
        {
            return Self::Category { options };
        }
        Self::Text
    }

    /// The values that have their own key, in this order. If there are two, the good one comes first.
    pub fn keyed(&self, good: Option<&Good>) -> Vec<Value> {
        match self {
            Self::Boolean if good == Some(&Good::Boolean(false)) => vec![false.into(), true.into()],
            Self::Boolean => vec![true.into(), false.into()],
            Self::Category { options } => options.iter().take(9).map(|option| option.as_str().into()).collect(),
            #[expect(clippy::cast_possible_truncation, reason = "a few whole numbers")]
            Self::Number { min: Some(min), max: Some(max), whole: true } if max - min < MAX_KEYS => {
                (*min as i64..=*max as i64).map(Value::from).collect()
            }
            Self::Number { .. } | Self::Text => Vec::new(),
        }
    }

    /// Whether a value is an answer.
    ///
    /// # Errors
    /// What is expected instead.
    pub fn check(&self, value: &Value) -> Result<(), String> {
        match self {
            Self::Boolean => value.is_boolean().then_some(()).ok_or_else(|| "expected true or false".to_owned()),
            Self::Category { options } => {
                let is_option = value.as_str().is_some_and(|text| options.iter().any(|option| option == text));
                is_option.then_some(()).ok_or_else(|| format!("expected one of: {}", options.join(", ")))
            }
            Self::Number { min, max, whole } => {
                let fits = |number: f64| {
                    number.is_finite()
                        && min.is_none_or(|min| number >= min)
                        && max.is_none_or(|max| number <= max)
                        && (!whole || number.fract() == 0.0)
                };
                let what = if *whole { "a whole number" } else { "a number" };
                let range = match (min, max) {
                    (Some(min), Some(max)) => format!("{what} from {min} to {max}"),
                    (Some(min), None) => format!("{what} of at least {min}"),
                    (None, Some(max)) => format!("{what} of at most {max}"),
                    (None, None) => what.to_owned(),
                };
                value.as_f64().filter(|number| fits(*number)).map(|_| ()).ok_or_else(|| format!("expected {range}"))
            }
            Self::Text => match value.as_str() {
                Some(text) if !text.trim().is_empty() && text.len() <= MAX_TEXT => Ok(()),
                _ => Err("expected a text".to_owned()),
            },
        }
    }
}

impl Question {
    /// Whether an answer with this rationale is complete: one that is not good needs a reason.
    ///
    /// # Errors
    /// What is missing.
    pub fn check(&self, value: &Value, rationale: Option<&str>) -> Result<(), String> {
        self.schema.check(value)?;
        let is_bad = self.good.as_ref().and_then(|good| good.is_good(value)) == Some(false);
        if is_bad && rationale.is_none_or(|rationale| rationale.trim().is_empty()) {
            return Err("a verdict that is not good needs a reason".to_owned());
        }
        Ok(())
    }
}

impl FromStr for Question {
    type Err = InvalidLabel;

    fn from_str(text: &str) -> Result<Self, InvalidLabel> {
        let (name, schema) = text.split_once('=').ok_or(InvalidLabel)?;
        let (name, schema) = (name.trim(), schema.trim());
        let schema = match schema {
            "boolean" => Schema::Boolean,
            "text" => Schema::Text,
            _ => match schema.split_once("..") {
                Some((min, max)) => {
                    let (min, max): (f64, f64) =
                        (min.parse().map_err(|_| InvalidLabel)?, max.parse().map_err(|_| InvalidLabel)?);
                    let whole = min.fract() == 0.0 && max.fract() == 0.0;
                    (min < max && max.is_finite() && min.is_finite()).then_some(()).ok_or(InvalidLabel)?;
                    Schema::Number { min: Some(min), max: Some(max), whole }
                }
                None => {
                    let options: Vec<_> = schema.split(',').map(|option| option.trim().to_owned()).collect();
                    let is_bad = options.len() < 2 || options.iter().any(String::is_empty);
                    if is_bad { Err(InvalidLabel) } else { Ok(Schema::Category { options }) }?
                }
            },
        };
        if name.is_empty() {
            return Err(InvalidLabel);
        }
        Ok(Self { name: name.to_owned(), about: String::new(), schema, good: None })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn labels_are_read_as_they_are_typed() {
        let schema = |text: &str| text.parse::<Question>().map(|question| question.schema);
        assert_eq!(schema("a=boolean"), Ok(Schema::Boolean));
        assert_eq!(schema("a=1..5"), Ok(Schema::Number { min: Some(1.0), max: Some(5.0), whole: true }));
        assert_eq!(schema("a=0..0.5"), Ok(Schema::Number { min: Some(0.0), max: Some(0.5), whole: false }));
        assert_eq!(schema("a=x, y"), Ok(Schema::Category { options: vec!["x".into(), "y".into()] }));
        for wrong in ["a", "=boolean", "a=x", "a=5..1", "a=x..y", "a=,"] {
            assert_eq!(schema(wrong), Err(InvalidLabel), "{wrong}");
        }
    }

    #[test]
    fn what_is_recorded_suggests_the_form() {
        let of = |values: Value, scale| Schema::of_values(values.as_array().unwrap(), scale);
        assert_eq!(of(json!([true, null]), None), Schema::Boolean);
        assert_eq!(of(json!([1, 4.0]), Some("1..5")), Schema::Number { min: Some(1.0), max: Some(5.0), whole: true });
        assert_eq!(of(json!(["b", "a", "b"]), None), Schema::Category { options: vec!["a".into(), "b".into()] });
        assert_eq!(of(json!([[1]]), None), Schema::Text);
        assert_eq!(of(json!([]), None), Schema::Text);
    }

    #[test]
    fn keys_stand_for_values_and_what_is_good_comes_first() {
        assert_eq!(Schema::Boolean.keyed(Some(&Good::Boolean(false))), [json!(false), json!(true)]);
        let scale = Schema::Number { min: Some(1.0), max: Some(5.0), whole: true };
        assert_eq!(scale.keyed(None), [json!(1), json!(2), json!(3), json!(4), json!(5)]);
        assert!(Schema::Number { min: Some(0.0), max: Some(100.0), whole: true }.keyed(None).is_empty());
    }

    #[test]
    fn an_answer_fits_and_a_bad_one_says_why() {
        let question =
            |schema, good: &str| Question { name: "n".into(), about: String::new(), schema, good: good.parse().ok() };
        let safety = question(Schema::Boolean, "true");
        assert!(safety.check(&json!(true), None).is_ok() && safety.check(&json!(false), Some("because")).is_ok());
        assert!(safety.check(&json!(false), Some("  ")).is_err() && safety.check(&json!("true"), None).is_err());
        let tone = question(Schema::Number { min: Some(1.0), max: Some(5.0), whole: true }, ">= 4");
        assert!(tone.check(&json!(4), None).is_ok() && tone.check(&json!(3), None).is_err());
        assert_eq!(tone.check(&json!(6), Some("x")), Err("expected a whole number from 1 to 5".into()));
        assert!(tone.check(&json!(4.5), None).is_err());
        assert!(question(Schema::Text, "").check(&json!(" "), None).is_err());
    }
}
