//! What was judged, as a page shows it.

use std::collections::HashMap;

use serde_json::Value;

use super::texts::{beginning, fit, keep_integers};
use crate::judge::asked;
use crate::results::forms::plain::one_line;
use crate::results::judgments::Judgments;
use crate::trace::Trace;

/// The total length of all traces of a page, in characters; each has an equal part of it, within limits.
const ROOM: usize = 48_000_000;
const MIN_ROOM: usize = 2_000;
const MAX_ROOM: usize = 400_000;
/// More spans of one trace are left out.
const MAX_SPANS: usize = 300;
const MAX_TITLE: usize = 160;

/// The traces that a page shows. They are shortened as they arrive, so that any number of them fits in bounded memory.
#[derive(Debug, Clone, Default)]
pub struct PageTraces {
    shown: HashMap<String, Option<Shown>>,
    room: usize,
}

#[derive(Debug, Clone)]
pub(crate) struct Shown {
    /// What was asked, on one line.
    pub(crate) title: String,
    pub(crate) session: Option<String>,
    /// The trace as JSON.
    pub(crate) json: String,
    /// How many characters of it are missing.
    pub(crate) cut: usize,
    pub(crate) spans_left_out: usize,
}

impl PageTraces {
    /// Of the traces that these judgments are about.
    pub fn of(judgments: &Judgments) -> Self {
        let ids = judgments.listed.iter().filter_map(|judgment| judgment.feedback.trace_id.clone());
        let shown: HashMap<_, _> = ids.map(|id| (id, None)).collect();
        let room = (ROOM / shown.len().max(1)).clamp(MIN_ROOM, MAX_ROOM);
        Self { shown, room }
    }

    /// Takes a trace, if it is one of those. Returns whether there is any left to find.
    pub fn add(&mut self, trace: &Trace) -> bool {
        if let Some(place @ None) = self.shown.get_mut(&trace.trace_id) {
            *place = Some(Shown::of(trace, self.room));
        }
        self.lacking() > 0
    }

    /// How many of the traces were not found.
    pub fn lacking(&self) -> usize {
        self.shown.values().filter(|shown| shown.is_none()).count()
    }

    pub(super) fn get(&self, trace_id: &str) -> Option<&Shown> {
        self.shown.get(trace_id)?.as_ref()
    }
}

impl Shown {
    fn of(trace: &Trace, room: usize) -> Self {
        // What is too deep for JSON cannot have come from a reader.
        Self::of_json(serde_json::to_value(trace).unwrap_or(Value::Null), room)
    }

    /// A trace as it is serialized, shortened to this many characters.
    pub(crate) fn of_json(mut value: Value, room: usize) -> Self {
        let title = value.get("inputs").map(|inputs| title(asked(inputs))).unwrap_or_default();
        let session =
            value.get("session_id").and_then(Value::as_str).filter(|id| !id.is_empty()).map(ToOwned::to_owned);
        let mut spans_left_out = 0;
        if let Some(Value::Array(spans)) = value.get_mut("spans") {
            spans_left_out = spans.len().saturating_sub(MAX_SPANS);
            spans.truncate(MAX_SPANS);
        }
        keep_integers(&mut value);
        let cut = fit(&mut value, room);
        Self { title, session, json: value.to_string(), cut, spans_left_out }
    }
}

fn title(asked: &Value) -> String {
    let text = match asked {
        Value::String(text) => one_line(beginning(text.trim_start(), 4 * MAX_TITLE).0),
        other => other.to_string(),
    };
    match beginning(&text, MAX_TITLE) {
        (kept, 0) => kept.to_owned(),
        (kept, _) => format!("{}…", kept.trim_end()),
    }
}
