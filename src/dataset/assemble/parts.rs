//! Traces whose parts are spread over a dataset: spans exported one by one, or in batches as they end.

use std::collections::HashMap;
use std::io;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::dataset::assemble::complete;
use crate::dataset::assemble::gather::{Gather, Groups};
use crate::dataset::dialects::messages;
use crate::dataset::dialects::part::{Part, SpanMessages};
use crate::dataset::dialects::span::{self, Style};
use crate::dataset::dialects::trace_fields;
use crate::dataset::notice::Notices;
use crate::dataset::place::Place;
use crate::feedback::Feedback;
use crate::trace::{Span, SpanType, Trace};

/// An assembled trace, and the place of its first part; or why the parts are not those of one trace.
pub(crate) type Whole = (Place, Result<Trace, String>);

/// A part as it waits in the temporary file: traces and spans are of the plain dialect.
#[derive(Serialize)]
struct Written<'a> {
    place: &'a Place,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<&'a Trace>,
    #[serde(skip_serializing_if = "<[Feedback]>::is_empty")]
    assessments: &'a [Feedback],
    #[serde(skip_serializing_if = "Option::is_none")]
    span: Option<&'a Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<&'a SpanMessages>,
}

#[derive(Deserialize)]
struct Read {
    place: Place,
    trace: Option<Map<String, Value>>,
    #[serde(default)]
    assessments: Vec<Feedback>,
    span: Option<Value>,
    messages: Option<SpanMessages>,
}

/// Parts by the trace that they belong to.
#[derive(Debug)]
pub(crate) struct Parts(Gather);

impl Parts {
    pub(crate) fn new() -> io::Result<Self> {
        Gather::new().map(Self)
    }

    pub(crate) fn push(&mut self, place: Place, part: &Part) -> io::Result<()> {
        let none = Written { place: &place, trace: None, assessments: &[], span: None, messages: None };
        let (trace_id, written) = match part {
            Part::Trace(trace) => {
                (&trace.trace_id, Written { trace: Some(trace), assessments: &trace.assessments, ..none })
            }
            Part::Span { trace_id, span } => (trace_id, Written { span: Some(span), ..none }),
            Part::Messages { trace_id, messages } => (trace_id, Written { messages: Some(messages), ..none }),
        };
        self.0.push(key(trace_id), 0, &serde_json::to_vec(&(trace_id, written)).map_err(io::Error::other)?)
    }

    /// The traces, in the order of their first parts, each with that part's place; or why the parts are not those of one trace.
    pub(crate) fn into_traces(self) -> io::Result<impl Iterator<Item = io::Result<Whole>> + Send> {
        let groups: Groups = self.0.into_groups()?;
        Ok(groups.map(|group| group.and_then(|parts| whole(&parts))))
    }
}

/// MLflow prefixes OpenTelemetry's trace ids with `tr-`: the trace is the same, and has the longer id if some part does.
fn key(trace_id: &str) -> &str {
    trace_id.strip_prefix("tr-").unwrap_or(trace_id)
}

/// Exporters send a span again when they do not know whether it arrived; a span that is written twice is kept in its final state.
fn drop_repeated(spans: &mut Vec<Span>) {
    let mut best: HashMap<String, (usize, bool)> = HashMap::with_capacity(spans.len());
    for (index, span) in spans.iter().enumerate() {
        let has_ended = span.end_time_unix_nano.is_some();
        let known = best.entry(span.span_id.clone()).or_insert((index, has_ended));
        if has_ended && !known.1 {
            *known = (index, true);
        }
    }
    let mut index = 0..;
    spans.retain(|span| best.get(&span.span_id).map(|(kept, _)| *kept) == index.next());
}

fn whole(parts: &[Vec<u8>]) -> io::Result<Whole> {
    let mut first_place = None;
    let mut differs = None;
    let mut whole = Trace::default();
    // A part that was read before has known fields.
    let mut notices = Notices::default();
    let mut messages = Vec::new();
    for part in parts {
        let (trace_id, part): (String, Read) = serde_json::from_slice(part)?;
        if whole.trace_id.len() < trace_id.len() {
            whole.trace_id = trace_id;
        }
        first_place.get_or_insert(part.place);
        if let Some(fields) = part.trace {
            let trace = trace_fields::read_back(fields).map_err(io::Error::other)?;
            differs = differs.or_else(|| difference(&whole, &trace));
            merge(&mut whole, trace);
        }
        whole.assessments.extend(part.assessments);
        messages.extend(part.messages);
        if let Some(span) = part.span {
            whole.spans.extend(span::read_all(vec![span], Style::Plain, &mut notices).map_err(io::Error::other)?);
        }
    }
    drop_repeated(&mut whole.spans);
    join(&mut whole.spans, messages);
    complete::sort(&mut whole.spans);
    let whole = match differs {
        None => {
            complete::complete(&mut whole);
            Ok(whole)
        }
        Some(field) => Err(format!(
            "parts of trace `{}` have different `{field}`; give each trace a different id, or remove the older part",
            whole.trace_id
        )),
    };
    Ok((first_place.unwrap_or_default(), whole))
}

