//! Strips what models put around an answer: reasoning, channels, code fences.

use memchr::{memchr_iter, memmem, memrchr_iter};

/// The ends of visible reasoning: Qwen, DeepSeek and others; prompts that ask for such tags; Gemma, Seed, Cohere; Mistral; Kimi.
const REASONING: [(&str, &str); 10] = [
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<reasoning>", "</reasoning>"),
    ("<thought>", "</thought>"),
    ("<analysis>", "</analysis>"),
    ("<reflection>", "</reflection>"),
    ("<seed:think>", "</seed:think>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("[THINK]", "[/THINK]"),
    ("\u{25c1}think\u{25b7}", "\u{25c1}/think\u{25b7}"),
];
/// gpt-oss with a server that drops its control tokens.
const BARE_CHANNELS: (&str, &str) = ("analysis", "assistantfinal");
/// Of these, what may also be a field after the verdict.
const FIELDS: [&str; 3] = ["</reasoning>", "</analysis>", "</reflection>"];
const CHANNEL: &str = "<|channel|>";
const MESSAGE: &str = "<|message|>";
const CHANNEL_ENDS: [&str; 3] = ["<|return|>", "<|end|>", "<|call|>"];

/// The answer without a byte order mark and without the reasoning before it. Empty when all of it was reasoning.
///
/// Some chat templates open the block themselves, so an end without a beginning counts too: everything up to the last one goes.
/// A block that never ends is removed whole, since the judge was still thinking.
pub(super) fn reasoning(text: &str) -> &str {
    let text = final_channel(text.trim_start_matches(|c: char| c == '\u{feff}' || c.is_whitespace()));
    let text = match last_closing(text) {
        // `<score>4</score><reasoning>…</reasoning>`: here the reasoning is a field after the verdict.
        Some((start, end))
            if text[end..].trim().is_empty()
                && FIELDS.iter().any(|name| text[start..end].eq_ignore_ascii_case(name)) =>
        {
            let opening = text[start..end].replacen('/', "", 1);
            memmem::find(text.as_bytes(), opening.as_bytes()).map_or("", |open| &text[..open])
        }
        Some((_, end)) => &text[end..],
        None => text,
    };
    text[..unclosed(text)].trim()
}

/// gpt-oss: `<|channel|>analysis<|message|>…<|end|><|start|>assistant<|channel|>final<|message|>…<|return|>`.
fn final_channel(text: &str) -> &str {
    let mut segments = text.split(CHANNEL).skip(1).peekable();
    if segments.peek().is_none() {
        let (analysis, last) = BARE_CHANNELS;
        let answer = text.starts_with(analysis).then(|| text.rsplit_once(last)).flatten();
        return answer.map_or(text, |(_, answer)| answer);
    }
    // Without a final channel all of it was reasoning.
    let answer = segments.filter_map(|segment| segment.trim_start().strip_prefix("final")?.split_once(MESSAGE)).last();
    let answer = answer.map_or("", |(_, answer)| answer);
    let end = CHANNEL_ENDS.iter().filter_map(|end| answer.find(end)).min();
    &answer[..end.unwrap_or(answer.len())]
}

/// Where the last end of a reasoning block begins and ends.
fn last_closing(text: &str) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let last = |mark: u8| {
        memrchr_iter(mark, bytes).find_map(|at| {
            let (_, close) = REASONING.iter().find(|(_, close)| starts_with(&bytes[at..], close))?;
            Some((at, at + close.len()))
        })
    };
    // The last one is the first byte of Kimi's `◁`.
    last(b'<').max(last(b'[')).max(last(0xE2))
}

/// Where a block opens at the beginning of a line and never ends; the length of the text when none does.
fn unclosed(text: &str) -> usize {
    let bytes = text.as_bytes();
    let opens = |line: &[u8]| {
        let indent = line.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
        REASONING.iter().any(|(open, _)| starts_with(&line[indent..], open))
    };
    let mut starts = std::iter::once(0).chain(memchr_iter(b'\n', bytes).map(|at| at + 1));
    starts.find(|&at| opens(&bytes[at..])).unwrap_or(text.len())
}

