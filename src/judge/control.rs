//! Control tokens of chat templates, and characters that people do not see.
//!
//! Servers that tokenize a prompt as one text treat a control token in it as their own: `<|im_end|>` in a judged answer ends the
//! turn, even inside a fence. So prompts show them broken, `< |im_end| >`; and in a judge's answer they end the judge's turn.
//!
//! Sources: the `tokenizer_config.json` of each family. ChatML, Llama 3, Phi, gpt-oss, Command, Granite: `<|...|>`. Gemma: `<start_of_turn>`,
//! `<|turn>`, `<turn|>`. Mistral and Llama 2: `[INST]`, `<<SYS>>`, `<s>`. DeepSeek, Hunyuan: full-width bars. Kimi: `◁think▷`. EXAONE:
//! `[|user|]`. MiniMax: `]~b]`. GLM: `[gMASK]`, `<sop>`. llama.cpp: `<__media__>`.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use memchr::{memchr2_iter, memchr3, memchr3_iter, memmem};

/// Names between `<` and `>`, also with a `/` before them.
const ANGLED: [&str; 26] = [
    "s",
    "bos",
    "eos",
    "pad",
    "unk",
    "mask",
    "sop",
    "eop",
    "BOS_TOKEN",
    "EOS_TOKEN",
    "PAD_TOKEN",
    "start_of_turn",
    "end_of_turn",
    "start_of_image",
    "end_of_image",
    "start_function_call",
    "end_function_call",
    "start_function_response",
    "end_function_response",
    "think",
    "tool_call",
    "tool_calls",
    "tool_response",
    "tool_responses",
    "__media__",
    "fim_prefix",
];
/// Names between `[` and `]`, also with a `/` before them.
const SQUARED: [&str; 16] = [
    "INST",
    "THINK",
    "SYSTEM_PROMPT",
    "TOOL_CALLS",
    "TOOL_RESULTS",
    "TOOL_CONTENT",
    "AVAILABLE_TOOLS",
    "CALL_ID",
    "ARGS",
    "PREFIX",
    "MIDDLE",
    "SUFFIX",
    "BOS",
    "EOS",
    "PAD",
    "gMASK",
];
/// Tokens of no such form.
const OTHERS: [&str; 5] = ["<<SYS>>", "<</SYS>>", "]~b]", "]~!b[", "[e~["];
/// No control token is longer, in bytes.
const MAX_TOKEN: usize = 80;

/// Parts of names of tokens that may occur inside an answer: reasoning, channels, calls of tools, beginnings.
const INSIDE: [&str; 13] = [
    "think",
    "channel",
    "message",
    "constrain",
    "tool",
    "function",
    "start_response",
    "begin",
    "python_tag",
    "unk",
    "mask",
    "args",
    "call_id",
];

/// The text with every control token broken, and how many there were.
pub(super) fn broken(text: Cow<'_, str>) -> (Cow<'_, str>, u64) {
    let found = tokens(&text);
    if found.is_empty() {
        return (text, 0);
    }
    let mut out = String::with_capacity(text.len() + 2 * found.len());
    let mut done = 0;
    for range in &found {
        let token = &text[range.clone()];
        let first = token.chars().next().map_or(0, char::len_utf8);
        let last = token.char_indices().next_back().map_or(0, |(at, _)| at);
        out.push_str(&text[done..range.start]);
        for (part, after) in [(&token[..first], " "), (&token[first..last], " "), (&token[last..], "")] {
            out.push_str(part);
            out.push_str(after);
        }
        done = range.end;
    }
    out.push_str(&text[done..]);
    (out.into(), found.len() as u64)
}

/// The position of the first token that ends a turn or begins another: what follows is another speaker's.
pub(super) fn end_of_turn(text: &str) -> Option<usize> {
    let is_named = |at: usize| text[..at].ends_with(['`', '"', '\'', '\u{201c}']);
    let mut ends = tokens(text).into_iter().filter(|range| ends_turn(&text[range.clone()]) && !is_named(range.start));
    ends.next().map(|range| range.start)
}

fn ends_turn(token: &str) -> bool {
    let name = token.to_lowercase();
    !INSIDE.iter().any(|inside| name.contains(inside)) && !name.starts_with("<s>") && !name.starts_with("<bos")
}

/// The length of the control token that the text begins with.
pub(super) fn token(text: &str) -> Option<usize> {
    if let Some(other) = OTHERS.iter().find(|other| text.starts_with(*other)) {
        return Some(other.len());
    }
    let (closing, is_name): (char, fn(&str) -> bool) = match text.chars().next()? {
        '<' => ('>', is_angled),
        '[' => (']', is_squared),
        '\u{25c1}' => ('\u{25b7}', |_| true),
        _ => return None,
    };
    let inner = text.char_indices().skip(1).take(MAX_TOKEN);
    let mut inner = inner.skip_while(|(_, c)| *c != closing && !c.is_whitespace() && !matches!(c, '<' | '['));
    let (end, found) = inner.next()?;
    let start = text.chars().next().map_or(1, char::len_utf8);
    (found == closing && end > start && is_name(&text[start..end])).then_some(end + closing.len_utf8())
}

fn is_angled(name: &str) -> bool {
    let bars = ['|', '\u{ff5c}'];
    let numbered = |prefix: &str| {
        name.strip_prefix(prefix).is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    };
    (name.starts_with(bars) || name.ends_with(bars)) && !name.trim_matches(bars).is_empty()
        || ANGLED.contains(&name.strip_prefix('/').unwrap_or(name))
        || name.strip_prefix('/').unwrap_or(name).starts_with("seed:")
        || numbered("unused")
        || numbered("reserved_")
}

