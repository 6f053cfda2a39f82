//! What is told of what judges of spans and sessions passed over.

use std::fmt::{self, Write};

use judge_run::judge::Unit;
use judge_run::run::PassedOver;

use super::print::one_line;

/// What a judge's name is followed by.
pub(crate) fn unit(passed_over: &PassedOver) -> &'static str {
    match passed_over.unit {
        Unit::Trace => "",
        Unit::Span => ", span by span",
        Unit::Session => ", session by session",
    }
}

/// The lines about one judge.
pub(crate) fn write(out: &mut String, passed_over: &PassedOver) -> fmt::Result {
    let PassedOver { unit, traces, span_types: _, repeated_spans, sessions } = passed_over;
    let what = match unit {
        Unit::Session => ("left out", "traces without a session"),
        Unit::Trace | Unit::Span => ("no span", "traces without a span that the judge selects"),
    };
    let repeated = ("repeated", "spans with the id of an earlier one in their trace, which alone is judged");
    let others = ("left out", "sessions whose last trace is not among those that were selected");
    for ((label, words), n) in [(what, traces), (repeated, repeated_spans), (others, sessions)] {
        if *n > 0 {
            writeln!(out, "  {label:<8} {n:>7}  {words}")?;
        }
    }
    Ok(())
}

/// Why there is nothing to judge, where it is for what was passed over.
pub(crate) fn why_nothing<'a>(all: impl Iterator<Item = &'a PassedOver>) -> Option<String> {
    let reasons: Vec<_> = all.filter(|passed_over| !passed_over.is_empty()).map(why).collect();
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

fn why(passed_over: &PassedOver) -> String {
    match passed_over.unit {
        Unit::Session if passed_over.sessions > 0 => {
            "the last trace of no session is selected; a session is judged where its last trace is".to_owned()
        }
        Unit::Session => "no trace has a session; name the field that tells it: --map session_id=FIELD".to_owned(),
        Unit::Trace | Unit::Span if passed_over.span_types.is_empty() => "no trace has spans".to_owned(),
        Unit::Trace | Unit::Span => {
            let types: Vec<_> = passed_over.span_types.iter().map(|span_type| one_line(span_type)).collect();
            format!(
                "no trace has a span that [select] in the judge's file means; their spans are of the types {}",
                types.join(", ")
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_passed_over_is_told_by_kind() {
        let mut text = String::new();
        let span_types = ["LLM".to_owned(), "A\u{1b}[2J".to_owned()].into();
        let spans = PassedOver { unit: Unit::Span, traces: 12, span_types, repeated_spans: 2, sessions: 0 };
        let sessions = PassedOver { unit: Unit::Session, traces: 3, sessions: 4, ..PassedOver::default() };
        for passed_over in [&spans, &sessions, &PassedOver::default()] {
            write(&mut text, passed_over).unwrap();
        }
        let expected = "  no span       12  traces without a span that the judge selects
  repeated       2  spans with the id of an earlier one in their trace, which alone is judged
  left out       3  traces without a session
  left out       4  sessions whose last trace is not among those that were selected
";
        assert_eq!(text, expected);
        assert_eq!(why_nothing([&PassedOver::default()].into_iter()), None);
        let why = why_nothing([&spans].into_iter()).unwrap();
        assert!(why.ends_with("of the types A [2J, LLM"), "{why}");
    }
}
