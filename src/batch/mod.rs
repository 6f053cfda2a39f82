//! Provider batch APIs: requests are handed over in files, and their answers fetched later, at half the price.
//!
//! A run writes requests to a [`Spool`]; a [`Session`] submits them and fetches what came of them; a later run takes the answers from [`Answers`] and
//! makes records of them with the code that reads all others. The [`ledger`] next to the log says what was submitted: it is on disk before
//! anything is sent, so that nothing is submitted twice, whatever is killed.

mod answers;
mod dialect;
mod dialects;
mod error;
mod exchange;
mod http;
mod ids;
pub mod ledger;
mod line;
mod provider;
mod reply;
mod session;
mod spool;
mod table;
mod upload;

pub use answers::{Answers, BatchIds};
pub use dialect::BatchDialect;
pub use error::BatchError;
pub use exchange::{Imported, export, import};
pub use ledger::ledger_of;
pub use reply::{Reply, Undone};
pub use session::{BatchEvent, Session, Wait};
pub use spool::{BatchLimits, Shard, Spool, folder_of};

/// What a request costs in a batch, as a share of its price: half, at every provider that has them.
pub const PRICE: f64 = 0.5;
