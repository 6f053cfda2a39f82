//! What a comparison can detect, and how many items it needs.

use crate::error::{Error, domain, open_unit, positive};
use crate::interval::Alternative;
use crate::special::{normal_quantile, two_sided_z};

/// The error rates that a comparison is planned for. By default 5 % two-sided, and 80 % power.
///
/// All sample sizes are returned as computed, not rounded: take [`f64::ceil`]. They count *independent* items; multiply by
/// the [design effect](crate::mean::ClusteredMean::design_effect) for clustered ones. The normal quantiles are those of
/// large samples: for fewer than 20 items or so the true need is slightly higher.
///
/// ```
/// # use judge_run_statistics::power::Design;
/// // 200 items, of which 10 % change their verdict from run to run.
/// let detectable = Design::default().minimum_detectable_difference(0.1f64.sqrt(), 200.0)?;
/// assert!((detectable - 0.0626).abs() < 1e-4);
/// # Ok::<(), judge_run_statistics::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Design {
    /// The probability of a false alarm, in `(0, 1)`.
    pub alpha: f64,
    /// The probability of detecting a difference of the planned size, in `(0, 1)`.
    pub power: f64,
    /// Whether either direction counts, or only one.
    pub alternative: Alternative,
}

impl Default for Design {
    fn default() -> Self {
        Self { alpha: 0.05, power: 0.8, alternative: Alternative::TwoSided }
    }
}

impl Design {
    /// The smallest true difference that is detected with the planned power: (z_α + z_β) sd / √n.
    ///
    /// `sd` is the standard deviation of the paired differences, in the unit of the scores; for verdicts that pass or fail
    /// it is about the square root of the share of pairs that differ. `n` may be an effective number. With z_α the normal
    /// quantile for 1 - α/2 (or 1 - α for one direction) and z_β the one for the power.
    ///
    /// Source: Miller (2024), "Adding error bars to evals", arXiv 2411.00640 (minimum detectable effect); the formula is
    /// textbook, e.g. Fleiss, Levin and Paik (2003), "Statistical methods for rates and proportions", 3rd edition.
    ///
    /// # Errors
    ///
    /// [`Error::Domain`] when α or the power is outside `(0, 1)`, `sd` is negative or not finite, or `n` not positive.
    pub fn minimum_detectable_difference(&self, sd: f64, n: f64) -> Result<f64, Error> {
        domain("sd", sd, "finite and >= 0", sd >= 0.0 && sd.is_finite())?;
        positive("n", n)?;
        Ok(self.z_sum()? * sd / n.sqrt())
    }

    /// The number of pairs needed to detect a mean difference: ((z_α + z_β) sd / difference)², the inverse of
    /// [`minimum_detectable_difference`](Self::minimum_detectable_difference).
    ///
    /// # Errors
    ///
    /// [`Error::Domain`] as there, and for a difference that is 0 or not finite.
    pub fn sample_size(&self, sd: f64, difference: f64) -> Result<f64, Error> {
        domain("sd", sd, "finite and >= 0", sd >= 0.0 && sd.is_finite())?;
        non_zero(difference)?;
        Ok((self.z_sum()? * sd / difference).powi(2))
    }

    /// The number of items to detect a mean difference when each is judged several times in both runs:
    /// (z_α + z_β)² (ω² + σ_A²/K_A + σ_B²/K_B) / difference².
    ///
    /// `between` is ω², the variance over items of the difference of the items' own means; `within` holds (σ², K) for each
    /// run, the mean variance of an item's repeats and their number. Repeats shrink only the second part.
    ///
    /// Source: Miller (2024), "Adding error bars to evals", arXiv 2411.00640 (sample-size formula).
    ///
    /// # Errors
    ///
    /// [`Error::Domain`] for a variance that is negative or not finite, a number of repeats that is not positive, a
    /// difference that is 0 or not finite, α or the power.
    pub fn sample_size_with_repeats(
        &self,
        between: f64,
        within: [(f64, f64); 2],
        difference: f64,
    ) -> Result<f64, Error> {
        let mut variance = domain("between", between, "finite and >= 0", between >= 0.0 && between.is_finite())?;
        for (within, repeats) in within {
            domain("within", within, "finite and >= 0", within >= 0.0 && within.is_finite())?;
            variance += within / positive("repeats", repeats)?;
        }
        self.sample_size(variance.sqrt(), difference)
    }

