//! What other tools call the fields of a trace.

use serde_json::{Map, Value};

/// Our field, and what it is called elsewhere, in small letters and nothing but letters and digits.
const OTHER_NAMES: &[(&str, &[&str])] = &[
    ("inputs", &["input", "question", "query", "prompt", "request", "messages", "userinput", "inputs"]),
    ("outputs", &["output", "answer", "response", "completion", "prediction", "result", "actualoutput", "outputs"]),
    (
        "expectations",
        &[
            "expectation",
            "expectations",
            "expected",
            "expectedoutput",
            "expectedresponse",
            "expectedanswer",
            "reference",
            "referenceoutputs",
            "groundtruth",
            "gold",
            "target",
        ],
    ),
    ("trace_id", &["id", "traceid", "requestid", "exampleid", "runid"]),
    ("session_id", &["session", "sessionid", "conversationid", "threadid"]),
    ("spans", &["span", "spans", "steps"]),
    ("tags", &["tag", "tags"]),
];
/// The field that somebody most likely meant by this name.
pub fn meant(name: &str) -> Option<&'static str> {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    // `info.x` and `spans[].x` are fields of something else.
    let whole = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ' '));
    let (field, _) = OTHER_NAMES.iter().find(|(_, others)| whole && others.contains(&plain.as_str()))?;
    Some(field)
}

/// The `--map` flags that make a trace of an object which has none of its fields, as far as can be guessed.
pub(crate) fn suggested(object: &Map<String, Value>) -> String {
    let first = |field: &str| object.keys().find(|key| meant(key) == Some(field));
    let found = ["inputs", "outputs", "expectations"].map(|field| first(field).map(|key| (field, key)));
    let flag = |(field, key): (&str, &String)| {
        let field = if field == "expectations" { "expectations.expected_response" } else { field };
        match key.contains(|c: char| !(c.is_alphanumeric() || "_-.".contains(c))) {
            true => format!("--map '{field}={}'", key.escape_debug()),
            false => format!("--map {field}={key}"),
        }
    };
    match found.first() {
        Some(Some(_)) => found.into_iter().flatten().map(flag).collect::<Vec<_>>().join(" "),
        _ => "--map inputs=NAME --map outputs=NAME".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_tools_name_stands_for_a_field() {
        let field = |name| meant(name).unwrap_or("none");
        for (name, ours) in [
            ("output", "outputs"),
            ("Input", "inputs"),
            ("question", "inputs"),
            ("expected", "expectations"),
            ("expected_output", "expectations"),
            ("reference", "expectations"),
            ("ground_truth", "expectations"),
            ("id", "trace_id"),
            ("traceId", "trace_id"),
            ("color", "none"),
            ("info.id", "none"),
            ("spans[].input", "none"),
        ] {
            assert_eq!(field(name), ours, "{name}");
        }
    }

    #[test]
    fn flags_are_suggested_with_the_names_that_are_there() {
        let suggested =
            |names: &[&str]| suggested(&names.iter().map(|name| ((*name).to_owned(), Value::Null)).collect());
        assert_eq!(suggested(&["id", "Question", "answer"]), "--map inputs=Question --map outputs=answer");
        assert_eq!(
            suggested(&["user input", "ground_truth"]),
            "--map 'inputs=user input' --map expectations.expected_response=ground_truth"
        );
        assert_eq!(suggested(&["answer"]), "--map inputs=NAME --map outputs=NAME");
    }
}
