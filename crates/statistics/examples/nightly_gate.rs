//! Simulates nightly gates: over nights in which nothing changes, over a real drop, and over a judge that changes; and prints what each does.
//!
//!     cargo run --release -p judge-run-statistics --example nightly_gate [SERIES]
//!
//! The default is 400 series of 90 nights. Items are fixed: of ten, eight pass always but for 1 %, one fails always but for 1 %, and one is
//! borderline (it passes with a probability of its own, between 0.2 and 0.8). A drop makes items fail that pass. The application and the
//! judge answer anew each night.
//!
//! - `threshold`: the pass rate is more than 2 points below that of one earlier run.
//! - `pooled t`: the paired t test against the mean of five earlier runs, one-sided, at an error rate of 1 %.
//! - `confirmed`: the same, and a fresh rerun of all items rejects as well.
//! - `nightly`: the whole design. The baseline is the mean of all accepted nights; a night is red if it is worse and a rerun confirms that,
//!   and stays red until the interval of a night lies above -2 points; red nights are not accepted. The drift alarm compares with the
//!   first five nights.
//!
//! The last table is of a judge that turns stricter on 10 % of all items, with anchors that are judged beside 500 items, and with so many nights
//! before: how often the night is called a regression, and how often a change of the judge; and how often nights without any change are
//! called one. (A quarter of the series.)

#![expect(clippy::print_stdout, reason = "the tables are what this program is for")]

#[path = "shared/rng.rs"]
mod rng;

use judge_run_statistics::mean::{MeanEstimate, paired_mean};
use judge_run_statistics::paired::{Block, block_permutation};
use judge_run_statistics::sequential::DriftAlarm;
use judge_run_statistics::{Alternative, Error};
use rng::Rng;

const NIGHTS: usize = 90;
const FIRST: usize = 5;
const ALPHA: f64 = 0.01;
const MARGIN: f64 = 0.02;
const DRIFT_MARGIN: f64 = 0.01;
const DRIFT_ALARM: f64 = 100.0;
const GATES: [&str; 4] = ["threshold", "pooled t", "confirmed", "nightly"];

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

fn night(items: &[f64], rng: &mut Rng) -> Vec<f64> {
    items.iter().map(|pass| f64::from(u8::from(rng.toss(*pass)))).collect()
}

fn rate(verdicts: &[f64]) -> f64 {
    verdicts.iter().sum::<f64>() / verdicts.len() as f64
}

/// The mean of each item over the nights so far.
#[derive(Clone)]
struct Pool {
    mean: Vec<f64>,
    nights: f64,
}

impl Pool {
    fn of(nights: &[Vec<f64>]) -> Self {
        let mut pool = Self { mean: vec![0.0; nights[0].len()], nights: 0.0 };
        nights.iter().for_each(|night| pool.add(night));
        pool
    }

    fn add(&mut self, night: &[f64]) {
        self.nights += 1.0;
        for (mean, verdict) in self.mean.iter_mut().zip(night) {
            *mean += (verdict - *mean) / self.nights;
        }
    }

    fn difference(&self, night: &[f64]) -> Result<MeanEstimate, Error> {
        paired_mean(&self.mean, night)
    }

    fn is_worse(&self, night: &[f64]) -> Result<bool, Error> {
        Ok(self.difference(night)?.test(0.0, Alternative::Less)?.p_value < ALPHA)
    }
}

/// Whether the verdicts on the anchors moved away from those of earlier nights.
fn have_moved(nights: &[Vec<f64>], new: &[f64]) -> Result<bool, Error> {
    let block = |(i, new): (usize, &f64)| Block { earlier: nights.iter().map(|night| night[i]).collect(), new: *new };
    let blocks: Vec<_> = new.iter().enumerate().map(block).collect();
    Ok(block_permutation(&blocks, Alternative::TwoSided, 0, 0)?.p_value < ALPHA)
}

/// The gates, and what they remember.
struct Gates {
    one: Vec<f64>,
    first: Pool,
    accepted: Pool,
    is_red: bool,
    drift: DriftAlarm,
}

