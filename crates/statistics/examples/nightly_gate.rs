//! Simulates nightly gates: over nights in which nothing changes, over a real drop, and over a judge that changes; and prints what each does.
//!
//!     cargo run --release -p judge-run-statistics --example nightly_gate [SERIES [ITEMS]]
//!
//! The default is 400 series of 90 nights, of 200, 500 and 2,000 items; with a number of items, only these, and no anchors. Items are fixed: of
//! ten, eight pass except in 1 % of cases, one fails except in 1 %, and one is borderline (it passes with its own probability, between 0.2
//! and 0.8). A drop makes items fail that pass. The application and the judge answer again each night.
//!
//! - `threshold`: the pass rate is more than 2 points below that of one earlier run.
//! - `pooled t`: the paired t test against the mean of five earlier runs, one-sided, at an error rate of 1 %.
//! - `confirmed`: the same, and a fresh rerun of all items rejects as well.
//! - `nightly`: [`nightly::night`], which is what judge-run itself decides by. The baseline is the mean of all accepted nights; a night is red if
//!   it is worse and a rerun of all items confirms that, and stays red until the interval of a night lies above -2 points.
//! - `sampled`: the same, confirmed by a rerun of as many items as [`nightly::sample_to_confirm`] says, drawn at random.
//!
//! The last table is of a judge that turns stricter on 10 % of all items, with anchors that are judged in addition to 500 items, and with this many nights
//! before: how often the night is called a regression, and how often a change of the judge; and how often nights without any change are
//! called one. (A quarter of the series.)

#![expect(clippy::print_stdout, reason = "the tables are what this program is for")]

#[path = "shared/rng.rs"]
mod rng;

use judge_run_statistics::mean::paired_mean;
use judge_run_statistics::nightly::{self, Anchors, DRIFT_ALARM, Decision, FIRST_NIGHTS, Item, Night, Rules, Series};
use judge_run_statistics::paired::analyse;
use judge_run_statistics::{Alternative, Error};
use rng::Rng;

const NIGHTS: usize = 90;
const ALPHA: f64 = nightly::ALPHA;
const MARGIN: f64 = 0.02;
const GATES: [&str; 5] = ["threshold", "pooled t", "confirmed", "nightly", "sampled"];

/// Each item's probability to pass.
fn items(n: usize, rng: &mut Rng) -> Vec<f64> {
    let item = |i: usize, rng: &mut Rng| match i % 10 {
        0 => 0.01,
        1 => 0.2 + 0.6 * rng.uniform(),
        _ => 0.99,
    };
    (0..n).map(|i| item(i, rng)).collect()
}

/// The same after a drop of this share of all items.
fn dropped(items: &[f64], share: f64, rng: &mut Rng) -> Vec<f64> {
    let mut left = (share * items.len() as f64).round() as usize;
    let mut worse = items.to_vec();
    while left > 0 {
        let i = (rng.uniform() * items.len() as f64) as usize;
        if worse[i] > 0.9 {
            worse[i] = 0.01;
            left -= 1;
        }
    }
    worse
}

fn night(items: &[f64], rng: &mut Rng) -> Vec<Item> {
    let item = |(id, pass): (usize, &f64)| {
        let id = id as u64;
        Item { id, cluster: id, value: f64::from(u8::from(rng.toss(*pass))) }
    };
    items.iter().enumerate().map(item).collect()
}

fn values(items: &[Item]) -> Vec<f64> {
    items.iter().map(|item| item.value).collect()
}

fn rate(items: &[Item]) -> f64 {
    items.iter().map(|item| item.value).sum::<f64>() / items.len() as f64
}

/// The gates, and what they remember.
struct Gates {
    one: Vec<Item>,
    /// The mean of each item over the first nights.
    first: Vec<f64>,
    nightly: [Series; 1],
    sampled: [Series; 1],
    /// Of all nights that were worse, how many items were asked to confirm that.
    asked: Vec<usize>,
}

