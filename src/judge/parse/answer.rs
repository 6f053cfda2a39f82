//! Finds the verdict in a JSON object: under `value`, under one of the names models use instead, or in a wrapper.

use serde_json::{Map, Value};

use super::coerce::{self, Reading};
use super::expected::Expected;
use super::keys::{RATIONALE_KEYS, is_key, is_pass_key, is_value_key};
use super::outcome::{DIFFERING, Miss, ParseMethod, Parsed};
use super::{evidence, tolerant};
use crate::judge::AnswerForm;
use crate::judge::answer_form::QUOTES_KEY;
use crate::judge::form::{VALUE_KEY, is_placeholder};
use crate::judge::verdict::Verdict;

/// The wrappers of an answer that is written as a function call.
const CALL_WRAPPERS: [&str; 2] = ["arguments", "parameters"];
/// The wrapper of an answer that fills in the schema instead of following it.
const SCHEMA_WRAPPER: &str = "properties";

/// What an object answered.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    pub(super) verdict: Verdict,
    /// Whether it was inside another object, an array or a string.
    pub(super) is_wrapped: bool,
}

impl Answer {
    /// What was read by this method.
    pub(super) fn parsed(self, method: ParseMethod) -> Parsed {
        let method = if self.is_wrapped { ParseMethod::Tolerant } else { method };
        Parsed { verdict: self.verdict, method }
    }
}

/// The verdict of an object. None when it has no verdict key: then it is not the answer.
pub(super) fn read(mut object: Map<String, Value>, expected: &Expected<'_>) -> Option<Result<Answer, Miss>> {
    let mut answer = match object.remove(VALUE_KEY) {
        Some(value) if object.iter().any(|(key, other)| key.eq_ignore_ascii_case(VALUE_KEY) && *other != value) => {
            Some(Err(Miss::Unparseable(DIFFERING)))
        }
        Some(value) => candidate(value, expected),
        None => agreed(&mut object, expected).or_else(|| wrapper(&mut object, expected)),
    };
    if *expected.form == AnswerForm::Quoting
        && let Some(Ok(Answer { verdict: Verdict { details, .. }, .. })) = &mut answer
        && let Some(Value::Array(quotes)) = object.remove(QUOTES_KEY)
    {
        *details = evidence::details(quotes.iter().filter_map(Value::as_str), expected);
    }
    if let Some(Ok(Answer { verdict: Verdict { rationale: rationale @ None, .. }, .. })) = &mut answer {
        *rationale = RATIONALE_KEYS.iter().find_map(|name| {
            let key = object.keys().find(|key| key.eq_ignore_ascii_case(name))?.clone();
            reasoning(object.remove(&key)?)
        });
        if rationale.as_deref().is_some_and(is_placeholder) {
            return Some(Err(Miss::Unparseable("the rationale is the form of the answer, copied")));
        }
    }
    answer
}

/// The one verdict under all the other names that are there.
fn agreed(object: &mut Map<String, Value>, expected: &Expected<'_>) -> Option<Result<Answer, Miss>> {
    let is_known = |key: &str| is_value_key(key) || is_pass_key(key) && expected.good.is_some();
    let keys: Vec<_> = object.keys().filter(|key| is_known(key)).cloned().collect();
    let value_of = |key: &String| {
        let value = object.remove(key)?;
        if is_pass_key(key) { coerce::from_pass(&value, expected) } else { Some(value) }
    };
    let mut values: Vec<_> = keys.iter().filter_map(value_of).collect();
    // `{"answer": "Paris", "score": 4}`: what cannot be the verdict does not contradict it.
    if values.iter().any(|value| coerce::is_of_kind(value, expected)) {
        values.retain(|value| coerce::is_of_kind(value, expected));
    }
    let mut answers = values.into_iter().filter_map(|value| candidate(value, expected));
    let first = answers.next()?;
    let all_agree = answers.all(|other| match (&first, &other) {
        (Ok(one), Ok(other)) => coerce::same(&one.verdict.value, &other.verdict.value),
        (one, other) => one.is_err() && other.is_err(),
    });
    Some(if all_agree { first } else { Err(Miss::Unparseable(DIFFERING)) })
}

/// `{"properties": {...}}`, a call with `arguments`, or an object under the judge's own name: `{"relevance": {"value": 4}}`.
fn wrapper(object: &mut Map<String, Value>, expected: &Expected<'_>) -> Option<Result<Answer, Miss>> {
    let inner = if let Some(Value::Object(inner)) = object.remove(SCHEMA_WRAPPER) {
        inner
    } else if let Some(name) = CALL_WRAPPERS.iter().find(|name| object.contains_key(**name)) {
        match object.remove(*name)? {
            Value::Object(inner) => inner,
            Value::String(text) => encoded(&text)?,
            _ => return None,
        }
    } else {
        let is_alone = object.len() == 1;
        match object.values_mut().next()? {
            Value::Object(inner) if is_alone && inner.keys().any(|key| is_value_key(key)) => std::mem::take(inner),
            _ => return None,
        }
    };
    wrapped(read(inner, expected)?)
}

