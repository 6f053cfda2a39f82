//! Distribution functions and their inverses, over the special functions of `spec_math` (Cephes).
//!
//! Quantiles are found by bisection of the distribution function, down to neighbouring floating-point numbers: the
//! closed-form inverses of the crates that were compared are wrong in the tails (AS 109 in statrs and special,
//! `incbi` and `stdtri` of Cephes). Arguments are validated by the callers.

use spec_math::cephes64::{incbet, lgam, ndtr, ndtri};

/// The standard normal distribution function.
pub(crate) fn normal_cdf(z: f64) -> f64 {
    ndtr(z)
}

/// The `p` quantile of the standard normal distribution; infinite at 0 and 1.
pub(crate) fn normal_quantile(p: f64) -> f64 {
    if p <= 0.0 {
        f64::NEG_INFINITY
    } else if p >= 1.0 {
        f64::INFINITY
    } else {
        ndtri(p)
    }
}

/// The normal quantile that leaves `(1 - level) / 2` on either side.
pub(crate) fn two_sided_z(level: f64) -> f64 {
    -normal_quantile((1.0 - level) / 2.0)
}

/// The distribution function of Beta(`a`, `b`): the regularized incomplete beta function.
pub(crate) fn beta_cdf(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 {
        0.0
    } else if x >= 1.0 {
        1.0
    } else {
        incbet(a, b, x).clamp(0.0, 1.0)
    }
}

/// The `p` quantile of Beta(`a`, `b`), exact to the last digits for small `p`.
pub(crate) fn beta_quantile(p: f64, a: f64, b: f64) -> f64 {
    boundary(0.0, 1.0, |x| beta_cdf(x, a, b) < p)
}

/// P(T > `t`) for Student's distribution.
///
/// The tail is I_x(df/2, 1/2) / 2 with x = df / (df + t²) (Abramowitz and Stegun 26.5.27); near the centre the complement
/// in t² / (df + t²) is the accurate one, since x rounds to 1 for many degrees of freedom.
pub(crate) fn student_upper_tail(t: f64, df: f64) -> f64 {
    if t < 0.0 {
        return 1.0 - student_upper_tail(-t, df);
    }
    let ratio = (t / df.sqrt()).powi(2);
    if t < 3.0 {
        0.5 * (1.0 - beta_cdf(ratio / (1.0 + ratio), 0.5, df / 2.0))
    } else {
        0.5 * beta_cdf(1.0 / (1.0 + ratio), df / 2.0, 0.5)
    }
}

/// The `t` with P(T > `t`) = `p`, for `p` up to 1/2.
pub(crate) fn student_upper_quantile(p: f64, df: f64) -> f64 {
    let mut high = 1.0;
    while student_upper_tail(high, df) > p && high < f64::MAX / 2.0 {
        high *= 2.0;
    }
    boundary(0.0, high, |t| student_upper_tail(t, df) > p)
}

/// P(X <= `k`) for `n` trials with success probability `p` in `(0, 1)`.
pub(crate) fn binomial_cdf(k: u64, n: u64, p: f64) -> f64 {
    if k >= n { 1.0 } else { beta_cdf(1.0 - p, (n - k) as f64, k as f64 + 1.0) }
}

/// The natural logarithm of the beta function.
pub(crate) fn ln_beta(a: f64, b: f64) -> f64 {
    lgam(a) + lgam(b) - lgam(a + b)
}

/// The natural logarithm of the binomial coefficient.
pub(crate) fn ln_choose(n: u64, k: u64) -> f64 {
    if k == 0 || k >= n { 0.0 } else { -ln_beta(k as f64 + 1.0, (n - k) as f64 + 1.0) - (n as f64 + 1.0).ln() }
}

/// Where `is_below` turns from true to false between `low` and `high`: the smallest number found for which it is false.
/// Returns `low` or `high` (to within one step) when it never turns.
pub(crate) fn boundary(mut low: f64, mut high: f64, is_below: impl Fn(f64) -> bool) -> f64 {
    if !is_below(low) {
        return low;
    }
    loop {
        let middle = low + (high - low) / 2.0;
        if middle <= low || middle >= high {
            return high;
        }
        if is_below(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn close(got: f64, expected: f64, relative: f64) {
        assert!((got - expected).abs() <= relative * expected.abs(), "{got:e} is not {expected:e}");
    }

    /// SciPy 1.17.1: `scipy.stats.beta.ppf(p, a, b)`.
    #[test]
    fn beta_quantiles_match_scipy() {
        close(beta_quantile(0.025, 85.0, 16.0), 0.7646924998510451, 1e-12);
    }

    /// SciPy 1.17.1: `scipy.stats.t.isf(p, df)`.
    #[test]
    fn student_quantiles_match_scipy() {
        close(student_upper_quantile(0.025, 5.0), 2.5705818356363155, 1e-12);
    }

    #[test]
    fn ends_of_the_range_are_exact() {
        assert_eq!(beta_cdf(0.0, 2.0, 3.0), 0.0);
        assert_eq!(beta_cdf(1.0, 2.0, 3.0), 1.0);
        assert_eq!(normal_quantile(0.0), f64::NEG_INFINITY);
        assert_eq!(student_upper_tail(f64::INFINITY, 3.0), 0.0);
        assert_eq!(binomial_cdf(5, 5, 0.5), 1.0);
        assert_eq!(ln_choose(7, 0), 0.0);
        assert_eq!(ln_choose(7, 7), 0.0);
    }

    #[test]
    fn a_boundary_that_is_never_crossed_is_an_end() {
        assert_eq!(boundary(-1.0, 1.0, |_| false), -1.0);
        assert_eq!(boundary(-1.0, 1.0, |_| true), 1.0);
    }

    proptest! {
        #[test]
        fn beta_quantile_inverts_the_distribution(p in 0.001..0.999f64, a in 0.5..1e6f64, b in 0.5..1e6f64) {
            prop_assert!((beta_cdf(beta_quantile(p, a, b), a, b) - p).abs() < 1e-8);
        }

        #[test]
        fn student_quantile_inverts_the_tail(p in 1e-6..0.5f64, df in 1.0..1e6f64) {
            let back = student_upper_tail(student_upper_quantile(p, df), df);
            prop_assert!((back - p).abs() < 1e-8 * p.max(1e-3));
        }

        #[test]
        fn coefficients_satisfy_pascals_rule(n in 1u64..500, k in 1u64..500) {
            prop_assume!(k <= n);
            let sum = ln_choose(n, k).exp() + ln_choose(n, k - 1).exp();
            prop_assert!((sum / ln_choose(n + 1, k).exp() - 1.0).abs() < 1e-10);
        }
    }
}
