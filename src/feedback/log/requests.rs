//! The number of requests in a log, for daily quotas.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use crate::feedback::{Feedback, IdHasher, SourceType};

/// Requests that were sent to each model since a time in Unix milliseconds, as far as they led to a record.
///
/// # Errors
/// When the file cannot be read.
pub fn requests_since(path: &Path, since_ms: i64) -> io::Result<BTreeMap<String, u64>> {
    let mut requests = BTreeMap::new();
    let mut known = HashSet::new();
    for line in BufReader::with_capacity(1 << 16, File::open(path)?).split(b'\n') {
        let line = line?;
        let record = std::str::from_utf8(&line).ok().and_then(|text| Feedback::from_json(text).ok());
        let Some(record) = record.filter(|record| record.source.source_type == SourceType::LlmJudge) else { continue };
        let Feedback { assessment_id: Some(id), metadata, .. } = &record else { continue };
        let (Some(attempts), Some(run)) = (metadata.get("attempts"), metadata.get("run_id")) else { continue };
        // A record that is appended again because it is in force again was asked once.
        let is_new = known.insert(IdHasher::new("request").part(id.as_bytes()).part(run.as_bytes()).finish_u64());
        let is_own = !metadata.contains_key("reused_from") && record.last_update_time_ms >= since_ms;
        if is_new && is_own {
            let source_id = record.source.source_id.clone().unwrap_or_default();
            *requests.entry(source_id).or_default() += attempts.parse::<u64>().unwrap_or(0);
        }
    }
    Ok(requests)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feedback::Source;

    #[test]
    fn attempts_since_a_time_are_added_up_by_model() {
        let record = |id: &str, source: Source, at: i64, run: &str, more: &[(&str, &str)]| {
            let mut record = Feedback {
                assessment_id: Some(id.into()),
                name: "j".into(),
                value: Some(true.into()),
                source,
                last_update_time_ms: at,
                ..Feedback::default()
            };
            record.metadata.insert("run_id".into(), run.into());
            record.metadata.extend(more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
            serde_json::to_string(&record).unwrap()
        };
        let m = || Source::llm_judge("e:/m");
        let human = Source { source_type: SourceType::Human, source_id: Some("e:/m".into()) };
        let lines = [
            record("1", m(), 99, "r1", &[("attempts", "50")]),
            record("2", m(), 100, "r1", &[("attempts", "2")]),
            record("3", m(), 101, "r2", &[("attempts", "3")]),
            record("3", m(), 102, "r3", &[("attempts", "4")]),
            record("4", Source::llm_judge("e:/n"), 103, "r3", &[("attempts", "1")]),
            "not a record".to_owned(),
            // None of these was asked today.
            record("1", m(), 104, "r1", &[("attempts", "50")]),
            record("5", m(), 105, "r3", &[("attempts", "9"), ("reused_from", "other.jsonl")]),
            record("6", human, 106, "r3", &[("attempts", "9")]),
            record("7", m(), 107, "r3", &[]),
        ];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.jsonl");
        std::fs::write(&path, lines.join("\n")).unwrap();
        let requests = requests_since(&path, 100).unwrap();
        assert_eq!(requests, [("e:/m".to_owned(), 9), ("e:/n".to_owned(), 1)].into());
        assert!(requests_since(&folder.path().join("none"), 0).is_err());
    }
}
