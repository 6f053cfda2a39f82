//! What a judge may answer: the declared type, and the check of a value against it.

use std::fmt;

use serde_json::Value;

/// The most labels of a category: what strict endpoints accept in a schema.
pub(super) const MAX_LABELS: usize = 500;

/// The declared type of a judge's verdict (`[verdict]` in a judge file).
#[derive(Debug, Clone, PartialEq)]
pub enum VerdictType {
    /// `true` or `false`.
    Boolean,
    /// One of a few labels.
    Category {
        /// The labels, in the judge's order.
        labels: Vec<String>,
    },
    /// Any of a few labels, several at once: a list, in the judge's order.
    Labels {
        /// The labels, in the judge's order.
        labels: Vec<String>,
    },
    /// A whole number on a scale, both ends included.
    Integer {
        /// The lowest.
        min: i64,
        /// The highest.
        max: i64,
    },
    /// A number, both ends included where given.
    Number {
        /// The lowest.
        min: Option<f64>,
        /// The highest.
        max: Option<f64>,
    },
}

/// What a judge answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Of the declared type and in its range.
    pub value: Value,
    /// The reasoning, if the judge gave one.
    pub rationale: Option<String>,
    /// What else the answer gives, for the record's metadata.
    pub details: Vec<Detail>,
}

/// A member of a record's metadata.
pub type Detail = (&'static str, String);

impl VerdictType {
    /// Checks a value that was read from an answer. Whole floats count as integers; nothing else is converted.
    ///
    /// # Errors
    /// What is allowed and what came instead, when the value is not of the declared type or range.
    pub fn check(&self, value: &Value) -> Result<Value, OutOfRange> {
        let fits = match self {
            Self::Boolean => value.is_boolean().then(|| value.clone()),
            Self::Category { labels } => {
                value.as_str().filter(|text| labels.iter().any(|label| label == text)).map(Value::from)
            }
            Self::Labels { labels } => several(value, labels),
            Self::Integer { min, max } => whole(value).filter(|n| (min..=max).contains(&n)).map(Value::from),
            Self::Number { min, max } => value
                .as_f64()
                .filter(|n| n.is_finite() && min.is_none_or(|min| *n >= min) && max.is_none_or(|max| *n <= max))
                .map(|_| value.clone()),
        };
        fits.ok_or_else(|| OutOfRange { allowed: self.to_string(), found: shortened(value) })
    }

    /// The ends of the scale of numbers, where they are declared.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    pub fn scale(&self) -> (Option<f64>, Option<f64>) {
        match self {
            Self::Boolean | Self::Category { .. } | Self::Labels { .. } => (None, None),
            Self::Integer { min, max } => (Some(*min as f64), Some(*max as f64)),
            Self::Number { min, max } => (*min, *max),
        }
    }

    /// Whether the declaration itself makes sense.
    ///
    /// # Errors
    /// What is wrong with it, as a sentence fragment.
    pub fn validate(&self) -> Result<(), String> {
        match self {
            Self::Boolean => Ok(()),
            Self::Category { labels } | Self::Labels { labels } => {
                let mut seen: Vec<_> = labels.iter().collect();
                seen.sort();
                if labels.len() < 2 {
                    Err("a category needs at least two `labels`".to_owned())
                } else if labels.len() > MAX_LABELS {
                    Err(format!("a category has at most {MAX_LABELS} `labels`, not {}", labels.len()))
                } else if labels.iter().any(|label| label.contains(char::is_control)) {
                    Err("a label contains a line break or another control character".to_owned())
                } else if labels.iter().any(|label| label.trim() != label || label.is_empty()) {
                    Err("a label is empty or has spaces around it".to_owned())
                } else if seen.windows(2).any(|pair| pair[0] == pair[1]) {
                    Err("two labels are the same".to_owned())
                } else {
                    Ok(())
                }
            }
            Self::Integer { min, max } if min >= max => Err(format!("`min` ({min}) must be below `max` ({max})")),
            Self::Integer { .. } => Ok(()),
            Self::Number { min, max } => {
                if [min, max].into_iter().flatten().any(|end| !end.is_finite()) {
                    Err("`min` and `max` must be finite".to_owned())
                } else if let (Some(min), Some(max)) = (min, max)
                    && min >= max
                {
                    Err(format!("`min` ({min}) must be below `max` ({max})"))
                } else {
                    Ok(())
                }
            }
        }
    }
}

