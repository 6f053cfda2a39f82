//! The forms of a report, and where it is written.

use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueHint};
use judge_run::files;
use judge_run::results::report::Report;
use serde::Serialize;

use super::args::OUTPUT;
use super::error::CliError;
use super::{report_text, summary};

/// A form of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReportForm {
    Text,
    Json,
}

impl ReportForm {
    const ALL: [(&'static str, &'static [&'static str], Self); 2] =
        [("text", &["txt"], Self::Text), ("json", &["json"], Self::Json)];

    fn of_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, ..)| *known == name).map(|(.., form)| *form)
    }

    /// By the extension.
    pub(crate) fn of_path(path: &Path) -> Result<Self, CliError> {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let is_it = |(_, extensions, _): &&(&str, &[&str], Self)| extensions.contains(&extension);
        Self::ALL.iter().find(is_it).map(|(.., form)| *form).ok_or_else(|| {
            let known: Vec<_> =
                Self::ALL.iter().flat_map(|(_, extensions, _)| *extensions).map(|e| format!(".{e}")).collect();
            CliError::usage_with_hint(
                format_args!("cannot infer the form of the report `{}`", path.display()),
                format_args!("name it {}", known.join(" or ")),
            )
        })
    }

    /// The report in this form.
    pub(crate) fn text(self, report: &Report) -> Result<String, CliError> {
        match self {
            Self::Text => Ok(report_text::text(report)),
            Self::Json => json(report),
        }
    }

    fn parser() -> impl TypedValueParser<Value = Self> {
        let names = PossibleValuesParser::new(Self::ALL.map(|(name, ..)| name));
        names.try_map(|name| Self::of_name(&name).ok_or("no form of a report"))
    }
}

/// In what form, and where to.
#[derive(Debug, Clone, Args)]
pub(crate) struct FormArgs {
    /// Form [default: inferred from the name of the output, or text]
    #[arg(long, value_name = "FORM", value_parser = ReportForm::parser(), help_heading = OUTPUT)]
    pub format: Option<ReportForm>,

    /// File to write [default: standard output]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = OUTPUT)]
    pub output: Option<PathBuf>,
}

impl FormArgs {
    fn file(&self) -> Option<&Path> {
        self.output.as_deref().filter(|path| path.as_os_str() != "-")
    }

    /// Whether a person reads what is written.
    pub(crate) fn is_text_on_stdout(&self) -> bool {
        self.file().is_none() && self.format.is_none_or(|form| form == ReportForm::Text)
    }

    /// Writes what `text` makes.
    pub(crate) fn write(&self, text: impl FnOnce(ReportForm) -> Result<String, CliError>) -> Result<(), CliError> {
        let Some(path) = self.file() else {
            return summary::print(&text(self.format.unwrap_or(ReportForm::Text))?);
        };
        let form = self.format.map_or_else(|| ReportForm::of_path(path), Ok)?;
        write_file(path, &text(form)?)
    }
}

/// Writes a file as a whole.
pub(crate) fn write_file(path: &Path, text: &str) -> Result<(), CliError> {
    let cannot =
        |error: &std::io::Error| CliError::usage(format_args!("cannot write `{}`", path.display())).because(error);
    let real = files::real_path(path).map_err(|error| cannot(&error))?;
    files::replace(&real, |out| out.write_all(text.as_bytes())).map_err(|error: std::io::Error| cannot(&error))
}

/// The form for programs.
pub(crate) fn json(report: &impl Serialize) -> Result<String, CliError> {
    let text = serde_json::to_string_pretty(report).map_err(|error| CliError::Other(error.to_string()))?;
    Ok(text + "\n")
}
