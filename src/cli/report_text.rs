//! A report as text, for 80 columns.

use std::fmt::{self, Write as _};
use std::time::Duration;

use judge_run::feedback::SourceType;
use judge_run::results::compare::{Comparison, ComparisonReport, Flip, Outcome};
use judge_run::results::report::{Estimate, Figures, JudgeReport, Report, Slice, Warning};

use super::gates;
use super::print::{counted, escaped, one_line, short, time};

/// Parts of a dataset that are shown, for each expression.
const SLICES: usize = 20;
const CATEGORIES: usize = 8;
const FLIPS: usize = 10;
const RATIONALE_CHARS: usize = 66;

pub(crate) fn text(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut text, report);
    escaped(&text)
}

pub(crate) fn comparison_text(report: &ComparisonReport) -> String {
    let mut text = String::new();
    let _ = write_comparisons(&mut text, &report.comparisons);
    if report.comparisons.is_empty() {
        text.push_str("no judge is on both sides\n");
    }
    let _ = write_warnings(&mut text, &report.warnings, "");
    for gate in &report.gates {
        text.push_str(&format!("\n{}", gates::lines(gate)));
    }
    escaped(&text)
}

fn write(out: &mut String, report: &Report) -> fmt::Result {
    for (number, judge) in report.judges.iter().enumerate() {
        if number > 0 {
            writeln!(out)?;
        }
        write_judge(out, judge)?;
    }
    if report.judges.is_empty() {
        writeln!(out, "no feedback")?;
    }
    write_warnings(out, &report.warnings, "")?;
    if !report.comparisons.is_empty() {
        writeln!(out, "\ncompared with the baseline:\n")?;
        write_comparisons(out, &report.comparisons)?;
    }
    report.gates.iter().try_for_each(|gate| write!(out, "\n{}", gates::lines(gate)))
}

fn write_judge(out: &mut String, judge: &JudgeReport) -> fmt::Result {
    let JudgeReport { name, source_type, source_id, good, figures, n_skipped, usage, latency_ms, readings, .. } = judge;
    let by = match source_type {
        SourceType::LlmJudge => "on",
        SourceType::Human | SourceType::Code | SourceType::Unspecified => "by",
    };
    writeln!(
        out,
        "{}  {by} {}",
        one_line(name),
        one_line(if source_id.is_empty() { source_type.as_str() } else { source_id })
    )?;
    writeln!(out, "  scored    {:>8}", figures.n_scored)?;
    write!(out, "  failed    {:>8}", figures.n_failed)?;
    for (number, (code, n)) in figures.failed.iter().enumerate() {
        write!(out, "{}{} {n}", if number == 0 { "  " } else { ", " }, one_line(code))?;
    }
    writeln!(out)?;
    for (what, n) in [("skipped", *n_skipped), ("abstained", figures.n_abstained), ("rejected", figures.n_invalid)] {
        if n > 0 {
            writeln!(out, "  {what:<9} {n:>8}")?;
        }
    }
    write_figures(out, figures, good.as_deref())?;
    if usage.attempts > 0 {
        let cached = match usage.cached_tokens {
            0 => String::new(),
            #[expect(clippy::cast_precision_loss, reason = "a share for the eye")]
            cached => format!(" ({:.0}% cached)", 100.0 * cached as f64 / usage.input_tokens.max(1) as f64),
        };
        let (input, output) = (short(usage.input_tokens), short(usage.output_tokens));
        write!(out, "  tokens    {input} in{cached}, {output} out, {}", counted(usage.attempts, "request"))?;
        usage.cost_usd.map_or(Ok(()), |cost| write!(out, ", cost {cost:.4}"))?;
        writeln!(out)?;
    }
    if let Some(latency) = latency_ms {
        let ms = |ms: f64| match ms {
            0.0..1e3 => format!("{ms:.0} ms"),
            _ => time(Duration::try_from_secs_f64(ms / 1e3).unwrap_or_default()),
        };
        let [p50, p90, p99, max] = [latency.p50, latency.p90, latency.p99, latency.max].map(ms);
        writeln!(out, "  latency   median {p50}, 90% {p90}, 99% {p99}, max {max}")?;
    }
    if readings.keys().any(|method| method != "strict") {
        let read: Vec<_> = readings.iter().map(|(method, n)| format!("{} {n}", one_line(method))).collect();
        writeln!(out, "  read      {}", read.join(", "))?;
    }
    let slices = judge.slices.chunk_by(|a, b| a.by == b.by);
    slices.into_iter().try_for_each(|slices| write_slices(out, slices))?;
    write_warnings(out, &judge.warnings, "  ")
}

