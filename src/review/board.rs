//! What the page shows, and what happens to a decision: the dataset, the log as it grows, the questions, and who has answered what.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::io;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::plan::PlanRow;
use super::queue::{Item, Queue};
use super::schema::Question;
use super::standing::{Opinion, opinions};
use super::survey::{Part, Survey};
use crate::dataset::TracesById;
use crate::feedback::history::{Facts, Says};
use crate::feedback::log::{Follower, News, OpenError};
use crate::feedback::{Feedback, IdHasher, SourceType};

/// The state of a review.
pub struct Board {
    pub(super) follower: Follower,
    pub(super) traces: Option<TracesById>,
    pub(super) questions: Vec<Question>,
    pub(super) queue: Queue,
    /// Whether others' verdicts are hidden until the reviewer decides.
    pub(super) is_blind: bool,
    survey: Survey,
    /// For each question, whether it is only about spans.
    of_spans: Vec<bool>,
    log: Known,
    /// The progress of each annotator; recounted after each answer.
    progress: HashMap<String, Progress>,
}

/// What is known of the log.
#[derive(Default)]
struct Known {
    /// The lines about each trace.
    lines: HashMap<String, Vec<u64>>,
    /// People's feedback: source, subject and name.
    said: HashSet<u64>,
}

#[derive(Clone)]
struct Progress {
    is_done: Vec<bool>,
    done: usize,
}

/// A question about a trace, or a part of it.
#[derive(Debug, Clone)]
pub(super) struct Asked<'a> {
    pub question: &'a Question,
    pub part: Part,
    /// How a plan drew it.
    pub row: Option<&'a PlanRow>,
}

/// Why something cannot be shown or saved.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum BoardError {
    #[error(transparent)]
    Log(#[from] OpenError),
    #[error("cannot read the log: {0}")]
    Read(io::Error),
    #[error("cannot write to the log: {0}")]
    Write(io::Error),
    #[error("cannot read the dataset: {0}")]
    Dataset(io::Error),
}

/// The number of spans or documents of one trace that one label asks about.
const MAX_PARTS: usize = 50;

impl Board {
    /// Starts a review of `queue`. `survey` is of the same log.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn open(
        log: &std::path::Path,
        survey: Survey,
        traces: Option<TracesById>,
        questions: Vec<Question>,
        queue: Queue,
        is_blind: bool,
    ) -> Result<Self, OpenError> {
        let of_spans = questions.iter().map(|question| survey.is_of_spans(&question.name)).collect();
        let (log, follower) = (Known::default(), Follower::new(log));
        let progress = HashMap::new();
        let mut board = Self { follower, traces, questions, queue, is_blind, survey, of_spans, log, progress };
        board.catch_up()?;
        Ok(board)
    }

    /// Reads what was appended meanwhile, by anyone.
    pub(super) fn catch_up(&mut self) -> Result<(), OpenError> {
        let Self { follower, log, progress, queue, .. } = self;
        let mut touched = Vec::new();
        follower.catch_up(|news| match news {
            News::Anew => {
                *log = Known::default();
                progress.clear();
            }
            News::Record { offset, line } => {
                if let Some(trace_id) = log.add(offset, line)
                    && let Some(at) = queue.position(&trace_id)
                {
                    touched.push(at);
                }
            }
        })?;
        for annotator in self.progress.keys().cloned().collect::<Vec<_>>() {
            for at in &touched {
                self.recount(&annotator, *at);
            }
        }
        Ok(())
    }

    /// The questions about an item of the queue.
    pub(super) fn asked<'a>(&'a self, item: &'a Item) -> Vec<Asked<'a>> {
        let mut asked = Vec::new();
        for (question, of_spans) in self.questions.iter().zip(&self.of_spans) {
            let rows = &item.rows;
            if !rows.is_empty() {
                let of_it = rows.iter().filter(|row| row.name.as_ref().is_none_or(|name| *name == question.name));
                asked.extend(of_it.map(|row| Asked { question, part: row.part(), row: Some(row) }));
                continue;
            }
            let mut parts = self.survey.parts_of(&item.trace_id, &question.name);
            if parts.is_empty() && !of_spans {
                parts.push(Part::default());
            }
            let parts = parts.into_iter().take(MAX_PARTS);
            asked.extend(parts.map(|part| Asked { question, part, row: None }));
        }
        asked
    }

    /// The question of this name, for whatever span it is.
    pub(super) fn question(&self, name: &str) -> Option<&Question> {
        self.questions.iter().find(|question| question.name == name)
    }

    /// What was said of a trace.
    pub(super) fn opinions(&self, trace_id: &str) -> Result<Vec<Opinion>, BoardError> {
        let lines = self.log.lines.get(trace_id).into_iter().flatten();
        let records: Vec<Feedback> =
            lines.map(|at| self.follower.record(*at)).collect::<io::Result<_>>().map_err(BoardError::Read)?;
        Ok(opinions(&records))
    }

    /// The number of items that an annotator has fully answered.
    pub(super) fn done(&mut self, annotator: &str) -> usize {
        self.progress(annotator).done
    }

    /// The next item from `from` on that an annotator has not fully answered, wrapping around at the end.
    pub(super) fn next(&mut self, annotator: &str, from: usize) -> Option<usize> {
        let is_done = &self.progress(annotator).is_done;
        let open = |at: &usize| !is_done[*at];
        (from..is_done.len()).find(open).or_else(|| (0..from.min(is_done.len())).find(open))
    }

    fn progress(&mut self, annotator: &str) -> &Progress {
        if !self.progress.contains_key(annotator) {
            let is_done: Vec<_> = (0..self.queue.len()).map(|at| self.is_done(annotator, at)).collect();
            let done = is_done.iter().filter(|done| **done).count();
            self.progress.insert(annotator.to_owned(), Progress { is_done, done });
        }
        &self.progress[annotator]
    }

    fn recount(&mut self, annotator: &str, at: usize) {
        let now = self.is_done(annotator, at);
        if let Some(Progress { is_done, done }) = self.progress.get_mut(annotator)
            && let Some(was) = is_done.get_mut(at)
        {
            *done = *done + usize::from(now) - usize::from(*was);
            *was = now;
        }
    }

    fn is_done(&self, annotator: &str, at: usize) -> bool {
        let Some(item) = self.queue.get(at) else { return false };
        let is_said = |asked: &Asked<'_>| {
            self.log.said.contains(&key(annotator, &item.trace_id, &asked.part, &asked.question.name))
        };
        self.asked(item).iter().all(is_said)
    }
}

