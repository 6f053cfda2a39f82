//! The tools that an application called, compared with those that it should have called.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::words::f1;
use crate::trace::Trace;

/// Whether the order of calls matters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    Strict,
    #[default]
    Any,
}

/// How the arguments of a call are compared with the expected ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Arguments {
    /// They are the same.
    #[default]
    Exact,
    /// All expected ones are present and equal; there may be more.
    Subset,
    /// They do not matter.
    Ignore,
}

/// One call.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Call {
    name: String,
    /// `None` where nothing is said of them.
    arguments: Option<Value>,
}

/// The calls that a trace made: its spans of type TOOL, in chronological order if times are known.
pub(super) fn made(trace: &Trace) -> Vec<Call> {
    let mut spans: Vec<_> = trace.spans.iter().filter(|span| span.span_type.as_str() == "TOOL").collect();
    spans.sort_by_key(|span| span.start_time_unix_nano);
    spans.iter().map(|span| Call { name: span.name.clone(), arguments: span.inputs.clone() }).collect()
}

/// Calls as they are written: a list of names, or of objects with `name` and optionally `arguments`, as MLflow's `expected_tool_calls`; also as
/// OpenAI writes them, inside `function` and with the arguments as a text.
pub(super) fn written(calls: &Value) -> Result<Vec<Call>, String> {
    let list = calls.as_array().ok_or("the tool calls are not a list")?;
    let one = |call: &Value| {
        let call = call.get("function").filter(|function| function.is_object()).unwrap_or(call);
        let name = call.as_str().or_else(|| call.get("name")?.as_str());
        let name = name.ok_or("a tool call has no `name`")?.to_owned();
        let arguments = ["arguments", "args", "inputs"].iter().find_map(|key| call.get(*key));
        let arguments = arguments.map(|arguments| match arguments {
            Value::String(text) => serde_json::from_str(text).unwrap_or_else(|_| arguments.clone()),
            other => other.clone(),
        });
        Ok(Call { name, arguments })
    };
    list.iter().map(one).collect()
}

/// What the comparison came to.
pub(super) struct Matched {
    /// The F1 of calls: 1 if each expected call was made, and no other.
    pub f1: f64,
    pub is_same: bool,
    /// What is missing and what is too much, by name.
    pub rationale: Option<String>,
}

/// Compares the calls that were made with the expected ones, each of which means one call.
pub(super) fn compare(made: &[Call], expected: &[Call], order: Order, arguments: Arguments) -> Matched {
    let pairs = match order {
        Order::Strict => in_order(made, expected, arguments),
        Order::Any => in_any_order(made, expected, arguments),
    };
    let missing = expected.iter().enumerate().filter(|(i, _)| !pairs.iter().any(|(_, j)| i == j));
    let extra = made.iter().enumerate().filter(|(i, _)| !pairs.iter().any(|(j, _)| i == j));
    let names = |calls: Vec<&Call>| calls.iter().map(|call| call.name.as_str()).collect::<Vec<_>>().join(", ");
    let (missing, extra): (Vec<_>, Vec<_>) =
        (missing.map(|(_, call)| call).collect(), extra.map(|(_, call)| call).collect());
    let parts = [("missing", missing), ("not expected", extra)];
    let words: Vec<_> = parts
        .into_iter()
        .filter(|(_, calls)| !calls.is_empty())
        .map(|(what, calls)| format!("{what}: {}", names(calls)))
        .collect();
    Matched {
        f1: f1(pairs.len(), made.len(), expected.len()),
        is_same: words.is_empty(),
        rationale: (!words.is_empty()).then(|| words.join("; ")),
    }
}

fn fits(made: &Call, expected: &Call, arguments: Arguments) -> bool {
    let same = match (&expected.arguments, &made.arguments, arguments) {
        (None, ..) | (_, _, Arguments::Ignore) => true,
        (Some(expected), None, _) => expected.as_object().is_some_and(Map::is_empty),
        (Some(expected), Some(made), Arguments::Exact) => same(made, expected),
        (Some(Value::Object(expected)), Some(Value::Object(made)), Arguments::Subset) => {
            expected.iter().all(|(key, value)| made.get(key).is_some_and(|made| same(made, value)))
        }
        (Some(expected), Some(made), Arguments::Subset) => same(made, expected),
    };
    made.name == expected.name && same
}

/// Whether two values are equal; 1 and 1.0 are.
pub(super) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

