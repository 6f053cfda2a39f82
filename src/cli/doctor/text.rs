//! The diagnosis as text: one line per finding, with what to do below it, and what would be sent where.

use anstyle::{AnsiColor, Style};

use super::finding::{Diagnosis, Status};
use crate::cli::print::one_line;

const GOOD: Style = AnsiColor::Green.on_default();
const DOUBT: Style = AnsiColor::Yellow.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();

/// The width of the columns before the text.
const INDENT: usize = 9 + 2 + 13 + 2;

pub(super) fn text(diagnosis: &Diagnosis) -> String {
    let mut text = String::new();
    for finding in &diagnosis.findings {
        let style = match finding.status {
            Status::Ok => GOOD,
            Status::Warning => DOUBT,
            Status::Fails => BAD,
            Status::NotAsked => Style::new(),
        };
        let (status, part) = (finding.status.as_str(), finding.part.as_str());
        let name = one_line(&finding.name);
        let detail = match finding.detail.as_str() {
            "" => String::new(),
            detail => format!(": {}", one_line(detail)),
        };
        text.push_str(&format!("{style}{status:<9}{style:#}  {part:<13}  {name}{detail}\n"));
        for line in finding.remedy.iter().flat_map(|remedy| remedy.lines()) {
            text.push_str(&format!("{:INDENT$}{}\n", "", one_line(line)));
        }
    }
    if !diagnosis.sends.is_empty() {
        text.push_str("\nwhat would be sent:\n");
    }
    for destination in &diagnosis.sends {
        let redacted = match destination.redacted.as_slice() {
            [] => String::new(),
            patterns => format!("; replaced first: {}", patterns.join(", ")),
        };
        let (host, data) = (one_line(&destination.host), one_line(&destination.data));
        text.push_str(&format!("  {host} ({}): {data}{}\n", destination.command, one_line(&redacted)));
    }
    text
}
