//! Which part of a request an endpoint does not accept, from its error.

use crate::endpoint::Rejected;
use crate::endpoint::failure::classify::room;
use crate::endpoint::failure::error_body::ErrorBody;

/// Bounds in a schema that not every endpoint accepts.
pub(crate) const SCHEMA_BOUNDS: &[&str] = &[
    "maxlength",
    "minlength",
    "maxitems",
    "minitems",
    "exclusivemaximum",
    "exclusiveminimum",
    "multipleof",
    "'maximum'",
    "'minimum'",
    "\"maximum\"",
    "\"minimum\"",
    "`maximum`",
    "`minimum`",
];

/// The form of the answer, whatever it is called.
pub(crate) const RESPONSE_FORMAT: &[&str] = &[
    "response_format",
    "response format",
    "response_schema",
    "response schema",
    "responseschema",
    "response_mime_type",
    "json_schema",
    "json schema",
    "json_object",
    "json mode",
    "json_mode",
    "json output",
    "structured output",
    "structured_output",
    "output_config",
    "output_format",
    "output format",
    "guided_json",
    "guided decoding",
    "constrained decoding",
    "grammar",
    "invalid schema",
    "schema error",
    "additionalproperties",
];

/// Chat templates such as Gemma's have no separate instructions.
pub(crate) const SYSTEM_ROLE: &[&str] = &[
    "system role not supported",
    "system role is not",
    "system roles are not",
    "system message is not",
    "system messages are not",
    "system prompt is not",
    "system prompts are not",
    "system instruction is not",
    "system instructions are not",
    "developer instruction is not",
    "developer instructions are not",
    "developer message*not",
    "developer role",
    "not support system",
    "not support 'system'",
    "not support \"system\"",
    "not support the system",
    "not support developer",
    "not support 'developer'",
    "not supported: system",
    "invalid role: system",
    "unknown role: system",
    "unsupported role",
    "only user and assistant roles",
    "only user, assistant",
    "roles must alternate",
    "must alternate",
    "first message must be*user",
    "messages[0].role",
    "messages.0.role",
    "role of the first message",
];

/// For models that only stream.
pub(crate) const WHOLE_ANSWER: &[&str] = &[
    "only support stream",
    "only supports stream",
    "only supported in stream",
    "only be used in stream",
    "only available in stream",
    "requires stream",
    "requires the stream",
    "stream is required",
    "streaming is required",
    "stream must be*true",
    "must be streamed",
    "please enable the stream",
    "please use stream",
    "set stream=true",
    "set stream to true",
    "stream=true is required",
    "non-streaming is not supported",
    "non-streaming requests are not supported",
];

const THINKING: &[&str] = &[
    "not support thinking",
    "not support reasoning",
    "thinking is not",
    "thinking*not supported",
    "reasoning is not supported",
    "reasoning effort",
    "reasoning_effort",
    "reasoning.effort",
    "thinking_level",
    "thinking level",
    "thinking_budget",
    "thinking budget",
];

const OUTRIGHT: &[&str] = &[
    "unsupported_parameter",
    "unsupported_value",
    "unknown_parameter",
    "unsupported parameter",
    "unknown parameter",
    "unrecognized request argument",
    "extra inputs are not permitted",
    "extra_forbidden",
    "unknown name",
    "unknown field",
    "unexpected keyword argument",
];

/// Parameters that a request may hold and whose names are not ordinary words.
const PARAMETERS: &[&str] = &[
    "frequency_penalty",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "presence_penalty",
    "prompt_cache_key",
    "reasoning_effort",
    "seed",
    "service_tier",
    "stream_options",
    "temperature",
    "tool_choice",
    "top_k",
    "top_logprobs",
    "top_p",
];

/// Parameters whose names are words as well: these count only when named explicitly, or in quotation marks.
const COMMON_WORDS: &[&str] = &["seed", "temperature"];

/// Whether a model that does not reason is asked to.
pub(crate) fn rejects_thinking(body: &ErrorBody) -> bool {
    body.says(THINKING) && switch(body).is_none()
}

/// Whether a parameter of the request is to blame.
pub(crate) fn rejects_a_parameter(body: &ErrorBody) -> bool {
    body.says(OUTRIGHT) || parameter(body).is_some()
}

/// The parameter that is to blame, as far as the endpoint names it.
pub(crate) fn blamed_parameter(body: &ErrorBody) -> Rejected {
    parameter(body).map_or(Rejected::Unexplained, |name| Rejected::Parameter(name.to_owned()))
}

/// Whether a system message is not accepted.
pub(crate) fn rejects_the_system_role(body: &ErrorBody) -> bool {
    let names_a_role = |param: &str| param.starts_with("messages") && param.ends_with("role");
    body.says(SYSTEM_ROLE) || body.param.as_deref().is_some_and(names_a_role)
}

fn parameter(body: &ErrorBody) -> Option<&str> {
    // Of two that exclude each other, the less important one.
    if body.says(&["top_p"]) && body.says(&["temperature"]) && body.says(&["both", "together", "only one", "either"]) {
        return Some("top_p");
    }
    let outright = body.says(OUTRIGHT);
    let named = body.param.as_deref().filter(|name| outright || PARAMETERS.contains(name));
    named.or_else(|| named_parameter(body.message.as_deref()?, outright))
}

/// The first parameter that a message names.
fn named_parameter(message: &str, outright: bool) -> Option<&'static str> {
    let text = message.to_ascii_lowercase();
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let mut end = 0;
    std::iter::from_fn(|| {
        let start = end + text[end..].find(is_name)?;
        end = start + text[start..].find(|c| !is_name(c)).unwrap_or(text.len() - start);
        Some((&text[..start], &text[start..end], &text[end..]))
    })
    .find_map(|(before, word, after)| {
        let known = PARAMETERS.iter().find(|known| **known == word)?;
        let is_meant = outright || !COMMON_WORDS.contains(known) || is_called_a_parameter(before, after);
        is_meant.then_some(*known)
    })
}

/// Whether a common word between these two texts is the name of a parameter.
fn is_called_a_parameter(before: &str, after: &str) -> bool {
    const CALLED: &[&str] =
        &["parameter", "param", "invalid", "support", "supports", "field", "argument", "option", "value of"];
    before.is_empty()
        || before.ends_with(['\'', '"', '`', '.'])
        || after.starts_with([':', '='])
        || CALLED.iter().any(|word| before.trim_end().ends_with(word))
}

/// A member that must have a certain value, as in `parameter.enable_thinking must be set to false`.
pub(crate) fn switch(body: &ErrorBody) -> Option<Rejected> {
    const MUST: &[&str] = &[" must be set to ", " must be ", " should be set to ", " has to be ", " needs to be "];
    MUST.iter().find_map(|must| {
        body.haystack.match_indices(must).find_map(|(at, _)| {
            let value = body.haystack[at + must.len()..].trim_start_matches(['\'', '"', '`']);
            let on = if value.starts_with("true") { true } else { value.starts_with("false").then_some(false)? };
            let before = body.haystack[..at].trim_end_matches(['\'', '"', '`']);
            let name = before.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next()?;
            // Other words are not members.
            let is_member = name.contains('_') || before[..before.len() - name.len()].ends_with(['.', '\'', '"', '`']);
            (is_member && !name.is_empty()).then(|| Rejected::Switch { name: name.to_owned(), on })
        })
    })
}

/// The output limit of the model, if the endpoint states it.
pub(crate) fn output_limit(body: &ErrorBody) -> Rejected {
    Rejected::OutputLimit(room::numbers(body.message.as_deref().unwrap_or_default()))
}
