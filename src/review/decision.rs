//! What a reviewer decides, and the record that it leaves.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::board::{Asked, Board, BoardError};
use super::item::mine;
use super::survey::Part;
use crate::feedback::log::add;
use crate::feedback::{
    DELETED_BY_METADATA, DOCUMENT_METADATA, Feedback, IdHasher, REJECTED_BY_METADATA, Source, SourceType,
};

/// Members of `metadata` of feedback given here: how long the trace was looked at, and whether others' verdicts were hidden until then.
const SECONDS_METADATA: &str = "review_seconds";
const BLIND_METADATA: &str = "blind";

/// An answer to a question.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Answer {
    pub trace_id: String,
    pub span_id: Option<String>,
    /// Which of the documents that the span found, from 0.
    pub document_index: Option<u32>,
    pub name: String,
    /// `None` withdraws what was answered.
    pub value: Option<Value>,
    pub rationale: Option<String>,
    /// The id of a verdict that it replaces.
    pub overrides: Option<String>,
    /// When the answer that the page shows was saved, in Unix milliseconds; `None` if there is none.
    pub base: Option<i64>,
    /// How long the trace was looked at.
    pub seconds: Option<f64>,
}

impl Answer {
    fn part(&self) -> Part {
        Part { span_id: self.span_id.clone(), document_index: self.document_index }
    }
}

/// Whether a verdict is accepted.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mark {
    pub trace_id: String,
    pub id: String,
    pub valid: bool,
}

/// What became of it.
#[derive(Debug)]
pub(super) enum Outcome {
    Saved,
    /// Why it is not an answer.
    Invalid(String),
    /// Another window was faster.
    Changed,
    Failed(BoardError),
}

/// The label of comments, whatever the questions are.
pub(super) const COMMENT: &str = "comment";
const MAX_TEXT: usize = 100_000;

impl From<BoardError> for Outcome {
    fn from(error: BoardError) -> Self {
        Self::Failed(error)
    }
}

impl Board {
    /// Keeps an answer.
    pub(super) fn answer(&mut self, annotator: &str, answer: &Answer, now_ms: i64) -> Outcome {
        self.try_answer(annotator, answer, now_ms).unwrap_or_else(|outcome| outcome)
    }

    fn try_answer(&mut self, annotator: &str, answer: &Answer, now_ms: i64) -> Result<Outcome, Outcome> {
        self.catch_up().map_err(|error| Outcome::Failed(error.into()))?;
        let Answer { trace_id, span_id, name, value, overrides, base, .. } = answer;
        let part = answer.part();
        let rationale = answer.rationale.clone().filter(|text| !text.trim().is_empty());
        if rationale.as_ref().is_some_and(|text| text.len() > MAX_TEXT) {
            return Err(Outcome::Invalid("the reason is too long".to_owned()));
        }
        let remark =
            super::Question { name: COMMENT.to_owned(), about: String::new(), schema: super::Schema::Text, good: None };
        let question = match self.question(name) {
            Some(question) => question,
            None if name == COMMENT => &remark,
            None => return Err(Outcome::Invalid(format!("`{name}` is not asked"))),
        };
        if let Some(value) = value {
            question.check(value, rationale.as_deref()).map_err(Outcome::Invalid)?;
        }
        let said = self.opinions(trace_id)?;
        if self.queue.position(trace_id).is_none() {
            return Err(Outcome::Invalid("the trace is not in this review".to_owned()));
        }
        if overrides
            .as_ref()
            .is_some_and(|id| !said.iter().any(|opinion| opinion.record.assessment_id.as_ref() == Some(id)))
        {
            return Err(Outcome::Invalid("the record that it overrides does not exist".to_owned()));
        }
        let item = self.queue.position(trace_id).and_then(|at| self.queue.get(at));
        let all: Vec<_> = item.map(|item| self.asked(item)).unwrap_or_default();
        let was_blind = self.is_blind && !all.iter().all(|asked| mine(&said, annotator, asked).is_some());
        let asked = Asked { question, part: part.clone(), row: None };
        let before = mine(&said, annotator, &asked).map(|opinion| &opinion.record);
        let is_same = match (before, value) {
            (Some(before), Some(value)) => {
                before.value.as_ref() == Some(value) && before.rationale == rationale && before.overrides == *overrides
            }
            (None, None) => true,
            _ => false,
        };
        // Already saved, possibly by this very request.
        if is_same {
            return Ok(Outcome::Saved);
        }
        if before.map(|record| record.last_update_time_ms) != *base {
            return Err(Outcome::Changed);
        }
        let of_plan = all.iter().find(|asked| asked.question.name == *name && asked.part == part);
        let mut metadata = before.map(|record| record.metadata.clone()).unwrap_or_default();
        if let Some(row) = of_plan.and_then(|asked| asked.row) {
            metadata.extend(row.drawn.clone());
        }
        metadata.extend(part.document_index.map(|index| (DOCUMENT_METADATA.to_owned(), index.to_string())));
        let record = Feedback {
            assessment_id: before
                .and_then(|record| record.assessment_id.clone())
                .or_else(|| Some(id(annotator, answer))),
            name: name.clone(),
            value: value.clone().or_else(|| before.and_then(|record| record.value.clone())),
            error: None,
            rationale,
            source: Source { source_type: SourceType::Human, source_id: Some(annotator.to_owned()) },
            metadata: with_facts(metadata, annotator, answer, was_blind),
            create_time_ms: before.map_or(now_ms, |record| record.create_time_ms),
            last_update_time_ms: before.map_or(now_ms, |record| now_ms.max(record.last_update_time_ms + 1)),
            trace_id: Some(trace_id.clone()),
            span_id: span_id.clone(),
            overrides: overrides.clone().filter(|_| value.is_some()),
            valid: value.is_none().then_some(false),
        };
        self.keep(&record)?;
        Ok(Outcome::Saved)
    }