    /// The number of pairs for McNemar's test to detect a difference of pass rates, when a share `discordance` of the pairs
    /// differs: (z_α √ψ + z_β √(ψ - δ²))² / δ².
    ///
    /// Source: Connor (1987), "Sample size for testing differences in proportions for the paired-sample design", Biometrics
    /// 43, 207-211.
    ///
    /// # Errors
    ///
    /// [`Error::Domain`] unless 0 < |difference| ≤ discordance ≤ 1, and for α or the power.
    pub fn sample_size_mcnemar(&self, discordance: f64, difference: f64) -> Result<f64, Error> {
        non_zero(difference)?;
        let possible = discordance <= 1.0 && difference.abs() <= discordance;
        domain("discordance", discordance, "in [|difference|, 1]", possible)?;
        let [z_alpha, z_beta] = self.z()?;
        let root = z_alpha * discordance.sqrt() + z_beta * (discordance - difference * difference).max(0.0).sqrt();
        Ok((root / difference).powi(2))
    }

    /// The number of items *in each run* to tell two pass rates apart when the runs share no items:
    /// (z_α + z_β)² (p₁(1 - p₁) + p₂(1 - p₂)) / (p₁ - p₂)².
    ///
    /// Source: textbook, with unpooled variances; e.g. Fleiss, Levin and Paik (2003), chapter 4.
    ///
    /// # Errors
    ///
    /// [`Error::Domain`] when a share is outside `0..=1`, the shares are equal, and for α or the power.
    pub fn sample_size_unpaired(&self, first: f64, second: f64) -> Result<f64, Error> {
        for share in [first, second] {
            domain("share", share, "in [0, 1]", (0.0..=1.0).contains(&share))?;
        }
        self.sample_size((first * (1.0 - first) + second * (1.0 - second)).sqrt(), first - second)
    }

    fn z(&self) -> Result<[f64; 2], Error> {
        let tail = match self.alternative {
            Alternative::TwoSided => open_unit("alpha", self.alpha)? / 2.0,
            Alternative::Less | Alternative::Greater => open_unit("alpha", self.alpha)?,
        };
        Ok([-normal_quantile(tail), normal_quantile(open_unit("power", self.power)?)])
    }

    fn z_sum(&self) -> Result<f64, Error> {
        let [z_alpha, z_beta] = self.z()?;
        // Negative only for a power below α, when no data are needed.
        Ok((z_alpha + z_beta).max(0.0))
    }
}

/// The number of items for which the Wilson interval of a `share` is as wide as `margin` on either side, by solving its
/// half-width for n: z² (pq - 2h² + √(p²q² - 4pq h² + h²)) / (2h²) with q = 1 - p.
///
/// Not rounded; 0 when the margin is so wide that no item is needed. If the share is unknown use 0.5, the worst case.
///
/// Source: Piegorsch (2004), "Sample sizes for improved binomial confidence intervals", Computational Statistics and Data
/// Analysis 46, 309-316.
///
/// # Errors
///
/// [`Error::Domain`] when the share is outside `0..=1`, the margin or the level outside `(0, 1)`.
pub fn sample_size_for_margin(share: f64, margin: f64, level: f64) -> Result<f64, Error> {
    domain("share", share, "in [0, 1]", (0.0..=1.0).contains(&share))?;
    open_unit("margin", margin)?;
    open_unit("level", level)?;
    let (variance, square) = (share * (1.0 - share), margin * margin);
    let root = (variance * variance - 4.0 * variance * square + square).max(0.0).sqrt();
    let n = two_sided_z(level).powi(2) * (variance - 2.0 * square + root) / (2.0 * square);
    Ok(n.max(0.0))
}

