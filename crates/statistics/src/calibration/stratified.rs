//! Labels that are a sample of the items, with the judge's verdicts as strata.

use super::corrected::Corrected;
use crate::error::{Error, at_least, domain, open_unit};
use crate::interval::Interval;
use crate::special::{beta_cdf, ln_beta};

/// The items with the same verdict of a judge: passes, fails, no verdict, or one of the values of a scale.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stratum {
    /// All items of it.
    pub items: u64,
    /// Those that people labelled.
    pub labelled: u64,
    /// How many of these people pass; a sum of probabilities if labels are posteriors.
    pub passed: f64,
}

/// What the result is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Weights {
    /// Items like these: the shares of the strata are themselves uncertain.
    Population,
    /// These very items: the shares are known, and so are the items that were labelled.
    These,
}

/// Points of the integration: the ends of the interval are accurate to about 1e-5.
const POINTS: usize = 1 << 13;
/// The number of quantiles in the table of a distribution.
const KNOTS: usize = 512;

/// The post-stratified share of items that people would pass: its posterior median and interval, with Jeffreys priors.
///
/// With N_k items in stratum k, m_k of them labelled and y_k of these passed: μ_k ~ Beta(y_k + ½, m_k - y_k + ½), the shares of the strata W ~
/// Dirichlet(N_k + ½), and θ = Σ W_k μ_k. A stratum without labels leaves its μ_k anywhere. With [`Weights::These`] the shares
/// are N_k / N, and labels are worth m_k / (1 - m_k / N_k): nothing is unknown about what is labelled.
///
/// Labels must be random within each stratum; how many each has may be chosen ([`neyman`](super::neyman)). `design_effect` divides labels and items: how
/// many of one session count as one; 1 for independent items.
///
/// The integral is over a fixed lattice (Roberts' R sequence), so the result is the same each time.
///
/// Source: Gelman and Little (1997), "Poststratification into many categories using hierarchical logistic regression", Survey Methodology 23;
/// for judges Chen et al. (2026), arXiv 2601.05420, whose efficient estimator has the same strata.
///
/// # Errors
///
/// [`Error::TooFew`] without strata with items or without labels, [`Error::CountExceedsTotal`] when more are labelled than there are,
/// [`Error::Domain`] when more are passed than labelled, for the level, and a design effect below 1.
pub fn post_stratified(
    strata: &[Stratum],
    weights: Weights,
    design_effect: f64,
    level: f64,
) -> Result<Corrected, Error> {
    open_unit("level", level)?;
    domain("design_effect", design_effect, "finite and >= 1", design_effect >= 1.0 && design_effect.is_finite())?;
    let strata: Vec<&Stratum> = strata.iter().filter(|stratum| stratum.items > 0).collect();
    at_least(1, "strata with items", strata.len())?;
    for stratum in &strata {
        crate::error::part_of(stratum.labelled, stratum.items)?;
        let is_part = (0.0..=stratum.labelled as f64 + 1e-9).contains(&stratum.passed);
        domain("passed", stratum.passed, "between 0 and the labels", is_part)?;
    }
    at_least(1, "labels", strata.iter().map(|stratum| stratum.labelled as usize).sum())?;
    let total: f64 = strata.iter().map(|stratum| stratum.items as f64).sum();
    let means: Vec<Table> = strata.iter().map(|stratum| stratum.mean(weights, design_effect)).collect();
    // A Dirichlet is a chain of betas: each the share of the first in what is left.
    let shares: Vec<Table> = (1..strata.len())
        .filter(|_| weights == Weights::Population)
        .map(|k| {
            let here = strata[k - 1].items as f64 / design_effect + 0.5;
            let rest: f64 = strata[k..].iter().map(|stratum| stratum.items as f64 / design_effect + 0.5).sum();
            Table::of_beta(here, rest)
        })
        .collect();
    // The stratum that matters most is integrated exactly, at each point of a lattice over all others.
    let spread = |k: usize| strata[k].items as f64 * (means[k].at(0.84) - means[k].at(0.16));
    let exact = (0..means.len()).max_by(|a, b| spread(*a).total_cmp(&spread(*b))).unwrap_or(0);
    let mut lattice = Lattice::new(means.len() - 1 + shares.len());
    let points: Vec<(f64, f64, f64)> = (0..POINTS)
        .map(|i| {
            let point = lattice.next();
            let (of_means, of_shares) = point.split_at(means.len() - 1);
            let mut of_means = of_means.iter();
            let (mut left, mut others, mut own) = (1.0, 0.0, 0.0);
            for (k, mean) in means.iter().enumerate() {
                let share = match weights {
                    Weights::These => strata[k].items as f64 / total,
                    Weights::Population => left * shares.get(k).map_or(1.0, |share| share.at(of_shares[k])),
                };
                left -= share;
                if k == exact {
                    own = share;
                } else if let Some(u) = of_means.next() {
                    others += share * mean.at(*u);
                }
            }
            // A window over the sequence makes its error fall at least with the square of the number of points.
            let angle = std::f64::consts::PI * (i as f64 + 0.5) / POINTS as f64;
            (others, own, 2.0 * angle.sin().powi(2) / POINTS as f64)
        })
        .collect();
    let below = |theta: f64| -> f64 {
        points.iter().map(|(others, own, weight)| weight * means[exact].below((theta - others) / own)).sum()
    };
    let at = |p: f64| quantile(below, p);
    let interval = Interval { lower: at((1.0 - level) / 2.0), upper: at(f64::midpoint(1.0, level)), level };
    Ok(Corrected { estimate: at(0.5), standard_error: None, interval })
}

