//! For a terminal: at most 80 columns, readable without colour.

use std::collections::BTreeSet;
use std::fmt::{self, Write};

use super::figures::{
    self, Unit, cascade_in_words, compared_in_words, count, counted, milliseconds, of_corrected, percent, probability,
    strength_in_words, value,
};
use super::findings::Findings;
use super::headline::Headline;
use super::plain::{clip, guarded, one_line, pad, wrap};
use crate::feedback::{AGGREGATE, ErrorCode, SourceType};
use crate::results::compare::{Comparison, Flip, Measure, NightOutcome, NightResult, Outcome};
use crate::results::gate::{GateOutcome, GateResult, GateTrace};
use crate::results::report::{
    Bin, Category, Estimate, Evidence, Figures, JudgeReport, Method, PairFigures, Pairwise, SideFigures, Slice, Warning,
};

/// One less than a terminal has: a guarded line has one more.
const COLUMNS: usize = 79;
/// Of an entry's name, with the spaces around it.
const NAME: usize = 13;
/// Beyond this many, flips, slices or labels are counted.
const SHOWN: usize = 10;

pub(super) fn write(results: &Findings<'_>) -> Result<String, fmt::Error> {
    let mut out = String::new();
    let headline = Headline::of(results);
    writeln!(out, "{}", clip(&results.title(), COLUMNS))?;
    writeln!(out, "{}", headline.text)?;
    for line in headline.details.iter().flat_map(|sentence| wrap(sentence, COLUMNS)) {
        writeln!(out, "{line}")?;
    }
    warnings(&mut out, results.warnings(), "")?;
    if !results.gates().is_empty() {
        writeln!(out)?;
    }
    results.gates().iter().try_for_each(|gate| write_gate(&mut out, gate))?;
    for judge in results.judges() {
        write_judge(&mut out, judge)?;
    }
    write_remedies(&mut out, results.judges())?;
    for comparison in results.comparisons() {
        write_comparison(&mut out, comparison)?;
    }
    write_anchors(&mut out, results.anchors())?;
    Ok(guarded(&out))
}

/// An entry: its name and its text, on as many lines as needed.
fn entry(out: &mut String, name: &str, text: &str) -> fmt::Result {
    let mut name = format!("  {}", pad(name, NAME - 2));
    for line in wrap(text, COLUMNS - NAME) {
        writeln!(out, "{name}{line}")?;
        name = " ".repeat(NAME);
    }
    Ok(())
}

fn warnings(out: &mut String, warnings: &[Warning], indent: &str) -> fmt::Result {
    for warning in warnings {
        for (i, line) in wrap(&one_line(&warning.message), COLUMNS - indent.len() - 9).iter().enumerate() {
            writeln!(out, "{indent}{}{line}", if i == 0 { "warning: " } else { "         " })?;
        }
    }
    Ok(())
}

/// What to do about each kind of failure, once for all judges.
fn write_remedies(out: &mut String, judges: &[JudgeReport]) -> fmt::Result {
    let codes: BTreeSet<_> = judges.iter().flat_map(|judge| judge.figures.failed.keys()).collect();
    let known: Vec<_> = codes.into_iter().filter_map(|code| code.parse::<ErrorCode>().ok()).collect();
    if !known.is_empty() {
        writeln!(out, "\nfailures")?;
    }
    for code in known {
        let text = format!("{code}: {}; remedy: {}", code.traits().meaning, code.traits().remedy);
        for (i, line) in wrap(&text, COLUMNS - 4).iter().enumerate() {
            writeln!(out, "{}{line}", if i == 0 { "  " } else { "    " })?;
        }
    }
    Ok(())
}

/// A gate with its figure, and what to look at.
pub fn gate_text(gate: &GateResult) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_gate(&mut out, gate);
    guarded(&out)
}

