//! People's labels of traces: whether they find each good, by a judge's question or by each criterion of a rubric.

use std::collections::BTreeMap;
use std::path::Path;

use judge_run::judge::Judge;
use serde_json::Value;

use super::subject::Subject;
use crate::cli::error::CliError;
use crate::cli::print::one_line;

/// Labels of a judge, or of a criterion, by trace: whether people find it good.
pub(super) struct Labels<'a> {
    pub judge: &'a Judge,
    pub is_good: BTreeMap<String, bool>,
}

/// Reads a CSV with the column `trace_id`, and one for the judge or one for each of several criteria.
pub(super) fn read<'a>(path: &Path, subject: &'a Subject) -> Result<Vec<Labels<'a>>, CliError> {
    let name = one_line(&path.display().to_string());
    let mut reader = csv::Reader::from_path(path)
        .map_err(|error| CliError::usage(format_args!("cannot read the labels `{name}`: {error}")))?;
    let headers = reader.headers().cloned().unwrap_or_default();
    let column = |wanted: &[&str]| headers.iter().position(|header| wanted.contains(&header.trim()));
    let judges: Vec<&Judge> = subject.tested().collect();
    let of_judge = |judge: &'a Judge| {
        let own = [&*judge.name, judge.criterion().unwrap_or(&judge.name)];
        column(&own).or_else(|| column(&["label", "value"]).filter(|_| judges.len() == 1)).map(|at| (judge, at))
    };
    let columns: Vec<_> = judges.iter().filter_map(|judge| of_judge(judge)).collect();
    let (Some(id), false) = (column(&["trace_id"]), columns.is_empty()) else {
        let criteria: Vec<_> = judges.iter().filter_map(|judge| judge.criterion()).collect();
        let needed = match criteria.as_slice() {
            [] | [_] => "the columns trace_id and label".to_owned(),
            criteria => format!("the column trace_id, and one for each criterion: {}", criteria.join(", ")),
        };
        return Err(CliError::usage(format_args!("`{name}`:1: the labels need {needed}")));
    };
    let mut labels: Vec<_> = columns.iter().map(|(judge, _)| Labels { judge, is_good: BTreeMap::new() }).collect();
    if let Some(Labels { judge, .. }) = labels.iter().find(|labels| labels.judge.good.is_none()) {
        return Err(CliError::usage(format_args!(
            "the judge {} does not declare which verdicts are `good`, so it cannot be compared with labels",
            judge.name
        )));
    }
    for (at, row) in reader.records().enumerate() {
        let wrong = |reason: String| CliError::usage(format_args!("`{name}`:{}: {reason}", at + 2));
        let row = row.map_err(|error| wrong(error.to_string()))?;
        let id = row.get(id).unwrap_or_default().trim();
        for (Labels { judge, is_good }, (_, column)) in labels.iter_mut().zip(&columns) {
            let text = row.get(*column).unwrap_or_default().trim();
            if text.is_empty() {
                continue;
            }
            let label = read_label(judge, text).ok_or_else(|| {
                wrong(format!("unknown label `{}`, expected good, bad, or {}", one_line(text), judge.verdict))
            })?;
            if is_good.insert(id.to_owned(), label).is_some_and(|other| other != label) {
                return Err(wrong(format!("the trace `{}` has two different labels", one_line(id))));
            }
        }
    }
    labels.retain(|labels| !labels.is_good.is_empty());
    if labels.is_empty() {
        return Err(CliError::usage(format_args!("`{name}` has no label")));
    }
    Ok(labels)
}

/// Whether a label, a verdict of the judge or good or bad, says that it is good.
fn read_label(judge: &Judge, text: &str) -> Option<bool> {
    let good = judge.good.as_ref()?;
    let lower = text.to_lowercase();
    let read = serde_json::from_str::<Value>(&lower).ok().filter(|value| judge.verdict.check(value).is_ok());
    let value = read.or_else(|| {
        let value = Value::from(text);
        judge.verdict.check(&value).is_ok().then_some(value)
    });
    match lower.as_str() {
        _ if value.is_some() => good.is_good(&value?),
        "good" | "pass" => Some(true),
        "bad" | "fail" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use judge_run::judge::library;

    use super::*;

    #[test]
    fn a_label_is_a_verdict_of_the_judge_or_good_or_bad() {
        let hallucination = library::find("hallucination").unwrap();
        for (text, good) in
            [("true", Some(false)), ("FALSE", Some(true)), ("good", Some(true)), ("fail", Some(false)), ("x", None)]
        {
            assert_eq!(read_label(&hallucination, text), good, "{text}");
        }
        let refusal = library::find("refusal").unwrap();
        assert_eq!((read_label(&refusal, "refused"), read_label(&refusal, "partly")), (Some(false), Some(true)));
        let harms = library::find("harms").unwrap();
        assert_eq!((read_label(&harms, "[\"hate\"]"), read_label(&harms, "[\"none\"]")), (Some(false), Some(true)));
    }
}
