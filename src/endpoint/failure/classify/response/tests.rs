use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::feedback::Pause;

/// 2026-10-25T12:00:00Z
fn noon() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_792_929_600)
}

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
}

fn classify(status: u16, pairs: &[(&'static str, &'static str)], body: &str) -> Failure {
    classify_response(status, &headers(pairs), body.as_bytes(), noon())
}

/// All that the run acts upon, e.g. `RATE_LIMIT_EXCEEDED retry endpoint wait=6`.
fn policy(failure: &Failure) -> String {
    let mut text = failure.code.to_string();
    text += if failure.may_retry() { " retry" } else { " never" };
    text += if failure.pause_scope() == Pause::Endpoint { " endpoint" } else { " request" };
    if failure.fatal {
        text += " fatal";
    }
    if failure.concurrency_limit {
        text += " concurrency";
    }
    if let Some(wait) = failure.retry_after {
        text += &format!(" wait={}", wait.as_secs_f64());
    }
    if let Some(rejected) = &failure.rejected {
        text += &format!(" {rejected:?}");
    }
    text
}

/// One response and what it means.
struct Case(&'static str, u16, &'static [(&'static str, &'static str)], &'static str, &'static str);

const QUOTA: &str = "INSUFFICIENT_QUOTA never endpoint";
const QUOTA_BY_NAME: &str = "INSUFFICIENT_QUOTA never endpoint fatal";
const RATE: &str = "RATE_LIMIT_EXCEEDED retry endpoint";
const OVERLOADED: &str = "OVERLOADED retry endpoint";
const CONTEXT: &str = "CONTEXT_LENGTH_EXCEEDED never request";
const TOO_LARGE: &str = "REQUEST_TOO_LARGE never request";
const FILTERED: &str = "CONTENT_FILTERED never request";
const FORMAT: &str = "UNSUPPORTED_PARAMETER never request ResponseFormat";
const SYSTEM: &str = "UNSUPPORTED_PARAMETER never request SystemRole";
const STREAM: &str = "UNSUPPORTED_PARAMETER never request WholeAnswer";
const TEMPERATURE: &str = r#"UNSUPPORTED_PARAMETER never request Parameter("temperature")"#;
const EFFORT: &str = r#"UNSUPPORTED_PARAMETER never request Parameter("reasoning_effort")"#;
const KEY: &str = "AUTHENTICATION_ERROR never endpoint";
const MODEL: &str = "MODEL_NOT_FOUND never endpoint";
const NOT_FOUND: &str = "NOT_FOUND never endpoint";
const INVALID: &str = "INVALID_REQUEST never request Unexplained";
const DENIED: &str = "PERMISSION_DENIED never endpoint";
const SERVER: &str = "SERVER_ERROR retry request";
const TIMEOUT: &str = "TIMEOUT retry request";
const MALFORMED: &str = "MALFORMED_RESPONSE retry request";

