//! Panels: the flags and the table that ask for several votes, and what the closing summary says about them.

use std::fmt::{self, Write as _};

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use judge_run::endpoint::ModelUri;
use judge_run::judge::{Judge, Question, Unit};
use judge_run::run::{Aggregation, LaneIndex, Panel, PanelPlan, PanelSummary, RunPlan};
use serde::Deserialize;

use super::distribution::write_distribution;
use super::error::CliError;
use super::flags::{ENDPOINT, share};
use super::print::{counted, one_line};

/// The most votes of one model: more are a mistake.
const MAX_SAMPLES: i64 = 100;

/// How many votes each judge has, and how they are combined.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct PanelArgs {
    /// Ask each judge N times about each trace, and add an aggregate of its votes [default: 1]
    #[arg(long, value_name = "N", env = "JUDGE_RUN_SAMPLES", help_heading = ENDPOINT,
          value_parser = clap::value_parser!(u32).range(1..=MAX_SAMPLES))]
    pub samples: Option<u32>,

    /// Verdicts that an aggregate of several votes needs [default: more than half of the votes]
    #[arg(long, value_name = "N", env = "JUDGE_RUN_QUORUM", help_heading = ENDPOINT,
          value_parser = clap::value_parser!(u32).range(1..))]
    pub quorum: Option<u32>,

    /// How several votes become one verdict [default: majority; for numbers, mean]
    #[arg(long, value_name = "METHOD", env = "JUDGE_RUN_AGGREGATE", help_heading = ENDPOINT, value_parser = aggregation())]
    pub aggregate: Option<Aggregation>,

    /// Also ask this stronger model, but only where the other votes differ or one of them has no verdict; its verdict decides
    #[arg(long, value_name = "ENDPOINT:/MODEL", env = "JUDGE_RUN_ESCALATE_TO", help_heading = ENDPOINT,
          conflicts_with_all = ["quorum", "aggregate", "confirm", "anchors"])]
    pub escalate_to: Option<ModelUri>,

    /// With --escalate-to: also where the verdict is bad
    #[arg(long, env = "JUDGE_RUN_ESCALATE_BAD", help_heading = ENDPOINT, requires = "escalate_to")]
    pub escalate_bad: bool,

    /// With --escalate-to: where the confidence is below this, by `logprobs` or by the share of votes that agree, instead of
    /// where votes differ; `judge-run calibrate --max-disagreement` finds a value
    #[arg(long, value_name = "CONFIDENCE", env = "JUDGE_RUN_ESCALATE_BELOW", help_heading = ENDPOINT, requires = "escalate_to",
          value_parser = share)]
    pub escalate_below: Option<f64>,
}

fn aggregation() -> impl TypedValueParser<Value = Aggregation> {
    let of = |name: String| {
        Aggregation::ALL.into_iter().find(|known| known.as_str() == name).unwrap_or(Aggregation::Majority)
    };
    PossibleValuesParser::new(Aggregation::ALL.map(Aggregation::as_str)).map(of)
}

/// `[panel]`: who votes where the command line does not say.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PanelTable {
    /// Each judge is asked all of them.
    #[serde(default)]
    pub models: Vec<ModelUri>,
    pub samples: Option<u32>,
    pub quorum: Option<u32>,
    pub aggregate: Option<Aggregation>,
}

