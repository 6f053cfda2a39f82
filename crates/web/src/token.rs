//! Secrets that a request has to show.

use std::fmt;

use ring::rand::{SecureRandom, SystemRandom};

/// A secret, compared in constant time and never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// The hash compares in constant time.
    hash: blake3::Hash,
}

impl Token {
    /// Of a known text.
    pub fn new(text: &str) -> Self {
        Self { hash: blake3::hash(text.as_bytes()) }
    }

    /// Whether a text is the secret.
    pub fn is(&self, text: &str) -> bool {
        self.hash == blake3::hash(text.as_bytes())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// 128 random bits, in lower-case hex digits; `None` if the system cannot supply them.
pub fn random_id() -> Option<String> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_and_not_shown() {
        let text = random_id().unwrap();
        let token = Token::new(&text);
        assert!(text.len() == 32 && token.is(&text) && !token.is("") && !token.is(&text[1..]));
        assert!(!format!("{token:?}").contains(&text));
        assert_ne!(random_id().unwrap(), text);
    }
}
