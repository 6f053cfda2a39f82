//! `worked.json`: worked examples with ten digits, computed independently of this crate and of `reference.py` (SciPy 1.17,
//! statsmodels 0.15).

use judge_run_statistics::bootstrap::{bca_interval, percentile_interval};
use judge_run_statistics::mean::{clustered_mean, mean};
use judge_run_statistics::multiple::{benjamini_hochberg, holm};
use judge_run_statistics::paired::{PairedCounts, mcnemar_exact, mcnemar_mid_p, sign_flip, tango};
use judge_run_statistics::power::Design;
use judge_run_statistics::proportion::{clopper_pearson, jeffreys, wilson};
use judge_run_statistics::sequential::{Answers, AsymptoticSequence, FiniteShare, discordant_e_value};
use judge_run_statistics::{Alternative, Error, Interval};
use serde_json::Value;

use super::{close, count, ends, list, number, numbers};

/// The precision of figures with ten digits.
const TEN_DIGITS: f64 = 1e-9;

type Method = fn(u64, u64, f64) -> Result<Interval, Error>;

fn section(name: &str) -> Value {
    let all: Value = serde_json::from_str(include_str!("worked.json")).unwrap();
    all[name].clone()
}

/// The members of a section whose names hold numbers: `n=20,p=0.5`, `85/100`.
fn rows(section: &Value) -> impl Iterator<Item = (Vec<f64>, &Value)> {
    section.as_object().unwrap().iter().map(|(name, row)| {
        let is_part = |char: char| char.is_ascii_digit() || char == '.';
        let parts = name.split(|char| !is_part(char)).filter(|part| !part.is_empty());
        (parts.map(|part| part.parse().unwrap()).collect(), row)
    })
}

#[test]
fn proportions() {
    for (parts, row) in rows(&section("proportion_ci_95")) {
        let (x, n) = (parts[0] as u64, parts[1] as u64);
        ends(&wilson(x, n, 0.95).unwrap(), &row["wilson"], TEN_DIGITS, row);
        ends(&clopper_pearson(x, n, 0.95).unwrap(), &row["clopper_pearson"], TEN_DIGITS, row);
        // statsmodels does not set the ends for 0 and n.
        let interval = jeffreys(x, n, 0.95).unwrap();
        match x {
            0 => assert_eq!(interval.lower, 0.0),
            _ => close(interval.lower, number(&row["jeffreys"][0]), TEN_DIGITS, row),
        }
        match n - x {
            0 => assert_eq!(interval.upper, 1.0),
            _ => close(interval.upper, number(&row["jeffreys"][1]), TEN_DIGITS, row),
        }
    }
}

/// The probability that the interval holds the true share (of 1/2 or more), by enumeration of the outcomes.
fn coverage(intervals: &[Interval], share: f64) -> f64 {
    let n = intervals.len() - 1;
    // From x = n down: there the probability does not underflow.
    let mut mass = share.powi(n as i32);
    let mut sum = 0.0;
    for x in (0..=n).rev() {
        if intervals[x].contains(share) {
            sum += mass;
        }
        mass *= x as f64 / (n - x + 1) as f64 * (1.0 - share) / share;
    }
    sum
}

fn all_intervals(method: Method, n: u64) -> Vec<Interval> {
    (0..=n).map(|x| method(x, n, 0.95).unwrap()).collect()
}

const METHODS: [(&str, Method); 3] = [("wilson", wilson), ("beta", clopper_pearson), ("jeffreys", jeffreys)];

#[test]
fn exact_coverage() {
    for (parts, row) in rows(&section("exact_coverage")) {
        for (name, method) in METHODS {
            let intervals = all_intervals(method, parts[0] as u64);
            close(coverage(&intervals, parts[1]), number(&row[name]), TEN_DIGITS, row);
        }
    }
}

/// Over 99 shares from 0.5 to 0.99.
#[test]
fn mean_and_least_coverage() {
    for (parts, row) in rows(&section("mean_min_coverage_p_in_0.5_0.99")) {
        for (name, method) in METHODS {
            let intervals = all_intervals(method, parts[0] as u64);
            let coverages: Vec<f64> = (100..=198).map(|step| coverage(&intervals, f64::from(step) / 200.0)).collect();
            close(coverages.iter().sum::<f64>() / 99.0, number(&row[name][0]), TEN_DIGITS, row);
            close(coverages.iter().copied().fold(1.0, f64::min), number(&row[name][1]), TEN_DIGITS, row);
        }
    }
}

