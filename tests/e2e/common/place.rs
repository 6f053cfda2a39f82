//! A fresh folder, and the binary run in it with a clean environment.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::PATIENCE;

/// The folder of one test.
pub(crate) struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// With a `traces.jsonl` of `n` traces (see [`super::answers::traces`]).
    pub(crate) fn with_traces(n: usize) -> Self {
        let place = Self::new();
        place.write("traces.jsonl", super::answers::traces(n));
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file, and creates its folders if needed.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The lines of a file, parsed as JSON. A blank one may be left where a line was cut in half.
    pub(crate) fn lines(&self, name: &str) -> Vec<Value> {
        let text = self.read(name);
        assert!(text.is_empty() || text.ends_with('\n'), "{name} ends in the middle of a line");
        text.split_terminator('\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The names of all files and folders, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// The binary with these arguments, to run in this folder.
    pub(crate) fn command<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Invocation {
        let mut command = Command::new(env!("CARGO_BIN_EXE_judge-run"));
        command.args(args).current_dir(self.folder.path()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.folder.path()).env("TMPDIR", std::env::temp_dir());
        Invocation { command, stdin: Vec::new() }
    }

    /// Runs the binary to its end.
    pub(crate) fn run<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Finished {
        self.command(args).run()
    }

    /// Judges `traces.jsonl` with the built-in judge `safety` at this address.
    pub(crate) fn judge(&self, base_url: &str, more: &[&str]) -> Invocation {
        let args = ["-d", "traces.jsonl", "-J", "safety", "--base-url", base_url];
        self.command(args.iter().chain(more))
    }

    /// Waits until a growing file has `n` lines.
    pub(crate) fn wait_for_lines(&self, name: &str, n: usize) {
        let started = Instant::now();
        let count = |path: &Path| std::fs::read(path).map_or(0, |text| text.iter().filter(|&&b| b == b'\n').count());
        while count(&self.path(name)) < n {
            assert!(started.elapsed() < PATIENCE, "{name} did not reach {n} lines");
            // There is no event for a growing file, so poll it.
            thread::sleep(Duration::from_millis(2));
        }
    }
}

/// A command under construction.
pub(crate) struct Invocation {
    command: Command,
    stdin: Vec<u8>,
}

impl Invocation {
    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// With this signal ignored, as under `nohup`.
    pub(crate) fn ignoring(self, signal: &str) -> Self {
        self.after(&format!("trap '' {signal}"))
    }

    /// With this many open files at most.
    pub(crate) fn with_open_files(self, limit: u32) -> Self {
        self.after(&format!("ulimit -n {limit}"))
    }

    /// After a command of the shell.
    fn after(self, first: &str) -> Self {
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("{first}; exec \"$0\" \"$@\""));
        command.arg(self.command.get_program()).args(self.command.get_args()).env_clear();
        command.envs(self.command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        self.command.get_current_dir().map(|folder| command.current_dir(folder));
        Self { command, ..self }
    }

    /// The contents of standard input; empty by default.
    pub(crate) fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    pub(crate) fn run(self) -> Finished {
        self.start().finish()
    }

    pub(crate) fn start(mut self) -> Running {
        let bytes = std::mem::take(&mut self.stdin);
        let (running, mut input) = self.start_with_open_stdin();
        // A program that does not read to the end closes the pipe.
        thread::spawn(move || drop(input.write_all(&bytes)));
        running
    }

    /// Starts the command with a standard input that stays open until the test drops it.
    pub(crate) fn start_with_open_stdin(mut self) -> (Running, ChildStdin) {
        let streams = self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = streams.spawn().unwrap();
        let input = child.stdin.take().unwrap();
        let stdout = Stream::read(child.stdout.take().unwrap());
        let stderr = Stream::read(child.stderr.take().unwrap());
        (Running::new(child, stdout, stderr), input)
    }

    /// Runs the command with a standard output whose reader has closed it.
    pub(crate) fn run_with_closed_stdout(self) -> Finished {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        self.run_with_stdout(writer)
    }

    /// Runs the command with this standard output, which is not captured.
    pub(crate) fn run_with_stdout(self, stdout: impl Into<Stdio>) -> Finished {
        self.start_with_stdout(stdout).finish()
    }

    /// The same, without waiting for the end.
    pub(crate) fn start_with_stdout(mut self, stdout: impl Into<Stdio>) -> Running {
        let mut child = self.command.stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = Stream::read(child.stderr.take().unwrap());
        Running::new(child, Stream::new(true), stderr)
    }
}

/// What a process has written to one stream so far.
#[derive(Clone)]
struct Stream(Arc<Captured>);

struct Captured {
    /// The bytes so far, and whether the stream has ended.
    state: Mutex<(Vec<u8>, bool)>,
    changed: Condvar,
}

impl Stream {
    fn new(ended: bool) -> Self {
        Self(Arc::new(Captured { state: Mutex::new((Vec::new(), ended)), changed: Condvar::new() }))
    }

    /// Reads everything from the stream, on its own thread.
    fn read(mut from: impl Read + Send + 'static) -> Self {
        let stream = Self::new(false);
        let Self(captured) = stream.clone();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                let n = from.read(&mut buffer).unwrap_or(0);
                let mut state = captured.state.lock().unwrap();
                state.0.extend_from_slice(&buffer[..n]);
                state.1 = n == 0;
                captured.changed.notify_all();
                if n == 0 {
                    return;
                }
            }
        });
        stream
    }

    /// The text once it contains `words` or the stream has ended; `None` waits for the end.
    fn wait(&self, words: Option<&str>) -> String {
        let Self(captured) = self;
        let unfinished = |(text, ended): &mut (Vec<u8>, bool)| {
            !*ended && !words.is_some_and(|words| String::from_utf8_lossy(text).contains(words))
        };
        let state = captured.state.lock().unwrap();
        let (state, timeout) = captured.changed.wait_timeout_while(state, PATIENCE, unfinished).unwrap();
        let text = String::from_utf8_lossy(&state.0).into_owned();
        assert!(!timeout.timed_out(), "timed out waiting for {words:?}: {text}");
        text
    }
}

