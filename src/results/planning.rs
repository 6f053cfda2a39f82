//! How many traces a question needs: for an interval of some width, or to find a drop of some size.

use judge_run_statistics::power::{Design, sample_size_for_margin};
use judge_run_statistics::proportion::wilson_effective;
use serde::{Deserialize, Serialize};

use super::report::{Estimate, JudgeReport};

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wanted {
    /// Half the width of the interval: a share, or a part of the range of a judge's numbers.
    pub margin: f64,
    /// A drop that is to be found, alike.
    pub drop: f64,
    /// The share of verdicts that differ between two runs when neither is worse.
    pub discordance: f64,
    /// The level of intervals; the rest is the error rate of tests.
    pub level: f64,
}

/// What that needs, for one judge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Needs {
    /// The judge's name.
    pub name: String,
    /// The model URI.
    pub source_id: String,
    /// The share or mean so far.
    pub estimate: f64,
    /// Verdicts so far.
    pub n: u64,
    /// How many verdicts are worth one independent verdict.
    pub design_effect: f64,
    /// For an interval of this width.
    pub margin: Need,
    /// To find a drop of this size with 80 % power.
    pub drop: Need,
    /// Half the width of the interval so far; absent if nothing is known about this many traces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin_now: Option<f64>,
    /// The smallest drop that two runs over the same number of traces would show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detectable_now: Option<f64>,
}

/// What to assume before there is a log.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Assumed {
    /// The share of verdicts that are good.
    pub rate: f64,
    /// How many traces there are, if that is known.
    pub traces: Option<u64>,
    /// How many verdicts are worth one independent verdict: more than 1 if traces of a session are alike.
    pub design_effect: f64,
    /// Of one judgment, in US dollars.
    pub cost_usd: Option<f64>,
}

/// What a judge of shares needs, by assumption; `None` if a share is invalid, or nothing is requested.
pub fn needs_of(assumed: &Assumed, wanted: &Wanted) -> Option<Needs> {
    let Assumed { rate, traces, design_effect, cost_usd } = *assumed;
    let design = Design { alpha: 1.0 - wanted.level, ..Design::default() };
    let discordance = wanted.discordance.max(wanted.drop);
    let need = |wanted: f64, independent: f64| {
        let traces = (independent * design_effect).ceil();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, and saturating")]
        Need { wanted, traces: traces as u64, cost_usd: cost_usd.map(|each| each * traces) }
    };
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    let effective = traces.filter(|n| *n > 0).map(|n| n as f64 / design_effect);
    let half = |n: f64| {
        let interval = wilson_effective(rate, n, wanted.level).ok()?;
        Some((interval.upper - interval.lower) / 2.0)
    };
    Some(Needs {
        name: String::new(),
        source_id: String::new(),
        estimate: rate,
        n: traces.unwrap_or(0),
        design_effect,
        margin: need(wanted.margin, sample_size_for_margin(rate, wanted.margin, wanted.level).ok()?),
        drop: need(wanted.drop, design.sample_size_mcnemar(discordance, wanted.drop).ok()?),
        margin_now: effective.and_then(half),
        detectable_now: effective.and_then(|n| design.minimum_detectable_difference(discordance.sqrt(), n).ok()),
    })
}

/// A number of traces, and its cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Need {
    /// What is requested, in the unit of the verdicts.
    pub wanted: f64,
    /// Traces; if a judge judges spans or sessions, those.
    pub traces: u64,
    /// In US dollars, for one run, where costs are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<f64>,
}