    /// Rejects a verdict of a judge, or accepts it again.
    pub(super) fn mark(&mut self, annotator: &str, mark: &Mark, now_ms: i64) -> Outcome {
        self.try_mark(annotator, mark, now_ms).unwrap_or_else(|outcome| outcome)
    }

    fn try_mark(&mut self, annotator: &str, mark: &Mark, now_ms: i64) -> Result<Outcome, Outcome> {
        self.catch_up().map_err(|error| Outcome::Failed(error.into()))?;
        let said = self.opinions(&mark.trace_id)?;
        let of_id = said.iter().find(|opinion| opinion.record.assessment_id.as_ref() == Some(&mark.id));
        let Some(opinion) = of_id.filter(|opinion| opinion.is_own && !opinion.record.is_error()) else {
            return Err(Outcome::Invalid("no judge's verdict has this id".to_owned()));
        };
        if opinion.is_rejected != mark.valid {
            return Ok(Outcome::Saved);
        }
        let mut record = opinion.record.clone();
        record.valid = (!mark.valid).then_some(false);
        record.last_update_time_ms = now_ms.max(record.last_update_time_ms + 1);
        if mark.valid {
            record.metadata.remove(REJECTED_BY_METADATA);
        } else {
            record.metadata.insert(REJECTED_BY_METADATA.to_owned(), annotator.to_owned());
        }
        self.keep(&record)?;
        Ok(Outcome::Saved)
    }

    fn keep(&mut self, record: &Feedback) -> Result<(), Outcome> {
        add(self.follower.path(), std::slice::from_ref(record)).map_err(BoardError::Write)?;
        self.catch_up().map_err(|error| Outcome::Failed(error.into()))
    }
}

/// One person's answers under one name about one thing have the same id, so that later ones are updates.
fn id(annotator: &str, answer: &Answer) -> String {
    let Answer { trace_id, name, .. } = answer;
    let mut hasher = IdHasher::new("judge-run review 1");
    hasher.part(annotator.as_bytes()).part(trace_id.as_bytes());
    answer.part().hash(&mut hasher);
    hasher.part(name.as_bytes()).finish().to_string()
}

