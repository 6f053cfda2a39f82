//! The spans of a trace as a tree in text: compact, and bounded whatever was recorded.

use std::collections::HashMap;
use std::fmt::Write as _;

use serde_json::Value;

use crate::trace::{Span, SpanStatus, Trace};

/// More spans are counted, not shown.
const MAX_SPANS: usize = 120;
/// Characters of what went into a step or came out of it.
const MAX_CHARS: usize = 240;
/// Deeper steps are shown at this depth.
const MAX_DEPTH: usize = 12;

/// The tree: a line for each span, with its id, and a line each for what went in and came out. `None` of a trace without spans.
pub(super) fn of(trace: &Trace) -> Option<String> {
    if trace.spans.is_empty() {
        return None;
    }
    let mut text = String::new();
    let ordered = in_order(&trace.spans);
    for (span, depth) in ordered.iter().take(MAX_SPANS) {
        write_span(&mut text, span, (*depth).min(MAX_DEPTH));
    }
    if let Some(left_out) = ordered.len().checked_sub(MAX_SPANS).filter(|n| *n > 0) {
        let _ = writeln!(text, "[... {left_out} more spans ...]");
    }
    text.truncate(text.trim_end().len());
    Some(text)
}

/// Parents before their children, children in the trace's order, each span once.
fn in_order(spans: &[Span]) -> Vec<(&Span, usize)> {
    let ids: HashMap<&str, usize> =
        spans.iter().enumerate().rev().map(|(at, span)| (span.span_id.as_str(), at)).collect();
    let mut children: HashMap<usize, Vec<usize>> = HashMap::new();
    let mut stack = Vec::new();
    for (at, span) in spans.iter().enumerate() {
        match span.parent_id.as_deref().and_then(|id| ids.get(id)).filter(|parent| **parent != at) {
            Some(parent) => children.entry(*parent).or_default().push(at),
            None => stack.push((at, 0)),
        }
    }
    stack.reverse();
    let mut ordered = Vec::with_capacity(spans.len());
    let mut met = vec![false; spans.len()];
    let mut rest = 0..spans.len();
    loop {
        while let Some((at, depth)) = stack.pop() {
            if !std::mem::replace(&mut met[at], true) {
                ordered.push((&spans[at], depth));
                stack
                    .extend(children.remove(&at).unwrap_or_default().into_iter().rev().map(|child| (child, depth + 1)));
            }
        }
        // Spans that are each other's parents hang on no root.
        match rest.find(|at| !met[*at]) {
            Some(at) => stack.push((at, 0)),
            None => return ordered,
        }
    }
}

fn write_span(text: &mut String, span: &Span, depth: usize) {
    let Span { span_id, name, span_type, status, status_message, inputs, outputs, .. } = span;
    let indent = "  ".repeat(depth);
    let _ = write!(text, "{indent}{} [{span_type}] span_id={span_id}", shortened(name));
    if *status == SpanStatus::Error {
        let message = status_message.as_deref().unwrap_or_default();
        let _ = write!(text, " ERROR {}", shortened(message));
    }
    text.push('\n');
    for (label, value) in [("in", inputs), ("out", outputs)] {
        if let Some(value) = value.as_ref().filter(|value| !value.is_null()) {
            let value = match value {
                Value::String(value) => shortened(value),
                value => shortened(&value.to_string()),
            };
            let _ = writeln!(text, "{indent}  {label}: {value}");
        }
    }
}

/// On one line.
fn shortened(text: &str) -> String {
    let line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    // Much more than is kept is not even looked at.
    let head = text.char_indices().nth(4 * MAX_CHARS).map_or(text, |(end, _)| &text[..end]);
    let shown = line(head);
    match shown.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{} [...]", &shown[..end]),
        None if head.len() < text.len() => format!("{shown} [...]"),
        None => shown,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::trace::SpanType;

    fn span(id: &str, parent: Option<&str>) -> Span {
        Span { span_id: id.into(), parent_id: parent.map(Into::into), name: format!("step {id}"), ..Span::default() }
    }

    #[test]
    fn parents_come_before_their_children_and_errors_are_shown() {
        let failed = Span {
            span_type: SpanType::new("TOOL"),
            inputs: Some(json!({"city": "Oslo"})),
            status: SpanStatus::Error,
            status_message: Some("timed\nout".into()),
            ..span("3", Some("1"))
        };
        let spans = vec![span("2", Some("1")), span("1", None), failed, span("4", Some("2")), span("5", Some("gone"))];
        let text = of(&Trace { spans, ..Trace::default() }).unwrap();
        let expected = "step 1 [UNKNOWN] span_id=1
  step 2 [UNKNOWN] span_id=2
    step 4 [UNKNOWN] span_id=4
  step 3 [TOOL] span_id=3 ERROR timed out
    in: {\"city\":\"Oslo\"}
step 5 [UNKNOWN] span_id=5";
        assert_eq!(text, expected);
        assert_eq!(of(&Trace::default()), None);
    }

    #[test]
    fn it_ends_whatever_was_recorded() {
        let circle = vec![span("a", Some("b")), span("b", Some("a")), span("c", Some("c")), span("a", Some("a"))];
        assert_eq!(of(&Trace { spans: circle, ..Trace::default() }).unwrap().lines().count(), 4);
        let long = Span { outputs: Some("é ".repeat(100_000).into()), ..span("x", None) };
        let many: Vec<_> = std::iter::once(long).chain((0..500).map(|n| span(&n.to_string(), Some("x")))).collect();
        let text = of(&Trace { spans: many, ..Trace::default() }).unwrap();
        assert!(text.ends_with("[... 381 more spans ...]") && text.len() < 20_000, "{}", text.len());
        let deep: Vec<_> = (0..5000).map(|n| span(&n.to_string(), Some(&(n + 1).to_string()))).collect();
        assert!(of(&Trace { spans: deep, ..Trace::default() }).is_some());
    }
}
