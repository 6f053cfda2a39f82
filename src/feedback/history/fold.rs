//! The fold over a whole log.

use super::{Edges, Facts, OpinionKey, Role, Step, settle_ids, settle_opinion};

/// The records of a log. `T` is what its reader needs from each.
#[derive(Debug)]
pub(crate) struct History<T>(Vec<Line<T>>);

/// A record of a log, and its role.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line<T> {
    opinion: OpinionKey,
    pub is_own: bool,
    pub step: Step,
    pub extra: T,
}

impl<T> Line<T> {
    /// Whether a log without it means the same. What others wrote is theirs to remove.
    pub(crate) fn is_dispensable(&self) -> bool {
        let Step { role, is_superseded, .. } = self.step;
        self.is_own && (role == Role::Repeated || (role == Role::Failure && is_superseded))
    }

    /// Whether it belongs to the present state.
    pub(crate) fn is_present(&self) -> bool {
        match self.step.role {
            Role::Verdict => true,
            Role::Failure => !self.step.is_superseded,
            Role::Mark | Role::Repeated => false,
        }
    }
}

impl<T> AsRef<Step> for Line<T> {
    fn as_ref(&self) -> &Step {
        &self.step
    }
}

impl<T> AsMut<Step> for Line<T> {
    fn as_mut(&mut self) -> &mut Step {
        &mut self.step
    }
}

impl<T> Default for History<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> History<T> {
    /// Adds the record at `place`; later records have higher places.
    pub(crate) fn add(&mut self, facts: &Facts<'_>, place: u64, extra: T) {
        self.0.push(Line { opinion: facts.opinion, is_own: facts.is_own, step: facts.step(place), extra });
    }

    /// Gives each record another place, or drops it.
    pub(crate) fn place_anew(&mut self, place: impl Fn(&T) -> Option<u64>) {
        self.0.retain_mut(|line| {
            let new = place(&line.extra);
            line.step.place = new.unwrap_or_default();
            new.is_some()
        });
    }

    /// The records of each opinion, in the order of their places.
    pub(crate) fn by_opinion(&mut self) -> impl Iterator<Item = &mut [Line<T>]> {
        self.0.sort_unstable_by_key(|line| (line.opinion, line.step.place));
        self.0.chunk_by_mut(|a, b| a.opinion == b.opinion)
    }

    /// Decides what each record is good for.
    pub(crate) fn settle(mut self) -> Opinions<T> {
        let mut edges = Edges::default();
        for opinion in self.by_opinion() {
            settle_ids(opinion, opinion[0].is_own);
            edges.add_outgoing(opinion, opinion[0].is_own);
        }
        edges.sort();
        let Self(mut lines) = self;
        for opinion in lines.chunk_by_mut(|a, b| a.opinion == b.opinion) {
            settle_opinion(opinion, opinion[0].is_own, &edges);
        }
        Opinions(lines)
    }
}

/// The records of a log by opinion, each opinion's in chronological order.
#[derive(Debug)]
pub(crate) struct Opinions<T>(Vec<Line<T>>);

impl<T> Opinions<T> {
    /// The record that each of our own opinions stands as.
    pub(crate) fn standing(&self) -> impl Iterator<Item = &Line<T>> {
        let own = self.0.chunk_by(|a, b| a.opinion == b.opinion).filter(|opinion| opinion[0].is_own);
        own.filter_map(|opinion| opinion.iter().rev().find(|line| line.step.is_live()))
    }

    /// The record that each opinion stands as: of others', all that are not superseded.
    pub(crate) fn standing_of_all(&self) -> impl Iterator<Item = &Line<T>> {
        let others = self.0.iter().filter(|line| !line.is_own && line.step.is_live() && !line.step.is_superseded);
        self.standing().chain(others)
    }

    /// All records of each of our own opinions that has several, in chronological order.
    pub(crate) fn histories(&self) -> impl Iterator<Item = &[Line<T>]> {
        let opinions = self.0.chunk_by(|a, b| a.opinion == b.opinion);
        opinions.filter(|opinion| opinion[0].is_own && opinion.len() > 1)
    }

    /// All records in the log's order.
    pub(crate) fn into_lines(self) -> Vec<Line<T>> {
        let Self(mut lines) = self;
        lines.sort_unstable_by_key(|line| line.step.place);
        lines
    }
}
