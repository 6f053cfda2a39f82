//! What a page is made of, beside the figures.

use super::traces::PageTraces;
use crate::results::judgments::Judgments;

/// What a page shows in addition to the figures.
#[derive(Debug, Clone)]
pub struct Page<'a> {
    /// One by one.
    pub judgments: &'a Judgments,
    /// What was judged, as far as available.
    pub traces: &'a PageTraces,
    /// What a judge asks, by its name.
    pub about: Vec<(String, String)>,
    /// Facts about the runs: names and values.
    pub facts: Vec<(String, String)>,
    /// When the page is made, in milliseconds of Unix time.
    pub created_ms: i64,
}
