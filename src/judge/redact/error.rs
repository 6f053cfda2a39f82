//! Why a rule is none.

/// A rule that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`own.{name}` of [redact] {reason}")]
pub struct InvalidRedaction {
    /// The rule's name.
    pub name: String,
    /// What is wrong.
    pub reason: String,
}
