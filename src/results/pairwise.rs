//! Whose outputs are preferred: win rates, strengths, and whether the order in which outputs are shown decides.

use std::collections::{BTreeMap, HashMap};

use judge_run_statistics::proportion::wilson_effective;
use judge_run_statistics::ranking::{Battle, BradleyTerry, bradley_terry};

use super::caveat::Method;
use super::estimate::Estimate;
use super::figures::Clustered;
use super::opinions::Group;
use super::pairs::{PairFigures, Pairwise, SideFigures, Strength};
use super::preference::Preference;
use crate::feedback::TIE;

/// The outcome of both orders of a pair.
struct Decision {
    /// The places of the sides.
    sides: [usize; 2],
    /// Of the first: 1 for a win, 0.5 for a tie.
    score: f64,
    /// Whether both orders agree; `None` if only one was requested.
    is_consistent: Option<bool>,
    cluster: u64,
}

/// The figures of a group, if it is of a judge of pairs.
pub(super) fn pairwise(group: &Group, level: f64) -> Option<Pairwise> {
    let preferences = &group.preferences;
    let mut names: Vec<u32> = preferences.iter().flat_map(|preference| preference.shown).collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        return None;
    }
    let clusters = Together::of(preferences);
    let (decisions, n_one_order) = decisions(group, &names, &clusters);
    let consistent = decisions.iter().filter_map(|of| Some((of.cluster, f64::from(u8::from(of.is_consistent?)))));
    let is_vote = |of: &&Preference| of.consistent.is_none() && !of.is_one_order;
    let firsts = preferences.iter().filter(|of| is_vote(of) && of.shown.contains(&of.verdict));
    let firsts =
        firsts.map(|of| (clusters.root(of.together[0]), f64::from(u8::from(of.verdict == of.shown[0])))).collect();
    let fit = (names.len() > 2).then(|| fit(&decisions, names.len())).flatten();
    let text = |place: usize| group.labels.text(names[place]).to_owned();
    let mut sides: Vec<_> = (0..names.len())
        .map(|place| {
            let of_side = |of: &Decision| {
                let score = if of.sides[0] == place { of.score } else { 1.0 - of.score };
                of.sides.contains(&place).then_some((of.cluster, score))
            };
            let scores: Vec<_> = decisions.iter().filter_map(of_side).collect();
            let times = |wanted: f64| scores.iter().filter(|(_, score)| *score == wanted).count() as u64;
            let strength = fit.as_ref().and_then(|fit| strength(fit, place, level));
            let (wins, losses, ties) = (times(1.0), times(0.0), times(0.5));
            SideFigures { name: text(place), wins, losses, ties, win_rate: rate(scores, level), strength }
        })
        .collect();
    let by = |side: &SideFigures| {
        side.strength.map_or_else(|| side.win_rate.as_ref().map_or(0.0, |rate| rate.estimate), |strength| strength.elo)
    };
    sides.sort_by(|a, b| by(b).total_cmp(&by(a)));
    Some(Pairwise {
        n: decisions.len() as u64,
        n_one_order,
        n_position_biased: decisions.iter().filter(|of| of.is_consistent.is_none()).count() as u64,
        consistency: Clustered::of(consistent.collect()).share(level),
        first_preferred: Clustered::of(firsts).share(level),
        sides,
        pairs: pairs(&decisions, text, level),
        is_separated: fit.is_some_and(|fit| fit.is_separated),
    })
}

/// The outcomes of the pairs, and how many have a verdict in one order only.
fn decisions(group: &Group, names: &[u32], clusters: &Together) -> (Vec<Decision>, u64) {
    let place = |name: u32| names.binary_search(&name).unwrap_or(0);
    let is_tie = |verdict: u32| group.labels.text(verdict) == TIE;
    let decision = |of: &Preference, is_consistent: Option<bool>| {
        let [first, second] = of.shown.map(place);
        let score = match of.verdict {
            verdict if is_consistent == Some(false) || is_tie(verdict) => 0.5,
            verdict if verdict == of.shown[0] => 1.0,
            _ => 0.0,
        };
        let swaps = first > second;
        let sides = if swaps { [second, first] } else { [first, second] };
        let score = if swaps { 1.0 - score } else { score };
        Decision { sides, score, is_consistent, cluster: clusters.root(of.together[0]) }
    };
    let mut decisions = Vec::new();
    let mut waiting: HashMap<((u64, u64), [u32; 2]), &Preference> = HashMap::new();
    for of in &group.preferences {
        if let Some((same, all)) = of.consistent {
            decisions.push(Decision { is_consistent: Some(same == all), ..decision(of, None) });
            continue;
        }
        if of.is_one_order {
            decisions.push(decision(of, None));
            continue;
        }
        let [a, b] = of.shown;
        match waiting.remove(&(of.key, [b, a])) {
            Some(other) => decisions.push(decision(other, Some(other.verdict == of.verdict))),
            None => _ = waiting.insert((of.key, of.shown), of),
        }
    }
    (decisions, waiting.len() as u64)
}

