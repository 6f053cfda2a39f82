//! The forms, their names, and their file extensions.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::files;

/// A form of feedback in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// The log's own: flat JSON, one record per line.
    Jsonl,
    /// MLflow's wire form, one assessment per line (see [`crate::feedback::wire`]).
    Mlflow,
    /// A table with one row a record.
    Csv,
    /// A table with one row per trace, and columns for each judge.
    CsvWide,
}

impl Form {
    /// Every form.
    pub const ALL: [Self; 4] = [Self::Jsonl, Self::Mlflow, Self::Csv, Self::CsvWide];

    /// The name on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Mlflow => "mlflow",
            Self::Csv => "csv",
            Self::CsvWide => "csv-wide",
        }
    }

    /// The extension of such files, without the dot.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Mlflow => "mlflow.jsonl",
            Self::Csv => "csv",
            Self::CsvWide => "wide.csv",
        }
    }

    /// The form that a file's name implies, if any: `f.jsonl`, `f.mlflow.jsonl`, `f.csv`, `f.wide.csv`.
    pub fn of_path(path: &Path) -> Option<Self> {
        let longest_first = [Self::Mlflow, Self::CsvWide, Self::Jsonl, Self::Csv];
        longest_first.into_iter().find(|form| form.stem(path).is_some())
    }

    /// Whether it is a table: the present state, without history.
    pub const fn is_table(self) -> bool {
        matches!(self, Self::Csv | Self::CsvWide)
    }

    /// The log that a file of this form is made from: `f.csv` and `f.mlflow.jsonl` have `f.feedback.jsonl` next to them.
    pub fn log_of(path: &Path) -> PathBuf {
        let stem = Self::of_path(path).and_then(|form| form.stem(path)).map(OsString::from);
        let stem = stem.unwrap_or_else(|| path.file_stem().unwrap_or_default().to_owned());
        path.with_file_name(files::log_of_stem(stem))
    }

    /// The file's name without this form's extension.
    fn stem(self, path: &Path) -> Option<String> {
        let name = path.file_name()?.to_str()?;
        let (stem, end) = name.split_at_checked(name.len().checked_sub(self.extension().len())?)?;
        let stem = stem.strip_suffix('.').filter(|stem| !stem.is_empty())?;
        end.eq_ignore_ascii_case(self.extension()).then(|| stem.to_owned())
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Form {
    type Err = UnknownForm;

    fn from_str(name: &str) -> Result<Self, UnknownForm> {
        Self::ALL.into_iter().find(|form| form.as_str() == name).ok_or_else(|| UnknownForm(name.to_owned()))
    }
}

/// The name is not one of [`Form::ALL`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown form `{0}`, expected jsonl, mlflow, csv or csv-wide")]
pub struct UnknownForm(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_name_tells_its_form_and_its_log() {
        for (path, form, log) in [
            ("a/x.jsonl", Some(Form::Jsonl), "a/x.feedback.jsonl"),
            ("x.mlflow.jsonl", Some(Form::Mlflow), "x.feedback.jsonl"),
            ("a.b/x.CSV", Some(Form::Csv), "a.b/x.feedback.jsonl"),
            ("x.wide.csv", Some(Form::CsvWide), "x.feedback.jsonl"),
            (".csv", None, ".csv.feedback.jsonl"),
            ("x.txt", None, "x.feedback.jsonl"),
            ("x", None, "x.feedback.jsonl"),
        ] {
            assert_eq!(Form::of_path(path.as_ref()), form, "{path}");
            assert_eq!(Form::log_of(path.as_ref()), Path::new(log).to_owned(), "{path}");
        }
        for form in Form::ALL {
            assert_eq!(form.as_str().parse(), Ok(form));
            assert_eq!(Form::of_path(format!("x.{}", form.extension()).as_ref()), Some(form));
        }
        assert!("CSV".parse::<Form>().is_err());
    }
}
