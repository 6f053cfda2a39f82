//! `judge-run convert`: feedback in another form.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use judge_run::dataset::DatasetOptions;
use judge_run::feedback::forms::{self, ConvertError, Converted, Form, Input};
use judge_run::feedback::log;
use judge_run::run::Exit;
use judge_run::run::manifest::Manifest;

use super::error::CliError;
use super::print::{self, counted, escaped, one_line};
use super::subcommands::ConvertArgs;
use super::table::TableArgs;
use super::{summary, table};

/// A file of something else should not fill a screen.
const REJECTS_SHOWN: u64 = 20;

pub(crate) fn main(args: ConvertArgs) -> Result<ExitCode, CliError> {
    let ConvertArgs { input, output, from, to, present, overwrite, include, bom, dataset } = args;
    let to = form_of(&output, to)?;
    let table = TableArgs { include, bom }.plan(Some(to))?;
    let dataset = if table.include.is_empty() { None } else { Some(dataset_of(&input, dataset)?) };
    let to_stdout = is_dash(&output);
    if !to_stdout {
        may_be_written(&input, &output, overwrite)?;
    }
    let source = open(&input, from)?;
    let name = if is_dash(&input) { "standard input".into() } else { input.display().to_string() };
    let mut rejected = 0;
    let mut on_reject = |line: u64, reason: &str| {
        rejected += 1;
        if rejected <= REJECTS_SHOWN {
            print::message(one_line(&format!("{name}:{line}: {reason}")));
        }
    };
    let converted = table::with_options(&table, dataset, |table| {
        if to_stdout {
            let mut stdout = BufWriter::with_capacity(1 << 16, io::stdout().lock());
            let converted = forms::convert(source, to, present, table, &mut stdout, &mut on_reject);
            converted.and_then(|converted| stdout.flush().map(|()| converted).map_err(ConvertError::Write))
        } else {
            forms::replace(&output, overwrite, |out| forms::convert(source, to, present, table, out, &mut on_reject))
        }
    })?;
    let converted = converted.map_err(|error| failed(error, &name, &output))?;
    if converted.rejected > REJECTS_SHOWN {
        print::message(format_args!("and {} more", counted(converted.rejected - REJECTS_SHOWN, "line")));
    }
    let text = escaped(&shown(&converted, &name, &output, to));
    if to_stdout {
        print::message(text.trim_end())
    } else {
        summary::print(&text)?
    }
    for lost in &converted.lost {
        print::message(format_args!("not representable in {to} ({}): {}", counted(lost.records, "record"), lost.what));
    }
    if !converted.lacking.is_empty() {
        let lacking = converted.lacking.join(", ");
        print::message(format_args!(
            "not in {} for every record, so missing from the result: {lacking}",
            one_line(&name)
        ));
    }
    let exit = if converted.rejected > 0 { Exit::SomeFailed } else { Exit::AllJudged };
    Ok(ExitCode::from(exit.code()))
}

/// The traces that the feedback is about: those that are named, or those of the last run over the log, read as that run read them.
fn dataset_of(log: &Path, named: Vec<PathBuf>) -> Result<DatasetOptions, CliError> {
    let plan = Manifest::read(&Manifest::path_of(log)).ok().and_then(|manifest| manifest.plans.into_iter().next_back());
    let paths = match &plan {
        Some(plan) if named.is_empty() => plan.datasets.iter().map(|dataset| dataset.path.clone()).collect(),
        _ if named.is_empty() => {
            return Err(CliError::usage_with_hint(
                format_args!("`--include` needs the traces, but `{}` has no manifest that names them", log.display()),
                "name them with `--dataset FILE`",
            ));
        }
        _ => named,
    };
    let mut options = DatasetOptions::new(paths);
    if let Some(reading) = plan.map(|plan| plan.reading) {
        options.max_line_bytes = reading.max_line_bytes;
        options.format = reading.format.unwrap_or_default();
        options.mappings = reading.map;
    }
    Ok(options)
}

