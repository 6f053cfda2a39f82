//! How much room for the answer an endpoint leaves a request that is too long for it.
//!
//! Servers count the room that a request reserves for the answer, and refuse what does not fit: the context window, or the model's own
//! output limit. Most of them give the numbers in words.

use crate::endpoint::failure::error_body::ErrorBody;

/// A verdict in fewer tokens would be cut off: then the prompt itself is too long.
const MIN_ROOM: u32 = 64;

/// What precedes the size of the context window, and what follows it.
const BEFORE_WINDOW: &[&str] = &[
    "maximum context length is ",
    "maximum context length of ",
    "maximum context length: ",
    "context length is ",
    "context length of ",
    "context length (",
    "context window of ",
    "context window is ",
    "context limit of ",
    "context limit is ",
    "context size is ",
    "max_model_len=",
    "max_model_len (",
    "`max_new_tokens` must be <= ",
];
const AFTER_WINDOW: &[&str] = &[" maximum context length", " token context", "-token context"];

/// What follows the number of the prompt's tokens, and what precedes it.
const AFTER_PROMPT: &[&str] = &[
    " in the messages",
    " in the prompt",
    " in your prompt",
    " of text input",
    " of input",
    " from the input",
    " input tokens",
    " prompt tokens",
    " tokens in the messages",
    " tokens in the prompt",
    " tokens from the input",
    " tokens of input",
    " `inputs` tokens",
];
const BEFORE_PROMPT: &[&str] =
    &["prompt contains at least ", "prompt contains ", "prompt has ", "input tokens: ", "prompt tokens: "];

/// What precedes the number of all tokens that were requested, and what follows the output's part of them.
const BEFORE_TOTAL: &[&str] = &["you requested a total of ", "you requested about ", "you requested "];
const AFTER_OUTPUT: &[&str] = &[
    " in the completion",
    " tokens in the completion",
    " for the completion",
    " tokens for the completion",
    " in the output",
];

/// The names of the output limit, in words and in requests.
const OUTPUT_LIMIT: &[&str] = &[
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "max_new_tokens",
    "maxoutputtokens",
    "maxtokens",
    "maximum tokens",
    "max tokens",
    "completion tokens",
    "output tokens",
];

/// The words about a number that is too large.
const TOO_LARGE: &[&str] = &[
    "too large",
    "too high",
    "too big",
    "at most",
    "up to",
    "less than",
    "lower than",
    "smaller than",
    "below",
    "exceed",
    "greater than",
    "larger than",
    "higher than",
    "maximum",
    "range",
    "between",
    "must be",
    "<=",
    " > ",
];

/// The room that the prompt leaves in the context window, if a verdict fits into it.
pub(crate) fn room_left(body: &ErrorBody) -> Option<u32> {
    let text = body.haystack.replace(',', "");
    let (window, prompt) = of_sum(&text).or_else(|| Some((window(&text)?, prompt(&text)?)))?;
    window.checked_sub(prompt).filter(|room| *room >= MIN_ROOM)
}

/// Anthropic's "188240 + 21333 > 200000": prompt, room, window.
fn of_sum(text: &str) -> Option<(u32, u32)> {
    text.match_indices(" + ").find_map(|(at, plus)| {
        let prompt = number_at_end(&text[..at])?;
        let (_, rest) = number_at_start(&text[at + plus.len()..])?;
        let (window, _) = number_at_start(rest.strip_prefix(" > ")?)?;
        Some((window, prompt))
    })
}

fn window(text: &str) -> Option<u32> {
    after(text, BEFORE_WINDOW).or_else(|| before(text, AFTER_WINDOW))
}

/// The prompt's tokens: as stated, or the total without the output.
fn prompt(text: &str) -> Option<u32> {
    let rest = || after(text, BEFORE_TOTAL)?.checked_sub(before(text, AFTER_OUTPUT)?);
    rest().or_else(|| before(text, AFTER_PROMPT)).or_else(|| after(text, BEFORE_PROMPT))
}

