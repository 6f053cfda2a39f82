//! The one writer of a log: a thread of its own, one `write` a record, data on disk once a second.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::OpenLog;
use crate::feedback::Feedback;

/// Data reaches the disk at least this often.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);
/// On a full disk the writer holds what it has and tries again, this often and this many times.
const DISK_FULL_RETRY: Duration = Duration::from_secs(1);
const DISK_FULL_TRIES: u32 = 30;

/// The sending end of a log; records are written in the order in which they are appended.
#[derive(Debug)]
pub struct LogWriter {
    sender: mpsc::Sender<Entry>,
    thread: JoinHandle<Result<(), WriteError>>,
}

/// A record, and whom to tell that it is written.
type Entry = (Feedback, oneshot::Sender<()>);

/// The writer has stopped because of an error, which [`LogWriter::close`] returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the feedback log can no longer be written")]
pub struct LogClosed;

/// Why the log could not be written any further.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum WriteError {
    #[error("cannot write to {}: {error}; {unsaved} judgments were not saved", path.display())]
    Io { path: PathBuf, error: io::Error, unsaved: u64 },
    /// Standard output was closed by its reader.
    #[error("standard output was closed")]
    BrokenPipe,
    #[error("the thread that writes the feedback log cannot be started, or has died")]
    Thread,
}

#[derive(Debug)]
enum Target {
    /// A file, and its length up to the last whole record.
    File {
        file: File,
        length: u64,
    },
    Stdout(io::Stdout),
}

impl OpenLog {
    /// Starts the writer.
    ///
    /// # Errors
    /// When the end of the file cannot be found or no thread can be started.
    pub fn into_writer(mut self) -> Result<LogWriter, WriteError> {
        let length = match self.file.stream_position() {
            Ok(length) => length,
            Err(error) => return Err(WriteError::Io { path: self.path, error, unsaved: 0 }),
        };
        LogWriter::start(self.path, Target::File { file: self.file, length })
    }
}

impl LogWriter {
    /// A writer to standard output: nothing is locked, kept or resumed.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn stdout() -> Result<Self, WriteError> {
        Self::start("standard output".into(), Target::Stdout(io::stdout()))
    }

    fn start(path: PathBuf, target: Target) -> Result<Self, WriteError> {
        let (sender, receiver) = mpsc::channel(1);
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(|_| WriteError::Thread)?;
        let thread = std::thread::Builder::new()
            .name("feedback-log".to_owned())
            .spawn(move || runtime.block_on(write_all(path, target, receiver)))
            .map_err(|_| WriteError::Thread)?;
        Ok(Self { sender, thread })
    }

    /// Writes a record. Once this returns, the record survives the death of the process: whoever asks the next question only then
    /// never loses more answers than are in flight.
    ///
    /// # Errors
    /// When the writer has stopped.
    pub async fn append(&self, feedback: Feedback) -> Result<(), LogClosed> {
        let (tell, written) = oneshot::channel();
        self.sender.send((feedback, tell)).await.map_err(|_| LogClosed)?;
        written.await.map_err(|_| LogClosed)
    }

    /// Waits until everything is on disk.
    ///
    /// # Errors
    /// What stopped the writer, if something did.
    pub fn close(self) -> Result<(), WriteError> {
        drop(self.sender);
        self.thread.join().unwrap_or(Err(WriteError::Thread))
    }
}

async fn write_all(path: PathBuf, mut target: Target, mut receiver: mpsc::Receiver<Entry>) -> Result<(), WriteError> {
    let mut line = Vec::with_capacity(4096);
    let mut sync = tokio::time::interval(SYNC_INTERVAL);
    sync.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut unsynced = false;
    let failed = |error: io::Error, unsaved| match error.kind() {
        io::ErrorKind::BrokenPipe => WriteError::BrokenPipe,
        _ => WriteError::Io { path: path.clone(), error, unsaved },
    };
    loop {
        let entry = tokio::select! {
            biased;
            _ = sync.tick(), if unsynced => {
                target.sync().map_err(|error| failed(error, 0))?;
                unsynced = false;
                continue;
            }
            entry = receiver.recv() => entry,
        };
        let Some((feedback, tell)) = entry else { break };
        line.clear();
        let written = serde_json::to_writer(&mut line, &feedback).map_err(io::Error::from).and_then(|()| {
            line.push(b'\n');
            target.write_line(&line)
        });
        if let Err(error) = written {
            receiver.close();
            let waiting = std::iter::from_fn(|| receiver.try_recv().ok()).count() as u64;
            return Err(failed(error, 1 + waiting));
        }
        // Nobody may be waiting any more.
        let _ = tell.send(());
        unsynced = true;
    }
    target.sync().map_err(|error| failed(error, 0))
}

impl Target {
    /// One record, whole or not at all.
    fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout(stdout) => stdout.write_all(line).and_then(|()| stdout.flush()),
            Self::File { file, length } => {
                let mut tries = 0;
                loop {
                    let error = match file.write_all(line) {
                        Ok(()) => {
                            *length += line.len() as u64;
                            return Ok(());
                        }
                        Err(error) => error,
                    };
                    // Half a line may have gone out: take it back.
                    file.set_len(*length)?;
                    file.seek(io::SeekFrom::Start(*length))?;
                    tries += 1;
                    if tries > DISK_FULL_TRIES || !is_full(&error) {
                        return Err(error);
                    }
                    std::thread::sleep(DISK_FULL_RETRY);
                }
            }
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(stdout) => stdout.flush(),
            Self::File { file, .. } => match file.sync_data() {
                // A pipe or a device has nothing to sync.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
                result => result,
            },
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feedback::log::Mode;

    #[tokio::test]
    async fn records_are_appended_in_order_after_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.jsonl");
        for round in 0..2 {
            let log = OpenLog::open(&path, Mode::Resume).unwrap();
            assert_eq!(log.report.records, round * 1000);
            let writer = log.into_writer().unwrap();
            for n in 0..1000 {
                writer.append(Feedback { name: format!("{round}-{n}"), ..Feedback::default() }).await.unwrap();
            }
            writer.close().unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let names: Vec<_> = text.lines().map(|line| Feedback::from_json(line).unwrap().name).collect();
        let expected: Vec<_> = (0..2).flat_map(|round| (0..1000).map(move |n| format!("{round}-{n}"))).collect();
        assert_eq!(names, expected);
    }
}