fn non_zero(difference: f64) -> Result<f64, Error> {
    domain("difference", difference, "finite and not 0", difference.is_finite() && difference != 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proportion::wilson_effective;
    use proptest::prelude::*;

    #[test]
    fn scores_that_do_not_vary_need_no_items() {
        let design = Design::default();
        assert_eq!(design.minimum_detectable_difference(0.0, 10.0), Ok(0.0));
        assert_eq!(design.sample_size(0.0, 0.1), Ok(0.0));
        assert_eq!(design.sample_size_unpaired(0.0, 1.0), Ok(0.0));
    }

    #[test]
    fn one_direction_needs_fewer_items() {
        let one_sided = Design { alternative: Alternative::Less, ..Design::default() };
        assert!(one_sided.sample_size(0.3, 0.05).unwrap() < Design::default().sample_size(0.3, 0.05).unwrap());
    }

    #[test]
    fn invalid_arguments_are_errors() {
        let design = Design::default();
        for bad in [f64::NAN, f64::INFINITY, -1.0] {
            assert!(design.minimum_detectable_difference(bad, 10.0).is_err());
            assert!(design.minimum_detectable_difference(0.3, bad).is_err());
            assert!(design.sample_size(bad, 0.1).is_err());
            assert!(design.sample_size_with_repeats(bad, [(0.1, 1.0); 2], 0.1).is_err());
            assert!(design.sample_size_with_repeats(0.1, [(bad, 1.0), (0.1, 1.0)], 0.1).is_err());
            assert!(design.sample_size_mcnemar(bad, 0.1).is_err());
            assert!(design.sample_size_unpaired(bad, 0.1).is_err());
            assert!(sample_size_for_margin(bad, 0.1, 0.95).is_err());
            assert!(sample_size_for_margin(0.5, bad, 0.95).is_err());
            assert!(sample_size_for_margin(0.5, 0.1, bad).is_err());
            assert!(Design { alpha: bad, ..design }.sample_size(0.3, 0.1).is_err());
            assert!(Design { power: bad, ..design }.sample_size(0.3, 0.1).is_err());
        }
        assert!(design.minimum_detectable_difference(0.3, 0.0).is_err());
        assert!(design.sample_size(0.3, 0.0).is_err() && design.sample_size(0.3, f64::NAN).is_err());
        assert!(design.sample_size_with_repeats(0.1, [(0.1, 0.0); 2], 0.1).is_err());
        assert!(design.sample_size_mcnemar(0.04, 0.05).is_err());
        assert!(design.sample_size_unpaired(0.5, 0.5).is_err());
    }

    #[test]
    fn a_wide_margin_needs_nothing() {
        assert_eq!(sample_size_for_margin(0.5, 0.5, 0.95), Ok(0.0));
        assert_eq!(sample_size_for_margin(0.5, 0.9, 0.95), Ok(0.0));
    }

    proptest! {
        #[test]
        fn sample_size_inverts_the_detectable_difference(
            sd in 0.01..5.0f64, n in 2.0..1e6f64, alpha in 0.001..0.2f64, power in 0.5..0.99f64,
        ) {
            let design = Design { alpha, power, alternative: Alternative::TwoSided };
            let difference = design.minimum_detectable_difference(sd, n).unwrap();
            prop_assert!((design.sample_size(sd, difference).unwrap() / n - 1.0).abs() < 1e-9);
            prop_assert!((design.sample_size(sd, -difference).unwrap() / n - 1.0).abs() < 1e-9);
        }

        #[test]
        fn more_power_or_a_smaller_difference_need_more_items(
            discordance in 0.05..1.0f64, part in 0.1..0.9f64, power in 0.5..0.95f64,
        ) {
            let design = Design { power, ..Design::default() };
            let n = design.sample_size_mcnemar(discordance, part * discordance).unwrap();
            let stronger = Design { power: power + 0.02, ..design };
            prop_assert!(stronger.sample_size_mcnemar(discordance, part * discordance).unwrap() > n);
            prop_assert!(design.sample_size_mcnemar(discordance, 0.9 * part * discordance).unwrap() > n);
            // The general formula ignores that the variance shrinks with the difference.
            prop_assert!(n <= design.sample_size(discordance.sqrt(), part * discordance).unwrap());
        }

        #[test]
        fn the_margin_is_the_half_width_of_the_interval(share in 0.0..=1.0f64, margin in 0.005..0.3f64, level in 0.5..0.999f64) {
            let n = sample_size_for_margin(share, margin, level).unwrap();
            prop_assume!(n > 0.0);
            let z = two_sided_z(level);
            let half_width = z * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt() / (1.0 + z * z / n);
            prop_assert!((half_width - margin).abs() < 1e-9);
            prop_assert!(wilson_effective(share, n, level).unwrap().width() <= 2.0 * margin + 1e-9);
        }
    }
}