impl Gates {
    fn of(items: &[f64], rng: &mut Rng) -> Self {
        let nights: Vec<_> = (0..FIRST_NIGHTS).map(|_| night(items, rng)).collect();
        let mean = |item: usize| nights.iter().map(|night| night[item].value).sum::<f64>() / FIRST_NIGHTS as f64;
        let first = (0..items.len()).map(mean).collect();
        let mut series = [Series::new(Rules::of_shares(MARGIN))];
        for items in &nights {
            nightly::night(&mut series, &[Some(Night::of(items))]);
        }
        Self { one: nights[0].clone(), first, nightly: series.clone(), sampled: series, asked: Vec::new() }
    }

    fn is_worse(&self, items: &[Item]) -> Result<bool, Error> {
        Ok(paired_mean(&self.first, &values(items))?.test(0.0, Alternative::Less)?.p_value < ALPHA)
    }

    /// Which gates block this night, and whether the drift alarm is raised.
    fn blocks(&mut self, items: &[f64], rng: &mut Rng) -> Result<([bool; GATES.len()], bool), Error> {
        let (new, again) = (night(items, rng), night(items, rng));
        let is_worse = self.is_worse(&new)?;
        let is_confirmed = is_worse && self.is_worse(&again)?;
        let sample = self.sample(&new, &again, rng);
        nightly::night(&mut self.nightly, &[Some(Night { again: Some(&again), ..Night::of(&new) })]);
        let decided = nightly::night(&mut self.sampled, &[Some(Night { again: Some(&sample), ..Night::of(&new) })]);
        if decided[0].is_some_and(|decided| decided.shown.is_some_and(|shown| shown.p_worse < Some(ALPHA))) {
            self.asked.push(sample.len());
        }
        let is_drift = self.nightly[0].drift().is_some_and(|(evidence, _)| evidence >= DRIFT_ALARM);
        let is_below = rate(&new) < rate(&self.one) - MARGIN;
        Ok(([is_below, is_worse, is_confirmed, self.nightly[0].is_red(), self.sampled[0].is_red()], is_drift))
    }

    /// Of the rerun, the items that are drawn to confirm.
    fn sample(&self, new: &[Item], again: &[Item], rng: &mut Rng) -> Vec<Item> {
        let series = &self.sampled[0];
        let found = analyse(&mut series.accepted().pairs(new), series.rules().scale, series.rules().level);
        let known = found.and_then(|found| Some((-found.difference, found.minimum_detectable?)));
        let Some((loss, detectable)) = known else { return again.to_vec() };
        let n = nightly::sample_to_confirm(new.len() as u64, loss, detectable, 0.95, 1) as usize;
        let mut drawn = again.to_vec();
        for at in 0..n {
            let other = at + (rng.uniform() * (drawn.len() - at) as f64) as usize;
            drawn.swap(at, other);
        }
        drawn.truncate(n);
        drawn
    }
}

fn share(count: u32, of: u32) -> f64 {
    f64::from(count) / f64::from(of)
}

