//! Which traces are judged: from flags to the library's selection, and the report on it.

use std::collections::BTreeSet;
use std::fmt::{self, Write};
use std::path::{Path, PathBuf};

use judge_run::judge::Expression;
use judge_run::run::{Criteria, NotSelectedCounts, Sample, SelectionPlan, Shard};

use super::error::CliError;
use super::print::{counted, one_line};

/// Ids of this many absent traces are shown.
const ABSENT_SHOWN: usize = 5;

/// Compiles the expressions, and reads the files of ids.
pub(crate) fn criteria(plan: &SelectionPlan, dataset: &[PathBuf]) -> Result<Criteria, CliError> {
    let SelectionPlan { limit, shard, filter, sample, seed, stratify, trace_ids } = plan;
    if *limit == Some(0) {
        return Err(CliError::usage_with_hint("`--limit 0` selects no trace", "omit it to judge all"));
    }
    let compile = |flag: &str, source: &Option<String>| {
        let compiled = source.as_ref().map(|source| Expression::compile(source)).transpose();
        compiled.map_err(|error| CliError::usage(format_args!("{flag}: {error}")))
    };
    let filter = compile("--filter", filter)?;
    let strata = compile("--stratify", stratify)?;
    let sample = sample.map(|size| (size, Sample::new(size, *seed, strata)));
    if let Some((size, sample)) = &sample
        && sample.needs_all_traces()
        && let Some(path) = dataset.iter().find(|path| !can_be_read_twice(path))
    {
        let name = if path.as_os_str() == "-" { "standard input".to_owned() } else { path.display().to_string() };
        return Err(CliError::usage_with_hint(
            format_args!("--sample {size} has to read the dataset twice, but {name} can be read only once"),
            "a share without --stratify, such as --sample 5%, is drawn while reading; or write the traces to a file first",
        ));
    }
    let trace_ids = (!trace_ids.is_empty()).then(|| ids(trace_ids)).transpose()?;
    let sample = sample.map(|(_, sample)| sample);
    Ok(Criteria { shard: *shard, trace_ids, filter, sample, limit: *limit, of_first_side: false })
}

fn can_be_read_twice(path: &Path) -> bool {
    // A missing file is reported when it is opened.
    path.as_os_str() != "-" && std::fs::metadata(path).map_or(true, |metadata| metadata.is_file() || metadata.is_dir())
}

/// The ids themselves, and those in the files that are named with `@`, one per line.
fn ids(named: &[String]) -> Result<BTreeSet<String>, CliError> {
    let mut ids = BTreeSet::new();
    for word in named {
        let Some(path) = word.strip_prefix('@') else {
            ids.insert(word.clone());
            continue;
        };
        let text = std::fs::read_to_string(path)
            .map_err(|error| CliError::usage(format_args!("--trace-id: cannot read {path}: {error}")))?;
        ids.extend(text.lines().map(str::trim).filter(|id| !id.is_empty()).map(ToOwned::to_owned));
    }
    if ids.is_empty() {
        return Err(CliError::usage_with_hint(
            format_args!("--trace-id: {} names no trace", named.join(", ")),
            "a file of ids has one per line",
        ));
    }
    Ok(ids)
}

/// Which part of the dataset was selected, and which was not.
pub(crate) fn write(
    out: &mut String,
    shard: Option<Shard>,
    traces: u64,
    not_selected: &NotSelectedCounts,
    absent: &[String],
) -> fmt::Result {
    let NotSelectedCounts { other_shards, not_named, filtered, not_drawn, failed, first_failure } = not_selected;
    if let Some(shard) = shard {
        let of_shard = traces + not_selected.of_shard();
        writeln!(out, "shard {shard}: {of_shard} of {}", counted(of_shard + other_shards, "trace"))?;
    }
    let kinds = [(not_named, "not named"), (filtered, "filtered out"), (not_drawn, "not in the sample")];
    let kinds: Vec<_> =
        kinds.iter().filter(|(n, _)| **n > 0).map(|(n, kind)| format!("{} {kind}", counted(**n, "trace"))).collect();
    if !kinds.is_empty() {
        writeln!(out, "not selected: {}", kinds.join(", "))?;
    }
    if let Some(reason) = first_failure {
        let n = counted(*failed, "trace");
        writeln!(out, "not selected: {n} because an expression failed; the first: {}", one_line(reason))?;
    }
    if !absent.is_empty() {
        let shown: Vec<_> = absent.iter().take(ABSENT_SHOWN).map(|id| one_line(id)).collect();
        let more = if absent.len() > ABSENT_SHOWN { ", ..." } else { "" };
        let n = counted(absent.len() as u64, "trace id");
        writeln!(out, "not in the dataset: {n}: {}{more}", shown.join(", "))?;
    }
    Ok(())
}

/// Why there is nothing to judge, if no trace is selected.
pub(crate) fn why_nothing(rejects: u64, not_selected: &NotSelectedCounts) -> String {
    match (not_selected.of_shard(), rejects) {
        (0, 0) => "the dataset is empty".to_owned(),
        (0, 1) => "the only record of the dataset is not a trace".to_owned(),
        (0, n) => format!("none of the {n} records of the dataset is a trace"),
        (1, _) => "the only trace of the dataset is not selected".to_owned(),
        (n, _) => format!("none of the {n} traces of the dataset is selected"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_dataset_and_one_without_a_selected_trace_are_distinguished() {
        let none = NotSelectedCounts::default();
        assert!(why_nothing(0, &none).ends_with("is empty"));
        assert!(why_nothing(1, &none).contains("the only record"));
        assert!(why_nothing(7, &none).contains("none of the 7 records"));
        let filtered = NotSelectedCounts { filtered: 3, not_drawn: 1, ..none };
        assert_eq!(why_nothing(1, &filtered), "none of the 4 traces of the dataset is selected");
    }

    #[test]
    fn what_is_not_selected_is_reported_by_kind_and_harmless_for_a_terminal() {
        let mut not_selected =
            NotSelectedCounts { other_shards: 10, filtered: 2, not_drawn: 1, ..NotSelectedCounts::default() };
        (not_selected.failed, not_selected.first_failure) = (1, Some("t\u{1b}[2J: why".to_owned()));
        let absent: Vec<_> = (0..7).map(|n| format!("t{n}")).collect();
        let mut text = String::new();
        write(&mut text, "1/2".parse().ok(), 4, &not_selected, &absent).unwrap();
        let expected = "shard 1/2: 8 of 18 traces\nnot selected: 2 traces filtered out, 1 trace not in the sample\n\
                        not selected: 1 trace because an expression failed; the first: t [2J: why\n\
                        not in the dataset: 7 trace ids: t0, t1, t2, t3, t4, ...\n";
        assert_eq!(text, expected);
    }
}
