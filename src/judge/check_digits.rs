//! Numbers with check digits, in texts: payment cards and bank accounts.

/// The length of the valid number in a grouped match, in bytes: a pattern may have included what follows it. 0 if none is valid.
pub(super) fn longest(text: &str, is_right: fn(&str) -> bool) -> usize {
    let ends = text.char_indices().rev().filter(|(_, c)| matches!(c, ' ' | '-')).map(|(at, _)| at);
    std::iter::once(text.len()).chain(ends).find(|end| is_right(&text[..*end])).unwrap_or(0)
}

/// ISO/IEC 7812-1, annex B (Luhn): every second digit from the right is doubled, and the sum of all digits is a multiple of ten.
pub(super) fn is_card(text: &str) -> bool {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(10)).collect();
    let doubled = |(place, digit): (usize, &u32)| match (place % 2, digit * 2) {
        (0, _) => *digit,
        (_, doubled) => doubled / 10 + doubled % 10,
    };
    let sum: u32 = digits.iter().rev().enumerate().map(doubled).sum();
    // Zeros alone pass, and are no card.
    (13..=19).contains(&digits.len()) && sum.is_multiple_of(10) && digits.iter().any(|digit| *digit != digits[0])
}

/// ISO 13616: the first four characters at the end, letters as numbers from 10, modulo 97 is 1.
pub(super) fn is_iban(text: &str) -> bool {
    let plain: Vec<u32> = text.chars().filter(|c| *c != ' ').filter_map(|c| c.to_digit(36)).collect();
    if !(15..=34).contains(&plain.len()) {
        return false;
    }
    let rotated = plain[4..].iter().chain(&plain[..4]);
    rotated.fold(0, |rest, value| (rest * if *value < 10 { 10 } else { 100 } + value) % 97) == 1
}