fn write_gate(out: &mut String, gate: &GateResult) -> fmt::Result {
    const WORD: usize = 19;
    let word = match gate.outcome {
        GateOutcome::Pass => "pass",
        GateOutcome::Fail => "FAIL",
        GateOutcome::Inconclusive if gate.is_judge_changed() => "judge changed",
        GateOutcome::Inconclusive => "inconclusive",
    };
    let figures = figures::of_gate(gate);
    let condition = one_line(&gate.gate);
    let beside = COLUMNS - WORD - figures.len() - 2;
    let mut lines = wrap(&condition, COLUMNS - WORD);
    if let [line] = lines.as_mut_slice()
        && super::plain::width(line) <= beside
    {
        *line = format!("{}  {figures}", pad(line, beside));
    } else {
        lines.push(figures);
    }
    if gate.outcome != GateOutcome::Pass {
        lines.extend(gate.reason.iter().flat_map(|reason| wrap(&one_line(reason), COLUMNS - WORD)));
    }
    let mut word = pad(&format!("gate {word}"), WORD);
    for line in lines {
        writeln!(out, "{word}{line}")?;
        word = " ".repeat(WORD);
    }
    if gate.outcome != GateOutcome::Pass {
        gate.traces.iter().try_for_each(|trace| writeln!(out, "  {}", clip(&trace_line(trace), COLUMNS - 2)))?;
    }
    Ok(())
}

fn trace_line(trace: &GateTrace) -> String {
    let GateTrace { trace_id, span_id, document_index, name, value, base, rationale, error_code } = trace;
    let span = span_id.as_ref().map(|id| format!(" span {}", one_line(id))).unwrap_or_default();
    let document = document_index.map(|index| format!(" document_index {index}")).unwrap_or_default();
    let said = match (base, value, error_code) {
        (Some(base), Some(value), _) => {
            format!("  {} -> {}", super::plain::verdict(base), super::plain::verdict(value))
        }
        (_, _, Some(code)) => format!("  {}", one_line(code)),
        (_, Some(value), _) => format!("  {}", super::plain::verdict(value)),
        _ => String::new(),
    };
    let rationale = rationale.as_ref().map(|text| format!("  {}", one_line(text))).unwrap_or_default();
    format!("{}  {}{span}{document}{said}{rationale}", one_line(name), one_line(trace_id))
}

fn write_judge(out: &mut String, judge: &JudgeReport) -> fmt::Result {
    let who = match judge.source_type {
        SourceType::Human => "by the person ",
        // Made by judge-run itself.
        SourceType::Code if judge.source_id.starts_with(AGGREGATE) => "",
        SourceType::Code => "by the program ",
        SourceType::LlmJudge | SourceType::Unspecified => "on ",
    };
    let source = one_line(&judge.source_id);
    let source = if source.is_empty() { String::new() } else { format!("  {who}{source}") };
    writeln!(out, "\n{}", clip(&format!("{}{source}", one_line(&judge.name)), COLUMNS))?;
    write_figures(out, &judge.figures, judge.good.as_deref())?;
    if let Some(cascade) = &judge.cascade {
        entry(out, "cascade", &cascade_in_words(cascade))?;
    }
    if let Some(pairwise) = &judge.pairwise {
        write_pairwise(out, pairwise)?;
    }
    if let Some(corrected) = &judge.corrected {
        entry(out, "corrected", &of_corrected(judge, corrected))?;
    }
    if judge.n_skipped > 0 {
        entry(out, "skipped", &count(judge.n_skipped))?;
    }
    write_usage(out, judge)?;
    warnings(out, &judge.warnings, "  ")?;
    write_slices(out, &judge.slices)
}

