//! A gate over the same items, night after night, that people leave switched on because it seldom fails without a reason.
//!
//! For each metric there is a [`Series`]. Its first nights are the baseline. Each later one is compared with the mean of each item over all nights
//! that were accepted ([`Series::look`]); p-values of several metrics are corrected together ([`correct`]); [`decide`] classifies the night, and
//! [`Series::take`] applies the result:
//!
//! - A night is *worse* only if its one-sided test rejects at [`ALPHA`], and a fresh run that was to confirm it does as well.
//! - Red stays red until the interval of a night is within the margin. Red nights are not accepted: a loss would become what the
//!   next night is compared with.
//! - Anchors are items that the system under test does not influence. If their verdicts move, the measurement changed, and nothing is concluded.
//! - Losses that are too small for a night add up in a [`DriftAlarm`] against the first nights.
//!
//! `cargo run --release -p judge-run-statistics --example nightly_gate` simulates how often it fails without a reason, and what it finds.
//!
//! ```
//! # use judge_run_statistics::nightly::{Decision, Item, Night, Rules, Series, night};
//! let run = |passed: u64| -> Vec<Item> {
//!     (0..400).map(|id| Item { id, cluster: id, value: if id < passed { 1.0 } else { 0.0 } }).collect()
//! };
//! let mut series = [Series::new(Rules::of_shares(0.02))];
//! let mut tonight = |passed| night(&mut series, &[Some(Night::of(&run(passed)))])[0].map(|decided| decided.decision);
//! for _ in 0..5 {
//!     assert_eq!(tonight(360), Some(Decision::First));
//! }
//! assert_eq!(tonight(320), Some(Decision::Worse));
//! assert!(series[0].is_red());
//! ```

use std::collections::HashMap;

use crate::multiple::holm;
use crate::paired::{Analysis, Block, Pair, Scale, analyse, block_permutation, standard_error};
use crate::power::Design;
use crate::sequential::DriftAlarm;
use crate::{Alternative, Interval};

/// The error rate of each test, one-sided: a gate with frequent false alarms is soon switched off.
pub const ALPHA: f64 = 0.01;
/// This many nights are accepted as they are, and drift is measured against them.
pub const FIRST_NIGHTS: usize = 5;
/// The drift that is tolerated: a share, or a part of the scale.
pub const DRIFT_MARGIN: f64 = 0.01;
/// The evidence at which drift is reported: on average, at least this many nights pass before a false alarm.
pub const DRIFT_ALARM: f64 = 100.0;
/// Resamples of a permutation test that cannot be exact: enough for [`ALPHA`], corrected for some metrics.
const RESAMPLES: u64 = 20_000;
/// The probability that a sample confirms a loss that is as large as it looks.
pub const POWER_TO_CONFIRM: f64 = 0.95;
/// A confirming sample has at least this many items: fewer are not a sample of the whole.
const LEAST_SAMPLE: f64 = 50.0;

/// An item in one run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Item {
    /// Which one.
    pub id: u64,
    /// Items that belong together, such as those of a session, share it.
    pub cluster: u64,
    /// Its verdict, or the mean of several.
    pub value: f64,
}

/// The kind of a metric, and its tolerances.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    /// Whether lower values are better.
    pub is_lower_better: bool,
    /// What is known of the values.
    pub scale: Scale,
    /// The nominal coverage of intervals, in `(0, 1)`.
    pub level: f64,
    /// The loss that does not matter, in the unit of the values.
    pub margin: f64,
}

impl Rules {
    /// For verdicts that pass (1) or fail (0), at a level of 0.95.
    pub fn of_shares(margin: f64) -> Self {
        Self { is_lower_better: false, scale: Scale { is_share: true, range: Some(1.0) }, level: 0.95, margin }
    }
}

/// The values of each item in the runs so far, to which more are added one by one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pool {
    values: HashMap<u64, Vec<f64>>,
    runs: usize,
}

impl Pool {
    /// Adds a run.
    pub fn add(&mut self, items: &[Item]) {
        self.runs += 1;
        for item in items {
            self.values.entry(item.id).or_default().push(item.value);
        }
    }

    /// How many runs there are.
    pub fn runs(&self) -> usize {
        self.runs
    }

