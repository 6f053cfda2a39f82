//! The place of something in a dataset.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Where a record begins, for the reader.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// The index of the file.
    pub file: usize,
    /// From 1.
    pub line: u64,
    /// Where the line begins in the file.
    pub byte_offset: u64,
}

/// A value and the place in the dataset that it comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Located<T> {
    /// The file's path as given; `<stdin>` for standard input.
    pub file: Arc<str>,
    /// From 1.
    pub line: u64,
    /// Where the line begins in the file.
    pub byte_offset: u64,
    /// The value.
    pub value: T,
}