/// The longest common subsequence, as pairs of places.
fn in_order(made: &[Call], expected: &[Call], arguments: Arguments) -> Vec<(usize, usize)> {
    let mut table = vec![vec![0_usize; expected.len() + 1]; made.len() + 1];
    for i in (0..made.len()).rev() {
        for j in (0..expected.len()).rev() {
            table[i][j] = if fits(&made[i], &expected[j], arguments) {
                table[i + 1][j + 1] + 1
            } else {
                table[i + 1][j].max(table[i][j + 1])
            };
        }
    }
    let (mut i, mut j, mut pairs) = (0, 0, Vec::new());
    while i < made.len() && j < expected.len() {
        if fits(&made[i], &expected[j], arguments) {
            pairs.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if table[i + 1][j] >= table[i][j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    pairs
}

/// Each expected call with a call that was made. The most specific choose first, so that a call which fits several is not taken from the only one that it
/// is for.
fn in_any_order(made: &[Call], expected: &[Call], arguments: Arguments) -> Vec<(usize, usize)> {
    let candidates = |call: &Call| (0..made.len()).filter(|i| fits(&made[*i], call, arguments)).collect::<Vec<_>>();
    let mut wanted: Vec<(usize, Vec<usize>)> = expected.iter().map(candidates).enumerate().collect();
    wanted.sort_by_key(|(_, candidates)| candidates.len());
    let mut taken = vec![false; made.len()];
    let mut pairs = Vec::new();
    for (j, candidates) in wanted {
        if let Some(i) = candidates.into_iter().find(|i| !taken[*i]) {
            taken[i] = true;
            pairs.push((i, j));
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::{Span, SpanType};
    use serde_json::json;

    fn calls(value: Value) -> Vec<Call> {
        written(&value).unwrap()
    }

    #[test]
    fn calls_are_compared_as_a_set_or_in_order() {
        let made =
            calls(json!([{"name": "search", "arguments": {"q": "a", "k": 3}}, {"name": "book", "arguments": {}}]));
        let swapped = calls(json!(["book", "search"]));
        let any = compare(&made, &swapped, Order::Any, Arguments::Exact);
        assert!(any.is_same && any.f1 == 1.0 && any.rationale.is_none());
        let strict = compare(&made, &swapped, Order::Strict, Arguments::Exact);
        assert_eq!((strict.is_same, strict.f1), (false, 0.5));
        let more = calls(json!(["search", "book", "pay"]));
        let more = compare(&made, &more, Order::Strict, Arguments::Exact);
        assert_eq!((more.f1, more.rationale.as_deref()), (0.8, Some("missing: pay")));
        let none = compare(&made, &[], Order::Any, Arguments::Exact);
        assert_eq!((none.f1, none.rationale.as_deref()), (0.0, Some("not expected: search, book")));
        assert!(compare(&[], &[], Order::Any, Arguments::Exact).is_same);
    }

    #[test]
    fn arguments_are_the_same_a_subset_or_ignored() {
        let made = calls(json!([{"name": "search", "arguments": {"q": "a", "k": 3}}]));
        let is_same = |expected: Value, arguments| {
            let expected = calls(json!([{"name": "search", "arguments": expected}]));
            compare(&made, &expected, Order::Any, arguments).is_same
        };
        assert!(is_same(json!({"k": 3.0, "q": "a"}), Arguments::Exact));
        assert!(!is_same(json!({"q": "a"}), Arguments::Exact) && is_same(json!({"q": "a"}), Arguments::Subset));
        assert!(!is_same(json!({"q": "b"}), Arguments::Subset) && is_same(json!({"q": "b"}), Arguments::Ignore));
        assert!(is_same(json!("{\"q\": \"a\", \"k\": 3}"), Arguments::Exact), "as OpenAI writes them");
    }

    #[test]
    fn a_call_that_fits_several_goes_where_it_is_needed() {
        let made = calls(json!([{"name": "s", "arguments": {"q": 1}}, {"name": "s", "arguments": {"q": 2}}]));
        let expected = calls(json!(["s", {"name": "s", "arguments": {"q": 1}}]));
        assert!(compare(&made, &expected, Order::Any, Arguments::Exact).is_same);
    }

    #[test]
    fn the_calls_of_a_trace_are_its_spans_in_order_of_time() {
        let span = |name: &str, kind: &str, start| Span {
            name: name.into(),
            span_type: SpanType::new(kind),
            start_time_unix_nano: Some(start),
            ..Span::default()
        };
        let spans = vec![span("b", "tool", 2), span("x", "LLM", 0), span("a", "TOOL", 1)];
        let names: Vec<_> = made(&Trace { spans, ..Trace::default() }).into_iter().map(|call| call.name).collect();
        assert_eq!(names, ["a", "b"]);
        assert!(written(&json!({})).is_err() && written(&json!([{}])).is_err());
    }
}