    /// The common items, each against its mean.
    pub fn pairs(&self, items: &[Item]) -> Vec<Pair> {
        let pair = |item: &Item| {
            let values = self.values.get(&item.id)?;
            let base = values.iter().sum::<f64>() / values.len() as f64;
            Some(Pair { cluster: item.cluster, base, new: item.value })
        };
        items.iter().filter_map(pair).collect()
    }

    /// The p-value of the hypothesis that a further run is like those so far, item by item: [`block_permutation`]. `None` without an item
    /// that both have.
    pub fn likeness(&self, items: &[Item]) -> Option<f64> {
        let block = |item: &Item| Some(Block { earlier: self.values.get(&item.id)?.clone(), new: item.value });
        let blocks: Vec<Block> = items.iter().filter_map(block).collect();
        block_permutation(&blocks, Alternative::TwoSided, RESAMPLES, 0).ok().map(|test| test.p_value)
    }
}

/// The runs of one night.
#[derive(Clone, Copy, Debug)]
pub struct Night<'a> {
    /// All items.
    pub items: &'a [Item],
    /// A fresh run to confirm that it is worse: over all items, or over a sample drawn without regard to tonight's verdicts.
    pub again: Option<&'a [Item]>,
    /// The anchors.
    pub anchors: Option<Anchors<'a>>,
}

impl<'a> Night<'a> {
    /// One run, and nothing else.
    pub fn of(items: &'a [Item]) -> Self {
        Self { items, again: None, anchors: None }
    }
}

/// Verdicts on anchors.
#[derive(Clone, Copy, Debug)]
pub struct Anchors<'a> {
    /// The set of anchors: others are not compared with it.
    pub version: u64,
    /// Each of them.
    pub items: &'a [Item],
}

/// What a night shows about a metric; p-values are for the hypotheses that it is not worse, and that the measurement has not changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shown {
    /// Tonight minus the nights before.
    pub difference: Option<f64>,
    /// Its interval.
    pub interval: Option<Interval>,
    /// One-sided.
    pub p_worse: Option<f64>,
    /// Of the confirming run; an inner `None` if that has no items in common with the nights before.
    pub again: Option<Option<f64>>,
    /// Of the anchors, two-sided.
    pub anchors: Option<f64>,
}

impl Shown {
    /// What pairs show; `None` without any.
    fn of(analysis: Option<&Analysis>, rules: &Rules) -> Self {
        let interval = analysis.and_then(|found| found.interval).map(|(interval, _)| interval);
        let difference = analysis.map(|found| found.difference).filter(|_| interval.is_some());
        let p_worse = analysis.map(|found| p_of_night(found, rules));
        Self { difference, interval, p_worse, again: None, anchors: None }
    }
}

/// The p-value of the hypothesis that it is not worse.
pub fn p_worse(found: &Analysis, is_lower_better: bool) -> f64 {
    if is_lower_better { found.p_greater } else { found.p_less }
}

/// The same for the decision about a night: what is the same as before is not worse, whatever a test of so few items says.
fn p_of_night(found: &Analysis, rules: &Rules) -> f64 {
    if found.base == found.new { 1.0 } else { p_worse(found, rules.is_lower_better) }
}

/// Corrects the p-values of each kind for the number of metrics (Holm), in place.
pub fn correct<'a>(shown: impl Iterator<Item = &'a mut Shown>) {
    let mut shown: Vec<&mut Shown> = shown.collect();
    let kinds: [fn(&mut Shown) -> Option<&mut f64>; 3] = [
        |shown| shown.p_worse.as_mut(),
        |shown| shown.again.as_mut().and_then(Option::as_mut),
        |shown| shown.anchors.as_mut(),
    ];
    for kind in kinds {
        let tested: Vec<&mut f64> = shown.iter_mut().filter_map(|shown| kind(shown)).collect();
        let values: Vec<f64> = tested.iter().map(|p| **p).collect();
        if let Ok(adjusted) = holm(&values) {
            tested.into_iter().zip(adjusted).for_each(|(p, adjusted)| *p = adjusted);
        }
    }
}

