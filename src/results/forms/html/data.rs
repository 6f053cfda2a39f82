//! The page's data: columns rather than objects, with everything that many rows share stored once.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};

use serde::Serialize;
use serde_json::{Value, json};

use super::json_block::block;
use super::page::Page;
use super::texts::{beginning, limit, shortened};
use crate::feedback::{ErrorCode, Feedback, SESSION_ID_METADATA, SESSION_METADATA, SourceType};
use crate::results::forms::findings::Findings;
use crate::results::forms::headline::Headline;
use crate::results::judgments::{Judgment, Outcome};

/// The total length of all rationales of a page, in characters.
const RATIONALES: usize = 16_000_000;
/// Of texts in the figures, and of metadata.
const MAX_TEXT: usize = 4_000;
const MAX_VALUE: usize = 1_000;
/// The traces of a page are parsed in chunks of this many, when one of them is looked at.
const TRACES_PER_BLOCK: usize = 100;
/// Metadata that has its own place.
const SHOWN_ELSEWHERE: [&str; 3] = ["latency_ms", SESSION_METADATA, SESSION_ID_METADATA];

/// The judgments of a page, with the indices of what they share.
pub(super) struct Rows<'a> {
    judgments: &'a [Judgment],
    /// The traces, in the order of their first judgment, and the judgments of each.
    traces: Vec<(&'a str, Vec<usize>)>,
    trace: Vec<usize>,
    sources: Vec<(&'a str, SourceType, &'a str)>,
    source: Vec<usize>,
    codes: Vec<&'a str>,
    code: Vec<Option<usize>>,
    max_rationale: usize,
}

/// The subject of a row if a record names no trace.
const NO_TRACE: &str = "(no trace)";

#[derive(Serialize)]
struct Columns<'a> {
    trace: &'a [usize],
    source: &'a [usize],
    outcome: Vec<u8>,
    value: Vec<Option<Cow<'a, Value>>>,
    code: &'a [Option<usize>],
    rationale: Vec<Option<&'a str>>,
    tokens: Vec<Option<u64>>,
    latency_ms: Vec<Option<u64>>,
    /// Few have one.
    span: BTreeMap<usize, &'a str>,
    /// Which of the documents that the span found, from 0.
    document: BTreeMap<usize, u32>,
}

impl<'a> Rows<'a> {
    pub(super) fn of(results: &'a Findings<'_>, page: &Page<'a>) -> Self {
        let judgments = page.judgments.listed.as_slice();
        // Codes of failures that are counted but not listed belong to the page too.
        let codes = results.judges().iter().flat_map(|judge| judge.figures.failed.keys());
        let mut codes = Numbered::of(codes.map(String::as_str));
        let mut sources = Numbered::default();
        let mut traces = Numbered::default();
        let mut rows = Self {
            judgments,
            traces: Vec::new(),
            trace: Vec::with_capacity(judgments.len()),
            sources: Vec::new(),
            source: Vec::with_capacity(judgments.len()),
            codes: Vec::new(),
            code: Vec::with_capacity(judgments.len()),
            max_rationale: (RATIONALES / judgments.len().max(1)).clamp(500, 20_000),
        };
        for (row, Judgment { feedback, .. }) in judgments.iter().enumerate() {
            let trace = traces.number(feedback.trace_id.as_deref().unwrap_or(NO_TRACE));
            if trace == rows.traces.len() {
                rows.traces.push((traces.all[trace], Vec::new()));
            }
            rows.traces[trace].1.push(row);
            rows.trace.push(trace);
            let source_id = feedback.source.source_id.as_deref().unwrap_or_default();
            rows.source.push(sources.number((feedback.name.as_str(), feedback.source.source_type, source_id)));
            rows.code.push(feedback.error.as_ref().map(|error| codes.number(error.error_code.as_str())));
        }
        (rows.sources, rows.codes) = (sources.all, codes.all);
        rows
    }

