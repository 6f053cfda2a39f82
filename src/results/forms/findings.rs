//! What is put into a form.

use super::plain;
use crate::results::compare::{Comparison, ComparisonReport};
use crate::results::gate::GateResult;
use crate::results::report::{JudgeReport, Report, Warning};

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
    pub(super) fn title(&self) -> String {
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

    pub(super) fn gates(&self) -> &[GateResult] {
        match self {
            Self::Report(report) => &report.gates,
            Self::Comparison(comparison) => &comparison.gates,
        }
    }

    pub(super) fn comparisons(&self) -> &[Comparison] {
        match self {
            Self::Report(report) => &report.comparisons,
            Self::Comparison(comparison) => &comparison.comparisons,
        }
    }

    /// The judges on the anchors.
    pub(super) fn anchors(&self) -> &[Comparison] {
        match self {
            Self::Report(report) => &report.anchors,
            Self::Comparison(comparison) => &comparison.anchors,
        }
    }

    pub(super) fn warnings(&self) -> &[Warning] {
        match self {
            Self::Report(report) => &report.warnings,
            Self::Comparison(comparison) => &comparison.warnings,
        }
    }
}
