//! The feedback log: append-only JSONL, one record per line, owned by one writer.

mod add;
mod compact;
mod displaced;
mod error;
mod exchange;
mod file;
mod follow;
mod holders;
mod ids;
mod index;
mod lines;
mod lock;
mod merge;
mod of_trace;
mod open;
mod repair;
mod requests;
mod restored;
mod reuse;
mod standing;
mod tally;
mod timeline;
mod writer;
mod written;

pub use super::history::{OpinionKey, Standing};
pub use add::add;
pub use compact::{Compacted, compact, would_compact};
pub use error::OpenError;
pub use follow::{Follower, News};
pub(crate) use ids::for_each_id;
pub use ids::known_ids;
pub use index::{Index, Seen};
pub(super) use lines::LineReader;
pub use lock::{is_locked, lock_holder};
pub use merge::{Conflicts, MergeError, Merged, MergedInput, merge};
pub use of_trace::{State, TraceRecord, of_trace};
pub use open::{Mode, OpenLog, OpenReport};
pub use requests::requests_since;
pub use restored::Restored;
pub use reuse::ReuseLog;
pub use standing::{Place, StandingRecords, Stands};
pub use tally::{JudgeTally, Tally, tally};
#[cfg(test)]
pub(crate) use writer::tests::writer_to;
pub use writer::{LogClosed, LogWriter, WriteError};
