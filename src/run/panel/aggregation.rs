//! How several votes become one verdict.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::feedback::{AGGREGATE, Source};
use crate::judge::verdict::VerdictType;

/// How several votes become one verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Aggregation {
    /// The most frequent verdict; none for a tie.
    Majority,
    /// The mean of numbers.
    Mean,
    /// The median of numbers.
    Median,
    /// Of a judge of pairs: what most of its comparisons say, each in both orders; a side wins one only in both.
    Pair,
    /// The first votes' verdict if they agree, and otherwise the last voter's, who is asked only then.
    Cascade,
}

impl Aggregation {
    /// Those that are over all votes alike.
    pub const ALL: [Self; 3] = [Self::Majority, Self::Mean, Self::Median];

    /// The name in plans and records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Majority => "majority",
            Self::Mean => "mean",
            Self::Median => "median",
            Self::Cascade => "cascade",
            Self::Pair => "pair",
        }
    }

    /// The source of aggregates that are made so.
    pub fn source(self) -> Source {
        Source::code(format!("{AGGREGATE}{self}"))
    }

    /// The default for a type of verdict: a mean keeps more of numbers than the most frequent one.
    pub const fn of(verdict: &VerdictType) -> Self {
        match verdict {
            VerdictType::Integer { .. } | VerdictType::Number { .. } => Self::Mean,
            VerdictType::Boolean | VerdictType::Category { .. } | VerdictType::Labels { .. } => Self::Majority,
        }
    }

    /// Whether verdicts of this type have one.
    pub const fn suits(self, verdict: &VerdictType) -> bool {
        matches!(self, Self::Majority | Self::Cascade | Self::Pair)
            || matches!(verdict, VerdictType::Integer { .. } | VerdictType::Number { .. })
    }
}

impl fmt::Display for Aggregation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
