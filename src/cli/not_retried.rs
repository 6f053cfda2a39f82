//! The failures of a log in a replay: which are retried, which are not, why, and what to do about those.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::path::Path;

use judge_run::endpoint::ModelUri;
use judge_run::feedback::log;
use judge_run::feedback::{ALL_CRITERIA, ErrorCode, RANKING};
use judge_run::run::{DryRunQuestion, FailureScope, JudgePlan, QuestionSummary, RunPlan, Scope};

use super::command_line::quoted;
use super::error::CliError;
use super::paths::shown;
use super::plan::wanted;
use super::print::{counted, one_line};

/// The failures of a log, by judge and model.
pub(crate) struct Failures {
    judges: Vec<OfJudge>,
}

/// The failures of one judge on one model.
struct OfJudge {
    name: String,
    source_id: String,
    /// Those that the replay covers, and how many of them were found in a dataset so far.
    selected: u64,
    found: u64,
    /// The others; `None` counts the codes of other tools.
    kept: BTreeMap<Option<ErrorCode>, u64>,
    /// Rejected verdicts that the replay does not cover.
    invalid: u64,
    /// The last run that could have found them.
    plan: Option<RunPlan>,
    /// Why it cannot be repeated.
    blocked: Option<String>,
}

impl Failures {
    /// What the log says.
    pub(crate) fn of(path: &Path, scope: &Scope) -> Result<Self, CliError> {
        let tally = log::tally(path).map_err(|error| {
            CliError::usage(format_args!("cannot read the log `{}`", path.display())).because(&error)
        })?;
        let with_invalid = matches!(scope, Scope::Failures(FailureScope { invalid: true, .. }));
        // Figures of rankings, and what the criteria of rubrics come to, are made anew at the end of each run.
        let is_derived = |source_id: &str| source_id.starts_with(RANKING) || source_id == ALL_CRITERIA;
        let asked = tally.judges.into_iter().filter(|judge| !is_derived(&judge.source_id));
        let judges = asked.map(|judge| {
            let mut of_judge = OfJudge {
                name: judge.name,
                source_id: judge.source_id,
                selected: if with_invalid { judge.invalid } else { 0 },
                found: 0,
                kept: BTreeMap::new(),
                invalid: if with_invalid { 0 } else { judge.invalid },
                plan: None,
                blocked: None,
            };
            for (code, n) in judge.failed {
                let code = code.parse::<ErrorCode>().ok();
                if scope.selects(code) {
                    of_judge.selected += n;
                } else {
                    *of_judge.kept.entry(code).or_default() += n;
                }
            }
            of_judge
        });
        Ok(Self { judges: judges.collect() })
    }

    /// Failures that the replay is about.
    pub(crate) fn selected(&self) -> u64 {
        self.judges.iter().map(|judge| judge.selected).sum()
    }

    /// Failures of the log.
    pub(crate) fn total(&self) -> u64 {
        let kept = |judge: &OfJudge| judge.kept.values().sum::<u64>();
        self.judges.iter().map(|judge| judge.selected + kept(judge)).sum()
    }

    /// Rejected verdicts that the replay does not cover.
    pub(crate) fn invalid(&self) -> u64 {
        self.judges.iter().map(|judge| judge.invalid).sum()
    }

    /// Failures of a judge that no dataset had so far.
    pub(crate) fn open(&self, judge: &JudgePlan, by: By) -> u64 {
        let source_id = by.source_of(judge);
        let of_judge = self.judges.iter().find(|of_judge| of_judge.is(judge, &source_id));
        of_judge.map_or(0, |of_judge| of_judge.selected.saturating_sub(of_judge.found))
    }

    fn get_mut(&mut self, judge: &JudgePlan, by: By) -> Option<&mut OfJudge> {
        let source_id = by.source_of(judge);
        self.judges.iter_mut().find(|of_judge| of_judge.is(judge, &source_id))
    }

    /// Records that a plan has these judges.
    pub(crate) fn covered_by(&mut self, plan: &RunPlan) {
        for (judge, by) in plan.judges.iter().flat_map(|judge| By::ALL.map(|by| (judge, by))) {
            if let Some(of_judge) = self.get_mut(judge, by) {
                of_judge.plan.get_or_insert_with(|| plan.clone());
            }
        }
    }

