//! What people say on the server about the traces of a log, to be added to the log.

use std::collections::HashMap;
use std::sync::Arc;

use super::rejection;
use super::{Server, there::There};
use crate::feedback::wire::Assessment;
use crate::feedback::{Feedback, SourceType};
use crate::servers::ServerError;

/// Traces looked up together.
const TOGETHER: usize = 100;

/// What a log has of people's feedback: the time of the last update and whether it is valid, by id.
pub type Known = HashMap<String, (i64, bool)>;

/// People's feedback about these traces that the log lacks, or has in an earlier state, in chronological order.
///
/// # Errors
/// When the server does not answer.
pub async fn feedback_of_people(
    server: &Arc<Server>,
    trace_ids: &[String],
    known: &Known,
) -> Result<Vec<Feedback>, ServerError> {
    let mut found = Vec::new();
    for trace_ids in trace_ids.chunks(TOGETHER) {
        let trace_ids: Vec<_> = trace_ids.iter().map(String::as_str).collect();
        let mut there = There::of(server, &trace_ids).await?;
        let of_all = trace_ids.iter().filter_map(|id| there.take(id)).flatten();
        found.extend(of_all.filter_map(|(_, assessment)| match assessment {
            Assessment::Feedback(feedback) => Some(feedback).filter(|feedback| is_news(feedback, known)),
            Assessment::Expectation(_) => None,
        }));
    }
    found.sort_by(|a, b| (a.create_time_ms, &a.assessment_id).cmp(&(b.create_time_ms, &b.assessment_id)));
    Ok(found)
}

fn is_news(feedback: &Feedback, known: &Known) -> bool {
    let is_known = |id| known.get(id) == Some(&state(feedback));
    feedback.source.source_type == SourceType::Human
        && !rejection::is_mark(feedback)
        && !feedback.assessment_id.as_ref().is_some_and(is_known)
}

/// The fields that change when a person changes an opinion.
pub fn state(feedback: &Feedback) -> (i64, bool) {
    (feedback.last_update_time_ms, feedback.valid != Some(false))
}
