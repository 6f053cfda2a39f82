//! The arguments of `judge-run batch`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use super::override_args::OverrideArgs;
use super::run_args::RunArgs;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  Judge on a machine without a network, or with a service that has its own batch API:
    judge-run batch export -d traces.jsonl -J safety -m openai:/Qwen/Qwen3-8B --to requests
    vllm run-batch -i requests/judge-run-*.jsonl -o results.jsonl --model Qwen/Qwen3-8B
    judge-run batch import traces.feedback.jsonl results.jsonl")]
pub(crate) struct ExchangeArgs {
    #[command(subcommand)]
    pub command: ExchangeCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ExchangeCommand {
    /// Write the requests to files in OpenAI's format, one per line; nothing is sent
    Export(Box<ExportArgs>),
    /// Import the results of exported requests
    Import(Box<ImportArgs>),
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    pub run: RunArgs,

    /// Folder for the files; created if it does not exist
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    pub to: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The log that the requests were exported for
    #[arg(value_hint = ValueHint::FilePath)]
    pub log: PathBuf,

    /// Result files, in OpenAI's format
    #[arg(required = true, value_hint = ValueHint::FilePath)]
    pub results: Vec<PathBuf>,

    #[command(flatten)]
    pub overrides: OverrideArgs,
}
