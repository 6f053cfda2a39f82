//! What a log says now, judge by judge: read without a lock, also while a run writes to it.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use serde::Serialize;

use super::OpinionKey;
use crate::feedback::{AssessmentId, Feedback, SourceType};

/// What a log says now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Lines that are records, of any source.
    pub records: u64,
    /// Lines that are none; the last one may only be half written yet.
    pub other_lines: u64,
    /// The latest of all records.
    pub last_update_time_ms: Option<i64>,
    /// Judges in the order in which they first appear.
    pub judges: Vec<JudgeTally>,
}

/// How the opinions of one judge on one model stand: each as its last record does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct JudgeTally {
    /// The judge's name.
    pub name: String,
    /// The model URI.
    pub source_id: String,
    /// Verdicts.
    pub scored: u64,
    /// Failures by code.
    pub failed: BTreeMap<String, u64>,
    /// Verdicts that somebody marked invalid.
    pub invalid: u64,
}

/// How an opinion stands so far.
struct Opinion {
    /// Of its last record.
    id: Option<AssessmentId>,
    /// The judge.
    judge: u32,
    standing: Last,
}

enum Last {
    Scored,
    /// The code.
    Failed(u32),
    Invalid,
}

/// Counts a log.
///
/// # Errors
/// When the file cannot be read.
pub fn tally(path: &Path) -> io::Result<Tally> {
    let mut reader = BufReader::with_capacity(1 << 16, File::open(path)?);
    let mut tally = Tally::default();
    let mut codes: Vec<String> = Vec::new();
    let mut opinions: HashMap<OpinionKey, Opinion> = HashMap::new();
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        let record = std::str::from_utf8(&line).ok().and_then(|text| Feedback::from_json(text).ok());
        let is_blank = line.iter().all(u8::is_ascii_whitespace);
        line.clear();
        let Some(feedback) = record else {
            tally.other_lines += u64::from(!is_blank);
            continue;
        };
        tally.records += 1;
        tally.last_update_time_ms = tally.last_update_time_ms.max(Some(feedback.last_update_time_ms));
        if feedback.source.source_type != SourceType::LlmJudge {
            continue;
        }
        let key = OpinionKey::new(
            feedback.trace_id.as_deref(),
            feedback.span_id.as_deref(),
            &feedback.name,
            &feedback.source,
        )
        .sample(feedback.sample());
        let source_id = feedback.source.source_id.unwrap_or_default();
        let same = |judge: &JudgeTally| judge.name == feedback.name && judge.source_id == source_id;
        let judge = tally.judges.iter().position(same).unwrap_or_else(|| {
            tally.judges.push(JudgeTally {
                name: feedback.name.clone(),
                source_id: source_id.clone(),
                ..JudgeTally::default()
            });
            tally.judges.len() - 1
        });
        let code = feedback.error.map(|error| {
            let name = error.error_code.as_str();
            codes.iter().position(|known| known == name).unwrap_or_else(|| {
                codes.push(name.to_owned());
                codes.len() - 1
            })
        });
        let small = |i: usize| u32::try_from(i).unwrap_or(u32::MAX);
        let standing = match code {
            Some(code) => Last::Failed(small(code)),
            None if feedback.valid == Some(false) => Last::Invalid,
            None => Last::Scored,
        };
        let id = feedback.assessment_id.as_deref().map(AssessmentId::of_any);
        // Who marks an old opinion invalid says nothing of a later one.
        let is_of_old = |last: &Opinion| matches!(standing, Last::Invalid) && last.id != id;
        if !opinions.get(&key).is_some_and(is_of_old) {
            opinions.insert(key, Opinion { id, judge: small(judge), standing });
        }
    }
    for Opinion { judge, standing, .. } in opinions.into_values() {
        let Some(judge) = tally.judges.get_mut(judge as usize) else { continue };
        match standing {
            Last::Scored => judge.scored += 1,
            Last::Invalid => judge.invalid += 1,
            Last::Failed(code) => {
                let code = codes.get(code as usize).cloned().unwrap_or_default();
                *judge.failed.entry(code).or_default() += 1;
            }
        }
    }
    Ok(tally)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally_of(lines: &[String]) -> Tally {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.jsonl");
        std::fs::write(&path, lines.join("\n")).unwrap();
        tally(&path).unwrap()
    }

    #[test]
    fn what_was_marked_invalid_is_no_verdict_unless_it_is_an_old_one() {
        let line = |trace: &str, id: &str, valid: bool| {
            format!(
                r#"{{"assessment_id":"{id}","name":"j","value":1,"source":{{"source_type":"LLM_JUDGE"}},"trace_id":"{trace}","valid":{valid}}}"#
            )
        };
        let lines = [
            line("a", "1", true),
            line("a", "1", false),
            line("b", "2", true),
            line("b", "3", true),
            line("b", "2", false),
            line("c", "4", false),
            line("c", "4", true),
        ];
        let judge = &tally_of(&lines).judges[0];
        assert_eq!((judge.scored, judge.invalid), (2, 1));
    }

    #[test]
    fn each_opinion_counts_once_as_its_last_record_and_half_a_line_not_at_all() {
        let line = |trace: &str, verdict: &str, source: &str| {
            format!(
                r#"{{"name":"j",{verdict},"source":{{"source_type":"{source}","source_id":"m"}},"create_time_ms":1,"last_update_time_ms":2,"trace_id":"{trace}"}}"#
            )
        };
        let (failed, scored) = (r#""error":{"error_code":"TIMEOUT"}"#, r#""value":true"#);
        let lines = [
            line("a", failed, "LLM_JUDGE"),
            line("b", failed, "LLM_JUDGE"),
            line("a", scored, "LLM_JUDGE"),
            line("a", scored, "HUMAN"),
            line("c", scored, "LLM_JUDGE")[..30].to_owned(),
        ];
        let tally = tally_of(&lines);
        assert_eq!((tally.records, tally.other_lines, tally.last_update_time_ms), (4, 1, Some(2)));
        let failed = BTreeMap::from([("TIMEOUT".to_owned(), 1)]);
        assert_eq!(
            tally.judges,
            [JudgeTally { name: "j".into(), source_id: "m".into(), scored: 1, failed, invalid: 0 }]
        );
    }
}
