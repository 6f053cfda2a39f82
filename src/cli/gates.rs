//! Gates: where they are given, and the messages when one does not hold.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use judge_run::judge::Good;
use judge_run::results::compare::Comparison;
use judge_run::results::forms::gate_text;
use judge_run::results::gate::{Cause, GateOutcome, GateResult};
use judge_run::results::report::{Report, Warning, WarningCode};
use judge_run::results::{CompareOptions, Condition, Figure, Gate, unknown_name};
use judge_run::run::Exit;

use super::companions::{self, side};
use super::config_file::ConfigFile;
use super::error::CliError;
use super::flags::GateArgs;
use super::forms::of_file;
use super::named_logs::expanded;
use super::suggest;
use super::{paths, print};

/// The margin where none is given.
pub(crate) const DEFAULT_MARGIN: f64 = 0.02;

/// The gates of a command, and the logs to compare with.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gates {
    pub gates: Vec<Gate>,
    /// How many of them, the first, were typed or come from a variable; the others are those of `judge-run.toml`.
    typed: usize,
    baseline: Vec<PathBuf>,
    /// Whether the baseline is that of `judge-run.toml`, whose patterns match nothing on the first night.
    may_be_missing: bool,
    /// A log that is not part of the baseline, although a pattern may match it.
    not: Option<PathBuf>,
    margin: f64,
}

impl Gates {
    /// Reads the gates, so that errors in one are reported before anything else happens.
    pub(crate) fn of(args: GateArgs, file: &ConfigFile) -> Result<Self, CliError> {
        let GateArgs { gate, fail_under, baseline, margin } = args;
        let parse = |text: &String, origin: &str| {
            text.parse::<Gate>().map_err(|error| CliError::usage(format_args!("{origin}{error}")))
        };
        let mut gates: Vec<Gate> = gate.iter().map(|text| parse(text, "")).collect::<Result<_, _>>()?;
        gates.extend(fail_under.map(Gate::fail_under));
        let typed = gates.len();
        for text in &file.gates.require {
            gates.push(parse(text, "judge-run.toml: [gates]: ")?);
        }
        let may_be_missing = baseline.is_empty();
        let baseline = if may_be_missing { file.gates.baseline.clone() } else { baseline };
        let gates =
            Self { gates, typed, baseline, may_be_missing, not: None, margin: margin.unwrap_or(DEFAULT_MARGIN) };
        match gates.gates.iter().find(|gate| gate.needs_baseline() && gates.baseline.is_empty()) {
            Some(gate) => Err(CliError::usage_with_hint(
                format_args!("the gate `{}` needs a baseline", gate.text),
                "name the logs to compare with: `--baseline last-night.jsonl`",
            )),
            None => Ok(gates),
        }
    }

    /// Those of a comparison, whose baseline is given otherwise.
    pub(crate) fn of_comparison(
        gate: Vec<String>,
        base: Vec<PathBuf>,
        margin: Option<f64>,
        file: &ConfigFile,
    ) -> Result<Self, CliError> {
        Self::of(GateArgs { gate, fail_under: None, baseline: base, margin }, file)
    }

    /// Only those that compare, whichever judges there are; with a baseline that this log is not part of.
    pub(crate) fn about_baseline(mut self, log: &Path) -> Self {
        self.gates.retain(Gate::needs_baseline);
        self.typed = 0;
        self.not = Some(log.to_owned());
        self
    }

    /// Whether there is nothing to evaluate or to compare.
    pub(crate) fn is_empty(&self) -> bool {
        self.gates.is_empty() && self.baseline.is_empty()
    }

    /// The gates whose judges are among these. A gate in `judge-run.toml` may be about a judge that is absent this time; a typed one may not.
    pub(crate) fn checked(mut self, known: &[&str], of: &str) -> Result<Self, CliError> {
        let typed = &self.gates[..self.typed];
        if let Some((gate, name)) = unknown_name(typed, known) {
            let mut names = known.to_vec();
            names.dedup();
            return Err(CliError::usage_with_hint(
                format_args!("the gate `{}` is about `{name}`, but the {of} has no such judge", gate.text),
                suggest::or_all(name, &names),
            ));
        }
        self.gates.retain(|gate| {
            let is_known = gate.name.as_ref().is_none_or(|name| known.contains(&name.as_str()));
            if !is_known {
                print::message(format_args!(
                    "note: the gate `{}` in judge-run.toml is about a judge that is not in the {of}",
                    print::one_line(&gate.text)
                ));
            }
            is_known
        });
        Ok(self)
    }

    /// Checks that win rates are about sides that the run compares. A gate in `judge-run.toml` may be for runs that compare others.
    pub(crate) fn check_sides(&self, known: &[String]) -> Result<(), CliError> {
        let of_sides = self.gates[..self.typed].iter().filter_map(|gate| Some((gate, gate.side()?)));
        let Some((gate, side)) = of_sides.into_iter().find(|(_, side)| known.iter().all(|name| name != side)) else {
            return Ok(());
        };
        let message = format!("the gate `{}` is about the side `{side}`, which the run does not compare", gate.text);
        Err(match known {
            [] => CliError::usage_with_hint(message, "name the outputs to compare: `--side NAME=FILE`, twice or more"),
            known => {
                let known: Vec<_> = known.iter().map(String::as_str).collect();
                CliError::usage_with_hint(message, suggest::or_all(side, &known))
            }
        })
    }

