//! One verdict of comparisons: each asks in both orders, and a side wins only if it wins in both; or in one order, if so configured.

use serde_json::Value;

use super::combine::{Combined, NoConsensus};
use super::panel::Panel;
use super::votes::{Subject, Vote};
use crate::feedback::{ORDERS_METADATA, TIE};

/// What both orders say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compared {
    /// The number of the verdict.
    Wins(usize),
    /// In both, the judge says that neither is better.
    Tie,
    /// The verdict depends on the order.
    Inconsistent,
}

/// Why neither side wins.
const DECLARED: &str = "declared";
const INCONSISTENT: &str = "inconsistent";
const SPLIT: &str = "split";

/// The outcome of the comparisons of one pair.
#[derive(Debug, PartialEq)]
pub(super) struct Decided {
    pub combined: Combined,
    /// Members of the record's metadata: how many comparisons do not depend on the order, and why it is a tie.
    pub details: Vec<(&'static str, String)>,
}

/// Decides by the majority of the comparisons; there must be at least `quorum`. `values` are all verdicts.
pub(super) fn decide(panel: &Panel, subject: &Subject, values: &[Value]) -> Result<Decided, NoConsensus> {
    let comparisons = comparisons(&subject.votes, values, panel.one_order);
    if comparisons.is_empty() || comparisons.len() < panel.quorum as usize {
        let votes = subject.votes.iter().filter(|vote| vote.value.is_some()).count();
        return Err(NoConsensus::Quorum {
            votes,
            asked: panel.votes(),
            quorum: panel.quorum.saturating_mul(panel.orders()),
        });
    }
    let times = |compared: Compared| comparisons.iter().filter(|other| **other == compared).count();
    let consistent = comparisons.len() - times(Compared::Inconsistent);
    let ties = times(Compared::Tie) + times(Compared::Inconsistent);
    let wins = |compared: &Compared| matches!(compared, Compared::Wins(_));
    let best = comparisons.iter().copied().filter(wins).max_by_key(|side| times(*side));
    let rival = comparisons.iter().copied().filter(|side| wins(side) && Some(*side) != best).map(times).max();
    let others = ties.max(rival.unwrap_or(0));
    let winner = best.filter(|side| times(*side) > others);
    let (value, why) = match winner {
        Some(Compared::Wins(number)) => (values[number].clone(), None),
        _ if best.is_some() && ties < comparisons.len() => (TIE.into(), Some(SPLIT)),
        _ if consistent == comparisons.len() => (TIE.into(), Some(DECLARED)),
        _ => (TIE.into(), Some(INCONSISTENT)),
    };
    let agreeing = subject.votes.iter().filter(|vote| vote.value.is_some_and(|number| values[number] == value)).count();
    let given = subject.votes.iter().filter(|vote| vote.value.is_some()).count();
    let combined = Combined {
        value,
        agreement: format!("{agreeing}/{given}"),
        is_unanimous: agreeing == given && consistent == comparisons.len(),
    };
    let mut details = match panel.one_order {
        true => vec![(ORDERS_METADATA, "1".to_owned())],
        false => vec![("consistent", format!("{consistent}/{}", comparisons.len()))],
    };
    details.extend(why.map(|why| ("tie", why.to_owned())));
    Ok(Decided { combined, details })
}

/// Each voter's verdicts, where both orders have one; with `one_order`, also where only one is asked.
fn comparisons(votes: &[Vote], values: &[Value], one_order: bool) -> Vec<Compared> {
    let compared = |vote: &Vote| {
        let other = votes
            .iter()
            .find(|other| (other.voter, other.sample, other.is_swapped) == (vote.voter, vote.sample, !vote.is_swapped));
        let (one, other) = match other {
            Some(_) if vote.is_swapped => return None,
            Some(other) => (vote.value?, other.value?),
            None if one_order => (vote.value?, vote.value?),
            None => return None,
        };
        Some(match one == other {
            true if values[one] == TIE => Compared::Tie,
            true => Compared::Wins(one),
            false => Compared::Inconsistent,
        })
    };
    votes.iter().filter_map(compared).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::feedback::IdHasher;
    use crate::feedback::log::Place;
    use crate::judge::verdict::VerdictType;
    use crate::run::panel::aggregation::Aggregation;

    /// Decides about comparisons, each with the verdicts in both orders.
    fn decided(comparisons: &[[Option<usize>; 2]], quorum: u32) -> Result<(Value, Vec<String>), NoConsensus> {
        decided_in(comparisons, quorum, &[false, true])
    }

    /// Decides where these orders are asked.
    fn decided_in(
        comparisons: &[[Option<usize>; 2]],
        quorum: u32,
        asked: &[bool],
    ) -> Result<(Value, Vec<String>), NoConsensus> {
        let values = [json!("old"), json!("new"), json!("tie")];
        let panel = Panel {
            judge: "j".into(),
            verdict: VerdictType::Boolean,
            good: None,
            voters: vec!["e:/m".into()],
            samples: u32::try_from(comparisons.len()).unwrap(),
            aggregation: Aggregation::Pair,
            quorum,
            escalates_bad: false,
            escalates_below: None,
            sides: vec!["old".into(), "new".into()],
            one_order: asked.len() == 1,
        };
        let id = IdHasher::new("t").finish();
        let votes = comparisons.iter().zip(0..).flat_map(|(orders, sample)| {
            orders.iter().zip(asked.iter().copied()).map(move |(value, is_swapped)| Vote {
                voter: 0,
                sample,
                is_swapped,
                id,
                value: *value,
                confidence: None,
                place: Place::default(),
            })
        });
        let subject = Subject { panel: 0, about: id, sides: None, votes: votes.collect(), standing: None };
        let Decided { combined, details } = decide(&panel, &subject, &values)?;
        Ok((combined.value, details.into_iter().map(|(_, value)| value).collect()))
    }

    #[test]
    fn a_side_wins_only_in_both_orders() {
        let of = |orders| decided(&[orders], 1).unwrap();
        assert_eq!(of([Some(1), Some(1)]), (json!("new"), vec!["1/1".into()]));
        assert_eq!(of([Some(0), Some(1)]), (json!("tie"), vec!["0/1".into(), "inconsistent".into()]));
        assert_eq!(of([Some(0), Some(2)]), (json!("tie"), vec!["0/1".into(), "inconsistent".into()]));
        assert_eq!(of([Some(2), Some(2)]), (json!("tie"), vec!["1/1".into(), "declared".into()]));
    }

    #[test]
    fn an_order_without_a_verdict_is_no_comparison() {
        let error = decided(&[[Some(0), None]], 1).unwrap_err();
        assert_eq!(error.to_string(), "1 of 2 votes have a verdict, but the quorum is 2");
        assert_eq!(decided(&[[Some(0), None], [Some(1), Some(1)]], 1).unwrap().0, json!("new"));
    }

    #[test]
    fn in_one_order_its_verdict_is_all_there_is() {
        for order in [false, true] {
            let of = |value| decided_in(&[[value, None]], 1, &[order]);
            assert_eq!(of(Some(1)).unwrap(), (json!("new"), vec!["1".into()]));
            assert_eq!(of(Some(2)).unwrap(), (json!("tie"), vec!["1".into(), "declared".into()]));
            assert_eq!(of(None).unwrap_err().to_string(), "0 of 1 votes have a verdict, but the quorum is 1");
        }
    }

    #[test]
    fn most_comparisons_decide() {
        let (old, new, tie) = ([Some(0); 2], [Some(1); 2], [Some(0), Some(1)]);
        assert_eq!(decided(&[old, new, new], 2).unwrap().0, json!("new"));
        assert_eq!(decided(&[old, new], 2).unwrap(), (json!("tie"), vec!["2/2".into(), "split".into()]));
        assert_eq!(decided(&[old, tie, tie], 2).unwrap().0, json!("tie"));
        assert_eq!(decided(&[tie, tie, tie], 2).unwrap().1, ["0/3", "inconsistent"]);
    }
}
