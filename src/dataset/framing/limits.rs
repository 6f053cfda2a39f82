//! How much of a record is held in memory, and what every framing skips.

/// The longest record to read as a trace, in bytes: 64 MiB.
pub const DEFAULT_MAX_LINE_BYTES: usize = 64 << 20;

/// How much of a record over the limit is kept, to show what it was.
pub(crate) const HEAD_BYTES: usize = 1024;

/// A buffer that grew beyond this for one long record is freed before the next.
pub(crate) const BUFFER_BYTES: usize = 1 << 20;

/// U+FEFF at the beginning of a file, or of one appended to another.
pub(crate) const UTF8_BOM: &[u8] = b"\xef\xbb\xbf";
