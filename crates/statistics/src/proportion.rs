//! Intervals for one share: a pass rate, an error rate, an agreement rate.
//!
//! | function | coverage | use it |
//! | --- | --- | --- |
//! | [`wilson`] | near the level on average, below it for some shares | by default |
//! | [`clopper_pearson`] | at least the level for every share, wider | when you claim a guarantee |
//! | [`jeffreys`] | near the level on average | when you want a Bayesian interval |
//! | [`wilson_effective`] | as `wilson` | for clustered or weighted items |
//!
//! All take the number of items with the property, the number of items, and the nominal level in `(0, 1)`, and return
//! shares in `0..=1`. Without items the interval is `[0, 1]`: nothing is known.
//!
//! # Errors
//!
//! [`Error::CountExceedsTotal`] when `successes > trials`, [`Error::Domain`] when the level is outside `(0, 1)` or NaN.

use crate::error::{Error, domain, open_unit, part_of, positive};
use crate::interval::Interval;
use crate::special::{beta_quantile, two_sided_z};

/// The Wilson score interval: the shares that a score test does not reject.
///
/// With p̂ = x / n and z the normal quantile for the level,
///
/// ```text
/// (p̂ + z²/2n ± z √(p̂(1 - p̂)/n + z²/4n²)) / (1 + z²/n)
/// ```
///
/// Its lower end is 0 for no success, its upper end 1 for no failure. For one-sided bounds at error rate α, use the level
/// 1 - 2α and one end.
///
/// Source: E. B. Wilson (1927), "Probable inference, the law of succession, and statistical inference", JASA 22, 209-212;
/// recommended in Brown, Cai and DasGupta (2001), "Interval estimation for a binomial proportion", Statistical Science 16.
///
/// # Errors
///
/// See the [module](self).
///
/// ```
/// # use judge_run_statistics::proportion::wilson;
/// let interval = wilson(85, 100, 0.95)?;
/// assert_eq!(format!("{:.4} {:.4}", interval.lower, interval.upper), "0.7672 0.9069");
/// # Ok::<(), judge_run_statistics::Error>(())
/// ```
pub fn wilson(successes: u64, trials: u64, level: f64) -> Result<Interval, Error> {
    let interval = check(successes, trials, level)?;
    if trials == 0 {
        return Ok(interval);
    }
    let score = score_interval(successes as f64 / trials as f64, trials as f64, level);
    Ok(with_exact_ends(score, successes, trials))
}

/// The Wilson interval for a share and an *effective* number of items, which need not be whole.
///
/// For clustered items divide the number by the [design effect](crate::mean::ClusteredMean::design_effect); for weighted
/// ones use Kish's (Σw)²/Σw². Unlike a t interval, this stays inside `0..=1` and keeps a width at shares of 0 and 1. There
/// the design effect cannot be estimated: the number of clusters is then the cautious choice.
///
/// Source: Korn and Graubard (1998), "Confidence intervals for proportions with small expected number of positive counts
/// estimated from survey data", Survey Methodology 24; with Wilson's interval in Dean and Pagano (2015), "Evaluating
/// confidence interval methods for binomial proportions in clustered surveys", J. Survey Statistics and Methodology 3.
///
/// # Errors
///
/// [`Error::Domain`] when the share is outside `0..=1`, `effective_trials` is not positive and finite, or the level is
/// outside `(0, 1)`.
pub fn wilson_effective(share: f64, effective_trials: f64, level: f64) -> Result<Interval, Error> {
    domain("share", share, "in [0, 1]", (0.0..=1.0).contains(&share))?;
    positive("effective_trials", effective_trials)?;
    open_unit("level", level)?;
    let mut interval = score_interval(share, effective_trials, level);
    if share == 0.0 {
        interval.lower = 0.0;
    }
    if share == 1.0 {
        interval.upper = 1.0;
    }
    Ok(interval)
}

/// The Clopper-Pearson ("exact") interval, by inverting two one-sided binomial tests.
///
/// With α = 1 - level, the ends are the Beta quantiles
///
/// ```text
/// Beta⁻¹(α/2; x, n - x + 1)   and   Beta⁻¹(1 - α/2; x + 1, n - x)
/// ```
///
/// and 0 for x = 0, 1 for x = n. One end alone is a bound with error rate α/2: for the upper bound at δ = 0.1 use the
/// level 0.8.
///
/// Source: Clopper and Pearson (1934), "The use of confidence or fiducial limits illustrated in the case of the binomial",
/// Biometrika 26, 404-413.
///
/// # Errors
///
/// See the [module](self).
pub fn clopper_pearson(successes: u64, trials: u64, level: f64) -> Result<Interval, Error> {
    check(successes, trials, level)?;
    let (x, y) = (successes as f64, (trials - successes) as f64);
    Ok(with_exact_ends(beta_interval([x, y + 1.0], [x + 1.0, y], level), successes, trials))
}

