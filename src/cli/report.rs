//! `judge-run report`: a report on a log's feedback, and whether its gates hold.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use judge_run::dataset::{DatasetOptions, DatasetReader, Entry};
use judge_run::feedback::log::StandingRecords;
use judge_run::judge::Good;
use judge_run::people::plan::Plans;
use judge_run::people::{Known, add_corrected};
use judge_run::results::by::{self, By, TraceFacts};
use judge_run::results::forms::Findings;
use judge_run::results::report::Report;
use judge_run::results::{Evidence, Options, Results, Side, compare, evaluate, slices_of};
use judge_run::run::Exit;
use judge_run::run::manifest::Manifest;

use super::companions::{self, side};
use super::config_file::ConfigFile;
use super::confirmation;
use super::error::CliError;
use super::forms::Inputs;
use super::gates::{self, Gates};
use super::log_hints::cannot_open;
use super::named_logs::expanded;
use super::print;
use super::subcommands::ReportArgs;
use super::{paths, quickstart, raters};

pub(crate) fn main(args: ReportArgs) -> Result<ExitCode, CliError> {
    let ReportArgs { logs, by, dataset, good, level, form, gates, config } = args;
    let file = ConfigFile::load(config.as_deref())?;
    let gates = Gates::of(gates, &file)?;
    let logs = expanded(&logs)?;
    let inputs = Inputs { logs: &logs, others: &[], datasets: &dataset, by: &by };
    form.check(inputs)?;
    let asked = Asked { logs: &logs, by: &by, dataset: &dataset, good: given_good(&good)?, level };
    let Reported { report, .. } = asked.report(gates)?;
    form.write(&Findings::Report(&report), inputs)?;
    Ok(ExitCode::from(verdict(&report, form.is_text_on_stdout()).code()))
}

/// The level of intervals where none is given.
pub(crate) const DEFAULT_LEVEL: f64 = 0.95;

/// A report, and the names of the judges that are worse than the baseline without a second run.
pub(crate) struct Reported {
    pub report: Report,
    pub unconfirmed: Vec<String>,
}

/// What a report is asked to be about.
#[derive(Clone)]
pub(crate) struct Asked<'a> {
    pub logs: &'a [PathBuf],
    pub by: &'a [String],
    pub dataset: &'a [PathBuf],
    pub good: BTreeMap<String, Good>,
    pub level: f64,
}

impl Asked<'_> {
    pub(crate) fn report(self, gates: Gates) -> Result<Reported, CliError> {
        let Self { logs, by, dataset, good, level } = self.clone();
        let mut by =
            by::compile(by).map_err(|(source, error)| CliError::usage(format_args!("--by {source}: {error}")))?;
        let asked = by.len();
        by.extend(
            slices_of(&gates.gates)
                .map_err(|(source, error)| CliError::usage(format_args!("the slice `{source}` of a gate: {error}")))?,
        );
        // Errors in the gates are reported before a log of any size is read.
        let mut records = StandingRecords::of(logs).map_err(|error| cannot_open(&error))?;
        let manifests = manifests(logs);
        let facts = trace_facts(&by, dataset, &manifests)?;
        let mut results = Results::read(&mut records, &by, &facts).map_err(|error| cannot_open(&error))?;
        let gates = gates.checked(&results.names().collect::<Vec<_>>(), "log")?;
        let options = Options {
            level,
            good: good.clone(),
            prices: prices(&manifests),
            skipped: counts(&manifests, |judge| judge.skipped),
        };
        let names = logs.iter().map(|log| log.display().to_string()).collect();
        let mut report = results.report(names, &options, asked);
        if let Some(baseline) = gates.baseline(logs)? {
            let mut base = side(&baseline)?;
            let anchors = companions::anchors(logs)?;
            let mut new = Side::of_read(records, results, anchors).map_err(|error| cannot_open(&error))?;
            let compared = compare(&mut base, &mut new, &gates.options(level, good));
            let compared = compared.map_err(|error| cannot_open(&error))?;
            (report.comparisons, report.anchors) = (compared.comparisons, compared.anchors);
            (records, results) = new.into_read().ok_or_else(|| CliError::Other("no log was read".to_owned()))?;
        }
        add_corrected(&mut report, &mut records, &known(logs, &manifests)?, level)
            .map_err(|error| cannot_open(&error))?;
        let evidence = Evidence {
            results: &results,
            judges: &report.judges,
            records: &mut records,
            options: &options,
            comparisons: &report.comparisons,
            unjudged: &counts(&manifests, |judge| judge.unjudged),
        };
        report.gates = evaluate(&gates.gates, evidence).map_err(|error| cannot_open(&error))?;
        let unconfirmed = match logs {
            [log] => confirmation::settle(&mut report, &gates, log, |logs, gates| {
                Ok(Asked { logs, by: &[], dataset: &[], ..self }.report(gates)?.report)
            })?,
            _ => Vec::new(),
        };
        Ok(Reported { report, unconfirmed })
    }
}

