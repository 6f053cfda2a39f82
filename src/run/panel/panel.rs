//! Who votes, and how the votes are combined.

use std::collections::{BTreeMap, BTreeSet};

use crate::feedback::{Good, Source};
use crate::judge::verdict::VerdictType;
use crate::run::outcome::distribution::Distribution;
use crate::run::panel::aggregation::Aggregation;

/// A judge that is asked of several models, or of one model several times.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    /// The judge's name.
    pub judge: String,
    /// What it may answer.
    pub verdict: VerdictType,
    /// Which verdicts are good.
    pub good: Option<Good>,
    /// The model URIs; in a cascade, the deciding one comes last.
    pub voters: Vec<String>,
    /// Votes of each of them; the deciding one has one.
    pub samples: u32,
    /// How the votes become one verdict.
    pub aggregation: Aggregation,
    /// Verdicts that it takes.
    pub quorum: u32,
    /// In a cascade: whether bad verdicts are left to the deciding model.
    pub escalates_bad: bool,
    /// In a cascade: the lowest confidence at which the first votes decide; without it they must agree.
    pub escalates_below: Option<f64>,
    /// Of a judge of pairs: the names of the compared sides, in order.
    pub sides: Vec<String>,
    /// For a judge of pairs: whether each is shown in only one order.
    pub one_order: bool,
}

impl Panel {
    /// Votes that it has where none fails.
    pub fn votes(&self) -> u32 {
        match self.aggregation {
            Aggregation::Cascade => self.first_votes().saturating_add(1),
            _ => {
                let voters = u32::try_from(self.voters.len()).unwrap_or(u32::MAX);
                voters.saturating_mul(self.samples).saturating_mul(self.orders())
            }
        }
    }

    /// Votes for each sample: of a judge of pairs, one in either order.
    pub(super) fn orders(&self) -> u32 {
        if self.aggregation == Aggregation::Pair && !self.one_order { 2 } else { 1 }
    }

    /// Of a judge of pairs: the numbers of the sides with these names, if they are compared.
    pub(super) fn compared(&self, names: [&str; 2]) -> Option<[usize; 2]> {
        let [a, b] = names.map(|name| self.sides.iter().position(|side| side == name));
        Some([a?, b?]).filter(|[a, b]| a != b)
    }

    /// In a cascade: the votes before the deciding one.
    pub(super) fn first_votes(&self) -> u32 {
        u32::try_from(self.voters.len()).unwrap_or(u32::MAX).saturating_sub(1).saturating_mul(self.samples)
    }

    /// Votes that a voter has.
    pub(super) fn votes_of(&self, voter: usize) -> u32 {
        match self.aggregation {
            Aggregation::Cascade if voter + 1 == self.voters.len() => 1,
            _ => self.samples,
        }
    }

    /// The source of its aggregates.
    pub fn source(&self) -> Source {
        self.aggregation.source()
    }
}

/// The outcome of a panel's votes: over the whole log, as it is at the end of the run.
#[derive(Debug)]
pub struct PanelSummary {
    /// Which one.
    pub panel: Panel,
    /// Aggregates that are verdicts.
    pub scored: u64,
    /// Of these, those in which all votes agree.
    pub unanimous: u64,
    /// Of these, those based on fewer votes than the panel has.
    pub short: u64,
    /// Subjects with too few verdicts, or a tie.
    pub failed: u64,
    /// Subjects whose votes are not all asked yet and too few for an aggregate.
    pub pending: u64,
    /// Aggregates that this run wrote.
    pub written: u64,
    /// In a cascade: traces about which the deciding model is to be asked, and how many it has decided.
    pub escalated: BTreeSet<String>,
    /// In a cascade: verdicts of the deciding model.
    pub decided_by_last: u64,
    /// For a judge of pairs: verdicts for the output shown first, and those for either.
    pub first_preferred: (u64, u64),
    /// By voter, the votes that are missing or without a verdict.
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
            escalated: BTreeSet::new(),
            decided_by_last: 0,
            first_preferred: (0, 0),
            without: BTreeMap::new(),
            distribution: Distribution::of(&panel.verdict),
        }
    }
}