impl PanelArgs {
    /// The panel of a judge, if it has several votes. The command line overrides `table`. `has_log` is whether there is a log from which to make the aggregates.
    pub(crate) fn plan(
        &self,
        table: &PanelTable,
        judge: &Judge,
        voters: &[ModelUri],
        decides: Option<&ModelUri>,
        has_log: bool,
    ) -> Result<Option<PanelPlan>, CliError> {
        let samples = self.samples.or(table.samples).unwrap_or(1).max(1);
        if judge.select.unit() == Unit::Pair {
            return self.of_pairs(judge, voters, samples, has_log).map(Some);
        }
        if let Some(last) = decides {
            return self.cascade(judge, voters, last, samples, has_log).map(Some);
        }
        let votes = u32::try_from(voters.len()).unwrap_or(u32::MAX).saturating_mul(samples);
        if votes < 2 {
            let Some(quorum) = self.quorum.filter(|quorum| *quorum > 1) else { return Ok(None) };
            return Err(CliError::usage_with_hint(
                format_args!("a quorum of {quorum} needs several votes"),
                "use several models with `--model`, or ask one several times with `--samples`",
            ));
        }
        needs_log(has_log)?;
        // What is configured for a whole panel applies to a part of it as far as possible.
        let configured = table.quorum.map(|quorum| quorum.clamp(1, votes));
        let quorum = self.quorum.or(configured).unwrap_or(votes / 2 + 1);
        if quorum > votes {
            return Err(CliError::usage(format_args!(
                "a quorum of {quorum} is more than the {votes} votes of `{}`",
                judge.name
            )));
        }
        let aggregation = self.aggregate.or(table.aggregate).unwrap_or(Aggregation::of(&judge.verdict));
        if !aggregation.suits(&judge.verdict) {
            return Err(CliError::usage(format_args!(
                "the verdicts of `{}` are not numbers, and have no {aggregation}",
                judge.name
            )));
        }
        Ok(Some(without_escalation(judge, voters, samples, aggregation, quorum)))
    }

    /// Of a judge of pairs: each comparison asks in both orders, so there are always several votes.
    fn of_pairs(&self, judge: &Judge, voters: &[ModelUri], samples: u32, has_log: bool) -> Result<PanelPlan, CliError> {
        needs_log(has_log)?;
        let of_others = [("--aggregate", self.aggregate.is_some()), ("--escalate-to", self.escalate_to.is_some())];
        if let Some((flag, _)) = of_others.iter().find(|(_, is_given)| *is_given) {
            return Err(CliError::usage(format_args!(
                "{flag} is not for `{}`, which compares outputs: a side wins in both orders or not at all",
                judge.name
            )));
        }
        let comparisons = u32::try_from(voters.len()).unwrap_or(u32::MAX).saturating_mul(samples);
        let quorum = self.quorum.unwrap_or(comparisons / 2 + 1);
        if quorum > comparisons {
            return Err(CliError::usage(format_args!(
                "a quorum of {quorum} is more than the {} of `{}`",
                counted(comparisons.into(), "comparison"),
                judge.name
            )));
        }
        Ok(without_escalation(judge, voters, samples, Aggregation::Pair, quorum))
    }

    fn cascade(
        &self,
        judge: &Judge,
        voters: &[ModelUri],
        last: &ModelUri,
        samples: u32,
        has_log: bool,
    ) -> Result<PanelPlan, CliError> {
        needs_log(has_log)?;
        if voters.contains(last) {
            return Err(CliError::usage(format_args!("{last} votes already, and cannot decide as well")));
        }
        if self.escalate_bad && judge.good.is_none() {
            return Err(CliError::usage_with_hint(
                format_args!("--escalate-bad: the judge `{}` does not say which verdicts are good", judge.name),
                "add `good`, or `better` and `threshold`, to its [verdict]",
            ));
        }
        let has_one_vote = voters.len() == 1 && samples == 1;
        if self.escalate_below.is_some() && has_one_vote && !judge.weighs_labels() {
            return Err(CliError::usage_with_hint(
                format_args!("--escalate-below: one verdict of `{}` has no confidence", judge.name),
                "set `logprobs = true` in its [params], or ask several times with `--samples`",
            ));
        }
        Ok(PanelPlan {
            judge: judge.name.clone(),
            voters: voters.iter().chain([last]).cloned().collect(),
            samples,
            aggregation: Aggregation::Cascade,
            quorum: 1,
            escalates_bad: self.escalate_bad,
            escalates_below: self.escalate_below,
        })
    }
}

