//! The binary from the outside: real processes and sockets, checked by what they print and which files they leave.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests may panic")]

mod command_line;
mod common;
mod compact;
mod convert;
mod dataset;
mod dialects;
mod docs;
mod endpoints;
mod exit_codes;
mod files;
mod forms;
mod history;
mod intake;
mod interruption;
mod invalid;
mod judges;
mod log_file;
mod merge;
mod odd_answers;
mod opentelemetry;
mod outputs;
mod prices;
mod progress;
mod quickstart;
mod rate;
mod refusals;
mod replay;
mod report;
mod requests;
mod resume;
mod retries;
mod review;
mod secrets;
mod selection;
mod sessions;
mod shard_and_reuse;
mod spans;
mod status;
mod trace_forms;
mod traces_of_tools;
mod trouble;
mod usage_errors;
mod verdicts;
