//! One trace with its questions and feedback, as the page requests it.

use serde_json::{Value, json};

use super::board::{Asked, Board, BoardError};
use super::standing::Opinion;
use super::survey::Part;
use crate::results::forms::html::Shown;

/// Length of a trace's texts, in characters; longer ones are cut, which is shown.
const ROOM: usize = 4_000_000;

impl Board {
    /// The item at a place of the queue; `None` if there is none.
    pub(super) fn item(&mut self, annotator: &str, at: usize) -> Result<Option<Value>, BoardError> {
        self.catch_up()?;
        let done = self.done(annotator);
        let Some(item) = self.queue.get(at) else { return Ok(None) };
        let trace_id = item.trace_id.clone();
        let shown = match &self.traces {
            Some(traces) => {
                traces.get(&trace_id).map_err(BoardError::Dataset)?.map(|trace| Shown::of_json(trace, ROOM))
            }
            None => None,
        };
        let said = self.opinions(&trace_id)?;
        let asked = self.asked(item);
        let is_decided = asked.iter().all(|asked| mine(&said, annotator, asked).is_some());
        let is_hidden = self.is_blind && !is_decided;
        let others: Vec<_> = said.iter().filter(|opinion| !opinion.is_deleted()).collect();
        let shown_said: Vec<_> = others
            .iter()
            .filter(|opinion| !is_hidden || is_by(opinion, annotator))
            .map(|opinion| opinion.shown())
            .collect();
        let questions: Vec<_> = asked.iter().map(|asked| question(asked, mine(&said, annotator, asked))).collect();
        let parse = |shown: &Shown| serde_json::from_str::<Value>(&shown.json).unwrap_or(Value::Null);
        Ok(Some(json!({
            "at": at,
            "total": self.queue.len(),
            "done": done,
            "trace_id": trace_id,
            "title": shown.as_ref().map(|shown| shown.title.as_str()),
            "trace": shown.as_ref().map(parse),
            "cut": shown.as_ref().map_or(0, |shown| shown.cut),
            "spans_left_out": shown.as_ref().map_or(0, |shown| shown.spans_left_out),
            "has_dataset": self.traces.is_some(),
            "questions": questions,
            "decided": is_decided,
            "blind": self.is_blind,
            "hidden": is_hidden,
            "said": shown_said,
        })))
    }

    /// The label names that can be given to any span.
    pub(super) fn labels(&self) -> Vec<Value> {
        self.questions
            .iter()
            .map(|it| question(&Asked { question: it, part: Part::default(), row: None }, None))
            .collect()
    }
}

fn is_by(opinion: &Opinion, annotator: &str) -> bool {
    opinion.is_of(annotator, &opinion.record.name, &Part::of(&opinion.record))
}

/// What an annotator answers.
pub(super) fn mine<'a>(said: &'a [Opinion], annotator: &str, asked: &Asked<'_>) -> Option<&'a Opinion> {
    let mut mine = said.iter().filter(|opinion| {
        opinion.is_valid && !opinion.is_deleted() && opinion.is_of(annotator, &asked.question.name, &asked.part)
    });
    mine.next_back()
}

fn question(asked: &Asked<'_>, mine: Option<&Opinion>) -> Value {
    let Asked { question, part, .. } = asked;
    let keyed = question.schema.keyed(question.good.as_ref()).into_iter().map(|value| {
        let is_good = question.good.as_ref().and_then(|good| good.is_good(&value));
        json!({"value": value, "good": is_good})
    });
    json!({
        "name": question.name,
        "span_id": part.span_id,
        "document_index": part.document_index,
        "about": question.about,
        "schema": question.schema,
        "good": question.good.as_ref().map(ToString::to_string),
        "keyed": keyed.collect::<Vec<_>>(),
        "mine": mine.map(|opinion| json!({
            "value": opinion.record.value,
            "rationale": opinion.record.rationale,
            "time_ms": opinion.record.last_update_time_ms,
            "overrides": opinion.record.overrides,
        })),
    })
}
