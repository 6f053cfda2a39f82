//! Makes one verdict of several.

use serde_json::Value;

use crate::run::panel::aggregation::Aggregation;

/// A verdict that votes have in common.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Combined {
    pub value: Value,
    /// What the record says about how far the votes agree: `2/3` of them, or the range of numbers, `3..5`.
    pub agreement: String,
    pub is_unanimous: bool,
}

/// Why votes have no verdict in common.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoConsensus {
    #[error("{votes} of {asked} votes have a verdict, but the quorum is {quorum}")]
    Quorum { votes: usize, asked: u32, quorum: u32 },
    #[error("a tie: {} have {most} of {votes} votes each", .values.join(" and "))]
    Tie { values: Vec<String>, most: usize, votes: usize },
    #[error("not all of the votes are numbers")]
    NotNumbers,
    #[error("{0}")]
    Undecided(String),
}

/// Combines the given verdicts into one.
pub(super) fn combine(
    aggregation: Aggregation,
    votes: &[&Value],
    asked: u32,
    quorum: u32,
) -> Result<Combined, NoConsensus> {
    if votes.is_empty() || votes.len() < quorum as usize {
        return Err(NoConsensus::Quorum { votes: votes.len(), asked, quorum });
    }
    match aggregation {
        Aggregation::Majority | Aggregation::Cascade | Aggregation::Pair => majority(votes),
        Aggregation::Mean | Aggregation::Median => {
            let mut numbers: Vec<f64> = votes.iter().filter_map(|vote| vote.as_f64()).collect();
            if numbers.len() < votes.len() {
                return Err(NoConsensus::NotNumbers);
            }
            numbers.sort_by(f64::total_cmp);
            let value = if aggregation == Aggregation::Mean { mean(&numbers) } else { median(&numbers) };
            let (low, high) = (numbers[0], numbers[numbers.len() - 1]);
            Ok(Combined { value: value.into(), agreement: format!("{low}..{high}"), is_unanimous: low == high })
        }
    }
}

/// The most frequent vote: not necessarily more than half of them, but more than for anything else.
pub(super) fn majority(votes: &[&Value]) -> Result<Combined, NoConsensus> {
    let mut counts: Vec<(&Value, usize)> = Vec::new();
    for vote in votes {
        match counts.iter_mut().find(|(value, _)| value == vote) {
            Some((_, n)) => *n += 1,
            None => counts.push((vote, 1)),
        }
    }
    let most = counts.iter().map(|(_, n)| *n).max().unwrap_or(0);
    let mut first = counts.iter().filter(|(_, n)| *n == most).map(|(value, _)| *value);
    match (first.next(), first.next()) {
        (Some(value), None) => Ok(Combined {
            value: value.clone(),
            agreement: format!("{most}/{}", votes.len()),
            is_unanimous: most == votes.len(),
        }),
        _ => {
            let mut values: Vec<_> =
                counts.iter().filter(|(_, n)| *n == most).map(|(value, _)| value.to_string()).collect();
            values.sort();
            Err(NoConsensus::Tie { values, most, votes: votes.len() })
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a panel has few votes")]
fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

/// The median of sorted numbers; for an even count, the mean of the two in the middle.
fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(aggregation: Aggregation, votes: &[Value], quorum: u32) -> Result<Value, NoConsensus> {
        combine(aggregation, &votes.iter().collect::<Vec<_>>(), 3, quorum).map(|combined| combined.value)
    }

    #[test]
    fn most_votes_win_and_a_tie_is_no_verdict() {
        let majority = |votes: &[Value]| of(Aggregation::Majority, votes, 2);
        assert_eq!(majority(&[json!(true), json!(false), json!(true)]), Ok(json!(true)));
        assert_eq!(majority(&[json!("a"), json!("b"), json!("a"), json!("c")]), Ok(json!("a")), "half of them");
        assert_eq!(
            majority(&[json!(true), json!(false)]).unwrap_err().to_string(),
            "a tie: false and true have 1 of 2 votes each"
        );
        let votes = [json!(1), json!(1), json!(2)];
        let combined = combine(Aggregation::Majority, &votes.iter().collect::<Vec<_>>(), 3, 2).unwrap();
        assert_eq!((combined.agreement.as_str(), combined.is_unanimous), ("2/3", false));
    }

    #[test]
    fn too_few_votes_are_no_verdict() {
        let error = of(Aggregation::Majority, &[json!(true)], 2).unwrap_err();
        assert_eq!(error.to_string(), "1 of 3 votes have a verdict, but the quorum is 2");
        assert!(of(Aggregation::Mean, &[], 0).is_err());
    }

    #[test]
    fn numbers_have_a_mean_and_a_median() {
        let votes = [json!(5), json!(2), json!(2)];
        assert_eq!(of(Aggregation::Mean, &votes, 2), Ok(json!(3.0)));
        assert_eq!(of(Aggregation::Median, &votes, 2), Ok(json!(2.0)));
        assert_eq!(of(Aggregation::Median, &[json!(1), json!(4)], 2), Ok(json!(2.5)));
        assert_eq!(of(Aggregation::Mean, &[json!(1), json!("a")], 2), Err(NoConsensus::NotNumbers));
        let combined = combine(Aggregation::Mean, &votes.iter().collect::<Vec<_>>(), 3, 2).unwrap();
        assert_eq!(combined.agreement, "2..5");
    }
}
