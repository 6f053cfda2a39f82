//! The state of a log, judge by judge: read without a lock, even while a run writes to it.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use serde::Serialize;

use super::OpenError;
use super::error::not_a_log;
use super::file::refuse_what_is_no_file;
use super::lines::for_each_line;
use crate::feedback::RecordedErrorCode;
use crate::feedback::history::{Act, Facts, History, Says, Standing};

/// What a log says now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Lines that are records, of any source.
    pub records: u64,
    /// Of these, records that judge-run did not write: those of people and other programs.
    pub records_of_others: u64,
    /// Lines that are not records; the last one may only be half written yet.
    pub other_lines: u64,
    /// The latest of all records.
    pub last_update_time_ms: Option<i64>,
    /// Judges that judge-run asked, in the order in which they first appear.
    pub judges: Vec<JudgeTally>,
}

/// How the opinions of one judge on one model stand.
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
    /// Judgments in which the judge abstained.
    pub abstained: u64,
    /// Verdicts that a person rejected.
    pub invalid: u64,
}

/// The judge of a record, and the code of a failure, by their numbers.
#[derive(Debug, Clone, Copy, Default)]
struct Numbers {
    judge: usize,
    code: usize,
    is_abstention: bool,
}

/// Counts a log.
///
/// # Errors
/// When the file cannot be read, or is clearly not a log.
pub fn tally(path: &Path) -> Result<Tally, OpenError> {
    let io_error = |source| OpenError::Io { path: path.to_owned(), source };
    if path.is_dir() {
        return Err(OpenError::Directory { path: path.to_owned() });
    }
    refuse_what_is_no_file(path)?;
    let mut tally = Tally::default();
    let mut codes = Vec::new();
    let mut history = History::default();
    let mut first_line = None;
    for_each_line(&File::open(path).map_err(io_error)?, |offset, line, facts| {
        let Some(facts) = facts else {
            tally.other_lines += 1;
            if line.ends_with(b"\n") {
                first_line.get_or_insert_with(|| line.to_vec());
            }
            return;
        };
        tally.records += 1;
        tally.records_of_others += u64::from(!facts.is_own);
        tally.last_update_time_ms = tally.last_update_time_ms.max(Some(facts.last_update_time_ms));
        let numbers = if facts.is_own { tally.numbers(&facts, &mut codes) } else { Numbers::default() };
        history.add(&facts, offset, numbers);
    })
    .map_err(io_error)?;
    if let (0, Some(line)) = (tally.records, first_line) {
        return Err(not_a_log(path, &line));
    }
    for line in history.settle().standing() {
        let Numbers { judge, code, is_abstention } = line.extra;
        let judge = &mut tally.judges[judge];
        match line.step.act {
            Act::Failure => *judge.failed.entry(codes[code].as_str().to_owned()).or_default() += 1,
            Act::Verdict | Act::Mark if line.step.is_rejected() => judge.invalid += 1,
            Act::Verdict | Act::Mark if is_abstention => judge.abstained += 1,
            Act::Verdict | Act::Mark => judge.scored += 1,
        }
    }
    Ok(tally)
}

impl Tally {
    fn numbers(&mut self, facts: &Facts<'_>, codes: &mut Vec<RecordedErrorCode>) -> Numbers {
        let source_id = facts.source_id.as_deref().unwrap_or_default();
        let same = |judge: &JudgeTally| judge.name == facts.name && judge.source_id == source_id;
        let new =
            || JudgeTally { name: facts.name.to_string(), source_id: source_id.to_owned(), ..JudgeTally::default() };
        let judge = number(&mut self.judges, same, new);
        let code = match &facts.says {
            Says::Failure(code) => number(codes, |known| known == code, || code.clone()),
            Says::Verdict(_) | Says::Mark(_) => 0,
        };
        Numbers { judge, code, is_abstention: matches!(facts.says, Says::Verdict(Standing::Abstained)) }
    }
}

/// Where an element is, or now is.
fn number<T>(all: &mut Vec<T>, is_it: impl Fn(&T) -> bool, new: impl FnOnce() -> T) -> usize {
    all.iter().position(is_it).unwrap_or_else(|| {
        all.push(new());
        all.len() - 1
    })
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
        let line = |trace: &str, id: u8, valid: bool| {
            format!(
                r#"{{"assessment_id":"a-{id:032x}","name":"j","value":1,"source":{{"source_type":"LLM_JUDGE"}},"trace_id":"{trace}","valid":{valid}}}"#
            )
        };
        let lines = [
            line("a", 1, true),
            line("a", 1, false),
            line("b", 2, true),
            line("b", 3, true),
            line("b", 2, false),
            line("c", 4, false),
            line("c", 4, true),
        ];
        let judge = &tally_of(&lines).judges[0];
        assert_eq!((judge.scored, judge.invalid), (2, 1));
    }

    #[test]
    fn each_opinion_counts_once_as_its_last_record_and_half_a_line_not_at_all() {
        let line = |trace: &str, verdict: &str, source: &str| {
            format!(
                r#"{{"assessment_id":"a-0000000000000000000000000000000{trace}","name":"j",{verdict},"source":{{"source_type":"{source}","source_id":"m"}},"create_time_ms":1,"last_update_time_ms":2,"trace_id":"{trace}"}}"#
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
        assert_eq!((tally.records, tally.records_of_others, tally.other_lines), (4, 1, 1));
        assert_eq!(tally.last_update_time_ms, Some(2));
        let failed = BTreeMap::from([("TIMEOUT".to_owned(), 1)]);
        assert_eq!(
            tally.judges,
            [JudgeTally { name: "j".into(), source_id: "m".into(), scored: 1, failed, ..JudgeTally::default() }]
        );
    }
}
