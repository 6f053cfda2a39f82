//! The plan alone: everything is read, rendered and looked up, and nothing is sent.

use std::sync::Arc;

use super::passed_over::PassedOver;
use super::plan::{Item, Known, Planner};
use super::selection::LeftOutCounts;
use super::settings::RunSettings;
use super::shard::Shard;
use super::walk::{Planned, Walk};
use crate::dataset::{DatasetError, Hint, Notices};
use crate::feedback::log::{Index, Standing};
use crate::judge::Question;

/// What a run would do, without doing it.
#[derive(Debug, Default)]
pub struct DryRun {
    /// Traces that it would be about.
    pub traces: u64,
    /// The part of the dataset that it is about, if not all.
    pub shard: Option<Shard>,
    /// Traces that it would not be about.
    pub left_out: LeftOutCounts,
    /// Ids that were named and that no trace has.
    pub absent_trace_ids: Vec<String>,
    /// Lines that are no trace.
    pub rejects: Vec<String>,
    /// What could make traces of them, each with the first file that it is for.
    pub hints: Vec<(Hint, String)>,
    /// Traces that are there twice.
    pub duplicates: u64,
    /// What the user should know of how the dataset was read.
    pub notices: Notices,
    /// One for each question, in the run's order.
    pub questions: Vec<DryRunQuestion>,
}

/// What one judge would do.
#[derive(Debug, Default)]
pub struct DryRunQuestion {
    /// The judge's name.
    pub judge: String,
    /// The model URI.
    pub source_id: String,
    /// Requests that would be sent.
    pub requests: u64,
    /// Judgments that the log already has.
    pub kept: u64,
    /// Judgments that the log has, and that somebody marked invalid.
    pub invalid: u64,
    /// Verdicts that would be taken over from other logs.
    pub reused: u64,
    /// Of a run about failures: not in the log, and not to be asked.
    pub missing: u64,
    /// Of a run about failures: prompt, parameter or trace are not those that failed.
    pub unmatched: u64,
    /// What there is nothing to judge of.
    pub passed_over: PassedOver,
    /// Traces, spans or sessions that the judge cannot be asked about.
    pub not_askable: u64,
    /// Why, for the first of them.
    pub first_reason: Option<String>,
    /// Tokens of all prompts, estimated.
    pub input_tokens: u64,
    /// Tokens that all answers may have at most.
    pub most_output_tokens: u64,
    /// The first request, as it would be judged.
    pub first_prompt: Option<(String, String)>,
}

impl DryRun {
    /// Judgments that it would be about.
    pub fn selected(&self) -> u64 {
        let all =
            |q: &DryRunQuestion| q.requests + q.kept + q.invalid + q.reused + q.missing + q.unmatched + q.not_askable;
        self.questions.iter().map(all).sum()
    }
}

/// Reads, renders and looks up everything, and sends nothing. `index` is what the log has; the output is not touched.
///
/// # Errors
/// When the dataset cannot be read.
pub fn dry_run(settings: RunSettings, index: Index) -> Result<DryRun, DatasetError> {
    let RunSettings { datasets, questions, scope, selection, reuse, .. } = settings;
    let Some(dataset) = datasets.into_iter().next() else { return Ok(DryRun::default()) };
    let questions: Arc<[Question]> = questions.into_iter().map(|(question, _)| question).collect();
    let mut dry = DryRun { shard: selection.shard, ..DryRun::default() };
    dry.questions.extend(questions.iter().map(|question| DryRunQuestion {
        judge: question.judge.name.clone(),
        source_id: question.source_id.clone(),
        passed_over: PassedOver::of(question.judge.select.unit()),
        ..DryRunQuestion::default()
    }));
    let planner = Planner::new(questions, Arc::new(Known { index, reuse }), &scope, |_| true);
    for planned in Walk::new(&planner, dataset, Arc::new(selection)) {
        let items = match planned {
            Planned::Trace { items, .. } => {
                dry.traces += 1;
                items
            }
            Planned::Session { items, .. } => items,
            Planned::LeftOut { why, .. } => {
                dry.left_out.add(&why);
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
            Planned::End { notices, absent } => {
                (dry.notices, dry.absent_trace_ids) = (notices, absent);
                continue;
            }
        };
        for item in items {
            let Some(question) = dry.questions.get_mut(item.question()) else { continue };
            match item {
                Item::PassedOver { what, .. } => question.passed_over.add(&what),
                Item::Missing { .. } => question.missing += 1,
                Item::Unmatched { .. } => question.unmatched += 1,
                Item::Kept { standing: Standing::Invalid { .. }, .. } => question.invalid += 1,
                Item::Kept { .. } | Item::KeptAgain { .. } => question.kept += 1,
                Item::Reused { .. } => question.reused += 1,
                Item::NotAskable { not_askable, .. } => {
                    question.not_askable += 1;
                    question.first_reason.get_or_insert_with(|| not_askable.error.to_string());
                }
                Item::Ask { judgment, .. } => {
                    let request = judgment.request;
                    question.requests += 1;
                    question.input_tokens += request.estimated_input_tokens();
                    question.most_output_tokens += u64::from(request.sampling.max_output_tokens);
                    question.first_prompt.get_or_insert_with(|| {
                        (request.system.as_deref().unwrap_or_default().to_owned(), request.user)
                    });
                }
            }
        }
    }
    Ok(dry)
}
