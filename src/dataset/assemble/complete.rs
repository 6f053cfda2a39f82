//! What a trace's spans say about the trace as a whole, where its source says nothing itself.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value};

use crate::dataset::dialects::fields::{count, labels};
use crate::dataset::dialects::trace_fields::token_usage;
use crate::dataset::dialects::wrapped;
use crate::dataset::json;
use crate::trace::{Span, SpanStatus, TokenUsage, Trace, TraceState};

const SESSION: &[&str] = &[
    "mlflow.trace.session",
    "session.id",
    "gen_ai.conversation.id",
    "langfuse.session.id",
    "traceloop.association.properties.session_id",
    "ai.telemetry.metadata.sessionId",
    "langsmith.metadata.session_id",
    "langsmith.metadata.thread_id",
    "langsmith.metadata.conversation_id",
];
const USER: &[&str] = &[
    "mlflow.trace.user",
    "user.id",
    "enduser.id",
    "langfuse.user.id",
    "traceloop.association.properties.user_id",
    "ai.telemetry.metadata.userId",
];
/// Labels of a trace on any of its spans: lists, whose items are then `true`.
const TAGS: &[&str] = &["tag.tags", "langfuse.trace.tags"];
/// Facts about a trace on any of its spans, each under its own name.
const FACTS: &str = "langfuse.trace.metadata.";
/// What a trace was asked and answered as a whole, on any of its spans.
const INPUTS: &str = "langfuse.trace.input";
const OUTPUTS: &str = "langfuse.trace.output";
/// The tokens of a span, under MLflow's names.
pub(crate) const TOKEN_USAGE: &str = "mlflow.chat.tokenUsage";
/// Counts of tokens in one object.
const USAGES: &[&str] = &[TOKEN_USAGE, "langfuse.observation.usage_details"];
/// Counts of input, output and all tokens, by convention.
const TOKENS: &[[&str; 3]] = &[
    ["gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "gen_ai.usage.total_tokens"],
    ["gen_ai.usage.prompt_tokens", "gen_ai.usage.completion_tokens", "llm.usage.total_tokens"],
    ["llm.token_count.prompt", "llm.token_count.completion", "llm.token_count.total"],
    ["ai.usage.inputTokens", "ai.usage.outputTokens", "ai.usage.totalTokens"],
    ["ai.usage.promptTokens", "ai.usage.completionTokens", "ai.usage.totalTokens"],
];
/// Intermediate steps, whose inputs and outputs are not the application's.
const STEPS: &[&str] =
    &["RETRIEVER", "EMBEDDING", "RERANKER", "TOOL", "PARSER", "GUARDRAIL", "EVALUATOR", "MEMORY", "PROMPT"];

/// Sorts spans by start; of those that start together a parent comes before its children, and what ended first before the others.
pub(crate) fn sort(spans: &mut Vec<Span>) {
    let depths = depths(spans);
    let mut with_depth: Vec<_> = std::mem::take(spans).into_iter().zip(depths).collect();
    with_depth.sort_by(|(a, a_depth), (b, b_depth)| {
        let by_time = a.start_time_unix_nano.cmp(&b.start_time_unix_nano).then(a_depth.cmp(b_depth));
        by_time.then_with(|| a.end_time_unix_nano.cmp(&b.end_time_unix_nano)).then_with(|| a.span_id.cmp(&b.span_id))
    });
    spans.extend(with_depth.into_iter().map(|(span, _)| span));
}

/// How many of its ancestors were recorded, for each span; if spans are their own ancestors, any number.
fn depths(spans: &[Span]) -> Vec<usize> {
    let index: HashMap<&str, usize> =
        spans.iter().enumerate().map(|(index, span)| (span.span_id.as_str(), index)).collect();
    let parents: Vec<Option<usize>> = spans.iter().map(|span| index.get(span.parent_id.as_deref()?).copied()).collect();
    let mut depths: Vec<Option<usize>> = vec![None; spans.len()];
    let mut path = Vec::new();
    for start in 0..spans.len() {
        let mut next = Some(start);
        while let Some(at) = next.filter(|&at| depths.get(at) == Some(&None)) {
            path.push(at);
            // A first guess, which also breaks cycles.
            depths[at] = Some(0);
            next = parents[at];
        }
        let mut depth = next.map_or(0, |known| depths[known].unwrap_or_default() + 1);
        while let Some(at) = path.pop() {
            depths[at] = Some(depth);
            depth += 1;
        }
    }
    depths.into_iter().map(Option::unwrap_or_default).collect()
}

/// Fills in what the trace does not say itself: inputs, outputs, state and times of its root span, session and user by their usual
/// attributes, OpenInference's metadata and tags, tokens.
///
/// A root span with neither inputs nor outputs has those of the spans below it: the first inputs and, unless it failed, the last
/// outputs of the least depth at which there are some, without steps such as retrievers and tools.
pub(crate) fn complete(trace: &mut Trace) {
    let depths = depths(&trace.spans);
    let spans = &trace.spans;
    let said = |key: &str| spans.iter().find_map(|span| span.attributes.get(key)).cloned().map(json::from_text);
    trace.inputs = trace.inputs.take().or_else(|| said(INPUTS).map(wrapped::inputs));
    trace.outputs = trace.outputs.take().or_else(|| said(OUTPUTS).map(wrapped::outputs));
    if let Some(root) = trace.root_span() {
        let state = match root.status {
            SpanStatus::Ok => TraceState::Ok,
            SpanStatus::Error => TraceState::Error,
            SpanStatus::Unset => TraceState::StateUnspecified,
        };
        let start = root.start_time_unix_nano;
        let duration = start.zip(root.end_time_unix_nano).map(|(start, end)| end.saturating_sub(start));
        let (mut inputs, mut outputs) = (root.inputs.as_ref(), root.outputs.as_ref());
        if inputs.or(outputs).is_none() {
            inputs = nearest(spans, &depths, |span| span.inputs.as_ref()).first().copied();
            // A failed run gave no answer, whatever its steps gave.
            if root.status != SpanStatus::Error {
                outputs = nearest(spans, &depths, |span| span.outputs.as_ref()).last().copied();
            }
        }
        let (inputs, outputs) = (inputs.cloned(), outputs.cloned());
        trace.inputs = trace.inputs.take().or(inputs);
        trace.outputs = trace.outputs.take().or(outputs);
        if trace.state == TraceState::default() {
            trace.state = state;
        }
        let start = start.and_then(|start| i64::try_from(start / 1_000_000).ok());
        trace.request_time_ms = trace.request_time_ms.or(start);
        trace.execution_duration_ms =
            trace.execution_duration_ms.or(duration.map(|nanoseconds| nanoseconds / 1_000_000));
    }
    let first = |keys: &[&str]| spans.iter().find_map(|span| keys.iter().find_map(|key| text(&span.attributes, key)));
    trace.session_id = trace.session_id.take().or_else(|| first(SESSION));
    trace.user = trace.user.take().or_else(|| first(USER));
    trace.token_usage = trace.token_usage.or_else(|| tokens_of(spans));
    for span in spans {
        if let Some(Value::Object(facts)) = span.attributes.get("metadata").cloned().map(json::from_text) {
            add(&mut trace.metadata, facts);
        }
        let facts = span.attributes.iter().filter_map(|(key, value)| Some((key.strip_prefix(FACTS)?, value)));
        add(&mut trace.metadata, facts.map(|(key, value)| (key.to_owned(), value.clone())).collect());
        for tags in TAGS.iter().filter_map(|key| span.attributes.get(*key)) {
            trace.tags.extend(labels("tags", tags.clone()).unwrap_or_default());
        }
    }
}

/// The values at the least depth at which any span has one, in order, without intermediate steps.
fn nearest<'a>(spans: &'a [Span], depths: &[usize], value: fn(&Span) -> Option<&Value>) -> Vec<&'a Value> {
    let candidates = || {
        let all = spans.iter().zip(depths).filter(|(span, _)| !STEPS.contains(&span.span_type.as_str()));
        all.filter_map(|(span, depth)| Some((value(span)?, *depth)))
    };
    let least = candidates().map(|(_, depth)| depth).min();
    candidates().filter(|(_, depth)| Some(*depth) == least).map(|(value, _)| value).collect()
}