/// Whether the endpoint says that the output limit alone is too large.
pub(crate) fn output_limit_is_too_large(body: &ErrorBody) -> bool {
    body.says(OUTPUT_LIMIT)
        && body.says(TOO_LARGE)
        && !body.says(&["unsupported", "not supported"])
        && !numbers(body.message.as_deref().unwrap_or_default()).is_empty()
}

/// The numbers in a message, each as the most that it can mean: 8192 of "less than 8193".
pub(crate) fn numbers(message: &str) -> Vec<u32> {
    const EXCLUSIVE: &[&str] = &["less than", "lower than", "smaller than", "below"];
    let text = message.to_ascii_lowercase();
    let mut numbers = Vec::new();
    let mut at = 0;
    while let Some(start) = text[at..].find(|c: char| c.is_ascii_digit()).map(|start| at + start) {
        let length = text[start..].find(|c: char| !c.is_ascii_digit() && c != ',').unwrap_or(text.len() - start);
        let digits = text[start..start + length].trim_end_matches(',');
        let end = start + digits.len();
        at = start + length;
        // Part of a name, such as `gpt-4o`.
        let in_name = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ':');
        let before = text[..start].chars().next_back().is_some_and(in_name);
        let touches = text[end..].chars().next().is_some_and(|c| c.is_alphanumeric() || c == '-');
        let Some(number) = digits.replace(',', "").parse::<u32>().ok().filter(|_| !before && !touches) else {
            continue;
        };
        let words = text[..start].trim_end_matches([' ', '`', '\'', '"']);
        let is_exclusive = EXCLUSIVE.iter().any(|words_before| words.ends_with(words_before))
            || text[end..].starts_with(')') && text[..start].contains('[')
            || text[end..].starts_with(" (exclusive");
        numbers.push(number - u32::from(is_exclusive && number > 0));
    }
    numbers
}

/// The number that follows one of these.
fn after(text: &str, words: &[&str]) -> Option<u32> {
    words.iter().find_map(|words| {
        text.match_indices(words).find_map(|(at, _)| Some(number_at_start(&text[at + words.len()..])?.0))
    })
}

/// The number before one of these.
fn before(text: &str, words: &[&str]) -> Option<u32> {
    words.iter().find_map(|words| {
        text.match_indices(words)
            .find_map(|(at, _)| number_at_end(text[..at].trim_end_matches("tokens").trim_end_matches(' ')))
    })
}

