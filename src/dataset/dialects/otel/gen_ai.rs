//! OpenTelemetry's semantic conventions for generative AI, with content in attributes: `gen_ai.input.messages` and the
//! like, and the older `gen_ai.prompt.0.role` of OpenLLMetry.
//!
//! Source: <https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/>.

use serde_json::{Map, Value, json};

use crate::dataset::dialects::messages;
use crate::dataset::dialects::otel::recorded::Recorded;

pub(crate) fn read(recorded: &mut Recorded) {
    let attributes = &mut recorded.attributes;
    if !["gen_ai.", "llm."].iter().any(|prefix| attributes.has_prefix(prefix)) {
        return;
    }
    let kind = attributes.get_text("gen_ai.operation.name").or_else(|| attributes.get_text("llm.request.type"));
    if let Some(kind) = kind.map(span_type) {
        recorded.note_type(&kind);
    }
    read_content(recorded);
    let attributes = &mut recorded.attributes;
    let prompt = ["gen_ai.prompt", "llm.prompts"].iter().find_map(|key| attributes.take_value(key));
    let completion = ["gen_ai.completion", "llm.completions"].iter().find_map(|key| attributes.take_value(key));
    let arguments = attributes.take_value("gen_ai.tool.call.arguments");
    let result = attributes.take_value("gen_ai.tool.call.result");
    let query = attributes.take("gen_ai.retrieval.query.text");
    let found = attributes.take_value("gen_ai.retrieval.documents");
    match prompt {
        // LangSmith puts the inputs of every step there.
        Some(inputs) if !messages::is_said(&inputs) => recorded.note_inputs(Some(inputs)),
        prompt => recorded.note_messages(prompt.map(|prompt| messages::read(prompt, "user")).unwrap_or_default()),
    }
    match completion {
        Some(outputs) if !messages::is_said(&outputs) => recorded.note_outputs(Some(outputs)),
        completion => {
            let said = completion.map(|completion| messages::read(completion, "assistant"));
            recorded.note_answer(said.unwrap_or_default());
        }
    }
    recorded.note_inputs(arguments);
    recorded.note_outputs(result);
    recorded.note_inputs(query.map(|query| json!({ "query": query })));
    recorded.note_outputs(found.map(documents));
}

/// Reads what the newest conventions call the content, wherever it is: on the span or on one of its events.
pub(crate) fn read_content(recorded: &mut Recorded) {
    let attributes = &mut recorded.attributes;
    if recorded.span.inputs.is_none() {
        let instructions = attributes.take_value("gen_ai.system_instructions");
        let input = attributes.take_value("gen_ai.input.messages");
        let mut asked = instructions.map(|parts| messages::read(parts, "system")).unwrap_or_default();
        asked.extend(input.map(|input| messages::read(input, "user")).unwrap_or_default());
        recorded.note_messages(asked);
    }
    if recorded.span.outputs.is_none() {
        let output = recorded.attributes.take_value("gen_ai.output.messages");
        recorded.note_answer(output.map(|output| messages::read(output, "assistant")).unwrap_or_default());
    }
}

/// MLflow's name for an operation; an unknown one keeps its own.
fn span_type(operation: &str) -> String {
    let name = match operation {
        "chat" | "generate_content" => "CHAT_MODEL",
        "text_completion" | "completion" => "LLM",
        "embeddings" | "embedding" => "EMBEDDING",
        "retrieval" | "retrieve" | "vector_db_retrieve" | "vector_search" | "search" => "RETRIEVER",
        "create_agent" | "invoke_agent" => "AGENT",
        "execute_tool" => "TOOL",
        "invoke_workflow" => "WORKFLOW",
        "rerank" => "RERANKER",
        other => return other.to_ascii_uppercase(),
    };
    name.to_owned()
}

/// `[{"id": "...", "score": 0.9, "content": "..."}]` with MLflow's key for the text.
fn documents(documents: Value) -> Value {
    let document = |value| match value {
        Value::Object(mut fields) => {
            let mut document = Map::new();
            let text = fields.shift_remove("content").or_else(|| fields.shift_remove("text"));
            document.extend(text.map(|text| ("page_content".to_owned(), text)));
            document.extend(fields);
            Value::Object(document)
        }
        other => other,
    };
    match documents {
        Value::Array(items) => items.into_iter().map(document).collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Span;

    fn read_span(attributes: &Value) -> Span {
        Recorded::with(attributes).read_by(read)
    }

    #[test]
    fn operations_have_mlflows_names() {
        for (operation, wanted) in [
            ("chat", "CHAT_MODEL"),
            ("embeddings", "EMBEDDING"),
            ("invoke_agent", "AGENT"),
            ("execute_tool", "TOOL"),
            ("retrieval", "RETRIEVER"),
            ("vector_db_retrieve", "RETRIEVER"),
            ("CHAIN", "CHAIN"),
            ("plan", "PLAN"),
        ] {
            let span = read_span(&json!({"gen_ai.operation.name": operation}));
            assert_eq!(span.span_type.as_str(), wanted);
        }
    }

    #[test]
    fn a_retrieval_has_a_query_and_documents() {
        let span = read_span(&json!({"gen_ai.operation.name": "retrieval", "gen_ai.retrieval.query.text": "q",
            "gen_ai.retrieval.documents": "[{\"id\": \"a\", \"score\": 0.5, \"content\": \"Text.\"}]"}));
        assert_eq!(span.inputs, Some(json!({"query": "q"})));
        assert_eq!(span.outputs, Some(json!([{"page_content": "Text.", "id": "a", "score": 0.5}])));
    }

    #[test]
    fn a_prompt_that_is_a_text_is_the_users_message() {
        let span = read_span(&json!({"gen_ai.prompt": "Hi", "gen_ai.completion": "Hello.", "gen_ai.system": "x"}));
        assert_eq!(span.inputs, Some(json!({"messages": [{"role": "user", "content": "Hi"}]})));
        assert_eq!(span.outputs, Some(json!("Hello.")));
        assert_eq!(Value::Object(span.attributes), json!({"gen_ai.system": "x"}));
    }

    #[test]
    fn inputs_that_are_no_messages_stay_as_they_are() {
        let span = read_span(
            &json!({"gen_ai.prompt": "{\"question\": \"q\"}", "gen_ai.completion": "{\"answer\": \"a\", \"n\": 1}"}),
        );
        assert_eq!((span.inputs, span.outputs), (Some(json!({"question": "q"})), Some(json!({"answer": "a", "n": 1}))));
    }
}
