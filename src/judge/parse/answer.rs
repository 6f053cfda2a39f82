//! Finds the verdict in a JSON object: under `value`, under one of the names models use instead, or in a wrapper.

use serde_json::{Map, Value};

use super::coerce::{self, Reading};
use super::outcome::Miss;
use super::tolerant;
use crate::judge::form::{RATIONALE_KEY, VALUE_KEY};
use crate::judge::verdict::{Verdict, VerdictType};

/// The names under which models give the verdict when they do not keep to [`VALUE_KEY`].
pub(super) const VALUE_ALIASES: [&str; 9] =
    ["result", "score", "verdict", "rating", "answer", "label", "grade", "judgment", "judgement"];

/// The names of the reasoning, in order of preference.
const RATIONALE_KEYS: [&str; 8] =
    [RATIONALE_KEY, "reasoning", "reason", "explanation", "analysis", "thought", "thoughts", "justification"];

/// The wrapper of an answer that fills in the schema instead of following it.
const SCHEMA_WRAPPER: &str = "properties";

/// What an object answered.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    pub(super) verdict: Verdict,
    /// Whether it was inside another object, an array or a string.
    pub(super) is_wrapped: bool,
}

/// Whether an object with this key is meant as the answer.
pub(super) fn is_key(key: &str) -> bool {
    is_value_key(key) || RATIONALE_KEYS.iter().any(|name| key.eq_ignore_ascii_case(name))
}

pub(super) fn is_value_key(key: &str) -> bool {
    key.eq_ignore_ascii_case(VALUE_KEY) || VALUE_ALIASES.iter().any(|name| key.eq_ignore_ascii_case(name))
}

/// The verdict of an object. None when it has no verdict key: then it is not the answer.
pub(super) fn read(mut object: Map<String, Value>, verdict: &VerdictType) -> Option<Result<Answer, Miss>> {
    let mut answer = match object.remove(VALUE_KEY) {
        Some(value) => candidate(value, verdict),
        None => agreed(&mut object, verdict).or_else(|| wrapper(&mut object, verdict)),
    };
    if let Some(Ok(Answer { verdict: Verdict { rationale: rationale @ None, .. }, .. })) = &mut answer {
        *rationale = RATIONALE_KEYS.iter().find_map(|name| {
            let key = object.keys().find(|key| key.eq_ignore_ascii_case(name))?.clone();
            reasoning(object.remove(&key)?)
        });
    }
    answer
}

/// The one verdict under all the other names that are there.
fn agreed(object: &mut Map<String, Value>, verdict: &VerdictType) -> Option<Result<Answer, Miss>> {
    let keys: Vec<_> = object.keys().filter(|key| is_value_key(key)).cloned().collect();
    let mut values: Vec<_> = keys.iter().filter_map(|key| object.remove(key)).collect();
    // `{"answer": "Paris", "score": 4}`: what cannot be the verdict does not contradict it.
    if values.iter().any(|value| coerce::is_of_kind(value, verdict)) {
        values.retain(|value| coerce::is_of_kind(value, verdict));
    }
    let mut answers = values.into_iter().filter_map(|value| candidate(value, verdict));
    let first = answers.next()?;
    let all_agree = answers.all(|other| match (&first, &other) {
        (Ok(one), Ok(other)) => coerce::same(&one.verdict.value, &other.verdict.value),
        (one, other) => one.is_err() && other.is_err(),
    });
    Some(if all_agree { first } else { Err(Miss::Unparseable("the answer has several verdicts, and they differ")) })
}

/// `{"properties": {...}}`, or an object under the judge's own name: `{"relevance": {"value": 4}}`.
fn wrapper(object: &mut Map<String, Value>, verdict: &VerdictType) -> Option<Result<Answer, Miss>> {
    let inner = match object.remove(SCHEMA_WRAPPER) {
        Some(Value::Object(inner)) => inner,
        _ if object.len() == 1 => match object.values_mut().next()? {
            Value::Object(inner) if inner.contains_key(VALUE_KEY) => std::mem::take(inner),
            _ => return None,
        },
        _ => return None,
    };
    wrapped(read(inner, verdict)?)
}

/// What stands under one verdict key. None for the echo of a schema, which answers nothing.
fn candidate(value: Value, verdict: &VerdictType) -> Option<Result<Answer, Miss>> {
    let is_schema = |map: &Map<String, Value>| ["type", "enum", "$ref"].iter().any(|key| map.contains_key(*key));
    let inner = match &value {
        Value::Object(map) => Some(map.clone()),
        Value::Array(items) => match items.as_slice() {
            [Value::Object(map)] => Some(map.clone()),
            _ => None,
        },
        Value::String(text) => encoded(text),
        _ => None,
    };
    if let Some(map) = inner {
        let is_schema = is_schema(&map);
        match read(map, verdict) {
            Some(answer) => return wrapped(answer),
            None if is_schema => return None,
            None => {}
        }
    }
    Some(match coerce::from_json(&value, verdict) {
        Reading::Value(value) => Ok(Answer { verdict: Verdict { value, rationale: None }, is_wrapped: false }),
        Reading::OutOfRange(error) => Err(Miss::OutOfRange(error)),
        Reading::Ambiguous(why) => Err(Miss::Unparseable(why)),
        Reading::Nothing => Err(Miss::Unparseable("the verdict cannot be read")),
    })
}

