//! Reads the verdict on one criterion of a rubric.

use serde_json::{Map, Value};

use super::expected::Expected;
use super::outcome::{Miss, Parsed};
use super::{answer, whole_object};
use crate::judge::form::VALUE_KEY;

/// Reads an answer that is one JSON object with a member for each criterion. Anything else has no verdicts; a criterion that it lacks
/// has none, whatever it says about the others. `null` in the place of a criterion is no abstention: that is a value of one, with its reasons.
pub(super) fn read(text: &str, name: &str, expected: &Expected<'_>) -> Result<Parsed, Miss> {
    let (mut object, method) = whole_object::read(text)?;
    let own = match object.remove(name) {
        Some(Value::Object(own)) => own,
        Some(Value::Null) | None => return Err(Miss::Unparseable("the answer has no verdict on this criterion")),
        Some(value) => Map::from_iter([(VALUE_KEY.to_owned(), value)]),
    };
    match answer::read(own, expected) {
        Some(answer) => answer.map(|answer| answer.parsed(method)),
        None => Err(Miss::Unparseable("the answer has no verdict on this criterion")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::judge::AnswerForm;
    use crate::judge::parse::{ParseFailure, parse_verdict};
    use crate::judge::rubric::tests::rubric;

    fn verdict(answer: &str, index: usize) -> Result<Value, ParseFailure> {
        let rubric = Arc::new(rubric());
        let verdict = rubric.criteria[index].verdict.clone();
        let form = AnswerForm::Criterion { rubric, index };
        let expected = Expected { form: &form, ..Expected::from(&verdict) };
        parse_verdict(answer, expected).map(|parsed| parsed.verdict.value)
    }

    #[test]
    fn each_criterion_has_its_own_verdict() {
        let answer = json!({
            "clear": {"rationale": "It is.", "value": 4}, "faithful": {"rationale": "No.", "value": false}, "kind": "b",
        })
        .to_string();
        assert_eq!([0, 1, 2].map(|index| verdict(&answer, index).unwrap()), [json!(false), json!(4), json!("b")]);
    }

    #[test]
    fn what_is_missing_or_not_allowed_costs_only_its_own_verdict() {
        let answer = json!({"clear": {"rationale": "It is.", "value": 9}, "faithful": {"value": true}}).to_string();
        assert_eq!(verdict(&answer, 0), Ok(json!(true)));
        assert!(matches!(verdict(&answer, 1), Err(ParseFailure::OutOfRange(_))));
        assert!(matches!(verdict(&answer, 2), Err(ParseFailure::Unparseable(_))));
        for text in ["faithful: true", "{\"value\": true}", "Here: {\"faithful\": {\"value\": true}}", "true"] {
            assert!(matches!(verdict(text, 0), Err(ParseFailure::Unparseable(_))), "{text}");
        }
    }
}
