use super::*;

#[test]
fn answers_are_read_as_servers_write_them() {
    let read = |text: &str| Answer::from_body(text.as_bytes());
    let answer = read(
        r#"
        {"choices":[{"index":0,"message":{"role":"assistant","content":"x","refusal":null},"finish_reason":"stop"}],
        "model":"m-1","usage":{"prompt_tokens":9,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":4}}}"#,
    )
    .unwrap();
    assert_eq!((answer.content.as_str(), answer.model.as_deref()), ("x", Some("m-1")));
    assert_eq!(answer.usage, Some(Usage { input_tokens: 9, cached_tokens: 4, output_tokens: 3, ..Usage::default() }));
    let answer = read(
        r#"{"choices":[{"message":{"content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},"finish_reason":""}],"usage":null}"#,
    );
    assert_eq!(answer.as_ref().map(|a| (a.content.as_str(), a.finish_reason.clone())).unwrap(), ("ab", None));
    let answer =
        read(r#"{"choices":[{"message":{"content":null,"reasoning":"hm"},"finish_reason":"length"}]}"#).unwrap();
    assert!(answer.content.is_empty() && answer.has_reasoning);
    let answer = read(r#"{"choices":[{"message":{"content":"","provider_specific_fields":{"refusal":"no"}}}]}"#);
    assert_eq!(answer.unwrap().refusal.as_deref(), Some("no"));
    assert!(matches!(read(r#"{"choices":[]}"#), Err(NoAnswer::NoChoices)));
    assert!(matches!(read(r#"{"error":{"message":"x"}}"#), Err(NoAnswer::Error)));
    assert!(matches!(read(r#"{"choices":[{"error":{"code":502}}]}"#), Err(NoAnswer::Error)));
    assert!(matches!(read("<html>"), Err(NoAnswer::NotCompletion(_))));
    assert!(matches!(read(r#"{"choices":{}}"#), Err(NoAnswer::NotCompletion(_))));
    assert!(matches!(read("[]"), Err(NoAnswer::NotCompletion(_))));
}

#[test]
fn a_simulated_answer_is_recognised_by_its_fingerprint() {
    let read = |fingerprint: &str| {
        let body = format!(r#"{{"choices":[{{"message":{{}}}}],"system_fingerprint":{fingerprint}}}"#);
        Answer::from_body(body.as_bytes()).unwrap().is_simulated
    };
    assert!(read(r#""judge-run-simulator""#));
    assert!(!read(r#""fp_44709d6fcb""#) && !read("null"));
}

#[test]
fn only_the_message_can_fail_an_answer() {
    let read = |choice: &str, rest: &str| {
        Answer::from_body(format!(r#"{{"choices":[{{{choice}"message":{{"content":"x"}}}},7]{rest}}}"#).as_bytes())
    };
    let answer = read(
        r#""finish_reason":7,"#,
        r#","model":7,"system_fingerprint":[1],"usage":{"prompt_tokens":50.0,"completion_tokens":"3","prompt_tokens_details":"none","prompt_cache_hit_tokens":"20"}"#,
    )
    .unwrap();
    assert_eq!((answer.content.as_str(), answer.model.as_deref()), ("x", Some("7")));
    assert_eq!((answer.finish_reason.as_deref(), answer.system_fingerprint), (Some("7"), None));
    assert_eq!(answer.usage, Some(Usage { input_tokens: 50, cached_tokens: 20, output_tokens: 3, ..Usage::default() }));
    let answer = read(r#""finish_reason":{"a":1},"#, r#","model":{},"usage":"free""#).unwrap();
    assert_eq!((answer.usage, answer.model, answer.finish_reason), (None, None, None));
    let half_an_emoji = r#""finish_reason":1e999,"reasoning":"\ud83d","#;
    assert_eq!(read(half_an_emoji, r#","model":"\ud83d""#).unwrap().content, "x");
    for message in ["7", r#""text""#] {
        let body = format!(r#"{{"choices":[{{"message":{message}}}]}}"#);
        assert!(matches!(Answer::from_body(body.as_bytes()), Err(NoAnswer::NotCompletion(_))), "{message}");
    }
}

#[test]
fn the_text_is_found_where_gateways_put_it() {
    let content = |message: &str, finish: &str| {
        let body = format!(r#"{{"choices":[{{"message":{message},"finish_reason":"{finish}"}}]}}"#);
        let answer = Answer::from_body(body.as_bytes()).unwrap();
        (answer.content, answer.has_reasoning)
    };
    let verdict = r#"{"value":true}"#;
    let quoted = serde_json::to_string(verdict).unwrap();
    let found = |reasoning| (verdict.to_owned(), reasoning);
    let call =
        format!(r#"[{{"index":1,"id":"toolu_1","type":"function","function":{{"name":"f","arguments":{quoted}}}}}]"#);
    for message in [
        format!(r#"{{"content":null,"tool_calls":{call}}}"#),
        format!(r#"{{"content":" ","tool_calls":[{{"function":{{"arguments":{verdict}}}}}]}}"#),
        format!(r#"{{"function_call":{{"name":"f","arguments":{quoted}}}}}"#),
    ] {
        assert_eq!(content(&message, "tool_calls"), found(false), "{message}");
    }
    let twice = r#"[{"function":{"arguments":{"value":true}}},{"function":{"arguments":{"value":false}}}]"#;
    assert_eq!(
        content(&format!(r#"{{"tool_calls":{twice}}}"#), "stop").0,
        "{\"value\":true}\n{\"value\":false}",
        "no call is the answer at the cost of another"
    );
    let parts = format!(r#"[{{"type":"reasoning","text":"{{\"value\":false}}"}},{{"type":"text","text":{quoted}}}]"#);
    assert_eq!(content(&format!(r#"{{"content":{parts}}}"#), "stop"), found(false));
    // Calls of other functions next to a text are not the answer, and neither is reasoning that is not an object or was cut off.
    assert_eq!(content(&format!(r#"{{"content":"x","tool_calls":{call}}}"#), "stop").0, "x");
    assert_eq!(content(&format!(r#"{{"content":"","reasoning_content":{quoted}}}"#), "stop"), found(true));
    assert_eq!(content(&format!(r#"{{"content":"","reasoning":{quoted}}}"#), "length"), (String::new(), true));
    assert_eq!(content(r#"{"content":"","reasoning":"Hm, {\"value\":true}"}"#, "stop"), (String::new(), true));
    assert_eq!(content(r#"{"content":"","reasoning":"4"}"#, "stop"), (String::new(), true));
    for odd in ["[]", "[{}]", "7", r#"[{"function":{"arguments":""}}]"#, r#"{"function":7}"#] {
        assert_eq!(content(&format!(r#"{{"content":"","tool_calls":{odd}}}"#), "stop").0, "", "{odd}");
    }
}

#[test]
fn an_answer_that_was_withheld_says_why() {
    let withheld = |message: &str, finish: &str| {
        let body = format!(r#"{{"choices":[{{"message":{message},"finish_reason":{finish}}}]}}"#);
        let failure = Answer::from_body(body.as_bytes()).unwrap().withheld();
        failure.map(|failure| (failure.code, failure.message))
    };
    let said = |code, words: &str, answer: Option<(ErrorCode, String)>| {
        let (found, message) = answer.unwrap();
        assert!(found == code && message.contains(words), "{found}: {message}");
    };
    said(
        ErrorCode::ContentFiltered,
        "content_filter: PROHIBITED_CONTENT",
        withheld(r#"{"role":"assistant"}"#, r#""content_filter: PROHIBITED_CONTENT""#),
    );
    said(ErrorCode::ContentFiltered, "`SAFETY`", withheld(r#"{"content":""}"#, r#""SAFETY""#));
    said(
        ErrorCode::ContentFiltered,
        "`RECITATION`",
        withheld(r#"{"content":"{"}"#, r#""stop","native_finish_reason":"RECITATION""#),
    );
    said(ErrorCode::Refused, "I can't", withheld(r#"{"refusal":"I can't"}"#, r#""stop""#));
    said(ErrorCode::Refused, "I won't", withheld(r#"{"content":" I won't "}"#, r#""refusal""#));
    said(ErrorCode::Refused, "`refusal`", withheld(r#"{"content":null}"#, r#""refusal""#));
    said(ErrorCode::ServerError, "`error`", withheld(r#"{"content":null}"#, r#""error""#));
    for (message, finish) in [
        (r#"{"content":"x"}"#, r#""error""#),
        (r#"{"content":"x"}"#, r#""stop","native_finish_reason":"MAX_TOKENS""#),
        (r#"{"content":""}"#, r#""length""#),
        (r#"{"content":"","refusal":" "}"#, "null"),
    ] {
        assert_eq!(withheld(message, finish), None, "{message} {finish}");
    }
}

#[test]
fn an_answer_without_text_says_what_there_is_instead() {
    let without = |content: &str, has_reasoning, finish: &str| {
        let answer =
            Answer { content: content.into(), has_reasoning, finish_reason: Some(finish.into()), ..Answer::default() };
        answer.without_text().map(|failure| (failure.code, failure.message.contains("reasoning")))
    };
    assert_eq!(without("x", false, "stop"), None);
    assert_eq!(without(" \n", false, "stop"), Some((ErrorCode::EmptyResponse, false)));
    assert_eq!(without("", true, "stop"), Some((ErrorCode::EmptyResponse, true)));
    assert_eq!(without("", true, "length"), Some((ErrorCode::TruncatedResponse, true)));
    assert_eq!(without("", false, "max_tokens"), Some((ErrorCode::TruncatedResponse, false)));
}
