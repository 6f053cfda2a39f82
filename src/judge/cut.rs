//! Cutting long values, so that a prompt keeps to a length: the middle is removed, and the text says how much.

use std::borrow::Cow;

use minijinja::State;

/// Room for the marker of an omission.
const MARKER_BYTES: usize = 64;
/// A value with less room than this loses its meaning.
const MIN_BYTES: usize = 256;

/// The cuts in the values of one prompt; a render-local extension of the engine's state.
#[derive(Debug, Default)]
pub(super) struct Cuts {
    /// Bytes of each value, as it was.
    pub lengths: Vec<usize>,
    /// Characters that are not in the prompt.
    pub chars_left_out: u64,
}

/// The text with at most `budget` bytes.
pub(super) fn note<'a>(state: &mut State<'_, '_>, text: &'a str, budget: usize) -> Cow<'a, str> {
    let cuts: &mut Cuts = state.get_or_insert_extension_with(Cuts::default);
    cuts.lengths.push(text.len());
    let (text, chars) = cut(text, budget);
    cuts.chars_left_out += chars;
    text
}

/// The most bytes that each value may have, so that all together have at most `room`: the longest are cut first, and to
/// the same length. `None` if too little of them would be left.
pub(super) fn budget(mut lengths: Vec<usize>, room: usize) -> Option<usize> {
    lengths.sort_unstable();
    let mut room = room;
    for (i, length) in lengths.iter().enumerate() {
        let share = room / (lengths.len() - i);
        if *length > share {
            return (share >= MIN_BYTES).then_some(share);
        }
        room -= length;
    }
    Some(usize::MAX)
}

/// The text with at most `budget` bytes, and how many characters of its middle are omitted.
fn cut(text: &str, budget: usize) -> (Cow<'_, str>, u64) {
    if text.len() <= budget {
        return (text.into(), 0);
    }
    let half = budget.saturating_sub(MARKER_BYTES) / 2;
    let head = (0..=half).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let tail = (text.len() - half..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    let (before, middle, after) = (&text[..head], &text[head..tail], &text[tail..]);
    let chars = middle.chars().count() as u64;
    (format!("{before}\n[... {} characters left out ...]\n{after}", grouped(chars)).into(), chars)
}

/// `12,345`.
pub(super) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_goes_at_character_boundaries_and_the_text_says_how_much() {
        let text = "ä".repeat(1000);
        for budget in 300..320 {
            let (short, chars) = cut(&text, budget);
            assert!(short.len() <= budget && short.starts_with('ä') && short.ends_with('ä'), "{budget}");
            let kept = short.chars().filter(|c| *c == 'ä').count() as u64;
            assert_eq!(kept + chars, 1000);
            assert!(short.contains(&format!("\n[... {chars} characters left out ...]\n")));
        }
        assert_eq!(cut(&text, 2000), (text.as_str().into(), 0));
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn the_longest_are_cut_first_and_short_ones_never() {
        assert_eq!(budget(vec![100, 5000, 3000], 6000), Some(2950));
        assert_eq!(budget(vec![100, 5000, 3000], 8099), Some(4999));
        assert_eq!(budget(vec![100, 5000, 3000], 8100), Some(usize::MAX));
        assert_eq!(budget(vec![100, 5000, 3000], 500), None, "nothing sensible would be left");
        assert_eq!(budget(vec![], 0), Some(usize::MAX));
    }
}