/// How the gates fare, with this many items.
fn gates(n: usize, series: u32, rng: &mut Rng) -> Result<(), Error> {
    let mut asked = Vec::new();
    let [mut nights, mut any, mut at_once, mut in_a_week] = [[0u32; GATES.len()]; 4];
    let (mut drift_alarms, mut drift_found) = (0, 0);
    for _ in 0..series {
        let items = items(n, rng);
        let mut gates = Gates::of(&items, rng);
        let (mut blocked, mut alarm) = ([false; GATES.len()], false);
        for _ in 0..NIGHTS {
            let (blocks, is_drift) = gates.blocks(&items, rng)?;
            alarm |= is_drift;
            for (gate, blocks) in blocks.into_iter().enumerate() {
                nights[gate] += u32::from(blocks);
                blocked[gate] |= blocks;
            }
        }
        drift_alarms += u32::from(alarm);
        for (gate, blocked) in blocked.into_iter().enumerate() {
            any[gate] += u32::from(blocked);
        }
        // A drop right after the first nights, when the baseline is at its shortest.
        let worse = dropped(&items, 0.05, rng);
        let (mut gates, mut found) = (Gates::of(&items, rng), [false; GATES.len()]);
        for tonight in 0..7 {
            for (gate, blocks) in gates.blocks(&worse, rng)?.0.into_iter().enumerate() {
                found[gate] |= blocks;
                at_once[gate] += u32::from(blocks && tonight == 0);
            }
        }
        asked.append(&mut gates.asked);
        for (gate, found) in found.into_iter().enumerate() {
            in_a_week[gate] += u32::from(found);
        }
        // A loss of two points is too small for one night.
        let (worse, mut gates, mut found) = (dropped(&items, 0.02, rng), Gates::of(&items, rng), false);
        for _ in 0..30 {
            found |= gates.blocks(&worse, rng)?.1;
        }
        drift_found += u32::from(found);
    }
    let all = series * NIGHTS as u32;
    for (gate, name) in GATES.into_iter().enumerate() {
        let shares = [share(nights[gate], all), share(any[gate], series), share(at_once[gate], series)];
        let [per_night, any, at_once] = shares;
        let in_a_week = share(in_a_week[gate], series);
        println!("{n:>5}  {name:<10} {per_night:>13.5} {any:>13.4} {at_once:>13.3} {in_a_week:>13.3}");
    }
    let mean = asked.iter().sum::<usize>() as f64 / asked.len().max(1) as f64;
    println!("{n:>5}  sampled: of a drop of 5 points, {mean:.0} items on average are asked again");
    let (false_alarms, found) = (share(drift_alarms, series), share(drift_found, series));
    println!(
        "{n:>5}  drift alarm: {false_alarms:.4} false in 90 nights; a loss of 2 points found in 30 nights {found:.3}"
    );
    Ok(())
}

/// A judge that turns stricter, and anchors.
fn anchors(n: usize, anchors: usize, earlier: usize, series: u32, rng: &mut Rng) -> Result<(), Error> {
    let (mut regressions, mut called_so, mut false_changes) = (0, 0, 0);
    for _ in 0..series {
        let (app, fixed) = (items(n, rng), items(anchors, rng));
        let mut steady = [Series::new(Rules::of_shares(MARGIN))];
        let tonight = |series: &mut [Series], app: &[f64], fixed: &[f64], rng: &mut Rng| {
            let (new, again, on_anchors) = (night(app, rng), night(app, rng), night(fixed, rng));
            let anchors = Some(Anchors { version: 1, items: &on_anchors });
            nightly::night(series, &[Some(Night { items: &new, again: Some(&again), anchors })])[0]
                .map(|decided| decided.decision)
        };
        for _ in 0..earlier {
            tonight(&mut steady, &app, &fixed, rng);
        }
        let (stricter, fixed_stricter) = (dropped(&app, 0.1, rng), dropped(&fixed, 0.1, rng));
        match tonight(&mut steady.clone(), &stricter, &fixed_stricter, rng) {
            Some(Decision::AnchorsMoved) => called_so += 1,
            Some(Decision::Worse) => regressions += 1,
            _ => {}
        }
        for _ in earlier..NIGHTS {
            let decision = tonight(&mut steady, &app, &fixed, rng);
            false_changes += u32::from(decision == Some(Decision::AnchorsMoved));
        }
    }
    let (regressions, called_so) = (share(regressions, series), share(called_so, series));
    let false_changes = share(false_changes, series * (NIGHTS - earlier) as u32);
    println!("{anchors:>7} {earlier:>9} {regressions:>16.3} {called_so:>16.3} {false_changes:>16.4}");
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let series = std::env::args().nth(1).map_or(Ok(400), |argument| argument.parse())?;
    let mut rng = Rng::default();
    println!("                     no change:                  a drop of 5 points is found:");
    println!("items  gate         blocks/night  any in 90    first night   within 7");
    if let Some(items) = std::env::args().nth(2) {
        return Ok(gates(items.parse()?, series, &mut rng)?);
    }
    for n in [200, 500, 2_000] {
        gates(n, series, &mut rng)?;
    }
    println!("\n                 the judge turns stricter by 10 points:     no change:");
    println!("anchors    nights     \"regression\"  \"judge changed\"  \"judge changed\"");
    for (n, earlier) in [(30, 5), (30, 20), (100, 5), (100, 20), (200, 5)] {
        anchors(500, n, earlier, series / 4, &mut rng)?;
    }
    Ok(())
}
