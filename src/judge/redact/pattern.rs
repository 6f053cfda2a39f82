//! The patterns. If a number has check digits, they decide.

use regex::{Captures, Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

use super::error::InvalidRedaction;
use crate::judge::check_digits::{is_card, is_iban, longest};

/// A user's regular expression may use this much memory.
const MAX_COMPILED: usize = 1 << 20;

/// The patterns that are built in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BuiltIn {
    /// Keys of known providers, JSON web tokens, private keys.
    Key,
    /// Addresses of e-mail.
    Email,
    /// Account numbers with valid check digits (ISO 13616: modulo 97).
    Iban,
    /// Payment card numbers with a valid check digit (ISO/IEC 7812-1: Luhn's).
    Card,
    /// Telephone numbers: with a country's code, or in the usual groups.
    Phone,
}

/// A compiled rule.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) name: String,
    expression: Regex,
    /// The length of the valid part of a match, in bytes.
    right: fn(&str) -> usize,
}

impl BuiltIn {
    /// The rule.
    ///
    /// Sources: the forms of keys as their providers document them; RFC 7515 for tokens, RFC 7468 for private keys; E.164 for the length of
    /// telephone numbers.
    pub(super) fn rule(self) -> Rule {
        let (name, expression, right): (_, _, fn(&str) -> usize) = match self {
            Self::Key => (
                "key",
                r"(?x)
                -----BEGIN\ [A-Z\ ]*PRIVATE\ KEY-----[\s\S]*?-----END\ [A-Z\ ]*PRIVATE\ KEY-----
                | \b(?:
                    sk-[A-Za-z0-9_-]{16,}
                    | (?:AKIA|ASIA)[0-9A-Z]{16}
                    | gh[pousr]_[A-Za-z0-9]{30,}
                    | github_pat_[A-Za-z0-9_]{30,}
                    | glpat-[A-Za-z0-9_-]{20,}
                    | xox[abprs]-[A-Za-z0-9-]{10,}
                    | AIza[0-9A-Za-z_-]{35}
                    | hf_[A-Za-z0-9]{30,}
                    | eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}
                )",
                str::len,
            ),
            Self::Email => {
                ("email", r"[A-Za-z0-9][A-Za-z0-9._%+-]*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}", str::len)
            }
            Self::Iban => ("iban", r"\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]){11,30}\b", |text| longest(text, is_iban)),
            Self::Card => ("card", r"\b[0-9](?:[ -]?[0-9]){12,18}\b", |text| longest(text, is_card)),
            Self::Phone => (
                "phone",
                r"(?x)
                \+[0-9](?:[\ ()./-]{0,2}[0-9]){6,14}\b
                | \(?\b[0-9]{3}\)?[-.\ ][0-9]{3}[-.\ ][0-9]{4}\b
                | \(?\b0[0-9]{2,5}\)?[\ /-][0-9](?:[\ -]?[0-9]){4,10}\b",
                str::len,
            ),
        };
        #[expect(clippy::expect_used, reason = "the expressions are constants, and a test compiles them")]
        let expression = Regex::new(expression).expect("a constant expression");
        Rule { name: name.to_owned(), expression, right }
    }
}

impl Rule {
    pub(super) fn own(name: &str, expression: &str) -> Result<Self, InvalidRedaction> {
        let invalid = |reason: String| InvalidRedaction { name: name.to_owned(), reason };
        let is_plain = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'));
        if !is_plain {
            return Err(invalid("has a name with characters other than letters, digits, - and _".to_owned()));
        }
        let compiled = RegexBuilder::new(expression).size_limit(MAX_COMPILED).build();
        // The library shows the expression over several lines, and then says what is wrong.
        let said = |error: regex::Error| {
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
            invalid(format!("is not a regular expression: {reason}"))
        };
        let compiled = compiled.map_err(said)?;
        if compiled.is_match("") {
            return Err(invalid("matches an empty text, so it would replace everything".to_owned()));
        }
        Ok(Self { name: name.to_owned(), expression: compiled, right: str::len })
    }

    /// The text with what is found replaced by a mark; `None` if nothing is.
    pub(super) fn replaced(&self, text: &str, mark: &str, is_allowed: impl Fn(&str) -> bool) -> Option<String> {
        if !self.expression.is_match(text) {
            return None;
        }
        let replaced = self.expression.replace_all(text, |found: &Captures<'_>| {
            let (found, after) = found[0].split_at((self.right)(&found[0]));
            let is_shown = found.is_empty() || is_allowed(found);
            if is_shown { format!("{found}{after}") } else { format!("{mark}{}]{after}", self.name) }
        });
        Some(replaced.into_owned()).filter(|replaced| replaced != text)
    }
}