fn text(attributes: &Map<String, Value>, key: &str) -> Option<String> {
    match attributes.get(key)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn add(labels: &mut BTreeMap<String, String>, facts: Map<String, Value>) {
    for (key, value) in facts {
        let text = match value {
            Value::Null => continue,
            Value::String(text) => text,
            other => other.to_string(),
        };
        labels.entry(key).or_insert(text);
    }
}

/// The tokens of all spans; one with its own count includes the spans below it, as in MLflow.
fn tokens_of(spans: &[Span]) -> Option<TokenUsage> {
    let usages: HashMap<&str, TokenUsage> =
        spans.iter().filter_map(|span| Some((span.span_id.as_str(), usage(&span.attributes)?))).collect();
    let parents: HashMap<&str, &str> =
        spans.iter().filter_map(|span| Some((span.span_id.as_str(), span.parent_id.as_deref()?))).collect();
    let is_counted = |id: &str| {
        let ancestors = std::iter::successors(parents.get(id), |id| parents.get(*id));
        // A circle of parents has an end here.
        !ancestors.take(spans.len()).any(|id| usages.contains_key(id))
    };
    let counted = usages.iter().filter(|(id, _)| is_counted(id)).map(|(_, usage)| *usage);
    counted.reduce(|sum, usage| TokenUsage {
        input_tokens: sum.input_tokens.saturating_add(usage.input_tokens),
        output_tokens: sum.output_tokens.saturating_add(usage.output_tokens),
        total_tokens: sum.total_tokens.saturating_add(usage.total_tokens),
    })
}

fn usage(attributes: &Map<String, Value>) -> Option<TokenUsage> {
    if let Some(usage) = USAGES.iter().find_map(|key| attributes.get(*key)) {
        return token_usage("usage", usage.clone()).ok();
    }
    TOKENS.iter().find_map(|keys| {
        let [input, output, total] = keys.map(|key| count(key, attributes.get(key)?.clone()).ok()?);
        input.or(output).or(total)?;
        let (input_tokens, output_tokens) = (input.unwrap_or_default(), output.unwrap_or_default());
        let total_tokens = total.unwrap_or_else(|| input_tokens.saturating_add(output_tokens));
        Some(TokenUsage { input_tokens, output_tokens, total_tokens })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::trace::SpanType;

    fn span(id: &str, parent: Option<&str>, kind: &str, start: u64) -> Span {
        Span {
            span_id: id.into(),
            parent_id: parent.map(Into::into),
            span_type: SpanType::new(kind),
            start_time_unix_nano: Some(start),
            ..Span::default()
        }
    }

    fn asked(mut span: Span, inputs: &str, outputs: &str) -> Span {
        (span.inputs, span.outputs) = (Some(json!(inputs)), Some(json!(outputs)));
        span
    }

    #[test]
    fn a_parent_stands_before_its_children_and_circles_do_no_harm() {
        let mut spans = vec![
            span("c", Some("b"), "LLM", 5),
            span("b", Some("a"), "LLM", 5),
            span("y", Some("x"), "LLM", 5),
            span("x", Some("y"), "LLM", 5),
            span("a", None, "CHAIN", 5),
            span("first", Some("a"), "LLM", 4),
        ];
        sort(&mut spans);
        let order: Vec<_> = spans.iter().map(|span| span.span_id.as_str()).collect();
        let at = |id| order.iter().position(|other| *other == id).unwrap();
        assert!(order[0] == "first" && at("a") < at("b") && at("b") < at("c"), "{order:?}");
        assert_eq!(order.len(), 6);
    }

    #[test]
    fn a_chain_as_long_as_the_trace_is_sorted_in_time() {
        let id = |n: u64| format!("{n:016x}");
        let mut spans: Vec<_> =
            (0..100_000).rev().map(|n| span(&id(n), (n > 0).then(|| id(n - 1)).as_deref(), "LLM", 5)).collect();
        sort(&mut spans);
        assert!(spans.iter().zip(0..).all(|(span, n)| span.span_id == id(n)));
    }

    #[test]
    fn a_root_that_recorded_nothing_has_what_its_steps_were_asked_and_answered() {
        let steps = || {
            vec![
                span("root", None, "UNKNOWN", 1),
                asked(span("search", Some("root"), "RETRIEVER", 2), "query", "documents"),
                asked(span("rewrite", Some("root"), "CHAT_MODEL", 3), "question", "better question"),
                asked(span("inner", Some("rewrite"), "CHAT_MODEL", 4), "deep", "deep"),
                asked(span("answer", Some("root"), "CHAT_MODEL", 5), "better question", "answer"),
            ]
        };
        let completed = |change: fn(&mut Span)| {
            let mut trace = Trace { spans: steps(), ..Trace::default() };
            change(&mut trace.spans[0]);
            complete(&mut trace);
            (trace.inputs, trace.outputs)
        };
        assert_eq!(completed(|_| {}), (Some(json!("question")), Some(json!("answer"))));
        assert_eq!(completed(|root| root.status = SpanStatus::Error), (Some(json!("question")), None));
        assert_eq!(completed(|root| root.inputs = Some(json!("own"))), (Some(json!("own")), None));
        let mut empty = Trace { spans: vec![span("root", None, "LLM", 1)], ..Trace::default() };
        complete(&mut empty);
        assert_eq!((empty.inputs, empty.outputs, empty.request_time_ms), (None, None, Some(0)));
    }

    #[test]
    fn tokens_of_a_span_include_those_below_it() {
        let with = |mut span: Span, attributes: Value| {
            span.attributes = attributes.as_object().unwrap().clone();
            span
        };
        let spans = [
            with(
                span("agent", None, "AGENT", 1),
                json!({"gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 2}),
            ),
            span("step", Some("agent"), "CHAIN", 1),
            with(span("a", Some("step"), "LLM", 2), json!({"llm.token_count.prompt": 10.0})),
            with(
                span("other", None, "LLM", 3),
                json!({"mlflow.chat.tokenUsage": {"input_tokens": 5, "output_tokens": 5}}),
            ),
            with(span("x", Some("x"), "LLM", 4), json!({"gen_ai.usage.input_tokens": "nonsense"})),
        ];
        let usage = tokens_of(&spans).unwrap();
        assert_eq!((usage.input_tokens, usage.output_tokens, usage.total_tokens), (15, 7, 22));
        assert_eq!(tokens_of(&spans[1..2]), None);
    }

    #[test]
    fn what_langfuse_says_of_a_trace_is_the_traces() {
        let mut root = span("root", None, "SPAN", 1);
        let mut step = asked(span("step", Some("root"), "LLM", 2), "step", "step");
        root.attributes =
            json!({"langfuse.trace.input": "{\"q\": 1}", "langfuse.trace.output": "a", "langfuse.trace.tags": ["t"],
            "langfuse.trace.metadata.build": 12})
            .as_object()
            .unwrap()
            .clone();
        step.attributes = json!({"langfuse.observation.usage_details": {"prompt_tokens": 31, "completion_tokens": 6}})
            .as_object()
            .unwrap()
            .clone();
        let mut trace = Trace { spans: vec![root, step], ..Trace::default() };
        complete(&mut trace);
        assert_eq!((trace.inputs, trace.outputs), (Some(json!({"q": 1})), Some(json!("a"))));
        assert_eq!((trace.tags["t"].as_str(), trace.metadata["build"].as_str()), ("true", "12"));
        assert_eq!(trace.token_usage.map(|usage| usage.total_tokens), Some(37));
    }

    #[test]
    fn session_user_metadata_and_tags_are_found_on_any_span() {
        let mut root = span("root", None, "CHAIN", 1);
        let attributes = json!({"user.id": 7, "session.id": "s", "metadata": "{\"tier\": \"gold\", \"none\": null}", "tag.tags": ["a"]});
        root.attributes = attributes.as_object().unwrap().clone();
        let mut trace = Trace { spans: vec![root], user: Some("known".into()), ..Trace::default() };
        complete(&mut trace);
        assert_eq!((trace.session_id.as_deref(), trace.user.as_deref()), (Some("s"), Some("known")));
        assert_eq!(
            (trace.metadata, trace.tags),
            ([("tier".to_owned(), "gold".to_owned())].into(), [("a".to_owned(), "true".to_owned())].into())
        );
    }
}
