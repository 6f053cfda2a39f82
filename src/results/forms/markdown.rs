//! For GitHub and GitLab: a step's summary, or a comment, found again by its marker.

use std::fmt::{self, Write};

use super::figures::{
    self, Unit, cascade_in_words, compared_in_words, count, counted, of_change, of_corrected, percent, probability,
    strength_in_words,
};
use super::findings::Findings;
use super::headline::Headline;
use super::plain::one_line;
use crate::feedback::ErrorCode;
use crate::results::compare::{Comparison, Outcome};
use crate::results::gate::{GateOutcome, GateResult};
use crate::results::report::{JudgeReport, Pairwise, SideFigures, Slice, Warning};

/// A comment with it is one of ours, and may be replaced by the next.
pub const MARKER: &str = "<!-- judge-run -->";

/// GitHub takes a mebibyte for each step's summary. Sections beyond that are omitted whole, and that is stated.
const MAX_BYTES: usize = 1_000_000;
/// Beyond this many rows of one kind are counted.
const MAX_ROWS: usize = 100;
const MAX_FLIPS: usize = 20;
const MAX_CHARS: usize = 200;

pub(super) fn write(results: &Findings<'_>) -> Result<String, fmt::Error> {
    let headline = Headline::of(results);
    let sign = headline.outcome.map_or("", |outcome| match outcome {
        GateOutcome::Pass => "✅ ",
        GateOutcome::Fail => "❌ ",
        GateOutcome::Inconclusive => "❔ ",
    });
    let mut out = format!("{MARKER}\n## {sign}{}\n", prose(&headline.text));
    for sentence in &headline.details {
        writeln!(out, "\n{}", prose(sentence))?;
    }
    let mut sections = vec![warnings(results.warnings())?, gates(results.gates())?, judges(results)?];
    sections.extend([
        failures(results.judges())?,
        changes("Comparison with the baseline", results.comparisons())?,
        changes("The judges on the anchors", results.anchors())?,
    ]);
    for judge in results.judges() {
        sections.push(slices(judge)?);
    }
    sections.push(format!("\n<sub>{}, by judge-run {}</sub>\n", code(&results.title()), env!("CARGO_PKG_VERSION")));
    let mut has_all = true;
    for section in sections {
        if out.len() + section.len() < MAX_BYTES {
            out += &section;
        } else {
            has_all = false;
        }
    }
    if !has_all {
        out += "\nThe rest is too long for a summary.\n";
    }
    Ok(out)
}

/// Text from outside as prose: nothing in it is markup, a link or a mention.
fn prose(text: &str) -> String {
    let mut shown = String::new();
    for c in one_line(text).chars() {
        match c {
            // Without the empty element GitHub would detect mentions, issues and addresses.
            '@' | '#' | ':' => write!(shown, "&#{};<b></b>", u32::from(c)).unwrap_or_default(),
            '.' if shown.ends_with("www") => shown.push_str("&#46;<b></b>"),
            _ if is_markup(c) => write!(shown, "&#{};", u32::from(c)).unwrap_or_default(),
            _ => shown.push(c),
        }
    }
    shown
}

/// Whether it may be part of markup inside a line.
fn is_markup(c: char) -> bool {
    c.is_ascii_punctuation() && !matches!(c, '.' | ',' | '%' | '-' | '/' | '=' | '?' | ';')
}

/// Text from outside, verbatim: an element, since a code span would end at its first backtick, and a cell at its first bar.
fn code(text: &str) -> String {
    let text = one_line(text);
    if text.is_empty() {
        return String::new();
    }
    let mut shown = "<code>".to_owned();
    let mut chars = text.chars();
    for c in chars.by_ref().take(MAX_CHARS) {
        match c {
            '.' if shown.ends_with("www") => shown.push_str("&#46;"),
            _ if is_markup(c) => write!(shown, "&#{};", u32::from(c)).unwrap_or_default(),
            _ => shown.push(c),
        }
    }
    if chars.next().is_some() {
        shown.push('…');
    }
    shown + "</code>"
}

