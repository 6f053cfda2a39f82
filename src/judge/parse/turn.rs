//! The judge's own turn in an answer: without invisible characters, and without what follows its end.

use std::borrow::Cow;

use crate::judge::control;

/// The text without format characters and with full-width forms of ASCII as ASCII. Joiners between letters of other scripts stay.
pub(super) fn visible(text: &str) -> Cow<'_, str> {
    if text.is_ascii() || !text.chars().any(|c| is_format(c) || is_full_width(c)) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{200c}' | '\u{200d}' | '\u{fe0e}' | '\u{fe0f}' => {
                let is_foreign = |c: Option<char>| c.is_some_and(|c| !c.is_ascii());
                if is_foreign(out.chars().next_back()) && is_foreign(chars.peek().copied()) {
                    out.push(c);
                }
            }
            c if is_full_width(c) => out.push(char::from_u32(c as u32 - 0xFEE0).unwrap_or(c)),
            c if !is_format(c) => out.push(c),
            _ => {}
        }
    }
    out.into()
}

/// Characters that show nothing: zero-width spaces, joiners, controls of the writing direction, soft hyphens, tags, and the
/// object replacement character, which the parser uses for itself.
pub(super) fn is_format(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fffc}' | '\u{e0000}'..='\u{e007f}'
    )
}

/// `：`, `５`, `Ａ`.
fn is_full_width(c: char) -> bool {
    matches!(c, '\u{ff01}'..='\u{ff5e}')
}

/// The text from the first thing said to the end of the turn. Models whose chat template does not fit write control tokens and
/// the name of their role before the answer, and run on into a next turn after it.
pub(super) fn own(text: &str) -> &str {
    let mut text = text.trim();
    loop {
        let rest = match control::token(text) {
            Some(len) => &text[len..],
            None => match text.split_once('\n') {
                Some((first, rest)) if is_role(first) => rest,
                _ => break,
            },
        };
        text = rest.trim_start();
    }
    text[..control::end_of_turn(text).unwrap_or(text.len())].trim_end()
}

fn is_role(line: &str) -> bool {
    ["assistant", "model", "assistant:"].iter().any(|role| line.trim().eq_ignore_ascii_case(role))
}

/// Where the answer runs on into another speaker's turn: the line that names the speaker.
pub(super) fn run_on(text: &str) -> Option<(usize, &str)> {
    let mut at = 0;
    let mut after_blank = false;
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim();
        let speaker = trimmed.split_once(':').map_or("", |(speaker, _)| speaker).trim_matches(['*', '#', ' ']);
        if after_blank && ["human", "user"].iter().any(|name| speaker.eq_ignore_ascii_case(name)) {
            return Some((at, trimmed));
        }
        after_blank = trimmed.is_empty();
        at += line.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_show_is_not_content() {
        for (text, shown) in [
            ("Score: \u{200b}5", "Score: 5"),
            ("\u{feff}true\u{2060}", "true"),
            ("tr\u{ad}ue\u{202e}", "true"),
            ("Score\u{ff1a}\u{ff15}", "Score:5"),
            ("4\u{e0041}", "4"),
            ("va\u{200d}lue", "value"),
            ("\u{1f468}\u{200d}\u{1f469}", "\u{1f468}\u{200d}\u{1f469}"),
            ("می\u{200c}خواهم", "می\u{200c}خواهم"),
            ("plain", "plain"),
        ] {
            assert_eq!(visible(text), shown);
        }
    }

    #[test]
    fn a_turn_is_taken_out_of_its_template() {
        for (text, turn) in [
            ("4<|im_end|>\n<|im_start|>user\n5", "4"),
            ("<|im_start|>assistant\n4", "4"),
            ("[INST] 4 [/INST]</s>", "4"),
            ("<s> 4", "4"),
            ("assistant\n\n4", "4"),
            ("<|START_RESPONSE|>4<|END_RESPONSE|>", "4"),
            ("4", "4"),
            ("<|im_end|>", ""),
        ] {
            assert_eq!(own(text), turn, "{text}");
        }
    }

    #[test]
    fn a_next_turn_begins_with_a_speaker_behind_a_blank_line() {
        assert_eq!(run_on("4\n\nHuman: more\n\nAssistant: 5"), Some((3, "Human: more")));
        assert_eq!(run_on("4\n\n**User:** more"), Some((3, "**User:** more")));
        assert_eq!(run_on("The user: asks\nHuman: x"), None);
        assert_eq!(run_on("Human: x\n4"), None);
    }
}