/// Gives the messages that were recorded apart from their spans to these, in the order of their times. A span that itself says what was
/// asked, or answered, takes precedence; one that was not recorded is made from its messages.
fn join(spans: &mut Vec<Span>, mut messages: Vec<SpanMessages>) {
    messages.sort_by_key(|said| said.time);
    // Exporters send a record again when they do not know whether it arrived.
    messages.dedup();
    let mut by_span: Vec<SpanMessages> = Vec::new();
    for said in messages {
        match by_span.iter_mut().find(|earlier| earlier.span_id == said.span_id) {
            Some(earlier) => {
                earlier.asked.extend(said.asked);
                earlier.answered.extend(said.answered);
            }
            None => by_span.push(said),
        }
    }
    for SpanMessages { span_id, time, asked, answered } in by_span {
        let at = spans.iter().position(|span| span.span_id == span_id).unwrap_or_else(|| {
            let span_type = SpanType::new("CHAT_MODEL");
            spans.push(Span { span_id, span_type, start_time_unix_nano: Some(time), ..Span::default() });
            spans.len() - 1
        });
        let Some(span) = spans.get_mut(at) else { continue };
        if span.inputs.is_none() && !asked.is_empty() {
            span.inputs = Some(json!({ "messages": asked }));
        }
        span.outputs = span.outputs.take().or_else(|| messages::answer(answered));
    }
}

/// The field that shows that two parts with the same id are not of the same trace.
fn difference(whole: &Trace, part: &Trace) -> Option<&'static str> {
    let differ = |a: &Option<Value>, b: &Option<Value>| a.is_some() && b.is_some() && a != b;
    if differ(&whole.inputs, &part.inputs) {
        Some("inputs")
    } else if differ(&whole.outputs, &part.outputs) {
        Some("outputs")
    } else {
        None
    }
}

