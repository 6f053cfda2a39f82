//! Which verdicts are good: what `pass` and `fail` mean, and which way a number should go.

use serde::Deserialize;
use serde_json::Value;

use super::verdict::VerdictType;

/// The good verdicts of a judge (`good` and `better` in `[verdict]`).
///
/// It changes nothing that is asked, so it is not part of a judgment's identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Good {
    /// This boolean is good.
    Boolean(bool),
    /// These labels are good.
    Labels(Vec<String>),
    /// On a scale, this end is better.
    Better(Better),
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
                let label = value.as_str()?;
                Some(good.iter().any(|good| good == label))
            }
            Self::Better(_) => None,
        }
    }

    /// The one verdict that `pass` or `fail` can stand for. `None` where there are several, as on a scale.
    pub(super) fn value_of(&self, passes: bool, verdict: &VerdictType) -> Option<Value> {
        match (self, verdict) {
            (Self::Boolean(good), VerdictType::Boolean) => Some((*good == passes).into()),
            (Self::Labels(good), VerdictType::Category { labels }) => {
                let mut meant = labels.iter().filter(|label| good.contains(label) == passes);
                let first = meant.next()?;
                meant.next().is_none().then(|| first.as_str().into())
            }
            _ => None,
        }
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
        assert_eq!(Good::Better(Better::Lower).is_good(&json!(1)), None);
    }

    #[test]
    fn pass_and_fail_stand_for_the_one_verdict_that_they_can_mean() {
        assert_eq!(Good::Boolean(false).value_of(true, &VerdictType::Boolean), Some(json!(false)));
        assert_eq!(Good::Boolean(false).value_of(false, &VerdictType::Boolean), Some(json!(true)));
        let verdict = VerdictType::Category { labels: ["right", "partly", "wrong"].map(String::from).into() };
        let good = Good::Labels(vec!["right".into()]);
        assert_eq!(good.value_of(true, &verdict), Some(json!("right")));
        assert_eq!(good.value_of(false, &verdict), None, "`partly` or `wrong`");
        let scale = VerdictType::Integer { min: 1, max: 5 };
        assert_eq!(Good::Better(Better::Higher).value_of(true, &scale), None);
    }
}
