//! What a run may spend before it stops by itself: nothing more is sent, what is in flight is finished.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::millis;

/// The limits of a run; `None` means no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Budget {
    /// Money, in the currency of the prices.
    pub cost: Option<f64>,
    /// Tokens of all prompts and answers.
    pub tokens: Option<u64>,
    /// Judgments that end in an error.
    pub errors: Option<MaxErrors>,
    /// From the start of the run.
    #[serde(rename = "time_ms", with = "millis::option")]
    pub time: Option<Duration>,
}

/// How many failures are too many.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MaxErrors {
    /// More than this many.
    Count(u64),
    /// More than this share of the judgments asked, 0 to 1, once these are at least [`MaxErrors::MIN_JUDGED`].
    Share(f64),
}

impl MaxErrors {
    /// A share of fewer judgments means nothing.
    pub const MIN_JUDGED: u64 = 20;
}

impl fmt::Display for MaxErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Share(share) => write!(f, "{}%", share * 100.0),
        }
    }
}

impl FromStr for MaxErrors {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a number such as 10 or a share such as 5%");
        match text.strip_suffix('%') {
            Some(percent) => {
                let percent: f64 = percent.trim().parse().map_err(|_| wrong())?;
                if (0.0..=100.0).contains(&percent) { Ok(Self::Share(percent / 100.0)) } else { Err(wrong()) }
            }
            None => text.parse().map(Self::Count).map_err(|_| wrong()),
        }
    }
}

serde_as_text!(MaxErrors);

/// What a run has spent so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(in crate::run) struct Spent {
    pub cost: f64,
    pub tokens: u64,
    pub judged: u64,
    pub errors: u64,
}

/// A limit that was reached.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Exhausted {
    #[error("the budget of {limit} is used up: {spent:.4} spent")]
    Cost { spent: f64, limit: f64 },
    #[error("the budget of {limit} tokens is used up: {spent} used")]
    Tokens { spent: u64, limit: u64 },
    #[error("too many failures: {errors} of {judged} judgments")]
    Errors { errors: u64, judged: u64 },
    #[error("the time limit of {} s is reached", limit.as_secs_f64())]
    Time { limit: Duration },
}

impl Budget {
    /// The first limit that is reached. Time is the dispatcher's.
    pub(in crate::run) fn exhausted(&self, spent: &Spent) -> Option<Exhausted> {
        if let Some(limit) = self.cost
            && spent.cost >= limit
        {
            return Some(Exhausted::Cost { spent: spent.cost, limit });
        }
        if let Some(limit) = self.tokens
            && spent.tokens >= limit
        {
            return Some(Exhausted::Tokens { spent: spent.tokens, limit });
        }
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        let too_many = match self.errors {
            None => false,
            Some(MaxErrors::Count(limit)) => spent.errors > limit,
            Some(MaxErrors::Share(share)) => {
                spent.judged >= MaxErrors::MIN_JUDGED && spent.errors as f64 > share * spent.judged as f64
            }
        };
        too_many.then_some(Exhausted::Errors { errors: spent.errors, judged: spent.judged })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_is_reached_by_its_own_measure() {
        let spent = |cost, tokens, judged, errors| Spent { cost, tokens, judged, errors };
        let none = Budget::default();
        assert_eq!(none.exhausted(&spent(1e9, u64::MAX, 9, 9)), None);
        let budget = Budget { cost: Some(1.0), tokens: Some(100), ..none };
        assert_eq!(budget.exhausted(&spent(0.99, 99, 0, 0)), None);
        assert!(matches!(budget.exhausted(&spent(1.0, 0, 0, 0)), Some(Exhausted::Cost { .. })));
        assert!(matches!(budget.exhausted(&spent(0.0, 100, 0, 0)), Some(Exhausted::Tokens { .. })));
        let count = Budget { errors: Some("0".parse().unwrap()), ..none };
        assert!(count.exhausted(&spent(0.0, 0, 1, 1)).is_some() && count.exhausted(&spent(0.0, 0, 1, 0)).is_none());
        let share = Budget { errors: Some("10%".parse().unwrap()), ..none };
        assert!(share.exhausted(&spent(0.0, 0, 19, 19)).is_none());
        assert!(share.exhausted(&spent(0.0, 0, 20, 2)).is_none() && share.exhausted(&spent(0.0, 0, 20, 3)).is_some());
        assert_eq!(["5%", "12"].map(|text| text.parse::<MaxErrors>().unwrap().to_string()), ["5%", "12"]);
        assert!("x".parse::<MaxErrors>().is_err() && "101%".parse::<MaxErrors>().is_err());
    }
}