impl Known {
    /// Adds a record; returns the trace that it is about.
    fn add(&mut self, offset: u64, line: &[u8]) -> Option<String> {
        #[derive(Deserialize)]
        struct About<'a> {
            #[serde(borrow)]
            trace_id: Option<Cow<'a, str>>,
            #[serde(borrow)]
            span_id: Option<Cow<'a, str>>,
            assessment: Option<IgnoredAny>,
            metadata: Option<OfDocument>,
        }
        #[derive(Deserialize)]
        struct OfDocument {
            document_index: Option<Value>,
        }
        let index = |metadata: Option<OfDocument>| match metadata?.document_index? {
            Value::String(text) => text.parse().ok(),
            other => other.as_u64().and_then(|index| u32::try_from(index).ok()),
        };
        let facts = Facts::read(line)?;
        let text = std::str::from_utf8(line).ok()?;
        let (trace_id, part) = match serde_json::from_str::<About<'_>>(text).ok() {
            Some(About { trace_id, span_id, assessment: None, metadata }) => {
                let part = Part { span_id: span_id.map(Cow::into_owned), document_index: index(metadata) };
                (trace_id?.into_owned(), part)
            }
            _ => {
                let feedback = Feedback::from_json(text).ok()?;
                let part = Part::of(&feedback);
                (feedback.trace_id?, part)
            }
        };
        match self.lines.get_mut(&trace_id) {
            Some(lines) => lines.push(offset),
            None => _ = self.lines.insert(trace_id.clone(), vec![offset]),
        }
        if let (SourceType::Human, Some(annotator)) = (facts.source_type, &facts.source_id) {
            let key = key(annotator, &trace_id, &part, &facts.name);
            match facts.says {
                Says::Verdict(_) => _ = self.said.insert(key),
                // Withdrawn.
                Says::Mark(_) => _ = self.said.remove(&key),
                Says::Failure(_) => {}
            }
        }
        Some(trace_id)
    }
}

fn key(annotator: &str, trace_id: &str, part: &Part, name: &str) -> u64 {
    let mut hasher = IdHasher::new("judge-run review key 1");
    hasher.part(annotator.as_bytes()).part(trace_id.as_bytes());
    part.hash(&mut hasher);
    hasher.part(name.as_bytes()).finish_u64()
}