/// What a log says, without gates.
pub(crate) fn report_of(log: &Path) -> Result<Report, CliError> {
    Ok(report_on(log, &[], Gates::default())?.report)
}

/// What a log says, and whether these gates hold.
pub(crate) fn report_on(log: &Path, by: &[String], gates: Gates) -> Result<Reported, CliError> {
    let logs = [log.to_owned()];
    Asked { logs: &logs, by, dataset: &[], good: BTreeMap::new(), level: DEFAULT_LEVEL }.report(gates)
}

/// Whether the gates hold. Failures are reported on standard error, unless standard output shows them.
pub(crate) fn verdict(report: &Report, is_shown: bool) -> Exit {
    gates::verdict(&report.gates, is_shown)
}

/// `--good NAME=VALUE`.
pub(crate) fn given_good(given: &[String]) -> Result<BTreeMap<String, Good>, CliError> {
    let parse = |text: &String| {
        let (name, good) = text.split_once('=').ok_or_else(|| {
            CliError::usage_with_hint(
                format_args!("--good {text}: expected NAME=VALUE"),
                "such as `--good safety=true` or `--good 'helpfulness=>= 4'`",
            )
        })?;
        let good = good.parse::<Good>().map_err(|error| CliError::usage(format_args!("--good {text}: {error}")))?;
        Ok((name.trim().to_owned(), good))
    };
    given.iter().map(parse).collect()
}

/// How labels were drawn, if they are in one log, and which of them the judges were written with.
fn known(logs: &[PathBuf], manifests: &[Manifest]) -> Result<Known, CliError> {
    let plans = match logs {
        [log] => raters::plans(log)?,
        _ => Plans::default(),
    };
    Ok(Known { plans, examples: raters::examples(manifests) })
}

/// The manifests of the logs that have one. One that cannot be read says nothing.
pub(super) fn manifests(logs: &[PathBuf]) -> Vec<Manifest> {
    logs.iter().filter_map(|log| Manifest::read(&Manifest::path_of(log)).ok()).collect()
}

fn prices(manifests: &[Manifest]) -> BTreeMap<String, judge_run::endpoint::prices::Prices> {
    let endpoints =
        manifests.iter().rev().flat_map(|manifest| manifest.plans.iter().rev()).flat_map(|plan| &plan.endpoints);
    endpoints.filter_map(|endpoint| Some((endpoint.model.to_string(), endpoint.prices?))).collect()
}

fn counts(
    manifests: &[Manifest],
    of: fn(&judge_run::run::manifest::JudgeCounts) -> u64,
) -> BTreeMap<(String, String), u64> {
    let mut counts = BTreeMap::new();
    for judge in manifests.iter().flat_map(|manifest| &manifest.counts.judges) {
        *counts.entry((judge.name.clone(), judge.source_id.clone())).or_default() += of(judge);
    }
    counts
}

/// The values of expressions over the traces: the named ones, or else those that the logs are about.
fn trace_facts(by: &[By], dataset: &[PathBuf], manifests: &[Manifest]) -> Result<TraceFacts, CliError> {
    let mut facts = TraceFacts::default();
    let needed = by.iter().find(|by| by.needs_traces());
    if dataset.is_empty() && needed.is_none() {
        return Ok(facts);
    }
    let plans = || manifests.iter().filter_map(|manifest| manifest.plans.first());
    let known = || plans().flat_map(|plan| &plan.datasets).map(|dataset| paths::shown(&dataset.path));
    let paths: Vec<PathBuf> = if dataset.is_empty() { known().collect() } else { paths::datasets(dataset, &[])? };
    let is_there = |path: &Path| quickstart::is_meant(path) || path.is_file();
    let missing = paths.iter().find(|path| dataset.is_empty() && !is_there(path));
    if let Some(needed) = needed.filter(|_| paths.is_empty() || missing.is_some()) {
        let why = match missing {
            Some(path) => format!("the dataset `{}` does not exist", path.display()),
            None => "the dataset is unknown".to_owned(),
        };
        return Err(CliError::usage_with_hint(
            format_args!("`{needed}` comes from the traces, and {why}"),
            "name the dataset with `--dataset`; without it, only `model`, `session` and `metadata.KEY` are known",
        ));
    }
    let (paths, _file) = quickstart::as_files(paths)?;
    let mut options = DatasetOptions::new(paths);
    if let Some(reading) = plans().next().map(|plan| &plan.reading) {
        options.max_line_bytes = reading.max_line_bytes;
        options.format = reading.format.unwrap_or_default();
        options.mappings = reading.map.clone();
    }
    for entry in DatasetReader::open(options).map_err(|error| CliError::of(&error))? {
        if let Entry::Trace(trace) = entry.map_err(|error| CliError::of(&error))? {
            facts.add(by, &trace.value);
        }
    }
    if let Some(reason) = &facts.first_failure {
        let n = print::counted(facts.failed, "trace");
        print::message(format_args!("warning: an expression failed for {n}; the first: {}", print::one_line(reason)));
    }
    Ok(facts)
}
