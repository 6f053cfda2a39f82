//! A cascade: the last voter is asked only where the first ones leave it open, and then decides.

use serde_json::Value;

use super::combine::{Combined, majority};
use super::panel::Panel;
use crate::run::panel::aggregation::Aggregation;

/// What the first votes leave.
#[derive(Debug, PartialEq)]
pub(super) enum Decided {
    /// They agree, or are sure enough.
    AtOnce(Combined),
    /// The last voter's verdict.
    ByTheLast(Combined),
    /// The last voter was asked but gave no verdict.
    NotAtAll(String),
    /// The last voter is to be asked.
    Escalated,
    /// Not all of the first votes are asked yet.
    Pending,
}

/// A verdict among the first votes, and the model's confidence in it, if known.
pub(super) type First<'a> = (&'a Value, Option<f64>);

/// Decides by the first votes if they leave nothing open, otherwise by the last. `first` are their verdicts, of `came` that are answered; `last` is the last
/// voter's answer, if there is one: a verdict or a failure.
pub(super) fn decide(panel: &Panel, first: &[First<'_>], came: usize, last: Option<Option<&Value>>) -> Decided {
    let wanted = panel.first_votes() as usize;
    if let Some(Some(verdict)) = last {
        let agreeing = first.iter().filter(|(vote, _)| *vote == verdict).count();
        return Decided::ByTheLast(Combined {
            value: verdict.clone(),
            agreement: format!("{}/{}", agreeing + 1, first.len() + 1),
            is_unanimous: agreeing == first.len(),
        });
    }
    if came < wanted {
        return Decided::Pending;
    }
    let settled = match panel.escalates_below {
        _ if first.len() < wanted => None,
        Some(least) => sure(first, least),
        None => agreed(panel, first),
    };
    match settled {
        Some(combined) if !(panel.escalates_bad && is_bad(panel, &combined.value)) => Decided::AtOnce(combined),
        _ if last.is_none() => Decided::Escalated,
        settled => {
            let why = match settled {
                Some(_) => "the verdict is bad",
                None if first.len() < wanted => "a vote has no verdict",
                None if panel.escalates_below.is_some() => "the first votes are not sure enough",
                None => "the votes differ",
            };
            let voter = panel.voters.last().map_or("", String::as_str);
            Decided::NotAtAll(format!("{why}, and {voter} gave no verdict"))
        }
    }
}

/// The common verdict of votes that agree: for numbers, the mean if they are equal or on one side of the threshold.
fn agreed(panel: &Panel, votes: &[First<'_>]) -> Option<Combined> {
    let unanimous = |value: Value| {
        let n = votes.len();
        Combined { value, agreement: format!("{n}/{n}"), is_unanimous: true }
    };
    let (first, _) = *votes.first()?;
    if votes.iter().all(|(vote, _)| *vote == first) {
        return Some(unanimous(first.clone()));
    }
    let good = panel.good.as_ref().filter(|_| Aggregation::Mean.suits(&panel.verdict))?;
    let side = good.is_good(first)?;
    let numbers: Vec<f64> = votes.iter().filter_map(|(vote, _)| vote.as_f64()).collect();
    let is_same = numbers.len() == votes.len() && votes.iter().all(|(vote, _)| good.is_good(vote) == Some(side));
    #[expect(clippy::cast_precision_loss, reason = "a panel has few votes")]
    let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
    is_same.then(|| unanimous(mean.into()))
}

/// The verdict of the first votes if they are sure enough: one vote by its own confidence, several by the share that agree.
fn sure(votes: &[First<'_>], least: f64) -> Option<Combined> {
    if let [(value, confidence)] = *votes {
        let is_sure = confidence.is_some_and(|confidence| confidence >= least);
        return is_sure.then(|| Combined { value: value.clone(), agreement: "1/1".to_owned(), is_unanimous: true });
    }
    let values: Vec<&Value> = votes.iter().map(|(value, _)| *value).collect();
    let most = majority(&values).ok()?;
    let agreeing = values.iter().filter(|value| ***value == most.value).count();
    #[expect(clippy::cast_precision_loss, reason = "a panel has few votes")]
    let share = agreeing as f64 / values.len() as f64;
    (share >= least).then_some(most)
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
            escalates_below: None,
            sides: Vec::new(),
            one_order: false,
        }
    }

    fn booleans() -> Panel {
        panel(VerdictType::Boolean, Good::Boolean(true))
    }

    fn unsure<'a>(first: &[&'a Value]) -> Vec<First<'a>> {
        first.iter().map(|value| (*value, None)).collect()
    }

    #[test]
    fn with_a_threshold_confidence_decides() {
        let (yes, no) = (json!(true), json!(false));
        let single = Panel { samples: 1, escalates_below: Some(0.8), ..booleans() };
        let of = |confidence| decide(&single, &[(&yes, confidence)], 1, None);
        assert_eq!(value(of(Some(0.8))), yes);
        assert_eq!((of(Some(0.79)), of(None)), (Decided::Escalated, Decided::Escalated));
        let three = Panel { samples: 3, escalates_below: Some(0.6), ..booleans() };
        let Decided::AtOnce(most) = decide(&three, &unsure(&[&yes, &no, &yes]), 3, None) else { panic!() };
        assert_eq!((most.value, most.agreement.as_str(), most.is_unanimous), (yes.clone(), "2/3", false));
        let stricter = Panel { escalates_below: Some(0.7), ..three.clone() };
        assert_eq!(decide(&stricter, &unsure(&[&yes, &no, &yes]), 3, None), Decided::Escalated);
        assert_eq!(decide(&three, &unsure(&[&yes, &yes]), 3, None), Decided::Escalated, "one of them failed");
        let lax = Panel { samples: 2, escalates_below: Some(0.5), ..booleans() };
        assert_eq!(decide(&lax, &unsure(&[&yes, &no]), 2, None), Decided::Escalated, "a tie says nothing");
        let strict = Panel { escalates_bad: true, ..single };
        assert_eq!(decide(&strict, &[(&no, Some(0.99))], 1, None), Decided::Escalated);
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
        let decide = |panel: &Panel, first: &[&Value], came| decide(panel, &unsure(first), came, None);
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
        let decide = |first: &[&Value], last| decide(&booleans(), &unsure(first), 2, last);
        assert_eq!(value(decide(&[&yes, &yes], Some(Some(&no)))), no);
        let failed = decide(&[&yes, &no], Some(None));
        assert_eq!(failed, Decided::NotAtAll("the votes differ, and e:/strong gave no verdict".into()));
        assert_eq!(value(decide(&[&yes, &yes], Some(None))), yes);
    }

    #[test]
    fn numbers_agree_where_they_are_on_one_side() {
        let verdict = VerdictType::Integer { min: 1, max: 5 };
        let scale = panel(verdict, Good::Scale { better: Better::Higher, threshold: Some(4.0) });
        assert_eq!(value(decide(&scale, &unsure(&[&json!(4), &json!(5)]), 2, None)), json!(4.5));
        assert_eq!(decide(&scale, &unsure(&[&json!(3), &json!(4)]), 2, None), Decided::Escalated);
    }
}