/// What a night is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// One of the first, which are accepted as they are.
    First,
    /// Shown to be within the margin.
    Pass,
    /// Worse, and worse again when asked again.
    Worse,
    /// Neither is shown.
    Inconclusive,
    /// The measurement changed, by its verdicts on the anchors.
    AnchorsMoved,
}

impl Decision {
    /// Whether the metric is red after this night.
    pub fn is_red_after(self, was_red: bool) -> bool {
        match self {
            Self::Worse => true,
            Self::Pass => false,
            Self::First | Self::Inconclusive | Self::AnchorsMoved => was_red,
        }
    }
}

/// Classifies a night, by what it shows and with p-values that are [corrected](correct). The margin is in the unit of the values.
pub fn decide(shown: &Shown, is_lower_better: bool, margin: f64) -> Decision {
    let is_small = |p: Option<f64>| p.is_some_and(|p| p < ALPHA);
    let is_within = shown.interval.is_some_and(|interval| match is_lower_better {
        true => interval.upper < margin,
        false => interval.lower > -margin,
    });
    match () {
        () if is_small(shown.anchors) => Decision::AnchorsMoved,
        () if is_within => Decision::Pass,
        () if is_small(shown.p_worse) && shown.again.is_none_or(is_small) => Decision::Worse,
        () => Decision::Inconclusive,
    }
}

/// What became of a night.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decided {
    /// What it is.
    pub decision: Decision,
    /// What it shows; nothing for the first nights.
    pub shown: Option<Shown>,
    /// Whether it is part of the baseline of later nights.
    pub is_accepted: bool,
}

/// A metric, night after night.
#[derive(Clone, Debug)]
pub struct Series {
    rules: Rules,
    accepted: Pool,
    /// Verdicts on anchors in the accepted nights, and which anchors these are.
    anchors: (u64, Pool),
    /// The first nights, and the evidence that later ones are below them.
    drift: Option<(Pool, DriftAlarm)>,
    drift_nights: u64,
    is_red: bool,
}

impl Series {
    /// Before its first night.
    pub fn new(rules: Rules) -> Self {
        let (accepted, anchors) = (Pool::default(), Default::default());
        Self { rules, accepted, anchors, drift: None, drift_nights: 0, is_red: false }
    }

    /// What it was made with.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The nights that tonight is compared with.
    pub fn accepted(&self) -> &Pool {
        &self.accepted
    }

    /// Whether a night was worse, and none since was shown to be within the margin.
    pub fn is_red(&self) -> bool {
        self.is_red
    }

    /// What a night shows; `None` with too few nights before it.
    pub fn look(&self, night: &Night<'_>) -> Option<Shown> {
        if self.accepted.runs() < FIRST_NIGHTS {
            return None;
        }
        let test = |items: &[Item]| analyse(&mut self.accepted.pairs(items), self.rules.scale, self.rules.level);
        let again = night.again.map(|again| test(again).map(|found| p_of_night(&found, &self.rules)));
        let (version, earlier) = &self.anchors;
        let anchors = night.anchors.filter(|anchors| anchors.version == *version);
        let anchors = anchors.and_then(|anchors| earlier.likeness(anchors.items));
        Some(Shown { again, anchors, ..Shown::of(test(night.items).as_ref(), &self.rules) })
    }

    /// Adds a night, with what it [showed](Self::look) once that is [corrected](correct).
    pub fn take(&mut self, night: &Night<'_>, shown: Option<Shown>) -> Decided {
        let decision = match &shown {
            Some(shown) => decide(shown, self.rules.is_lower_better, self.rules.margin),
            None => Decision::First,
        };
        self.is_red = decision.is_red_after(self.is_red);
        // What is clearly worse is not drift, and what is measured differently says nothing about drift.
        if !matches!(decision, Decision::AnchorsMoved | Decision::Worse) {
            self.add_drift(night.items);
        }
        let is_accepted = !self.is_red && decision != Decision::AnchorsMoved;
        if is_accepted {
            self.accepted.add(night.items);
            if let Some(Anchors { version, items }) = night.anchors {
                if self.anchors.0 != version {
                    self.anchors = (version, Pool::default());
                }
                self.anchors.1.add(items);
            }
            if self.accepted.runs() == FIRST_NIGHTS {
                let margin = DRIFT_MARGIN * self.rules.scale.range.unwrap_or(1.0);
                self.drift = DriftAlarm::new(margin).ok().map(|alarm| (self.accepted.clone(), alarm));
            }
        }
        Decided { decision, shown, is_accepted }
    }

