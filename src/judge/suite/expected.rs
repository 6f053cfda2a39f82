//! The right verdicts about a trace of a suite.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::judge::Judge;

/// By the name of the judge, or of each criterion about which something is expected: any of these is right, and null is an abstention.
pub type Expected = BTreeMap<String, Vec<Value>>;

/// Reads `expected` and `expected_any`: a verdict, and a list of verdicts; of a rubric an object of these, by criterion.
///
/// # Errors
/// What is missing, unknown, or a verdict that the judge cannot give.
pub(super) fn read(judges: &[Judge], whole: &Map<String, Value>) -> Result<Expected, String> {
    let (expected, any) = (whole.get("expected"), whole.get("expected_any"));
    if let [judge] = judges
        && judge.criterion().is_none()
    {
        let right = match (expected, any) {
            (Some(value), None) => vec![value.clone()],
            (None, Some(values)) => list("expected_any", values)?,
            _ => return Err("a trace needs `expected`, or `expected_any` with a list of verdicts".to_owned()),
        };
        return Ok([(judge.name.clone(), allowed(judge, "expected", &right)?)].into());
    }
    let mut all = Expected::new();
    for (name, value) in by_criterion("expected", expected)? {
        add(&mut all, judges, name, std::slice::from_ref(value))?;
    }
    for (name, values) in by_criterion("expected_any", any)? {
        add(&mut all, judges, name, &list(name, values)?)?;
    }
    if all.is_empty() {
        return Err("a trace needs `expected`: an object with the verdict on at least one criterion".to_owned());
    }
    Ok(all)
}

fn by_criterion<'a>(
    key: &str,
    value: Option<&'a Value>,
) -> Result<impl Iterator<Item = (&'a String, &'a Value)>, String> {
    match value {
        None => Ok(None.into_iter().flatten()),
        Some(Value::Object(members)) => Ok(Some(members).into_iter().flatten()),
        Some(_) => Err(format!("`{key}` of a rubric is an object, by criterion")),
    }
}

fn list(key: &str, values: &Value) -> Result<Vec<Value>, String> {
    match values {
        Value::Array(values) if !values.is_empty() => Ok(values.clone()),
        _ => Err(format!("`{key}`: `expected_any` needs a list of verdicts")),
    }
}

fn add(all: &mut Expected, judges: &[Judge], name: &str, right: &[Value]) -> Result<(), String> {
    let Some(judge) = judges.iter().find(|judge| judge.criterion() == Some(name)) else {
        let known: Vec<_> = judges.iter().filter_map(|judge| Some(format!("`{}`", judge.criterion()?))).collect();
        return Err(format!("the rubric has no criterion `{name}`, only {}", known.join(", ")));
    };
    match all.insert(judge.name.clone(), allowed(judge, name, right)?) {
        None => Ok(()),
        Some(_) => Err(format!("`{name}` is in both `expected` and `expected_any`")),
    }
}

/// The verdicts as the judge would give them.
fn allowed(judge: &Judge, key: &str, right: &[Value]) -> Result<Vec<Value>, String> {
    let one = |value: &Value| match judge.verdict.check(value) {
        Ok(value) => Ok(value),
        Err(_) if judge.can_abstain && value.is_null() => Ok(Value::Null),
        Err(error) => Err(format!("`{key}`: {error}")),
    };
    right.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::judge::Given;
    use crate::judge::suite::tests::RUBRIC;

    fn read_by(text: &str, whole: &Value) -> Result<Expected, String> {
        let judges = Judge::compile_all("j", text, "j", &Given::new()).unwrap();
        read(&judges, whole.as_object().unwrap())
    }

    #[test]
    fn what_is_expected_is_what_the_judge_can_say() {
        let labels = "[verdict]\ntype = \"category\"\nlabels = [\"a\", \"b\"]\nmultiple = true\n[prompt]\nuser = \"{{ answer }}\"";
        let read = |whole: Value| read_by(labels, &whole);
        assert_eq!(read(json!({"expected": ["b", "a"]})).unwrap()["j"], [json!(["a", "b"])]);
        assert_eq!(read(json!({"expected_any": [["a"], ["b"]]})).unwrap()["j"].len(), 2);
        for (whole, words) in [
            (
                json!({"expected": ["c"]}),
                "`expected`: the verdict must be a list of one or more of \"a\", \"b\", but is [\"c\"]",
            ),
            (json!({"expected": null}), "`expected`: the verdict must be a list"),
            (json!({"expected_any": []}), "`expected_any`: `expected_any` needs a list"),
            (json!({"expected": ["a"], "expected_any": [["a"]]}), "a trace needs `expected`, or"),
        ] {
            let error = read(whole).unwrap_err();
            assert!(error.starts_with(words), "{error}");
        }
    }

    #[test]
    fn of_a_rubric_it_is_by_criterion_and_may_leave_some_out() {
        let read = |whole: Value| read_by(RUBRIC, &whole);
        let expected = read(json!({"expected": {"faithful": true}, "expected_any": {"clear": [3, 4]}})).unwrap();
        let open = RUBRIC.replace("good = true", "good = true, unknown = true");
        let abstained = read_by(&open, &json!({"expected": {"faithful": null}})).unwrap();
        assert_eq!(abstained["j.faithful"], [Value::Null]);
        let names: Vec<_> = expected.keys().map(String::as_str).collect();
        assert_eq!((names, &expected["j.clear"]), (vec!["j.clear", "j.faithful"], &vec![json!(3), json!(4)]));
        for (whole, words) in [
            (json!({"expected": true}), "`expected` of a rubric is an object"),
            (json!({"expected": {}}), "a trace needs `expected`: an object"),
            (
                json!({"expected": {"faithfull": true}}),
                "the rubric has no criterion `faithfull`, only `faithful`, `clear`",
            ),
            (json!({"expected": {"clear": null}}), "`clear`: the verdict must be"),
            (json!({"expected": {"clear": 5}}), "`clear`: the verdict must be an integer from 1 to 4, but is 5"),
            (json!({"expected": {"clear": 4}, "expected_any": {"clear": [3]}}), "`clear` is in both"),
            (json!({"expected_any": {"clear": 3}}), "`clear`: `expected_any` needs a list"),
        ] {
            let error = read(whole).unwrap_err();
            assert!(error.starts_with(words), "{error}");
        }
    }
}
