use super::*;

fn read(text: &str) -> ErrorBody {
    ErrorBody::read(text.as_bytes(), SystemTime::UNIX_EPOCH)
}

/// `[code, type or status, message]`, a missing one as `-`.
fn summary(text: &str) -> [String; 3] {
    let body = read(text);
    [body.code, body.kind.or(body.status), body.message].map(|field| field.unwrap_or_else(|| "-".to_owned()))
}

#[test]
fn every_shape_gives_its_code_its_type_and_its_message() {
    for (text, expected) in [
        // A: OpenAI, Groq
        (
            r#"{"error":{"message":"slow","type":"requests","param":null,"code":"rate_limit_exceeded"}}"#,
            ["rate_limit_exceeded", "requests", "slow"],
        ),
        // A': llama.cpp
        (
            r#"{"error":{"code":400,"message":"long","type":"exceed_context_size_error","n_prompt_tokens":5004,"n_ctx":1024}}"#,
            ["400", "exceed_context_size_error", "long"],
        ),
        // A": LiteLLM
        (
            r#"{"error":{"message":"litellm.RateLimitError: x","type":"throttling_error","param":null,"code":"429"}}"#,
            ["429", "throttling_error", "litellm.RateLimitError: x"],
        ),
        // B: Mistral
        (
            r#"{"object":"error","message":"Rate limit exceeded","type":"rate_limited","param":null,"code":"1300","raw_status_code":429}"#,
            ["1300", "rate_limited", "Rate limit exceeded"],
        ),
        // B': SGLang
        (
            r#"{"object":"error","message":"no","type":"BadRequestError","param":null,"code":400}"#,
            ["400", "BadRequestError", "no"],
        ),
        // C: LM Studio, Ollama; TGI; Spring
        (r#"{"error":"'response_format.type' must be 'text'"}"#, ["-", "-", "'response_format.type' must be 'text'"]),
        (r#"{"error":"Model is overloaded","error_type":"overloaded"}"#, ["-", "overloaded", "Model is overloaded"]),
        (r#"{"status":404,"error":"Not Found","message":"No route"}"#, ["-", "404", "Not Found: No route"]),
        // D: FastAPI
        (r#"{"detail":"Invalid API key"}"#, ["-", "-", "Invalid API key"]),
        (
            r#"{"detail":[{"type":"missing","loc":["body","messages"],"msg":"Field required","input":{}},{"msg":"and more"}]}"#,
            ["-", "missing", "body.messages: Field required; and more"],
        ),
        (r#"{"detail":{"code":"x","message":"y"}}"#, ["x", "-", "y"]),
        // E: Anthropic
        (
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"}"#,
            ["-", "overloaded_error", "Overloaded"],
        ),
        // F: Gemini
        (
            r#"[{"error":{"code":429,"message":"Quota","status":"RESOURCE_EXHAUSTED","details":[]}}]"#,
            ["429", "RESOURCE_EXHAUSTED", "Quota"],
        ),
        // F': JSON inside the message
        (
            r#"{"error":{"message":"{\n \"error\": {\"code\":429, \"message\":\"Quota\", \"status\":\"RESOURCE_EXHAUSTED\"}}","code":400,"status":"Too Many Requests"}}"#,
            ["429", "RESOURCE_EXHAUSTED", "Quota"],
        ),
        // G: OpenRouter
        (
            r#"{"error":{"message":"Provider returned error","code":400,"metadata":{"raw":"{\"error\":{\"message\":\"bad\",\"type\":\"t\",\"code\":null}}","provider_name":"OpenAI"}},"user_id":"u"}"#,
            ["400", "t", "bad"],
        ),
        (
            r#"{"error":{"message":"Provider returned error","code":502,"metadata":{"raw":"error code: 502"}}}"#,
            ["502", "-", "Provider returned error: error code: 502"],
        ),
        (
            r#"{"error":{"message":"Provider returned error","code":502,"metadata":{"raw":{"detail":"no"}}}}"#,
            ["502", "-", "no"],
        ),
        // H: gateways
        (r#"{"message":"Requests rate limit exceeded"}"#, ["-", "-", "Requests rate limit exceeded"]),
        (r#"{"success":false,"errors":[{"code":7003,"message":"no route"}]}"#, ["7003", "-", "no route"]),
        // I: proxies
        (
            "<html>\r\n<head><TITLE>502 Bad Gateway</TITLE></head>\r\n<body>nginx/1.22.1</body></html>",
            ["-", "-", "502 Bad Gateway"],
        ),
        ("<html><body>no title</body></html>", ["-", "-", "<html><body>no title</body></html>"]),
        ("Internal Server Error", ["-", "-", "Internal Server Error"]),
        ("", ["-", "-", "-"]),
        (r#""Unauthorized""#, ["-", "-", "Unauthorized"]),
        ("null", ["-", "-", "-"]),
        ("[]", ["-", "-", "-"]),
        // J: inside a 200
        (r#"{"choices":[{"finish_reason":"error","error":{"code":502,"message":"died"}}]}"#, ["502", "-", "died"]),
        // Around JSON
        ("\u{feff}\n\n {\"error\":{\"message\":\"after a BOM\"}} \n", ["-", "-", "after a BOM"]),
        (r#"{"error":{"message":"  ","code":"","type":null}}"#, ["-", "-", "-"]),
    ] {
        assert_eq!(summary(text), expected, "{text}");
    }
}

#[test]
fn the_innermost_message_wins_and_the_gateways_is_kept() {
    let body = read(
        r#"{"error":{"message":"OpenAIException - {\"error\":{\"message\":\"Too long\",\"code\":\"context_length_exceeded\"}} (1)","code":"500"}}"#,
    );
    assert_eq!(body.message.as_deref(), Some("Too long"));
    assert_eq!(body.code.as_deref(), Some("context_length_exceeded"));
    assert!(body.wrapper.is_some_and(|wrapper| wrapper.starts_with("OpenAIException")));
}

#[test]
fn json_in_a_message_that_is_no_error_is_left_alone() {
    let body = read(r#"{"error":{"message":"bad arguments: {\"a\": 1} {{ { ","code":1}}"#);
    assert_eq!(body.message.as_deref(), Some("bad arguments: {\"a\": 1} {{ {"));
    assert_eq!(body.wrapper, None);
}

#[test]
fn an_error_is_found_behind_several_gateways_and_in_the_place_of_the_message() {
    let inner = r#"{"error":{"message":"`temperature` is deprecated","code":"x"}}"#;
    let middle = serde_json::json!({"error": {"message": format!("Upstream - {inner}")}}).to_string();
    let outer = serde_json::json!({"error": {"message": "Provider returned error", "metadata": {"raw": middle}}});
    let body = read(&outer.to_string());
    assert_eq!(body.message.as_deref(), Some("`temperature` is deprecated"));
    assert_eq!((body.code.as_deref(), body.wrapper.as_deref()), (Some("x"), Some("Provider returned error")));

    let body = read(
        r#"{"object":"error","message":{"detail":[{"type":"extra_forbidden","loc":["body","seed"],"msg":"Extra inputs are not permitted"}]}}"#,
    );
    assert_eq!(body.message.as_deref(), Some("body.seed: Extra inputs are not permitted"));
    assert_eq!(body.param.as_deref(), Some("seed"));
    let role = read(r#"{"detail":[{"loc":["body","messages",0,"role"],"msg":"Input should be 'user'"}]}"#);
    assert_eq!(role.param.as_deref(), Some("messages.0.role"));
}

#[test]
fn the_error_of_a_stream_is_read() {
    let body = read("event: error\ndata: {\"error\":{\"message\":\"Overloaded\",\"code\":529}}\n\ndata: [DONE]\n\n");
    assert_eq!((body.message.as_deref(), body.code.as_deref()), (Some("Overloaded"), Some("529")));
    assert!(body.is_error);
    assert!(!read("data: {\"choices\":[]}\n\n").is_error);
}

#[test]
fn quoted_sentences_are_not_searched() {
    let body = read(
        r#"{"error":{"message":"Invalid input: 'insufficient_quota, payment_required'","type":"invalid_request_error"}}"#,
    );
    assert!(!body.says(&["insufficient_quota", "payment_required"]));
    assert!(body.says(&["invalid input"]));
    assert!(!read("Invalid input:\n'please pay, insufficient_quota'").says(&["insufficient_quota"]));
}

#[test]
fn echoes_of_the_request_are_not_searched() {
    let body = read(
        r#"{"detail":[{"type":"extra_forbidden","loc":["body","seed"],"msg":"Extra inputs are not permitted","input":{"text":"Insufficient_Quota"}}]}"#,
    );
    assert!(!body.says(&["insufficient_quota"]));
    assert!(body.says(&["extra inputs are not permitted"]));
    assert_eq!(body.param.as_deref(), Some("seed"));
}

#[test]
fn escaped_text_is_searched_as_it_reads() {
    assert!(read(r#"{"error":"longer than the model\u0027s context length"}"#).says(&["the model's context"]));
    assert!(read("<H1>502 Bad Gateway</H1>").says(&["bad gateway"]));
}

#[test]
fn a_star_spans_a_short_gap_only() {
    assert!(contains("the model `gpt-9` does not exist", "model*does not exist"));
    assert!(contains("model model x not found", "model*not found"));
    assert!(!contains("does not exist: the model", "model*does not exist"));
    assert!(!contains(&format!("model {} not found", "x".repeat(200)), "model*not found"));
}

#[test]
fn waits_and_ids_are_found_anywhere_in_the_body() {
    let body =
        read(r#"[{"error":{"details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34.5s"}]}}]"#);
    assert_eq!(body.retry_delay, Some(Duration::from_millis(34_500)));
    let body =
        read(r#"{"error":{"metadata":{"headers":{"X-RateLimit-Limit":"6","X-RateLimit-Reset":"14000000000000"}}}}"#);
    assert_eq!((body.retry_delay, body.until_reset), (None, None), "more than a lifetime");
    let body = read(r#"{"error":{"metadata":{"headers":{"X-RateLimit-Reset":"1000000000"}}}}"#);
    assert_eq!(body.until_reset.map(|wait| wait.as_secs()), Some(1_000_000_000));
    let body = read(r#"{"error":{"metadata":{"retry_after_seconds":7}},"request_id":"r1"}"#);
    assert_eq!(body.retry_delay, Some(Duration::from_secs(7)));
    assert_eq!(body.request_id.as_deref(), Some("r1"));
}

#[test]
fn only_the_beginning_of_a_huge_body_is_read() {
    let mut bytes = b"{\"error\":\"".to_vec();
    bytes.resize(1 << 20, b'x');
    let body = ErrorBody::read(&bytes, SystemTime::UNIX_EPOCH);
    assert!(!body.is_json);
    assert_eq!(body.haystack.len(), MAX_BODY + 1);
}

#[test]
fn a_body_says_whether_it_is_an_error_and_has_choices() {
    for (text, is_error, has_choices) in [
        (r#"{"error":{"message":"x"}}"#, true, false),
        (r#"{"error":"x"}"#, true, false),
        (r#"{"object":"error","message":"x"}"#, true, false),
        (r#"{"error":null,"choices":[]}"#, false, true),
        (r#"{"choices":[{"error":{"code":502}}]}"#, true, true),
        (r#"{"hello":1}"#, false, false),
    ] {
        let body = read(text);
        assert_eq!((body.is_error, body.has_choices), (is_error, has_choices), "{text}");
    }
}