    fn columns(&self) -> Columns<'_> {
        let number = |feedback: &Feedback, key: &str| feedback.metadata.get(key)?.parse::<u64>().ok();
        let tokens = |feedback: &Feedback| match (number(feedback, "input_tokens"), number(feedback, "output_tokens")) {
            (None, None) => None,
            (input, output) => Some(input.unwrap_or(0) + output.unwrap_or(0)),
        };
        let records = || self.judgments.iter().map(|judgment| &judgment.feedback);
        let spans = records().enumerate().filter_map(|(row, feedback)| Some((row, feedback.span_id.as_deref()?)));
        let documents = records().enumerate().filter_map(|(row, feedback)| Some((row, feedback.document_index()?)));
        Columns {
            trace: &self.trace,
            source: &self.source,
            outcome: self.judgments.iter().map(|judgment| rank(judgment.outcome)).collect(),
            value: records().map(|feedback| feedback.value.as_ref().map(short_value)).collect(),
            code: &self.code,
            rationale: records().map(|feedback| Some(beginning(said(feedback)?, self.max_rationale).0)).collect(),
            tokens: records().map(tokens).collect(),
            latency_ms: records().map(|feedback| number(feedback, "latency_ms")).collect(),
            span: spans.collect(),
            document: documents.collect(),
        }
    }

    /// The values of what groups the judgments, and which of them each has.
    fn slices(&self, page: &Page<'_>) -> Vec<Value> {
        let slice = |(i, by): (usize, &String)| {
            let mut values = Numbered::default();
            let value = |judgment: &'a Judgment| judgment.slices.get(i)?.as_deref().map(|value| values.number(value));
            let of: Vec<Option<usize>> = self.judgments.iter().map(value).collect();
            json!({"by": by, "values": values.all, "of": of})
        };
        page.judgments.by.iter().enumerate().map(slice).collect()
    }

    /// Everything but the traces.
    pub(super) fn data(&self, results: &Findings<'_>, headline: &Headline, page: &Page<'_>) -> io::Result<String> {
        let mut report = match results {
            Findings::Report(report) => serde_json::to_value(report)?,
            Findings::Comparison(comparison) => serde_json::to_value(comparison)?,
        };
        limit(&mut report, MAX_TEXT);
        if let (Value::Object(members), Findings::Comparison(_)) = (&mut report, results) {
            members.insert("judges".to_owned(), json!([]));
        }
        let judges = results.judges();
        let about = |name: &str| page.about.iter().find(|(about, _)| about == name).map(|(_, text)| text);
        let sources = self.sources.iter().map(|(name, source_type, source_id)| {
            let is_it = |judge: &crate::results::report::JudgeReport| {
                judge.name == *name && judge.source_type == *source_type && judge.source_id == *source_id
            };
            json!({"name": name, "source_type": source_type, "source_id": source_id, "judge": judges.iter().position(is_it)})
        });
        let failures = |code: &str| judges.iter().filter_map(|judge| judge.figures.failed.get(code)).sum::<u64>();
        let codes = self.codes.iter().map(|code| {
            let traits = code.parse::<ErrorCode>().ok().map(ErrorCode::traits);
            json!({"code": code, "n": failures(code), "meaning": traits.map(|traits| traits.meaning), "remedy": traits.map(|traits| traits.remedy)})
        });
        let shown = |id: &str| page.traces.get(id);
        let session = |(id, rows): &(&str, Vec<usize>)| {
            let of_records =
                || rows.iter().find_map(|row| self.judgments[*row].feedback.metadata.get(SESSION_METADATA).cloned());
            shown(id).and_then(|shown| shown.session.clone()).or_else(of_records)
        };
        let text = serde_json::to_string(&json!({
            "version": env!("CARGO_PKG_VERSION"),
            "title": results.title(),
            "created_ms": page.created_ms,
            "headline": {"outcome": headline.outcome, "text": headline.text, "details": headline.details},
            "report": report,
            "judges": judges.iter().map(|judge| json!({"about": about(&judge.name)})).collect::<Vec<_>>(),
            "sources": sources.collect::<Vec<_>>(),
            "codes": codes.collect::<Vec<_>>(),
            "judgments": self.columns(),
            "left_out": page.judgments.left_out,
            "traces": {
                "id": self.traces.iter().map(|(id, _)| *id).collect::<Vec<_>>(),
                "title": self.traces.iter().map(|(id, _)| shown(id).map_or("", |shown| shown.title.as_str())).collect::<Vec<_>>(),
                "session": self.traces.iter().map(session).collect::<Vec<_>>(),
            },
            "slices": self.slices(page),
            "traces_per_block": TRACES_PER_BLOCK,
            "facts": page.facts,
        }))?;
        Ok(text)
    }

    /// The traces, each with the feedback that is not in the table.
    pub(super) fn write_traces(&self, page: &Page<'_>, out: &mut dyn Write) -> io::Result<()> {
        for (number, traces) in self.traces.chunks(TRACES_PER_BLOCK).enumerate() {
            write!(out, "<script type=\"application/json\" id=\"traces-{number}\">[")?;
            for (i, (id, rows)) in traces.iter().enumerate() {
                let feedback: Vec<_> = rows.iter().map(|row| self.details(&self.judgments[*row])).collect();
                let separator = if i > 0 { ",\n" } else { "" };
                block(&format!("{separator}{{\"feedback\":{}", serde_json::to_string(&feedback)?), out)?;
                if let Some(shown) = page.traces.get(id) {
                    write!(out, ",\"cut\":{},\"spans_left_out\":{},\"trace\":", shown.cut, shown.spans_left_out)?;
                    block(&shown.json, out)?;
                }
                out.write_all(b"}")?;
            }
            out.write_all(b"]</script>\n")?;
        }
        Ok(())
    }

    fn details(&self, judgment: &Judgment) -> Value {
        let Judgment { feedback, earlier, .. } = judgment;
        let metadata = feedback.metadata.iter().filter(|(key, _)| !SHOWN_ELSEWHERE.contains(&key.as_str()));
        let metadata: BTreeMap<_, _> = metadata.map(|(key, value)| (key, shortened(value, MAX_TEXT))).collect();
        let history = earlier.iter().map(|record| {
            json!({
                "time_ms": record.last_update_time_ms,
                "value": record.value.as_ref().map(short_value),
                "code": record.error.as_ref().map(|error| error.error_code.as_str()),
                "valid": record.valid,
                "rationale": said(record).map(|text| shortened(text, MAX_VALUE)),
            })
        });
        json!({
            "time_ms": feedback.last_update_time_ms,
            "metadata": metadata,
            "history": history.collect::<Vec<_>>(),
            "rationale_cut": said(feedback).map_or(0, |text| beginning(text, self.max_rationale).1),
        })
    }
}