/// What a judge needs, by its verdicts so far; `None` if these are neither good or bad nor numbers.
pub fn needs(judge: &JudgeReport, wanted: &Wanted) -> Option<Needs> {
    let figures = &judge.figures;
    let design_effect = figures.clusters.map_or(1.0, |clusters| clusters.design_effect.max(1.0));
    let design = Design { alpha: 1.0 - wanted.level, ..Design::default() };
    let Estimate { estimate, low, high, n, .. } = *figures.pass.as_ref().or(figures.mean.as_ref())?;
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    let effective = n as f64 / design_effect;
    let (unit, for_margin, for_drop, sd) = match figures.pass {
        Some(_) => {
            let discordance = wanted.discordance.max(wanted.drop);
            let for_margin = sample_size_for_margin(estimate, wanted.margin, wanted.level).ok()?;
            (1.0, for_margin, design.sample_size_mcnemar(discordance, wanted.drop).ok()?, discordance.sqrt())
        }
        None => {
            let quantiles = figures.quantiles?;
            let unit = quantiles.max - quantiles.min;
            // From the interval, which is about two standard errors to either side.
            // (With a power of one half, the detectable difference is the normal quantile itself.)
            let z = Design { power: 0.5, ..design }.minimum_detectable_difference(1.0, 1.0).ok()?;
            let sd = (high - low) / 2.0 / z * effective.sqrt();
            let for_margin = (z * sd / (wanted.margin * unit)).powi(2);
            // For two runs, whose verdicts on a trace are about as alike as different: the differences vary as the scores do.
            (unit, for_margin, design.sample_size(sd, wanted.drop * unit).ok()?, sd)
        }
    };
    let judged = figures.n_scored + figures.n_failed;
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    let each = judge.usage.cost_usd.filter(|_| judged > 0).map(|cost| cost / judged as f64);
    let need = |wanted: f64, independent: f64| {
        let traces = (independent * design_effect).ceil();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, and saturating")]
        Need { wanted: wanted * unit, traces: traces as u64, cost_usd: each.map(|each| each * traces) }
    };
    Some(Needs {
        name: judge.name.clone(),
        source_id: judge.source_id.clone(),
        estimate,
        n,
        design_effect,
        margin: need(wanted.margin, for_margin),
        drop: need(wanted.drop, for_drop),
        margin_now: Some((high - low) / 2.0),
        detectable_now: Some(design.minimum_detectable_difference(sd, effective).ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::super::report::{Clusters, Figures, Method, Quantiles, Usage};
    use super::*;
    use crate::feedback::SourceType;

    fn judge(figures: Figures) -> JudgeReport {
        JudgeReport {
            name: "j".into(),
            source_type: SourceType::LlmJudge,
            source_id: "e:/m".into(),
            good: None,
            figures: Figures { n_scored: 500, ..figures },
            n_skipped: 0,
            corrected: None,
            usage: Usage { cost_usd: Some(1.0), ..Usage::default() },
            latency_ms: None,
            readings: Default::default(),
            evidence: None,
            cascade: None,
            pairwise: None,
            slices: Vec::new(),
            warnings: Vec::new(),
        }
    }

    const WANTED: Wanted = Wanted { margin: 0.02, drop: 0.05, discordance: 0.1, level: 0.95 };

    fn estimate(estimate: f64, low: f64, high: f64) -> Option<Estimate> {
        Some(Estimate { estimate, low, high, level: 0.95, method: Method::Wilson, n: 500 })
    }

    #[test]
    fn a_share_needs_what_connor_and_the_interval_say() {
        let share = Figures { pass: estimate(0.9, 0.87, 0.92), ..Figures::default() };
        let needs = needs(&judge(share.clone()), &WANTED).unwrap();
        // Connor (1987), with 10 % of discordant pairs: 311.59.
        assert_eq!((needs.drop.traces, needs.drop.cost_usd.map(|cost| (1e6 * cost).round())), (312, Some(624_000.0)));
        assert!((800..900).contains(&needs.margin.traces), "{needs:?}");
        // (1.96 + 0.84) sqrt(0.1 / 500).
        assert!((needs.detectable_now.unwrap() - 0.03962).abs() < 1e-5, "{needs:?}");
        let clusters = Some(Clusters { n: 50, design_effect: 2.0 });
        let clustered = super::needs(&judge(Figures { clusters, ..share }), &WANTED).unwrap();
        assert_eq!(clustered.drop.traces, 624, "twice as many");
    }

    #[test]
    fn without_a_log_a_plan_rests_on_what_is_assumed() {
        let assumed = Assumed { rate: 0.9, traces: Some(500), design_effect: 1.0, cost_usd: Some(0.002) };
        let needs = needs_of(&assumed, &WANTED).unwrap();
        let logged = super::needs(&judge(Figures { pass: estimate(0.9, 0.87, 0.92), ..Figures::default() }), &WANTED);
        let logged = logged.unwrap();
        assert_eq!(
            (&needs.margin, &needs.drop, needs.detectable_now),
            (&logged.margin, &logged.drop, logged.detectable_now)
        );
        // Wilson's interval of 450 of 500: 0.87060 to 0.92334.
        assert!((needs.margin_now.unwrap() - 0.026_37).abs() < 1e-5, "{needs:?}");
        let without =
            needs_of(&Assumed { traces: None, design_effect: 2.0, cost_usd: None, ..assumed }, &WANTED).unwrap();
        assert_eq!((without.drop.traces, without.margin_now, without.drop.cost_usd), (624, None, None));
        assert_eq!(needs_of(&Assumed { rate: 1.5, ..assumed }, &WANTED), None);
    }

    #[test]
    fn a_mean_is_planned_in_parts_of_its_range() {
        let quantiles = Quantiles { min: 1.0, p10: 1.0, p25: 2.0, p50: 3.0, p75: 4.0, p90: 5.0, max: 5.0 };
        // A standard deviation of 1: half the width of the interval is 1.96 / sqrt(500).
        let half = 1.959_964 / 500f64.sqrt();
        let mean =
            Figures { mean: estimate(3.0, 3.0 - half, 3.0 + half), quantiles: Some(quantiles), ..Figures::default() };
        let needs = needs(&judge(mean), &WANTED).unwrap();
        // (1.96 / 0.08)^2 and ((1.96 + 0.84) / 0.2)^2.
        assert_eq!((needs.margin.traces, needs.drop.traces), (601, 197));
        assert_eq!(super::needs(&judge(Figures::default()), &WANTED), None);
    }
}
