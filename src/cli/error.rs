//! What ends a command before its work: a message, a hint, an exit code.

use std::fmt::Display;
use std::io;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use judge_run::run::Exit;

use super::print;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();

/// A command that could not do its work.
#[derive(Debug)]
pub(crate) enum CliError {
    /// The user can mend it: message and, perhaps, what to do.
    Usage { message: String, hint: Option<String> },
    /// Standard output was closed by its reader, who has seen enough.
    BrokenPipe,
    /// Anything else from outside.
    Other(String),
}

impl CliError {
    pub(crate) fn usage(message: impl Display) -> Self {
        Self::Usage { message: message.to_string(), hint: None }
    }

    pub(crate) fn usage_with_hint(message: impl Display, hint: impl Display) -> Self {
        Self::Usage { message: message.to_string(), hint: Some(hint.to_string()) }
    }

    /// Prints the message and gives the exit code.
    pub(crate) fn report(self) -> ExitCode {
        match self {
            Self::Usage { message, hint } => {
                print::message(format_args!("{ERROR}error:{ERROR:#} {}", print::escaped(&message)));
                if let Some(hint) = hint {
                    print::message(format_args!("{HINT}hint:{HINT:#} {}", print::escaped(&hint)));
                }
                ExitCode::from(Exit::Usage.code())
            }
            Self::BrokenPipe => ExitCode::SUCCESS,
            Self::Other(message) => {
                print::message(format_args!("{ERROR}error:{ERROR:#} {}", print::escaped(&message)));
                ExitCode::from(Exit::Stopped.code())
            }
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