    /// Adds a night to the evidence that small losses add up, whatever its outcome.
    pub fn add_drift(&mut self, items: &[Item]) {
        let Some((first, alarm)) = &mut self.drift else { return };
        let mut pairs = first.pairs(items);
        if self.rules.is_lower_better {
            pairs.iter_mut().for_each(|pair| (pair.base, pair.new) = (pair.new, pair.base));
        }
        // A night without differences says nothing.
        if let Some((difference, error)) = standard_error(&mut pairs)
            && alarm.update(difference, error).is_ok()
        {
            self.drift_nights += 1;
        }
    }

    /// The evidence that small losses add up, and its number of nights; [`DRIFT_ALARM`] is an alarm. `None` before there are enough
    /// nights.
    pub fn drift(&self) -> Option<(f64, u64)> {
        self.drift.as_ref().map(|(_, alarm)| (alarm.evidence(), self.drift_nights))
    }
}

/// One night of several metrics; those that were not measured have no value.
pub fn night(series: &mut [Series], nights: &[Option<Night<'_>>]) -> Vec<Option<Decided>> {
    let look = |(series, night): (&Series, &Option<Night<'_>>)| series.look(night.as_ref()?);
    let mut shown: Vec<Option<Shown>> = series.iter().zip(nights).map(look).collect();
    correct(shown.iter_mut().flatten());
    let each = series.iter_mut().zip(nights).zip(shown);
    each.map(|((series, night), shown)| night.as_ref().map(|night| series.take(night, shown))).collect()
}

/// How many of `n` items, drawn at random, to judge again to confirm that a night is worse by `loss`: enough to find such a loss at
/// [`ALPHA`], corrected for this many metrics, with [`POWER_TO_CONFIRM`]; or all of them.
///
/// `minimum_detectable` is that of [`analyse`] at this `level`, which knows how much the differences vary, and clusters. A noticed loss looks somewhat larger than
/// it is; if it was barely noticed, all items are needed anyway.
pub fn sample_to_confirm(n: u64, loss: f64, minimum_detectable: f64, level: f64, metrics: usize) -> u64 {
    let of_night = Design { alpha: 1.0 - level, ..Design::default() };
    let (alpha, alternative) = (ALPHA / metrics.max(1) as f64, Alternative::Greater);
    let to_confirm = Design { alpha, power: POWER_TO_CONFIRM, alternative };
    let needed = of_night
        .minimum_detectable_difference(1.0, n as f64)
        .and_then(|of_one| to_confirm.sample_size(minimum_detectable / of_one, loss));
    match needed {
        Ok(needed) if loss > 0.0 => (needed.max(LEAST_SAMPLE).ceil() as u64).min(n),
        _ => n,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(passed: u64, n: u64) -> Vec<Item> {
        (0..n).map(|id| Item { id, cluster: id, value: if id < passed { 1.0 } else { 0.0 } }).collect()
    }

    fn after_first(passed: u64, n: u64) -> Series {
        let mut series = [Series::new(Rules::of_shares(0.02))];
        for _ in 0..FIRST_NIGHTS {
            night(&mut series, &[Some(Night::of(&run(passed, n)))]);
        }
        let [series] = series;
        series
    }

    fn decision(series: &mut Series, tonight: Night<'_>) -> (Decision, bool) {
        let decided = night(std::slice::from_mut(series), &[Some(tonight)])[0].unwrap();
        (decided.decision, decided.is_accepted)
    }

    #[test]
    fn red_stays_red_until_a_night_is_within_the_margin() {
        let mut series = after_first(360, 400);
        assert_eq!(decision(&mut series, Night::of(&run(320, 400))), (Decision::Worse, false));
        assert_eq!(decision(&mut series, Night::of(&run(354, 400))), (Decision::Inconclusive, false));
        assert!(series.is_red());
        assert_eq!(decision(&mut series, Night::of(&run(360, 400))), (Decision::Pass, true));
        assert!(!series.is_red());
        assert_eq!(series.accepted().runs(), 6, "red nights are in no baseline");
    }

    #[test]
    fn worse_is_confirmed_by_a_fresh_run_of_all_or_of_some() {
        for (again, expected) in [
            (run(320, 400), Decision::Worse),
            (run(360, 400), Decision::Inconclusive),
            (run(320, 400)[300..].to_vec(), Decision::Worse),
            (run(360, 400)[300..].to_vec(), Decision::Inconclusive),
            // Nothing in common with the nights before: it confirms nothing.
            (vec![Item { id: 1_000, cluster: 0, value: 0.0 }], Decision::Inconclusive),
        ] {
            let bad = run(320, 400);
            let tonight = Night { again: Some(&again), ..Night::of(&bad) };
            assert_eq!(decision(&mut after_first(360, 400), tonight).0, expected);
        }
    }

    #[test]
    fn anchors_that_move_leave_nothing_to_conclude() {
        let anchors = |passed| run(passed, 100);
        let mut series = Series::new(Rules::of_shares(0.02));
        let mut tonight = |passed, of_anchors: &[Item], version| {
            let items = run(passed, 400);
            decision(&mut series, Night { anchors: Some(Anchors { version, items: of_anchors }), ..Night::of(&items) })
        };
        for _ in 0..FIRST_NIGHTS {
            tonight(360, &anchors(90), 1);
        }
        assert_eq!(tonight(320, &anchors(80), 1), (Decision::AnchorsMoved, false));
        assert_eq!(tonight(320, &anchors(80), 2), (Decision::Worse, false), "other anchors are not compared");
    }

    #[test]
    fn several_metrics_share_one_error_rate() {
        let one = Shown { difference: None, interval: None, p_worse: Some(0.006), again: None, anchors: None };
        let mut shown = [one, Shown { p_worse: Some(0.5), ..one }];
        assert_eq!(decide(&shown[0], false, 0.02), Decision::Worse);
        correct(shown.iter_mut());
        assert_eq!(shown[0].p_worse, Some(0.012));
        assert_eq!(decide(&shown[0], false, 0.02), Decision::Inconclusive);
    }

    #[test]
    fn lower_can_be_better() {
        let rules = Rules { is_lower_better: true, ..Rules::of_shares(0.02) };
        let mut series = Series::new(rules);
        for _ in 0..FIRST_NIGHTS {
            decision(&mut series, Night::of(&run(40, 400)));
        }
        assert_eq!(decision(&mut series.clone(), Night::of(&run(80, 400))).0, Decision::Worse);
        assert_eq!(decision(&mut series, Night::of(&run(20, 400))).0, Decision::Pass);
    }

    #[test]
    fn small_losses_add_up() {
        let mut series = after_first(90, 100);
        for _ in 0..3 {
            assert_eq!(decision(&mut series, Night::of(&run(85, 100))), (Decision::Inconclusive, true));
        }
        // z = (-0.05 + 0.01) / 0.0219 = -1.826 per night: a factor of exp(1.5 * 1.826 - 1.125) = 5.02.
        let (evidence, nights) = series.drift().unwrap();
        assert!(nights == 3 && (evidence - 126.7).abs() < 0.5, "{evidence}");
    }

    #[test]
    fn a_sample_confirms_what_is_plain() {
        let rules = Rules::of_shares(0.02);
        let size = |worse: u64, n: u64, metrics: usize| {
            let mut pool = Pool::default();
            pool.add(&run(n, n));
            let found = analyse(&mut pool.pairs(&run(n - worse, n)), rules.scale, rules.level).unwrap();
            sample_to_confirm(n, -found.difference, found.minimum_detectable.unwrap(), rules.level, metrics)
        };
        // A loss of 10 %: ((2.3263 + 1.6449) sqrt(0.1) / 0.1)^2 = 157.7.
        assert_eq!(size(100, 1_000, 1), 158);
        assert!(size(100, 1_000, 5) > size(100, 1_000, 1));
        assert_eq!(size(8, 1_000, 1), 1_000, "a loss that is barely there takes all");
        assert_eq!(size(900, 1_000, 1), 50);
        assert_eq!(size(20, 30, 1), 30, "fewer than the least");
    }
}
