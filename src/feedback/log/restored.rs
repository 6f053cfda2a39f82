//! What a log went through while a run wrote to it.

/// What a log went through while a run wrote to it, and what of it is as it was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Restored {
    /// It was deleted, and is back with all its records.
    pub deleted: bool,
    /// Records of the run that were cut off, and are in it again.
    pub put_back: u64,
    /// Records that were cut off and are gone: of others and of earlier runs, and of this one where there was no room for a second copy of them.
    pub lost: u64,
}
