//! What to do about an error: the library says what is wrong, and this adds the flags and files that help.

use std::error::Error;
use std::fmt::Display;

use judge_run::dataset::DatasetError;
use judge_run::endpoint::prices::PriceListError;
use judge_run::feedback::log::OpenError;
use judge_run::judge::JudgeError;
use judge_run::judge::prompt::TemplateError;
use judge_run::judge::toml_file::{Problem, TomlError};
use judge_run::run::DrawError;

use super::dataset_hints;
use super::error::CliError;
use super::{log_hints, suggest};

/// The remedy for an error of the library, if there is one to name.
pub(crate) fn of(error: &(dyn Error + 'static)) -> Option<String> {
    if let Some(error) = error.downcast_ref::<JudgeError>() {
        return match error {
            JudgeError::Unknown { name, known } => {
                let known: Vec<_> = known.iter().map(String::as_str).collect();
                Some(format!("{}; or a file of your own: `--judge ./my_judge.toml`", suggest::or_all(name, &known)))
            }
            JudgeError::Toml { error, .. } => of_key(error),
            JudgeError::Template { error, .. } => of_template(error),
            JudgeError::ShowsNothing { single: Some(name), .. } => {
                Some(format!("write the variable in two braces: `{{{{ {name} }}}}`"))
            }
            JudgeError::ShowsNothing { single: None, .. } => {
                Some("write what the judge should see, such as `{{ outputs | fence(\"answer\") }}`".to_owned())
            }
            _ => None,
        };
    }
    if let Some(error) = error.downcast_ref::<DatasetError>() {
        return dataset_hints::of_error(error);
    }
    if let Some(PriceListError::NotPrices { .. }) = error.downcast_ref() {
        return Some("give `--prices` LiteLLM's model_prices_and_context_window.json".to_owned());
    }
    if let Some(error) = error.downcast_ref::<OpenError>() {
        return log_hints::for_output(error);
    }
    match error.downcast_ref::<DrawError>() {
        Some(DrawError::TooManyStrata) => Some("give `--stratify` an expression with fewer values".to_owned()),
        _ => None,
    }
}

/// What a name in a template may have meant, or where it can be used.
fn of_template(error: &TemplateError) -> Option<String> {
    match error {
        TemplateError::OtherUnit { unit, .. } => Some(format!("write under `[select]`: `unit = \"{unit}\"`")),
        TemplateError::OfEachSide { name, .. } => Some(match name.as_str() {
            "answer" | "outputs" | "trace" => format!("write `{name}_a` and `{name}_b`"),
            _ => "write `trace_a` and `trace_b`".to_owned(),
        }),
        _ => {
            let (name, known) = error.misspelt()?;
            suggest::nearest(name, known).map(|near| format!("did you mean `{near}`?"))
        }
    }
}

/// The error of a file of TOML, with what to do.
pub(crate) fn of_toml(message: impl Display, error: &TomlError) -> CliError {
    let usage = CliError::usage(message);
    match of_key(error) {
        Some(remedy) => usage.hint(remedy),
        None => usage,
    }
}

fn of_key(error: &TomlError) -> Option<String> {
    if error.problem != Problem::UnknownKey {
        return None;
    }
    let key = error.key.rsplit('.').next().unwrap_or_default();
    let known = error.known_keys();
    let is_secret = ["key", "token", "secret", "password", "auth"].iter().any(|word| key.to_lowercase().contains(word));
    if is_secret && known.contains(&"api_key_env") {
        return Some(
            "put the key in an environment variable, and name the variable: `api_key_env = \"MY_API_KEY\"`".to_owned(),
        );
    }
    suggest::nearest(key, known).map(|near| format!("did you mean `{near}`?"))
}