fn table(columns: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let right = |title: &&str| if title.ends_with(':') { "---:" } else { "---" }.to_owned();
    let titles: Vec<_> = columns.iter().map(|title| title.trim_end_matches(':').to_owned()).collect();
    let mut text = format!("\n{}{}", line(&titles), line(&columns.iter().map(right).collect::<Vec<_>>()));
    let mut more = 0;
    for (i, cells) in rows.into_iter().enumerate() {
        if i < MAX_ROWS {
            text += &line(&cells);
        } else {
            more += 1;
        }
    }
    if more > 0 {
        text += &format!("\nAnd {} more.\n", count(more));
    }
    text
}

fn folded(title: &str, content: &str) -> String {
    format!("\n<details><summary>{title}</summary>\n{content}\n</details>\n")
}

fn warnings(warnings: &[Warning]) -> Result<String, fmt::Error> {
    let mut out = String::new();
    for warning in warnings {
        writeln!(out, "\n> ⚠️ {}", prose(&warning.message))?;
    }
    Ok(out)
}

fn gates(gates: &[GateResult]) -> Result<String, fmt::Error> {
    if gates.is_empty() {
        return Ok(String::new());
    }
    let row = |gate: &GateResult| {
        let outcome = match gate.outcome {
            GateOutcome::Pass => "✅ passes",
            GateOutcome::Fail => "❌ **fails**",
            GateOutcome::Inconclusive if gate.is_judge_changed() => "⚠️ the judge changed",
            GateOutcome::Inconclusive => "❔ undecided",
        };
        let reason =
            gate.reason.as_deref().filter(|_| gate.outcome != GateOutcome::Pass).map(prose).unwrap_or_default();
        vec![
            outcome.to_owned(),
            code(&gate.gate),
            figures::of_gate(gate),
            Unit::of_gate(gate).figure(gate.threshold),
            reason,
        ]
    };
    let mut out = table(&["", "Gate", "Figure:", "Threshold:", "Reason"], gates.iter().map(row));
    for gate in gates.iter().filter(|gate| gate.outcome != GateOutcome::Pass && !gate.traces.is_empty()) {
        let rows = gate.traces.iter().take(MAX_FLIPS).map(|trace| {
            let said = trace
                .value
                .as_ref()
                .map(super::plain::verdict)
                .or_else(|| trace.error_code.clone())
                .unwrap_or_default();
            vec![
                code(&trace.trace_id),
                code(&trace.name),
                code(&said),
                code(trace.rationale.as_deref().unwrap_or_default()),
            ]
        });
        out += &folded(
            &format!("Traces to look at for {}", code(&gate.gate)),
            &table(&["Trace", "Judge", "Verdict", "Rationale"], rows),
        );
    }
    Ok(out)
}

fn judges(results: &Findings<'_>) -> Result<String, fmt::Error> {
    if results.judges().is_empty() {
        return Ok(String::new());
    }
    let comparisons = results.comparisons();
    let row = |judge: &JudgeReport| {
        let figures = &judge.figures;
        let of = |unit: Unit, estimate: &Option<_>| {
            estimate.as_ref().map(|estimate| unit.estimate(estimate)).unwrap_or_default()
        };
        let most = figures.categories.first().filter(|_| figures.pass.is_none() && figures.mean.is_none());
        let most = most.map(|category| format!("{} {}", code(&category.label), percent(category.share)));
        let change = comparisons.iter().find(|c| c.name == judge.name && c.source_id == judge.source_id).map(change);
        vec![
            code(&judge.name),
            code(&judge.source_id),
            of(Unit::Share, &figures.pass),
            most.unwrap_or_else(|| of(Unit::Value, &figures.mean)),
            count(figures.n_scored),
            count(figures.n_failed),
            count(figures.n_abstained),
            count(figures.n_invalid),
            change.unwrap_or_default(),
        ]
    };
    let columns =
        ["Judge", "Source", "Pass:", "Mean:", "Scored:", "Failed:", "Abstained:", "Invalid:", "Since the baseline"];
    let mut out = table(&columns, results.judges().iter().map(row));
    for judge in results.judges() {
        if let Some(cascade) = &judge.cascade {
            writeln!(out, "\n{}: {}", code(&judge.name), prose(&cascade_in_words(cascade)))?;
        }
        if let Some(pairwise) = &judge.pairwise {
            out += &sides(judge, pairwise);
        }
    }
    for judge in results.judges() {
        if let Some(corrected) = &judge.corrected {
            writeln!(out, "\n> {} corrected: {}", code(&judge.name), prose(&of_corrected(judge, corrected)))?;
        }
        for warning in &judge.warnings {
            writeln!(out, "\n> ⚠️ {}: {}", code(&judge.name), prose(&warning.message))?;
        }
    }
    Ok(out)
}