/// The scores lie symmetrically around their mean, so the interval has neither bias nor acceleration. Of the 46,656 sums
/// 22,128 are smaller, 2,400 equal and 22,128 larger (counted in tenths). Comparing floating-point means exactly, as
/// `scipy.stats.bootstrap` does, takes some of the equal ones for smaller: z₀ = 0.0346, and 0.8333 for the upper end.
#[test]
fn all_resamples_of_six_scores() {
    let figures = section("bca_exhaustive_mean");
    let x = numbers(&figures["x"]);
    let resampled: Vec<f64> = (0..6usize.pow(6))
        .map(|index| [0, 1, 2, 3, 4, 5].map(|digit| x[index / 6usize.pow(digit) % 6]).iter().sum::<f64>() / 6.0)
        .collect();
    let total: f64 = x.iter().sum();
    let jackknife: Vec<f64> = x.iter().map(|value| (total - value) / 5.0).collect();
    let bca = bca_interval(number(&figures["mean"]), resampled.clone(), &jackknife, 0.95).unwrap();
    assert_eq!(bca.bias_correction, 0.0);
    assert!(bca.acceleration.abs() < 1e-15);
    ends(&bca.interval, &figures["percentile_ci"], TEN_DIGITS, &figures);
    ends(&percentile_interval(resampled, 0.95).unwrap(), &figures["percentile_ci"], TEN_DIGITS, &figures);
}

#[test]
fn clusters() {
    let figures = section("cluster_se");
    let clusters: Vec<u64> = list(&figures["clusters"]).iter().map(count).collect();
    let clustered = clustered_mean(&numbers(&figures["scores"]), &clusters).unwrap();
    close(clustered.estimate.mean, number(&figures["mean"]), TEN_DIGITS, &figures);
    close(clustered.estimate.standard_error, number(&figures["se_cluster_CR1_G"]), TEN_DIGITS, &figures);
    close(clustered.estimate.degrees_of_freedom, number(&figures["t_df"]), 0.0, &figures);
    close(clustered.design_effect, number(&figures["design_effect"]), TEN_DIGITS, &figures);
    ends(&clustered.estimate.interval(0.95).unwrap(), &figures["ci_CR1_t"], TEN_DIGITS, &figures);
    let simple = mean(&numbers(&figures["scores"])).unwrap();
    close(simple.standard_error, number(&figures["se_iid_ddof1"]), TEN_DIGITS, &figures);
}

#[test]
fn paired_verdicts() {
    for (parts, row) in rows(&section("paired_binary")) {
        let [both, only_base, only_new, neither] = [0, 1, 2, 3].map(|index| parts[index] as u64);
        let pairs = PairedCounts { both, only_base, only_new, neither };
        assert_eq!(pairs.n(), count(&row["n"]));
        close(pairs.difference().unwrap(), number(&row["diff_cand_minus_base"]), TEN_DIGITS, row);
        close(mcnemar_exact(&pairs, Alternative::TwoSided), number(&row["mcnemar_exact"]), TEN_DIGITS, row);
        close(mcnemar_exact(&pairs, Alternative::Less), number(&row["onesided_p_regression"]), TEN_DIGITS, row);
        close(mcnemar_mid_p(&pairs, Alternative::TwoSided), number(&row["mcnemar_midp"]), TEN_DIGITS, row);
        ends(&tango(&pairs, 0.95).unwrap(), &row["tango_ci"], 1e-8, row);
        for (prior, name) in [(0.5, "e_value_beta_half"), (1.0, "e_value_uniform")] {
            close(discordant_e_value(only_base, only_new, prior).unwrap(), number(&row[name]), TEN_DIGITS, row);
        }
    }
}

/// Bentur et al. (2009), in Fagerland, Lydersen and Laake, "Statistical analysis of contingency tables", chapter 8: the
/// difference of the first run less the second, so the runs are swapped.
#[test]
fn a_published_tango_interval() {
    let interval = tango(&PairedCounts { both: 1, only_base: 7, only_new: 1, neither: 12 }, 0.95).unwrap();
    assert!((interval.lower + 0.517232).abs() < 1e-6 && (interval.upper + 0.026003).abs() < 1e-6, "{interval:?}");
}

