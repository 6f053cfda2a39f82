//! `judge-run aggregate`: combines several annotators' labels.

use std::fmt::{self, Write};
use std::process::ExitCode;

use judge_run::people::aggregate::{Aggregate, Method, Settings, aggregate};
use judge_run::people::import::{Adopted, Adoption};
use judge_run::results::forms::plain::{guarded, one_line};
use judge_run::run::Exit;
use serde_json::{Value, json};

use super::error::CliError;
use super::log_hints::cannot_open;
use super::manifest::now_ms;
use super::people_args::AggregateArgs;
use super::print::{self, counted};
use super::{feedback, raters, summary};

/// Items that are listed in text; JSON has all.
const MAX_LISTED: usize = 20;

pub(crate) fn main(args: AggregateArgs) -> Result<ExitCode, CliError> {
    let AggregateArgs { log, name, method, people, quorum, smoothing, write, format } = args;
    let method = Method::ALL
        .into_iter()
        .find(|known| known.as_str() == method)
        .ok_or_else(|| CliError::usage(format_args!("unknown method `{method}`")))?;
    let ratings = raters::ratings(std::slice::from_ref(&log), &name)?;
    let voters = raters::people(&ratings, &people)?;
    if voters.is_empty() {
        return Err(CliError::usage_with_hint(
            format_args!("no person's feedback is named `{name}`"),
            "add labels with `judge-run feedback import`, or name the voters with `--people`",
        ));
    }
    let settings = Settings { method, quorum, smoothing };
    let found = aggregate(&ratings, &voters, &settings).map_err(|error| CliError::of(&error))?;
    let mut added = 0;
    if write {
        let mut adoption = Adoption::of(&log).map_err(|error| cannot_open(&error))?;
        for record in found.records(method, now_ms()) {
            // What was decided before is replaced; its id follows from the votes.
            let (Adopted::New(record) | Adopted::Replacing(record)) = adoption.adopt_successor(record) else {
                continue;
            };
            feedback::append(&log, &record)?;
            added += 1;
        }
        print::message(format_args!("{} added to {}", counted(added, "record"), one_line(&log.display().to_string())));
    }
    let text = if format == "json" {
        format!("{:#}\n", json!(found))
    } else {
        let mut out = String::new();
        // Writing to a string cannot fail.
        _ = text(&mut out, &found);
        guarded(&out)
    };
    summary::print(&text)?;
    Ok(ExitCode::from(Exit::AllJudged.code()))
}

fn text(out: &mut String, found: &Aggregate) -> fmt::Result {
    let Aggregate { name, method, n_items, n_annotators, undecided, items, annotators, .. } = found;
    let annotators_counted = counted(*n_annotators, "annotator");
    writeln!(out, "{}: {} by {annotators_counted}, {method}", one_line(name), counted(*n_items, "item"))?;
    for (reason, n) in undecided {
        writeln!(out, "{n:>9}  undecided: {reason}")?;
    }
    writeln!(out, "\nannotators")?;
    for annotator in annotators {
        let quality = match (annotator.accuracy, annotator.mean_absolute_difference) {
            (Some(accuracy), _) => format!("accuracy {accuracy:.3}"),
            (None, Some(difference)) => format!("mean difference {difference:.3}"),
            (None, None) => "nothing decided".to_owned(),
        };
        writeln!(out, "  {quality}  {} ({})", one_line(&annotator.source_id), counted(annotator.n, "vote"))?;
    }
    writeln!(out, "\nitems")?;
    for item in items.iter().take(MAX_LISTED) {
        let value = match (&item.value, item.undecided) {
            (_, Some(reason)) => format!("({reason})"),
            (Value::String(text), _) => text.clone(),
            (value, _) => value.to_string(),
        };
        let share = item.posteriors.get(&value).map(|share| format!("  {share:.3}")).unwrap_or_default();
        let span = item.span_id.as_deref().map(|span| format!(" {}", one_line(span))).unwrap_or_default();
        let document = item.document_index.map(|index| format!(" document_index {index}")).unwrap_or_default();
        writeln!(
            out,
            "  {}{share}  {}{span}{document} ({})",
            one_line(&value),
            one_line(&item.trace_id),
            counted(item.n_votes, "vote")
        )?;
    }
    if items.len() > MAX_LISTED {
        writeln!(out, "  ... and {} more (`--format json` has all)", items.len() - MAX_LISTED)?;
    }
    Ok(())
}