impl Gates {
    fn of(items: &[f64], rng: &mut Rng) -> Result<Self, Error> {
        let nights: Vec<_> = (0..FIRST).map(|_| night(items, rng)).collect();
        let first = Pool::of(&nights);
        let drift = DriftAlarm::new(DRIFT_MARGIN)?;
        Ok(Self { one: nights[0].clone(), accepted: first.clone(), first, is_red: false, drift })
    }

    /// Which gates block this night, and whether the drift alarm is raised.
    fn blocks(&mut self, items: &[f64], rng: &mut Rng) -> Result<([bool; GATES.len()], bool), Error> {
        let (new, again) = (night(items, rng), night(items, rng));
        let is_worse = self.first.is_worse(&new)?;
        let is_confirmed = is_worse && self.first.is_worse(&again)?;
        let is_within = self.accepted.difference(&new)?.interval(0.95)?.lower > -MARGIN;
        self.is_red = match self.is_red {
            true => !is_within,
            false => !is_within && self.accepted.is_worse(&new)? && self.accepted.is_worse(&again)?,
        };
        let of_first = self.first.difference(&new)?;
        let is_drift = self.drift.update(of_first.mean, of_first.standard_error)? >= DRIFT_ALARM;
        if !self.is_red {
            self.accepted.add(&new);
        }
        Ok(([rate(&new) < rate(&self.one) - MARGIN, is_worse, is_confirmed, self.is_red], is_drift))
    }
}

fn share(count: u32, of: u32) -> f64 {
    f64::from(count) / f64::from(of)
}

/// How the gates fare, with this many items.
fn gates(n: usize, series: u32, rng: &mut Rng) -> Result<(), Error> {
    let [mut nights, mut any, mut at_once, mut in_a_week] = [[0u32; GATES.len()]; 4];
    let (mut drift_alarms, mut drift_found) = (0, 0);
    for _ in 0..series {
        let items = items(n, rng);
        let mut gates = Gates::of(&items, rng)?;
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
        let (mut gates, mut found) = (Gates::of(&items, rng)?, [false; GATES.len()]);
        for tonight in 0..7 {
            for (gate, blocks) in gates.blocks(&worse, rng)?.0.into_iter().enumerate() {
                found[gate] |= blocks;
                at_once[gate] += u32::from(blocks && tonight == 0);
            }
        }
        for (gate, found) in found.into_iter().enumerate() {
            in_a_week[gate] += u32::from(found);
        }
        // A loss of two points is too small for one night.
        let (worse, mut gates, mut found) = (dropped(&items, 0.02, rng), Gates::of(&items, rng)?, false);
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
        let mut nights = |items: &[f64]| (0..earlier).map(|_| night(items, rng)).collect::<Vec<_>>();
        let (of_app, mut of_anchors) = (Pool::of(&nights(&app)), nights(&fixed));
        let (stricter, fixed_stricter) = (dropped(&app, 0.1, rng), dropped(&fixed, 0.1, rng));
        let has_moved = have_moved(&of_anchors, &night(&fixed_stricter, rng))?;
        let is_worse = of_app.is_worse(&night(&stricter, rng))? && of_app.is_worse(&night(&stricter, rng))?;
        called_so += u32::from(has_moved);
        regressions += u32::from(is_worse && !has_moved);
        for _ in earlier..NIGHTS {
            let new = night(&fixed, rng);
            let has_moved = have_moved(&of_anchors, &new)?;
            false_changes += u32::from(has_moved);
            if !has_moved {
                of_anchors.push(new);
            }
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
    for n in [200, 500] {
        gates(n, series, &mut rng)?;
    }
    println!("\n                 the judge turns stricter by 10 points:     no change:");
    println!("anchors    nights     \"regression\"  \"judge changed\"  \"judge changed\"");
    for (n, earlier) in [(30, 5), (30, 20), (100, 5), (100, 20), (200, 5)] {
        anchors(500, n, earlier, series / 4, &mut rng)?;
    }
    Ok(())
}
