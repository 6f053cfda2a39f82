//! The feedback log: append-only JSONL, one record a line, owned by one writer.

mod file;
mod index;
mod open;
mod writer;

pub use index::{Index, OpinionKey, Seen, Standing};
pub use open::{Mode, OpenError, OpenLog, OpenReport};
pub use writer::{LogClosed, LogWriter, WriteError};
