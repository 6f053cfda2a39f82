//! `judge-run calibrate`: what people would say about all items, from their labels on some.

use std::collections::BTreeSet;
use std::fmt::{self, Write};
use std::process::ExitCode;

use judge_run::people::agreement::Estimate;
use judge_run::people::calibrate::{CalibrateError, Calibration, Escalation, Method, Settings, calibrate};
use judge_run::people::plan::Plans;
use judge_run::results::forms::plain::{guarded, one_line, pad};
use judge_run::run::Exit;
use serde_json::json;

use super::error::CliError;
use super::people_args::{CalibrateArgs, RatersArgs};
use super::print::counted;
use super::{raters, report, summary};

pub(crate) fn main(args: CalibrateArgs) -> Result<ExitCode, CliError> {
    let CalibrateArgs {
        raters: of,
        method,
        labels,
        examples,
        good,
        ignore_plan,
        max_disagreement,
        width,
        level,
        format,
    } = args;
    if max_disagreement.is_some() && level <= 0.5 {
        return Err(CliError::usage_with_hint(
            format_args!("--max-disagreement: with --level {level} nothing would be guaranteed"),
            "choose a level above 0.5, such as 0.95",
        ));
    }
    let RatersArgs { logs, name, judge, people } = of;
    let method = Method::ALL
        .into_iter()
        .find(|known| known.as_str() == method)
        .ok_or_else(|| CliError::usage(format_args!("unknown method `{method}`")))?;
    if labels.is_some() && method != Method::RoganGladen {
        return Err(CliError::usage_with_hint(
            format_args!("{} needs a sample of these items, and labels from another log are not one", method.as_str()),
            "add `--method rogan-gladen`",
        ));
    }
    let good = raters::good(good.as_deref())?;
    let mut examples: BTreeSet<String> = raters::ids(&examples)?.into_iter().collect();
    examples.extend(raters::examples(&report::manifests(&logs)).remove(&name).unwrap_or_default());
    let ratings = raters::ratings(&logs, &name)?;
    let named_judge = judge;
    let judge = raters::needed_judge(&ratings, named_judge.as_deref())?;
    let gold = labels.map(|log| raters::ratings(&[log], &name)).transpose()?;
    let elsewhere = match &gold {
        None => None,
        Some(gold) => {
            let judge = raters::needed_judge(gold, named_judge.as_deref())?;
            Some((gold, judge, raters::people(gold, &people)?))
        }
    };
    let people = if elsewhere.is_some() { Vec::new() } else { raters::people(&ratings, &people)? };
    let plans = match logs.as_slice() {
        [log] if !ignore_plan => raters::plans(log)?,
        _ => Plans::default(),
    };
    let plan = plans.of(&name, &ratings.raters[judge].source_id).filter(|_| elsewhere.is_none());
    let settings = Settings { judge, people, method, good, level, width, max_disagreement, plan, examples, elsewhere };
    let found = calibrate(&ratings, &settings).map_err(|error| failed(&error))?;
    let text = if format == "json" {
        format!("{:#}\n", json!(found))
    } else {
        let mut out = String::new();
        // Writing to a string cannot fail.
        _ = write_text(&mut out, &found);
        guarded(&out)
    };
    summary::print(&text)?;
    let exit = if found.refused.is_some() || found.lacks_threshold() { Exit::GateFailed } else { Exit::AllJudged };
    Ok(ExitCode::from(exit.code()))
}

fn failed(error: &CalibrateError) -> CliError {
    let usage = CliError::usage(error);
    match error {
        CalibrateError::NoLabels { .. } => usage.hint(
            "draw what to label with `judge-run label-plan`, and read the labels with `judge-run feedback import`",
        ),
        CalibrateError::NotGoodOrBad { .. } => {
            usage.hint("say which are good, such as `--good '>= 4'`, or use `--method ppi++`")
        }
        CalibrateError::NoAgreement => usage.hint("say which are good, such as `--good '>= 4'`"),
        CalibrateError::NotNumbers => usage.hint("say which verdicts are good, such as `--good '[\"good\"]'`"),
        CalibrateError::NoVerdicts { .. } | CalibrateError::Statistics(_) => usage,
    }
}

