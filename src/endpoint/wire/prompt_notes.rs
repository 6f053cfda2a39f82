//! What a record should say about its prompt.

/// What was done to the trace's text in a prompt, or noticed in it. Goes into the record's metadata.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PromptNotes {
    /// Characters that were omitted to keep to a length.
    pub chars_left_out: u64,
    /// Control tokens of chat templates that were broken, so that no server interprets them.
    pub control_tokens: u64,
    /// Characters that a model reads but a person does not see: Unicode tags and bidirectional controls.
    pub hidden_chars: u64,
    /// Personal data and secrets that were replaced.
    pub redacted: u64,
}

impl PromptNotes {
    /// The entries of the metadata that are not 0.
    pub fn metadata(self) -> impl Iterator<Item = (&'static str, String)> {
        [
            ("prompt_truncated_chars", self.chars_left_out),
            ("neutralised", self.control_tokens),
            ("hidden_characters", self.hidden_chars),
            ("redacted", self.redacted),
        ]
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(key, count)| (key, count.to_string()))
    }
}
