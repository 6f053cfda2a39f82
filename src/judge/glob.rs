//! Patterns of names: `*` stands for any text, `?` for one character.

/// Whether a pattern fits all of a text. The time is at most the product of both lengths.
pub fn fits(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where the latest `*` is, and how far it reaches so far. An earlier one never has to reach further.
    let mut star = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' || *c == text[t] => (p, t) = (p + 1, t + 1),
            _ => {
                let Some((at, reach)) = star else { return false };
                star = Some((at, reach + 1));
                (p, t) = (at + 1, reach + 1);
            }
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn a_pattern_fits_all_of_a_text_or_not_at_all() {
        for (pattern, text) in [
            ("*.jsonl", "a.jsonl"),
            ("night-?", "night-1"),
            ("*", ""),
            ("*a*b*", "xaxbx"),
            ("", ""),
            ("a*a", "aba"),
            ("?", "é"),
        ] {
            assert!(fits(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in
            [("night-?", "night-10"), ("*.jsonl", "a.jsonl.bak"), ("a*", "ba"), ("a*a", "a"), ("", "a"), ("?", "")]
        {
            assert!(!fits(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn many_stars_take_no_more_time_than_the_lengths_allow() {
        // A matcher that tries every split of the text would never finish.
        let text = "a".repeat(20_000);
        assert!(!fits(&"a*".repeat(30).replace("a*a*", "a*a*b*"), &text));
    }
}