/// A panel that decides by its own votes.
fn without_escalation(
    judge: &Judge,
    voters: &[ModelUri],
    samples: u32,
    aggregation: Aggregation,
    quorum: u32,
) -> PanelPlan {
    PanelPlan {
        judge: judge.name.clone(),
        voters: voters.to_vec(),
        samples,
        aggregation,
        quorum,
        escalates_bad: false,
        escalates_below: None,
    }
}

fn needs_log(has_log: bool) -> Result<(), CliError> {
    if has_log {
        return Ok(());
    }
    Err(CliError::usage_with_hint(
        "several votes need a log, from which their aggregate is made",
        "name a file with `--output`",
    ))
}

/// The panels of a plan, for the questions that are asked.
pub(crate) fn panels(plan: &RunPlan, questions: &[(Question, LaneIndex)]) -> Vec<Panel> {
    let panel = |planned: &PanelPlan| {
        let (question, _) = questions.iter().find(|(question, _)| question.judge.name == planned.judge)?;
        Some(Panel {
            judge: planned.judge.clone(),
            verdict: question.judge.recorded().clone(),
            good: question.judge.good.clone(),
            voters: planned.voters.iter().map(ToString::to_string).collect(),
            samples: planned.samples,
            aggregation: planned.aggregation,
            quorum: planned.quorum,
            escalates_bad: planned.escalates_bad,
            escalates_below: planned.escalates_below,
            sides: plan.sides.as_ref().map(|sides| sides.names.clone()).unwrap_or_default(),
            one_order: plan.sides.as_ref().is_some_and(|sides| sides.one_order),
        })
    };
    plan.panels.iter().filter_map(panel).collect()
}

/// The outcome of the votes.
pub(crate) fn write(out: &mut String, summary: &PanelSummary) -> fmt::Result {
    let PanelSummary { panel, scored, unanimous, short, failed, pending, without, distribution, .. } = summary;
    let Panel { judge, aggregation, quorum, voters, .. } = panel;
    let last = voters.last().filter(|_| *aggregation == Aggregation::Cascade);
    match last {
        Some(last) => writeln!(out, "\n{}  aggregate:cascade, decided by {}", one_line(judge), one_line(last))?,
        None if *aggregation == Aggregation::Pair => {
            let orders = if panel.one_order { "one order" } else { "both orders" };
            writeln!(
                out,
                "\n{}  aggregate:pair of {}, in {orders}",
                one_line(judge),
                counted(panel.votes().into(), "vote")
            )?;
        }
        None => writeln!(out, "\n{}  aggregate:{aggregation} of {} votes", one_line(judge), panel.votes())?,
    }
    write!(out, "  scored   {scored:>7}")?;
    write_distribution(out, distribution)?;
    writeln!(out)?;
    writeln!(out, "  failed   {failed:>7}")?;
    let mut line = |label: &str, n: u64, words: &str| {
        if n == 0 { Ok(()) } else { writeln!(out, "  {label:<9}{n:>7}  {words}") }
    };
    if let Some(last) = last {
        let spared = scored.saturating_sub(summary.decided_by_last);
        line("spared", spared, "decided by the first votes")?;
        line("escalated", summary.decided_by_last, &format!("decided by {}", one_line(last)))?;
    }
    if *aggregation == Aggregation::Pair {
        if !panel.one_order {
            line("consistent", *unanimous, "the same in both orders")?;
        }
        let (first, all) = summary.first_preferred;
        line("position", first, &format!("of {all} preferences are for the output shown first"))?;
    } else {
        line("agreed", *unanimous, "all votes say the same")?;
    }
    line("short", *short, &format!("of fewer votes than {}, but the quorum of {quorum} is met", panel.votes()))?;
    line("pending", *pending, "not all votes are asked yet")?;
    for (voter, votes) in without {
        writeln!(out, "  {} without a verdict: {}", counted(*votes, "vote"), one_line(voter))?;
    }
    Ok(())
}
