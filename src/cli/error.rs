//! What ends a command before it starts: a message, its causes, a hint, an exit code.

use std::error::Error;
use std::fmt::Display;
use std::io;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use judge_run::judge::toml_file::TomlError;
use judge_run::run::Exit;

use super::{print, remedy};

const ERROR: Style = AnsiColor::Red.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();

/// A command that could not do its work.
#[derive(Debug)]
pub(crate) enum CliError {
    /// The user can correct it.
    Usage {
        message: String,
        /// Each the reason for the one before.
        causes: Vec<String>,
        /// What to do.
        hint: Option<String>,
    },
    /// What was begun cannot continue for now.
    Stopped { message: String, hint: Option<String> },
    /// The user ended it.
    Interrupted,
    /// Standard output was closed by its reader.
    BrokenPipe,
    /// Anything else from outside.
    Other(String),
}

impl CliError {
    pub(crate) fn usage(message: impl Display) -> Self {
        Self::Usage { message: message.to_string(), causes: Vec::new(), hint: None }
    }

    pub(crate) fn usage_with_hint(message: impl Display, hint: impl Display) -> Self {
        Self::usage(message).hint(hint)
    }

    /// An error of the library, with its causes, and the remedy for it if there is one.
    pub(crate) fn of(error: &(dyn Error + 'static)) -> Self {
        let of_error = match error.source() {
            Some(cause) => Self::usage(error).because(cause),
            None => Self::usage(error),
        };
        match remedy::of(error) {
            Some(remedy) => of_error.hint(remedy),
            None => of_error,
        }
    }

    /// The error of a file of TOML, with what to do.
    pub(crate) fn of_toml(message: impl Display, error: &TomlError) -> Self {
        let usage = Self::usage(message);
        match remedy::of_key(error) {
            Some(remedy) => usage.hint(remedy),
            None => usage,
        }
    }

    /// With this as the cause, and with its own causes. A cause that a message already shows is not repeated.
    pub(crate) fn because(mut self, cause: &dyn Error) -> Self {
        if let Self::Usage { message, causes, .. } = &mut self {
            let mut next = Some(cause);
            while let Some(cause) = next {
                let text = cause.to_string();
                if !message.contains(&text) && !causes.iter().any(|earlier| earlier.contains(&text)) {
                    causes.push(text);
                }
                next = cause.source();
            }
        }
        self
    }

    /// With something to do.
    pub(crate) fn hint(mut self, text: impl Display) -> Self {
        if let Self::Usage { hint, .. } = &mut self {
            *hint = Some(text.to_string());
        }
        self
    }

    /// Prints the message and gives the exit code.
    pub(crate) fn report(self) -> ExitCode {
        let error = |message: &str| print::message(format_args!("{ERROR}error:{ERROR:#} {}", print::escaped(message)));
        match self {
            Self::Usage { message, causes, hint } => {
                error(&message);
                for cause in causes {
                    print::message(format_args!("  caused by: {}", print::escaped(&cause)));
                }
                if let Some(hint) = hint {
                    print::message(format_args!("{HINT}hint:{HINT:#} {}", print::escaped(&hint)));
                }
                ExitCode::from(Exit::Usage.code())
            }
            Self::Stopped { message, hint } => {
                error(&message);
                if let Some(hint) = hint {
                    print::message(format_args!("{HINT}hint:{HINT:#} {}", print::escaped(&hint)));
                }
                ExitCode::from(Exit::Stopped.code())
            }
            Self::Interrupted => ExitCode::from(Exit::Interrupted.code()),
            Self::BrokenPipe => ExitCode::SUCCESS,
            Self::Other(message) => {
                error(&message);
                ExitCode::from(Exit::Stopped.code())
            }
        }
    }

    /// The message with its causes and the hint, on one line.
    pub(crate) fn into_line(self) -> String {
        match self.into_parts() {
            (message, Some(hint)) => format!("{message} ({hint})"),
            (message, None) => message,
        }
    }

    /// The message with its causes, and what to do.
    pub(crate) fn into_parts(self) -> (String, Option<String>) {
        match self {
            Self::Usage { message, causes, hint } => {
                (std::iter::once(message).chain(causes).collect::<Vec<_>>().join(": "), hint)
            }
            // If only one line is shown, the message alone says what to do.
            Self::Stopped { message, .. } => (message, None),
            Self::Interrupted => ("interrupted".to_owned(), None),
            Self::BrokenPipe => ("standard output is closed".to_owned(), None),
            Self::Other(message) => (message, None),
        }
    }
}

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::BrokenPipe,
            _ => Self::Other(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read `x`")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("the disk is gone")]
    struct Inner(#[source] io::Error);

    #[test]
    fn every_cause_is_shown_once() {
        let error = || Outer(Inner(io::Error::other("it burnt")));
        assert_eq!(CliError::of(&error()).into_line(), "cannot read `x`: the disk is gone: it burnt");
        let told = CliError::usage("the disk is gone, so nothing works").because(&error()).hint("buy one");
        assert_eq!(told.into_line(), "the disk is gone, so nothing works: cannot read `x`: it burnt (buy one)");
    }
}
