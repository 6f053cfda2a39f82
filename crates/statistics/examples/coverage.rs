//! Simulates what the intervals and tests promise, and prints a table: coverage for intervals, false alarms for tests.
//!
//!     cargo run --release -p judge-run-statistics --example coverage [REPETITIONS [NAME]]
//!
//! The default of 4,000 repetitions has a standard error of about 0.35 points at 95 %; corrected rates, which take longest, get a quarter of them.
//! With an argument, only the rows whose name contains it.

#![expect(clippy::print_stdout, reason = "the table is what this program is for")]

#[path = "shared/rng.rs"]
mod rng;

use judge_run_statistics::agreement::{Metric, Votes, Weights};
use judge_run_statistics::bootstrap::Bootstrap;
use judge_run_statistics::calibration::{self, Labelled, Stratum, lee, neyman, post_stratified};
use judge_run_statistics::mean::{Moments, clustered_mean, mean};
use judge_run_statistics::paired::{PairedCounts, mcnemar_exact, mcnemar_mid_p, sign_flip, tango};
use judge_run_statistics::proportion::{clopper_pearson, jeffreys, wilson, wilson_effective};
use judge_run_statistics::quantile::Sorted;
use judge_run_statistics::sequential::{
    Answers, AsymptoticSequence, DriftAlarm, FiniteShare, Settled, discordant_e_value,
};
use judge_run_statistics::{Alternative, Error};
use rng::Rng;

/// A standard normal (Box and Muller 1958).
fn normal(rng: &mut Rng) -> f64 {
    (-2.0 * (1.0 - rng.uniform()).ln()).sqrt() * (std::f64::consts::TAU * rng.uniform()).cos()
}

/// Counts how often something happens over a number of repetitions.
struct Table {
    repetitions: u32,
    /// What is in the name of each row that is wanted.
    wanted: String,
    rng: Rng,
}

