//! Results in the form that was asked for, to a file or standard output, and to GitHub.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anstyle::AnsiColor;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueHint};
use judge_run::feedback::log::StandingRecords;
use judge_run::files;
use judge_run::results::by::{self, TraceFacts};
use judge_run::results::forms::{Findings, Form, Page, PageTraces, annotations, gate_text};
use judge_run::results::gate::GateResult;
use judge_run::results::judgments::Judgments;

use super::error::CliError;
use super::flags::OUTPUT;
use super::manifest::now_ms;
use super::recorded::Recorded;
use super::{log_hints, page, print, summary};

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
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Inputs<'a> {
    /// The logs whose judgments are shown one by one.
    pub logs: &'a [PathBuf],
    /// Further logs that are read.
    pub others: &'a [PathBuf],
    /// The datasets that are named.
    pub datasets: &'a [PathBuf],
    /// The expressions that group the judgments.
    pub by: &'a [String],
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
            (None, Some((path, None))) => of_file(path),
        }
    }

    /// Whether a person reads the output.
    pub(crate) fn is_text_on_stdout(&self) -> bool {
        self.file().is_none() && self.form().is_ok_and(|form| form == Form::Text)
    }

    /// Writes results. What needs single judgments or traces reads them now.
    pub(crate) fn write(&self, findings: &Findings<'_>, inputs: Inputs<'_>) -> Result<(), CliError> {
        let form = self.form()?;
        match self.file() {
            Some(path) => write_as(form, path, findings, inputs)?,
            None if form == Form::Text => {
                let mut text = Vec::new();
                Details::read(form, findings, inputs)?.write(form, findings, &mut text)?;
                summary::print(&painted(&String::from_utf8_lossy(&text)))?;
            }
            None => {
                let mut stdout = BufWriter::with_capacity(1 << 16, io::stdout().lock());
                Details::read(form, findings, inputs)?.write(form, findings, &mut stdout)?;
                stdout.flush()?;
            }
        }
        if self.github { to_github(findings) } else { Ok(()) }
    }
}

/// The form that the name of a file implies.
pub(crate) fn of_file(path: &Path) -> Result<Form, CliError> {
    Form::of_path(path).ok_or_else(|| {
        CliError::usage_with_hint(
            format_args!("cannot infer the form of `{}`", path.display()),
            "name it .txt, .json, .md, .xml (JUnit), .csv or .html",
        )
    })
}

/// Writes results to a file, as a whole; its name sets the form.
pub(crate) fn write_file(path: &Path, findings: &Findings<'_>, inputs: Inputs<'_>) -> Result<(), CliError> {
    write_as(of_file(path)?, path, findings, inputs)
}

fn write_as(form: Form, path: &Path, findings: &Findings<'_>, inputs: Inputs<'_>) -> Result<(), CliError> {
    let cannot = |error: &io::Error| CliError::usage(format_args!("cannot write `{}`", path.display())).because(error);
    let details = Details::read(form, findings, inputs)?;
    let real = files::real_path(path).map_err(|error| cannot(&error))?;
    files::replace(&real, |out| details.write(form, findings, out)).map_err(|error: io::Error| cannot(&error))
}

/// What only some forms show.
#[derive(Default)]
struct Details {
    judgments: Judgments,
    traces: PageTraces,
    about: Vec<(String, String)>,
    facts: Vec<(String, String)>,
}

impl Details {
    fn read(form: Form, findings: &Findings<'_>, inputs: Inputs<'_>) -> Result<Self, CliError> {
        let mut details = Self::default();
        if form.shows_judgments() {
            let records = StandingRecords::of(inputs.logs);
            let read = records.and_then(|mut records| Judgments::read(&mut records, findings.judges()));
            details.judgments = read.map_err(|error| log_hints::cannot_open(&error))?;
        }
        if form == Form::Html {
            details.traces = PageTraces::of(&details.judgments);
            let by = by::compile(inputs.by).unwrap_or_default();
            let mut facts = TraceFacts::default();
            Recorded::open(inputs.datasets, inputs.logs)?.for_each(|trace| {
                facts.add(&by, &trace);
                details.traces.add(&trace)
            })?;
            details.judgments.divide(&by, &facts);
            (details.about, details.facts) = (page::about(inputs.logs), page::facts(inputs.logs));
        }
        Ok(details)
    }

    fn write(&self, form: Form, findings: &Findings<'_>, out: &mut dyn Write) -> io::Result<()> {
        let Self { judgments, traces, about, facts } = self;
        let page = Page { judgments, traces, about: about.clone(), facts: facts.clone(), created_ms: now_ms() };
        form.write(findings, &page, out)
    }
}

/// A gate as text, coloured.
pub(crate) fn gate(gate: &GateResult) -> String {
    painted(&gate_text(gate))
}

/// A report as text, with its signs coloured; terminals without colours, and `NO_COLOR`, remove them again.
fn painted(text: &str) -> String {
    text.split_inclusive('\n').map(painted_line).collect()
}

fn painted_line(line: &str) -> String {
    let (good, bad) = (AnsiColor::Green.on_default(), AnsiColor::Red.on_default());
    let unsure = AnsiColor::Yellow.on_default();
    // The beginning of a line is always judge-run's own.
    let words = [
        ("gate pass", good),
        ("gate FAIL", bad.bold()),
        ("gate inconclusive", unsure),
        ("gate judge changed", unsure),
        ("warning:", unsure),
    ];
    let ends = [(": better", good), (": WORSE", bad.bold()), (": JUDGE CHANGED", unsure)];
    if let Some((word, style)) = words.iter().find(|(word, _)| line.starts_with(word)) {
        return format!("{style}{word}{style:#}{}", &line[word.len()..]);
    }
    let (body, end) = line.strip_suffix('\n').map_or((line, ""), |body| (body, "\n"));
    match ends.iter().find(|(word, _)| body.ends_with(word) && !body.starts_with(' ')) {
        Some((word, style)) => {
            let before = &body[..body.len() - word.len()];
            format!("{before}: {style}{}{style:#}{end}", word.trim_start_matches(": "))
        }
        None => line.to_owned(),
    }
}

/// The summary goes where GitHub reads it, and the annotations where it looks for them.
fn to_github(findings: &Findings<'_>) -> Result<(), CliError> {
    match std::env::var_os(STEP_SUMMARY).filter(|path| !path.is_empty()).map(PathBuf::from) {
        Some(path) => {
            let cannot = |error: io::Error| CliError::Other(format!("cannot write `{}`: {error}", path.display()));
            let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&path).map_err(cannot)?;
            Details::default().write(Form::Markdown, findings, &mut file).map_err(cannot)?;
        }
        None => print::message(format_args!("warning: {STEP_SUMMARY} is not set, so there is no summary to add to")),
    }
    annotations(findings).iter().for_each(print::message);
    Ok(())
}
