//! The arguments of commands that continue the earlier runs of a log: they override how these were set up.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::flags::{ConductArgs, EndpointArgs, INPUT};

#[derive(Debug, Clone, Args)]
pub(crate) struct OverrideArgs {
    /// Traces, if they have moved. Repeatable
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = INPUT)]
    pub dataset: Vec<PathBuf>,

    #[command(flatten)]
    pub endpoint: EndpointArgs,

    #[command(flatten)]
    pub conduct: ConductArgs,

    /// What variables and options say together.
    #[arg(skip)]
    pub variables: Option<EndpointArgs>,
}

impl OverrideArgs {
    /// What is typed overrides how the runs were set up. Variables do not: they are for new runs, and only fill in what a manifest does not
    /// keep.
    pub(crate) fn keep_typed(&mut self, typed: Self) {
        let ConductArgs { quiet, verbose, .. } = self.conduct;
        self.conduct = ConductArgs { quiet, verbose, ..typed.conduct };
        self.variables = Some(std::mem::replace(&mut self.endpoint, typed.endpoint));
    }
}