fn starts_with(bytes: &[u8], prefix: &str) -> bool {
    bytes.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix.as_bytes()))
}

/// The content of the code fence that `text` begins with, whether or not it is closed; else `text`, trimmed.
pub(super) fn fence(text: &str) -> &str {
    let text = text.trim();
    let Some(mark) = ["```", "~~~"].into_iter().find(|mark| text.starts_with(mark)) else { return text };
    let ticks = &mark[..1];
    let inner = text.trim_start_matches(ticks);
    let is_language = |info: &str| info.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '+' | '.'));
    let inner = match inner.split_once('\n') {
        Some((info, content)) if is_language(info.trim()) => content,
        // A fence on one line: the language ends where the JSON begins.
        _ => match inner.find(['{', '[']) {
            Some(start) if is_language(inner[..start].trim()) => &inner[start..],
            _ => inner,
        },
    };
    inner.strip_suffix(mark).unwrap_or(inner).trim_end_matches(ticks).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasoning_goes_up_to_its_last_end() {
        for (text, rest) in [
            ("<think>a {\"value\": 1}</think>\n4", "4"),
            ("no beginning</think>4", "4"),
            ("<think>a</think>b</think> 4", "4"),
            ("<Thinking>a</THINKING>4", "4"),
            ("<reasoning>a</reasoning><score>4</score>", "<score>4</score>"),
            ("<score>4</score><reasoning>a</reasoning>", "<score>4</score>"),
            ("4 <think>a</think>", ""),
            ("[THINK]a[/THINK]4", "4"),
            ("\u{25c1}think\u{25b7}a\u{25c1}/think\u{25b7}4", "4"),
            ("<|START_THINKING|>a<|END_THINKING|><|START_RESPONSE|>4", "<|START_RESPONSE|>4"),
            ("<seed:think>a</seed:think>4", "4"),
            ("analysisMaybe 2.assistantfinal4", "4"),
            ("analysis: it is fine. 4", "analysis: it is fine. 4"),
            ("<think>only thoughts, then the budget was gone", ""),
            ("</think>\n<think>again", ""),
            ("Well.\n <think>again", "Well."),
            ("I mention <think> in passing: 4", "I mention <think> in passing: 4"),
            ("\u{feff} 4 ", "4"),
            ("", ""),
        ] {
            assert_eq!(reasoning(text), rest, "{text}");
        }
    }

    #[test]
    fn only_the_final_channel_is_the_answer() {
        for (text, rest) in [
            ("<|channel|>analysis<|message|>x<|end|><|start|>assistant<|channel|>final<|message|>4<|return|>", "4"),
            ("<|channel|>final <|constrain|>json<|message|>{}", "{}"),
            ("<|channel|>analysis<|message|>the score is 4", ""),
            ("<|channel|>final<|message|>3<|end|><|channel|>final<|message|>4", "4"),
            ("<|channel|>final<|message|>4<|end|><|channel|>commentary<|message|>x", "4"),
            ("<|channel|>final", ""),
        ] {
            assert_eq!(reasoning(text), rest, "{text}");
        }
    }

    #[test]
    fn a_fence_is_opened() {
        for (text, inner) in [
            ("```json\n{}\n```", "{}"),
            ("```\n4\n```", "4"),
            ("~~~\n{}\n~~~", "{}"),
            ("````json\n{}\n````", "{}"),
            ("```json\n{}", "{}"),
            ("```json {}```", "{}"),
            ("```{}```", "{}"),
            ("```json\r\n{}\r\n```\r\n", "{}"),
            ("`4`", "`4`"),
            (" {} ", "{}"),
            ("```", ""),
        ] {
            assert_eq!(fence(text), inner, "{text}");
        }
    }
}
