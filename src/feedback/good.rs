//! Which verdicts are good, as declared by a judge and stated in its records.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde_json::Value;

/// The good verdicts of a judge (`good`, `better` and `threshold` in `[verdict]`).
///
/// It does not change what is asked, so it is not part of a judgment's identity. As text, in records, it is `true`, `false`, a JSON list of
/// labels, `higher`, `lower`, `>= 4` or `<= 2`.
#[derive(Debug, Clone, PartialEq)]
pub enum Good {
    /// This boolean is good.
    Boolean(bool),
    /// These labels are good.
    Labels(Vec<String>),
    /// On a scale, one end is better.
    Scale {
        /// Which one.
        better: Better,
        /// The last good value, seen from there.
        threshold: Option<f64>,
    },
}

/// The better end of a scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// More is better.
    Higher,
    /// Less is better.
    Lower,
}

impl Good {
    /// Whether a verdict is good. `None` on a scale, where only a threshold could say so.
    pub fn is_good(&self, value: &Value) -> Option<bool> {
        match self {
            Self::Boolean(good) => Some(value.as_bool()? == *good),
            Self::Labels(good) => {
                let is_good = |label: &str| good.iter().any(|good| good == label);
                match value {
                    Value::String(label) => Some(is_good(label)),
                    // Of several at once, all have to be.
                    Value::Array(labels) if !labels.is_empty() => labels
                        .iter()
                        .map(|label| label.as_str().map(is_good))
                        .try_fold(true, |all, one| Some(all & one?)),
                    _ => None,
                }
            }
            Self::Scale { better, threshold } => {
                let (value, threshold) = (value.as_f64()?, (*threshold)?);
                Some(match better {
                    Better::Higher => value >= threshold,
                    Better::Lower => value <= threshold,
                })
            }
        }
    }

    /// Whether less is better.
    pub fn is_lower_better(&self) -> bool {
        matches!(self, Self::Scale { better: Better::Lower, .. })
    }
}

impl fmt::Display for Good {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(good) => write!(f, "{good}"),
            Self::Labels(good) => f.write_str(&serde_json::to_string(good).map_err(|_| fmt::Error)?),
            Self::Scale { better: Better::Higher, threshold: None } => f.write_str("higher"),
            Self::Scale { better: Better::Lower, threshold: None } => f.write_str("lower"),
            Self::Scale { better: Better::Higher, threshold: Some(threshold) } => write!(f, ">= {threshold}"),
            Self::Scale { better: Better::Lower, threshold: Some(threshold) } => write!(f, "<= {threshold}"),
        }
    }
}

/// A text that does not say which verdicts are good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected `true`, `false`, a list of labels such as [\"good\"], `higher`, `lower`, or a threshold such as `>= 4`"
)]
pub struct InvalidGood;

impl FromStr for Good {
    type Err = InvalidGood;

    fn from_str(text: &str) -> Result<Self, InvalidGood> {
        let text = text.trim();
        let threshold =
            |text: &str| text.trim().parse().ok().filter(|number: &f64| number.is_finite()).ok_or(InvalidGood);
        Ok(match text {
            "true" => Self::Boolean(true),
            "false" => Self::Boolean(false),
            "higher" => Self::Scale { better: Better::Higher, threshold: None },
            "lower" => Self::Scale { better: Better::Lower, threshold: None },
            _ => match (text.strip_prefix(">="), text.strip_prefix("<=")) {
                (Some(number), _) => Self::Scale { better: Better::Higher, threshold: Some(threshold(number)?) },
                (_, Some(number)) => Self::Scale { better: Better::Lower, threshold: Some(threshold(number)?) },
                _ => {
                    let labels: Vec<String> = serde_json::from_str(text).map_err(|_| InvalidGood)?;
                    if labels.is_empty() {
                        return Err(InvalidGood);
                    }
                    Self::Labels(labels)
                }
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_verdict_is_good_or_bad_as_declared() {
        assert_eq!(Good::Boolean(false).is_good(&json!(false)), Some(true));
        assert_eq!(Good::Boolean(false).is_good(&json!(true)), Some(false));
        assert_eq!(Good::Boolean(true).is_good(&json!("yes")), None);
        let labels = Good::Labels(vec!["a".into(), "b".into()]);
        assert_eq!(labels.is_good(&json!("b")), Some(true));
        assert_eq!(labels.is_good(&json!("c")), Some(false));
        let scale = |better, threshold| Good::Scale { better, threshold };
        assert_eq!(scale(Better::Lower, None).is_good(&json!(1)), None);
        assert_eq!(scale(Better::Lower, Some(2.0)).is_good(&json!(2)), Some(true));
        assert_eq!(scale(Better::Lower, Some(2.0)).is_good(&json!(2.5)), Some(false));
        assert_eq!(scale(Better::Higher, Some(4.0)).is_good(&json!(3)), Some(false));
        assert_eq!(scale(Better::Higher, Some(4.0)).is_good(&json!("5")), None);
    }

    #[test]
    fn what_is_good_is_a_text_that_reads_back() {
        for text in ["true", "false", r#"["a","b \"c\""]"#, "higher", "lower", ">= 4", "<= -0.25"] {
            assert_eq!(text.parse::<Good>().unwrap().to_string(), text);
        }
        assert_eq!(">=4.0".parse::<Good>().unwrap().to_string(), ">= 4");
        for text in ["", "yes", "[]", "[1]", ">= ", ">= x", "<= inf", "> 4", "\"a\""] {
            assert_eq!(text.parse::<Good>(), Err(InvalidGood), "{text}");
        }
    }
}
