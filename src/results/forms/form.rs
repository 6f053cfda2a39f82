//! The forms, their names, and their file extensions.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// A form of a report or a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For a terminal: 80 columns, no colour.
    Text,
    /// For programs; its schema is `docs/report.schema.json`.
    Json,
    /// For GitHub and GitLab.
    Markdown,
    /// JUnit's XML, for CI servers.
    Junit,
    /// A row a judge, and a row a slice.
    Csv,
    /// One page that needs nothing else.
    Html,
}

impl Form {
    /// Every form.
    pub const ALL: [Self; 6] = [Self::Text, Self::Json, Self::Markdown, Self::Junit, Self::Csv, Self::Html];

    /// The name on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
            Self::Markdown => "markdown",
            Self::Junit => "junit",
            Self::Csv => "csv",
            Self::Html => "html",
        }
    }

    /// The extensions of such files, without the dot.
    pub const fn extensions(self) -> &'static [&'static str] {
        match self {
            Self::Text => &["txt"],
            Self::Json => &["json"],
            Self::Markdown => &["md", "markdown"],
            Self::Junit => &["xml"],
            Self::Csv => &["csv"],
            Self::Html => &["html", "htm"],
        }
    }

    /// The form that a file's name implies, if any.
    pub fn of_path(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        Self::ALL.into_iter().find(|form| form.extensions().contains(&extension.as_str()))
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
#[error("unknown form `{0}`, expected text, json, markdown, junit, csv or html")]
pub struct UnknownForm(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_name_tells_its_form() {
        for form in Form::ALL {
            assert_eq!(form.as_str().parse(), Ok(form));
            for extension in form.extensions() {
                assert_eq!(Form::of_path(format!("a.b/x.{extension}").as_ref()), Some(form));
            }
        }
        assert_eq!(Form::of_path("REPORT.HTML".as_ref()), Some(Form::Html));
        assert_eq!([Form::of_path("x".as_ref()), Form::of_path("x.pdf".as_ref())], [None, None]);
    }
}
