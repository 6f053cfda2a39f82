//! A prompt in MLflow's registry: a model version with the prompt in its tags.

use serde_json::{Map, Value};

use super::imported::{Imported, NotImported, unsupported};
use super::scorer::{fenced, known, variables};
use super::toml_text::{JudgeText, raw};
use super::value_type::ValueType;
use crate::judge::prompt::VARIABLES;

pub(super) fn import(version: &Value) -> Result<Imported, NotImported> {
    let text = |key: &str| version.get(key).and_then(Value::as_str).unwrap_or_default();
    let name = text("name");
    let tags = version.get("tags").and_then(Value::as_array);
    let tag = |wanted: &str| {
        let tag = tags?.iter().find(|tag| tag.get("key").is_some_and(|key| key == wanted))?;
        tag.get("value")?.as_str()
    };
    let template = tag("mlflow.prompt.text").ok_or_else(|| unsupported(name, "is a model, not a prompt"))?;
    let mut notes = Vec::new();
    let (system, user) = match tag("_mlflow_prompt_type") {
        Some("chat") => chat(template, &mut notes).map_err(|reason| unsupported(name, reason))?,
        _ => (String::new(), template.to_owned()),
    };
    let (user, shows_something) = with_fences(&user, &mut notes);
    if !shows_something {
        return Err(unsupported(name, "uses nothing from a trace: no `{{ inputs }}`, `{{ outputs }}` or the like"));
    }
    let verdict = match tag("_mlflow_prompt_response_format") {
        None => {
            notes
                .push("the prompt does not say what the answers are: set [verdict], which is now a boolean".to_owned());
            ValueType::Boolean
        }
        Some(schema) => {
            let schema = serde_json::from_str(schema).map_err(|error| NotImported::Json(error.to_string()))?;
            of_answer(&schema, &mut notes).map_err(|reason| unsupported(name, reason))?
        }
    };
    let config: Map<String, Value> =
        tag("_mlflow_prompt_model_config").and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let of_config = |key: &str| config.get(key).and_then(Value::as_str);
    let model = of_config("model_name").map(|model| format!("{}:/{model}", of_config("provider").unwrap_or("openai")));
    let parameters = config.iter().filter(|(key, _)| !matches!(key.as_str(), "model_name" | "provider"));
    let params = known(&parameters.map(|(key, value)| (key.clone(), value.clone())).collect(), &mut notes);
    let judge = JudgeText {
        version: text("version").parse().unwrap_or(1),
        description: text("description").to_owned(),
        model,
        is_of_sessions: false,
        verdict,
        system: raw(&system),
        user,
        params,
    };
    Ok(Imported { name: name.to_owned(), toml: judge.written(), notes })
}

/// The messages of a chat as system and user. Content of the trace does not belong in the system message.
fn chat(template: &str, notes: &mut Vec<String>) -> Result<(String, String), String> {
    let messages: Vec<Value> =
        serde_json::from_str(template).map_err(|error| format!("has no list of messages: {error}"))?;
    let (mut system, mut user) = (Vec::new(), Vec::new());
    for message in &messages {
        let part = |key: &str| message.get(key).and_then(Value::as_str).unwrap_or_default();
        match part("role") {
            "system" | "developer" if variables(part("content")).is_empty() => system.push(part("content")),
            "system" | "developer" => {
                notes.push(
                    "a system message uses something from the trace: it is now part of the user message".to_owned(),
                );
                user.push(part("content"));
            }
            "user" => user.push(part("content")),
            role => notes.push(format!("a message with the role `{role}` is left out")),
        }
    }
    Ok((system.join("\n\n"), user.join("\n\n")))
}

/// The template with each of the trace's values in a fence, and whether there is any. Other variables are noted.
fn with_fences(template: &str, notes: &mut Vec<String>) -> (String, bool) {
    let (mut text, mut from, mut shows_something) = (String::new(), 0, false);
    for (start, end, name) in variables(template) {
        text += &template[from..start];
        if VARIABLES.contains(&name) {
            text += &fenced(name);
            shows_something = true;
        } else {
            text += &template[start..end];
            notes.push(format!(
                "`{{{{ {name} }}}}` is not part of a trace: write what it means, such as `inputs.{name}`"
            ));
        }
        from = end;
    }
    (text + &template[from..], shows_something)
}

/// The one value in the schema of an answer that is not its reasons.
fn of_answer(schema: &Value, notes: &mut Vec<String>) -> Result<ValueType, String> {
    const REASONS: [&str; 6] = ["rationale", "reason", "reasoning", "explanation", "justification", "thoughts"];
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return ValueType::of(schema, notes);
    };
    let values: Vec<_> =
        properties.iter().filter(|(name, _)| !REASONS.contains(&name.to_lowercase().as_str())).collect();
    match values.as_slice() {
        [(_, schema)] => ValueType::of(schema, notes),
        _ => Err("answers with several values, but a verdict here is one: make a judge for each".to_owned()),
    }
}