impl Table {
    fn row(
        &mut self,
        name: &str,
        promise: &str,
        mut happens: impl FnMut(&mut Rng) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        if !name.contains(&self.wanted) {
            return Ok(());
        }
        let mut hits = 0;
        for _ in 0..self.repetitions {
            hits += u32::from(happens(&mut self.rng)?);
        }
        println!("{name:<62} {promise:>8} {:>8.4}", f64::from(hits) / f64::from(self.repetitions));
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let repetitions = std::env::args().nth(1).map_or(Ok(4_000), |argument| argument.parse())?;
    let wanted = std::env::args().nth(2).unwrap_or_default();
    let mut table = Table { repetitions, wanted, rng: Rng::default() };
    println!("{:<62} {:>8} {:>8}", "", "promised", "found");
    proportions(&mut table)?;
    means(&mut table)?;
    pairs(&mut table)?;
    sequences(&mut table)?;
    agreements(&mut table)?;
    table.repetitions /= 4;
    corrections(&mut table)?;
    Ok(())
}

fn proportions(table: &mut Table) -> Result<(), Error> {
    for (n, share) in [(20, 0.9), (50, 0.98), (200, 0.85)] {
        let passes = |rng: &mut Rng| (0..n).filter(|_| rng.toss(share)).count() as u64;
        let name = |method| format!("{method}, {n} items, share {share}");
        table.row(&name("Wilson"), "~ 0.95", |rng| Ok(wilson(passes(rng), n, 0.95)?.contains(share)))?;
        table.row(&name("Clopper-Pearson"), ">= 0.95", |rng| {
            Ok(clopper_pearson(passes(rng), n, 0.95)?.contains(share))
        })?;
        table.row(&name("Jeffreys"), "~ 0.95", |rng| Ok(jeffreys(passes(rng), n, 0.95)?.contains(share)))?;
    }
    // Sessions of 5 items that pass together in 6 of 10 cases.
    let sessions = |rng: &mut Rng| -> (Vec<f64>, Vec<usize>) {
        (0..250)
            .scan(false, |shared, item| {
                if item % 5 == 0 {
                    *shared = rng.toss(0.8);
                }
                let passes = if rng.toss(0.6) { *shared } else { rng.toss(0.8) };
                Some((f64::from(u8::from(passes)), item / 5))
            })
            .unzip()
    };
    table.row("Wilson, 50 sessions of 5, as if independent", "~ 0.95", |rng| {
        let (scores, _) = sessions(rng);
        Ok(wilson(scores.iter().filter(|&&score| score == 1.0).count() as u64, 250, 0.95)?.contains(0.8))
    })?;
    table.row("Wilson with the effective number, 50 sessions of 5", "~ 0.95", |rng| {
        let (scores, clusters) = sessions(rng);
        let clustered = clustered_mean(&scores, &clusters)?;
        Ok(wilson_effective(clustered.estimate.mean, clustered.effective_n(), 0.95)?.contains(0.8))
    })?;
    table.row("Cluster-robust t, 50 sessions of 5", "~ 0.95", |rng| {
        let (scores, clusters) = sessions(rng);
        Ok(clustered_mean(&scores, &clusters)?.estimate.interval(0.95)?.contains(0.8))
    })
}

fn means(table: &mut Table) -> Result<(), Error> {
    let skewed = |rng: &mut Rng, n| (0..n).map(|_| -(1.0 - rng.uniform()).ln()).collect::<Vec<f64>>();
    let sample_mean = |sample: &[f64]| sample.iter().sum::<f64>() / sample.len() as f64;
    table.row("t, 12 normal scores", "0.95", |rng| {
        let scores: Vec<f64> = (0..12).map(|_| normal(rng)).collect();
        Ok(mean(&scores)?.interval(0.95)?.contains(0.0))
    })?;
    table.row("t, 30 exponential scores", "~ 0.95", |rng| Ok(mean(&skewed(rng, 30))?.interval(0.95)?.contains(1.0)))?;
    table.row("BCa of the mean, 30 exponential scores, 1,000 resamples", "~ 0.95", |rng| {
        let bootstrap = Bootstrap { resamples: 1_000, seed: rng.0, level: 0.95 };
        Ok(bootstrap.bca(&skewed(rng, 30), sample_mean)?.interval.contains(1.0))
    })?;
    for (groups, name) in
        [(10, "Cluster-robust t, 10 clusters of 1 to 9"), (40, "Cluster-robust t, 40 clusters of 1 to 9")]
    {
        table.row(name, "~ 0.95", |rng| {
            let (mut scores, mut clusters) = (Vec::new(), Vec::new());
            for group in 0..groups {
                let shared = normal(rng);
                for _ in 0..=(9.0 * rng.uniform()) as usize {
                    scores.push(shared + normal(rng));
                    clusters.push(group);
                }
            }
            Ok(clustered_mean(&scores, &clusters)?.estimate.interval(0.95)?.contains(0.0))
        })?;
    }
    table.row("median by order statistics, 40 exponential scores", ">= 0.95", |rng| {
        Ok(Sorted::new(skewed(rng, 40))?.quantile_interval(0.5, 0.95)?.contains(std::f64::consts::LN_2))
    })
}

fn pairs(table: &mut Table) -> Result<(), Error> {
    let draw = |rng: &mut Rng, n: u32, worse: f64, better: f64| -> PairedCounts {
        (0..n)
            .map(|_| match rng.uniform() {
                u if u < worse => (true, false),
                u if u < worse + better => (false, true),
                u => (u < 0.8, u < 0.8),
            })
            .collect()
    };
    table.row("Tango, 100 pairs, 2 % worse, 8 % better", "~ 0.95", |rng| {
        Ok(tango(&draw(rng, 100, 0.02, 0.08), 0.95)?.contains(0.06))
    })?;
    table.row("Tango, 40 pairs, 5 % worse, 5 % better", "~ 0.95", |rng| {
        Ok(tango(&draw(rng, 40, 0.05, 0.05), 0.95)?.contains(0.0))
    })?;
    let same = |rng: &mut Rng| draw(rng, 200, 0.06, 0.06);
    table.row("McNemar exact, 200 pairs, no difference", "<= 0.05", |rng| {
        Ok(mcnemar_exact(&same(rng), Alternative::TwoSided) <= 0.05)
    })?;
    table.row("McNemar mid-p, 200 pairs, no difference", "~ 0.05", |rng| {
        Ok(mcnemar_mid_p(&same(rng), Alternative::TwoSided) <= 0.05)
    })?;
    for n in [12, 60] {
        table.row(&format!("sign flips, {n} pairs, no difference"), "<= 0.05", |rng| {
            let differences: Vec<f64> = (0..n).map(|_| normal(rng)).collect();
            Ok(sign_flip(&differences, Alternative::TwoSided, 999, rng.0)?.p_value <= 0.05)
        })?;
    }
    Ok(())
}

fn sequences(table: &mut Table) -> Result<(), Error> {
    table.row("McNemar exact, a look after each of 200 pairs that differ", "(0.05)", |rng| {
        let mut counts = PairedCounts::default();
        Ok((0..200).any(|_| {
            counts.extend([if rng.toss(0.5) { (true, false) } else { (false, true) }]);
            mcnemar_exact(&counts, Alternative::TwoSided) <= 0.05
        }))
    })?;
    table.row("e-value >= 20, a look after each of 200 pairs that differ", "<= 0.05", |rng| {
        let (mut worse, mut better) = (0, 0);
        for _ in 0..200 {
            if rng.toss(0.5) {
                worse += 1
            } else {
                better += 1
            }
            if discordant_e_value(worse, better, 1.0)? >= 20.0 {
                return Ok(true);
            }
        }
        Ok(false)
    })?;
    table.row("asymptotic sequence, all of 50 to 1,000 uniform scores", ">= 0.95", |rng| {
        let sequence = AsymptoticSequence::tightest_at(500, 0.95)?;
        let mut scores: Moments = (0..49).map(|_| rng.uniform()).collect();
        for _ in 50..=1_000 {
            scores.push(rng.uniform());
            if !sequence.interval(&scores)?.contains(0.5) {
                return Ok(false);
            }
        }
        Ok(true)
    })?;
    for passing in [1_880, 1_900, 1_920, 1_980] {
        let name = format!("gate 0.95 on 2,000 items of which {passing} pass: decided wrongly");
        let (mut asked, mut decided) = (0, 0);
        table.row(&name, "<= 0.05", |rng| {
            let (settled, at) = settle(rng, 2_000, passing)?;
            (asked, decided) = (asked + at, decided + 1);
            Ok(settled != if passing >= 1_900 { Settled::Reached } else { Settled::Missed })
        })?;
        if decided > 0 {
            let share = f64::from(asked) / f64::from(decided) / 2_000.0;
            println!("  share of the items that had to be asked {share:>30.3}");
        }
    }
    table.row("drift alarm at 100 within 90 nights at the margin", "<= 0.9", |rng| {
        let mut alarm = DriftAlarm::new(0.01)?;
        for _ in 0..90 {
            if alarm.update(-0.01 + 0.01 * normal(rng), 0.01)? >= 100.0 {
                return Ok(true);
            }
        }
        Ok(false)
    })
}

/// Asks in random order, looking every 10 answers.
fn settle(rng: &mut Rng, items: u32, passing: u32) -> Result<(Settled, u32), Error> {
    let mut share = FiniteShare::new(u64::from(items), 0.95)?;
    let (mut answers, mut left) = (Answers::default(), passing);
    for asked in 1..=items {
        if rng.toss(f64::from(left) / f64::from(items - asked + 1)) {
            answers.passed += 1;
            left -= 1;
        } else {
            answers.not_passed += 1;
        }
        if asked % 10 == 0 || asked == items {
            share.look(answers)?;
            let settled = share.settled(0.95)?;
            if settled != Settled::Open {
                return Ok((settled, asked));
            }
        }
    }
    Ok((Settled::Open, items))
}

/// A judge of 1,000 items; people label some of them, at random or as `neyman` divides them among verdicts, or label others.
fn corrections(table: &mut Table) -> Result<(), Error> {
    for (good, sensitivity, specificity, labels) in
        [(0.8, 0.9, 0.8, 50), (0.8, 0.9, 0.8, 200), (0.95, 0.9, 0.8, 50), (0.8, 0.7, 0.6, 100)]
    {
        let item = move |rng: &mut Rng| {
            let is_good = rng.toss(good);
            (is_good, rng.toss(if is_good { sensitivity } else { 1.0 - specificity }))
        };
        let name = |what| format!("{what}: {labels} labels, {good} good, judge {sensitivity}/{specificity}");
        for is_planned in [false, true] {
            let what = if is_planned { "Jeffreys, Neyman" } else { "Jeffreys, random" };
            table.row(&name(what), "~ 0.95", |rng| {
                let items: Vec<(bool, bool)> = (0..1_000).map(|_| item(rng)).collect();
                let passed = items.iter().filter(|(_, verdict)| *verdict).count() as u64;
                let counts = if is_planned {
                    let given = neyman(&[(passed, 0.9), (1_000 - passed, 0.4)], labels, 5)?;
                    [given[0].labels, given[1].labels]
                } else {
                    let of_passed = items[..labels as usize].iter().filter(|(_, verdict)| *verdict).count() as u64;
                    [of_passed, labels - of_passed]
                };
                let stratum = |verdict: bool, labelled: u64, all: u64| {
                    let of = items.iter().filter(|(_, said)| *said == verdict).take(labelled as usize);
                    Stratum { items: all, labelled, passed: of.filter(|(is_good, _)| *is_good).count() as f64 }
                };
                let strata = [stratum(true, counts[0], passed), stratum(false, counts[1], 1_000 - passed)];
                Ok(post_stratified(&strata, calibration::Weights::Population, 1.0, 0.95)?.interval.contains(good))
            })?;
        }
        table.row(&name("Lee, balanced labels from elsewhere"), "~ 0.95", |rng| {
            let passed = (0..1_000).filter(|_| item(rng).1).count() as u64;
            let mut labelled = Labelled::default();
            for label in 0..labels {
                let is_good = label % 2 == 0;
                labelled.add(is_good, rng.toss(if is_good { sensitivity } else { 1.0 - specificity }));
            }
            // A judge that these labels cannot tell from chance is refused.
            Ok(lee(&labelled, passed, 1_000, 0.95).map_or(true, |found| found.interval.contains(good)))
        })?;
    }
    Ok(())
}

/// Three raters of two categories who are right with some probability, apart from each other: their coefficients have closed forms.
fn agreements(table: &mut Table) -> Result<(), Error> {
    for (items, good, right) in [(100, 0.5, 0.9), (100, 0.8, 0.9), (400, 0.9, 0.85)] {
        let rated = |rng: &mut Rng| {
            let mut votes = Votes::new(2);
            for _ in 0..items {
                let is_good = rng.toss(good);
                votes.add((0..3).map(|_| usize::from(rng.toss(right) == is_good)).collect::<Vec<_>>());
            }
            votes
        };
        let observed = right * right + (1.0 - right) * (1.0 - right);
        let share = good * right + (1.0 - good) * (1.0 - right);
        let by_chance = [share * share + (1.0 - share) * (1.0 - share), 2.0 * share * (1.0 - share)];
        let [kappa, ac1] = by_chance.map(|expected| (observed - expected) / (1.0 - expected));
        let name = |what| format!("{what}: {items} items, {good} good, raters {right}");
        table.row(&name("Fleiss' kappa"), "~ 0.95", |rng| {
            Ok(rated(rng).fleiss(Weights::Identity, 0.95)?.interval.contains(kappa))
        })?;
        table.row(&name("Krippendorff's alpha"), "~ 0.95", |rng| {
            Ok(rated(rng).krippendorff(Metric::Nominal, &[0.0, 1.0], 0.95)?.interval.contains(kappa))
        })?;
        table.row(&name("Gwet's AC1"), "~ 0.95", |rng| {
            Ok(rated(rng).gwet(Weights::Identity, 0.95)?.interval.contains(ac1))
        })?;
    }
    Ok(())
}