/// A list of labels without repetitions, in the declared order. There is at least one.
fn several(value: &Value, labels: &[String]) -> Option<Value> {
    let given = value.as_array()?.iter().map(Value::as_str).collect::<Option<Vec<_>>>()?;
    let all_known = !given.is_empty() && given.iter().all(|label| labels.iter().any(|known| known == label));
    all_known.then(|| labels.iter().filter(|label| given.contains(&label.as_str())).map(String::as_str).collect())
}

fn whole(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| {
        let float = value.as_f64()?;
        #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and well inside i64")]
        (float.fract() == 0.0 && float.abs() < 9e15).then_some(float as i64)
    })
}

fn shortened(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

impl fmt::Display for VerdictType {
    /// The allowed values in words, the same in the schema, the prompt and in messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean => f.write_str("true or false"),
            Self::Category { labels } | Self::Labels { labels } => {
                let is_list = matches!(self, Self::Labels { .. });
                f.write_str(if is_list { "a list of one or more of " } else { "one of " })?;
                for (i, label) in labels.iter().enumerate() {
                    write!(f, "{}\"{label}\"", if i == 0 { "" } else { ", " })?;
                }
                Ok(())
            }
            Self::Integer { min, max } => write!(f, "an integer from {min} to {max}"),
            Self::Number { min: Some(min), max: Some(max) } => write!(f, "a number from {min} to {max}"),
            Self::Number { min: Some(min), max: None } => write!(f, "a number of at least {min}"),
            Self::Number { min: None, max: Some(max) } => write!(f, "a number of at most {max}"),
            Self::Number { min: None, max: None } => f.write_str("a number"),
        }
    }
}

/// A value that the judge's declaration does not allow. Never clamped, never guessed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the verdict must be {allowed}, but is {found}")]
pub struct OutOfRange {
    /// The allowed values in words.
    pub allowed: String,
    /// What came, as JSON text, shortened.
    pub found: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn labels_are_few_and_of_one_line() {
        let check = |labels: Vec<String>| VerdictType::Category { labels }.validate();
        assert_eq!(check((0..MAX_LABELS).map(|n| n.to_string()).collect()), Ok(()));
        assert!(check((0..=MAX_LABELS).map(|n| n.to_string()).collect()).unwrap_err().contains("at most 500"));
        assert!(check(vec!["a\nb".into(), "c".into()]).unwrap_err().contains("line break"));
    }

    #[test]
    fn values_are_checked_and_never_clamped() {
        let number = VerdictType::Number { min: Some(0.0), max: Some(1.0) };
        let scale = VerdictType::Integer { min: 1, max: 5 };
        let label = VerdictType::Category { labels: vec!["good".into(), "bad".into()] };
        for (verdict, value, fits) in [
            (&number, json!(0), Some(json!(0))),
            (&number, json!(0.85), Some(json!(0.85))),
            (&number, json!(1.0001), None),
            (&number, json!("0.5"), None),
            (&scale, json!(5), Some(json!(5))),
            (&scale, json!(4.0), Some(json!(4))),
            (&scale, json!(4.5), None),
            (&scale, json!(6), None),
            (&scale, json!(1e300), None),
            (&label, json!("good"), Some(json!("good"))),
            (&label, json!("Good"), None),
            (&VerdictType::Boolean, json!(true), Some(json!(true))),
            (&VerdictType::Boolean, json!(1), None),
        ] {
            assert_eq!(verdict.check(&value).ok(), fits, "{verdict}: {value}");
        }
        let error = scale.check(&json!(6)).unwrap_err().to_string();
        assert_eq!(error, "the verdict must be an integer from 1 to 5, but is 6");
    }
}