    /// Records which of a judge's failures a run, or a dry run, found.
    pub(crate) fn found(&mut self, judge: &JudgePlan, by: By, found: u64) {
        if let Some(of_judge) = self.get_mut(judge, by) {
            of_judge.found += found;
        }
    }

    /// Records that a plan with this judge cannot be repeated.
    pub(crate) fn blocked(&mut self, judge: &JudgePlan, by: By, reason: &str) {
        if let Some(of_judge) = self.get_mut(judge, by) {
            of_judge.blocked.get_or_insert_with(|| reason.to_owned());
        }
    }

    /// What is left once all plans are done. `other_model` is whether failures were retried on another model than theirs: then those that
    /// were not meant are not counted.
    pub(crate) fn rest(&self, left: &mut Left, other_model: bool) {
        for of_judge in &self.judges {
            let OfJudge { name, source_id, selected, found, kept, invalid: _, plan, blocked } = of_judge;
            for (code, n) in kept.iter().filter(|_| !other_model) {
                left.add(name, source_id, Reason::KeptByCode(*code), *n, plan.as_ref());
            }
            let reason = match (blocked, plan) {
                (Some(reason), _) => Reason::Blocked(reason.clone()),
                (None, Some(_)) => Reason::NotInDataset,
                (None, None) => Reason::NoPlan,
            };
            left.add(name, source_id, reason, selected.saturating_sub(*found), plan.as_ref());
        }
    }
}

impl OfJudge {
    fn is(&self, judge: &JudgePlan, source_id: &str) -> bool {
        self.name == judge.name && self.source_id == source_id
    }
}

/// The source of a run's failures: the model of its plan, or a simulator that answered in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    Model,
    Simulator,
}

impl By {
    pub(crate) const ALL: [Self; 2] = [Self::Model, Self::Simulator];

    /// The source of a judge's records; `None` if a simulated model was requested, which no simulator can replace.
    pub(crate) fn source_of(self, judge: &JudgePlan) -> String {
        match self {
            Self::Model => judge.model.to_string(),
            Self::Simulator if judge.model.is_simulated() => String::new(),
            Self::Simulator => ModelUri::simulated(&judge.model.model).to_string(),
        }
    }
}

/// Why a failure is not retried.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    /// The same request would fail again; or the user named other codes.
    KeptByCode(Option<ErrorCode>),
    /// No recorded run over the log had the judge.
    NoPlan,
    /// The run cannot be repeated.
    Blocked(String),
    /// Prompt, parameters or trace are not those that failed.
    Changed,
    /// The trace still lacks what the prompt names.
    StillIncomplete,
    /// No dataset has the trace.
    NotInDataset,
    /// The replay stopped before.
    NotReached,
}

/// Failures that are not retried.
#[derive(Default)]
pub(crate) struct Left {
    /// By judge, model and reason: how many, and the set-up of their run, if it is known.
    groups: BTreeMap<(String, String, Reason), (u64, Option<RunPlan>)>,
}

impl Left {
    pub(crate) fn add(&mut self, name: &str, source_id: &str, reason: Reason, n: u64, plan: Option<&RunPlan>) {
        if n > 0 {
            let group = self.groups.entry((name.to_owned(), source_id.to_owned(), reason)).or_default();
            group.0 += n;
            group.1 = group.1.take().or_else(|| plan.cloned());
        }
    }

    pub(crate) fn total(&self) -> u64 {
        self.groups.values().map(|(n, _)| n).sum()
    }

    /// Records what a run left of the failures that it found, and returns how many it found.
    pub(crate) fn after_run(
        &mut self,
        (judge, by): (&JudgePlan, By),
        question: &QuestionSummary,
        scope: &Scope,
        plan: &RunPlan,
    ) -> u64 {
        let counts = &question.counts;
        let source_id = by.source_of(judge);
        if question.info.source_id != source_id {
            // Only what the first model failed at is looked up: the other has an opinion about it by now, or is asked for one.
            self.of_question(&judge.name, &source_id, [0, 0, counts.unjudged()], plan);
            return counts.selected();
        }
        let kept: u64 = counts.kept_failed.iter().filter(|(code, _)| scope.selects(**code)).map(|(_, n)| n).sum();
        let left = [counts.unmatched, kept.saturating_sub(counts.unmatched), counts.unjudged()];
        self.of_question(&judge.name, &source_id, left, plan);
        counts.planned + kept.max(counts.unmatched)
    }

