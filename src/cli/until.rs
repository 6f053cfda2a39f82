//! `--until`: pass rates that end a run as soon as they are certain.

use std::fmt::{self, Write as _};

use judge_run::dataset::DatasetOptions;
use judge_run::judge::{Good, Question, Unit};
use judge_run::results::{Comparator, Condition, Figure, Gate, Part, unknown_name};
use judge_run::run::{LaneIndex, QuestionIndex, Selection, Until, UntilCondition, UntilSummary, Waves};
use judge_run_statistics::sequential::Settled;

use super::error::CliError;
use super::print::one_line;
use super::suggest;

/// Reads the conditions, before anything else happens. `judges` are those of the run.
pub(crate) fn of_run(texts: &[String], judges: &[&str]) -> Result<Vec<Gate>, CliError> {
    let parse = |text: &String| {
        let gate = text.parse::<Gate>().map_err(|error| CliError::usage(format_args!("--until: {error}")))?;
        let is_share =
            matches!(gate.condition, Condition::Figure(Figure::Pass(Part::Estimate), Comparator::AtLeast, _));
        if !is_share || gate.name.is_none() || gate.slice.is_some() {
            return Err(CliError::usage_with_hint(
                format_args!("--until cannot decide `{}`", gate.text),
                "it decides pass rates of whole datasets: `NAME.pass >= 0.95`",
            ));
        }
        Ok(gate)
    };
    let conditions = texts.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    if let Some((gate, name)) = unknown_name(&conditions, judges)
        && judges.iter().any(|judge| judge.rsplit_once('.').is_some_and(|(rubric, _)| rubric == name))
    {
        return Err(CliError::usage_with_hint(
            format_args!(
                "--until cannot decide `{}`: what the criteria of `{name}` come to is known only at the end",
                gate.text
            ),
            "name its criteria: `RUBRIC.CRITERION.pass >= 0.95`, once for each",
        ));
    }
    if let Some((gate, name)) = unknown_name(&conditions, judges) {
        return Err(CliError::usage_with_hint(
            format_args!("`--until {}` is about `{name}`, but the run has no such judge", gate.text),
            suggest::or_all(name, judges),
        ));
    }
    Ok(conditions)
}

/// Reads the dataset once for the order of its traces.
pub(crate) fn open(
    conditions: &[Gate],
    questions: &[(Question, LaneIndex)],
    dataset: DatasetOptions,
    selection: &Selection,
    seed: u64,
) -> Result<Option<Until>, CliError> {
    if conditions.is_empty() {
        return Ok(None);
    }
    if dataset.paths.iter().any(|path| path.as_os_str() == "-") {
        return Err(CliError::usage_with_hint(
            "--until has to read the dataset several times, but standard input can be read only once",
            "write the traces to a file first",
        ));
    }
    let condition = |gate: &Gate| {
        let place = questions.iter().position(|(question, _)| Some(&question.judge.name) == gate.name.as_ref());
        let (Some(place), Condition::Figure(_, _, threshold)) = (place, gate.condition) else {
            return Err(CliError::usage(format_args!("--until cannot decide `{}`", gate.text)));
        };
        let judge = &questions[place].0.judge;
        let good = judge.good.as_ref().filter(|good| !matches!(good, Good::Scale { threshold: None, .. })).ok_or_else(
            || {
                CliError::usage_with_hint(
                    format_args!("--until: the judge `{}` does not say which verdicts are good", judge.name),
                    "add `good`, or `better` and `threshold`, to its [verdict]",
                )
            },
        )?;
        if judge.select.unit() != Unit::Trace {
            return Err(CliError::usage(format_args!(
                "--until works only with judges of traces, but `{}` judges {}s",
                judge.name,
                judge.select.unit()
            )));
        }
        Ok(UntilCondition {
            text: gate.text.clone(),
            question: QuestionIndex::new(place),
            good: good.clone(),
            threshold,
        })
    };
    let conditions = conditions.iter().map(condition).collect::<Result<_, _>>()?;
    let needs_all = |question: &Question| matches!(question.judge.select.unit(), Unit::Session | Unit::Pair);
    if let Some((other, _)) = questions.iter().find(|(question, _)| needs_all(question)) {
        return Err(CliError::usage(format_args!(
            "--until judges traces in random order, but `{}` needs whole {}s",
            other.judge.name,
            other.judge.select.unit()
        )));
    }
    let waves = Waves::of(dataset, selection, seed).map_err(|error| CliError::of(&error))?;
    Ok(Some(Until { conditions, waves }))
}

/// The decision, and what it saved.
pub(crate) fn write(out: &mut String, until: &[UntilSummary]) -> fmt::Result {
    if !until.is_empty() {
        writeln!(out)?;
    }
    for UntilSummary { text, settled, bounds: (low, high), asked, population } in until {
        let word = match settled {
            Settled::Reached => "holds",
            Settled::Missed => "does NOT hold",
            Settled::Open => "is not decided",
        };
        writeln!(out, "{} {word}: {:.1}% to {:.1}% of all pass", one_line(text), 100.0 * low, 100.0 * high)?;
        let saved = population.saturating_sub(*asked);
        #[expect(clippy::cast_precision_loss, reason = "a share for the eye")]
        let share = if *population == 0 { 0.0 } else { 100.0 * saved as f64 / *population as f64 };
        writeln!(out, "  {asked} of {population} traces asked; {saved} judgments saved ({share:.0}%)")?;
    }
    Ok(())
}
