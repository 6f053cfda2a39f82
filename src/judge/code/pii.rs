//! Personal data in texts, by patterns and, where there are any, checksums.

use std::sync::LazyLock;

use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::judge::check_digits::{is_card, is_iban, longest};

/// A kind of personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Email,
    Phone,
    CreditCard,
    Iban,
    UsSsn,
    IpAddress,
}

impl Kind {
    pub(super) const ALL: [Self; 6] =
        [Self::Email, Self::Phone, Self::CreditCard, Self::Iban, Self::UsSsn, Self::IpAddress];

    fn as_words(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::CreditCard => "credit card",
            Self::Iban => "IBAN",
            Self::UsSsn => "US social security number",
            Self::IpAddress => "IP address",
        }
    }

    fn pattern(self) -> &'static str {
        match self {
            Self::Email => r"(?i)\b[a-z0-9._%+-]+@[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2,}\b",
            // With a country code, or grouped as in North America: other rows of digits are mostly not telephone numbers.
            Self::Phone => {
                r"(?:\+[1-9]\d{0,2}[ .\-/]?(?:\(\d{1,4}\)[ .\-/]?)?\d(?:[ .\-/]?\d){5,12}|\(\d{3}\) ?\d{3}[-. ]\d{4}|\b\d{3}[-.]\d{3}[-.]\d{4})\b"
            }
            Self::CreditCard => r"\b\d(?:[ -]?\d){12,18}\b",
            Self::Iban => r"(?i)\b[a-z]{2}\d{2}(?: ?[a-z0-9]){11,30}\b",
            Self::UsSsn => r"\b\d{3}-\d{2}-\d{4}\b",
            Self::IpAddress => r"\b(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)\b",
        }
    }

    /// Whether what looks like it is one.
    fn is_valid(self, found: &str) -> bool {
        match self {
            Self::CreditCard => longest(found, is_card) > 0,
            Self::Iban => longest(found, is_iban) > 0,
            Self::UsSsn => is_issued(found),
            Self::Email | Self::Phone | Self::IpAddress => true,
        }
    }

    fn count(self, text: &str) -> usize {
        static PATTERNS: LazyLock<[Option<Regex>; 6]> =
            LazyLock::new(|| Kind::ALL.map(|kind| Regex::new(kind.pattern()).ok()));
        let pattern = Self::ALL.iter().position(|kind| *kind == self).and_then(|at| PATTERNS[at].as_ref());
        pattern.map_or(0, |pattern| pattern.find_iter(text).filter(|found| self.is_valid(found.as_str())).count())
    }
}

/// The kinds in a text, each with its count, in words that reveal nothing of it.
pub(super) fn find(text: &str, kinds: &[Kind]) -> (usize, Option<String>) {
    let found: Vec<_> = kinds.iter().map(|kind| (kind, kind.count(text))).filter(|(_, n)| *n > 0).collect();
    let words: Vec<_> = found.iter().map(|(kind, n)| format!("{}: {n}", kind.as_words())).collect();
    (found.iter().map(|(_, n)| n).sum(), (!words.is_empty()).then(|| words.join(", ")))
}

/// Numbers that the Social Security Administration never gives out: area 000, 666 and 9xx, group 00, serial 0000.
fn is_issued(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    matches!(parts.as_slice(), [area, group, serial]
        if !matches!(*area, "000" | "666") && !area.starts_with('9') && *group != "00" && *serial != "0000")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<Kind> {
        Kind::ALL.into_iter().filter(|kind| kind.count(text) > 0).collect()
    }

    #[test]
    fn each_kind_is_found_where_it_is_and_nowhere_else() {
        for (text, kind) in [
            ("Write to Jane.Doe+x@mail.example.co.uk.", Kind::Email),
            ("call +49 30 901820", Kind::Phone),
            ("call (212) 555-0123 now", Kind::Phone),
            // Test numbers of the card networks.
            ("4111 1111 1111 1111", Kind::CreditCard),
            ("378282246310005", Kind::CreditCard),
            // The examples of the IBAN registry.
            ("GB33BUKB20201555555555", Kind::Iban),
            ("DE89 3704 0044 0532 0130 00", Kind::Iban),
            ("DE89 3704 0044 0532 0130 00 is paid", Kind::Iban),
            ("SSN 123-45-6789", Kind::UsSsn),
            ("from 192.168.0.1", Kind::IpAddress),
        ] {
            assert_eq!(kinds(text), [kind], "{text}");
        }
        for text in [
            "nothing here",
            "4111 1111 1111 1112",
            "0000 0000 0000 0000",
            "GB33BUKB20201555555556",
            "666-45-6789",
            "version 1.2.3",
            "order 20241105123",
            "a@b",
            "300.300.300.300",
        ] {
            assert_eq!(kinds(text), [], "{text}");
        }
    }

    #[test]
    fn what_was_found_is_counted_and_never_shown() {
        let (n, words) = find("a@b.de, c@d.de and 123-45-6789", &Kind::ALL);
        assert_eq!((n, words.as_deref()), (3, Some("email: 2, US social security number: 1")));
        assert_eq!(find("a@b.de", &[Kind::Iban]), (0, None));
    }
}
