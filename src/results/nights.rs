//! The nights of a baseline, one after the other: which of them it is made of, whether the last one left the gate red, and whether small losses
//! add up. Everything follows from the logs, so there is no state that could be lost.
//!
//! The first nights are taken as they are. Each later one is held against those that were accepted before it, as tonight is: a night that
//! is worse is red, and red stays until a night is shown to be within the margin. Red nights, and nights of a judge that changed, are in no
//! baseline: otherwise a loss would become what the next night is compared with.

use std::collections::BTreeSet;

use judge_run_statistics::multiple::holm;
use judge_run_statistics::sequential::DriftAlarm;

use super::compare::{Difference, Drift, NightOutcome, NightResult};
use super::comparing::CompareOptions;
use super::gating::ALPHA;
use super::items::{Item, Pool, Terms};
use super::pairs::{Pair, analyse, standard_error};
use super::side::{Key, Said, Side, is_same_version, said};

/// So many nights are taken as they are, and drift is measured against them.
pub const FIRST_NIGHTS: usize = 5;
/// The drift that is tolerated: a share, or a part of the scale.
const DRIFT_MARGIN: f64 = 0.01;
/// The evidence at which drift is said: at least so many nights pass on average before a false alarm.
const DRIFT_ALARM: f64 = 100.0;

/// What became of the nights of a baseline, for one judge.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    /// The runs that the baseline is made of.
    pub accepted: Vec<usize>,
    /// In the order of time; empty where there are too few to hold one against the others.
    pub nights: Vec<NightResult>,
    /// The night since which it is worse.
    pub worse_since: Option<String>,
    pub drift: Option<Drift>,
    /// Whether there is a night of the judge as it is now.
    pub is_same_judge: bool,
    /// Nights of another version of the judge.
    pub other_versions: usize,
}

/// The nights of each judge, walked through together, since error rates are for all of them.
pub(super) fn histories(base: &Side, new: &Side, keys: &[(Key, Key)], options: &CompareOptions) -> Vec<History> {
    let mut walks: Vec<Walk<'_>> = keys.iter().map(|keys| Walk::of(base, new, keys, options)).collect();
    for run in 0..base.runs.len() {
        let mut seen: Vec<Option<Seen>> = walks.iter().map(|walk| walk.look(base, run)).collect();
        correct(&mut seen, |seen| seen.p_worse.as_mut());
        correct(&mut seen, |seen| seen.again.as_mut());
        correct(&mut seen, |seen| seen.anchors.as_mut());
        for (walk, seen) in walks.iter_mut().zip(seen) {
            walk.step(base, run, seen);
        }
    }
    walks.into_iter().map(Walk::end).collect()
}

/// What a night shows of a judge; p-values are of the hypotheses that nothing is worse, and that the judge is what it was.
#[derive(Debug, Default)]
struct Seen {
    difference: Option<Difference>,
    p_worse: Option<f64>,
    /// Of the run that was to confirm it; where there is one, both must be worse.
    again: Option<f64>,
    was_asked_again: bool,
    anchors: Option<f64>,
}

/// Corrects the p-values of one kind for the number of judges (Holm).
fn correct(seen: &mut [Option<Seen>], of: fn(&mut Seen) -> Option<&mut f64>) {
    let tested: Vec<&mut f64> = seen.iter_mut().flatten().filter_map(of).collect();
    let values: Vec<f64> = tested.iter().map(|p| **p).collect();
    if let Ok(adjusted) = holm(&values) {
        tested.into_iter().zip(adjusted).for_each(|(p, adjusted)| *p = adjusted);
    }
}

struct Walk<'a> {
    key: Key,
    terms: Terms,
    level: f64,
    margin: f64,
    /// The runs of the judge as it is now, or of any version if there is none.
    usable: Vec<Said<'a>>,
    /// What is left to say of the last night.
    now: Vec<(u64, Item)>,
    pool: Pool,
    /// With the digest of the file that they are of; those of another say nothing about these.
    anchors: (BTreeSet<String>, Pool),
    drift: Option<(Pool, DriftAlarm, u64)>,
    history: History,
}

impl<'a> Walk<'a> {
    fn of(base: &'a Side, new: &'a Side, (of_base, of_new): &(Key, Key), options: &CompareOptions) -> Self {
        let (base_said, new_said) = (base.groups(of_base), new.groups(of_new));
        let is_same_model = of_base.source_id == of_new.source_id;
        let same: Vec<_> = base_said.iter().filter(|said| is_same_version(&[**said], &new_said)).copied().collect();
        let other_versions = if same.is_empty() { 0 } else { base_said.len() - same.len() };
        let is_same_judge = is_same_model && !same.is_empty();
        let terms = Terms::of(&base_said, &new_said, options);
        let usable = if same.is_empty() { base_said } else { same };
        let margin = options.tolerated(&of_new.name) * terms.range().unwrap_or(1.0);
        Self {
            key: of_base.clone(),
            level: options.level,
            margin,
            now: terms.items(&new_said),
            terms,
            usable,
            pool: Pool::default(),
            anchors: Default::default(),
            drift: None,
            history: History { is_same_judge, other_versions, ..History::default() },
        }
    }

    /// Whether there are nights to be held against the first ones.
    fn is_long(&self) -> bool {
        self.usable.len() > FIRST_NIGHTS
    }

