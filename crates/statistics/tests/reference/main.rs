//! The figures of other packages, and worked examples, against this crate.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests may")]

mod packages;
mod people;
mod ranking;
mod worked;

use judge_run_statistics::{Alternative, Interval};
use serde_json::Value;

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is not a number"))
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is not a count"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("{value} is not a list"))
}

fn numbers(value: &Value) -> Vec<f64> {
    list(value).iter().map(number).collect()
}

fn alternatives() -> [(&'static str, Alternative); 3] {
    [("two-sided", Alternative::TwoSided), ("less", Alternative::Less), ("greater", Alternative::Greater)]
}

/// Asserts that `got` is `expected`, to within `relative` of it (or 1e-15).
#[track_caller]
fn close(got: f64, expected: f64, relative: f64, context: &dyn std::fmt::Display) {
    let off = (got - expected).abs();
    assert!(off <= relative * expected.abs() + 1e-15, "{got} is not {expected} (off by {off:e}): {context}");
}

#[track_caller]
fn ends(got: &Interval, expected: &Value, relative: f64, context: &dyn std::fmt::Display) {
    close(got.lower, number(&expected[0]), relative, context);
    close(got.upper, number(&expected[1]), relative, context);
}