/// Earlier parts take precedence; labels of all parts are kept.
fn merge(whole: &mut Trace, part: Trace) {
    let Trace {
        trace_id: _,
        inputs,
        outputs,
        expectations,
        spans,
        tags,
        metadata,
        session_id,
        user,
        state,
        request_time_ms,
        execution_duration_ms,
        token_usage,
        assessments: _,
        side: _,
    } = part;
    whole.inputs = whole.inputs.take().or(inputs);
    whole.outputs = whole.outputs.take().or(outputs);
    for (name, value) in expectations {
        whole.expectations.entry(name).or_insert(value);
    }
    whole.spans.extend(spans);
    for (labels, more) in [(&mut whole.tags, tags), (&mut whole.metadata, metadata)] {
        for (key, value) in more {
            labels.entry(key).or_insert(value);
        }
    }
    whole.session_id = whole.session_id.take().or(session_id);
    whole.user = whole.user.take().or(user);
    if whole.state == Default::default() {
        whole.state = state;
    }
    whole.request_time_ms = whole.request_time_ms.or(request_time_ms);
    whole.execution_duration_ms = whole.execution_duration_ms.or(execution_duration_ms);
    whole.token_usage = whole.token_usage.or(token_usage);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::depth::MAX_DEPTH;
    use crate::trace::TraceState;

    fn span(trace: &str, id: &str, parent: Option<&str>, start: u64) -> Part {
        let span = Span {
            span_id: id.into(),
            parent_id: parent.map(Into::into),
            outputs: Some(json!(format!("{id} says"))),
            start_time_unix_nano: Some(start),
            ..Span::default()
        };
        Part::Span { trace_id: trace.into(), span }
    }

    #[test]
    fn a_trace_is_put_together_from_parts_in_any_order() {
        let mut parts = Parts::new().unwrap();
        let head = Trace {
            trace_id: "a".into(),
            session_id: Some("s".into()),
            state: TraceState::Ok,
            tags: [("k".to_owned(), "v".to_owned())].into(),
            assessments: vec![Feedback { name: "thumbs".into(), value: Some(json!(true)), ..Feedback::default() }],
            ..Trace::default()
        };
        let pieces = [
            span("a", "child", Some("root"), 2),
            span("b", "only", None, 1),
            Part::Trace(head),
            span("a", "root", None, 1),
        ];
        for (line, part) in (1..).zip(&pieces) {
            parts.push(Place { file: 0, line, byte_offset: 10 * line }, part).unwrap();
        }
        let traces = parts.into_traces().unwrap().map(Result::unwrap).map(|(place, trace)| (place, trace.unwrap()));
        let traces: Vec<(Place, Trace)> = traces.collect();
        let (place, a) = &traces[0];
        assert_eq!((place.line, a.trace_id.as_str(), a.session_id.as_deref()), (1, "a", Some("s")));
        assert_eq!(a.spans.iter().map(|span| span.span_id.as_str()).collect::<Vec<_>>(), ["root", "child"]);
        assert_eq!((&a.outputs, a.state, &*a.tags["k"]), (&Some(json!("root says")), TraceState::Ok, "v"));
        assert_eq!(a.assessments[0].name, "thumbs");
        assert_eq!((traces[1].0.line, traces[1].1.trace_id.as_str(), traces.len()), (2, "b", 2));
    }

    #[test]
    fn two_traces_that_share_an_id_are_not_made_into_one() {
        let mut parts = Parts::new().unwrap();
        let part = |inputs, outputs| Part::Trace(Trace { trace_id: "a".into(), inputs, outputs, ..Trace::default() });
        let pieces = [
            part(Some(json!(1)), None),
            part(None, Some(json!("x"))),
            part(Some(json!(1)), None),
            part(Some(json!(2)), None),
        ];
        for (line, part) in (1..).zip(&pieces) {
            parts.push(Place { file: 0, line, byte_offset: 0 }, part).unwrap();
        }
        let (place, trace) = parts.into_traces().unwrap().next().unwrap().unwrap();
        assert_eq!((place.line, trace.unwrap_err().as_str()), {
            let reason =
                "parts of trace `a` have different `inputs`; give each trace a different id, or remove the older part";
            (1, reason)
        });
    }

    #[test]
    fn a_span_that_is_there_twice_is_kept_as_it_ended_and_the_longer_id_holds() {
        let mut parts = Parts::new().unwrap();
        let ended = |trace: &str| match span(trace, "s", None, 1) {
            Part::Span { trace_id, span } => {
                Part::Span { trace_id, span: Span { end_time_unix_nano: Some(9), ..span } }
            }
            part => part,
        };
        let mlflows = Part::Trace(Trace { trace_id: "tr-0a".into(), ..Trace::default() });
        for part in [span("0a", "s", None, 1), ended("0a"), mlflows, ended("0a")] {
            parts.push(Place::default(), &part).unwrap();
        }
        let traces: Vec<Whole> = parts.into_traces().unwrap().map(Result::unwrap).collect();
        let [(_, Ok(trace))] = traces.as_slice() else { panic!("{traces:?}") };
        let ends: Vec<_> = trace.spans.iter().map(|span| span.end_time_unix_nano).collect();
        assert_eq!((trace.trace_id.as_str(), ends), ("tr-0a", vec![Some(9)]));
    }

    #[test]
    fn a_part_that_nests_too_deep_is_flattened_and_read_back() {
        let value = (0..MAX_DEPTH + 5).fold(json!(1), |value, _| json!([value]));
        let mut part = Part::Span { trace_id: "a".into(), span: Span { outputs: Some(value), ..Span::default() } };
        part.flatten();
        let mut parts = Parts::new().unwrap();
        parts.push(Place::default(), &part).unwrap();
        let traces: Vec<Whole> = parts.into_traces().unwrap().map(Result::unwrap).collect();
        let [(_, Ok(trace))] = traces.as_slice() else { panic!("{traces:?}") };
        assert_eq!(trace.outputs.as_ref().unwrap().to_string().matches('[').count(), MAX_DEPTH + 5);
    }

    #[test]
    fn messages_go_to_their_spans_in_the_order_of_time() {
        let said = |span: &str, time, asked: &[&str], answered: &[&str]| {
            let message = |role: &str, text: &&str| json!({"role": role, "content": text});
            let asked = asked.iter().map(|text| message("user", text)).collect();
            let answered = answered.iter().map(|text| message("assistant", text)).collect();
            let messages = SpanMessages { span_id: span.into(), time, asked, answered };
            Part::Messages { trace_id: "a".into(), messages }
        };
        let mut parts = Parts::new().unwrap();
        let mut own = span("a", "own", None, 1);
        if let Part::Span { span, .. } = &mut own {
            span.inputs = Some(json!("own"));
        }
        for part in [
            said("lone", 9, &["l"], &["L"]),
            said("own", 4, &["other"], &["other"]),
            said("bare", 6, &[], &["A"]),
            said("bare", 6, &[], &["A"]),
            said("bare", 3, &["two"], &[]),
            said("bare", 2, &["one"], &[]),
            own,
            Part::Span {
                trace_id: "a".into(),
                span: Span {
                    span_id: "bare".into(),
                    parent_id: Some("own".into()),
                    start_time_unix_nano: Some(2),
                    ..Span::default()
                },
            },
        ] {
            parts.push(Place::default(), &part).unwrap();
        }
        let (_, trace) = parts.into_traces().unwrap().next().unwrap().unwrap();
        let trace = trace.unwrap();
        let found: Vec<_> =
            trace.spans.iter().map(|s| (s.span_id.as_str(), s.inputs.clone(), s.outputs.clone())).collect();
        let user = |texts: &[&str]| {
            let messages: Vec<_> = texts.iter().map(|text| json!({"role": "user", "content": text})).collect();
            Some(json!({ "messages": messages }))
        };
        assert_eq!(
            found,
            [
                ("own", Some(json!("own")), Some(json!("own says"))),
                ("bare", user(&["one", "two"]), Some(json!("A"))),
                ("lone", user(&["l"]), Some(json!("L"))),
            ]
        );
        assert_eq!(trace.spans[2].span_type.as_str(), "CHAT_MODEL");
    }
}