fn with_facts(
    mut metadata: BTreeMap<String, String>,
    annotator: &str,
    answer: &Answer,
    was_blind: bool,
) -> BTreeMap<String, String> {
    if let Some(seconds) = answer.seconds.filter(|seconds| seconds.is_finite() && *seconds >= 0.0) {
        metadata.insert(SECONDS_METADATA.to_owned(), format!("{seconds:.1}"));
    }
    // Those who change their mind later have seen the others'.
    metadata.insert(BLIND_METADATA.to_owned(), was_blind.to_string());
    if answer.value.is_none() {
        metadata.insert(DELETED_BY_METADATA.to_owned(), annotator.to_owned());
    } else {
        metadata.remove(DELETED_BY_METADATA);
    }
    metadata
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::review::{LabelPlan, Question, Queue, Schema, Survey};

    fn board(plan: &str, is_blind: bool) -> (tempfile::TempDir, Board) {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("f.jsonl");
        let judged = r#"{"assessment_id":"a-00000000000000000000000000000001","name":"safety","value":true,"trace_id":"t","source":{"source_type":"LLM_JUDGE","source_id":"m"},"metadata":{"run_id":"r","judge_prompt":"p","good":"true"}}"#;
        std::fs::write(&log, format!("{judged}\n")).unwrap();
        let survey = Survey::of(&log).unwrap();
        let question = Question {
            name: "safety".into(),
            about: String::new(),
            schema: Schema::Boolean,
            good: "true".parse().ok(),
        };
        let queue = Queue::of_plan(LabelPlan::read(plan).unwrap());
        (folder, Board::open(&log, survey, None, vec![question], queue, is_blind).unwrap())
    }

    fn answer(value: Option<bool>, rationale: &str, base: Option<i64>) -> Answer {
        let (trace_id, name) = ("t".to_owned(), "safety".to_owned());
        let (span_id, overrides, seconds) = (None, None, Some(3.21));
        Answer {
            trace_id,
            span_id,
            document_index: None,
            name,
            value: value.map(Value::from),
            rationale: Some(rationale.into()),
            overrides,
            base,
            seconds,
        }
    }

    fn saved(outcome: &Outcome) -> bool {
        matches!(outcome, Outcome::Saved)
    }

    fn lines(board: &Board) -> usize {
        std::fs::read_to_string(board.follower.path()).unwrap().lines().count()
    }

    #[test]
    fn an_answer_is_kept_once_updated_and_withdrawn() {
        let (_folder, mut board) = board("trace_id,inclusion_probability\nt,0.5\n", true);
        assert!(matches!(board.answer("anna", &answer(Some(false), "", None), 5), Outcome::Invalid(_)));
        assert!(saved(&board.answer("anna", &answer(Some(false), "why", None), 5)));
        assert!(saved(&board.answer("anna", &answer(Some(false), "why", None), 6)), "the same request again");
        assert_eq!((lines(&board), board.done("anna"), board.done("ben")), (2, 1, 0));
        assert!(
            matches!(board.answer("anna", &answer(Some(true), "", None), 7), Outcome::Changed),
            "of another window"
        );
        assert!(saved(&board.answer("anna", &answer(Some(true), "", Some(5)), 7)));
        let said = board.opinions("t").unwrap();
        let mine = said.iter().find(|opinion| opinion.is_of("anna", "safety", &Part::default())).unwrap();
        assert_eq!(
            (mine.record.value.clone(), mine.record.create_time_ms, mine.earlier.len()),
            (Some(json!(true)), 5, 1)
        );
        assert_eq!(mine.record.metadata.get("inclusion_probability").map(String::as_str), Some("0.5"));
        assert_eq!(mine.earlier[0].metadata.get(BLIND_METADATA).map(String::as_str), Some("true"));
        assert_eq!(mine.record.metadata.get(BLIND_METADATA).map(String::as_str), Some("false"));
        assert!(saved(&board.answer("anna", &answer(None, "", Some(7)), 8)));
        assert_eq!((board.done("anna"), board.next("anna", 0)), (0, Some(0)));
        assert!(saved(&board.answer("anna", &answer(Some(true), "", None), 9)));
        assert_eq!(board.done("anna"), 1);
    }

    #[test]
    fn each_document_has_an_answer_of_its_own() {
        let (_folder, mut board) = board("trace_id,span_id,document_index\nt,s,0\nt,s,1\n", false);
        let of = |index: u32| Answer {
            span_id: Some("s".into()),
            document_index: Some(index),
            ..answer(Some(true), "", None)
        };
        assert!(saved(&board.answer("anna", &of(0), 5)));
        assert_eq!((lines(&board), board.done("anna")), (2, 0), "the other document is open");
        assert!(saved(&board.answer("anna", &of(1), 6)));
        assert_eq!((lines(&board), board.done("anna")), (3, 1));
        let said = board.opinions("t").unwrap();
        let mut found: Vec<_> = said.iter().filter_map(|opinion| opinion.record.document_index()).collect();
        found.sort_unstable();
        assert_eq!(found, [0, 1]);
    }

    #[test]
    fn nobody_sees_others_before_the_own_decision() {
        let (_folder, mut board) = board("trace_id\nt\n", true);
        let shown = |board: &mut Board| {
            let item = board.item("anna", 0).unwrap().unwrap();
            (item["hidden"] == true, item["said"].as_array().unwrap().len())
        };
        assert_eq!(shown(&mut board), (true, 0));
        board.answer("ben", &answer(Some(true), "", None), 5);
        assert_eq!(shown(&mut board), (true, 0));
        board.answer("anna", &answer(Some(true), "", None), 6);
        assert_eq!(shown(&mut board), (false, 3));
        assert!(board.item("anna", 1).unwrap().is_none());
    }

    #[test]
    fn a_verdict_is_rejected_and_accepted_again() {
        let (_folder, mut board) = board("trace_id\nt\n", false);
        let mark = |valid| Mark { trace_id: "t".into(), id: format!("a-{:032x}", 1), valid };
        let state = |board: &Board| {
            let opinion = board.opinions("t").unwrap().remove(0);
            (opinion.is_rejected, opinion.is_valid, opinion.earlier.len())
        };
        assert!(saved(&board.mark("anna", &mark(true), 5)));
        assert_eq!((lines(&board), state(&board)), (1, (false, true, 0)));
        assert!(saved(&board.mark("anna", &mark(false), 6)) && saved(&board.mark("anna", &mark(false), 7)));
        assert_eq!((lines(&board), state(&board).0), (2, true));
        assert!(saved(&board.mark("anna", &mark(true), 8)));
        assert_eq!(state(&board), (false, true, 2));
        let unknown = Mark { id: "a-9".into(), ..mark(false) };
        assert!(matches!(board.mark("anna", &unknown, 9), Outcome::Invalid(_)));
    }
}