#[test]
fn paired_scores() {
    let figures = section("paired_permutation_exact");
    let differences = numbers(&figures["d"]);
    let p_value = |alternative| sign_flip(&differences, alternative, 0, 0).unwrap().p_value;
    assert_eq!(p_value(Alternative::TwoSided), number(&figures["p_two_sided"]));
    assert_eq!(p_value(Alternative::Greater), number(&figures["p_greater"]));
    let estimate = mean(&differences).unwrap();
    close(estimate.mean, number(&figures["mean"]), TEN_DIGITS, &figures);
    close(estimate.test(0.0, Alternative::TwoSided).unwrap().p_value, number(&figures["t_p"]), TEN_DIGITS, &figures);
    ends(&estimate.interval(0.95).unwrap(), &figures["t_ci"], TEN_DIGITS, &figures);
}

#[test]
fn adjusted_p_values() {
    let figures = section("multiple");
    let p_values = numbers(&figures["p"]);
    for (method, name) in [(holm as fn(&[f64]) -> _, "holm"), (benjamini_hochberg, "fdr_bh")] {
        for (got, expected) in method(&p_values).unwrap().into_iter().zip(numbers(&figures[name])) {
            close(got, expected, TEN_DIGITS, &name);
        }
    }
}

#[test]
fn power() {
    let figures = section("power");
    let design = Design::default();
    for (parts, n) in rows(&figures["mcnemar_connor_n"]) {
        close(design.sample_size_mcnemar(parts[0], parts[1]).unwrap(), number(n), TEN_DIGITS, n);
    }
    for (parts, detectable) in rows(&figures["mde_table"]) {
        let got = design.minimum_detectable_difference(parts[1].sqrt(), parts[0]).unwrap();
        close(got, number(detectable), TEN_DIGITS, detectable);
    }
    let n = design.sample_size(0.1f64.sqrt(), 0.03).unwrap();
    close(n, number(&figures["n_for_delta_3pp_pd_0_10"]), TEN_DIGITS, &"n_for_delta_3pp_pd_0_10");
    let n = design.sample_size_unpaired(0.85, 0.80).unwrap();
    close(n, number(&figures["unpaired_n_per_arm_p85_vs_80"]), TEN_DIGITS, &"unpaired_n_per_arm_p85_vs_80");
    // Without repeats, the variances simply add up.
    let n = design.sample_size_with_repeats(0.06, [(0.03, 1.0), (0.02, 2.0)], 0.03).unwrap();
    close(n, number(&figures["n_for_delta_3pp_pd_0_10"]), TEN_DIGITS, &"with repeats");
}

#[test]
fn asymptotic_sequences() {
    let figures = section("asymp_cs");
    let sequence = AsymptoticSequence::tightest_at(500, 0.95).unwrap();
    close(sequence.rho(), number(&figures["rho_opt_t500"]), TEN_DIGITS, &figures);
    for (parts, half_width) in rows(&figures["halfwidth"]) {
        close(0.3 * sequence.unit_half_width(parts[0] as u64), number(half_width), TEN_DIGITS, half_width);
    }
}

#[test]
fn finite_populations() {
    let figures = section("finite_population");
    let at = |population, asked, passed| {
        let mut share = FiniteShare::new(population, 0.95).unwrap();
        share.look(Answers { passed, not_passed: asked - passed, unknown: 0 }).unwrap();
        share.bounds()
    };
    for row in list(&figures["single_times"]) {
        let bounds = at(count(&row["N"]), count(&row["t"]), count(&row["k"]));
        assert_eq!(bounds, (count(&row["low"]), count(&row["high"])), "{row}");
    }
    let mut share = FiniteShare::new(1_000, 0.95).unwrap();
    for row in list(&figures["path_of_1000_every_50_running_intersection"]) {
        let [asked, passed, lower, upper] = [0, 1, 2, 3].map(|index| count(&row[index]));
        share.look(Answers { passed, not_passed: asked - passed, unknown: 0 }).unwrap();
        assert_eq!(share.bounds(), (lower, upper), "{row}");
    }
}
