//! `judge-run agreement`: how well a judge and people agree, and whether that is enough.

use std::fmt::{self, Write};
use std::process::ExitCode;

use judge_run::people::AgreementGate;
use judge_run::people::agreement::{Agreement, Estimate, Metric, Pair, Settings, agreement};
use judge_run::results::forms::gate_text;
use judge_run::results::forms::plain::{guarded, one_line, pad};
use judge_run::results::gate::GateResult;
use serde_json::{Value, json};

use super::error::CliError;
use super::people_args::{AgreementArgs, RatersArgs};
use super::print::counted;
use super::{gates, raters, summary};

pub(crate) fn main(args: AgreementArgs) -> Result<ExitCode, CliError> {
    let AgreementArgs { raters: of, metric, epsilon, gate, disagreements, level, format } = args;
    let RatersArgs { logs, name, judge, people } = of;
    // What is wrong with a gate is said before a log of any size is read.
    let gates = gate.iter().map(|text| text.parse::<AgreementGate>().map_err(CliError::usage));
    let gates = gates.collect::<Result<Vec<_>, _>>()?;
    let ratings = raters::ratings(&logs, &name)?;
    let named = !people.is_empty();
    // Who names people alone compares these alone.
    let judge = if named && judge.is_none() { None } else { raters::judge(&ratings, judge.as_deref())? };
    let mut people = raters::people(&ratings, &people)?;
    people.retain(|person| Some(*person) != judge);
    if judge.is_none() && !named {
        // Several judges are compared with each other, too.
        people.extend(ratings.of_type(judge_run::feedback::SourceType::LlmJudge));
    }
    if people.len() + usize::from(judge.is_some()) < 2 {
        return Err(CliError::usage_with_hint(
            format_args!("only one rater has feedback named `{name}`"),
            "add people's labels with `judge-run feedback import`",
        ));
    }
    let metric = match metric.as_deref() {
        Some("nominal") => Some(Metric::Nominal),
        Some("ordinal") => Some(Metric::Ordinal),
        Some("interval") => Some(Metric::Interval),
        Some("ratio") => Some(Metric::Ratio),
        _ => None,
    };
    let settings = Settings { judge, people, metric, level, epsilon, listed: disagreements };
    let found = agreement(&ratings, &settings)
        .map_err(|error| CliError::usage(format_args!("no agreement can be computed for `{name}`: {error}")))?;
    let results: Vec<GateResult> = gates.iter().map(|gate| gate.evaluate(&found)).collect();
    let is_text = format != "json";
    let text = if is_text {
        let mut out = String::new();
        // Writing to a string cannot fail.
        _ = write_text(&mut out, &found);
        results.iter().for_each(|gate| out.push_str(&format!("\n{}", gate_text(gate))));
        guarded(&out)
    } else {
        let mut whole = json!(found);
        if !results.is_empty() {
            whole["gates"] = json!(results);
        }
        format!("{whole:#}\n")
    };
    summary::print(&text)?;
    Ok(ExitCode::from(gates::verdict(&results, is_text).code()))
}

fn interval(of: &Estimate) -> String {
    format!("{:>7.3}  [{:.3}, {:.3}]", of.estimate, of.low, of.high)
}

fn write_text(out: &mut String, found: &Agreement) -> fmt::Result {
    let raters = counted(found.n_raters, "rater");
    writeln!(out, "{}: {raters}, {} rated by two or more", one_line(&found.name), counted(found.n_items, "item"))?;
    for rater in &found.raters {
        writeln!(out, "  {:>6}  {} ({})", rater.n, one_line(&rater.source_id), rater.source_type)?;
    }
    if let Some(judge) = &found.judge {
        writeln!(out, "\n{} with people", one_line(judge))?;
    } else {
        out.push('\n');
    }
    let figures = found.figures();
    for (name, what) in [("accuracy", "agree"), ("kappa", "Cohen's kappa"), ("weighted_kappa", "weighted kappa")] {
        if let Some(figure) = figures.get(name) {
            writeln!(out, "  {}{}", pad(what, 22), interval(figure))?;
        }
    }
    if found.judge.is_some() {
        writeln!(out, "\nall raters")?;
    }
    for (name, what) in [("fleiss", "Fleiss' kappa"), ("ac1", "Gwet's AC1"), ("ac2", "Gwet's AC2")] {
        if let Some(figure) = figures.get(name) {
            writeln!(out, "  {}{}", pad(what, 22), interval(figure))?;
        }
    }
    if let Some(alpha) = &found.alpha {
        writeln!(out, "  {}{}  {}", pad("Krippendorff's alpha", 22), interval(&alpha.estimate), alpha.metric)?;
    }
    if let Some(people) = &found.people {
        writeln!(out, "\npeople with each other: the most that a judge can be expected to reach")?;
        people.pairs.iter().try_for_each(|pair| write_pair(out, pair))?;
        if let Some(alpha) = &people.alpha {
            writeln!(out, "  {}{}  {}", pad("Krippendorff's alpha", 22), interval(&alpha.estimate), alpha.metric)?;
        }
        writeln!(out, "\nthe judge with each person")?;
        found.judge_with.iter().try_for_each(|pair| write_pair(out, pair))?;
    }
    if let Some(test) = &found.alt_test {
        let may = if test.passed { "may" } else { "may not" };
        writeln!(out, "\nalternative annotator test: the judge {may} stand in for a person")?;
        writeln!(
            out,
            "  winning rate {:.2}, average advantage {:.3}, epsilon {}",
            test.winning_rate, test.average_advantage, test.epsilon
        )?;
    }
    write_confusion(out, found)?;
    for warning in &found.warnings {
        writeln!(out, "\nwarning: {}", one_line(&warning.message))?;
    }
    if !found.disagreements.is_empty() {
        writeln!(out, "\ndisagreements, the most certain first")?;
    }
    for item in &found.disagreements {
        let span = item.span_id.as_deref().map(|span| format!(" {}", one_line(span))).unwrap_or_default();
        let document = item.document_index.map(|index| format!(" document_index {index}")).unwrap_or_default();
        let sides = if found.judge.is_some() { ["judge", "people"] } else { ["second", "first"] };
        let (judge, people) = (plain(&item.judge), plain(&item.people));
        writeln!(out, "  {}{span}{document}: {} {judge}, {} {people}", one_line(&item.trace_id), sides[0], sides[1])?;
    }
    Ok(())
}

fn write_pair(out: &mut String, pair: &Pair) -> fmt::Result {
    let kappa = pair.kappa.as_ref().map(|kappa| format!(", kappa {:.3}", kappa.estimate)).unwrap_or_default();
    let (a, b) = (one_line(&pair.a), one_line(&pair.b));
    writeln!(out, "  {a} and {b}: {:.1}% agree{kappa} ({})", 100.0 * pair.agreement, counted(pair.n, "item"))
}

fn write_confusion(out: &mut String, found: &Agreement) -> fmt::Result {
    let table = &found.confusion;
    if table.labels.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nrows: {}, columns: {}", one_line(&table.rows), one_line(&table.columns))?;
    let labels: Vec<String> = table.labels.iter().map(|label| one_line(label)).collect();
    let columns: Vec<String> = labels.iter().map(|label| format!("{label:>9}")).collect();
    writeln!(out, "  {}{}", pad("", 12), columns.concat())?;
    for (label, row) in labels.iter().zip(&table.counts) {
        let cells: Vec<String> = row.iter().map(|count| format!("{count:>9}")).collect();
        writeln!(out, "  {}{}", pad(label, 12), cells.concat())?;
    }
    Ok(())
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => one_line(text),
        other => one_line(&other.to_string()),
    }
}