/// The equal-tailed Jeffreys interval: quantiles of the posterior Beta(x + 1/2, n - x + 1/2).
///
/// The lower end is 0 for x = 0 and the upper end 1 for x = n, as Brown, Cai and DasGupta recommend, so that the coverage
/// does not collapse at the ends. (statsmodels does not: its lower end for 0 of 10 is 4.8e-5.)
///
/// Source: Brown, Cai and DasGupta (2001), "Interval estimation for a binomial proportion", Statistical Science 16,
/// 101-133, section 3.1.
///
/// # Errors
///
/// See the [module](self).
pub fn jeffreys(successes: u64, trials: u64, level: f64) -> Result<Interval, Error> {
    check(successes, trials, level)?;
    let shape = [successes as f64 + 0.5, (trials - successes) as f64 + 0.5];
    Ok(with_exact_ends(beta_interval(shape, shape, level), successes, trials))
}

/// Checks the arguments; returns the interval for no information.
fn check(successes: u64, trials: u64, level: f64) -> Result<Interval, Error> {
    open_unit("level", level)?;
    part_of(successes, trials)?;
    Ok(Interval { lower: 0.0, upper: 1.0, level })
}

fn score_interval(share: f64, n: f64, level: f64) -> Interval {
    let z = two_sided_z(level);
    let shrunk = z * z / n;
    let centre = share + shrunk / 2.0;
    let half_width = z * (share * (1.0 - share) / n + shrunk / (4.0 * n)).sqrt();
    let [lower, upper] = [-half_width, half_width].map(|offset| ((centre + offset) / (1.0 + shrunk)).clamp(0.0, 1.0));
    Interval { lower, upper, level }
}

/// The lower α/2 quantile of the one Beta distribution and the upper one of the other. A shape of 0 is a point mass at
/// that end, which [`with_exact_ends`] sets.
fn beta_interval(lower: [f64; 2], upper: [f64; 2], level: f64) -> Interval {
    let tail = (1.0 - level) / 2.0;
    Interval {
        lower: if lower[0] == 0.0 { 0.0 } else { beta_quantile(tail, lower[0], lower[1]) },
        // Of the mirrored distribution, since small quantiles are the accurate ones.
        upper: if upper[1] == 0.0 { 1.0 } else { 1.0 - beta_quantile(tail, upper[1], upper[0]) },
        level,
    }
}

