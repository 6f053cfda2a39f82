//! What a program writes, cleaned up for messages.

/// Characters of it that are shown.
const SHOWN: usize = 200;

/// On one line, without what terminals interpret and what changes the writing direction, and not too long.
pub(super) fn harmless(text: &str) -> String {
    let mut shown = String::new();
    for c in text.trim().chars().take(SHOWN) {
        match c {
            '\n' | '\t' => shown.push(' '),
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' => {
                shown.push('\u{fffd}')
            }
            c if c.is_control() => shown.push('\u{fffd}'),
            c => shown.push(c),
        }
    }
    if text.trim().chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

/// The same in quotation marks.
pub(super) fn quoted(text: &str) -> String {
    format!("`{}`", harmless(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_says_cannot_harm_a_terminal() {
        assert_eq!(harmless(" a\u{1b}[31m\nb\u{202e}c "), "a\u{fffd}[31m b\u{fffd}c");
        let long = harmless(&"x".repeat(1000));
        assert!(long.ends_with("x…") && long.chars().count() == SHOWN + 1);
        assert_eq!(quoted(""), "``");
    }
}
