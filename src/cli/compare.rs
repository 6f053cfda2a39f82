//! `judge-run compare`: what changed between two logs, and whether the application is the reason.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use judge_run::results::compare::{Comparison, ComparisonReport};
use judge_run::results::forms::Findings;
use judge_run::results::gate::GateResult;
use judge_run::results::report::SCHEMA_VERSION;
use judge_run::results::{Compared, Evidence, Options, Side, compare, evaluate};

use super::companions::{nights_before, side};
use super::config_file::ConfigFile;
use super::error::CliError;
use super::forms::Inputs;
use super::gates::{self, Gates};
use super::log_hints::cannot_open;
use super::named_logs::expanded;
use super::report::given_good;
use super::subcommands::CompareArgs;

pub(crate) fn main(args: CompareArgs) -> Result<ExitCode, CliError> {
    let CompareArgs { base, new, margin, good, level, gate, form, config } = args;
    let file = ConfigFile::load(config.as_deref())?;
    let gates = Gates::of_comparison(gate, vec![base.clone()], margin, &file)?;
    if let Some(gate) = gates.gates.iter().find(|gate| gate.slice.is_some()) {
        return Err(CliError::usage_with_hint(
            format_args!("the gate `{}` is about a part of the dataset", gate.text),
            "use `judge-run report`, also with `--baseline`",
        ));
    }
    let new = listed(&new)?;
    // A log may be compared with itself; a pattern does not mean it.
    let base = if base.exists() { vec![base] } else { nights_before(listed(&base)?, &new) };
    let inputs = Inputs { logs: &new, others: &base, ..Inputs::default() };
    form.check(inputs)?;
    let (mut of_base, mut of_new) = (side(&base)?, side(&new)?);
    let gates = gates.checked(&of_new.names().collect::<Vec<_>>(), "new log")?;
    let good = given_good(&good)?;
    let compared = compare(&mut of_base, &mut of_new, &gates.options(level, good.clone()));
    let Compared { comparisons, anchors } = compared.map_err(|error| cannot_open(&error))?;
    let options = Options { level, good, ..Options::default() };
    let outcomes = of_gates(&gates, of_new, &options, &comparisons)?;
    let names = |logs: &[PathBuf]| logs.iter().map(|log| log.display().to_string()).collect();
    let report = ComparisonReport {
        schema_version: SCHEMA_VERSION,
        base: names(&base),
        new: names(&new),
        comparisons,
        anchors,
        gates: outcomes,
        warnings: Vec::new(),
    };
    form.write(&Findings::Comparison(&report), inputs)?;
    Ok(ExitCode::from(gates::verdict(&report.gates, form.is_text_on_stdout()).code()))
}

/// Gates about figures are about the first of the new logs.
fn of_gates(
    gates: &Gates,
    new: Side,
    options: &Options,
    comparisons: &[Comparison],
) -> Result<Vec<GateResult>, CliError> {
    let Some((mut records, results)) = new.into_read() else { return Ok(Vec::new()) };
    let unjudged = BTreeMap::new();
    // What people's labels correct is only in reports.
    let evidence =
        Evidence { results: &results, records: &mut records, options, judges: &[], comparisons, unjudged: &unjudged };
    evaluate(&gates.gates, evidence).map_err(|error| cannot_open(&error))
}

/// The logs of one side: a comma between two, and patterns.
pub(crate) fn listed(side: &Path) -> Result<Vec<PathBuf>, CliError> {
    if side.exists() {
        return Ok(vec![side.to_owned()]);
    }
    let text = side.to_string_lossy();
    let named: Vec<PathBuf> = text.split(',').filter(|part| !part.is_empty()).map(PathBuf::from).collect();
    expanded(&named)
}