/// The outputs that a judge of pairs prefers.
fn sides(judge: &JudgeReport, pairwise: &Pairwise) -> String {
    let row = |side: &SideFigures| {
        vec![
            code(&side.name),
            count(side.wins),
            count(side.losses),
            count(side.ties),
            side.win_rate.as_ref().map(|rate| Unit::Share.estimate(rate)).unwrap_or_default(),
            side.strength.as_ref().map(strength_in_words).unwrap_or_default(),
        ]
    };
    let columns = ["Side", "Wins:", "Losses:", "Ties:", "Win rate:", "Strength"];
    let mut words = compared_in_words(pairwise);
    if let Some(consistency) = &pairwise.consistency {
        words += &format!("; {} the same in both orders", Unit::Share.estimate(consistency));
    }
    let title = format!("{} on {}", code(&judge.name), code(&judge.source_id));
    format!("\n{title}: {words}\n{}", table(&columns, pairwise.sides.iter().map(row)))
}

fn change(comparison: &Comparison) -> String {
    let amount = of_change(comparison);
    match comparison.outcome {
        Outcome::Better => format!("🔼 better by {amount}"),
        Outcome::Worse => format!("🔽 **worse** by {amount}"),
        Outcome::Equivalent => format!("= equivalent, {amount}"),
        Outcome::Inconclusive => format!("no conclusion, {amount}"),
        Outcome::JudgeChanged => "⚠️ the judge changed".to_owned(),
    }
}

fn failures(judges: &[JudgeReport]) -> Result<String, fmt::Error> {
    let mut codes = std::collections::BTreeMap::<&str, u64>::new();
    for (name, n) in judges.iter().flat_map(|judge| &judge.figures.failed) {
        *codes.entry(name).or_default() += n;
    }
    if codes.is_empty() {
        return Ok(String::new());
    }
    let all: u64 = codes.values().sum();
    let rows = codes.iter().map(|(name, n)| {
        let traits = name.parse::<ErrorCode>().ok().map(ErrorCode::traits);
        let of = |what: fn(&crate::feedback::ErrorTraits) -> &'static str| {
            traits.map(|traits| prose(what(traits))).unwrap_or_default()
        };
        vec![code(name), count(*n), of(|traits| traits.meaning), of(|traits| traits.remedy)]
    });
    Ok(folded(&counted(all, "failed judgment"), &table(&["Code", "Number:", "Meaning", "Remedy"], rows)))
}