/// The rationale, or the failure's message.
fn said(feedback: &Feedback) -> Option<&str> {
    let message = || feedback.error.as_ref()?.error_message.as_deref();
    feedback.rationale.as_deref().or_else(message)
}

/// A verdict of any form: a long one as a shortened text.
fn short_value(value: &Value) -> Cow<'_, Value> {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => Cow::Borrowed(value),
        Value::String(text) if text.len() <= MAX_VALUE => Cow::Borrowed(value),
        Value::String(text) => Cow::Owned(Value::String(shortened(text, MAX_VALUE))),
        other => {
            let text = other.to_string();
            if text.len() <= MAX_VALUE {
                Cow::Borrowed(value)
            } else {
                Cow::Owned(Value::String(shortened(&text, MAX_VALUE)))
            }
        }
    }
}

/// The place of an outcome among those of the page.
const fn rank(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Bad => 0,
        Outcome::Failed => 1,
        Outcome::Abstained => 2,
        Outcome::Rejected => 3,
        Outcome::Scored => 4,
        Outcome::Good => 5,
    }
}

/// Distinct things in order of appearance, and their indices.
#[derive(Default)]
struct Numbered<T> {
    all: Vec<T>,
    number_of: HashMap<T, usize>,
}

impl<T: Copy + Eq + std::hash::Hash + Default> Numbered<T> {
    fn of(all: impl Iterator<Item = T>) -> Self {
        let mut numbered = Self::default();
        all.for_each(|one| _ = numbered.number(one));
        numbered
    }

    fn number(&mut self, one: T) -> usize {
        let Self { all, number_of } = self;
        *number_of.entry(one).or_insert_with(|| {
            all.push(one);
            all.len() - 1
        })
    }
}