fn is_dash(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// The form to write.
fn form_of(output: &Path, named: Option<Form>) -> Result<Form, CliError> {
    named.or_else(|| Form::of_path(output)).ok_or_else(|| {
        let what = if is_dash(output) { "standard output".into() } else { format!("`{}`", output.display()) };
        CliError::usage_with_hint(
            format_args!("cannot infer the format of {what}"),
            "name it with `--to`: jsonl, mlflow, csv or csv-wide",
        )
    })
}

fn open(input: &Path, from: Option<Form>) -> Result<Input, CliError> {
    let cannot_read =
        |error: &dyn std::fmt::Display| CliError::usage(format_args!("cannot read `{}`: {error}", input.display()));
    if is_dash(input) {
        return Input::of_reader(Box::new(io::stdin()), from).map_err(|error| failed(error, "standard input", input));
    }
    if input.is_dir() {
        return Err(cannot_read(&"is a directory"));
    }
    let file = File::open(input).map_err(|error| cannot_read(&error))?;
    // A table may be of either kind: its header decides.
    let form = from.or_else(|| Form::of_path(input).filter(|form| !form.is_table()));
    Input::of_file(file, form).map_err(|error| failed(error, &input.display().to_string(), input))
}

/// The input is never changed, and nothing is overwritten without `--overwrite`.
fn may_be_written(input: &Path, output: &Path, overwrite: bool) -> Result<(), CliError> {
    let shown = output.display();
    if !is_dash(input) && output.exists() && output.canonicalize().ok() == input.canonicalize().ok() {
        return Err(CliError::usage_with_hint(
            format_args!("`{shown}` is both input and output"),
            "name another file to write",
        ));
    }
    match output.metadata() {
        Ok(metadata) if metadata.is_dir() => {
            Err(CliError::usage(format_args!("cannot write `{shown}`: is a directory")))
        }
        Ok(metadata) if !metadata.is_file() => Err(CliError::usage_with_hint(
            format_args!("`{shown}` is not a regular file"),
            "write to standard output: `-`",
        )),
        Ok(_) if !overwrite => {
            Err(CliError::usage_with_hint(format_args!("`{shown}` exists"), "name another file, or `--overwrite` it"))
        }
        Ok(_) if log::is_locked(output).is_ok_and(|locked| locked == Some(true)) => {
            Err(CliError::usage(format_args!("another judge-run is writing to `{shown}`")))
        }
        _ => Ok(()),
    }
}

fn shown(converted: &Converted, name: &str, output: &Path, to: Form) -> String {
    let place = if is_dash(output) { "standard output".into() } else { output.display().to_string() };
    let records = counted(converted.records, "record");
    let written = match to {
        Form::CsvWide => counted(converted.written, "row"),
        Form::Jsonl | Form::Mlflow | Form::Csv => counted(converted.written, "record"),
    };
    let mut text = format!("{records} in {name}, {written} in {place} ({to})\n");
    if converted.rejected > 0 {
        text.push_str(&format!("{} of {name} skipped: not feedback\n", counted(converted.rejected, "line")));
    }
    text
}

fn failed(error: ConvertError, name: &str, output: &Path) -> CliError {
    match error {
        ConvertError::Write(error) if error.kind() == io::ErrorKind::BrokenPipe => CliError::BrokenPipe,
        ConvertError::Write(error) if is_usual(&error) => {
            CliError::usage(format_args!("cannot write `{}`: {error}", output.display()))
        }
        ConvertError::Write(error) => CliError::Other(format!("cannot write `{}`: {error}", output.display())),
        ConvertError::Read(error) => CliError::Other(format!("cannot read `{name}`: {error}")),
        ConvertError::Header(_) | ConvertError::NoFeedback { .. } => CliError::usage(format_args!("`{name}`: {error}")),
    }
}

/// What another name would solve.
fn is_usual(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied | io::ErrorKind::NotADirectory)
}
