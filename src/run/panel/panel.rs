//! Who votes, and what becomes of the votes.

use std::collections::BTreeMap;

use crate::feedback::Source;
use crate::judge::verdict::VerdictType;
use crate::run::outcome::distribution::Distribution;
use crate::run::setup::run_plan::Aggregation;

/// A judge that several models are asked, or one model several times.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    /// The judge's name.
    pub judge: String,
    /// What it may answer.
    pub verdict: VerdictType,
    /// The model URIs.
    pub voters: Vec<String>,
    /// Votes of each of them.
    pub samples: u32,
    /// How the votes become one verdict.
    pub aggregation: Aggregation,
    /// Verdicts that it takes.
    pub quorum: u32,
}

impl Panel {
    /// Votes that it has where none fails.
    pub fn votes(&self) -> u32 {
        u32::try_from(self.voters.len()).unwrap_or(u32::MAX).saturating_mul(self.samples)
    }

    /// The source of its aggregates.
    pub fn source(&self) -> Source {
        Source::code(format!("aggregate:{}", self.aggregation))
    }
}

/// What the votes of a panel came to: over the whole log, as it is at the end of the run.
#[derive(Debug)]
pub struct PanelSummary {
    /// Which one.
    pub panel: Panel,
    /// Aggregates that are verdicts.
    pub scored: u64,
    /// Of these, those in which all votes say the same.
    pub unanimous: u64,
    /// Of these, those that rest on fewer votes than the panel has.
    pub short: u64,
    /// Subjects with too few verdicts, or a tie.
    pub failed: u64,
    /// Subjects whose votes are not all asked yet, and too few for an aggregate.
    pub pending: u64,
    /// Aggregates that this run wrote.
    pub written: u64,
    /// By voter, the votes that are missing or have no verdict.
    pub without: BTreeMap<String, u64>,
    /// The aggregates.
    pub distribution: Distribution,
}

impl PanelSummary {
    pub(super) fn new(panel: &Panel) -> Self {
        Self {
            panel: panel.clone(),
            scored: 0,
            unanimous: 0,
            short: 0,
            failed: 0,
            pending: 0,
            written: 0,
            without: BTreeMap::new(),
            distribution: Distribution::of(&panel.verdict),
        }
    }
}