fn write_escalation(out: &mut String, escalation: &Escalation, is_refused: bool) -> fmt::Result {
    let percent = |share: f64| format!("{:.1}%", 100.0 * share);
    let wanted = percent(escalation.max_disagreement);
    let certain = format!("{:.0}% confidence", 100.0 * escalation.level);
    match escalation.below.zip(escalation.bound) {
        Some((below, bound)) => writeln!(
            out,
            "\nescalate below {below}: {} at or above it, of which {} differ, so at most {} with {certain}; {} of all verdicts are kept",
            counted(escalation.n_kept, "labelled verdict"),
            escalation.n_differing,
            percent(bound),
            percent(escalation.coverage)
        )?,
        None if is_refused => writeln!(out, "\nno threshold: the judge is refused")?,
        None if escalation.n_labelled == 0 => writeln!(
            out,
            "\nno threshold: no labelled verdict has a confidence; use a judge with `logprobs = true`, or several `--samples`"
        )?,
        None => writeln!(
            out,
            "\nno threshold: {} with a confidence do not show with {certain} that at most {wanted} differ",
            counted(escalation.n_labelled, "labelled verdict")
        )?,
    }
    if escalation.n_without > 0 {
        writeln!(out, "  {} without a confidence are always escalated", counted(escalation.n_without, "verdict"))?;
    }
    Ok(())
}

fn write_text(out: &mut String, found: &Calibration) -> fmt::Result {
    let judge = one_line(&found.judge);
    writeln!(
        out,
        "{} on {judge}: {}, {}",
        one_line(&found.name),
        counted(found.n, "verdict"),
        counted(found.n_labelled, "label")
    )?;
    let line =
        |what: &str, of: &Estimate| format!("  {}{:.4}  [{:.4}, {:.4}]", pad(what, 16), of.estimate, of.low, of.high);
    writeln!(out, "{}", line("judge alone", &found.naive))?;
    if let Some(human_only) = &found.human_only {
        writeln!(out, "{}", line("labels alone", human_only))?;
    }
    if let Some(corrected) = &found.corrected {
        let of = Estimate { estimate: corrected.estimate, low: corrected.low, high: corrected.high };
        writeln!(out, "{}  {}", line("corrected", &of), corrected.method)?;
    }
    if let Some(refused) = &found.refused {
        writeln!(out, "\nrefused: {}; the corrected figure is that of the labels alone", one_line(refused))?;
    }
    out.push('\n');
    for (what, of) in [
        ("sensitivity", &found.sensitivity),
        ("specificity", &found.specificity),
        ("informedness", &found.informedness),
    ] {
        if let Some(of) = of {
            writeln!(out, "{}", line(what, of))?;
        }
    }
    let adds = if found.adds_information { "adds information" } else { "adds nothing" };
    writeln!(
        out,
        "  {}{:.4}  the judge {adds} to {}",
        pad("correlation", 16),
        found.correlation,
        counted(found.n_labelled, "label")
    )?;
    if found.design_effect > 1.0 {
        writeln!(out, "  {}{:.2}  labels of one session are alike", pad("design effect", 16), found.design_effect)?;
    }
    match found.needs.map(|needs| (needs.width, needs.labels)) {
        Some((width, Some(labels))) => {
            writeln!(out, "\nan interval of width {width} needs about {}", counted(labels, "label"))?
        }
        Some((width, None)) => writeln!(out, "\nan interval of width {width} needs more items than there are")?,
        None => {}
    }
    if let Some(escalation) = &found.escalation {
        write_escalation(out, escalation, found.refused.is_some())?;
    }
    if !found.strata.is_empty() {
        writeln!(out, "\nby verdict")?;
    }
    for row in &found.strata {
        let people = row.people.map(|people| format!(", people {people:.3}")).unwrap_or_default();
        writeln!(out, "  {}{} of {} labelled{people}", pad(&one_line(&row.stratum), 16), row.n_labelled, row.n)?;
    }
    if found.n_excluded > 0 {
        writeln!(
            out,
            "\n{} not counted: examples, outside the plan, or people divided evenly",
            counted(found.n_excluded, "label")
        )?;
    }
    found.warnings.iter().try_for_each(|warning| writeln!(out, "\nwarning: {}", one_line(&warning.message)))
}
