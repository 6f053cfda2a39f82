//! Which traces are asked again to confirm that a judge is worse: all, or a random sample. Tonight's verdicts play no part in it:
//! those that flipped would look worse again by half even if nothing had changed.

use std::collections::BTreeSet;

use judge_run_statistics::nightly::sample_to_confirm;

use super::compare::Comparison;
use super::extract::Extract;
use super::hash::hash;
use crate::feedback::log::{OpenError, StandingRecords};
use crate::feedback::{ANCHORS_METADATA, SESSION_METADATA};

/// The share of traces needed to confirm, over all judges that are worse; 1 if all are needed. See
/// [`sample_to_confirm`](judge_run_statistics::nightly::sample_to_confirm) for how many that are.
pub fn share_to_confirm(worse: &[&Comparison]) -> f64 {
    let share = |comparison: &&Comparison| {
        let (difference, detectable) = (comparison.difference.as_ref()?, comparison.minimum_detectable?);
        let loss = if comparison.is_lower_better() { difference.estimate } else { -difference.estimate };
        let n = comparison.n_pairs.max(1);
        let needed = sample_to_confirm(n, loss, detectable, difference.level, worse.len());
        Some(super::figures::ratio(needed, n))
    };
    worse.iter().map(|comparison| share(comparison).unwrap_or(1.0)).fold(0.0, f64::max)
}

/// Draws this share of the traces that these judges were asked about, so that the same log and `seed` give the same ones. `None` if all are to be asked:
/// that includes judges of sessions, since a part of a session is a different conversation.
///
/// # Errors
/// When a log can no longer be read.
pub fn draw_to_confirm(
    records: &mut StandingRecords,
    names: &[String],
    share: f64,
    seed: &str,
) -> Result<Option<Vec<String>>, OpenError> {
    if share >= 1.0 {
        return Ok(None);
    }
    // By a hash of each, so that the order of the log does not matter either.
    let mut traces: BTreeSet<(u64, String)> = BTreeSet::new();
    let mut is_of_sessions = false;
    records.for_each(|_, _, line| {
        let Some(extract) = Extract::read(line).filter(|extract| names.iter().any(|name| *name == extract.name)) else {
            return;
        };
        is_of_sessions |= extract.metadata.get(SESSION_METADATA).is_some();
        if let Some(trace_id) = extract.trace_id.filter(|_| extract.metadata.get(ANCHORS_METADATA).is_none()) {
            traces.insert((hash(&["confirm", seed, &trace_id]), trace_id.into_owned()));
        }
    })?;
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    let n = (share * traces.len() as f64).ceil() as usize;
    if is_of_sessions || n >= traces.len() {
        return Ok(None);
    }
    Ok(Some(traces.into_iter().take(n).map(|(_, trace_id)| trace_id).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(n: usize, metadata: &str) -> (tempfile::TempDir, StandingRecords) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.jsonl");
        let line = |n| {
            format!(
                "{{\"assessment_id\":\"a-{n:032x}\",\"name\":\"j\",\"value\":true,\"trace_id\":\"t{n}\",\"source\":\
                 {{\"source_type\":\"LLM_JUDGE\",\"source_id\":\"m\"}},\"metadata\":{{\"judge_prompt\":\"p\"{metadata}}}}}\n"
            )
        };
        std::fs::write(&path, (0..n).map(line).collect::<String>()).unwrap();
        let records = StandingRecords::of(&[path]).unwrap();
        (folder, records)
    }

    fn drawn(metadata: &str, share: f64, seed: &str) -> Option<Vec<String>> {
        let (_folder, mut records) = records(200, metadata);
        draw_to_confirm(&mut records, &["j".to_owned()], share, seed).unwrap()
    }

    #[test]
    fn a_share_of_the_traces_is_drawn_and_always_the_same() {
        let few = drawn("", 0.1, "a").unwrap();
        assert_eq!((few.len(), Some(&few)), (20, drawn("", 0.1, "a").as_ref()));
        let more = drawn("", 0.2, "a").unwrap();
        assert!(few.iter().all(|trace| more.contains(trace)), "a larger sample holds the smaller one");
        assert_ne!(drawn("", 0.1, "b").unwrap(), few);
    }

    #[test]
    fn all_are_asked_where_all_are_needed_or_sessions_are_judged() {
        assert_eq!(drawn("", 1.0, "a"), None);
        assert_eq!(drawn("", 0.999, "a"), None);
        assert_eq!(drawn(",\"mlflow.trace.session\":\"s\"", 0.1, "a"), None);
        assert_eq!(share_to_confirm(&[]), 0.0);
    }
}
