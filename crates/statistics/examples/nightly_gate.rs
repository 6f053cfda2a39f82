//! Simulates gates over nights in which nothing changes, and over a real drop, and prints how often each blocks.
//!
//!     cargo run --release -p judge-run-statistics --example nightly_gate [SERIES]
//!
//! The default is 200 series of 90 nights. Items are fixed: of ten, eight pass always but for 1 %, one fails always but for 1 %, and one is
//! borderline (it passes with a probability of its own, between 0.2 and 0.8). A drop makes items fail that pass. The application and the
//! judge answer anew each night.
//!
//! - `threshold`: the pass rate is more than 2 points below that of one earlier run.
//! - `pooled t`: the paired t test against the mean of five earlier runs, one-sided, at an error rate of 1 %.
//! - `confirmed`: the same, and a fresh rerun of all items rejects as well.

#![expect(clippy::print_stdout, reason = "the table is what this program is for")]

use judge_run_statistics::mean::paired_mean;
use judge_run_statistics::{Alternative, Error};

const NIGHTS: usize = 90;
const BASELINE_RUNS: usize = 5;
const ALPHA: f64 = 0.01;

/// xorshift64*, independent of the crate's own generator.
struct Rng(u64);

impl Rng {
    fn uniform(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1u64 << 53) as f64
    }
}

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
    items.iter().map(|pass| f64::from(u8::from(rng.uniform() < *pass))).collect()
}

fn rate(verdicts: &[f64]) -> f64 {
    verdicts.iter().sum::<f64>() / verdicts.len() as f64
}

/// What nights are compared with.
struct Baseline {
    one: Vec<f64>,
    mean: Vec<f64>,
}

impl Baseline {
    fn of(items: &[f64], rng: &mut Rng) -> Self {
        let runs: Vec<_> = (0..BASELINE_RUNS).map(|_| night(items, rng)).collect();
        let mean = |i: usize| runs.iter().map(|run| run[i]).sum::<f64>() / BASELINE_RUNS as f64;
        Self { mean: (0..items.len()).map(mean).collect(), one: runs[0].clone() }
    }

    fn is_worse(&self, new: &[f64]) -> Result<bool, Error> {
        Ok(paired_mean(&self.mean, new)?.test(0.0, Alternative::Less)?.p_value < ALPHA)
    }

    /// Which gates block this night: threshold, pooled t, confirmed.
    fn blocks(&self, items: &[f64], rng: &mut Rng) -> Result<[bool; 3], Error> {
        let new = night(items, rng);
        let is_worse = self.is_worse(&new)?;
        let is_confirmed = is_worse && self.is_worse(&night(items, rng))?;
        Ok([rate(&new) < rate(&self.one) - 0.02, is_worse, is_confirmed])
    }
}

fn main() -> Result<(), Error> {
    let series = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(200);
    let mut rng = Rng(0x9e37_79b9_7f4a_7c15);
    println!(
        "{:>5}  {:<10} {:>13} {:>17} {:>19}",
        "items", "gate", "blocks/night", "any in 90 nights", "5 points, 1st night"
    );
    for n in [200, 500] {
        let mut nights = [0u32; 3];
        let mut any = [0u32; 3];
        let mut found = [0u32; 3];
        for _ in 0..series {
            let items = items(n, &mut rng);
            let baseline = Baseline::of(&items, &mut rng);
            let mut blocked = [false; 3];
            for _ in 0..NIGHTS {
                for (gate, blocks) in baseline.blocks(&items, &mut rng)?.into_iter().enumerate() {
                    nights[gate] += u32::from(blocks);
                    blocked[gate] |= blocks;
                }
            }
            let worse = dropped(&items, 0.05, &mut rng);
            for (gate, blocks) in baseline.blocks(&worse, &mut rng)?.into_iter().enumerate() {
                any[gate] += u32::from(blocked[gate]);
                found[gate] += u32::from(blocks);
            }
        }
        let share = |count: u32, of: u32| f64::from(count) / f64::from(of);
        for (gate, name) in ["threshold", "pooled t", "confirmed"].into_iter().enumerate() {
            let per_night = share(nights[gate], series * NIGHTS as u32);
            let (any, found) = (share(any[gate], series), share(found[gate], series));
            println!("{n:>5}  {name:<10} {per_night:>13.5} {any:>17.3} {found:>19.3}");
        }
    }
    Ok(())
}