fn changes(title: &str, comparisons: &[Comparison]) -> Result<String, fmt::Error> {
    if comparisons.is_empty() {
        return Ok(String::new());
    }
    let row = |comparison: &Comparison| {
        let unit = Unit::of(comparison.measure);
        let of = |figure: Option<f64>| figure.map(|x| unit.figure(x)).unwrap_or_default();
        let smallest = comparison.minimum_detectable.map(|x| unit.figure(x)).unwrap_or_default();
        vec![
            format!("{}{}", code(&comparison.name), if comparison.secondary { ", secondary" } else { "" }),
            of(comparison.base),
            of(comparison.new),
            comparison.difference.as_ref().map(|difference| unit.difference(difference)).unwrap_or_default(),
            comparison.p_adjusted.map(probability).unwrap_or_default(),
            change(comparison),
            count(comparison.n_pairs),
            count(comparison.n_only_base),
            count(comparison.n_only_new),
            smallest,
        ]
    };
    let columns = [
        "Judge",
        "Before:",
        "Now:",
        "Difference:",
        "p:",
        "Outcome",
        "Pairs:",
        "Only before:",
        "Only now:",
        "Detectable:",
    ];
    let mut out = folded(title, &table(&columns, comparisons.iter().map(row)));
    for comparison in comparisons.iter().filter(|comparison| !comparison.flips.is_empty()) {
        let rows = comparison.flips.iter().take(MAX_FLIPS).map(|flip| {
            let rationale = |text: &Option<String>| code(text.as_deref().unwrap_or_default());
            vec![
                code(&flip.trace_id),
                code(&super::plain::verdict(&flip.base)),
                code(&super::plain::verdict(&flip.new)),
                rationale(&flip.base_rationale),
                rationale(&flip.new_rationale),
            ]
        });
        let title = format!("{} of {} changed", counted(comparison.n_flips, "verdict"), code(&comparison.name));
        out += &folded(&title, &table(&["Trace", "Before", "Now", "Rationale before", "Rationale now"], rows));
    }
    for comparison in comparisons {
        for warning in &comparison.warnings {
            writeln!(out, "\n> ⚠️ {}: {}", code(&comparison.name), prose(&warning.message))?;
        }
    }
    Ok(out)
}

fn slices(judge: &JudgeReport) -> Result<String, fmt::Error> {
    let mut out = String::new();
    for group in judge.slices.chunk_by(|a, b| a.by == b.by) {
        let rows = group.iter().map(|Slice { value, figures, .. }| {
            let pass = figures.pass.as_ref().map(|pass| Unit::Share.estimate(pass)).unwrap_or_default();
            let mean = figures.mean.as_ref().map(|mean| Unit::Value.estimate(mean)).unwrap_or_default();
            vec![code(value), pass, mean, count(figures.n_scored), count(figures.n_failed)]
        });
        let columns = [group[0].by.as_str(), "Pass:", "Mean:", "Scored:", "Failed:"];
        let by = code(columns[0]);
        out += &folded(
            &format!("{} by {by}", code(&judge.name)),
            &table(&["Value", "Pass:", "Mean:", "Scored:", "Failed:"], rows),
        );
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_is_no_markup() {
        let hostile = "a|b `c` <script>x</script> [l](http://x) @kim #1 **b** ]]> \u{202e}z\u{1b}[2J\n# h www.x.org";
        for shown in [prose(hostile), code(hostile)] {
            let bare = shown.replace("<b></b>", "").replace("<code>", "").replace("</code>", "");
            for c in ['|', '`', '<', '>', '[', ']', '@', '*', '$', '\n', '\u{202e}', '\u{1b}'] {
                assert!(!bare.contains(c), "{c:?} in {shown}");
            }
            assert!(!shown.contains("http:") && !shown.contains("www."), "{shown}");
        }
        assert_eq!(code(&"x".repeat(1 << 20)).chars().count(), MAX_CHARS + "<code>…</code>".chars().count());
    }

    #[test]
    fn more_rows_than_a_table_has_are_counted() {
        let text = table(&["A", "N:"], (0..MAX_ROWS + 2).map(|i| vec![i.to_string(), "1".to_owned()]));
        assert_eq!(text.lines().filter(|line| line.starts_with('|')).count(), MAX_ROWS + 2);
        assert!(text.ends_with("And 2 more.\n"));
    }
}
