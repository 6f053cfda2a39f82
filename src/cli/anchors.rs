//! Anchors: traces that are chosen once and kept with their texts. Judged again each night, they show whether the judge has changed.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use judge_run::dataset::{DatasetOptions, DatasetReader, Entry};
use judge_run::files;
use judge_run::run::{DrawError, Exit, SampleSize, SelectionPlan};
use judge_run::trace::Trace;

use super::config_file::ConfigFile;
use super::error::CliError;
use super::print::{self, counted, one_line};
use super::subcommands::AnchorsArgs;
use super::{paths, quickstart, selection};

pub(crate) fn main(args: AnchorsArgs) -> Result<ExitCode, CliError> {
    let AnchorsArgs { dataset, number, seed, filter, stratify, map, dataset_format, output, overwrite, config } = args;
    if output.exists() && !overwrite {
        return Err(CliError::usage_with_hint(
            format_args!("`{}` already has anchors, and new ones could not be compared with them", output.display()),
            "keep them, name another file with `-o`, or replace them with `--overwrite`",
        ));
    }
    let file = ConfigFile::load(config.as_deref())?;
    let paths = paths::datasets(&dataset, std::slice::from_ref(&output))?;
    let (paths, _file) = quickstart::as_files(paths)?;
    let sample = Some(SampleSize::Traces(number));
    let plan = SelectionPlan { sample, seed, filter, stratify, ..SelectionPlan::default() };
    let criteria = selection::criteria(&plan, &paths)?;
    let options = DatasetOptions {
        format: dataset_format.or(file.dataset.format).unwrap_or_default(),
        mappings: if map.is_empty() { file.dataset.map } else { map },
        ..DatasetOptions::new(paths)
    };
    let open = || DatasetReader::open(options.clone());
    let drawn = criteria.draw(open).map_err(|error| match &error {
        DrawError::Dataset(error) => CliError::of(error),
        DrawError::TooManyStrata => CliError::of(&error),
    })?;
    let (mut chosen, mut without_inputs) = (Vec::new(), 0_u64);
    for entry in open().map_err(|error| CliError::of(&error))? {
        let Entry::Trace(located) = entry.map_err(|error| CliError::of(&error))? else { continue };
        match located.value {
            trace if drawn.not_selected(&trace).is_some() => {}
            // Written without inputs, it would not be read back as what it is.
            Trace { inputs: None, .. } => without_inputs += 1,
            trace => chosen.push(trace),
        }
    }
    if chosen.is_empty() {
        return Err(CliError::usage("no trace with inputs to choose"));
    }
    write(&output, &chosen, overwrite).map_err(|error: io::Error| {
        CliError::usage(format_args!("cannot write `{}`", output.display())).because(&error)
    })?;
    if without_inputs > 0 {
        print::message(format_args!("note: left out {} without inputs", counted(without_inputs, "trace")));
    }
    print::message(format_args!(
        "wrote {} to {path}; judge them each night with `--anchors {path}`",
        counted(chosen.len() as u64, "anchor"),
        path = one_line(&output.display().to_string())
    ));
    Ok(ExitCode::from(Exit::AllJudged.code()))
}

fn write(path: &Path, traces: &[Trace], overwrite: bool) -> io::Result<()> {
    let real = files::real_path(path)?;
    if overwrite && real.exists() {
        files::keep_backup(&real)?;
    }
    files::replace(&real, |out| {
        traces.iter().try_for_each(|trace| {
            serde_json::to_writer(&mut *out, trace)?;
            out.write_all(b"\n")
        })
    })
}

/// By which records know the anchors that they are about.
pub(crate) fn digest(files: &[PathBuf]) -> Result<Option<String>, CliError> {
    let mut hasher = blake3::Hasher::new();
    for path in files {
        let text = std::fs::read(path).map_err(|error| {
            CliError::usage(format_args!("cannot read the anchors `{}`", path.display())).because(&error)
        })?;
        hasher.update(&text);
    }
    Ok(Some(hasher.finalize().to_hex().as_str()[..16].to_owned()))
}

/// Errors in anchors are reported before anything is paid for.
pub(crate) fn before_run(anchors: &Path, log: Option<&Path>) -> Result<(), CliError> {
    if log.is_none() {
        return Err(CliError::usage_with_hint(
            "anchors need a log, but the records go to standard output",
            "name a log: `-o FILE`",
        ));
    }
    if !anchors.is_file() {
        return Err(CliError::usage_with_hint(
            format_args!("no anchors in `{}`", anchors.display()),
            format_args!("choose them once: judge-run anchors DATASET -o {}", anchors.display()),
        ));
    }
    Ok(())
}