/// A running process, killed on drop.
pub(crate) struct Running {
    id: u32,
    stdout: Stream,
    stderr: Stream,
    status: mpsc::Receiver<ExitStatus>,
    ended: Option<ExitStatus>,
    finished: bool,
}

impl Running {
    fn new(mut child: Child, stdout: Stream, stderr: Stream) -> Self {
        let id = child.id();
        let (sender, status) = mpsc::channel();
        thread::spawn(move || sender.send(child.wait().unwrap()));
        Self { id, stdout, stderr, status, ended: None, finished: false }
    }

    /// Sends a signal, such as `INT`. Does nothing if the process has ended.
    pub(crate) fn signal(&self, name: &str) {
        let mut kill = Command::new("kill");
        kill.args([format!("-{name}"), self.id.to_string()]).stderr(Stdio::null()).status().unwrap();
    }

    /// Waits until standard error contains these words.
    pub(crate) fn wait_for_stderr(&self, words: &str) {
        let text = self.stderr.wait(Some(words));
        assert!(text.contains(words), "ended without printing {words:?}: {text}");
    }

    /// Waits for the first line of standard output.
    pub(crate) fn first_line(&self) -> String {
        let text = self.stdout.wait(Some("\n"));
        text.lines().next().unwrap_or_default().to_owned()
    }

    /// Whether the process has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.ended = self.ended.or_else(|| self.status.try_recv().ok());
        self.ended.is_some()
    }

    /// Waits for the end of the process.
    pub(crate) fn finish(mut self) -> Finished {
        let status = self.ended.map_or_else(|| self.status.recv_timeout(PATIENCE), Ok);
        self.finished = status.is_ok();
        let Ok(status) = status else { panic!("the process does not end: {}", self.stderr.wait(Some(""))) };
        Finished { code: status.code(), stdout: self.stdout.wait(None), stderr: self.stderr.wait(None) }
    }

    /// Kills the process without cleanup, like a crash.
    pub(crate) fn kill(self) {
        self.signal("KILL");
        assert_eq!(self.finish().code, None, "the process ended before it was killed");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.finished && self.ended.is_none() && self.status.try_recv().is_err() {
            self.signal("KILL");
        }
    }
}

/// The result of a process.
#[derive(Debug)]
pub(crate) struct Finished {
    /// `None` if the process was killed by a signal.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    /// Asserts the exit code.
    #[track_caller]
    pub(crate) fn exits_with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Asserts that standard error contains all of these words.
    #[track_caller]
    pub(crate) fn says(self, words: &[&str]) -> Self {
        for words in words {
            assert!(self.stderr.contains(words), "{words:?} not found in:\n{}", self.stderr);
        }
        self
    }

    /// Asserts that standard output contains all of these words.
    #[track_caller]
    pub(crate) fn prints(self, words: &[&str]) -> Self {
        for words in words {
            assert!(self.stdout.contains(words), "{words:?} not found in:\n{}", self.stdout);
        }
        self
    }
}
