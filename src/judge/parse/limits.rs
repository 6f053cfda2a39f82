//! How much of an answer is read.

/// The longest answer that is read, in bytes.
pub const MAX_BYTES: usize = 1 << 20;
/// The deepest JSON that is read, in levels of objects and arrays.
pub const MAX_NESTING: usize = 64;
