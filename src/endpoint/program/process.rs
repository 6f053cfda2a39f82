//! One running process of a program. It has its own threads to read and write, since pipes block.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::config::ProgramConfig;

/// The longest line that a program may answer with.
const MAX_LINE: u64 = 4 << 20;
/// How much of its standard error is kept: its end.
const MAX_COMPLAINT: usize = 4096;
/// How long the last output of a process that has exited may take to arrive.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How often to look whether a process that does not answer has exited: one that it started may keep its output open.
const LOOK: Duration = Duration::from_millis(100);

/// Why no line came.
#[derive(Debug)]
pub(super) enum Died {
    /// Its output or its input has ended.
    Ended,
    /// Its line has no end.
    TooLong { limit: u64 },
}

type Reply = oneshot::Sender<Result<String, Died>>;

/// A process. It is killed when this is dropped, and so are those that it started: of `uv run judge.py`, uv alone would leave Python behind.
#[derive(Debug)]
pub(super) struct Process {
    child: Mutex<Child>,
    /// Lines to be written, each with the place for its answer; gone once its input has ended.
    questions: Mutex<Option<mpsc::Sender<(String, Reply)>>>,
    complaint: Arc<Mutex<Vec<u8>>>,
    /// Ends when all complaints are read.
    complaints_end: Mutex<mpsc::Receiver<()>>,
}

impl Process {
    pub(super) fn start(config: &ProgramConfig) -> io::Result<Self> {
        let mut argv = config.argv.iter();
        let program = argv.next().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(program);
        command.args(argv).env_clear().envs(config.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Ctrl-C at the terminal is for judge-run, which lets what is in flight finish.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn()?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else { return Err(io::ErrorKind::BrokenPipe.into()) };
        let (questions, asked) = mpsc::channel();
        let complaint = Arc::new(Mutex::new(Vec::new()));
        let (complains, complaints_end) = mpsc::channel();
        let process = Self {
            child: Mutex::new(child),
            questions: Mutex::new(Some(questions)),
            complaint: Arc::clone(&complaint),
            complaints_end: Mutex::new(complaints_end),
        };
        thread::Builder::new().name("judge-program".to_owned()).spawn(move || talk(stdin, stdout, &asked))?;
        thread::Builder::new().name("judge-complaints".to_owned()).spawn(move || {
            listen(stderr, &complaint);
            drop(complains);
        })?;
        Ok(process)
    }

    /// Writes a line and waits for the next one.
    pub(super) async fn ask(&self, line: String) -> Result<String, Died> {
        let (reply, mut answer) = oneshot::channel();
        let sent = match &*self.questions.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(questions) => questions.send((line, reply)).is_ok(),
            None => false,
        };
        if !sent {
            return Err(Died::Ended);
        }
        let answered = loop {
            match tokio::time::timeout(LOOK, &mut answer).await {
                Ok(answered) => break answered.ok(),
                Err(_) if self.has_exited() => {
                    break tokio::time::timeout(LAST_WORDS, answer).await.ok().and_then(Result::ok);
                }
                Err(_) => {}
            }
        };
        answered.unwrap_or(Err(Died::Ended))
    }

    /// Whether it has exited, although its output may still be open.
    pub(super) fn has_exited(&self) -> bool {
        self.status(Instant::now()).is_some()
    }

    /// Signals the end of the input.
    pub(super) fn end_input(&self) {
        self.questions.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Waits for its end, and kills it when it takes too long.
    pub(super) fn wait(self, deadline: Instant) {
        self.status(deadline);
    }

    /// Its exit status, if it exits before this time.
    fn status(&self, deadline: Instant) -> Option<ExitStatus> {
        /// The standard library can only wait indefinitely.
        const STEP: Duration = Duration::from_millis(10);
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match child.try_wait() {
                Ok(None) if Instant::now() < deadline => thread::sleep(STEP),
                ended => return ended.ok().flatten(),
            }
        }
    }

    /// Ends it: returns how it ended by itself, if it did, and its last message on standard error.
    pub(super) fn end(self) -> (Option<ExitStatus>, Option<String>) {
        // A process that has closed its output exits very soon, if it does.
        let complaints_end = self.complaints_end.lock().unwrap_or_else(PoisonError::into_inner);
        let deadline = Instant::now() + LAST_WORDS;
        let _ = complaints_end.recv_timeout(LAST_WORDS);
        let status = self.status(deadline);
        let complaint = self.complaint.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&complaint);
        // The end of what it says is what matters: a stack trace ends with the error.
        let last: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).rev().take(2).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        (status, (!last.is_empty()).then(|| last.join("; ")))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap_or_else(PoisonError::into_inner);
        #[cfg(unix)]
        kill_group(child);
        let _ = child.kill();
        // Otherwise it would stay in the system's table.
        let _ = child.wait();
    }
}

/// Kills all processes of its group, which is its own.
#[cfg(unix)]
fn kill_group(child: &Child) {
    use rustix::process::{Pid, Signal, kill_process_group};
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(group, Signal::KILL);
    }
}

/// Line by line, until either side has enough.
fn talk(mut stdin: ChildStdin, stdout: ChildStdout, asked: &mpsc::Receiver<(String, Reply)>) {
    let mut stdout = BufReader::new(stdout);
    while let Ok((line, reply)) = asked.recv() {
        let written = stdin.write_all(line.as_bytes()).and_then(|()| stdin.flush());
        let answer = if written.is_ok() { next_line(&mut stdout) } else { Err(Died::Ended) };
        let is_over = answer.is_err();
        let _ = reply.send(answer);
        if is_over {
            return;
        }
    }
}

/// The next line that is not empty.
fn next_line(stdout: &mut impl BufRead) -> Result<String, Died> {
    loop {
        let mut line = Vec::new();
        let read = stdout.by_ref().take(MAX_LINE).read_until(b'\n', &mut line).map_err(|_| Died::Ended)?;
        if read as u64 == MAX_LINE && !line.ends_with(b"\n") {
            return Err(Died::TooLong { limit: MAX_LINE });
        }
        // A line that breaks off is not an answer.
        if !line.ends_with(b"\n") {
            return Err(Died::Ended);
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_start_matches('\u{feff}').trim();
        if !text.is_empty() {
            return Ok(text.to_owned());
        }
    }
}

/// Keeps the end of a process's standard error, and never lets it wait for a reader.
fn listen(mut stderr: ChildStderr, complaint: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 1024];
    while let Ok(read @ 1..) = stderr.read(&mut buffer) {
        let mut complaint = complaint.lock().unwrap_or_else(PoisonError::into_inner);
        complaint.extend_from_slice(&buffer[..read]);
        let excess = complaint.len().saturating_sub(MAX_COMPLAINT);
        complaint.drain(..excess);
    }
}
