//! What the summary says about failures: what each code means, what the first of them said, and what to do.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use judge_run::feedback::ErrorCode;
use judge_run::run::Summary;

use super::print::one_line;

/// A message is cut after this many characters: the log has all of it.
const MAX_MESSAGE: usize = 300;

/// All failures of the run and of the log, by code.
pub(crate) fn by_code(summary: &Summary) -> BTreeMap<ErrorCode, u64> {
    let mut codes = BTreeMap::new();
    for question in &summary.questions {
        let kept = question.counts.kept_failed.iter().filter_map(|(code, n)| Some(((*code)?, n)));
        for (code, n) in question.counts.failed.iter().map(|(code, n)| (*code, n)).chain(kept) {
            *codes.entry(code).or_default() += n;
        }
    }
    codes
}

/// What to do about the failures.
pub(crate) fn write(out: &mut String, summary: &Summary) -> fmt::Result {
    let codes = by_code(summary);
    if codes.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nwhat to do about the failures:")?;
    for (code, n) in &codes {
        let traits = code.traits();
        writeln!(out, "  {code} ({n}): {}; {}", traits.meaning, traits.remedy)?;
        if let Some(message) = summary.first_messages.get(code) {
            writeln!(out, "    the first: {}", cut(&one_line(message)))?;
        }
    }
    Ok(())
}

fn cut(message: &str) -> String {
    match message.char_indices().nth(MAX_MESSAGE) {
        Some((end, _)) => format!("{}...", &message[..end]),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_cut_between_characters() {
        assert_eq!(cut("short"), "short");
        assert_eq!(cut(&"ä".repeat(MAX_MESSAGE)), "ä".repeat(MAX_MESSAGE));
        assert_eq!(cut(&"ä".repeat(MAX_MESSAGE + 1)), "ä".repeat(MAX_MESSAGE) + "...");
    }
}
