//! Several candidates, compared two at a time: how strong is each?

mod solve;

use std::collections::HashMap;

use crate::error::{Error, at_least, domain, open_unit};
use crate::interval::Interval;
use crate::multiple::holm;
use crate::special::{normal_cdf, two_sided_z};

/// One comparison.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Battle {
    /// The number of a candidate, from 0.
    pub first: usize,
    /// The number of the other.
    pub second: usize,
    /// 1 if the first is better, 0 if the second is, 0.5 for a tie.
    pub score: f64,
    /// Its cluster, whose comparisons may be alike: the item, prompt or conversation that it is about.
    pub cluster: u64,
}

/// The strengths of candidates.
#[derive(Clone, Debug, PartialEq)]
pub struct BradleyTerry {
    /// By candidate, on the scale of log odds; they add up to 0.
    pub strengths: Vec<f64>,
    /// Of the strengths, allowing any dependence within a cluster.
    covariance: Vec<Vec<f64>>,
    /// The number of clusters.
    pub clusters: usize,
    /// Whether a candidate, or a group of them, won or lost everything. Then no finite strengths fit best, and these are held
    /// together by a weak pull towards 0: the order is right, the distances are not.
    pub is_separated: bool,
}

/// The pull towards 0 where candidates are separated: worth a fiftieth of a comparison.
const RIDGE: f64 = 0.02;
/// Newton's method needs fewer than ten steps.
const MAX_STEPS: usize = 100;

/// The Bradley-Terry model: the candidate i beats j with the probability 1 / (1 + exp(θ_j - θ_i)), and a tie is half a win for each.
///
/// The strengths θ maximise the likelihood, with Σθ = 0, by Newton's method on H + 11ᵀ/k, where H is the information and k the number of
/// candidates. Their covariance is the sandwich
///
/// ```text
/// V = C (Σ_c u_c u_cᵀ) C,   C = (H + 11ᵀ/k)⁻¹ - 11ᵀ/k
/// ```
///
/// with u_c the sum of the scores' residuals in the cluster c. Comparisons of one prompt are alike, so errors without clusters are often
/// a third too small.
///
/// Source: Bradley and Terry (1952), "Rank analysis of incomplete block designs", Biometrika 39, 324-345; existence: Ford (1957), "Solution of
/// a ranking problem from binary comparisons", Amer. Math. Monthly 64, 28-33; sandwich: Liang and Zeger (1986), Biometrika 73, 13-22.
///
/// # Errors
///
/// [`Error::TooFew`] for fewer than two candidates, or where the comparisons do not connect all of them; [`Error::Domain`] for a
/// invalid index of a candidate or score; [`Error::Overflow`] if the numbers exceed what can be computed.
///
/// ```
/// # use judge_run_statistics::ranking::{Battle, bradley_terry};
/// // A beats B in 3 of 4.
/// let battles: Vec<_> =
///     (0..4).map(|n| Battle { first: 0, second: 1, score: if n < 3 { 1.0 } else { 0.0 }, cluster: n }).collect();
/// let fit = bradley_terry(2, &battles)?;
/// assert!((fit.win_probability(0, 1) - 0.75).abs() < 1e-9);
/// # Ok::<(), judge_run_statistics::Error>(())
/// ```
pub fn bradley_terry(candidates: usize, battles: &[Battle]) -> Result<BradleyTerry, Error> {
    at_least(2, "candidates", candidates)?;
    for Battle { first, second, score, .. } in battles {
        domain("score", *score, "0, 0.5 or 1", [0.0, 0.5, 1.0].contains(score))?;
        let highest = *first.max(second);
        domain("candidate", highest as f64, "below the number of candidates", highest < candidates && first != second)?;
    }
    // The candidates reachable from the first over comparisons that were not lost, and over those that were not won.
    let reached = |beats: bool, loses: bool| reached(candidates, battles, beats, loses);
    let connected = reached(true, true);
    at_least(candidates, "connected candidates", connected)?;
    let is_separated = reached(true, false) < candidates || reached(false, true) < candidates;
    let ridge = if is_separated { RIDGE } else { 0.0 };
    let k = candidates as f64;
    let mut strengths = vec![0.0; candidates];
    let mut inverse = Vec::new();
    for _ in 0..MAX_STEPS {
        let (gradient, mut information) = derivatives(&strengths, battles, ridge);
        information.iter_mut().flatten().for_each(|entry| *entry += 1.0 / k);
        inverse = solve::inverse(information).ok_or(Error::Overflow { what: "information" })?;
        let step = solve::times(&inverse, &gradient);
        strengths.iter_mut().zip(&step).for_each(|(strength, step)| *strength += step);
        if step.iter().all(|step| step.abs() < 1e-12) {
            break;
        }
    }
    if strengths.iter().any(|strength| !strength.is_finite()) {
        return Err(Error::Overflow { what: "strength" });
    }
    inverse.iter_mut().flatten().for_each(|entry| *entry -= 1.0 / k);
    let mut sums: HashMap<u64, Vec<f64>> = HashMap::new();
    for battle in battles {
        let residual = battle.score - probability(strengths[battle.first] - strengths[battle.second]);
        let sum = sums.entry(battle.cluster).or_insert_with(|| vec![0.0; candidates]);
        sum[battle.first] += residual;
        sum[battle.second] -= residual;
    }
    let mut middle = vec![vec![0.0; candidates]; candidates];
    for sum in sums.values() {
        for (row, a) in middle.iter_mut().zip(sum) {
            row.iter_mut().zip(sum).for_each(|(entry, b)| *entry += a * b);
        }
    }
    let covariance = solve::product(&solve::product(&inverse, &middle), &inverse);
    Ok(BradleyTerry { strengths, covariance, clusters: sums.len(), is_separated })
}

