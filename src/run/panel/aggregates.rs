//! The aggregates of votes, as records.

use std::path::PathBuf;

use serde_json::Value;

use super::both_orders;
use super::cascade::{self, Decided};
use super::combine::{Combined, NoConsensus, combine};
use super::panel::{Panel, PanelSummary};
use super::votes::{Subject, Vote, Votes};
use crate::feedback::log::{LogWriter, OpenError, Standing};
use crate::feedback::{
    ANCHORS_METADATA, ANSWER_A_METADATA, ANSWER_B_METADATA, AssessmentId, DECIDED_BY_METADATA, DIGEST_METADATA,
    DOCUMENT_COUNT_METADATA, DOCUMENT_METADATA, ErrorCode, Feedback, FeedbackError, GOOD_METADATA, IdHasher,
    PROMPT_METADATA, SCALE_METADATA, SESSION_ID_METADATA, SESSION_METADATA, TRACE_A_METADATA, TRACE_B_METADATA,
};
use crate::run::derived::Derived;
use crate::run::panel::aggregation::Aggregation;

/// The members of a vote's metadata that are true of the aggregate.
const IN_COMMON: [&str; 9] = [
    ANCHORS_METADATA,
    PROMPT_METADATA,
    DIGEST_METADATA,
    GOOD_METADATA,
    SCALE_METADATA,
    SESSION_METADATA,
    SESSION_ID_METADATA,
    DOCUMENT_METADATA,
    DOCUMENT_COUNT_METADATA,
];

/// Brings the aggregates of a log up to date with its votes.
///
/// # Errors
/// When the log cannot be read. If it can no longer be written, closing it reports that.
pub(in crate::run) async fn aggregate(
    panels: &[Panel],
    log: PathBuf,
    writer: &LogWriter,
    run_id: &str,
) -> Result<Vec<PanelSummary>, OpenError> {
    let mut summaries: Vec<_> = panels.iter().map(PanelSummary::new).collect();
    let Votes { subjects, values, mut records } = Votes::read(panels, log)?;
    let mut derived = Derived::new(writer, run_id);
    for subject in &subjects {
        let summary = &mut summaries[subject.panel];
        let panel = &panels[subject.panel];
        let said: Vec<_> = subject.votes.iter().filter_map(|vote| vote.value).collect();
        let is_cascade = panel.aggregation == Aggregation::Cascade;
        // In a cascade, the deciding model need not be asked.
        for (number, voter) in panel.voters.iter().enumerate().take(panel.voters.len() - usize::from(is_cascade)) {
            let given = subject.votes.iter().filter(|vote| vote.voter == number && vote.value.is_some()).count() as u64;
            let missing = u64::from(panel.samples * panel.orders()).saturating_sub(given);
            if missing > 0 {
                *summary.without.entry(voter.clone()).or_default() += missing;
            }
        }
        summary.count_positions(subject, &values);
        let mut details = Vec::new();
        let combined = if is_cascade {
            match decided(panel, subject, &values) {
                Decided::AtOnce(combined) => Ok(combined),
                Decided::ByTheLast(combined) => {
                    summary.decided_by_last += 1;
                    details.extend(panel.voters.last().map(|last| (DECIDED_BY_METADATA, last.clone())));
                    Ok(combined)
                }
                Decided::NotAtAll(why) => {
                    summary.escalated.extend(records.record(subject.votes[0].place)?.trace_id);
                    Err(NoConsensus::Undecided(why))
                }
                Decided::Escalated => {
                    summary.pending += 1;
                    summary.escalated.extend(records.record(subject.votes[0].place)?.trace_id);
                    continue;
                }
                Decided::Pending => {
                    summary.pending += 1;
                    continue;
                }
            }
        } else {
            let are_all_in = subject.votes.len() >= panel.votes() as usize;
            if said.len() < (panel.quorum * panel.orders()) as usize && !are_all_in {
                summary.pending += 1;
                continue;
            }
            if panel.aggregation == Aggregation::Pair {
                both_orders::decide(panel, subject, &values).map(|decided| {
                    details = decided.details;
                    decided.combined
                })
            } else {
                let votes: Vec<_> = said.iter().map(|number| &values[*number]).collect();
                combine(panel.aggregation, &votes, panel.votes(), panel.quorum)
            }
        };
        match &combined {
            Ok(Combined { value, is_unanimous, .. }) => {
                summary.scored += 1;
                summary.unanimous += u64::from(*is_unanimous);
                summary.short += u64::from(!is_cascade && said.len() < panel.votes() as usize);
                let aggregate = Feedback { value: Some(value.clone()), ..Feedback::default() };
                summary.distribution.add(Standing::of(&aggregate));
            }
            Err(_) => summary.failed += 1,
        }
        let id = id(panel, subject, &values, combined.is_ok());
        if subject.standing.is_some_and(|standing| standing.id == id) {
            continue;
        }
        summary.written += 1;
        let first = records.record(subject.votes[0].place)?;
        let compared = compared(panel, subject, &first);
        let mut feedback = derived.about(first, &IN_COMMON, id, panel.judge.clone(), panel.source());
        feedback.metadata.extend(compared);
        feedback.rationale = Some(said_by_whom(panel, &subject.votes, &values));
        feedback.metadata.insert("votes".to_owned(), format!("{}/{}", said.len(), panel.votes()));
        feedback.metadata.extend(details.into_iter().map(|(key, value)| (key.to_owned(), value)));
        match combined {
            Ok(Combined { value, agreement, .. }) => {
                feedback.value = Some(value);
                feedback.metadata.insert("agreement".to_owned(), agreement);
                let replaced = subject.standing.filter(|standing| standing.is_verdict);
                feedback.overrides = replaced.map(|standing| standing.id.to_string());
            }
            Err(reason) => {
                let error_code = ErrorCode::NoConsensus.into();
                feedback.error =
                    Some(FeedbackError { error_code, error_message: Some(reason.to_string()), stack_trace: None });
            }
        }
        if derived.append(feedback).await.is_err() {
            break;
        }
    }
    // If the log's writer has stopped, closing it reports why.
    _ = derived.flush().await;
    Ok(summaries)
}

