//! `judge-run merge`: combines several logs.

use std::process::ExitCode;

use judge_run::feedback::log::{self, MergeError};

use super::error::CliError;
use super::log_hints::cannot_open;
use super::print::{counted, escaped};
use super::subcommands::MergeArgs;
use super::summary;
use super::target::Target;

pub(crate) fn main(args: MergeArgs) -> Result<ExitCode, CliError> {
    let MergeArgs { logs, output, overwrite } = args;
    let Target { log: Some(output), export: None } = Target::new(Some(output), None, &[], None)? else {
        return Err(CliError::usage_with_hint("the output of a merge is a log", "name a .jsonl file: `-o all.jsonl`"));
    };
    let merged = log::merge(&logs, &output, overwrite).map_err(|error| failed(&error))?;
    let mut text = String::new();
    for input in &merged.inputs {
        text.push_str(&format!("{:>9}  in {}", input.records, input.path.display()));
        if input.damaged > 0 {
            text.push_str(&format!(", without {}", counted(input.damaged, "damaged line")));
        }
        text.push('\n');
    }
    let dropped = merged.inputs.iter().map(|input| input.records).sum::<u64>() - merged.written;
    let dropped = counted(dropped, "record");
    text.push_str(&format!("{:>9}  in {}; {dropped} superseded or duplicate\n", merged.written, output.display()));
    summary::print(&escaped(&text))?;
    Ok(ExitCode::SUCCESS)
}

fn failed(error: &MergeError) -> CliError {
    let hint = match error {
        MergeError::Open(error) => return cannot_open(error),
        MergeError::NotAFile { .. } => "name files, because each is read twice",
        MergeError::OutputIsInput { .. } => "name another output with `-o`",
        MergeError::Exists { .. } => "name another output with `-o`, or `--overwrite` it",
        MergeError::Conflicts(_) => "remove one of the two records from its log",
    };
    CliError::usage_with_hint(error, hint)
}
