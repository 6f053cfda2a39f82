//! The library against data that it did not make: other projects' records, real SDKs' traces, recorded answers, parsers' test suites.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests may")]

mod json_test_suite;
mod mlflow_wire;
mod mutated;
mod opentelemetry;
mod verdict_parser;
