//! Answers that repeat themselves until the output limit stops them.

use memchr::memmem;

/// The length of the end of a text to look for again, in characters.
const UNIT: usize = 64;
/// How often it must occur, one after another.
const REPEATS: usize = 4;

/// Whether a text ends in a loop: its last 64 characters occur in it at least four times, including the last one.
///
/// It finds loops of any length, a word as well as a paragraph, and white space too. Time is linear in the text.
pub fn has_periodic_tail(text: &str) -> bool {
    let Some((start, _)) = text.char_indices().rev().nth(UNIT - 1) else { return false };
    memmem::find_iter(text.as_bytes(), &text.as_bytes()[start..]).take(REPEATS).count() == REPEATS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_is_found_whatever_its_length() {
        for unit in ["I am a judge, ", "\n", " \t", "0", "149.0, ", "ja, ", "é", "The answer is right. "] {
            let text = format!("{{\"rationale\": \"The question asks for a date. {}", unit.repeat(400));
            assert!(has_periodic_tail(&text), "{unit:?}");
        }
        let paragraph: String = (0..60).map(|n| format!("Sentence {n} of the paragraph. ")).collect();
        assert!(has_periodic_tail(&paragraph.repeat(4)));
        assert!(!has_periodic_tail(&paragraph.repeat(3)), "said three times");
    }

    #[test]
    fn a_text_that_ends_is_not_a_loop() {
        let counted: String = (0..500).map(|n| format!("{n}, ")).collect();
        let ruled = format!("Fine.\n{}\nScore: 4", "-".repeat(500));
        for text in ["", "x", "I am a judge, I am a judge, I am a judge, I am a judge", &counted, &ruled] {
            assert!(!has_periodic_tail(text), "{text}");
        }
    }

    #[test]
    fn a_long_text_takes_linear_time() {
        assert!(has_periodic_tail(&"ab".repeat(1 << 22)));
        assert!(!has_periodic_tail(&format!("{}x", "ab".repeat(1 << 22))));
    }
}
