//! Results in the form that was asked for, to a file or standard output, and to GitHub.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueHint};
use judge_run::feedback::log::StandingRecords;
use judge_run::files;
use judge_run::results::by::{By, TraceFacts};
use judge_run::results::forms::{Findings, Form, Page, PageTraces, annotations};
use judge_run::results::judgments::Judgments;

use super::args::OUTPUT;
use super::error::CliError;
use super::manifest::now_ms;
use super::recorded::Recorded;
use super::{log_hints, page, print};

#[derive(Debug, Args)]
#[command(next_help_heading = OUTPUT)]
pub(crate) struct FormArgs {
    /// Form of the output [default: inferred from .txt, .json, .md, .xml, .csv or .html, else text]
    #[arg(long, value_name = "FORM", value_parser = form())]
    pub format: Option<Form>,

    /// File to write, or `-` for standard output; an earlier one is replaced
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,

    /// On GitHub: also add it to the step's summary, and annotate the run with what fails
    #[arg(long)]
    pub github: bool,
}

fn form() -> impl TypedValueParser<Value = Form> {
    PossibleValuesParser::new(Form::ALL.map(Form::as_str)).try_map(|name| name.parse::<Form>())
}

/// Where GitHub reads the summary of a step.
const STEP_SUMMARY: &str = "GITHUB_STEP_SUMMARY";

/// What results are made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inputs<'a> {
    /// The logs whose judgments are shown one by one.
    pub logs: &'a [PathBuf],
    /// Further logs that are read.
    pub others: &'a [PathBuf],
    /// The datasets that are named.
    pub datasets: &'a [PathBuf],
    /// What divides the judgments.
    pub by: &'a [By],
}

impl FormArgs {
    /// Checked before anything is read.
    pub(crate) fn check(&self, inputs: Inputs<'_>) -> Result<(), CliError> {
        self.form()?;
        let Some(path) = self.file() else { return Ok(()) };
        let real = path.canonicalize().ok();
        let mut read = inputs.logs.iter().chain(inputs.others).chain(inputs.datasets);
        if real.is_some() && read.any(|input| input.canonicalize().ok() == real) {
            return Err(CliError::usage_with_hint(
                format_args!("`{}` is both input and output", path.display()),
                "name another file to write",
            ));
        }
        if path.is_dir() {
            return Err(CliError::usage(format_args!("cannot write `{}`: is a directory", path.display())));
        }
        Ok(())
    }

    fn file(&self) -> Option<&Path> {
        self.output.as_deref().filter(|path| path.as_os_str() != "-")
    }

    fn form(&self) -> Result<Form, CliError> {
        let of_name = self.file().map(|path| (path, Form::of_path(path)));
        match (self.format, of_name) {
            (Some(form), _) | (None, Some((_, Some(form)))) => Ok(form),
            (None, None) => Ok(Form::Text),
            (None, Some((path, None))) => Err(CliError::usage_with_hint(
                format_args!("cannot infer the form of `{}`", path.display()),
                format_args!("name it with `--format`: {}", Form::ALL.map(Form::as_str).join(", ")),
            )),
        }
    }

    /// Writes results. What needs single judgments or traces reads them now.
    pub(crate) fn write(&self, findings: &Findings<'_>, inputs: Inputs<'_>) -> Result<(), CliError> {
        let form = self.form()?;
        let (mut judgments, mut traces) = (Judgments::default(), PageTraces::default());
        if form.shows_judgments() {
            let records = StandingRecords::of(inputs.logs);
            let read = records.and_then(|mut records| Judgments::read(&mut records, findings.judges()));
            judgments = read.map_err(|error| log_hints::cannot_open(&error))?;
        }
        if form == Form::Html {
            traces = PageTraces::of(&judgments);
            let mut facts = TraceFacts::default();
            Recorded::open(inputs.datasets, inputs.logs)?.for_each(|trace| {
                facts.add(inputs.by, &trace);
                traces.add(&trace)
            })?;
            judgments.divide(inputs.by, &facts);
        }
        let page = Page {
            judgments: &judgments,
            traces: &traces,
            about: page::about(inputs.logs),
            facts: page::facts(inputs.logs),
            created_ms: now_ms(),
        };
        match self.file() {
            Some(path) => {
                let cannot = |error: io::Error| CliError::Other(format!("cannot write `{}`: {error}", path.display()));
                files::replace(path, |out| form.write(findings, &page, out)).map_err(cannot)?;
                print::message(format_args!("{form} in {}", print::one_line(&path.display().to_string())));
            }
            None => {
                let mut stdout = BufWriter::with_capacity(1 << 16, io::stdout().lock());
                form.write(findings, &page, &mut stdout).and_then(|()| stdout.flush())?;
            }
        }
        if self.github { to_github(findings, &page) } else { Ok(()) }
    }
}

/// The summary goes where GitHub reads it, and the annotations where it looks for them.
fn to_github(findings: &Findings<'_>, page: &Page<'_>) -> Result<(), CliError> {
    match std::env::var_os(STEP_SUMMARY).filter(|path| !path.is_empty()).map(PathBuf::from) {
        Some(path) => {
            let cannot = |error: io::Error| CliError::Other(format!("cannot write `{}`: {error}", path.display()));
            let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&path).map_err(cannot)?;
            Form::Markdown.write(findings, page, &mut file).map_err(cannot)?;
        }
        None => print::message(format_args!("warning: {STEP_SUMMARY} is not set, so there is no summary to add to")),
    }
    annotations(findings).iter().for_each(print::message);
    Ok(())
}
