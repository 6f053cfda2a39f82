//! The tools of an application: those offered to its model, the calls, and their results.

use serde::Serialize;
use serde_json::Value as Json;

use super::calls::{Call, decoded, of_messages};
use super::said;
use crate::trace::{Span, SpanStatus, Trace};

/// The type of spans that are calls of tools.
const TOOL: &str = "TOOL";
/// MLflow's attribute for what was offered to a model.
const OFFERED: &str = "mlflow.chat.tools";

/// The calls of a trace, in order: its spans of type TOOL, or else those in its messages. Empty where none was recorded.
pub(super) fn calls(trace: &Trace) -> Vec<Call> {
    let spans: Vec<Call> = trace.spans.iter().filter(|span| span.span_type.as_str() == TOOL).map(of_span).collect();
    if spans.is_empty() { of_messages(&said::all_messages(trace)) } else { spans }
}

fn of_span(span: &Span) -> Call {
    let status = match (span.status, &span.outputs) {
        (SpanStatus::Error, _) => "error",
        (SpanStatus::Ok, _) | (SpanStatus::Unset, Some(_)) => "ok",
        (SpanStatus::Unset, None) => "unknown",
    };
    let message = || span.status_message.as_deref().filter(|message| !message.is_empty()).map(Json::from);
    let result = match status {
        "error" => message().or_else(|| span.outputs.clone()),
        _ => span.outputs.clone(),
    };
    Call { name: span.name.clone(), arguments: span.inputs.clone(), status, result, id: None }
}

/// A tool that a model was offered.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Tool {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<Json>,
}

/// What was offered: in the inputs, or to the first call of a model that was offered anything. `None` where that was not recorded.
pub(super) fn offered(trace: &Trace) -> Option<Vec<Tool>> {
    let of_inputs = |inputs: &Option<Json>| inputs.as_ref()?.get("tools").and_then(listed);
    let of_span = |span: &Span| of_inputs(&span.inputs).or_else(|| listed(span.attributes.get(OFFERED)?));
    of_inputs(&trace.inputs).or_else(|| trace.spans.iter().find_map(of_span))
}

fn listed(tools: &Json) -> Option<Vec<Tool>> {
    let decoded = decoded(tools);
    let found: Vec<Tool> = decoded.as_array()?.iter().filter_map(tool).collect();
    (!found.is_empty()).then_some(found)
}

fn tool(tool: &Json) -> Option<Tool> {
    let function = tool.get("function").unwrap_or(tool);
    let parameters = ["parameters", "input_schema", "inputSchema"].iter().find_map(|key| function.get(key));
    Some(Tool {
        name: function.get("name")?.as_str()?.to_owned(),
        description: function.get("description").filter(|text| text.is_string()).cloned(),
        parameters: parameters.cloned(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::trace::SpanType;

    fn shown(trace: &Trace) -> Json {
        serde_json::to_value(calls(trace)).unwrap()
    }

    #[test]
    fn spans_of_tools_are_calls_with_their_errors() {
        let span = |name: &str, status, outputs, message: Option<&str>| Span {
            name: name.into(),
            span_type: SpanType::new("tool"),
            inputs: Some(json!({"city": name})),
            outputs,
            status,
            status_message: message.map(Into::into),
            ..Span::default()
        };
        let spans = vec![
            span("a", SpanStatus::Ok, Some(json!({"temp": 9})), None),
            span("b", SpanStatus::Error, None, Some("timed out")),
            Span { span_type: SpanType::new("LLM"), ..Span::default() },
            span("c", SpanStatus::Unset, None, None),
        ];
        let expected = json!([
            {"name": "a", "arguments": {"city": "a"}, "status": "ok", "result": {"temp": 9}},
            {"name": "b", "arguments": {"city": "b"}, "status": "error", "result": "timed out"},
            {"name": "c", "arguments": {"city": "c"}, "status": "unknown"},
        ]);
        assert_eq!(shown(&Trace { spans, ..Trace::default() }), expected);
    }

    #[test]
    fn calls_in_messages_are_found_in_every_form_with_their_results() {
        let openai = json!({"messages": [
            {"role": "user", "content": "Weather?"},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "w", "arguments": "{\"city\": \"Oslo\"}"}}]},
            {"role": "tool", "tool_call_id": "1", "content": "9 degrees"}]});
        let anthropic = json!({"messages": [
            {"role": "user", "content": "Weather?"},
            {"role": "assistant", "content": [{"type": "text", "text": "Hm."}, {"type": "tool_use", "id": "1", "name": "w", "input": {"city": "Oslo"}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": [{"type": "text", "text": "9 degrees"}]}]}]});
        let langchain = json!({"messages": [
            {"type": "human", "content": "Weather?"},
            {"type": "ai", "content": "", "tool_calls": [{"id": "1", "name": "w", "args": {"city": "Oslo"}}]},
            {"type": "tool", "tool_call_id": "1", "content": "9 degrees", "status": "success"}]});
        let responses = json!({"input": [
            {"role": "user", "content": "Weather?"},
            {"type": "function_call", "call_id": "1", "name": "w", "arguments": "{\"city\": \"Oslo\"}"},
            {"type": "function_call_output", "call_id": "1", "output": "9 degrees"}]});
        for inputs in [openai, anthropic, langchain, responses] {
            let trace = Trace { inputs: Some(inputs.clone()), ..Trace::default() };
            let expected = json!([{"name": "w", "arguments": {"city": "Oslo"}, "status": "ok", "result": "9 degrees"}]);
            assert_eq!(shown(&trace), expected, "{inputs}");
        }
        let last = json!({"choices": [{"message": {"role": "assistant", "content": null, "tool_calls": [
            {"id": "2", "function": {"name": "w", "arguments": "{}"}}]}}], "model": "m"});
        let trace = Trace { inputs: Some(json!({"messages": []})), outputs: Some(last), ..Trace::default() };
        assert_eq!(shown(&trace), json!([{"name": "w", "arguments": {}, "status": "unknown"}]));
        assert_eq!(shown(&Trace::default()), json!([]));
    }

    #[test]
    fn offered_tools_are_found_in_requests_and_attributes() {
        let function = json!({"name": "w", "description": "Weather", "parameters": {"type": "object"}});
        let wrapped = json!([{"type": "function", "function": function}]);
        let anthropic = json!([{"name": "w", "description": "Weather", "input_schema": {"type": "object"}}]);
        let of = |trace: &Trace| serde_json::to_value(offered(trace)).unwrap();
        for tools in [wrapped.clone(), anthropic] {
            let trace = Trace { inputs: Some(json!({"messages": [], "tools": tools})), ..Trace::default() };
            assert_eq!(of(&trace), json!([function]));
        }
        for attribute in [wrapped.clone(), json!(wrapped.to_string())] {
            let attributes = [(OFFERED.to_owned(), attribute)].into_iter().collect();
            let trace = Trace { spans: vec![Span { attributes, ..Span::default() }], ..Trace::default() };
            assert_eq!(of(&trace), json!([function]));
        }
        assert_eq!(of(&Trace::default()), json!(null));
    }
}
