//! MLflow's judges and prompts as judge files: the responses of `scorers/get`, `scorers/list` and `model-versions/get`, read from a file.

mod imported;
mod prompt;
mod scorer;
mod toml_text;
mod value_type;

use serde_json::Value;

pub use imported::{Imported, NotImported};

/// Reads all judges in the text of a file.
///
/// # Errors
/// When the text has none. One that cannot be converted is in the list with its reason.
pub fn import(text: &str) -> Result<Vec<Result<Imported, NotImported>>, NotImported> {
    let json: Value = serde_json::from_str(text).map_err(|error| NotImported::Json(error.to_string()))?;
    if let Some(scorers) = json.get("scorers").and_then(Value::as_array) {
        return Ok(scorers.iter().map(scorer::import).collect());
    }
    if let Some(versions) = json.get("model_versions").and_then(Value::as_array) {
        return Ok(versions.iter().map(prompt::import).collect());
    }
    let one = match (json.get("scorer"), json.get("model_version")) {
        (Some(scorer), _) => scorer::import(scorer),
        (None, Some(version)) => prompt::import(version),
        (None, None) if json.get("instructions_judge_pydantic_data").is_some() => scorer::import(&json),
        (None, None) => return Err(NotImported::OtherJson),
    };
    Ok(vec![one])
}

#[cfg(test)]
mod tests;
