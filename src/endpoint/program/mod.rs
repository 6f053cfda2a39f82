//! A program that is asked line by line: one JSON object in, one out, matched by id. It keeps running, and is restarted after a crash or a hang.

mod config;
mod process;
mod text;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

pub use config::ProgramConfig;
use process::{Died, Process};
use text::quoted;

use super::Failure;
use crate::endpoint::wire::answer::Answer;
use crate::feedback::ErrorCode;

/// A program and its processes, which are started as needed.
#[derive(Debug)]
pub struct Program {
    config: ProgramConfig,
    idle: Mutex<Vec<Process>>,
}

/// How long processes may take to exit once their input has ended.
const GRACE: Duration = Duration::from_secs(5);

impl Program {
    /// Nothing is started yet.
    pub fn new(config: ProgramConfig) -> Self {
        Self { config, idle: Mutex::default() }
    }

    /// Asks about one judgment: `members` are those of the line after its id, with the closing brace. A process that does not answer properly is killed,
    /// since what it would say next could be about anything.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn ask(&self, id: &str, members: &str) -> Result<Answer, Box<Failure>> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let process = match idle.filter(|process| !process.has_exited()) {
            Some(process) => process,
            None => Process::start(&self.config).map_err(|error| self.cannot_start(&error))?,
        };
        let line = format!("{{\"id\":\"{id}\",{members}\n");
        let asked = tokio::time::timeout(self.config.timeout, process.ask(line)).await;
        let content = match asked {
            Ok(Ok(content)) => content,
            Ok(Err(died)) => {
                // Its last words may take a moment to arrive.
                let failure = tokio::task::spawn_blocking(move || failed(&died, process)).await;
                let unknown = || Failure::new(ErrorCode::ProgramFailed, "the program exited before it answered");
                return Err(failure.unwrap_or_else(|_| unknown()).into());
            }
            Err(_) => {
                let message =
                    format!("no answer within {} s; the program was killed", self.config.timeout.as_secs_f64());
                return Err(Failure::new(ErrorCode::ProgramTimeout, &message).into());
            }
        };
        let unusable = match id_of(&content) {
            Ok(answered) if answered == id => None,
            Ok(other) => Some(format!("the answer is about {}, but {id} was asked", quoted(&other))),
            Err(reason) => Some(format!("not a line of the protocol, {reason}: {}", quoted(&content))),
        };
        if let Some(message) = unusable {
            return Err(Failure::new(ErrorCode::ProgramMalformed, &message).into());
        }
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(process);
        Ok(Answer { content, ..Answer::default() })
    }

    /// Lets all processes exit, and kills those that do not. Blocks, so do not call it on a thread that others wait for.
    pub fn close(&self) {
        let processes = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        processes.iter().for_each(Process::end_input);
        let deadline = std::time::Instant::now() + GRACE;
        processes.into_iter().for_each(|process| process.wait(deadline));
    }

    fn cannot_start(&self, error: &std::io::Error) -> Box<Failure> {
        let program = self.config.argv.first().map_or("", String::as_str);
        let message = format!("cannot start {}: {error}", quoted(program));
        // The next attempt would fail in the same way.
        Failure { fatal: true, retryable: Some(false), ..Failure::new(ErrorCode::ProgramFailed, &message) }.into()
    }
}

/// What a process that exited said about it.
fn failed(died: &Died, process: Process) -> Failure {
    if let Died::TooLong { limit } = died {
        let message = format!("an answer of more than {} MiB; the program was killed", limit >> 20);
        return Failure::new(ErrorCode::ProgramMalformed, &message);
    }
    let (status, complaint) = process.end();
    let how = match status {
        Some(status) => format!("the program exited before it answered ({status})"),
        None => "the program closed its output or its input before it answered; it was killed".to_owned(),
    };
    let said = complaint.map_or_else(String::new, |text| format!(": {}", text::harmless(&text)));
    Failure::new(ErrorCode::ProgramFailed, &format!("{how}{said}"))
}

/// The id that an answer is about.
fn id_of(line: &str) -> Result<String, String> {
    #[derive(serde::Deserialize)]
    struct Line {
        id: String,
    }
    serde_json::from_str::<Line>(line).map(|line| line.id).map_err(|error| error.to_string())
}

#[cfg(all(test, unix))]
mod tests;