fn pairs(decisions: &[Decision], name: impl Fn(usize) -> String, level: f64) -> Vec<PairFigures> {
    let mut by_sides: BTreeMap<[usize; 2], Vec<&Decision>> = BTreeMap::new();
    decisions.iter().for_each(|of| by_sides.entry(of.sides).or_default().push(of));
    let figures = |([first, second], of): ([usize; 2], Vec<&Decision>)| {
        let times = |wanted: f64| of.iter().filter(|of| of.score == wanted).count() as u64;
        PairFigures {
            first: name(first),
            second: name(second),
            n: of.len() as u64,
            first_wins: times(1.0),
            second_wins: times(0.0),
            ties: times(0.5),
            inconsistent: of.iter().filter(|of| of.is_consistent == Some(false)).count() as u64,
            win_rate: rate(of.iter().map(|of| (of.cluster, of.score)).collect(), level),
        }
    };
    by_sides.into_iter().map(figures).collect()
}

/// The mean of scores of 0, 0.5 and 1. Ties make the interval of a share too wide, if anything, and it stays within 0 and 1.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn rate(scores: Vec<(u64, f64)>, level: f64) -> Option<Estimate> {
    let n = scores.len() as u64;
    let clustered = Clustered::of(scores);
    let share = clustered.whole().mean()?;
    let known = clustered.robust().filter(|_| share > 0.0 && share < 1.0).map(|robust| robust.effective_n());
    let (effective, method) = match clustered.clusters_if_any() {
        Some(clusters) => (known.unwrap_or(clusters as f64).min(n as f64), Method::WilsonClustered),
        None => (n as f64, Method::Wilson),
    };
    let interval = wilson_effective(share, effective, level).ok()?;
    Some(Estimate { estimate: share, low: interval.lower, high: interval.upper, level, method, n })
}

/// The model of the strengths; `None` where the sides are not all connected by comparisons.
fn fit(decisions: &[Decision], sides: usize) -> Option<BradleyTerry> {
    let battle =
        |of: &Decision| Battle { first: of.sides[0], second: of.sides[1], score: of.score, cluster: of.cluster };
    bradley_terry(sides, &decisions.iter().map(battle).collect::<Vec<_>>()).ok()
}

fn strength(fit: &BradleyTerry, side: usize, level: f64) -> Option<Strength> {
    let interval = fit.strength(side, level).ok()?;
    let (best_rank, worst_rank) = *fit.ranks(level).ok()?.get(side)?;
    let per_unit = 400.0 / std::f64::consts::LN_10;
    Some(Strength {
        elo: fit.elo(side),
        low: 1000.0 + per_unit * interval.lower,
        high: 1000.0 + per_unit * interval.upper,
        best_rank: best_rank as u64,
        worst_rank: worst_rank as u64,
    })
}

/// Traces of one item, to which systems may give different ids, and their sessions.
struct Together(HashMap<u64, u64>);

impl Together {
    fn of(preferences: &[Preference]) -> Self {
        let mut together = Self(HashMap::new());
        for [first, others @ ..] in preferences.iter().map(|of| of.together) {
            for other in others {
                let (a, b) = (together.root(first), together.root(other));
                if a != b {
                    // A session may have many traces: all of them point to one.
                    together.0.insert(b, a);
                }
            }
        }
        together
    }

    /// The same for all that belong together.
    fn root(&self, mut of: u64) -> u64 {
        while let Some(next) = self.0.get(&of) {
            of = *next;
        }
        of
    }
}
