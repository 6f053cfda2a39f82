//! `judge-run label-plan`: draws the items for people to label, and writes a sheet of them.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use judge_run::files;
use judge_run::people::Ratings;
use judge_run::people::plan::{Plan, Plans, SheetRow, Wish, write_csv, write_jsonl};
use judge_run::people::ratings::{Item, Said};
use judge_run::run::Exit;
use serde_json::Value;

use super::error::CliError;
use super::manifest::now_ms;
use super::people_args::LabelPlanArgs;
use super::print::{self, counted, one_line};
use super::raters;
use super::recorded::Recorded;

/// Characters of a text in a sheet.
const MAX_TEXT: usize = 4_000;

pub(crate) fn main(args: LabelPlanArgs) -> Result<ExitCode, CliError> {
    let LabelPlanArgs { log, name, labels, judge, seed, good, dataset, output, overwrite, show_verdicts } = args;
    let is_stdout = output.as_os_str() == "-";
    let is_jsonl = output.extension().is_some_and(|e| e.eq_ignore_ascii_case("jsonl"));
    let is_csv = is_stdout || output.extension().is_some_and(|e| e.eq_ignore_ascii_case("csv"));
    if !is_jsonl && !is_csv {
        return Err(CliError::usage_with_hint(
            format_args!("cannot infer the form of `{}`", output.display()),
            "name it .csv or .jsonl",
        ));
    }
    if !is_stdout && output.exists() && !overwrite {
        return Err(CliError::usage_with_hint(
            format_args!("`{}` exists, perhaps with labels", output.display()),
            "name another file, or `--overwrite` it",
        ));
    }
    let good = raters::good(good.as_deref())?;
    let logs = [log.clone()];
    let ratings = raters::ratings(&logs, &name)?;
    let judge = raters::needed_judge(&ratings, judge.as_deref())?;
    let wish = Wish { judge, good: good.as_ref(), labels, seed, now_ms: now_ms() };
    let plan = Plan::draw(&ratings, &wish).map_err(|error| CliError::of(&error))?;
    let mut rows = rows(&ratings, &plan, judge, show_verdicts);
    add_texts(&mut rows, &dataset, &logs)?;
    let kept = Plans::keep(&log, &plan).map_err(|error| {
        CliError::usage(format_args!("cannot save the plan next to `{}`", log.display())).because(&error)
    })?;
    let write = |out: &mut dyn Write| if is_jsonl { write_jsonl(&rows, out) } else { write_csv(&rows, out) };
    if is_stdout {
        write(&mut std::io::stdout().lock())?;
    } else {
        files::replace(&output, write).map_err(|error: std::io::Error| {
            CliError::usage(format_args!("cannot write `{}`", output.display())).because(&error)
        })?;
    }
    report(&plan, &kept);
    Ok(ExitCode::from(Exit::AllJudged.code()))
}

fn report(plan: &Plan, kept: &Path) {
    let n = counted(plan.items.len() as u64, "item");
    print::message(format_args!("{n} to label, by the verdicts of {}:", one_line(&plan.judge)));
    for stratum in &plan.strata {
        let (labels, items) = (stratum.labels, stratum.items);
        print::message(format_args!("{labels:>9}  of {items}: {}", one_line(&stratum.stratum)));
    }
    print::message(format_args!("plan in {}", one_line(&kept.display().to_string())));
}

fn rows(ratings: &Ratings, plan: &Plan, judge: usize, show_verdicts: bool) -> Vec<SheetRow> {
    let items: HashMap<_, &Item> = ratings.items.iter().map(|item| (item.subject(), item)).collect();
    let row = |planned: &judge_run::people::plan::PlanItem| {
        let item = items.get(&planned.subject());
        let verdict = item.and_then(|item| item.by(judge)).filter(|_| show_verdicts);
        SheetRow {
            trace_id: planned.trace_id.clone(),
            span_id: planned.span_id.clone(),
            document_index: planned.document_index.map(|index| index.to_string()),
            name: plan.name.clone(),
            judge_value: verdict.and_then(|verdict| Said::text(&verdict.said)),
            judge_rationale: verdict.and_then(|verdict| verdict.rationale.clone()),
            ..SheetRow::default()
        }
    };
    plan.items.iter().map(row).collect()
}

/// The question and the answer, if the dataset is available.
fn add_texts(
    rows: &mut [SheetRow],
    dataset: &[std::path::PathBuf],
    logs: &[std::path::PathBuf],
) -> Result<(), CliError> {
    let mut wanted: HashMap<String, Vec<usize>> = HashMap::new();
    for (number, row) in rows.iter().enumerate() {
        wanted.entry(row.trace_id.clone()).or_default().push(number);
    }
    let text = |value: &Option<Value>| {
        let text = match value.as_ref()? {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        Some(text.chars().take(MAX_TEXT).collect::<String>())
    };
    Recorded::open(dataset, logs)?.for_each(|trace| {
        for number in wanted.remove(&trace.trace_id).unwrap_or_default() {
            rows[number].inputs = text(&trace.inputs);
            rows[number].outputs = text(&trace.outputs);
        }
        !wanted.is_empty()
    })
}