/// Where a distribution function on `0..=1` reaches a probability, to 1e-9: between bisection and the secant method, and never much slower than bisection.
///
/// Source: Oliveira and Takahashi (2021), "An enhancement of the bisection method average performance preserving minmax optimality" (ITP), ACM
/// Transactions on Mathematical Software 47, with k1 = 0.2, k2 = 2 and n0 = 1.
fn quantile(below: impl Fn(f64) -> f64, probability: f64) -> f64 {
    const PRECISION: f64 = 5e-10;
    let (mut low, mut high) = (0.0, 1.0);
    let (mut off_low, mut off_high) = (-probability, 1.0 - probability);
    // The steps that bisection may still need, plus one.
    let mut slack = PRECISION * (0.5 / PRECISION).log2().ceil().exp2() * 2.0;
    while high - low > 2.0 * PRECISION {
        let middle = f64::midpoint(low, high);
        let secant = (off_high * low - off_low * high) / (off_high - off_low);
        let towards = (middle - secant).signum();
        let shift = 0.2 * (high - low) * (high - low);
        let truncated = if shift <= (middle - secant).abs() { secant + towards * shift } else { middle };
        let reach = slack - (high - low) / 2.0;
        let x = if (truncated - middle).abs() <= reach { truncated } else { middle - towards * reach };
        let off = below(x) - probability;
        if off < 0.0 {
            (low, off_low) = (x, off);
        } else {
            (high, off_high) = (x, off);
        }
        slack /= 2.0;
    }
    high
}

impl Stratum {
    /// What is known about its share of passes.
    fn mean(&self, weights: Weights, design_effect: f64) -> Table {
        let (items, labelled) = (self.items as f64, self.labelled as f64);
        let worth = match weights {
            Weights::Population => 1.0 / design_effect,
            Weights::These if self.labelled == self.items => return Table::of_point(self.passed / labelled),
            Weights::These => 1.0 / design_effect / (1.0 - labelled / items),
        };
        Table::of_beta(self.passed * worth + 0.5, (labelled - self.passed) * worth + 0.5)
    }
}

/// The quantiles of a distribution over `0..=1`, at the middles of equal parts of probability.
struct Table {
    quantiles: Vec<f64>,
    /// Of the beta distribution; `None` for a point.
    shape: Option<(f64, f64)>,
}

