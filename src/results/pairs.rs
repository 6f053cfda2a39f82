//! The data of what judges of pairs say: win rates, strengths, positions.

use serde::{Deserialize, Serialize};

use super::estimate::Estimate;

/// What a judge of pairs says about the sides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pairwise {
    /// Pairs that were compared, in both orders or in one; each sample of a pair counts.
    pub n: u64,
    /// Pairs with a verdict in one order only, which are in no share.
    pub n_one_order: u64,
    /// Of `n`, pairs that were shown in one order only: their verdicts include any preference for a position.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub n_position_biased: u64,
    /// Of those in both orders, those whose verdicts are the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consistency: Option<Estimate>,
    /// Of the verdicts for either output, those for the one that was shown first: 0.5 without a preference for a position.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_preferred: Option<Estimate>,
    /// The sides; the most preferred comes first.
    pub sides: Vec<SideFigures>,
    /// Each side with each.
    pub pairs: Vec<PairFigures>,
    /// Whether a side won or lost everything, so that the distances between strengths mean nothing.
    #[serde(default)]
    pub is_separated: bool,
}

/// How a side does against all others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SideFigures {
    /// Its name.
    pub name: String,
    /// Pairs in which it is preferred in both orders.
    pub wins: u64,
    /// Pairs in which the other is.
    pub losses: u64,
    /// The others: the judge finds neither better, or changes its verdict when they change places.
    pub ties: u64,
    /// The share of wins, counting a tie as half.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub win_rate: Option<Estimate>,
    /// In the Bradley-Terry model, where there are more than two sides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strength: Option<Strength>,
}

/// A strength on the Elo scale: 1000 is the mean of the sides, and 400 points are odds of ten to one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Strength {
    /// The strength.
    pub elo: f64,
    /// The lower end of its interval, clustered by what was asked.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// The best rank that the side may have, by tests adjusted by Holm's method; 1 is the strongest.
    pub best_rank: u64,
    /// The worst.
    pub worst_rank: u64,
}

/// How two sides do against each other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PairFigures {
    /// One side.
    pub first: String,
    /// The other.
    pub second: String,
    /// Pairs of their outputs that were compared in both orders.
    pub n: u64,
    /// Those in which the first is preferred.
    pub first_wins: u64,
    /// Those in which the second is.
    pub second_wins: u64,
    /// The others.
    pub ties: u64,
    /// Of these, those in which the order decides.
    pub inconsistent: u64,
    /// The share that the first wins, counting a tie as half.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub win_rate: Option<Estimate>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}
