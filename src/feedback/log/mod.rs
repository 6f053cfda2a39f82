//! The feedback log: append-only JSONL, one record a line, owned by one writer.

mod file;
mod index;
mod open;
mod tally;
mod writer;

pub use file::is_locked;
pub use index::{Index, OpinionKey, Seen, Standing};
pub use open::{Mode, OpenError, OpenLog, OpenReport};
pub use tally::{JudgeTally, Tally, tally};
pub use writer::{LogClosed, LogWriter, WriteError};
