//! The nights of a baseline, one after the other: which of them it is made of, whether the last one left the gate red, and whether small losses
//! add up. Everything follows from the logs, so there is no state that could be lost.
//!
//! The first nights are taken as they are. Each later one is compared with those that were accepted before it, as tonight is: a night that
//! is worse is red, and red stays until a night is shown to be within the margin. Red nights, and nights of a judge that changed, are in no
//! baseline: otherwise a loss would become what the next night is compared with.

use judge_run_statistics::nightly::{self, Anchors, DRIFT_ALARM, Decision, FIRST_NIGHTS, Night, Series, Shown};

use super::compare::{Drift, NightOutcome, NightResult};
use super::compare_options::CompareOptions;
use super::hash::hash;
use super::items::{Terms, points};
use super::side::{Key, Said, Side, is_same_version, said};

/// The outcome of the nights of a baseline, for one judge.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    /// The runs in the baseline.
    pub accepted: Vec<usize>,
    /// In the order of time; empty if there are too few to compare one with the others.
    pub nights: Vec<NightResult>,
    /// The night since which it is worse.
    pub worse_since: Option<String>,
    pub drift: Option<Drift>,
    /// Whether there is a night of the judge as it is now.
    pub is_same_judge: bool,
    /// Nights of another version of the judge.
    pub other_versions: usize,
}

/// The nights of each judge, walked through together, since error rates are for all of a family.
pub(super) fn histories(
    base: &Side,
    new: &Side,
    keys: &[(Key, Key)],
    secondary: &[bool],
    options: &CompareOptions,
) -> Vec<History> {
    let mut walks: Vec<Walk<'_>> = keys.iter().map(|keys| Walk::of(base, new, keys, options)).collect();
    for run in 0..base.runs.len() {
        let nights: Vec<Option<Runs>> = walks.iter().map(|walk| walk.runs(base, run)).collect();
        let mut shown: Vec<Option<Shown>> =
            walks.iter().zip(&nights).map(|(walk, night)| walk.series.look(&night.as_ref()?.night())).collect();
        for family in [false, true] {
            let of_family = shown.iter_mut().zip(secondary).filter(|(_, secondary)| **secondary == family);
            nightly::correct(of_family.filter_map(|(shown, _)| shown.as_mut()));
        }
        for ((walk, night), shown) in walks.iter_mut().zip(&nights).zip(shown) {
            if let Some(night) = night {
                walk.step(&base.runs[run].name, run, night, shown);
            }
        }
    }
    walks.into_iter().map(Walk::end).collect()
}

/// What a judge said in one night.
struct Runs {
    items: Vec<nightly::Item>,
    again: Option<Vec<nightly::Item>>,
    /// By the files that they are of.
    anchors: Option<(u64, Vec<nightly::Item>)>,
}

impl Runs {
    fn night(&self) -> Night<'_> {
        let anchors = self.anchors.as_ref().map(|(version, items)| Anchors { version: *version, items });
        Night { items: &self.items, again: self.again.as_deref(), anchors }
    }
}

struct Walk<'a> {
    key: Key,
    terms: Terms,
    /// The runs of the judge as it is now, or of any version if there is none.
    usable: Vec<Said<'a>>,
    /// What remains to be said about the last night.
    now: Vec<nightly::Item>,
    series: Series,
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
        Self {
            key: of_base.clone(),
            now: points(&terms.items(&new_said)),
            series: Series::new(terms.rules(options.level, options.tolerated(&of_new.name))),
            terms,
            usable: if same.is_empty() { base_said } else { same },
            history: History { is_same_judge, other_versions, ..History::default() },
        }
    }

    /// Its verdicts in a run, if it is one of those that count.
    fn runs(&self, base: &Side, run: usize) -> Option<Runs> {
        let said_now = self.usable.iter().find(|said| said.run == run)?;
        let items = |said: Said<'_>| points(&self.terms.items(&[said]));
        let of = &base.runs[run];
        let again = of.again.as_ref().and_then(|results| said(run, results, &self.key));
        let anchors = of.anchors.as_ref().and_then(|read| said(run, &read.results, &self.key));
        let version = |said: Said<'_>| hash(&said.group.anchors.iter().map(String::as_str).collect::<Vec<_>>());
        Some(Runs {
            items: items(*said_now),
            again: again.map(items),
            anchors: anchors.map(|said| (version(said), items(said))),
        })
    }

    fn step(&mut self, name: &str, run: usize, night: &Runs, shown: Option<Shown>) {
        let is_long = self.usable.len() > FIRST_NIGHTS;
        let was_red = self.series.is_red();
        let decided = self.series.take(&night.night(), shown);
        if decided.is_accepted {
            self.history.accepted.push(run);
        }
        // With only the first nights there is nothing to compare with them.
        if !is_long {
            return;
        }
        match (was_red, self.series.is_red()) {
            (false, true) => self.history.worse_since = Some(name.to_owned()),
            (true, false) => self.history.worse_since = None,
            _ => {}
        }
        let outcome = match decided.decision {
            Decision::First => NightOutcome::First,
            Decision::Pass => NightOutcome::Pass,
            Decision::Worse => NightOutcome::Worse,
            Decision::Inconclusive => NightOutcome::Inconclusive,
            Decision::AnchorsMoved => NightOutcome::JudgeChanged,
        };
        let difference = decided.shown.and_then(|shown| shown.difference);
        self.history.nights.push(NightResult { log: name.to_owned(), outcome, difference });
    }

    fn end(mut self) -> History {
        // Up to the first nights there is nothing to drift from but tonight, which the comparison itself covers.
        if self.usable.len() > FIRST_NIGHTS {
            self.series.add_drift(&self.now);
            let drift = self.series.drift();
            self.history.drift = drift.map(|(evidence, nights)| Drift { evidence, nights, alarm: DRIFT_ALARM });
        }
        self.history
    }
}