#[rustfmt::skip]
const CASES: &[Case] = &[
    // Errors with status 200
    Case("OpenRouter", 200, &[], r#"{"error":{"code":429,"message":"Rate limited upstream"},"user_id":"u"}"#, RATE),
    Case("OpenRouter, in the choice", 200, &[], r#"{"id":"g","choices":[{"finish_reason":"error","message":{"content":""},"error":{"code":502,"message":"died"}}]}"#, SERVER),
    Case("by its type", 200, &[], r#"{"error":{"type":"overloaded_error","message":"Overloaded"}}"#, OVERLOADED),
    Case("by its type", 200, &[], r#"{"error":{"type":"authentication_error","message":"no"}}"#, KEY),
    Case("unknown", 200, &[], r#"{"error":"something odd"}"#, SERVER),
    Case("flat", 200, &[], r#"{"object":"error","message":"x","type":"BadRequestError","code":40303}"#, INVALID),
    Case("LM Studio", 200, &[], r#"{"error":"Unexpected endpoint or method. (POST /chat/completions). Returning 200 anyway"}"#, NOT_FOUND),
    // Answers with status 200 that are not completions
    Case("login page", 200, &[], "<!DOCTYPE html><html><head><title>Sign in</title></head></html>", MALFORMED),
    Case("empty", 200, &[], "", MALFORMED),
    Case("cut", 200, &[], r#"{"choices":[{"message":"#, MALFORMED),
    Case("other JSON", 200, &[], r#"{"status":"ok"}"#, MALFORMED),
    // No choices
    Case("OpenRouter warming up", 200, &[], r#"{"id":"g","object":"chat.completion","choices":[]}"#, "EMPTY_RESPONSE retry request"),
    // What `x-should-retry` says
    Case("told not to", 529, &[("x-should-retry", "false")], r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#, "OVERLOADED never endpoint"),
    Case("told to", 400, &[("x-should-retry", "true")], r#"{"error":{"message":"odd"}}"#, "INVALID_REQUEST retry request Unexplained"),
    Case("told to, in vain", 429, &[("x-should-retry", "true")], r#"{"error":{"code":"insufficient_quota"}}"#, QUOTA_BY_NAME),
    Case("told nonsense", 500, &[("x-should-retry", "maybe")], "", SERVER),
    // A quota that is used up
    Case("OpenAI", 429, &[], r#"{"error":{"message":"You exceeded your current quota, please check your plan and billing details.","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#, QUOTA_BY_NAME),
    Case("OpenAI", 429, &[("retry-after", "5")], r#"{"error":{"message":"x","type":"insufficient_quota","param":null,"code":"project_spend_limit_exceeded"}}"#, "INSUFFICIENT_QUOTA never endpoint fatal wait=5"),
    Case("OpenAI", 429, &[], r#"{"error":{"message":"x","type":"insufficient_quota","param":null,"code":"organization_usage_limit_exceeded"}}"#, QUOTA_BY_NAME),
    Case("OpenAI", 429, &[], r#"{"error":{"message":"x","code":"credit_balance_exhausted"}}"#, QUOTA_BY_NAME),
    Case("Anthropic", 400, &[], r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API."}}"#, QUOTA),
    Case("Anthropic", 429, &[], r#"{"type":"error","error":{"type":"rate_limit_error","message":"enforced_spend_limit_reached"}}"#, QUOTA),
    Case("LiteLLM", 400, &[], r#"{"error":{"message":"Budget has been exceeded! Current cost: 1.2, Max budget: 1.0","type":"budget_exceeded","param":null,"code":"400"}}"#, QUOTA_BY_NAME),
    Case("LiteLLM", 500, &[], r#"{"error":{"message":"litellm.RateLimitError: OpenAIException - {'error': {'code': 'insufficient_quota'}}","code":"500"}}"#, QUOTA),
    // 402
    Case("OpenRouter", 402, &[], r#"{"error":{"code":402,"message":"In-flight budget exhausted","metadata":{"reason":"in_flight_budget_exhausted"}}}"#, RATE),
    Case("OpenRouter", 402, &[], r#"{"error":{"code":402,"message":"x","metadata":{"reason":"weight_exceeds_budget"}}}"#, QUOTA),
    Case("DeepSeek", 402, &[], r#"{"error":{"message":"Insufficient Balance","type":"unknown_error","param":null,"code":"invalid_request_error"}}"#, QUOTA),
    // No access, and Gemini's other quotas
    Case("Gemini", 429, &[], r#"{"error":{"message":"{\n  \"error\": {\n    \"code\": 429,\n    \"message\": \"You exceeded your current quota, please check your plan and billing details. \\n* Quota exceeded for metric: generativelanguage.googleapis.com/generate_content_free_tier_requests, limit: 0, model: gemini-2.5-pro\\nPlease retry in 20.5s.\",\n    \"status\": \"RESOURCE_EXHAUSTED\"\n  }\n}","code":429,"status":"Too Many Requests"}}"#, "PERMISSION_DENIED never endpoint fatal wait=20.5"),
    Case("Gemini", 429, &[], r#"[{"error":{"code":429,"message":"You exceeded your current quota, please check your plan and billing details. * Quota exceeded for metric: generativelanguage.googleapis.com/generate_content_free_tier_requests, limit: 10","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34s"}]}}]"#, "RATE_LIMIT_EXCEEDED retry endpoint wait=34"),
    Case("Gemini", 429, &[], r#"[{"error":{"code":429,"message":"Quota exceeded, limit: 250","status":"RESOURCE_EXHAUSTED","details":[{"violations":[{"quotaId":"GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]}]}}]"#, "RATE_LIMIT_EXCEEDED never endpoint fatal"),
    // Larger than the limit
    Case("OpenAI", 429, &[], r#"{"error":{"message":"Request too large for gpt-4o in organization org-1 on tokens per min (TPM): Limit 30000, Requested 44000. The input or output tokens must be reduced in order to run successfully.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}"#, TOO_LARGE),
    Case("by its numbers", 429, &[], r#"{"error":{"message":"tokens per min: Limit 30,000, Used 12, Requested 44,000.","code":"rate_limit_exceeded"}}"#, TOO_LARGE),
    Case("Groq", 413, &[], r#"{"error":{"message":"Request too large for model `x` on tokens per minute (TPM): Limit 6000, Requested 7000, please reduce your message size and try again.","type":"tokens","code":"rate_limit_exceeded"}}"#, TOO_LARGE),
    // Context
    Case("OpenAI", 400, &[], r#"{"error":{"message":"Your input exceeds the context window of this model. Please adjust your input and try again.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#, CONTEXT),
    Case("OpenAI, old", 400, &[], r#"{"error":{"message":"This model's maximum context length is 4097 tokens. However, your messages resulted in 4294 tokens. Please reduce the length of the messages.","type":"invalid_request_error","param":"messages","code":null}}"#, CONTEXT),
    Case("llama.cpp", 400, &[], r#"{"error":{"code":400,"message":"request (5004 tokens) exceeds the available context size (1024 tokens), try increasing it","type":"exceed_context_size_error","n_prompt_tokens":5004,"n_ctx":1024}}"#, CONTEXT),
    Case("vLLM", 400, &[], r#"{"error":{"message":"'max_tokens' or 'max_completion_tokens' is too large: 8000. This model's maximum context length is 4096 tokens and your request has 2778 input tokens","type":"BadRequestError","param":null,"code":400}}"#, "REQUEST_TOO_LARGE never request Room(1318)"),
    Case("SGLang", 400, &[], r#"{"object":"error","message":"The input (5000 tokens) is longer than the model's context length (4096 tokens).","type":"BadRequestError","param":null,"code":400}"#, CONTEXT),
    Case("Anthropic", 400, &[], r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 210000 tokens > 200000 maximum"}}"#, CONTEXT),
    Case("Gemini", 400, &[], r#"[{"error":{"code":400,"message":"The input token count (1200293) exceeds the maximum number of tokens allowed (1048576).","status":"INVALID_ARGUMENT"}}]"#, CONTEXT),
    Case("Together", 400, &[], r#"{"error":{"message":"Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4097. Given: 80125 `inputs` tokens and 4096 `max_new_tokens`","type":"invalid_request_error","param":"max_tokens","code":null}}"#, CONTEXT),
    Case("LiteLLM", 500, &[], r#"{"error":{"message":"litellm.ContextWindowExceededError: x","code":"500"}}"#, CONTEXT),
    Case("in two parts", 400, &[], r#"{"error":"current length is 9000 while limit is 8192"}"#, CONTEXT),
    Case("OpenAI, a string", 400, &[], r#"{"error":{"message":"Invalid 'user': string too long. Reduce the length.","type":"invalid_request_error","param":"user","code":"string_above_max_length"}}"#, INVALID),
    // Content filters
    Case("Azure", 400, &[], r#"{"error":{"message":"The response was filtered due to the prompt triggering Azure OpenAI's content management policy.","type":null,"param":"prompt","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation","content_filter_result":{"hate":{"filtered":false,"severity":"safe"},"jailbreak":{"filtered":true,"detected":true}}}}}"#, FILTERED),
    Case("OpenAI", 400, &[], r#"{"error":{"message":"Invalid prompt: your prompt was flagged as potentially violating our usage policy.","type":"invalid_request_error","param":null,"code":"invalid_prompt"}}"#, FILTERED),
    Case("LiteLLM", 400, &[], r#"{"error":{"message":"litellm.ContentPolicyViolationError: x","type":null,"param":null,"code":"400"}}"#, FILTERED),
    // The form of the answer
    Case("OpenAI", 400, &[], r#"{"error":{"message":"Invalid schema for response_format 'verdict': In context=(), 'additionalProperties' is required to be supplied and to be false.","type":"invalid_request_error","param":"response_format","code":null}}"#, FORMAT),
    Case("LM Studio", 400, &[], r#"{"error":"'response_format.type' must be 'json_schema' or 'text'"}"#, FORMAT),
    Case("llama.cpp", 400, &[], r#"{"error":{"code":400,"message":"Unable to generate parser for this template. Automatic parser generation failed: JSON schema error at #: unrecognized type nonsense","type":"invalid_request_error"}}"#, FORMAT),
    Case("llama-cpp-python", 500, &[], r#"{"error":{"message":"1 validation error: body.response_format.type Input should be 'text' or 'json_object'","type":"internal_server_error","param":null,"code":null}}"#, FORMAT),
    Case("FastAPI", 422, &[], r#"{"detail":[{"type":"literal_error","loc":["body","response_format","type"],"msg":"Input should be 'text'","input":"json_schema"}]}"#, FORMAT),
    Case("Groq", 400, &[], r#"{"error":{"message":"Failed to generate JSON. Please adjust your prompt. See 'failed_generation' for more details.","type":"invalid_request_error","code":"json_validate_failed","failed_generation":"{ insufficient_quota"}}"#, "UNPARSEABLE_VERDICT retry request"),
    // Parameters
    Case("OpenAI", 400, &[], r#"{"error":{"message":"Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.","type":"invalid_request_error","param":"max_tokens","code":"unsupported_parameter"}}"#, r#"UNSUPPORTED_PARAMETER never request Parameter("max_tokens")"#),
    Case("OpenAI", 400, &[], r#"{"error":{"message":"Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) value is supported.","type":"invalid_request_error","param":"temperature","code":"unsupported_value"}}"#, r#"UNSUPPORTED_PARAMETER never request Parameter("temperature")"#),
    Case("OpenAI, old", 400, &[], r#"{"error":{"message":"Unrecognized request argument supplied: seed","type":"invalid_request_error","param":null,"code":null}}"#, r#"UNSUPPORTED_PARAMETER never request Parameter("seed")"#),
    Case("FastAPI", 422, &[], r#"{"detail":[{"type":"extra_forbidden","loc":["body","logprobs"],"msg":"Extra inputs are not permitted","input":true}]}"#, r#"UNSUPPORTED_PARAMETER never request Parameter("logprobs")"#),
    Case("named in words", 400, &[], r#"{"error":{"message":"This model does not support top_p."}}"#, r#"UNSUPPORTED_PARAMETER never request Parameter("top_p")"#),
    Case("nothing of ours", 400, &[], r#"{"error":{"message":"This model does not support images."}}"#, INVALID),
    Case("unnamed", 400, &[], r#"{"error":{"message":"no","code":"unsupported_parameter"}}"#, "UNSUPPORTED_PARAMETER never request Unexplained"),
    // Keys
    Case("OpenAI", 401, &[], r#"{"error":{"message":"Incorrect API key provided: sk-..","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}"#, KEY),
    Case("Azure", 401, &[], r#"{"error":{"code":"401","message":"Access denied due to invalid subscription key or wrong API endpoint."}}"#, KEY),
    Case("llama-cpp-python", 401, &[], r#"{"detail":"Invalid API key"}"#, KEY),
    Case("vLLM", 401, &[], r#"{"error":"Unauthorized"}"#, KEY),
    Case("Gemini", 400, &[], r#"[{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT"}}]"#, KEY),
    Case("LiteLLM", 400, &[], r#"{"error":{"message":"No connected db.","type":"no_db_connection","param":null,"code":"400"}}"#, KEY),
    // 403
    Case("Together", 403, &[], r#"{"error":{"message":"input token count + max_tokens is over the limit of the model"}}"#, CONTEXT),
    Case("OpenRouter", 403, &[], r#"{"error":{"code":403,"message":"Your input was rejected","metadata":{"reasons":["violence"],"flagged_input":"..","provider_name":"OpenAI"}}}"#, FILTERED),
    Case("OpenRouter", 403, &[], r#"{"error":{"code":403,"message":"no","metadata":{"reasons":["violence"]}}}"#, FILTERED),
    Case("Azure APIM", 403, &[], r#"{"statusCode":403,"message":"Token quota is exceeded. Try again in 2592000 seconds."}"#, "INSUFFICIENT_QUOTA never endpoint wait=2592000"),
    Case("OpenAI", 403, &[], r#"{"error":{"code":"unsupported_country_region_territory","message":"Country, region, or territory not supported","param":null,"type":"request_forbidden"}}"#, DENIED),
    // Models
    Case("OpenAI", 404, &[], r#"{"error":{"message":"The model `gpt-9` does not exist or you do not have access to it.","type":"invalid_request_error","param":null,"code":"model_not_found"}}"#, MODEL),
    Case("Azure", 404, &[], r#"{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist."}}"#, MODEL),
    Case("vLLM", 404, &[], r#"{"error":{"message":"The model `nope` does not exist.","type":"NotFoundError","param":"model","code":404}}"#, MODEL),
    Case("Ollama", 404, &[], r#"{"error":{"message":"model \"x\" not found, try pulling it first","type":"not_found_error","param":null,"code":null}}"#, MODEL),
    Case("LiteLLM", 400, &[], r#"{"error":{"message":"/chat/completions: Invalid model name passed in model=nope. Call `/v1/models` to view available models for your key.","type":"invalid_request_error","param":"model","code":"400"}}"#, MODEL),
    Case("Anthropic", 404, &[], r#"{"type":"error","error":{"type":"not_found_error","message":"model: claude-9"}}"#, MODEL),
    // Wrong addresses
    Case("FastAPI", 404, &[], r#"{"detail":"Not Found"}"#, NOT_FOUND),
    Case("llama.cpp", 404, &[], r#"{"error":{"code":404,"message":"File Not Found","type":"not_found_error"}}"#, NOT_FOUND),
    Case("nginx", 404, &[], "<html>\r\n<head><title>404 Not Found</title></head>\r\n<body></body></html>", NOT_FOUND),
    Case("FastAPI", 405, &[], r#"{"detail":"Method Not Allowed"}"#, NOT_FOUND),
    // 408 to 413
    Case("OpenRouter", 408, &[], r#"{"error":{"code":408,"message":"timed out"}}"#, TIMEOUT),
    Case("lock", 409, &[], "", SERVER),
    Case("nginx", 413, &[], "<html><head><title>413 Request Entity Too Large</title></head></html>", TOO_LARGE),
    Case("Anthropic", 413, &[], r#"{"type":"error","error":{"type":"request_too_large","message":"Request exceeds the maximum size"}}"#, TOO_LARGE),
    // Too many at the same time
    Case("LiteLLM", 429, &[("retry-after", "60")], r#"{"error":{"message":"Max parallel request limit reached","type":"throttling_error","param":null,"code":"429"}}"#, "RATE_LIMIT_EXCEEDED retry endpoint concurrency wait=60"),
    Case("Anthropic", 429, &[], r#"{"type":"error","error":{"type":"rate_limit_error","message":"Number of concurrent connections has exceeded your rate limit."}}"#, "RATE_LIMIT_EXCEEDED retry endpoint concurrency"),
    // Capacity
    Case("Mistral", 429, &[], r#"{"object":"error","message":"Service tier capacity exceeded for this model.","type":"invalid_request_error","param":null,"code":null}"#, OVERLOADED),
    Case("OpenAI flex", 429, &[], r#"{"error":{"message":"x","type":"x","code":"resource_unavailable"}}"#, OVERLOADED),
    Case("TGI", 429, &[], r#"{"error":"Model is overloaded","error_type":"overloaded"}"#, OVERLOADED),
    // Daily limits
    Case("Groq", 429, &[("retry-after", "87")], r#"{"error":{"message":"Rate limit reached for model `x` on requests per day (RPD): Limit 1000, Used 1000, Requested 1. Please try again in 1m26.4s.","type":"requests","code":"rate_limit_exceeded"}}"#, "RATE_LIMIT_EXCEEDED never endpoint fatal wait=87"),
    // Rates
    Case("OpenAI", 429, &[("x-ratelimit-reset-tokens", "6m0s")], r#"{"error":{"message":"Rate limit reached for gpt-4o in organization org-1 on tokens per min (TPM): Limit 10000, Used 9500, Requested 800. Please try again in 1.8s. Visit https://platform.openai.com/account/rate-limits to learn more.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}"#, "RATE_LIMIT_EXCEEDED retry endpoint wait=1.8"),
    Case("OpenAI", 429, &[], r#"{"error":{"message":"x","type":"rate_limit_error","param":null,"code":"slow_down"}}"#, RATE),
    Case("Azure", 429, &[("retry-after-ms", "6500"), ("retry-after", "7")], r#"{"error":{"code":"429","message":"Requests to the ChatCompletions_Create Operation have exceeded token rate limit of your current OpenAI S0 pricing tier. Please retry after 6 seconds."}}"#, "RATE_LIMIT_EXCEEDED retry endpoint wait=6.5"),
    Case("Azure, no headers", 429, &[], r#"{"error":{"code":"429","message":"have exceeded token rate limit of your current OpenAI S0 pricing tier. Please retry after 6 seconds."}}"#, "RATE_LIMIT_EXCEEDED retry endpoint wait=6"),
    Case("Mistral", 429, &[], r#"{"object":"error","message":"Rate limit exceeded","type":"rate_limited","param":null,"code":"1300","raw_status_code":429}"#, RATE),
    Case("Mistral gateway", 429, &[], r#"{"message":"Requests rate limit exceeded"}"#, RATE),
    Case("LiteLLM", 429, &[("llm_provider-retry-after", "60")], r#"{"error":{"message":"litellm.RateLimitError: x","type":"throttling_error","param":null,"code":"429"}}"#, "RATE_LIMIT_EXCEEDED retry endpoint wait=60"),
    Case("nginx", 429, &[("retry-after", "Sun, 25 Oct 2026 12:00:09 GMT")], "<html><head><title>429 Too Many Requests</title></head></html>", "RATE_LIMIT_EXCEEDED retry endpoint wait=9"),
    Case("a nonsensical header", 429, &[("retry-after", "1e400"), ("llm_provider-retry-after", "2")], "", "RATE_LIMIT_EXCEEDED retry endpoint wait=2"),
    Case("OpenRouter", 429, &[], r#"{"error":{"message":"Provider returned error","code":429,"metadata":{"raw":"{\"error\":{\"message\":\"Slow\"}}","retry_after_seconds":3}}}"#, "RATE_LIMIT_EXCEEDED retry endpoint wait=3"),
    // Overloaded
    Case("llama.cpp", 503, &[], r#"{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}"#, OVERLOADED),
    Case("OpenAI", 503, &[], r#"{"error":{"message":"x","type":"service_unavailable_error","param":null,"code":"server_is_overloaded"}}"#, OVERLOADED),
    Case("Ollama", 503, &[], r#"{"error":{"message":"server busy, please try again.  maximum pending requests exceeded","type":"api_error","param":null,"code":null}}"#, OVERLOADED),
    Case("Groq", 498, &[], r#"{"error":{"message":"x","code":"capacity_exceeded"}}"#, OVERLOADED),
    Case("Anthropic", 529, &[("retry-after", "3")], r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"}"#, "OVERLOADED retry endpoint wait=3"),
    // Given up, unknown, too late
    Case("Groq", 499, &[], r#"{"error":{"message":"request cancelled"}}"#, TIMEOUT),
    Case("llama.cpp", 501, &[], r#"{"error":{"code":501,"message":"This server does not support chat","type":"not_supported_error"}}"#, "UNSUPPORTED_PARAMETER never endpoint"),
    Case("a file server", 501, &[], "<html><head><title>Error response</title></head><body>Unsupported method ('POST')</body></html>", NOT_FOUND),
    Case("nginx", 504, &[], "<html><head><title>504 Gateway Time-out</title></head></html>", TIMEOUT),
    Case("Cloudflare", 524, &[], "error code: 524", TIMEOUT),
    // Other failures of servers
    Case("OpenAI", 500, &[], r#"{"error":{"message":"The server had an error processing your request. Sorry about that!","type":"server_error","param":null,"code":null}}"#, SERVER),
    Case("nginx", 502, &[], "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body><hr><center>nginx/1.22.1</center></body></html>", SERVER),
    Case("LiteLLM", 500, &[], r#"{"error":{"message":"litellm.InternalServerError: OpenAIException - Connection error.","type":"internal_server_error","param":null,"code":"500"}}"#, SERVER),
    Case("a number in words", 500, &[], r#"{"error":{"message":"cannot judge 429 claims"}}"#, SERVER),
    Case("a rate in words", 500, &[], r#"{"error":{"message":"upstream: Rate limit reached"}}"#, RATE),
    Case("Envoy", 520, &[], "upstream connect error or disconnect/reset before headers. reset reason: overflow", SERVER),
    Case("overloaded", 500, &[], r#"{"error":{"message":"The model is currently overloaded."}}"#, OVERLOADED),
    Case("unheard of", 799, &[], "", SERVER),
    // Parts of a request, in the words of many servers
    Case("Gemini, Gemma", 400, &[], r#"[{"error":{"code":400,"message":"Developer instruction is not enabled for models/gemma-3-27b-it","status":"INVALID_ARGUMENT"}}]"#, SYSTEM),
    Case("OpenAI, o1", 400, &[], r#"{"error":{"message":"Unsupported value: 'messages[0].role' does not support 'system' with this model.","type":"invalid_request_error","param":"messages[0].role","code":"unsupported_value"}}"#, SYSTEM),
    Case("Mistral's template", 400, &[], r#"{"error":{"message":"Conversation roles must alternate user/assistant/user/assistant/...","type":"BadRequestError","code":400}}"#, SYSTEM),
    Case("FastAPI, roles", 422, &[], r#"{"detail":[{"type":"literal_error","loc":["body","messages",0,"role"],"msg":"Input should be 'user' or 'assistant'","input":"system"}]}"#, SYSTEM),
    Case("deprecated", 400, &[], r#"{"error":{"message":"`temperature` is deprecated for this model.","type":"invalid_request_error","param":null,"code":null}}"#, TEMPERATURE),
    Case("deprecated, behind a gateway", 400, &[], r#"{"error":{"message":"Provider returned error","code":400,"metadata":{"raw":"{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"`temperature` is deprecated for this model.\"}}","provider_name":"Anthropic"}}}"#, TEMPERATURE),
    Case("one value alone", 400, &[], r#"{"error":{"message":"invalid temperature: only 1 is allowed for this model","type":"invalid_request_error"}}"#, TEMPERATURE),
    Case("one value alone", 400, &[], r#"{"error":{"message":"Temperature must be 1 for this model"}}"#, TEMPERATURE),
    Case("one of two", 400, &[], r#"{"error":{"message":"`temperature` and `top_p` cannot both be specified for this model. Please use only one."}}"#, r#"UNSUPPORTED_PARAMETER never request Parameter("top_p")"#),
    Case("not the parameter", 400, &[], r#"{"error":{"message":"The question about room temperature is too vague."}}"#, INVALID),
    Case("Gemini, a name", 400, &[], r#"[{"error":{"code":400,"message":"Invalid JSON payload received. Unknown name \"seed\": Cannot find field.","status":"INVALID_ARGUMENT"}}]"#, r#"UNSUPPORTED_PARAMETER never request Parameter("seed")"#),
    Case("a list in the message", 422, &[], r#"{"object":"error","message":{"detail":[{"type":"extra_forbidden","loc":["body","seed"],"msg":"Extra inputs are not permitted","input":7}]},"type":"invalid_request_error","param":null,"code":null}"#, r#"UNSUPPORTED_PARAMETER never request Parameter("seed")"#),
    Case("Gemini, Gemma", 400, &[], r#"[{"error":{"code":400,"message":"JSON mode is not enabled for models/gemma-3-27b-it","status":"INVALID_ARGUMENT"}}]"#, FORMAT),
    Case("Gemini, its own schema", 400, &[], r#"[{"error":{"code":400,"message":"Invalid JSON payload received. Unknown name \"additionalProperties\" at 'generation_config.response_schema': Cannot find field.","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":"generation_config.response_schema"}]}]}}]"#, FORMAT),
    Case("a bound of the schema", 400, &[], r#"{"error":{"message":"Invalid schema for response_format 'verdict': In context=('properties', 'rationale'), 'maxLength' is not permitted.","param":"response_format"}}"#, "UNSUPPORTED_PARAMETER never request SchemaBounds"),
    Case("Ollama", 400, &[], r#"{"error":{"message":"\"llama3.2:latest\" does not support thinking","type":"api_error","param":null,"code":null}}"#, EFFORT),
    Case("Gemini, a level", 400, &[], r#"[{"error":{"code":400,"message":"Thinking level MINIMAL is not supported for this model.","status":"INVALID_ARGUMENT"}}]"#, EFFORT),
    Case("a switch", 400, &[], r#"{"error":{"code":"invalid_parameter_error","param":null,"message":"parameter.enable_thinking must be set to false for non-streaming calls","type":"invalid_request_error"},"request_id":"r"}"#, r#"UNSUPPORTED_PARAMETER never request Switch { name: "enable_thinking", on: false }"#),
    Case("streams alone", 400, &[], r#"{"error":{"message":"This model only support stream mode, please enable the stream parameter to access the model.","type":"invalid_request_error","code":"invalid_parameter_error"}}"#, STREAM),
    Case("streams alone", 400, &[], r#"{"error":{"message":"Stream must be set to true"}}"#, STREAM),
    Case("a model's own limit", 400, &[], r#"{"error":{"message":"max_tokens is too large: 2048. This model supports at most 1024 completion tokens, whereas you provided 2048.","type":"invalid_request_error","param":"max_tokens","code":"invalid_value"}}"#, "UNSUPPORTED_PARAMETER never request OutputLimit([2048, 1024, 2048])"),
    Case("room is left", 400, &[], r#"{"object":"error","message":"This model's maximum context length is 4096 tokens. However, you requested 4300 tokens (2252 in the messages, 2048 in the completion). Please reduce the length of the messages or completion.","type":"BadRequestError","param":null,"code":400}"#, "REQUEST_TOO_LARGE never request Room(1844)"),
    Case("Anthropic, room is left", 400, &[], r#"{"type":"error","error":{"type":"invalid_request_error","message":"input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000, decrease input length or `max_tokens` and try again"}}"#, "REQUEST_TOO_LARGE never request Room(11760)"),
    Case("used up by reasoning", 400, &[], r#"{"error":{"message":"Could not finish the message because max_tokens or model output limit was reached. Please try again with higher max_tokens.","type":"invalid_request_error","param":null,"code":null}}"#, "TRUNCATED_RESPONSE retry request"),
    Case("OpenRouter, what it has is not enough", 404, &[], r#"{"error":{"message":"No endpoints found that can handle the requested parameters.","code":404}}"#, "UNSUPPORTED_PARAMETER never request Unexplained"),
    // The judged text in a refusal
    Case("quoted", 400, &[], r#"{"error":{"message":"Invalid input: 'rate limit exceeded, insufficient_quota, please try again in 3600s'","type":"invalid_request_error","param":"messages","code":null}}"#, INVALID),
    Case("quoted, one word", 400, &[], r#"{"error":{"message":"Invalid input: 'insufficient_quota'","param":"messages"}}"#, INVALID),
    Case("quoted, of keys", 400, &[], r#"{"error":{"message":"Cannot read \"your invalid api key is\" in messages"}}"#, INVALID),
    Case("Anthropic's own words", 400, &[], r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API."}}"#, QUOTA),
    // Routers and models
    Case("OpenRouter, privacy", 404, &[], r#"{"error":{"message":"No endpoints available matching your guardrail restrictions and data policy. Configure: https://router.example/settings/privacy","code":404}}"#, DENIED),
    Case("NVIDIA", 200, &[], r#"{"error":{"message":"Model meta/meta-llama-3-8b-instruct is not available","code":400},"user_id":"u"}"#, MODEL),
    Case("Ollama, memory", 500, &[], r#"{"error":{"message":"model requires more system memory (9.8 GiB) than is available (5.5 GiB)","type":"api_error","param":null,"code":null}}"#, "SERVER_ERROR never request fatal"),
    // Waits
    Case("GitHub", 429, &[], r#"{"error":{"code":"RateLimitReached","message":"Rate limit of 50 per 86400s exceeded for UserByModelByDay. Please wait 68423 seconds before retrying."}}"#, "RATE_LIMIT_EXCEEDED never endpoint fatal wait=68423"),
    Case("in words", 429, &[], r#"{"error":{"message":"Too many requests, please wait 40 seconds."}}"#, "RATE_LIMIT_EXCEEDED retry endpoint wait=40"),
    Case("OpenRouter, its reset", 429, &[], r#"{"error":{"message":"Rate limit exceeded: free-models-per-min. ","code":429,"metadata":{"headers":{"X-RateLimit-Limit":"6","X-RateLimit-Remaining":"0","X-RateLimit-Reset":"1792929614000"},"provider_name":null}}}"#, "RATE_LIMIT_EXCEEDED retry endpoint wait=14.05"),
    Case("a reset in a header", 429, &[("ratelimit-reset", "9"), ("x-ratelimit-reset-requests", "6m0s")], "", "RATE_LIMIT_EXCEEDED retry endpoint wait=9"),
    Case("a reset beside another failure", 401, &[("ratelimit-reset", "9")], "", KEY),
    // Proxies and content networks
    Case("a proxy", 407, &[("proxy-authenticate", "Basic realm=x")], "denied", "CONNECTION_ERROR never request fatal"),
    Case("Cloudflare", 403, &[("cf-mitigated", "challenge")], "<!DOCTYPE html><html><head><title>Just a moment...</title></head></html>", OVERLOADED),
    Case("by its words", 200, &[], "<html><body>Enable JavaScript and cookies to continue</body></html>", OVERLOADED),
    Case("JSON about a challenge", 403, &[], r#"{"error":"Just a moment..."}"#, DENIED),
    Case("a filter without choices", 200, &[], r#"{"choices":[],"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"}}"#, FILTERED),
    Case("an error in a stream", 200, &[], "data: {\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n", OVERLOADED),
    Case("a cut stream", 200, &[], "data: {\"choices\":[]}\n\n", MALFORMED),
    // Chat templates
    Case("vLLM, Gemma", 400, &[], r#"{"error":{"message":"System role not supported","type":"BadRequestError","param":null,"code":400}}"#, SYSTEM),
    // Other bad requests
    Case("llama.cpp", 400, &[], r#"{"error":{"code":400,"message":"Field 'n': Value must be between 1 <= value <= 2, but got 3","type":"invalid_request_error"}}"#, INVALID),
    Case("FastAPI", 422, &[], r#"{"detail":[{"type":"missing","loc":["body","messages"],"msg":"Field required","input":{"text":"invalid api key"}}]}"#, INVALID),
    // Redirects and the rest
    Case("moved", 307, &[("location", "https://other.example/v1/?token=x")], "", NOT_FOUND),
    Case("gone", 410, &[], "", "INVALID_REQUEST never request"),
    Case("Groq", 424, &[], r#"{"error":{"message":"Failed Dependency"}}"#, "INVALID_REQUEST never request"),
];

#[test]
fn every_row_of_the_table_holds() {
    let found = |&Case(server, status, headers, body, expected): &Case| {
        let policy = policy(&classify(status, headers, body));
        (policy != expected).then(|| format!("{server}: {policy}, not {expected}: HTTP {status} {body}"))
    };
    let wrong: Vec<_> = CASES.iter().filter_map(found).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_rule_has_a_case() {
    for rule in rules::RULES {
        let meets = |&Case(_, status, _, body, _): &Case| {
            let body = ErrorBody::read(body.as_bytes(), noon());
            let status = if status == 200 { claimed_status(&body) } else { status };
            std::ptr::eq(rules::find(status, &body), rule)
        };
        let at = rules::RULES.iter().position(|other| std::ptr::eq(other, rule)).unwrap();
        assert!(CASES.iter().any(meets), "rule {at}, {}", rule.code);
    }
}

#[test]
fn the_providers_words_are_shown_without_the_gateways_additions() {
    for (status, body, message) in [
        (
            429,
            r#"{"error":{"message":"litellm.RateLimitError: Slow down\nmodel=gpt-4o. LiteLLM: model group = x","code":"429"}}"#,
            "litellm.RateLimitError: Slow down",
        ),
        (
            500,
            r#"{"error":{"message":"died. Received Model Group=gpt\nAvailable Model Group Fallbacks=None"}}"#,
            "died",
        ),
        (502, "<html><head><title>502 Bad Gateway</title></head></html>", "502 Bad Gateway"),
        (502, "", "Bad Gateway, without an explanation"),
        (599, " \n", "unknown status, without an explanation"),
        (400, r#"{"Reason": 7}"#, r#"{"Reason": 7}"#),
        (200, r#"{"Status": "ok"}"#, r#"the answer is JSON, but not a chat completion: {"Status": "ok"}"#),
        (200, "<title>Sign in</title>", "the answer is not JSON: Sign in"),
        (200, "", "the answer is empty"),
        (200, r#"{"choices":null}"#, "the answer has no choices"),
        (400, r#"{"detail":"bad \u0000 \ud83d"}"#, r#"{"detail":"bad \u0000 \ud83d"}"#),
    ] {
        assert_eq!(classify(status, &[], body).message, message, "{body}");
    }
    let moved = classify(308, &[("location", "https://other.example/v1/?token=x#y")], "<title>Moved</title>");
    assert_eq!(moved.to_string(), "NOT_FOUND (HTTP 308): redirect to https://other.example/v1/");
}

#[test]
fn the_record_gets_the_providers_own_identifiers() {
    let failure = classify(
        400,
        &[("cf-ray", "8f-AMS"), ("apim-request-id", "a-1")],
        r#"{"error":{"message":"Provider returned error","code":400,"metadata":{"raw":"{\"error\":{\"message\":\"bad\",\"type\":\"odd\"}}"}}}"#,
    );
    assert_eq!(failure.http_status, Some(400));
    assert_eq!(failure.provider_code.as_deref(), Some("400"));
    assert_eq!(failure.provider_type.as_deref(), Some("odd"));
    assert_eq!(failure.request_id.as_deref(), Some("a-1"));
    assert_eq!(failure.message, "bad");
    assert_eq!(failure.stack_trace().as_deref(), Some("Provider returned error"));

    let body = r#"{"type":"error","error":{"type":"overloaded_error"},"request_id":"req_1"}"#;
    let request_id = |headers| classify(529, headers, body).request_id;
    assert_eq!(request_id(&[("cf-ray", "8f"), ("request-id", "r"), ("x-request-id", "x")]).as_deref(), Some("x"));
    assert_eq!(request_id(&[("cf-ray", "8f")]).as_deref(), Some("req_1"));
    assert_eq!(classify(502, &[("cf-ray", "8f")], "").request_id.as_deref(), Some("8f"));
}

#[test]
fn text_under_judgment_does_not_become_the_diagnosis() {
    // The server echoes the prompt, which is about quotas.
    let body = r#"{"detail":[{"type":"value_error","loc":["body","messages",0],"msg":"Value error","input":{"role":"user",
        "content":"insufficient_quota: You exceeded your current quota, payment_required"}}]}"#;
    assert_eq!(classify(422, &[], body).code, ErrorCode::InvalidRequest);
}

/// Arbitrary bytes, and JSON that is deep, wide and full of what the rules look for.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        "\"",
        ":",
        ",",
        "\\",
        "error",
        "message",
        "\"error\":{",
        "\"message\":\"",
        "metadata",
        "raw",
        "limit: ",
        "limit 9",
        "requested ",
        "9e999",
        "retry after ",
        "1.2.3s",
        "model",
        "not found",
        "KEY",
        "ä",
        "\u{feff}",
        " \n",
        "<title>",
        "null",
        "choices",
    ]);
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..2000),
        prop::collection::vec(words, 0..600).prop_map(|words| words.concat().into_bytes()),
        any::<String>()
            .prop_map(|text| serde_json::json!({"error": {"message": text.repeat(50)}}).to_string().into_bytes()),
    ]
}

proptest! {
    #[test]
    fn no_body_is_too_strange(status in 100u16..700, body in body()) {
        let headers = headers(&[("retry-after", "5"), ("x-should-retry", "true")]);
        let failure = classify_response(status, &headers, &body, noon());
        prop_assert!(failure.message.chars().count() <= 1000);
        prop_assert!(!failure.message.is_empty());
        prop_assert_eq!(failure.http_status, Some(status));
    }
}
