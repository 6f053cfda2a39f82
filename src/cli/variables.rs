//! Environment variables that look like options but are not: a misspelt one would be ignored silently.

use std::collections::BTreeSet;

use super::args::command;
use super::endpoint::{QUOTA_PASSWORD, QUOTA_USER};
use super::servers::{PASSWORD, TOKENS};
use super::shard;
use super::suggest;

const PREFIX: &str = "JUDGE_RUN_";

/// A warning for each.
pub(crate) fn warnings() -> Vec<String> {
    let command = command();
    let all = std::iter::once(&command).chain(command.get_subcommands());
    let of_args = all.flat_map(|command| command.get_arguments().filter_map(clap::Arg::get_env));
    let of_args = of_args.filter_map(|name| name.to_str());
    let known: BTreeSet<_> = of_args
        .chain(shard::VARIABLES)
        .chain([PASSWORD, TOKENS, QUOTA_USER, QUOTA_PASSWORD])
        .map(ToOwned::to_owned)
        .collect();
    // An empty one counts as not set.
    let set = std::env::vars_os().filter(|(_, value)| !value.is_empty());
    let names = set.filter_map(|(name, _)| name.into_string().ok());
    let mut unknown: Vec<_> = names.filter(|name| name.starts_with(PREFIX) && !known.contains(name)).collect();
    unknown.sort();
    let warning = |name: String| match suggest::nearest(&name, known.iter().map(String::as_str)) {
        Some(near) => format!("ignoring the environment variable {name}; did you mean {near}?"),
        None => format!("ignoring the environment variable {name}, which matches no option"),
    };
    unknown.into_iter().map(warning).collect()
}
