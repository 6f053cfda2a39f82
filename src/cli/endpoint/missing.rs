//! Missing settings of an endpoint, and how to supply them.

use judge_run::endpoint::ModelUri;

use crate::cli::command_line;
use crate::cli::error::CliError;

/// A variable that should hold a key. Its name is not shown: a key may have been given in its place.
pub(super) fn unset_variable(variable: &str, place: &str) -> CliError {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !variable.chars().all(is_name) || variable.starts_with(|c: char| c.is_ascii_digit()) {
        let message = format!("{place} is not the name of an environment variable");
        return CliError::usage_with_hint(
            message,
            "put the key in a variable and give the variable's name: `--api-key-env MY_API_KEY`",
        );
    }
    let message = match command_line::is_variable_name(variable) {
        true => format!("the environment variable {variable} ({place}) is not set"),
        false => format!("the environment variable that {place} names is not set"),
    };
    CliError::usage_with_hint(
        message,
        "give the variable's name, not the key: `export MY_API_KEY=...`, then `--api-key-env MY_API_KEY`",
    )
}

/// A cost is limited, but no price is known.
pub(crate) fn no_prices(uri: &ModelUri) -> CliError {
    CliError::usage_with_hint(format_args!("`--max-cost` needs the prices of {uri}"), own_prices(uri))
}

/// Where prices are written.
pub(super) fn own_prices(uri: &ModelUri) -> String {
    format!(
        "add them to judge-run.toml, per million tokens:\n  \
         [endpoints.{}.prices.\"{}\"]\n  input = 0.40\n  cached_input = 0.10\n  output = 1.60",
        uri.endpoint, uri.model
    )
}

/// What to do without a key.
pub(super) fn three_ways(key_env: &str) -> String {
    let ways = [
        (format!("export {key_env}=..."), "with a key of the provider"),
        ("judge-run ... -m ollama:/llama3.2".to_owned(), "with a server on your own machine"),
        ("judge-run ... --simulate".to_owned(), "without a model; the verdicts are made up"),
    ];
    let ways = ways.map(|(way, what)| format!("\n  {way:<36}{what}"));
    format!("choose one:{}", ways.concat())
}