fn write_figures(out: &mut String, figures: &Figures, good: Option<&str>) -> fmt::Result {
    if let Some(pass) = &figures.pass {
        let good = good.map(|good| format!("; good: {}", one_line(good))).unwrap_or_default();
        entry(out, "pass", &format!("{}{good}", with_method(Unit::Share, pass)))?;
    }
    if let Some(mean) = &figures.mean {
        entry(out, "mean", &with_method(Unit::Value, mean))?;
    }
    entry(out, "scored", &count(figures.n_scored))?;
    let codes: Vec<_> = figures.failed.iter().map(|(code, n)| format!("{} {}", one_line(code), count(*n))).collect();
    let codes = if codes.is_empty() { String::new() } else { format!(": {}", codes.join(", ")) };
    entry(out, "failed", &format!("{}{codes}", count(figures.n_failed)))?;
    if figures.n_abstained > 0 {
        entry(out, "abstained", &count(figures.n_abstained))?;
    }
    if figures.n_invalid > 0 {
        entry(out, "invalid", &format!("{}, rejected by people", count(figures.n_invalid)))?;
    }
    if let Some(bounds) = figures.bounds.as_ref().filter(|_| figures.n_failed > 0) {
        let unit = if figures.pass.is_some() { Unit::Share } else { Unit::Value };
        let (low, high) = (unit.figure(bounds.low), unit.figure(bounds.high));
        entry(out, "bounds", &format!("{low} if all that failed were bad, {high} if all were good"))?;
    }
    if let Some(q) = &figures.quantiles {
        let all = [
            ("min", q.min),
            ("p10", q.p10),
            ("p25", q.p25),
            ("median", q.p50),
            ("p75", q.p75),
            ("p90", q.p90),
            ("max", q.max),
        ];
        entry(out, "quantiles", &all.map(|(name, x)| format!("{name} {}", brief(x))).join(", "))?;
    }
    if let (Some(first), Some(last)) = (figures.histogram.first(), figures.histogram.last()) {
        entry(
            out,
            "histogram",
            &format!("{} |{}| {}", brief(first.low), sparkline(&figures.histogram), brief(last.high)),
        )?;
    }
    let is_boolean = |category: &Category| matches!(category.label.as_str(), "true" | "false");
    if figures.pass.is_none() || !figures.categories.iter().all(is_boolean) {
        write_categories(out, &figures.categories)?;
    }
    if let Some(clusters) = &figures.clusters {
        entry(out, "clusters", &format!("{}, design effect {:.2}", count(clusters.n), clusters.design_effect))?;
    }
    Ok(())
}

fn with_method(unit: Unit, estimate: &Estimate) -> String {
    let method = match estimate.method {
        Method::Wilson => "Wilson",
        Method::WilsonClustered => "Wilson, clustered",
        Method::T => "t",
        Method::ClusterT => "t, clustered",
        Method::Tango => "Tango",
        Method::None => "no interval",
    };
    format!("{}, {:.0}% {method}, n {}", unit.estimate(estimate), 100.0 * estimate.level, count(estimate.n))
}

