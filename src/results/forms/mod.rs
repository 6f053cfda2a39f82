//! The forms of a report, one file each: for terminals, programs, CI servers, spreadsheets, and one page for people.

mod csv;
mod figures;
mod form;
mod github;
mod headline;
pub(crate) mod html;
mod junit;
mod markdown;
pub mod plain;
mod text;

use std::io::{self, Write};

pub use form::{Form, UnknownForm};
pub use github::annotations;
pub use html::{Page, PageTraces};
pub use markdown::MARKER;
use serde_json::Value;
pub use text::gate_text;

use super::compare::{Comparison, ComparisonReport};
use super::gate::GateResult;
use super::report::{JudgeReport, Report, Warning};

/// What is put into a form.
#[derive(Debug, Clone, Copy)]
pub enum Findings<'a> {
    /// What one log says, or several.
    Report(&'a Report),
    /// What changed between two.
    Comparison(&'a ComparisonReport),
}

impl Findings<'_> {
    /// The logs, for a title.
    fn title(&self) -> String {
        let names = |logs: &[String]| logs.iter().map(|log| plain::one_line(log)).collect::<Vec<_>>().join(", ");
        match self {
            Self::Report(report) => names(&report.logs),
            Self::Comparison(comparison) => format!("{} against {}", names(&comparison.new), names(&comparison.base)),
        }
    }

    /// The judges of a report; a comparison has none.
    pub fn judges(&self) -> &[JudgeReport] {
        match self {
            Self::Report(report) => &report.judges,
            Self::Comparison(_) => &[],
        }
    }

    fn gates(&self) -> &[GateResult] {
        match self {
            Self::Report(report) => &report.gates,
            Self::Comparison(comparison) => &comparison.gates,
        }
    }

    fn comparisons(&self) -> &[Comparison] {
        match self {
            Self::Report(report) => &report.comparisons,
            Self::Comparison(comparison) => &comparison.comparisons,
        }
    }

    /// The judges on the anchors.
    fn anchors(&self) -> &[Comparison] {
        match self {
            Self::Report(report) => &report.anchors,
            Self::Comparison(comparison) => &comparison.anchors,
        }
    }

    fn warnings(&self) -> &[Warning] {
        match self {
            Self::Report(report) => &report.warnings,
            Self::Comparison(comparison) => &comparison.warnings,
        }
    }
}

impl Form {
    /// Whether the form shows single judgments, so that it needs them.
    pub const fn shows_judgments(self) -> bool {
        matches!(self, Self::Html | Self::Junit)
    }

    /// Writes results in this form. `page` has the single judgments, and what only a page shows.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn write(self, results: &Findings<'_>, page: &Page<'_>, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Text => out.write_all(text::write(results).map_err(io::Error::other)?.as_bytes()),
            Self::Json => json(results, out),
            Self::Markdown => out.write_all(markdown::write(results).map_err(io::Error::other)?.as_bytes()),
            Self::Junit => {
                let failed: Vec<_> =
                    page.judgments.listed.iter().filter(|judgment| judgment.feedback.is_error()).collect();
                out.write_all(junit::write(results, &failed).map_err(io::Error::other)?.as_bytes())
            }
            Self::Csv => out.write_all(&csv::write(results).map_err(io::Error::other)?),
            Self::Html => html::write(results, page, out),
        }
    }
}

fn json(results: &Findings<'_>, out: &mut dyn Write) -> io::Result<()> {
    match results {
        Findings::Report(report) => serde_json::to_writer_pretty(&mut *out, report)?,
        Findings::Comparison(comparison) => serde_json::to_writer_pretty(&mut *out, comparison)?,
    }
    out.write_all(b"\n")
}

/// By how much a comparison moved, with its interval.
pub(super) fn moved(comparison: &Comparison) -> String {
    let unit = figures::Unit::of(comparison.measure);
    comparison.difference.as_ref().map(|difference| unit.difference(difference)).unwrap_or_default()
}

/// A verdict on one line: a text as it is, everything else as JSON.
fn verdict(value: &Value) -> String {
    match value {
        Value::String(text) => plain::one_line(text),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
