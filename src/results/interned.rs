//! Texts by their numbers: a million opinions share a few of them.

use std::collections::HashMap;

/// Texts by their numbers.
#[derive(Debug, Default)]
pub(super) struct Interned {
    pub texts: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Interned {
    pub(super) fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
        self.texts.push(text.to_owned());
        self.numbers.insert(text.to_owned(), number);
        number
    }

    pub(super) fn text(&self, number: u32) -> &str {
        self.texts.get(number as usize).map_or("", String::as_str)
    }

    pub(super) fn texts(&self) -> &[String] {
        &self.texts
    }
}
