use serde_json::{Value, json};

use super::*;

#[test]
fn every_spelling_of_a_conversation_becomes_one() {
    let openai = json!([
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": "c", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Paris\"}"}}]},
        {"role": "tool", "content": "sunny", "tool_call_id": "c"},
        {"role": "assistant", "content": "Sunny."},
    ]);
    let gen_ai = json!([
        {"role": "user", "parts": [{"type": "text", "content": "Weather?"}]},
        {"role": "assistant", "parts": [{"type": "tool_call", "id": "c", "name": "weather", "arguments": {"city": "Paris"}}],
         "finish_reason": "tool_call"},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c", "response": "sunny"}]},
        {"role": "assistant", "parts": [{"type": "text", "content": "Sunny."}]},
    ]);
    let openllmetry = json!([
        {"role": "user", "content": "[{\"type\": \"text\", \"text\": \"Weather?\"}]"},
        {"role": "assistant", "tool_calls": [{"id": "c", "name": "weather", "arguments": "{\"city\":\"Paris\"}"}]},
        {"role": "tool", "content": "sunny", "tool_call_id": "c"},
        {"role": "assistant", "content": "Sunny.", "finish_reason": "stop"},
    ]);
    let ai_sdk = json!([
        {"role": "user", "content": [{"type": "text", "text": "Weather?"}]},
        {"role": "assistant", "content": [{"type": "tool-call", "toolCallId": "c", "toolName": "weather",
            "input": {"city": "Paris"}}]},
        {"role": "tool", "content": [{"type": "tool-result", "toolCallId": "c", "toolName": "weather",
            "output": {"type": "text", "value": "sunny"}}]},
        {"role": "assistant", "content": [{"type": "text", "text": "Sunny."}]},
    ]);
    let anthropic = json!([
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "weather", "input": {"city": "Paris"}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "sunny"}]},
        {"role": "ai", "content": "Sunny."},
    ]);
    let wanted = Value::Array(read(openai.clone(), "user"));
    assert_eq!(wanted, openai);
    for other in [gen_ai, openllmetry, ai_sdk, anthropic] {
        assert_eq!(Value::Array(read(other, "user")), wanted);
    }
}

