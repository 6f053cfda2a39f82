//! One quota for any number of processes, kept by a Redis or Valkey server.
//!
//! The server keeps when the next request and the next token may go (GCRA, as a script on its own clock). A process leases slots ahead, a
//! quarter of a second's worth at most, and spends them at their times, so that sending waits for no round trip. Slots
//! that are not used soon after their time are lost. While the server is unreachable a process keeps to its own share.

mod lease;
mod server;
mod share;
mod slots;

pub use server::{InvalidQuotaServer, QuotaServer, QuotaServerAway};
pub use share::QuotaNews;
pub(crate) use share::{Kind, Share};