impl PanelSummary {
    /// Counts how often the output shown first is preferred.
    fn count_positions(&mut self, subject: &Subject, values: &[Value]) {
        let Some([first, second]) = subject.sides else { return };
        for vote in &subject.votes {
            let Some(value) = vote.value.map(|number| &values[number]) else { continue };
            let shown = if vote.is_swapped { [second, first] } else { [first, second] };
            let [is_first, is_second] = shown.map(|side| *value == *self.panel.sides[side]);
            self.first_preferred.0 += u64::from(is_first);
            self.first_preferred.1 += u64::from(is_first || is_second);
        }
    }
}

/// The aggregate's metadata about its pair, in the order of the sides: `vote` is one of its votes.
fn compared(panel: &Panel, subject: &Subject, vote: &Feedback) -> Vec<(String, String)> {
    let Some(sides) = subject.sides else { return Vec::new() };
    let mut traces =
        [TRACE_A_METADATA, TRACE_B_METADATA].map(|key| vote.metadata.get(key).cloned().unwrap_or_default());
    if vote.compared().is_some_and(|[shown_first, _]| shown_first != panel.sides[sides[0]]) {
        traces.reverse();
    }
    let names = sides.map(|side| panel.sides[side].clone());
    let keys = [ANSWER_A_METADATA, ANSWER_B_METADATA, TRACE_A_METADATA, TRACE_B_METADATA];
    keys.into_iter().map(ToOwned::to_owned).zip(names.into_iter().chain(traces)).collect()
}

/// The outcome of a cascade.
fn decided(panel: &Panel, subject: &Subject, values: &[Value]) -> Decided {
    let is_last = |vote: &&Vote| vote.voter + 1 == panel.voters.len();
    let first: Vec<_> = subject.votes.iter().filter(|vote| !is_last(vote)).collect();
    let verdicts: Vec<_> = first.iter().filter_map(|vote| Some((&values[vote.value?], vote.confidence))).collect();
    let last = subject.votes.iter().find(is_last).map(|vote| vote.value.map(|number| &values[number]));
    cascade::decide(panel, &verdicts, first.len(), last)
}

/// The identity of an aggregate: its votes, and how they are combined. Later votes make another one, which overrides it.
fn id(panel: &Panel, subject: &Subject, values: &[Value], is_verdict: bool) -> AssessmentId {
    let mut hasher = IdHasher::new("judge-run aggregate 1");
    hasher.part(panel.judge.as_bytes()).part(panel.aggregation.as_str().as_bytes());
    hasher.part(subject.about.as_bytes()).part(if is_verdict { b"verdict" } else { b"failure" });
    for vote in &subject.votes {
        if let Some(value) = vote.value {
            hasher.part(vote.id.as_bytes()).part(values[value].to_string().as_bytes());
        }
    }
    hasher.finish()
}

/// `true: openai:/a, openai:/b`, one line for each verdict, and one for those without.
fn said_by_whom(panel: &Panel, votes: &[Vote], values: &[Value]) -> String {
    let order = |vote: &Vote| match (panel.aggregation, vote.is_swapped) {
        (Aggregation::Pair, false) => ", in order",
        (Aggregation::Pair, true) => ", swapped",
        _ => "",
    };
    let name = |vote: &Vote| match (panel.samples, &panel.voters[vote.voter]) {
        (1, voter) => format!("{voter}{}", order(vote)),
        (_, voter) => format!("{voter} #{}{}", vote.sample + 1, order(vote)),
    };
    let mut lines: Vec<(Option<usize>, Vec<String>)> = Vec::new();
    for vote in votes {
        match lines.iter_mut().find(|(value, _)| *value == vote.value) {
            Some((_, voters)) => voters.push(name(vote)),
            None => lines.push((vote.value, vec![name(vote)])),
        }
    }
    lines.sort_by_key(|(value, voters)| (value.is_none(), std::cmp::Reverse(voters.len())));
    let line = |(value, voters): &(Option<usize>, Vec<String>)| {
        let value = value.map_or_else(|| "no verdict".to_owned(), |number| values[number].to_string());
        format!("{value}: {}", voters.join(if panel.aggregation == Aggregation::Pair { "; " } else { ", " }))
    };
    lines.iter().map(line).collect::<Vec<_>>().join("\n")
}