impl BradleyTerry {
    /// The probability that a candidate beats another.
    pub fn win_probability(&self, first: usize, second: usize) -> f64 {
        probability(self.strengths[first] - self.strengths[second])
    }

    /// The strength on the Elo scale, on which 1000 is average and 400 points are odds of ten to one.
    pub fn elo(&self, candidate: usize) -> f64 {
        1000.0 + 400.0 / std::f64::consts::LN_10 * self.strengths[candidate]
    }

    /// The standard error of a strength.
    pub fn standard_error(&self, candidate: usize) -> f64 {
        self.covariance[candidate][candidate].max(0.0).sqrt()
    }

    /// How much stronger one candidate is than another, with its normal interval: the intervals of two strengths say less.
    ///
    /// # Errors
    ///
    /// [`Error::Domain`] when the level is outside `(0, 1)`.
    pub fn difference(&self, first: usize, second: usize, level: f64) -> Result<Interval, Error> {
        open_unit("level", level)?;
        let v = &self.covariance;
        let variance = v[first][first] + v[second][second] - 2.0 * v[first][second];
        let (difference, margin) =
            (self.strengths[first] - self.strengths[second], two_sided_z(level) * variance.max(0.0).sqrt());
        Ok(Interval { lower: difference - margin, upper: difference + margin, level })
    }
}

impl BradleyTerry {
    /// The strength with its normal interval, relative to the mean of all. To compare two candidates, use [`Self::difference`].
    ///
    /// # Errors
    ///
    /// [`Error::Domain`] when the level is outside `(0, 1)`.
    pub fn strength(&self, candidate: usize, level: f64) -> Result<Interval, Error> {
        open_unit("level", level)?;
        let (strength, margin) = (self.strengths[candidate], two_sided_z(level) * self.standard_error(candidate));
        Ok(Interval { lower: strength - margin, upper: strength + margin, level })
    }

    /// The best and the worst rank that each candidate may have; 1 is the strongest. The best is 1 plus the number of candidates that are significantly
    /// stronger, the worst leaves out those that are significantly weaker, by Wald tests of all differences, adjusted by [`holm`].
    ///
    /// # Errors
    ///
    /// [`Error::Domain`] when the level is outside `(0, 1)`.
    pub fn ranks(&self, level: f64) -> Result<Vec<(usize, usize)>, Error> {
        open_unit("level", level)?;
        let k = self.strengths.len();
        let pairs: Vec<_> = (0..k).flat_map(|i| (i + 1..k).map(move |j| (i, j))).collect();
        let p = |&(i, j): &(usize, usize)| {
            let v = &self.covariance;
            let se = (v[i][i] + v[j][j] - 2.0 * v[i][j]).max(0.0).sqrt();
            let difference = (self.strengths[i] - self.strengths[j]).abs();
            if difference == 0.0 { 1.0 } else { (2.0 * normal_cdf(-difference / se)).clamp(0.0, 1.0) }
        };
        let adjusted = holm(&pairs.iter().map(p).collect::<Vec<_>>())?;
        let mut ranks = vec![(1, k); k];
        for ((i, j), _) in pairs.into_iter().zip(adjusted).filter(|(_, p)| *p < 1.0 - level) {
            let (stronger, weaker) = if self.strengths[i] > self.strengths[j] { (i, j) } else { (j, i) };
            ranks[weaker].0 += 1;
            ranks[stronger].1 -= 1;
        }
        Ok(ranks)
    }
}

fn probability(log_odds: f64) -> f64 {
    1.0 / (1.0 + (-log_odds).exp())
}

/// The gradient of the log-likelihood, and its information.
fn derivatives(strengths: &[f64], battles: &[Battle], ridge: f64) -> (Vec<f64>, Vec<Vec<f64>>) {
    let k = strengths.len();
    let mut gradient: Vec<f64> = strengths.iter().map(|strength| -ridge * strength).collect();
    let mut information = vec![vec![0.0; k]; k];
    (0..k).for_each(|i| information[i][i] = ridge);
    for &Battle { first, second, score, .. } in battles {
        let p = probability(strengths[first] - strengths[second]);
        let weight = p * (1.0 - p);
        gradient[first] += score - p;
        gradient[second] -= score - p;
        information[first][first] += weight;
        information[second][second] += weight;
        information[first][second] -= weight;
        information[second][first] -= weight;
    }
    (gradient, information)
}