impl Table {
    fn of_point(value: f64) -> Self {
        Self { quantiles: vec![value], shape: None }
    }

    fn of_beta(a: f64, b: f64) -> Self {
        let log_constant = ln_beta(a, b);
        let density = |x: f64| ((a - 1.0) * x.ln() + (b - 1.0) * (-x).ln_1p() - log_constant).exp();
        let mut quantiles = Vec::with_capacity(KNOTS);
        let mut last = 0.0;
        for i in 0..KNOTS {
            let p = (i as f64 + 0.5) / KNOTS as f64;
            let (mut low, mut high, mut x) = (last, 1.0, if last > 0.0 { last } else { a / (a + b) });
            // Newton's steps, kept between the known bounds.
            for _ in 0..100 {
                let off = beta_cdf(x, a, b) - p;
                if off < 0.0 {
                    low = x
                } else {
                    high = x
                }
                let step = x - off / density(x);
                let next = if step > low && step < high { step } else { f64::midpoint(low, high) };
                let is_there = (next - x).abs() <= 1e-12 * next.max(1e-300);
                x = next;
                if is_there || high - low <= f64::EPSILON * high {
                    break;
                }
            }
            quantiles.push(x);
            last = x;
        }
        Self { quantiles, shape: Some((a, b)) }
    }

    /// The quantile of a probability in `0..1`.
    fn at(&self, probability: f64) -> f64 {
        let Self { quantiles, .. } = self;
        let place = probability * quantiles.len() as f64 - 0.5;
        let last = quantiles.len() - 1;
        let low = (place.max(0.0) as usize).min(last);
        let part = (place - low as f64).clamp(0.0, 1.0);
        quantiles[low] + part * (quantiles[(low + 1).min(last)] - quantiles[low])
    }
}

impl Table {
    /// How much of it is below a value: the inverse of [`Table::at`].
    fn below(&self, value: f64) -> f64 {
        let Self { quantiles, shape } = self;
        let next = quantiles.partition_point(|quantile| *quantile < value);
        let Some((a, b)) = *shape else { return next as f64 };
        // The table says nothing beyond the first and the last.
        if next == 0 || next == quantiles.len() {
            return beta_cdf(value, a, b);
        }
        let (low, high) = (quantiles[next - 1], quantiles[next]);
        let part = if high > low { (value - low) / (high - low) } else { 1.0 };
        (next as f64 - 0.5 + part) / quantiles.len() as f64
    }
}

/// Points that fill a cube evenly: multiples of powers of the root of x^(d+1) = x + 1, modulo 1.
///
/// Source: Roberts (2018), "The unreasonable effectiveness of quasirandom sequences"; weights as Niederreiter (1973) and Sugihara and Murota (1982).
struct Lattice {
    steps: Vec<f64>,
    point: Vec<f64>,
}

impl Lattice {
    fn new(dimensions: usize) -> Self {
        let mut root = 2.0f64;
        for _ in 0..64 {
            root = (1.0 + root).powf(1.0 / (dimensions as f64 + 1.0));
        }
        let steps: Vec<f64> = (1..=dimensions).map(|d| root.powf(-(d as f64)) % 1.0).collect();
        Self { point: vec![0.5; steps.len()], steps }
    }