fn is_squared(name: &str) -> bool {
    let barred = name.strip_prefix('|').and_then(|name| name.strip_suffix('|'));
    barred.is_some_and(|name| !name.is_empty()) || SQUARED.contains(&name.strip_prefix('/').unwrap_or(name))
}

/// All control tokens, from left to right.
fn tokens(text: &str) -> Vec<Range<usize>> {
    static TRIANGLE: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new("\u{25c1}"));
    let bytes = text.as_bytes();
    // Most texts end here.
    if memchr3(b'<', b'[', b']', bytes).is_none() && (bytes.is_ascii() || TRIANGLE.find(bytes).is_none()) {
        return Vec::new();
    }
    // What follows decides at a glance: JSON and markdown are full of brackets.
    let may_begin = |at: usize| match (bytes[at], bytes.get(at + 1)) {
        (b'<', Some(next)) => !next.is_ascii_whitespace() && *next != b'=',
        (b'[', Some(next)) => matches!(next, b'A'..=b'Z' | b'/' | b'|' | b'g' | b'e'),
        (_, Some(next)) => *next == b'~',
        (_, None) => false,
    };
    let length = |at: usize| Some(at..at + token(&text[at..])?);
    let mut found: Vec<_> =
        memchr3_iter(b'<', b'[', b']', bytes).filter(|at| may_begin(*at)).filter_map(length).collect();
    found.extend(TRIANGLE.find_iter(bytes).filter_map(length));
    found.sort_by_key(|range| range.start);
    let mut end = 0;
    found.retain(|range| {
        let is_apart = range.start >= end;
        end = if is_apart { range.end } else { end };
        is_apart
    });
    found
}

/// The number of characters that a model reads but a person does not see: Unicode tags, but for those of flags, and controls of the writing
/// direction.
pub(super) fn hidden(text: &str) -> u64 {
    const FLAG: char = '\u{1f3f4}';
    let mut count = 0;
    let mut end_of_flag = 0;
    for at in memchr2_iter(0xE2, 0xF3, text.as_bytes()) {
        let Some(c) = text.get(at..).and_then(|rest| rest.chars().next()) else { continue };
        match c {
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => count += 1,
            '\u{e0000}'..='\u{e007f}' => {
                if at == end_of_flag && at > 0 || text[..at].ends_with(FLAG) {
                    end_of_flag = at + c.len_utf8();
                } else {
                    count += 1;
                }
            }
            _ => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_tokens_are_broken_visibly() {
        for (text, shown, count) in [
            ("fine<|im_end|>\n<|im_start|>system", "fine< |im_end| >\n< |im_start| >system", 2),
            ("<start_of_turn>user", "< start_of_turn >user", 1),
            ("<|turn>model<turn|>", "< |turn >model< turn| >", 2),
            ("[INST] x [/INST]", "[ INST ] x [ /INST ]", 2),
            ("<s>[INST] <<SYS>>x<</SYS>>", "< s >[ INST ] < <SYS> >x< </SYS> >", 4),
            ("</think>", "< /think >", 1),
            ("[THINK]", "[ THINK ]", 1),
            ("<\u{ff5c}end\u{2581}of\u{2581}sentence\u{ff5c}>", "< \u{ff5c}end\u{2581}of\u{2581}sentence\u{ff5c} >", 1),
            ("\u{25c1}think\u{25b7}", "\u{25c1} think \u{25b7}", 1),
            ("]~b]ai", "] ~b ]ai", 1),
            ("[|user|]", "[ |user| ]", 1),
            ("[gMASK]<sop><|user|>", "[ gMASK ]< sop >< |user| >", 3),
            ("<seed:think>", "< seed:think >", 1),
            ("<|<|im_end|>|>", "<|< |im_end| >|>", 1),
            ("<unused12>", "< unused12 >", 1),
            ("{\"a\":\"<|eot_id|>\"}", "{\"a\":\"< |eot_id| >\"}", 1),
        ] {
            let (broken, broken_count) = broken(text.into());
            assert_eq!((broken.as_ref(), broken_count), (shown, count), "{text}");
            assert!(tokens(&broken).is_empty(), "{broken}");
        }
    }

    #[test]
    fn what_only_looks_alike_stays() {
        for text in [
            "a <|> b <|",
            "x <| f |> y",
            "<b>bold</b> <div class=\"x\">",
            "[1, 2] [A] [INSTALL] [link](url)",
            "[[A]] {\"a\":[\"b\"]}",
            "if a < b and c > d",
            "<thinking>",
            "Vec<u8> <unused> <reserved_x>",
            "< |im_end| >",
            "1 <| 2|> 3",
            "",
        ] {
            assert_eq!(broken(text.into()), (text.into(), 0), "{text}");
        }
    }

    #[test]
    fn a_turn_ends_at_the_first_token_that_ends_it() {
        for (text, end) in [
            ("4<|im_end|>", Some(1)),
            ("4</s>", Some(1)),
            ("4<end_of_turn>\n<start_of_turn>user", Some(1)),
            ("x [/INST]</s>", Some(2)),
            ("4<\u{ff5c}end\u{2581}of\u{2581}sentence\u{ff5c}>", Some(1)),
            ("<|channel|>final<|message|>4", None),
            ("<tool_call>4</tool_call>", None),
            ("It says `<|im_end|>` here", None),
            ("4", None),
        ] {
            assert_eq!(end_of_turn(text), end, "{text}");
        }
    }

    #[test]
    fn hidden_characters_are_counted_and_flags_are_not() {
        assert_eq!(hidden("a\u{e0041}\u{e0042}\u{202e}b\u{2066}"), 4);
        assert_eq!(hidden("\u{1f3f4}\u{e0067}\u{e0062}\u{e007f}, \u{201c}quoted\u{201d} \u{200f}"), 0);
        assert_eq!(hidden("\u{e0041}"), 1);
    }
}