fn number_at_start(text: &str) -> Option<(u32, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

fn number_at_end(text: &str) -> Option<u32> {
    let start = text
        .rfind(|c: char| !c.is_ascii_digit())
        .map_or(0, |at| at + text[at..].chars().next().map_or(1, char::len_utf8));
    text[start..].parse().ok()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn body(message: &str) -> ErrorBody {
        let body = serde_json::json!({"error": {"message": message}}).to_string();
        ErrorBody::read(body.as_bytes(), SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn the_room_that_is_left_is_read_in_everybodys_words() {
        for (message, room) in [
            // OpenAI and older vLLM
            (
                "This model's maximum context length is 4096 tokens. However, you requested 4300 tokens (2252 in the messages, 2048 in the completion). Please reduce the length of the messages or completion.",
                Some(1844),
            ),
            (
                "This model's maximum context length is 4097 tokens. However, you requested 4,300 tokens (2000 in the messages, 252 in the functions, and 2048 in the completion).",
                Some(1845),
            ),
            (
                "This model's maximum context length is 4097 tokens. However, your messages resulted in 4294 tokens.",
                None,
            ),
            (
                "This model's maximum context length is 4096 tokens. However, you requested 6144 tokens (4096 in the messages, 2048 in the completion).",
                None,
            ),
            // vLLM
            (
                "'max_tokens' or 'max_completion_tokens' is too large: 8000. This model's maximum context length is 4096 tokens and your request has 2778 input tokens (8000 > 4096 - 2778).",
                Some(1318),
            ),
            (
                "This model's maximum context length is 4096 tokens. However, you requested 2048 output tokens and your prompt contains at least 2049 input tokens, for a total of at least 4097 tokens.",
                Some(2047),
            ),
            // SGLang
            (
                "Requested token count exceeds the model's maximum context length of 4096 tokens. You requested a total of 5000 tokens: 2952 tokens from the input messages and 2048 tokens for the completion.",
                Some(1144),
            ),
            // Anthropic
            (
                "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000, decrease input length or `max_tokens` and try again",
                Some(11_760),
            ),
            // Mistral
            (
                "Prompt contains 30000 tokens and 4096 draft tokens, too large for model with 32768 maximum context length",
                Some(2768),
            ),
            // Text Generation Inference
            (
                "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4097. Given: 3000 `inputs` tokens and 2048 `max_new_tokens`",
                Some(1097),
            ),
            (
                "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4097. Given: 80125 `inputs` tokens and 4096 `max_new_tokens`",
                None,
            ),
            // OpenRouter
            (
                "This endpoint's maximum context length is 32768 tokens. However, you requested about 34000 tokens (31000 of text input, 3000 in the output).",
                Some(1768),
            ),
            // llama.cpp
            ("request (5004 tokens) exceeds the available context size (1024 tokens), try increasing it", None),
            ("Your input exceeds the context window of this model.", None),
            // 63 tokens are too few, 64 are not.
            (
                "maximum context length is 1000 tokens. you requested 3000 tokens (937 in the messages, 2063 in the completion)",
                None,
            ),
            (
                "maximum context length is 1000 tokens. you requested 3000 tokens (936 in the messages, 2064 in the completion)",
                Some(64),
            ),
        ] {
            assert_eq!(room_left(&body(message)), room, "{message}");
        }
    }

    #[test]
    fn an_output_limit_that_is_too_large_is_told_from_one_with_another_name() {
        for (message, largest) in [
            (
                "max_tokens is too large: 2048. This model supports at most 1024 completion tokens, whereas you provided 2048.",
                Some(1024),
            ),
            (
                "`max_tokens` must be less than or equal to `1024`, the maximum value for `max_tokens` is less than the `context_window` for this model",
                Some(1024),
            ),
            (
                "max_tokens: 2048 > 1024, which is the maximum allowed number of output tokens for claude-3-haiku-20240307",
                Some(1024),
            ),
            ("Invalid max_tokens value, the valid range of max_tokens is [1, 1024]", Some(1024)),
            ("Range of max_tokens should be [1, 1024]", Some(1024)),
            (
                "The maximum tokens you requested exceeds the model limit of 1024. Try again with a maximum tokens value that is lower than 1024.",
                Some(1024),
            ),
            ("max_tokens must be less than 1025 for gpt-4o-mini-2024-07-18", Some(1024)),
            (
                "Unable to submit request because it has a maxOutputTokens value of 2048 but the supported range is from 1 (inclusive) to 1025 (exclusive).",
                Some(1024),
            ),
            ("max_tokens out of range [1, 1025)", Some(1024)),
            ("max_tokens=2048 cannot be greater than max_model_len=1024", Some(1024)),
            ("max_completion_tokens must be at most 1,024.", Some(1024)),
            (
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
                None,
            ),
            ("max_tokens is too large", None),
            ("temperature must be at most 1", None),
        ] {
            let body = body(message);
            let numbers = numbers(body.message.as_deref().unwrap());
            let read =
                output_limit_is_too_large(&body).then(|| numbers.into_iter().filter(|n| *n < 2048).max().unwrap());
            assert_eq!(read, largest, "{message}");
        }
    }

    #[test]
    fn numbers_in_names_are_not_counted() {
        assert_eq!(numbers("gpt-4o, llama3.2:1b and 7b of v1/models take 1,024 or 16."), [1024, 16]);
        assert_eq!(numbers("0 or less than 0"), [0, 0]);
        assert!(numbers("99999999999").is_empty());
    }
}
