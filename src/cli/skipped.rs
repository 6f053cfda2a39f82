//! How the traces, spans and sessions that judges skipped are shown.

use std::fmt::{self, Write};

use judge_run::judge::Unit;
use judge_run::run::SkipCounts;

use super::print::one_line;

/// What a judge's name is followed by.
pub(crate) fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Trace => "",
        Unit::Span => ", span by span",
        Unit::Document => ", document by document",
        Unit::Session => ", session by session",
        Unit::Pair => ", pair by pair",
    }
}

/// The lines about one judge.
pub(crate) fn write(out: &mut String, unit: Unit, skipped: &SkipCounts) -> fmt::Result {
    let SkipCounts { traces, span_types: _, repeated_spans, sessions, lacking } = skipped;
    let no_unit = match unit {
        Unit::Session => "traces without a session",
        Unit::Trace | Unit::Span | Unit::Document | Unit::Pair => "traces without a span that the judge selects",
    };
    let repeated = "spans with the id of an earlier span in their trace";
    let others = "sessions whose last trace is not selected";
    for (words, n) in [(no_unit, traces), (repeated, repeated_spans), (others, sessions)] {
        if *n > 0 {
            writeln!(out, "  skipped  {n:>7}  {words}")?;
        }
    }
    lacking.iter().try_for_each(|(what, n)| writeln!(out, "  skipped  {n:>7}  not applicable: without {what}"))
}

/// Why there is nothing to judge, if everything was skipped.
pub(crate) fn why_nothing<'a>(all: impl Iterator<Item = (Unit, &'a SkipCounts)>) -> Option<String> {
    let reasons: Vec<_> =
        all.filter(|(_, skipped)| !skipped.is_empty()).map(|(unit, skipped)| why(unit, skipped)).collect();
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

fn why(unit: Unit, skipped: &SkipCounts) -> String {
    if !skipped.lacking.is_empty() {
        let what: Vec<_> = skipped.lacking.keys().map(String::as_str).collect();
        return format!("the judge applies to no {unit}: they lack {}", what.join(", "));
    }
    match unit {
        Unit::Session if skipped.sessions > 0 => {
            "no session's last trace is selected; a session is judged where its last trace is".to_owned()
        }
        Unit::Session => "no trace has a session; name the field that holds it: --map session_id=FIELD".to_owned(),
        Unit::Trace | Unit::Span | Unit::Document | Unit::Pair if skipped.span_types.is_empty() => {
            "no trace has spans".to_owned()
        }
        Unit::Trace | Unit::Span | Unit::Document | Unit::Pair => {
            let types: Vec<_> = skipped.span_types.iter().map(|span_type| one_line(span_type)).collect();
            format!(
                "no span matches [select] in the judge's file; the dataset has spans of the types {}",
                types.join(", ")
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_skipped_is_shown_by_its_reason() {
        let mut text = String::new();
        let span_types = ["LLM".to_owned(), "A\u{1b}[2J".to_owned()].into();
        let spans = SkipCounts { traces: 12, span_types, repeated_spans: 2, ..SkipCounts::default() };
        let sessions = SkipCounts { traces: 3, sessions: 4, ..SkipCounts::default() };
        for (unit, skipped) in
            [(Unit::Span, &spans), (Unit::Session, &sessions), (Unit::Session, &SkipCounts::default())]
        {
            write(&mut text, unit, skipped).unwrap();
        }
        let expected = "  skipped       12  traces without a span that the judge selects
  skipped        2  spans with the id of an earlier span in their trace
  skipped        3  traces without a session
  skipped        4  sessions whose last trace is not selected
";
        assert_eq!(text, expected);
        assert_eq!(why_nothing([(Unit::Span, &SkipCounts::default())].into_iter()), None);
        let why = why_nothing([(Unit::Span, &spans)].into_iter()).unwrap();
        assert!(why.ends_with("of the types A [2J, LLM"), "{why}");
    }
}
