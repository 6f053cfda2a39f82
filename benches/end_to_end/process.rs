//! Runs processes and measures their time and memory.

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use wait4::{ResUse, Wait4};

/// Time and memory that a process used.
///
/// A child's peak memory is never below its parent's, so the parent must stay small.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    pub wall: Duration,
    /// User and system time of all threads.
    pub cpu: Duration,
    /// In bytes.
    pub peak_rss: u64,
}

/// `judge-run` with an empty environment, because variables might configure it.
pub(crate) fn judge_run(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_judge-run"));
    command.env_clear().args(args);
    command
}

/// Runs a command to its end. Exit code 3 (some judgments failed) counts as success.
pub(crate) fn run(command: &mut Command) -> io::Result<Usage> {
    let started = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let mut messages = String::new();
    child.stderr.take().map(|mut stderr| stderr.read_to_string(&mut messages)).transpose()?;
    let ResUse { status, rusage } = child.wait4()?;
    if !succeeded(status) {
        return Err(io::Error::other(format!("{command:?} failed with {status}: {messages}")));
    }
    Ok(Usage { wall: started.elapsed(), cpu: rusage.utime + rusage.stime, peak_rss: rusage.maxrss })
}

fn succeeded(status: ExitStatus) -> bool {
    matches!(status.code(), Some(0 | 3))
}

/// `judge-run simulate` on a free port; killed on drop.
pub(crate) struct Simulator {
    child: Child,
    /// Includes `/v1`.
    pub base_url: String,
}

impl Simulator {
    pub(crate) fn start(args: &[&str]) -> io::Result<Self> {
        let mut command = judge_run(&["simulate", "--port", "0"]);
        let mut child = command.args(args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut base_url = String::new();
        let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        BufReader::new(stdout).read_line(&mut base_url)?;
        Ok(Self { child, base_url: base_url.trim_end().to_owned() })
    }

    pub(crate) fn address(&self) -> &str {
        self.base_url.trim_start_matches("http://").trim_end_matches("/v1")
    }

    /// Stops the process and returns its CPU time.
    pub(crate) fn stop(mut self) -> io::Result<Duration> {
        self.child.kill()?;
        let ResUse { rusage, .. } = self.child.wait4()?;
        Ok(rusage.utime + rusage.stime)
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Size of a file in bytes.
pub(crate) fn file_size(path: &Path) -> io::Result<u64> {
    Ok(path.metadata()?.len())
}