    /// The logs of the baseline, if there are any: nights before these, which a pattern may match as well.
    pub(crate) fn baseline(&self, these: &[PathBuf]) -> Result<Option<Vec<PathBuf>>, CliError> {
        let is_there = |path: &&PathBuf| {
            !self.may_be_missing || paths::expanded(path).is_ok_and(|found| found.iter().all(|path| path.exists()))
        };
        let named: Vec<_> = self.baseline.iter().filter(is_there).cloned().collect();
        let these: Vec<_> = these.iter().chain(&self.not).cloned().collect();
        let nights = companions::nights_before(expanded(&named)?, &these);
        Ok(Some(nights).filter(|nights| !nights.is_empty()))
    }

    /// How a comparison is made.
    pub(crate) fn options(&self, level: f64, good: BTreeMap<String, Good>) -> CompareOptions {
        let margin = |gate: &Gate| match gate.condition {
            Condition::NoWorse(margin) => Some((gate.name.clone(), margin)),
            Condition::Figure(..) | Condition::AtLeast(_) => None,
        };
        let gates = self.gates.iter().filter_map(margin).collect();
        CompareOptions { level, margin: self.margin, gates, good, ..CompareOptions::default() }
    }
}

/// Errors in the gates or the report of a run are reported before anything is paid for.
pub(crate) fn before_run(gates: &Gates, report: Option<&Path>, log: Option<&Path>) -> Result<(), CliError> {
    if gates.is_empty() && report.is_none() {
        return Ok(());
    }
    report.map_or(Ok(()), |report| of_file(report).map(drop))?;
    if log.is_none() {
        return Err(CliError::usage_with_hint(
            "gates and reports need a log, but the records go to standard output",
            "name a log: `-o FILE`",
        ));
    }
    let these: Vec<_> = log.map(Path::to_owned).into_iter().collect();
    gates.baseline(&these)?.map_or(Ok(()), |baseline| side(&baseline).map(drop))
}

/// The results that got worse than the baseline, each with its judge; not those that were already worse.
pub(crate) fn worse<'a>(gates: &'a Gates, report: &'a Report) -> impl Iterator<Item = (&'a GateResult, &'a str)> {
    let about_baseline = gates.gates.iter().filter(|gate| gate.needs_baseline());
    about_baseline.flat_map(move |gate| {
        report.comparisons.iter().filter_map(move |comparison| {
            let is_it = |of: &&GateResult| of.outcome == GateOutcome::Fail && of.gate == gate.title(&comparison.name);
            let is_about = gate.name.as_ref().is_none_or(|name| *name == comparison.name);
            let failed = report.gates.iter().find(is_it).filter(|_| is_about && comparison.worse_since.is_none())?;
            Some((failed, comparison.name.as_str()))
        })
    })
}

/// Whether gates say how many judgments may fail, and hold.
pub(crate) fn tolerate_failures(gates: &[Gate], results: &[GateResult]) -> bool {
    let is_about_all = |gate: &&Gate| {
        let figure = matches!(gate.condition, Condition::Figure(Figure::Errors | Figure::Coverage, ..));
        figure && gate.name.is_none() && gate.slice.is_none()
    };
    let held = |gate: &Gate| results.iter().any(|of| of.gate == gate.text && of.outcome == GateOutcome::Pass);
    gates.iter().filter(is_about_all).any(held)
}

/// Whether all gates hold. Those that do not are reported on standard error, unless they are already shown; those without any data are reported in any
/// case, so that no one takes them for a gate that holds.
pub(crate) fn verdict(gates: &[GateResult], is_shown: bool) -> Exit {
    if !is_shown {
        for gate in gates.iter().filter(|gate| gate.outcome != GateOutcome::Pass) {
            print::message(gate_text(gate).trim_end());
        }
    }
    let of = |cause| gates.iter().filter(move |gate| gate.cause == Some(cause));
    for gate in of(Cause::NothingJudged) {
        print::message(format_args!(
            "warning: the gate `{}` decides nothing: nothing was judged",
            print::one_line(&gate.gate)
        ));
    }
    for gate in of(Cause::NoFigure) {
        let why = gate.reason.as_deref().unwrap_or("no such figure");
        print::message(format_args!(
            "warning: the gate `{}` decides nothing: {}",
            print::one_line(&gate.gate),
            print::one_line(why)
        ));
    }
    if gates.iter().any(|gate| gate.outcome == GateOutcome::Fail) {
        Exit::GateFailed
    } else if of(Cause::NothingJudged).next().is_some() {
        Exit::SomeFailed
    } else {
        Exit::AllJudged
    }
}

/// What the nights and the anchors show, whatever the gates.
pub(crate) fn said(comparisons: &[Comparison]) {
    for comparison in comparisons {
        let is_said = |warning: &&Warning| matches!(warning.code, WarningCode::JudgeChanged | WarningCode::Drift);
        for warning in comparison.warnings.iter().filter(is_said) {
            let (name, message) = (print::one_line(&comparison.name), print::one_line(&warning.message));
            print::message(format_args!("warning: {name}: {message}"));
        }
    }
}