fn write_figures(out: &mut String, figures: &Figures, good: Option<&str>) -> fmt::Result {
    if let Some(pass) = &figures.pass {
        write!(out, "  pass      {:>7.1}%  {}", 100.0 * pass.estimate, interval(pass, true))?;
        good.map_or(Ok(()), |good| write!(out, "; good: {}", one_line(good)))?;
        writeln!(out)?;
    }
    if let Some(mean) = &figures.mean {
        writeln!(out, "  mean      {:>8.3}  {}", mean.estimate, interval(mean, false))?;
    }
    if let Some(bounds) = figures.bounds.filter(|_| figures.n_failed > 0) {
        let (low, high) = match figures.pass {
            Some(_) => (format!("{:.1}%", 100.0 * bounds.low), format!("{:.1}%", 100.0 * bounds.high)),
            None => (format!("{:.3}", bounds.low), format!("{:.3}", bounds.high)),
        };
        writeln!(out, "  bounds    {low} to {high} if all that failed were bad, or good")?;
    }
    if !figures.categories.is_empty() {
        let category = |label: &str, n: u64, share: f64| format!("{} {n} ({:.1}%)", one_line(label), 100.0 * share);
        let shown = figures.categories.iter().take(CATEGORIES);
        let mut shown: Vec<_> = shown.map(|of| category(&of.label, of.n, of.share)).collect();
        if let Some(more) = figures.categories.len().checked_sub(CATEGORIES).filter(|more| *more > 0) {
            shown.push(format!("and {more} more"));
        }
        writeln!(out, "  verdicts  {}", shown.join(", "))?;
    }
    if let Some(of) = figures.quantiles {
        let (min, p25, p50, p75, max) =
            (number(of.min), number(of.p25), number(of.p50), number(of.p75), number(of.max));
        writeln!(out, "  quantiles min {min}, 25% {p25}, median {p50}, 75% {p75}, max {max}")?;
    }
    if let Some(clusters) = figures.clusters {
        writeln!(out, "  clusters  {:>8}  design effect {:.2}", clusters.n, clusters.design_effect)?;
    }
    Ok(())
}

fn write_slices(out: &mut String, slices: &[Slice]) -> fmt::Result {
    let Some(first) = slices.first() else { return Ok(()) };
    let by: String = one_line(&first.by).chars().take(30).collect();
    writeln!(out, "  by {by:<30} {:>7} {:>6}  figure  interval", "scored", "failed")?;
    for Slice { value, figures, .. } in slices.iter().take(SLICES) {
        let value = if value.is_empty() { "(nothing)".to_owned() } else { one_line(value) };
        let value: String = value.chars().take(31).collect();
        write!(out, "    {value:<31} {:>6} {:>6}  ", figures.n_scored, figures.n_failed)?;
        match (&figures.pass, &figures.mean) {
            (Some(pass), _) => {
                writeln!(out, "{:>5.1}%  {:.1}% to {:.1}%", 100.0 * pass.estimate, 100.0 * pass.low, 100.0 * pass.high)?
            }
            (None, Some(mean)) => writeln!(out, "{:>6.3}  {:.3} to {:.3}", mean.estimate, mean.low, mean.high)?,
            (None, None) => writeln!(out, "{:>6}", "-")?,
        }
    }
    match slices.len().checked_sub(SLICES).filter(|more| *more > 0) {
        Some(more) => writeln!(out, "    and {more} more; `--format json` has all"),
        None => Ok(()),
    }
}