#[expect(clippy::unnecessary_wraps, reason = "what its callers return")]
fn wrapped(answer: Result<Answer, Miss>) -> Option<Result<Answer, Miss>> {
    Some(answer.map(|answer| Answer { is_wrapped: true, ..answer }))
}

/// The object that a string encodes.
fn encoded(text: &str) -> Option<Map<String, Value>> {
    let text = text.trim();
    let (object, end) = text.starts_with('{').then(|| tolerant::object(text, 0, is_key).ok())??;
    (end == text.len()).then_some(object)
}

fn reasoning(value: Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text,
        Value::Array(steps) => steps.iter().map(Value::as_str).collect::<Option<Vec<_>>>()?.join("\n"),
        _ => return None,
    };
    (!text.trim().is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn scale() -> VerdictType {
        VerdictType::Integer { min: 1, max: 5 }
    }

    fn answer(value: Value) -> Option<Result<Answer, Miss>> {
        match value {
            Value::Object(map) => read(map, &scale()),
            other => panic!("no object: {other}"),
        }
    }

    #[test]
    fn the_verdict_is_found_under_every_name() {
        for name in VALUE_ALIASES.into_iter().chain([VALUE_KEY, "Score", "VALUE"]) {
            let found = answer(json!({"x": 1, name: 4})).unwrap().unwrap();
            assert_eq!((found.verdict.value, found.is_wrapped), (json!(4), false), "{name}");
        }
        for name in RATIONALE_KEYS.into_iter().chain(["Reasoning"]) {
            let found = answer(json!({name: "because", "value": 4})).unwrap().unwrap();
            assert_eq!(found.verdict.rationale.as_deref(), Some("because"), "{name}");
        }
        let steps = answer(json!({"thoughts": ["one", "two"], "value": 4})).unwrap().unwrap();
        assert_eq!(steps.verdict.rationale.as_deref(), Some("one\ntwo"));
        for none in [json!({}), json!({"rationale": "4"}), json!({"reasons": 4}), json!({"a": {"score": 4}, "b": 1})] {
            assert_eq!(answer(none.clone()), None, "{none}");
        }
    }

    #[test]
    fn value_comes_first_and_other_names_must_agree() {
        for (object, value) in [
            (json!({"score": 2, "value": 4}), json!(4)),
            (json!({"score": 4, "rating": "4"}), json!(4)),
            (json!({"answer": "Paris", "score": 4}), json!(4)),
            (json!({"verdict": null, "score": 4}), json!(4)),
        ] {
            assert_eq!(answer(object.clone()).unwrap().unwrap().verdict.value, value, "{object}");
        }
        for object in [json!({"score": 2, "rating": 4}), json!({"score": 7, "rating": 4})] {
            assert!(matches!(answer(object.clone()), Some(Err(Miss::Unparseable(_)))), "{object}");
        }
        let labels = VerdictType::Category { labels: vec!["good".into(), "bad".into()] };
        let Value::Object(object) = json!({"verdict": "awful", "answer": "good"}) else { panic!() };
        assert!(matches!(read(object, &labels), Some(Err(Miss::Unparseable(_)))));
    }

    #[test]
    fn a_value_that_is_not_allowed_is_not_replaced_by_a_nicer_one() {
        for object in [
            json!({"value": 6, "score": 4}),
            json!({"value": null, "score": 4}),
            json!({"value": "great"}),
            json!({"value": ""}),
            json!({"value": [4]}),
            json!({"value": {"x": 4}}),
            json!({"score": 7, "rating": 8}),
            json!({"verdict": "great"}),
        ] {
            assert!(matches!(answer(object.clone()), Some(Err(Miss::OutOfRange(_)))), "{object}");
        }
    }

    #[test]
    fn wrappers_are_opened_and_the_echo_of_a_schema_is_no_answer() {
        for object in [
            json!({"verdict": {"rationale": "r", "value": 4}}),
            json!({"value": {"score": 4}, "rationale": "r"}),
            json!({"properties": {"rationale": "r", "value": 4}}),
            json!({"relevance": {"rationale": "r", "value": 4}}),
            json!({"result": [{"reason": "r", "score": "4"}]}),
            json!({"answer": "{\"value\": 4, \"reason\": \"r\"}"}),
            json!({"properties": {"value": {"type": "integer", "value": 4}}, "reason": "r"}),
        ] {
            let found = answer(object.clone()).unwrap().unwrap();
            assert_eq!((found.verdict.value, found.is_wrapped), (json!(4), true), "{object}");
            assert_eq!(found.verdict.rationale.as_deref(), Some("r"), "{object}");
        }
        assert_eq!(answer(scale().json_schema()), None);
        assert_eq!(answer(json!({"properties": {"score": {"enum": [1, 2]}}})), None);
        assert_eq!(answer(json!({"a": {"value": 4}, "b": {"value": 2}})), None);
    }
}
