//! The binary from the outside: real processes, real sockets on this machine, what they print and what they leave behind.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests may")]

mod command_line;
mod common;
mod compact;
mod dataset;
mod dialects;
mod endpoints;
mod exit_codes;
mod interruption;
mod judges;
mod merge;
mod opentelemetry;
mod outputs;
mod quickstart;
mod rate;
mod replay;
mod requests;
mod resume;
mod retries;
mod secrets;
mod shard_and_reuse;
mod status;
mod usage_errors;
