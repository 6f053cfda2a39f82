//! What to do about an error: the library says what is wrong, and this adds the flags and files that help.

use std::error::Error;
use std::path::Path;

use judge_run::dataset::DatasetError;
use judge_run::endpoint::prices::PriceListError;
use judge_run::feedback::log::OpenError;
use judge_run::judge::JudgeError;
use judge_run::judge::prompt::TemplateError;
use judge_run::judge::toml_file::{Problem, TomlError};
use judge_run::run::DrawError;

use super::dataset_hints;
use super::suggest;

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
        return for_output(error);
    }
    match error.downcast_ref::<DrawError>() {
        Some(DrawError::TooManyStrata) => Some("give `--stratify` an expression with fewer values".to_owned()),
        _ => None,
    }
}

/// Where a run was to write to the log.
fn for_output(error: &OpenError) -> Option<String> {
    Some(match error {
        OpenError::Io { .. } => return None,
        OpenError::Directory { path } => format!("name a file: `-o {}`", path.join("feedback.jsonl").display()),
        OpenError::NotAFile { path } => format!("write to standard output instead: `-o - > {}`", path.display()),
        OpenError::Locked { .. } => "wait for it, or choose another file with `-o`".to_owned(),
        OpenError::NotALog { .. } => "choose another file with `-o`, or `--overwrite` it".to_owned(),
        OpenError::StillOpen { path, kept_in } => merge_with(path, kept_in),
    })
}

/// If another process still has the old file of a log open.
pub(crate) fn merge_with(path: &Path, kept_in: &Path) -> String {
    let (path, kept_in) = (path.display(), kept_in.display());
    format!("end that process, then `judge-run merge {path} {kept_in} -o all.jsonl`")
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

/// The key that an unknown one may have meant, or what to write instead.
pub(crate) fn of_key(error: &TomlError) -> Option<String> {
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