/// Without zeros at its end.
fn brief(x: f64) -> String {
    let text = value(x);
    match text.contains('.') && !text.contains('e') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// One character per bin, as high as it is full.
fn sparkline(bins: &[Bin]) -> String {
    const LEVELS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = bins.iter().map(|bin| bin.n).max().unwrap_or(0).max(1);
    bins.iter().map(|bin| LEVELS[usize::try_from((bin.n * 8).div_ceil(most)).unwrap_or(8).min(8)]).collect()
}

fn write_categories(out: &mut String, categories: &[Category]) -> fmt::Result {
    const LABEL: usize = 29;
    for (i, category) in categories.iter().take(SHOWN).enumerate() {
        let label = pad(&clip(&one_line(&category.label), LABEL), LABEL);
        let name = if i == 0 { "labels" } else { "" };
        writeln!(out, "  {}{label} {:>9}  {:>6}", pad(name, NAME - 2), count(category.n), percent(category.share))?;
    }
    let more = categories.len().saturating_sub(SHOWN);
    if more > 0 {
        entry(out, "", &format!("and {}", counted(more as u64, "more label")))?;
    }
    Ok(())
}

fn write_usage(out: &mut String, judge: &JudgeReport) -> fmt::Result {
    let usage = &judge.usage;
    if usage.input_tokens + usage.output_tokens > 0 {
        let mut text = format!("{} in, {} out", count(usage.input_tokens), count(usage.output_tokens));
        if usage.cached_tokens > 0 && usage.input_tokens > 0 {
            #[expect(clippy::cast_precision_loss, reason = "a share for the eye")]
            let share = usage.cached_tokens as f64 / usage.input_tokens as f64;
            text += &format!(", {} of the input cached", percent(share));
        }
        if usage.reasoning_tokens > 0 {
            text += &format!(", {} for reasoning", count(usage.reasoning_tokens));
        }
        entry(out, "tokens", &text)?;
    }
    if let Some(cost) = usage.cost_usd {
        entry(out, "cost", &format!("${cost:.4}"))?;
    }
    if usage.attempts > 0 {
        entry(out, "requests", &count(usage.attempts))?;
    }
    if let Some(latency) = &judge.latency_ms {
        let all = [("median", latency.p50), ("p90", latency.p90), ("p99", latency.p99), ("max", latency.max)];
        entry(out, "latency", &all.map(|(name, ms)| format!("{name} {}", milliseconds(ms))).join(", "))?;
    }
    if judge.readings.keys().any(|method| method != "strict") {
        let all: Vec<_> =
            judge.readings.iter().map(|(method, n)| format!("{} {}", one_line(method), count(*n))).collect();
        entry(out, "read as", &all.join(", "))?;
    }
    if let Some(Evidence { quotes, found }) = judge.evidence {
        entry(out, "evidence", &format!("{} of {} quotes found in what was judged", count(found), count(quotes)))?;
    }
    Ok(())
}

fn write_pairwise(out: &mut String, pairwise: &Pairwise) -> fmt::Result {
    const SIDE: usize = 20;
    entry(out, "compared", &compared_in_words(pairwise))?;
    if let Some(consistency) = &pairwise.consistency {
        entry(out, "consistent", &format!("{} the same in both orders", Unit::Share.estimate(consistency)))?;
    }
    if let Some(first) = &pairwise.first_preferred {
        entry(
            out,
            "position",
            &format!("{} of preferences are for the output shown first", Unit::Share.estimate(first)),
        )?;
    }
    writeln!(out, "  {}     wins   losses     ties  win rate", pad("side", SIDE))?;
    for side in pairwise.sides.iter().take(3 * SHOWN) {
        let SideFigures { name, wins, losses, ties, win_rate, strength } = side;
        let rate = win_rate.as_ref().map(|rate| Unit::Share.estimate(rate)).unwrap_or_default();
        let strength =
            strength.as_ref().map(|strength| format!("  {}", strength_in_words(strength))).unwrap_or_default();
        let name = pad(&clip(&one_line(name), SIDE), SIDE);
        writeln!(out, "  {name} {:>8} {:>8} {:>8}  {rate}{strength}", count(*wins), count(*losses), count(*ties))?;
    }
    if pairwise.sides.len() > 2 {
        for pair in pairwise.pairs.iter().take(3 * SHOWN) {
            let PairFigures { first, second, first_wins, second_wins, ties, .. } = pair;
            let words = format!(
                "{} {} : {} {}, {}",
                one_line(first),
                count(*first_wins),
                count(*second_wins),
                one_line(second),
                counted(*ties, "tie")
            );
            entry(out, "", &words)?;
        }
    }
    if pairwise.is_separated {
        entry(out, "", "a side won or lost everything: the order of strengths holds, the distances do not")?;
    }
    Ok(())
}

fn write_slices(out: &mut String, slices: &[Slice]) -> fmt::Result {
    const VALUE: usize = 26;
    for group in slices.chunk_by(|a, b| a.by == b.by) {
        let by = clip(&one_line(&group[0].by), 26);
        writeln!(out, "  {}    scored   failed  pass or mean", pad(&format!("by {by}"), VALUE + 4))?;
        for Slice { value: part, figures, .. } in group.iter().take(3 * SHOWN) {
            let (scored, failed) = (count(figures.n_scored), count(figures.n_failed));
            let pass = figures.pass.as_ref().map(|pass| Unit::Share.estimate(pass));
            let main =
                pass.or_else(|| figures.mean.as_ref().map(|mean| Unit::Value.estimate(mean))).unwrap_or_default();
            writeln!(out, "    {} {scored:>11} {failed:>8}  {main}", pad(&clip(&one_line(part), VALUE), VALUE))?;
        }
        let more = group.len().saturating_sub(3 * SHOWN);
        if more > 0 {
            writeln!(out, "    and {} more", count(more as u64))?;
        }
    }
    Ok(())
}

fn write_comparison(out: &mut String, comparison: &Comparison) -> fmt::Result {
    let outcome = match comparison.outcome {
        Outcome::Better => "better",
        Outcome::Worse => "WORSE",
        Outcome::Equivalent => "equivalent",
        Outcome::Inconclusive => "inconclusive",
        Outcome::JudgeChanged => "JUDGE CHANGED",
    };
    let unit = Unit::of(comparison.measure);
    let measure = match comparison.measure {
        Some(Measure::True) => " (share of true)",
        Some(Measure::Pass) => " (share of good verdicts)",
        Some(Measure::Mean) => " (mean)",
        None => "",
    };
    let (name, source) = (one_line(&comparison.name), one_line(&comparison.source_id));
    writeln!(out, "\n{}: {outcome}", clip(&format!("{name}  on {source}"), COLUMNS - outcome.len() - 2))?;
    if comparison.secondary {
        entry(out, "secondary", "corrected for the number of secondary comparisons alone")?;
    }
    if comparison.outcome == Outcome::JudgeChanged {
        entry(out, "", "so the difference is not due to the application alone")?;
    }
    if let (Some(base), Some(new)) = (comparison.base, comparison.new) {
        entry(out, "figures", &format!("{} before, {} now{measure}", unit.figure(base), unit.figure(new)))?;
    }
    if let Some(difference) = &comparison.difference {
        let p = comparison.p_adjusted.or(comparison.p_value).map(|p| format!(", {}", probability(p)));
        entry(out, "difference", &format!("{}{}", unit.difference(difference), p.unwrap_or_default()))?;
    }
    let only = [(comparison.n_only_base, "only in the baseline"), (comparison.n_only_new, "only now")];
    let only: String =
        only.iter().filter(|(n, _)| *n > 0).map(|(n, place)| format!(", {} {place}", count(*n))).collect();
    entry(out, "pairs", &format!("{}{only}", count(comparison.n_pairs)))?;
    if let Some(smallest) = comparison.minimum_detectable {
        let smallest = match unit {
            Unit::Share => format!("{} points", percent(smallest).trim_end_matches('%')),
            Unit::Value => value(smallest),
        };
        entry(out, "detectable", &format!("a difference of {smallest} or more"))?;
    }
    warnings(out, &comparison.warnings, "  ")?;
    if !comparison.nights.is_empty() {
        entry(out, "nights", &nights(comparison))?;
    }
    if comparison.n_flips > 0 {
        entry(out, "changed", &counted(comparison.n_flips, "verdict"))?;
    }
    comparison.flips.iter().take(SHOWN).try_for_each(|flip| write_flip(out, flip))
}

/// The nights of the baseline, one sign each, and the resulting state.
fn nights(comparison: &Comparison) -> String {
    let sign = |night: &NightResult| match night.outcome {
        NightOutcome::First => '-',
        NightOutcome::Pass => '+',
        NightOutcome::Worse => 'X',
        NightOutcome::Inconclusive => '?',
        NightOutcome::JudgeChanged => 'J',
    };
    let signs: String = comparison.nights.iter().map(sign).collect();
    let since = comparison.worse_since.as_ref().map(|night| format!("; worse since {}", one_line(night)));
    format!("{signs} (- first, + pass, ? inconclusive, X worse, J judge changed){}", since.unwrap_or_default())
}

/// The judges on the anchors, one line each: what moved there is the judge.
fn write_anchors(out: &mut String, anchors: &[Comparison]) -> fmt::Result {
    if !anchors.is_empty() {
        writeln!(out, "\nanchors")?;
    }
    for of in anchors {
        let (moved, n) = (figures::moved(of), counted(of.n_pairs, "anchor"));
        let word = match of.outcome {
            Outcome::JudgeChanged => "THE JUDGE CHANGED",
            Outcome::Equivalent => "the judge has not changed",
            _ => "no change of the judge is shown",
        };
        let p = of.p_adjusted.map(|p| format!(", {}", probability(p))).unwrap_or_default();
        entry(out, &one_line(&of.name), &format!("{word}: {moved} on {n}{p}"))?;
        if of.outcome == Outcome::JudgeChanged {
            of.flips.iter().take(SHOWN).try_for_each(|flip| write_flip(out, flip))?;
        }
    }
    Ok(())
}

fn write_flip(out: &mut String, flip: &Flip) -> fmt::Result {
    let span = flip.span_id.as_ref().map(|id| format!(", span {}", one_line(id))).unwrap_or_default();
    let document = flip.document_index.map(|index| format!(", document_index {index}")).unwrap_or_default();
    let said = format!("{} -> {}", super::plain::verdict(&flip.base), super::plain::verdict(&flip.new));
    writeln!(out, "    {}", clip(&format!("{}{span}{document}: {said}", one_line(&flip.trace_id)), COLUMNS - 4))?;
    for (when, rationale) in [("before", &flip.base_rationale), ("now", &flip.new_rationale)] {
        if let Some(rationale) = rationale {
            writeln!(out, "      {} {}", pad(when, 6), clip(&one_line(rationale), COLUMNS - 13))?;
        }
    }
    Ok(())
}
