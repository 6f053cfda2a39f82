//! Whether a judge's quotations are in what it was shown.

use super::echo::Echo;
use super::expected::Expected;
use crate::feedback::{EVIDENCE_METADATA, MISSING_EVIDENCE_METADATA};
use crate::judge::verdict::Detail;

/// Missing quotations that a record shows.
const MAX_SHOWN: usize = 5;
/// Characters that it shows of each.
const MAX_SHOWN_CHARS: usize = 200;

/// Looks for each quotation in the prompt, word for word, ignoring white space, emphasis, case and the kinds of quotation marks. What
/// the judge's own template says is not evidence.
pub(super) fn details<'q>(quotes: impl Iterator<Item = &'q str>, expected: &Expected<'_>) -> Vec<Detail> {
    let echo = Echo::new(expected);
    let (mut all, mut missing) = (0_usize, Vec::new());
    for quote in quotes {
        // A quotation may be in quotation marks, and may leave out what precedes and follows it.
        let text = quote.trim_matches(|c: char| c.is_whitespace() || !c.is_alphanumeric() && !is_bracket(c));
        if text.is_empty() {
            continue;
        }
        all += 1;
        if !echo.is_in_prompt(text) {
            missing.push(quote.trim().chars().take(MAX_SHOWN_CHARS).collect::<String>());
        }
    }
    let mut details = vec![(EVIDENCE_METADATA, format!("{}/{all}", all - missing.len()))];
    if !missing.is_empty() {
        missing.truncate(MAX_SHOWN);
        details.push((MISSING_EVIDENCE_METADATA, serde_json::Value::from(missing).to_string()));
    }
    details
}

fn is_bracket(c: char) -> bool {
    matches!(c, '(' | ')' | '[' | ']' | '{' | '}' | '<' | '>')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::verdict::VerdictType;

    const PROMPT: &str = "Judge the answer.\n<answer-1>Paris has “two million”\n  inhabitants. It's the {\"k\": \"a\\nb\"} capital.</answer-1>";

    fn details_of(quotes: &[&str]) -> Vec<Detail> {
        let expected =
            Expected { prompt: PROMPT, template: "Judge the answer.", ..Expected::from(&VerdictType::Boolean) };
        details(quotes.iter().copied(), &expected)
    }

    #[test]
    fn a_quotation_is_found_whatever_its_spacing_and_quotation_marks() {
        for quote in [
            "Paris has \"two million\" inhabitants.",
            "\u{201c}has 'two million' inhabitants\u{201d}",
            "... \"two million\" inhabitants ...",
            "It\u{2019}s the",
            "{\"k\": \"a b\"}",
        ] {
            assert_eq!(details_of(&[quote]), [("evidence", "1/1".to_owned())], "{quote}");
        }
    }

    #[test]
    fn what_was_not_shown_is_missing_and_so_is_what_the_template_says() {
        let found = details_of(&["two million", "three million", "Judge the answer.", "", "Paris ... capital"]);
        assert_eq!(found[0], ("evidence", "1/4".to_owned()));
        let missing = r#"["three million","Judge the answer.","Paris ... capital"]"#;
        assert_eq!(found[1], ("evidence_missing", missing.to_owned()));
        assert_eq!(details_of(&[]), [("evidence", "0/0".to_owned())]);
        let many: Vec<_> = (0..20).map(|n| format!("no {n} {}", "x".repeat(500))).collect();
        let found = details_of(&many.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(found[0].1, "0/20");
        assert!(found[1].1.len() < 1200);
    }
}