fn write_comparisons(out: &mut String, comparisons: &[Comparison]) -> fmt::Result {
    for (number, comparison) in comparisons.iter().enumerate() {
        if number > 0 {
            writeln!(out)?;
        }
        write_comparison(out, comparison)?;
    }
    Ok(())
}

fn write_comparison(out: &mut String, comparison: &Comparison) -> fmt::Result {
    let Comparison { name, source_id, n_pairs, n_only_base, n_only_new, difference, n_flips, flips, .. } = comparison;
    let word = match comparison.outcome {
        Outcome::Better => "better",
        Outcome::Worse => "WORSE",
        Outcome::Equivalent => "equivalent",
        Outcome::Inconclusive => "inconclusive",
        Outcome::JudgeChanged => "JUDGE CHANGED",
    };
    writeln!(out, "{}  on {}: {word}", one_line(name), one_line(source_id))?;
    let only = match (n_only_base, n_only_new) {
        (0, 0) => String::new(),
        (base, new) => format!("; {base} only in the baseline, {new} only in the new"),
    };
    writeln!(out, "  pairs       {n_pairs}{only}")?;
    if let (Some(base), Some(new)) = (comparison.base, comparison.new) {
        writeln!(out, "  {:<11} {base:.4} -> {new:.4}", measure(comparison))?;
    }
    if let Some(of) = difference {
        let (low, high, level) = (of.low, of.high, 100.0 * of.level);
        writeln!(out, "  difference  {:+.4}  {low:+.4} to {high:+.4} ({level:.0}%)", of.estimate)?;
    }
    if let (Some(p), Some(adjusted)) = (comparison.p_value, comparison.p_adjusted) {
        writeln!(out, "  p           {p:.4}, {adjusted:.4} corrected for the number of judges")?;
    }
    if let Some(detectable) = comparison.minimum_detectable {
        writeln!(out, "  detectable  {detectable:.4} or more, with 80% power; margin {:.4}", comparison.margin)?;
    }
    if *n_flips > 0 {
        writeln!(out, "  changed     {}, the worst first", counted(*n_flips, "item"))?;
        flips.iter().take(FLIPS).try_for_each(|flip| write_flip(out, flip))?;
    }
    write_warnings(out, &comparison.warnings, "  ")
}

fn measure(comparison: &Comparison) -> &'static str {
    use judge_run::results::compare::Measure;
    match comparison.measure {
        Some(Measure::True) => "true",
        Some(Measure::Pass) => "pass",
        Some(Measure::Mean) | None => "mean",
    }
}

fn write_flip(out: &mut String, flip: &Flip) -> fmt::Result {
    let Flip { trace_id, span_id, base, new, base_rationale, new_rationale } = flip;
    let span = span_id.as_ref().map(|span| format!(" span {}", one_line(span))).unwrap_or_default();
    writeln!(
        out,
        "    {}{span}  {} -> {}",
        one_line(trace_id),
        one_line(&base.to_string()),
        one_line(&new.to_string())
    )?;
    for (which, rationale) in [("base", base_rationale), ("new", new_rationale)] {
        if let Some(rationale) = rationale {
            let line = one_line(rationale);
            let cut: String = line.chars().take(RATIONALE_CHARS).collect();
            writeln!(out, "      {which:<4}  {cut}{}", if cut.len() < line.len() { "..." } else { "" })?;
        }
    }
    Ok(())
}

fn write_warnings(out: &mut String, warnings: &[Warning], indent: &str) -> fmt::Result {
    warnings.iter().try_for_each(|warning| writeln!(out, "{indent}warning: {}", warning.message))
}

fn interval(of: &Estimate, is_share: bool) -> String {
    let level = 100.0 * of.level;
    let (low, high) = match is_share {
        true => (format!("{:.1}%", 100.0 * of.low), format!("{:.1}%", 100.0 * of.high)),
        false => (format!("{:.3}", of.low), format!("{:.3}", of.high)),
    };
    format!("{low} to {high} ({level:.0}%, n = {})", of.n)
}

/// As short as it is exact enough.
fn number(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