#[test]
fn pictures_thoughts_and_unknown_parts_are_kept() {
    let url = "data:image/png;base64,iVBO";
    let wanted = json!([{"role": "user", "content": [{"type": "text", "text": "What?"},
        {"type": "image_url", "image_url": {"url": url}}]}]);
    for parts in [
        json!([{"message_content": {"type": "text", "text": "What?"}},
               {"message_content": {"type": "image", "image": {"image": {"url": url}}}}]),
        json!([{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": url}}]),
        json!([{"type": "text", "content": "What?"},
               {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "iVBO"}]),
        json!([{"type": "text", "content": "What?"}, {"type": "uri", "modality": "image", "uri": url}]),
        json!([{"type": "text", "content": "What?"}, {"type": "blob", "modality": "image", "mime_type": null, "content": url}]),
        json!([{"type": "text", "text": "What?"}, {"type": "file", "mediaType": "image/png", "data": "iVBO"}]),
        json!([{"type": "text", "text": "What?"}, {"type": "file", "data": url}]),
        json!([{"type": "text", "text": "What?"}, {"type": "image", "image": url}]),
        json!([{"type": "text", "text": "What?"}, {"type": "image", "image": "iVBO", "mediaType": "image/png"}]),
    ] {
        assert_eq!(Value::Array(read(json!({"role": "user", "contents": parts}), "user")), wanted);
    }
    let guessed = read(json!([{"type": "blob", "modality": "image", "content": "/9j/4AAQ"}]), "user");
    assert_eq!(guessed[0]["content"][0]["image_url"]["url"], "data:image/jpeg;base64,/9j/4AAQ");
    let file = json!({"type": "file", "mediaType": "application/pdf", "data": "JVBE"});
    assert_eq!(read(json!([file]), "user")[0]["content"], json!([file]));
    let thoughtful = json!({"role": "assistant", "parts": [{"type": "reasoning", "content": "Hm."},
        {"type": "text", "content": "4"}, {"type": "citation", "of": "x"}]});
    assert_eq!(
        read(thoughtful, "assistant"),
        [json!({"role": "assistant", "content": [{"type": "text", "text": "4"}, {"type": "citation", "of": "x"}],
            "reasoning_content": "Hm."})]
    );
}

#[test]
fn a_text_that_is_said_twice_is_read_once() {
    let said = json!([{"role": "assistant", "content": "Nine metres."}]);
    for message in [
        json!({"role": "assistant", "content": "Nine metres.", "contents": [{"type": "text", "text": "Nine metres."}]}),
        json!({"role": "assistant", "contents": [{"type": "text", "text": "Nine metres."}], "content": "Nine metres."}),
        json!({"role": "assistant", "contents": [{"message_content": {"type": "text", "text": "Nine metres."}}],
            "content": "Nine metres."}),
    ] {
        assert_eq!(Value::Array(read(message, "assistant")), said);
    }
    let parts = json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]);
    let twice = read(json!({"role": "assistant", "content": "ab", "contents": parts}), "assistant");
    assert_eq!(twice, [json!({"role": "assistant", "content": parts})]);
    let both = read(json!({"role": "user", "content": "c", "contents": [{"type": "text", "text": "a"}]}), "user");
    assert_eq!(both[0]["content"].as_array().unwrap().len(), 2, "what differs is kept");
}

#[test]
fn messages_of_langchain_are_read_in_every_form() {
    let wanted = json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "How old?"},
        {"role": "assistant", "content": "About 300 years."}]);
    let constructor = |class: &str, content: &str| {
        json!({"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", class],
            "kwargs": {"content": content, "type": "x", "additional_kwargs": {}, "tool_calls": []}})
    };
    for messages in [
        json!([[
            constructor("SystemMessage", "Be brief."),
            constructor("HumanMessage", "How old?"),
            constructor("AIMessageChunk", "About 300 years.")
        ]]),
        json!({"messages": [{"type": "system", "content": "Be brief."},
            {"type": "human", "content": "How old?", "additional_kwargs": {}, "id": null, "example": false},
            {"type": "ai", "content": "About 300 years.", "response_metadata": {"model": "m"}}]}),
        json!([{"type": "system", "data": {"content": "Be brief."}}, {"type": "human", "data": {"content": "How old?"}},
            {"type": "ai", "data": {"content": "About 300 years.", "tool_calls": []}}]),
        json!([["system", "Be brief."], ["human", "How old?"], ["ai", "About 300 years."]]),
    ] {
        assert!(is_said(&messages));
        assert_eq!(Value::Array(read(messages, "user")), wanted);
    }
    let call = json!({"type": "ai", "content": "", "tool_calls": [{"name": "f", "args": {"a": 1}, "id": "c", "type": "tool_call"}]});
    let function = json!({"name": "f", "arguments": "{\"a\":1}"});
    assert_eq!(read(call, "user")[0]["tool_calls"], json!([{"id": "c", "type": "function", "function": function}]));
    for result in [
        json!({"generations": [[{"text": "Old.", "type": "ChatGeneration", "message": constructor("AIMessage", "Old.")}]],
            "llm_output": null}),
        json!({"generations": [[{"text": "Old.", "generation_info": null, "type": "Generation"}]]}),
        json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": "Old."}}]}),
    ] {
        assert!(is_said(&result));
        assert_eq!(answer(read(result, "assistant")), Some(json!("Old.")));
    }
}

#[test]
fn what_is_no_message_is_told_apart() {
    for value in
        [json!({"question": "q"}), json!({"role": "admin", "name": "n"}), json!([{"a": 1}]), json!({"text": "t"})]
    {
        assert!(!is_said(&value) && !is_message(&value), "{value}");
    }
    assert!(is_said(&json!([{"type": "text", "text": "Hi"}])));
    assert!(is_said(&json!("text")) && !is_message(&json!("text")));
    assert!(!is_dialogue(&json!([])) && !is_dialogue(&json!([{"role": "user", "content": "a"}, 7])));
    assert!(!is_of_langchain(&json!([{"role": "user", "content": "a"}])) && !is_of_langchain(&json!([])));
    assert!(
        is_content(&json!([{"type": "text", "text": "a"}])) && !is_content(&json!([{"type": "human", "content": "a"}]))
    );
}

#[test]
fn an_answer_of_text_is_the_text() {
    let answer = |value| answer(read(value, "assistant"));
    assert_eq!(answer(json!("Paris")), Some(json!("Paris")));
    assert_eq!(answer(json!([{"role": "assistant", "content": "Paris"}])), Some(json!("Paris")));
    assert_eq!(answer(json!([{"type": "text", "content": "Paris"}])), Some(json!("Paris")));
    assert_eq!(answer(json!(["a", "b"])).unwrap().as_array().unwrap().len(), 2);
    assert_eq!(answer(json!({"role": "user", "content": "x"})), Some(json!({"role": "user", "content": "x"})));
    assert_eq!((answer(json!([])), answer(json!(null))), (None, None));
    assert_eq!(answer(json!(42)), Some(json!("42")));
    assert_eq!(answer(json!([{"text": "Paris"}])), Some(json!("Paris")), "as Strands writes it");
    assert_eq!(answer(json!("[{\"text\": \"Paris\"}]")), Some(json!("Paris")));
}