    /// The next point, folded so that the ends of each side meet.
    fn next(&mut self) -> Vec<f64> {
        for (place, step) in self.point.iter_mut().zip(&self.steps) {
            *place = (*place + step) % 1.0;
        }
        self.point.iter().map(|place| 1.0 - (2.0 * place - 1.0).abs()).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::proportion::jeffreys;

    fn stratum(items: u64, labelled: u64, passed: f64) -> Stratum {
        Stratum { items, labelled, passed }
    }

    #[test]
    fn one_stratum_is_jeffreys_interval() {
        let found = post_stratified(&[stratum(1_000, 80, 50.0)], Weights::Population, 1.0, 0.95).unwrap();
        let expected = jeffreys(50, 80, 0.95).unwrap();
        assert!(
            (found.interval.lower - expected.lower).abs() < 1e-4
                && (found.interval.upper - expected.upper).abs() < 1e-4
        );
    }

    #[test]
    fn of_these_items_nothing_is_unknown_once_all_are_labelled() {
        let all = [stratum(60, 60, 50.0), stratum(40, 40, 4.0)];
        let found = post_stratified(&all, Weights::These, 1.0, 0.95).unwrap();
        assert!((found.estimate - 0.54).abs() < 1e-8 && found.interval.width() < 1e-8);
        let half = [stratum(60, 30, 25.0), stratum(40, 20, 2.0)];
        let (these, like) = (
            post_stratified(&half, Weights::These, 1.0, 0.95).unwrap().interval.width(),
            post_stratified(&half, Weights::Population, 1.0, 0.95).unwrap().interval.width(),
        );
        assert!(these < 0.75 * like, "{these} {like}");
    }

    #[test]
    fn a_quantile_is_found_on_slopes_steps_and_flats_with_little_more_than_bisections_30_steps() {
        type Cumulative = fn(f64) -> f64;
        let functions: [(Cumulative, f64, f64); 4] = [
            (|x| x, 0.25, 0.25),
            (|x| x.powi(20), 0.5, 0.965_936_328_924_845_6), // 0.5^(1/20)
            (|x| f64::from(u8::from(x >= 0.3)), 0.5, 0.3),
            (
                |x| {
                    if x < 0.1 {
                        0.0
                    } else if x < 0.9 {
                        0.4
                    } else {
                        1.0
                    }
                },
                0.7,
                0.9,
            ),
        ];
        for (function, probability, expected) in functions {
            let calls = std::cell::Cell::new(0);
            let counted = |x| {
                calls.set(calls.get() + 1);
                function(x)
            };
            let found = quantile(counted, probability);
            assert!((found - expected).abs() <= 1e-9 && calls.get() <= 32, "{found} {expected} {}", calls.get());
        }
    }

    #[test]
    fn bad_arguments_are_errors() {
        let of = |stratum: Stratum, effect, level| post_stratified(&[stratum], Weights::Population, effect, level);
        assert!(of(stratum(10, 11, 1.0), 1.0, 0.95).is_err() && of(stratum(10, 5, 6.0), 1.0, 0.95).is_err());
        assert!(of(stratum(10, 5, f64::NAN), 1.0, 0.95).is_err() && of(stratum(10, 0, 0.0), 1.0, 0.95).is_err());
        assert!(of(stratum(0, 0, 0.0), 1.0, 0.95).is_err() && of(stratum(10, 5, 1.0), 0.5, 0.95).is_err());
        assert!(of(stratum(10, 5, 1.0), 1.0, 1.0).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]

        #[test]
        fn the_median_lies_between_the_strata(a in 0..30u64, b in 0..30u64, n in 1..900u64) {
            let strata = [stratum(n + 30, 30, a as f64), stratum(400, 30, b as f64), stratum(25, 0, 0.0)];
            let found = post_stratified(&strata, Weights::Population, 1.0, 0.9).unwrap();
            prop_assert!(found.interval.contains(found.estimate) && found.interval.lower >= 0.0 && found.interval.upper <= 1.0);
            let wider = post_stratified(&strata, Weights::Population, 2.0, 0.9).unwrap();
            prop_assert!(wider.interval.width() > found.interval.width());
        }

        #[test]
        fn tabulated_quantiles_are_those_of_the_distribution(a in 0.5..400.0f64, b in 0.5..400.0f64, i in 0..KNOTS) {
            let table = Table::of_beta(a, b);
            let p = (i as f64 + 0.5) / KNOTS as f64;
            prop_assert!((beta_cdf(table.at(p), a, b) - p).abs() < 1e-6);
        }
    }
}
