//! The forms of a report, one file each: for terminals, programs, CI servers, spreadsheets, and one page for people.

mod csv;
mod figures;
mod findings;
mod form;
mod github;
mod headline;
pub(crate) mod html;
mod junit;
mod markdown;
pub mod plain;
mod text;

use std::io::{self, Write};

pub(super) use figures::moved;
pub use findings::Findings;
pub use form::{Form, UnknownForm};
pub use github::annotations;
pub use html::{Page, PageTraces};
pub use markdown::MARKER;
pub use text::gate_text;

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

#[cfg(test)]
mod tests;