    /// The same of a dry run.
    pub(crate) fn after_dry_run(
        &mut self,
        (judge, by): (&JudgePlan, By),
        question: &DryRunQuestion,
        plan: &RunPlan,
    ) -> u64 {
        let unmatched = question.counts.unmatched;
        self.of_question(&judge.name, &by.source_of(judge), [unmatched, 0, 0], plan);
        question.counts.planned + unmatched
    }

    fn of_question(&mut self, name: &str, source_id: &str, left: [u64; 3], plan: &RunPlan) {
        for (reason, n) in [Reason::Changed, Reason::StillIncomplete, Reason::NotReached].into_iter().zip(left) {
            self.add(name, source_id, reason, n, Some(plan));
        }
    }

    /// What is left, why, and the commands for it.
    pub(crate) fn write(&self, out: &mut String, log: &Path) -> fmt::Result {
        if self.groups.is_empty() {
            return Ok(());
        }
        writeln!(out, "\n{} not retried:", counted(self.total(), "failure"))?;
        for ((name, source_id, reason), (n, plan)) in &self.groups {
            let judge = format!("{} on {}", one_line(name), one_line(source_id));
            writeln!(out, "  {n:>7}  {judge}: {}", one_line(&reason.to_string()))?;
            let log = quoted(&log.display().to_string());
            let command = match reason {
                Reason::KeptByCode(Some(code)) => format!("judge-run replay {log} --only {code}"),
                Reason::NotInDataset => format!("judge-run replay {log} --dataset FILE"),
                Reason::NotReached => format!("judge-run replay {log}"),
                Reason::KeptByCode(None) | Reason::Blocked(_) | Reason::StillIncomplete => continue,
                Reason::NoPlan | Reason::Changed => command(plan.as_ref(), name, source_id, &log),
            };
            writeln!(out, "           {}", one_line(&command))?;
        }
        Ok(())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeptByCode(Some(code)) => write!(f, "{code} is retried only with --only"),
            Self::KeptByCode(None) => f.write_str("another tool's error"),
            Self::NoPlan => f.write_str("the manifest does not say how it was asked"),
            Self::Blocked(reason) => f.write_str(reason),
            Self::Changed => f.write_str("the prompt, its parameters or the trace changed since"),
            Self::StillIncomplete => f.write_str("the trace still lacks what the prompt needs"),
            Self::NotInDataset => f.write_str("the trace is not in the dataset"),
            Self::NotReached => f.write_str("not reached before the replay stopped"),
        }
    }
}

/// The command of a run with this judge.
fn command(plan: Option<&RunPlan>, name: &str, source_id: &str, log: &str) -> String {
    let mut words = vec!["judge-run".to_owned()];
    let mut put = |flag: &str, value: &str| words.extend([flag.to_owned(), quoted(value)]);
    let is_of = |judge: &&JudgePlan| By::ALL.map(|by| by.source_of(judge)).iter().any(|source| source == source_id);
    let judge = plan.and_then(|plan| plan.judges.iter().filter(|judge| judge.name == name).find(is_of));
    match plan {
        None => put("-d", "FILE"),
        Some(plan) => plan.datasets.iter().for_each(|dataset| put("-d", &shown(&dataset.path).display().to_string())),
    }
    put("-J", &judge.map_or_else(|| name.to_owned(), |judge| shown(Path::new(&wanted(judge))).display().to_string()));
    match plan.filter(|plan| plan.is_simulated()) {
        Some(_) => words.push("--simulate".to_owned()),
        None => {
            put("-m", &judge.map_or_else(|| source_id.to_owned(), |judge| judge.model.to_string()));
            let endpoint = plan.zip(judge).and_then(|(plan, judge)| plan.endpoint(&judge.model));
            if let Some([member]) = endpoint.map(|endpoint| endpoint.members.as_slice())
                && let Some(base_url) = &member.base_url
            {
                put("--base-url", base_url);
            }
        }
    }
    if let Some(plan) = plan {
        let mut put = |flag: &str, value: &str| words.extend([flag.to_owned(), quoted(value)]);
        plan.reading.map.iter().for_each(|mapping| put("--map", &mapping.to_string()));
        plan.reading.format.iter().for_each(|format| put("--dataset-format", &format.to_string()));
    }
    words.extend(["-o".to_owned(), log.to_owned()]);
    words.join(" ")
}
