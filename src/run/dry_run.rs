//! The plan alone: everything is read, rendered and looked up, but nothing is sent.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::repeated::{Counter, Repeated};
use crate::dataset::{DatasetError, Hint, Notices};
use crate::feedback::log::{Index, Standing};
use crate::run::outcome::counts::Counts;
use crate::run::outcome::summary::QuestionInfo;
use crate::run::planning::item::{Action, Item, Rider, Settled};
use crate::run::planning::plan::{Known, Makes, Planner};
use crate::run::planning::walk::{Planned, Walk};
use crate::run::setup::questions::Questions;
use crate::run::setup::selection::NotSelectedCounts;
use crate::run::setup::settings::RunSettings;
use crate::run::setup::shard::Shard;

/// What a run would do.
#[derive(Debug, Default)]
pub struct DryRun {
    /// Traces that it would select.
    pub traces: u64,
    /// The part of the dataset that it covers, if not all.
    pub shard: Option<Shard>,
    /// Traces that it would not select.
    pub not_selected: NotSelectedCounts,
    /// Named ids that are not in the dataset.
    pub absent_trace_ids: Vec<String>,
    /// Lines that are not a trace.
    pub rejects: Vec<String>,
    /// What could make traces of them, each with the first file that it applies to.
    pub hints: Vec<(Hint, String)>,
    /// Traces that occur twice.
    pub duplicates: u64,
    /// What the user should know about how the dataset was read.
    pub notices: Notices,
    /// By model URI, how much of the prompts an endpoint's cache can save.
    pub repeated: BTreeMap<String, Repeated>,
    /// One for each question, in the run's order.
    pub questions: Vec<DryRunQuestion>,
}

/// What one question would ask and cost.
#[derive(Debug, Default)]
pub struct DryRunQuestion {
    /// Which question.
    pub info: QuestionInfo,
    /// How many judgments would be asked, kept or skipped; those to be asked are only planned.
    pub counts: Counts,
    /// Traces, spans or sessions that the judge cannot be asked about; they are among the planned ones.
    pub not_askable: u64,
    /// Why, for the first of them.
    pub first_reason: Option<String>,
    /// Judgments that an answer to another criterion of the same rubric answers; they are among the planned ones.
    pub riding: u64,
    /// Tokens of all prompts, estimated.
    pub input_tokens: u64,
    /// The maximum number of tokens in all answers.
    pub max_output_tokens: u64,
    /// The first request, as it would be judged: instructions, and what is judged.
    pub first_prompt: Option<(String, String)>,
}

impl DryRunQuestion {
    /// Requests that would be sent.
    pub fn requests(&self) -> u64 {
        self.counts.planned - self.not_askable - self.riding
    }

    fn add(&mut self, action: Action) {
        match action {
            Action::Count(settled) => _ = self.counts.settle(&settled),
            Action::Reinstate { standing, .. } => _ = self.counts.settle(&Settled::Kept(standing)),
            Action::Reuse(feedback) => _ = self.counts.settle(&Settled::Reused(Standing::of(&feedback))),
            Action::Fail(not_askable) => {
                self.counts.plan(false);
                self.not_askable += 1;
                self.first_reason.get_or_insert_with(|| not_askable.error.to_string());
            }
            Action::Ask { judgment, history, riders: _ } => {
                self.counts.plan(history.overrides.is_some());
                let work = judgment.work;
                self.input_tokens += work.estimated_input_tokens();
                self.max_output_tokens += u64::from(work.max_output_tokens());
                if self.first_prompt.is_none() {
                    let (system, user) = work.texts();
                    self.first_prompt = Some((system.to_owned(), user.to_owned()));
                }
            }
        }
    }
}

impl DryRun {
    /// Judgments that it would be about.
    pub fn selected(&self) -> u64 {
        self.questions.iter().map(|question| question.counts.selected()).sum()
    }
}

/// Reads, renders and looks up everything, and sends nothing. `index` is what the log has; the output is not touched.
///
/// # Errors
/// When the dataset cannot be read.
pub fn dry_run(settings: RunSettings, index: Index) -> Result<DryRun, DatasetError> {
    let RunSettings { datasets, questions, lanes, scope, selection, redact, sides, reuse, .. } = settings;
    let mut repeated = Counter::new(&lanes);
    let Some(dataset) = datasets.into_iter().next() else { return Ok(DryRun::default()) };
    let questions = Questions::new(questions);
    let mut dry = DryRun { shard: selection.shard, ..DryRun::default() };
    let question = |question| DryRunQuestion { info: QuestionInfo::of(question), ..DryRunQuestion::default() };
    dry.questions.extend(questions.iter().map(|(_, asked)| question(asked)));
    let planner = Planner::new(questions.clone(), Arc::new(Known { index, reuse, failures: None }), &scope, |_| true)
        .of_subjects(Makes { redact, sides });
    for planned in Walk::new(&planner, dataset, Arc::new(selection), None) {
        let items = match planned {
            Planned::Trace { items, .. } => {
                dry.traces += 1;
                items
            }
            Planned::Group { items, .. } => items,
            Planned::NotSelected { why, .. } => {
                dry.not_selected.add(&why);
                continue;
            }
            Planned::Reject(reject) => {
                dry.rejects.push(reject.to_string());
                if let Some(hint) = reject.hint.filter(|hint| !dry.hints.iter().any(|(known, _)| known == hint)) {
                    dry.hints.push((hint, reject.file.to_string()));
                }
                continue;
            }
            Planned::Duplicate => {
                dry.duplicates += 1;
                continue;
            }
            Planned::Unreadable(error) => return Err(error),
            Planned::WaveEnd => continue,
            Planned::End { notices, absent } => {
                (dry.notices, dry.absent_trace_ids) = (notices, absent);
                continue;
            }
        };
        repeated.add(&items, &questions);
        for Item { question, action } in items {
            if let Action::Ask { riders, .. } = &action {
                for Rider { question, history, .. } in riders {
                    if let Some(question) = dry.questions.get_mut(question.place()) {
                        question.counts.plan(history.overrides.is_some());
                        question.riding += 1;
                    }
                }
            }
            if let Some(question) = dry.questions.get_mut(question.place()) {
                question.add(action);
            }
        }
    }
    dry.repeated = repeated.finish();
    Ok(dry)
}
