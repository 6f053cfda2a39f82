//! A cascade: the last voter is asked only where the first ones leave it open, and then decides.

use serde_json::Value;

use super::combine::Combined;
use super::panel::Panel;
use crate::run::setup::run_plan::Aggregation;

/// What the first votes leave.
#[derive(Debug, PartialEq)]
pub(super) enum Decided {
    /// They say the same.
    AtOnce(Combined),
    /// The last voter's verdict.
    ByTheLast(Combined),
    /// The last voter was asked, and gave no verdict.
    NotAtAll(String),
    /// The last voter is to be asked.
    Escalated,
    /// Not all of the first votes are asked yet.
    Pending,
}

/// Decides by the first votes where they leave nothing open, else by the last. `first` are their verdicts, of `came` that are answered; `last` is the last
/// voter's answer, if there is one: a verdict or a failure.
pub(super) fn decide(panel: &Panel, first: &[&Value], came: usize, last: Option<Option<&Value>>) -> Decided {
    let wanted = panel.first_votes() as usize;
    if let Some(Some(verdict)) = last {
        let agreeing = first.iter().filter(|vote| **vote == verdict).count();
        return Decided::ByTheLast(Combined {
            value: verdict.clone(),
            agreement: format!("{}/{}", agreeing + 1, first.len() + 1),
            is_unanimous: agreeing == first.len(),
        });
    }
    if came < wanted {
        return Decided::Pending;
    }
    match agreed(panel, first).filter(|_| first.len() == wanted) {
        Some(value) if !(panel.escalates_bad && is_bad(panel, &value)) => {
            Decided::AtOnce(Combined { value, agreement: format!("{wanted}/{wanted}"), is_unanimous: true })
        }
        _ if last.is_none() => Decided::Escalated,
        agreed => {
            let why = match agreed {
                Some(_) => "the verdict is bad",
                None if first.len() < wanted => "a vote has no verdict",
                None => "the votes differ",
            };
            let voter = panel.voters.last().map_or("", String::as_str);
            Decided::NotAtAll(format!("{why}, and {voter} gave no verdict"))
        }
    }
}

/// What votes say if they say the same: of numbers, the mean of those that are equal or on one side of the threshold.
fn agreed(panel: &Panel, votes: &[&Value]) -> Option<Value> {
    let first = *votes.first()?;
    if votes.iter().all(|vote| *vote == first) {
        return Some(first.clone());
    }
    let good = panel.good.as_ref().filter(|_| Aggregation::Mean.suits(&panel.verdict))?;
    let side = good.is_good(first)?;
    let numbers: Vec<f64> = votes.iter().filter_map(|vote| vote.as_f64()).collect();
    let is_same = numbers.len() == votes.len() && votes.iter().all(|vote| good.is_good(vote) == Some(side));
    #[expect(clippy::cast_precision_loss, reason = "a panel has few votes")]
    let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
    is_same.then(|| mean.into())
}

fn is_bad(panel: &Panel, value: &Value) -> bool {
    panel.good.as_ref().and_then(|good| good.is_good(value)) == Some(false)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::feedback::{Better, Good};
    use crate::judge::verdict::VerdictType;

    fn panel(verdict: VerdictType, good: Good) -> Panel {
        Panel {
            judge: "j".into(),
            verdict,
            good: Some(good),
            voters: vec!["e:/cheap".into(), "e:/strong".into()],
            samples: 2,
            aggregation: Aggregation::Cascade,
            quorum: 1,
            escalates_bad: false,
            sides: Vec::new(),
        }
    }

    fn booleans() -> Panel {
        panel(VerdictType::Boolean, Good::Boolean(true))
    }

    fn value(decided: Decided) -> Value {
        match decided {
            Decided::AtOnce(combined) | Decided::ByTheLast(combined) => combined.value,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_last_is_asked_only_where_the_first_votes_leave_it_open() {
        let (yes, no) = (json!(true), json!(false));
        let decide = |panel: &Panel, first: &[&Value], came| decide(panel, first, came, None);
        assert_eq!(value(decide(&booleans(), &[&yes, &yes], 2)), yes);
        assert_eq!(value(decide(&booleans(), &[&no, &no], 2)), no);
        assert_eq!(decide(&booleans(), &[&yes, &no], 2), Decided::Escalated);
        assert_eq!(decide(&booleans(), &[&yes], 2), Decided::Escalated, "one of them failed");
        assert_eq!(decide(&booleans(), &[&yes], 1), Decided::Pending);
        let strict = Panel { escalates_bad: true, ..booleans() };
        assert_eq!(decide(&strict, &[&no, &no], 2), Decided::Escalated);
        assert_eq!(value(decide(&strict, &[&yes, &yes], 2)), yes);
    }

    #[test]
    fn the_last_decides_and_where_it_fails_nothing_is_decided() {
        let (yes, no) = (json!(true), json!(false));
        assert_eq!(value(decide(&booleans(), &[&yes, &yes], 2, Some(Some(&no)))), no);
        let failed = decide(&booleans(), &[&yes, &no], 2, Some(None));
        assert_eq!(failed, Decided::NotAtAll("the votes differ, and e:/strong gave no verdict".into()));
        assert_eq!(value(decide(&booleans(), &[&yes, &yes], 2, Some(None))), yes);
    }

    #[test]
    fn numbers_agree_where_they_are_on_one_side() {
        let verdict = VerdictType::Integer { min: 1, max: 5 };
        let scale = panel(verdict, Good::Scale { better: Better::Higher, threshold: Some(4.0) });
        assert_eq!(value(decide(&scale, &[&json!(4), &json!(5)], 2, None)), json!(4.5));
        assert_eq!(decide(&scale, &[&json!(3), &json!(4)], 2, None), Decided::Escalated);
    }
}