/// How many candidates are reached from the first one, over those that each has beaten, or that have beaten it; a tie is both.
fn reached(candidates: usize, battles: &[Battle], beats: bool, loses: bool) -> usize {
    let mut next = vec![Vec::new(); candidates];
    for &Battle { first, second, score, .. } in battles {
        if score > 0.0 && beats || score < 1.0 && loses {
            next[first].push(second);
        }
        if score < 1.0 && beats || score > 0.0 && loses {
            next[second].push(first);
        }
    }
    let mut seen = vec![false; candidates];
    let mut open = vec![0];
    seen[0] = true;
    while let Some(candidate) = open.pop() {
        for &other in &next[candidate] {
            if !std::mem::replace(&mut seen[other], true) {
                open.push(other);
            }
        }
    }
    seen.iter().filter(|seen| **seen).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn battles(of: &[(usize, usize, f64, usize)]) -> Vec<Battle> {
        let each = of.iter().flat_map(|&(first, second, score, n)| vec![(first, second, score); n]);
        each.enumerate().map(|(n, (first, second, score))| Battle { first, second, score, cluster: n as u64 }).collect()
    }

    #[track_caller]
    fn close(got: f64, expected: f64) {
        assert!((got - expected).abs() < 1e-6, "{got} is not {expected}");
    }

    #[test]
    fn candidates_that_are_not_connected_have_no_order() {
        let error = bradley_terry(3, &battles(&[(0, 1, 1.0, 2), (0, 1, 0.0, 1)])).unwrap_err();
        assert_eq!(error, Error::TooFew { what: "connected candidates", required: 3, got: 2 });
        assert!(bradley_terry(2, &battles(&[(0, 1, 0.3, 1)])).is_err());
        assert!(bradley_terry(2, &battles(&[(0, 2, 1.0, 1)])).is_err());
        assert!(bradley_terry(2, &battles(&[(0, 0, 1.0, 1)])).is_err());
        assert!(bradley_terry(1, &[]).is_err());
    }

    #[test]
    fn who_wins_everything_is_held_and_marked() {
        let fit =
            bradley_terry(3, &battles(&[(0, 1, 1.0, 9), (1, 2, 1.0, 4), (2, 1, 1.0, 4), (0, 2, 1.0, 9)])).unwrap();
        assert!(fit.is_separated && fit.strengths[0] > 3.0 && fit.strengths[0].is_finite());
        close(fit.strengths[1], fit.strengths[2]);
        assert!(!bradley_terry(2, &battles(&[(0, 1, 0.5, 3)])).unwrap().is_separated, "ties connect both ways");
    }

    #[test]
    fn a_rank_is_certain_where_all_differences_are() {
        let clear = battles(&[(0, 1, 1.0, 90), (0, 1, 0.0, 10), (1, 2, 1.0, 90), (1, 2, 0.0, 10)]);
        assert_eq!(bradley_terry(3, &clear).unwrap().ranks(0.95).unwrap(), [(1, 1), (2, 2), (3, 3)]);
        let close = battles(&[(0, 1, 1.0, 6), (0, 1, 0.0, 5), (1, 2, 1.0, 90), (1, 2, 0.0, 10)]);
        let fit = bradley_terry(3, &close).unwrap();
        assert_eq!(fit.ranks(0.95).unwrap(), [(1, 2), (1, 2), (3, 3)]);
        let interval = fit.strength(2, 0.95).unwrap();
        assert!(interval.upper < 0.0 && interval.lower < fit.strengths[2]);
        assert!(fit.ranks(0.0).is_err());
    }

    #[test]
    fn a_difference_has_an_interval_and_clusters_widen_it() {
        let of = [(0, 1, 1.0, 70), (0, 1, 0.0, 30)];
        let single = bradley_terry(2, &battles(&of)).unwrap();
        let interval = single.difference(0, 1, 0.95).unwrap();
        // logit(0.7) ± 1.96 / √(100 · 0.7 · 0.3)
        close(interval.lower, (0.7_f64 / 0.3).ln() - 1.959_963_985 / 21.0_f64.sqrt());
        let pairs = battles(&of).into_iter().map(|battle| Battle { cluster: battle.cluster / 2, ..battle });
        let doubled = bradley_terry(2, &pairs.collect::<Vec<_>>()).unwrap();
        close(doubled.difference(0, 1, 0.95).unwrap().width(), interval.width() * 2.0_f64.sqrt());
        close(single.elo(0) - single.elo(1), 400.0 * (0.7_f64 / 0.3).log10());
        assert!(single.difference(0, 1, 1.0).is_err());
    }
}