    fn said(&self, run: usize) -> Option<Said<'a>> {
        self.usable.iter().find(|said| said.run == run).copied()
    }

    /// What a night shows, where there are enough before it.
    fn look(&self, base: &Side, run: usize) -> Option<Seen> {
        let said_now = self.said(run).filter(|_| self.pool.runs >= FIRST_NIGHTS)?;
        let (difference, p_worse) = self.test(&self.pool, &self.terms.items(&[said_now]))?;
        let of = &base.runs[run];
        let again = of.again.as_ref().and_then(|results| said(run, results, &self.key));
        let again = again.and_then(|again| self.test(&self.pool, &self.terms.items(&[again])));
        let anchors = of.anchors.as_ref().and_then(|read| said(run, &read.results, &self.key));
        let (digest, pool) = &self.anchors;
        let anchors = anchors.filter(|anchors| anchors.group.anchors == *digest);
        let anchors = anchors.and_then(|anchors| pool.likeness(&self.terms.items(&[anchors])));
        Some(Seen {
            difference,
            p_worse: Some(p_worse),
            was_asked_again: again.is_some(),
            again: again.map(|(_, p)| p),
            anchors,
        })
    }

    fn test(&self, pool: &Pool, items: &[(u64, Item)]) -> Option<(Option<Difference>, f64)> {
        let mut pairs = pool.pairs(items);
        let found = analyse(&mut pairs, self.terms.is_share(), self.terms.range(), self.level)?;
        let p = if self.terms.is_lower_better { found.p_greater } else { found.p_less };
        Some((found.difference, if found.base == found.new { 1.0 } else { p }))
    }

    fn outcome(&self, seen: Option<&Seen>) -> NightOutcome {
        let Some(seen) = seen else {
            return if self.pool.runs < FIRST_NIGHTS { NightOutcome::First } else { NightOutcome::Inconclusive };
        };
        let is_small = |p: Option<f64>| p.is_some_and(|p| p < ALPHA);
        let is_within = seen.difference.as_ref().is_some_and(|difference| match self.terms.is_lower_better {
            true => difference.high < self.margin,
            false => difference.low > -self.margin,
        });
        match () {
            () if is_small(seen.anchors) => NightOutcome::JudgeChanged,
            () if is_within => NightOutcome::Pass,
            () if is_small(seen.p_worse) && (!seen.was_asked_again || is_small(seen.again)) => NightOutcome::Worse,
            () => NightOutcome::Inconclusive,
        }
    }

    fn step(&mut self, base: &Side, run: usize, seen: Option<Seen>) {
        let Some(said_now) = self.said(run) else { return };
        if !self.is_long() {
            self.history.accepted.push(run);
            return;
        }
        let items = self.terms.items(&[said_now]);
        let outcome = self.outcome(seen.as_ref());
        let name = base.runs[run].name.clone();
        match outcome {
            NightOutcome::Worse => _ = self.history.worse_since.get_or_insert_with(|| name.clone()),
            NightOutcome::Pass => self.history.worse_since = None,
            NightOutcome::First | NightOutcome::Inconclusive | NightOutcome::JudgeChanged => {}
        }
        // What is plainly worse is no drift, and another judge says nothing of it.
        if !matches!(outcome, NightOutcome::JudgeChanged | NightOutcome::Worse) {
            self.drifts(&items);
        }
        if self.history.worse_since.is_none() && outcome != NightOutcome::JudgeChanged {
            self.pool.add(&items);
            self.history.accepted.push(run);
            let anchors = base.runs[run].anchors.as_ref().and_then(|read| said(run, &read.results, &self.key));
            if let Some(anchors) = anchors {
                if self.anchors.0 != anchors.group.anchors {
                    self.anchors = (anchors.group.anchors.clone(), Pool::default());
                }
                self.anchors.1.add(&self.terms.items(&[anchors]));
            }
            if self.pool.runs == FIRST_NIGHTS {
                let margin = DRIFT_MARGIN * self.terms.range().unwrap_or(1.0);
                self.drift = DriftAlarm::new(margin).ok().map(|alarm| (self.pool.clone(), alarm, 0));
            }
        }
        let difference = seen.and_then(|seen| seen.difference).map(|difference| difference.estimate);
        self.history.nights.push(NightResult { log: name, outcome, difference });
    }

    /// Adds a night to the evidence that small losses add up.
    fn drifts(&mut self, items: &[(u64, Item)]) {
        let Some((first, alarm, nights)) = &mut self.drift else { return };
        let mut pairs: Vec<Pair> = first.pairs(items);
        if self.terms.is_lower_better {
            pairs.iter_mut().for_each(|pair| (pair.base, pair.new) = (pair.new, pair.base));
        }
        // A night in which nothing differs says nothing.
        if let Some((difference, error)) = standard_error(&mut pairs)
            && alarm.update(difference, error).is_ok()
        {
            *nights += 1;
        }
    }

    fn end(mut self) -> History {
        let now = std::mem::take(&mut self.now);
        self.drifts(&now);
        self.history.drift =
            self.drift.map(|(_, alarm, nights)| Drift { evidence: alarm.evidence(), nights, alarm: DRIFT_ALARM });
        self.history
    }
}