/// The value of one verdict key. None for the echo of a schema, which is not an answer.
fn candidate(value: Value, expected: &Expected<'_>) -> Option<Result<Answer, Miss>> {
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
        match read(map, expected) {
            Some(answer) => return wrapped(answer),
            None if is_schema => return None,
            None => {}
        }
    }
    Some(match coerce::from_json(&value, expected) {
        Reading::Value(value) => {
            Ok(Answer { verdict: Verdict { value, rationale: None, details: Vec::new() }, is_wrapped: false })
        }
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
    let read = text.starts_with('{').then(|| tolerant::object(text, 0, is_key).ok())??;
    (read.end == text.len() && !read.contradicts_itself).then_some(read.object)
}

fn reasoning(value: Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text,
        Value::Array(steps) => steps.iter().map(Value::as_str).collect::<Option<Vec<_>>>()?.join("\n"),
        _ => return None,
    };
    // A formula's `\frac` is a form feed to JSON, which no rationale means.
    let text = if memchr::memchr2(8, 12, text.as_bytes()).is_some() {
        text.replace('\u{8}', "\\b").replace('\u{c}', "\\f")
    } else {
        text
    };
    (!text.trim().is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::keys::VALUE_ALIASES;
    use super::*;
    use crate::feedback::Good;
    use crate::judge::verdict::VerdictType;

    fn scale() -> VerdictType {
        VerdictType::Integer { min: 1, max: 5 }
    }

    fn answer_to(value: Value, expected: &Expected<'_>) -> Option<Result<Answer, Miss>> {
        match value {
            Value::Object(map) => read(map, expected),
            other => panic!("not an object: {other}"),
        }
    }

    fn answer(value: Value) -> Option<Result<Answer, Miss>> {
        answer_to(value, &Expected::from(&scale()))
    }

    #[test]
    fn the_verdict_is_found_under_every_name() {
        let others = [VALUE_KEY, "Score", "VALUE", "final_score", "finalVerdict", "Overall rating"];
        for name in VALUE_ALIASES.into_iter().chain(others) {
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
        for object in
            [json!({"score": 2, "rating": 4}), json!({"score": 7, "rating": 4}), json!({"value": 4, "Value": 2})]
        {
            assert!(matches!(answer(object.clone()), Some(Err(Miss::Unparseable(_)))), "{object}");
        }
        let labels = VerdictType::Category { labels: vec!["good".into(), "bad".into()] };
        let object = json!({"verdict": "awful", "answer": "good"});
        assert!(matches!(answer_to(object, &Expected::from(&labels)), Some(Err(Miss::Unparseable(_)))));
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
            json!({"evaluation": {"reason": "r", "score": 4}}),
            json!({"name": "verdict", "arguments": {"rationale": "r", "value": 4}}),
            json!({"name": "verdict", "arguments": "{\"rationale\": \"r\", \"value\": 4}"}),
        ] {
            let found = answer(object.clone()).unwrap().unwrap();
            assert_eq!((found.verdict.value, found.is_wrapped), (json!(4), true), "{object}");
            assert_eq!(found.verdict.rationale.as_deref(), Some("r"), "{object}");
        }
        assert_eq!(answer(scale().json_schema()), None);
        assert_eq!(answer(json!({"properties": {"score": {"enum": [1, 2]}}})), None);
        assert_eq!(answer(json!({"a": {"value": 4}, "b": {"value": 2}})), None);
    }

    #[test]
    fn pass_is_read_only_where_a_verdict_is_declared_good() {
        let value = |object: Value, good: Option<&Good>| {
            let expected = Expected { good, ..Expected::from(&VerdictType::Boolean) };
            answer_to(object, &expected)?.ok().map(|answer| answer.verdict.value)
        };
        let (safe, hallucinated) = (Good::Boolean(true), Good::Boolean(false));
        let object = json!({"pass": true, "reason": "r", "score": 1});
        assert_eq!(value(object.clone(), Some(&safe)), Some(json!(true)));
        assert_eq!(value(object.clone(), Some(&hallucinated)), Some(json!(false)));
        assert_eq!(value(object, None), None);
        assert_eq!(value(json!({"passed": "no"}), Some(&safe)), Some(json!(false)));
        assert_eq!(value(json!({"verdict": "PASS"}), Some(&hallucinated)), Some(json!(false)));
        assert_eq!(value(json!({"verdict": "PASS"}), None), None);
        assert_eq!(value(json!({"pass": true, "verdict": false}), Some(&safe)), None, "they differ");
    }

    #[test]
    fn a_copied_form_is_not_a_verdict() {
        let copied = json!({"rationale": "<your reasoning, in a few sentences>", "value": 4});
        assert!(matches!(answer(copied), Some(Err(Miss::Unparseable(_)))));
        assert!(answer(json!({"rationale": "x", "value": 4})).unwrap().is_ok());
    }

    #[test]
    fn a_formula_in_the_rationale_is_not_garbled() {
        let found = answer(serde_json::from_str(r#"{"rationale": "\frac{1}{2} \beta", "value": 4}"#).unwrap());
        let garbled =
            answer(serde_json::from_str(r#"{"rationale": "\u000crac{1}{2} \u0008eta", "value": 4}"#).unwrap());
        let rationale = |answer: Option<Result<Answer, Miss>>| answer.unwrap().unwrap().verdict.rationale.unwrap();
        assert_eq!(rationale(found), rationale(garbled));
    }
}
