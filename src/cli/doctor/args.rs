//! The arguments of `judge-run doctor`.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use judge_run::endpoint::ModelUri;

use crate::cli::flags::{ENDPOINT, EndpointArgs, INPUT, OUTPUT};
use crate::cli::mlflow::args::ServerArgs;
use crate::cli::setting::Setting;

#[derive(Debug, Args)]
#[command(after_help = "\
Looks at judge-run.toml, variables, dataset, judges and log, and asks each endpoint and server that they name
with one request that judges nothing and costs nothing. Names of variables are shown, values never.

Exit codes:
  0  everything that is configured works
  1  something does not

Examples:
  Before the first night:
    judge-run doctor
  Without the network, for a program:
    judge-run doctor --offline --format json
  For the options of a command:
    judge-run doctor -d traces.jsonl -J safety -m openai:/gpt-4.1-mini --batch")]
pub(crate) struct DoctorArgs {
    /// Traces, as with --dataset of a run
    #[arg(short, long, value_name = "FILE", env = "JUDGE_RUN_DATASET", value_hint = ValueHint::FilePath,
          help_heading = INPUT)]
    pub dataset: Vec<PathBuf>,

    /// Judge, as with --judge of a run
    #[arg(short = 'J', long, value_name = "NAME|FILE", env = "JUDGE_RUN_JUDGE", value_delimiter = ',',
          help_heading = INPUT)]
    pub judge: Vec<String>,

    /// Set a parameter of a judge, as with --set of a run
    #[arg(long, value_name = "JUDGE.NAME=VALUE", env = "JUDGE_RUN_SET", help_heading = INPUT)]
    pub set: Vec<Setting>,

    /// Log, as with --output of a run
    #[arg(short, long, value_name = "FILE", env = "JUDGE_RUN_OUTPUT", value_hint = ValueHint::FilePath,
          help_heading = OUTPUT)]
    pub output: Option<PathBuf>,

    /// Stronger model, as with --escalate-to of a run
    #[arg(long, value_name = "ENDPOINT:/MODEL", env = "JUDGE_RUN_ESCALATE_TO", help_heading = ENDPOINT)]
    pub escalate_to: Option<ModelUri>,

    /// Ask for the list of batches, too, as --batch of a run needs the batch API
    #[arg(long, env = "JUDGE_RUN_BATCH", help_heading = ENDPOINT)]
    pub batch: bool,

    #[command(flatten)]
    pub endpoint: EndpointArgs,

    #[command(flatten, next_help_heading = INPUT)]
    pub server: ServerArgs,

    /// Send nothing: do not contact endpoints and servers
    #[arg(long)]
    pub offline: bool,

    /// Form of the answer
    #[arg(long, value_name = "FORM", default_value = "text", value_parser = ["text", "json"], help_heading = OUTPUT)]
    pub format: String,
}
