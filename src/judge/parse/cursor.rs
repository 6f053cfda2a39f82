//! A place in a text, and why reading from there fails.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// The text ends inside the object.
    Truncated,
    /// No JSON, however lenient.
    Malformed,
    /// Nested deeper than [`super::MAX_NESTING`].
    TooDeep,
}

/// The rest of a text.
pub(super) struct Cursor<'t> {
    pub(super) text: &'t str,
    /// The next byte.
    pub(super) at: usize,
}

impl<'t> Cursor<'t> {
    pub(super) fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn bump(&mut self) -> Result<char, Why> {
        let c = self.peek().ok_or(Why::Truncated)?;
        self.at += c.len_utf8();
        Ok(c)
    }

    pub(super) fn take(&mut self, expected: char) -> bool {
        let found = self.peek() == Some(expected);
        if found {
            self.at += expected.len_utf8();
        }
        found
    }
}