fn with_exact_ends(mut interval: Interval, successes: u64, trials: u64) -> Interval {
    if successes == 0 {
        interval.lower = 0.0;
    }
    if successes == trials {
        interval.upper = 1.0;
    }
    interval
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Method = fn(u64, u64, f64) -> Result<Interval, Error>;
    const METHODS: [Method; 3] = [wilson, clopper_pearson, jeffreys];

    #[test]
    fn without_items_nothing_is_known() {
        for method in METHODS {
            assert_eq!(method(0, 0, 0.95), Ok(Interval { lower: 0.0, upper: 1.0, level: 0.95 }));
        }
    }

    #[test]
    fn ends_are_exact_for_shares_of_zero_and_one() {
        for method in METHODS {
            assert_eq!(method(0, 7, 0.9).unwrap().lower, 0.0);
            assert_eq!(method(7, 7, 0.9).unwrap().upper, 1.0);
        }
        assert_eq!(wilson_effective(0.0, 6.5, 0.9).unwrap().lower, 0.0);
        assert_eq!(wilson_effective(1.0, 6.5, 0.9).unwrap().upper, 1.0);
    }

    #[test]
    fn invalid_arguments_are_errors() {
        for method in METHODS {
            assert_eq!(method(3, 2, 0.95), Err(Error::CountExceedsTotal { count: 3, total: 2 }));
            for level in [0.0, 1.0, 95.0, -0.5, f64::NAN] {
                assert!(matches!(method(1, 2, level), Err(Error::Domain { name: "level", .. })));
            }
        }
        assert!(wilson_effective(f64::NAN, 5.0, 0.95).is_err());
        assert!(wilson_effective(1.1, 5.0, 0.95).is_err());
        assert!(wilson_effective(0.5, 0.0, 0.95).is_err());
        assert!(wilson_effective(0.5, f64::INFINITY, 0.95).is_err());
    }

    #[test]
    fn one_upper_end_is_a_bound() {
        // SciPy 1.17.1: `scipy.stats.beta.ppf(1 - delta, x + 1, n - x)`.
        let bounds = [
            (120, 4, 0.1, 0.0655093),
            (80, 1, 0.1, 0.0477518),
            (60, 0, 0.1, 0.0376494),
            (150, 9, 0.1, 0.0930603),
            (200, 20, 0.05, 0.1419893),
        ];
        for (n, x, delta, expected) in bounds {
            let bound = clopper_pearson(x, n, 1.0 - 2.0 * delta).unwrap().upper;
            assert!((bound - expected).abs() < 1e-7, "{n} {x}: {bound}");
        }
    }

    #[test]
    fn a_level_of_nearly_one_stays_in_range() {
        for method in METHODS {
            let interval = method(1, 3, 1.0 - 1e-15).unwrap();
            assert!(0.0 <= interval.lower && interval.lower < 0.02 && interval.upper > 0.95 && interval.upper <= 1.0);
        }
    }

    proptest! {
        #[test]
        fn intervals_lie_in_range_and_hold_the_share(n in 1u64..100_000, part in 0.0..=1.0f64, level in 0.01..0.9999f64) {
            let x = (part * n as f64) as u64;
            for method in METHODS {
                let interval = method(x, n, level).unwrap();
                prop_assert!(0.0 <= interval.lower && interval.upper <= 1.0);
                // Jeffreys' interval at a low level can miss the share: it is around the posterior's median.
                prop_assert!(level < 0.5 || interval.contains(x as f64 / n as f64), "{x}/{n} {interval:?}");
                prop_assert_eq!(interval.level, level);
            }
        }

        #[test]
        fn failures_mirror_successes(n in 1u64..10_000, part in 0.0..=1.0f64, level in 0.01..0.999f64) {
            let x = (part * n as f64) as u64;
            for method in METHODS {
                let (passed, failed) = (method(x, n, level).unwrap(), method(n - x, n, level).unwrap());
                prop_assert!((passed.lower - (1.0 - failed.upper)).abs() < 1e-12);
                prop_assert!((passed.upper - (1.0 - failed.lower)).abs() < 1e-12);
            }
        }

        #[test]
        fn more_successes_raise_both_ends(n in 1u64..5_000, part in 0.0..1.0f64, level in 0.1..0.999f64) {
            let x = (part * n as f64) as u64;
            for method in METHODS {
                let (less, more) = (method(x, n, level).unwrap(), method(x + 1, n, level).unwrap());
                prop_assert!(more.lower > less.lower && more.upper > less.upper - 1e-15);
            }
        }

        #[test]
        fn a_higher_level_or_fewer_items_widen(n in 2u64..5_000, part in 0.0..=1.0f64, level in 0.1..0.99f64) {
            let x = (part * n as f64) as u64;
            for method in METHODS {
                let interval = method(x, n, level).unwrap();
                let higher = method(x, n, level + 0.005).unwrap();
                prop_assert!(higher.lower <= interval.lower && interval.upper <= higher.upper);
                prop_assert!(method(10 * x, 10 * n, level).unwrap().width() < interval.width());
            }
        }

        #[test]
        fn the_exact_interval_contains_the_jeffreys_interval(n in 1u64..5_000, part in 0.0..=1.0f64) {
            let x = (part * n as f64) as u64;
            let (exact, jeffreys) = (clopper_pearson(x, n, 0.95).unwrap(), jeffreys(x, n, 0.95).unwrap());
            prop_assert!(exact.lower <= jeffreys.lower && jeffreys.upper <= exact.upper);
        }

        #[test]
        fn whole_effective_numbers_give_the_wilson_interval(n in 1u64..5_000, part in 0.0..=1.0f64) {
            let x = (part * n as f64) as u64;
            let expected = wilson(x, n, 0.95);
            prop_assert_eq!(wilson_effective(x as f64 / n as f64, n as f64, 0.95), expected);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Exact coverage, by enumeration.
        #[test]
        fn the_exact_interval_never_undercovers(n in 1u64..60, share in 0.001..0.999f64, level in 0.5..0.99f64) {
            let coverage: f64 = (0..=n)
                .filter(|&x| clopper_pearson(x, n, level).unwrap().contains(share))
                .map(|x| {
                    let ln = crate::special::ln_choose(n, x) + x as f64 * share.ln() + (n - x) as f64 * (-share).ln_1p();
                    ln.exp()
                })
                .sum();
            prop_assert!(coverage >= level - 1e-9, "{coverage}");
        }
    }
}
