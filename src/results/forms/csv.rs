//! A table: one row per judge, and one per slice of its verdicts; for a comparison alone, one row per judge.

use ::csv::Writer;

use super::findings::Findings;
use crate::feedback::forms::text_cell;
use crate::results::compare::Comparison;
use crate::results::report::{Estimate, Figures, JudgeReport};

const FIGURES: [&str; 32] = [
    "n_scored",
    "n_failed",
    "n_abstained",
    "n_invalid",
    "pass",
    "pass_low",
    "pass_high",
    "pass_method",
    "mean",
    "mean_low",
    "mean_high",
    "mean_method",
    "level",
    "bounds_low",
    "bounds_high",
    "min",
    "p10",
    "p25",
    "p50",
    "p75",
    "p90",
    "max",
    "clusters",
    "design_effect",
    "failed",
    "categories",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "cost_usd",
    "attempts",
];

/// Of judges alone, not of slices.
const REST: [&str; 9] = [
    "n_skipped",
    "latency_p50_ms",
    "latency_p90_ms",
    "latency_p99_ms",
    "corrected",
    "corrected_low",
    "corrected_high",
    "corrected_method",
    "n_labelled",
];

/// # Errors
/// Never of the table itself: it is written to memory.
pub(super) fn write(results: &Findings<'_>) -> Result<Vec<u8>, ::csv::Error> {
    let mut writer = Writer::from_writer(Vec::new());
    match results {
        Findings::Report(report) => {
            let names = ["name", "source_type", "source_id", "slice_by", "slice_value"].into_iter().chain(FIGURES);
            writer.write_record(names.chain(REST))?;
            for judge in &report.judges {
                writer.write_record(row(judge, None, &judge.figures, true))?;
                for slice in &judge.slices {
                    writer.write_record(row(judge, Some((&slice.by, &slice.value)), &slice.figures, false))?;
                }
            }
        }
        Findings::Comparison(comparison) => {
            writer.write_record(COMPARISON)?;
            for comparison in &comparison.comparisons {
                writer.write_record(comparison_row(comparison))?;
            }
        }
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}

fn row(judge: &JudgeReport, slice: Option<(&str, &str)>, figures: &Figures, is_whole: bool) -> Vec<String> {
    let number = |x: Option<f64>| x.map(|x| x.to_string()).unwrap_or_default();
    let json = |value: Result<String, _>| value.unwrap_or_else(|_: serde_json::Error| String::new());
    let (by, value) = slice.unzip();
    let mut cells = vec![
        text_cell(Some(&judge.name)),
        judge.source_type.to_string(),
        text_cell(Some(judge.source_id.as_str()).filter(|id| !id.is_empty())),
        text_cell(by),
        text_cell(value),
    ];
    cells.extend([figures.n_scored, figures.n_failed, figures.n_abstained, figures.n_invalid].map(|n| n.to_string()));
    for estimate in [&figures.pass, &figures.mean] {
        let of = |what: fn(&Estimate) -> f64| number(estimate.as_ref().map(what));
        cells.extend([of(|e| e.estimate), of(|e| e.low), of(|e| e.high)]);
        cells.push(estimate.as_ref().map(|estimate| snake(estimate.method)).unwrap_or_default());
    }
    cells.push(number(figures.pass.as_ref().or(figures.mean.as_ref()).map(|estimate| estimate.level)));
    cells.extend([figures.bounds.map(|b| b.low), figures.bounds.map(|b| b.high)].map(number));
    let quantiles = figures.quantiles.map(|q| [q.min, q.p10, q.p25, q.p50, q.p75, q.p90, q.max]);
    cells.extend((0..7).map(|i| number(quantiles.map(|all| all[i]))));
    cells.push(figures.clusters.map(|clusters| clusters.n.to_string()).unwrap_or_default());
    cells.push(number(figures.clusters.map(|clusters| clusters.design_effect)));
    cells.push(if figures.failed.is_empty() { String::new() } else { json(serde_json::to_string(&figures.failed)) });
    let categories: serde_json::Map<_, _> = figures.categories.iter().map(|c| (c.label.clone(), c.n.into())).collect();
    cells.push(if categories.is_empty() { String::new() } else { json(serde_json::to_string(&categories)) });
    let usage = Some(&judge.usage).filter(|_| is_whole);
    let tokens = usage.map(|u| [u.input_tokens, u.output_tokens, u.cached_tokens, u.reasoning_tokens]);
    cells.extend((0..4).map(|i| tokens.map(|all| all[i].to_string()).unwrap_or_default()));
    cells.push(number(usage.and_then(|usage| usage.cost_usd)));
    cells.push(usage.map(|usage| usage.attempts.to_string()).unwrap_or_default());
    cells.push(if is_whole { judge.n_skipped.to_string() } else { String::new() });
    let latency = judge.latency_ms.filter(|_| is_whole).map(|latency| [latency.p50, latency.p90, latency.p99]);
    cells.extend((0..3).map(|i| number(latency.map(|all| all[i]))));
    let corrected = judge.corrected.as_ref().filter(|_| is_whole);
    cells.extend(corrected.map_or([None; 3], |of| [of.estimate, of.low, of.high].map(Some)).map(number));
    cells.push(corrected.map(|corrected| snake(corrected.method)).unwrap_or_default());
    cells.push(corrected.map(|corrected| corrected.n_labelled.to_string()).unwrap_or_default());
    cells
}

const COMPARISON: [&str; 21] = [
    "name",
    "source_id",
    "base_source_id",
    "measure",
    "n_pairs",
    "n_only_base",
    "n_only_new",
    "base",
    "new",
    "difference",
    "low",
    "high",
    "level",
    "method",
    "p_value",
    "p_adjusted",
    "minimum_detectable",
    "margin",
    "outcome",
    "n_flips",
    "secondary",
];

fn comparison_row(comparison: &Comparison) -> [String; 21] {
    let number = |x: Option<f64>| x.map(|x| x.to_string()).unwrap_or_default();
    let difference = comparison.difference.as_ref();
    [
        text_cell(Some(&comparison.name)),
        text_cell(Some(&comparison.source_id)),
        text_cell(comparison.base_source_id.as_deref()),
        comparison.measure.map(snake).unwrap_or_default(),
        comparison.n_pairs.to_string(),
        comparison.n_only_base.to_string(),
        comparison.n_only_new.to_string(),
        number(comparison.base),
        number(comparison.new),
        number(difference.map(|d| d.estimate)),
        number(difference.map(|d| d.low)),
        number(difference.map(|d| d.high)),
        number(difference.map(|d| d.level)),
        difference.map(|d| snake(d.method)).unwrap_or_default(),
        number(comparison.p_value),
        number(comparison.p_adjusted),
        number(comparison.minimum_detectable),
        comparison.margin.to_string(),
        snake(comparison.outcome),
        comparison.n_flips.to_string(),
        comparison.secondary.to_string(),
    ]
}

/// The name of a variant, as in JSON.
fn snake(variant: impl serde::Serialize) -> String {
    match serde_json::to_value(variant) {
        Ok(serde_json::Value::String(name)) => name,
        _ => String::new(),
    }
}
