//! What `pass` and `fail` mean.

use serde_json::Value;

use super::verdict::VerdictType;
use crate::feedback::Good;

impl Good {
    /// The one verdict that `pass` or `fail` can mean. `None` if there are several, as on a scale.
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
    use crate::feedback::Better;

    #[test]
    fn pass_and_fail_stand_for_the_one_verdict_that_they_can_mean() {
        assert_eq!(Good::Boolean(false).value_of(true, &VerdictType::Boolean), Some(json!(false)));
        assert_eq!(Good::Boolean(false).value_of(false, &VerdictType::Boolean), Some(json!(true)));
        let verdict = VerdictType::Category { labels: ["right", "partly", "wrong"].map(String::from).into() };
        let good = Good::Labels(vec!["right".into()]);
        assert_eq!(good.value_of(true, &verdict), Some(json!("right")));
        assert_eq!(good.value_of(false, &verdict), None, "`partly` or `wrong`");
        let scale = VerdictType::Integer { min: 1, max: 5 };
        assert_eq!(Good::Scale { better: Better::Higher, threshold: None }.value_of(true, &scale), None);
    }
}
