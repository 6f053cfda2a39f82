//! What happened to a log while a run wrote to it.

/// What happened to a log while a run wrote to it, and what was restored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Restored {
    /// It was deleted, and is restored with all its records.
    pub deleted: bool,
    /// Records of the run that were cut off, and were restored.
    pub put_back: u64,
    /// Records that were cut off and lost: others' and those of earlier runs, and this run's where there was no room for a second copy.
    pub lost: u64,
}
