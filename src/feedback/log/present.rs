//! The opinions of logs as they stand, one after the other: for whoever shows single judgments.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use super::{LineReader, OpenError};
use super::lines::for_each_line;
use crate::feedback::Feedback;
use crate::feedback::history::History;

/// An opinion as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Present {
    /// The record that holds.
    pub feedback: Feedback,
    /// Whether a person rejected it.
    pub is_rejected: bool,
    /// What stood there before, the oldest first; at most [`MAX_EARLIER`].
    pub earlier: Vec<Feedback>,
}

/// Of one opinion.
pub const MAX_EARLIER: usize = 20;

/// Where a line stands: places of later logs are higher, and below 2^48 it is an offset.
const LOG_BITS: u32 = 48;

/// Calls `take` with each opinion of these logs, in the order of the records that hold. Several logs are read as one, the later ones after the
/// earlier. Holds some 100 bytes a record in memory.
///
/// # Errors
/// When a log cannot be read.
pub fn for_each_present(logs: &[PathBuf], take: &mut dyn FnMut(Present)) -> Result<(), OpenError> {
    let failed = |source| OpenError::Io { path: logs.first().cloned().unwrap_or_default(), source };
    read(logs, take).map_err(failed)
}

fn read(logs: &[PathBuf], take: &mut dyn FnMut(Present)) -> io::Result<()> {
    let files = logs.iter().map(File::open).collect::<io::Result<Vec<_>>>()?;
    let mut history = History::default();
    for (log, file) in files.iter().enumerate() {
        for_each_line(file, |offset, _, facts| {
            if let Some(facts) = facts {
                history.add(&facts, (log as u64) << LOG_BITS | offset, ());
            }
        })?;
    }
    let opinions = history.settle();
    let mut standing: Vec<(u64, bool, Vec<u64>)> = opinions
        .counting()
        .map(|(line, before)| {
            let places = before.iter().map(|line| line.step.place).filter(|place| *place != line.step.place);
            let mut places: Vec<_> = places.collect();
            places.sort_unstable();
            let surplus = places.len().saturating_sub(MAX_EARLIER);
            (line.step.place, line.step.is_rejected(), places.split_off(surplus))
        })
        .collect();
    drop(opinions);
    standing.sort_unstable_by_key(|(place, ..)| *place);
    let mut readers = files.into_iter().map(LineReader::new).collect::<io::Result<Vec<_>>>()?;
    let mut record = |place: u64| {
        let log = usize::try_from(place >> LOG_BITS).unwrap_or(usize::MAX);
        let reader = readers.get_mut(log).ok_or_else(|| io::Error::other("no such log"))?;
        reader.record(place & ((1 << LOG_BITS) - 1))
    };
    for (place, is_rejected, earlier) in standing {
        let earlier = earlier.into_iter().map(&mut record).collect::<io::Result<_>>()?;
        take(Present { feedback: record(place)?, is_rejected, earlier });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: u8, trace: &str, rest: &str, source: &str) -> String {
        format!(
            r#"{{"assessment_id":"a-{id:032x}","name":"j",{rest},"source":{{"source_type":"{source}","source_id":"m"}},"create_time_ms":1,"trace_id":"{trace}"}}"#
        )
    }

    #[test]
    fn each_opinion_is_there_once_with_what_came_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let failed = r#""error":{"error_code":"TIMEOUT"}"#;
        let first = [
            line(1, "a", failed, "LLM_JUDGE"),
            line(2, "b", r#""value":false"#, "LLM_JUDGE"),
            line(1, "a", r#""value":true"#, "LLM_JUDGE"),
            line(3, "a", r#""value":false"#, "HUMAN"),
            line(2, "b", r#""value":false,"valid":false"#, "LLM_JUDGE"),
        ];
        std::fs::write(path("1.jsonl"), first.join("\n")).unwrap();
        std::fs::write(path("2.jsonl"), line(4, "c", failed, "LLM_JUDGE")).unwrap();
        let mut found = Vec::new();
        for_each_present(&[path("1.jsonl"), path("2.jsonl")], &mut |present| {
            let Present { feedback, is_rejected, earlier } = present;
            let verdict = feedback.value.map_or("failed".to_owned(), |value| value.to_string());
            found.push((feedback.trace_id.unwrap_or_default(), verdict, is_rejected, earlier.len()));
        })
        .unwrap();
        let expected =
            [("b", "false", true, 1), ("a", "true", false, 1), ("a", "false", false, 0), ("c", "failed", false, 0)];
        assert_eq!(
            found,
            expected.map(|(trace, verdict, rejected, n)| (trace.to_owned(), verdict.to_owned(), rejected, n))
        );
    }
}
