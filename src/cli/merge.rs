//! `judge-run merge`: several logs made one.

use std::process::ExitCode;

use judge_run::feedback::log::{self, MergeError};

use super::compact::cannot_open;
use super::error::CliError;
use super::print::{counted, escaped};
use super::subcommands::MergeArgs;
use super::summary;
use super::target::Target;

pub(crate) fn main(args: MergeArgs) -> Result<ExitCode, CliError> {
    let MergeArgs { logs, output, overwrite } = args;
    let Target { log: Some(output), export: None } = Target::new(Some(output), None, &[])? else {
        return Err(CliError::usage_with_hint("a merge writes a log", "name a file with -o, such as all.jsonl"));
    };
    let merged = log::merge(&logs, &output, overwrite).map_err(|error| match error {
        MergeError::Open(error) => cannot_open(error),
        other => CliError::usage(other),
    })?;
    let mut text = String::new();
    for input in &merged.inputs {
        text.push_str(&format!("{:>9}  in {}", input.records, input.path.display()));
        if input.damaged > 0 {
            text.push_str(&format!(", without {}", counted(input.damaged, "damaged line")));
        }
        text.push('\n');
    }
    let left_out = merged.inputs.iter().map(|input| input.records).sum::<u64>() - merged.written;
    let left_out = counted(left_out, "record");
    text.push_str(&format!("{:>9}  in {}; {left_out} superseded or there twice\n", merged.written, output.display()));
    summary::print(&escaped(&text))?;
    Ok(ExitCode::SUCCESS)
}
