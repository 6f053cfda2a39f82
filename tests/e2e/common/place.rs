//! A fresh folder, and the binary in it with nothing of the environment around it.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::PATIENCE;

/// The folder that one test works in.
pub(crate) struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// With `traces.jsonl`, which holds as many traces as wanted (see [`super::answers::traces`]).
    pub(crate) fn with_traces(n: usize) -> Self {
        let place = Self::new();
        place.write("traces.jsonl", super::answers::traces(n));
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file; its folders are made as needed.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The JSON values of a file's lines.
    pub(crate) fn lines(&self, name: &str) -> Vec<Value> {
        let text = self.read(name);
        assert!(text.is_empty() || text.ends_with('\n'), "{name} ends in the middle of a line");
        text.split_terminator('\n').map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The names of all files and folders, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// The binary, to be run here.
    pub(crate) fn command<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Invocation {
        let mut command = Command::new(env!("CARGO_BIN_EXE_judge-run"));
        command.args(args).current_dir(self.folder.path()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.folder.path()).env("TMPDIR", std::env::temp_dir());
        Invocation { command, stdin: Vec::new() }
    }

    /// Runs the binary here to its end.
    pub(crate) fn run<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Finished {
        self.command(args).run()
    }

    /// Judges `traces.jsonl` with the built-in judge `safety` at this address.
    pub(crate) fn judge(&self, base_url: &str, more: &[&str]) -> Invocation {
        let args = ["-d", "traces.jsonl", "-J", "safety", "--base-url", base_url];
        self.command(args.iter().chain(more))
    }

    /// Reads a growing file until it has as many lines as wanted.
    pub(crate) fn wait_for_lines(&self, name: &str, n: usize) {
        let started = Instant::now();
        let count = |path: &Path| std::fs::read(path).map_or(0, |text| text.iter().filter(|&&b| b == b'\n').count());
        while count(&self.path(name)) < n {
            assert!(started.elapsed() < PATIENCE, "{name} never had {n} lines");
            // A file tells nobody that it has grown.
            thread::sleep(Duration::from_millis(2));
        }
    }
}

/// A command that is being put together.
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
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("trap '' {signal}; exec \"$0\" \"$@\""));
        command.arg(self.command.get_program()).args(self.command.get_args()).env_clear();
        command.envs(self.command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        self.command.get_current_dir().map(|folder| command.current_dir(folder));
        Self { command, ..self }
    }

    /// What its standard input holds; nothing otherwise.
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

    /// Starts it with a standard input that goes on until the test drops it.
    pub(crate) fn start_with_open_stdin(mut self) -> (Running, ChildStdin) {
        let streams = self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = streams.spawn().unwrap();
        let input = child.stdin.take().unwrap();
        let stdout = Stream::read(child.stdout.take().unwrap());
        let stderr = Stream::read(child.stderr.take().unwrap());
        (Running::new(child, stdout, stderr), input)
    }

    /// Runs it with a standard output that is closed: its reader has seen enough.
    pub(crate) fn run_with_closed_stdout(self) -> Finished {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        self.run_with_stdout(writer)
    }

    /// Runs it with this for a standard output, which is not captured.
    pub(crate) fn run_with_stdout(self, stdout: impl Into<Stdio>) -> Finished {
        self.start_with_stdout(stdout).finish()
    }

    /// The same, but does not wait for its end.
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
    /// The bytes, and whether there will be no more.
    state: Mutex<(Vec<u8>, bool)>,
    changed: Condvar,
}

impl Stream {
    fn new(ended: bool) -> Self {
        Self(Arc::new(Captured { state: Mutex::new((Vec::new(), ended)), changed: Condvar::new() }))
    }

    /// Reads all that comes, on a thread of its own.
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

    /// What is there once it holds `words`, or has ended; `None` waits for the end.
    fn wait(&self, words: Option<&str>) -> String {
        let Self(captured) = self;
        let goes_on = |(text, ended): &mut (Vec<u8>, bool)| {
            !*ended && !words.is_some_and(|words| String::from_utf8_lossy(text).contains(words))
        };
        let state = captured.state.lock().unwrap();
        let (state, timeout) = captured.changed.wait_timeout_while(state, PATIENCE, goes_on).unwrap();
        let text = String::from_utf8_lossy(&state.0).into_owned();
        assert!(!timeout.timed_out(), "waited in vain for {words:?}: {text}");
        text
    }
}

/// A process. It ends with its owner.
pub(crate) struct Running {
    id: u32,
    stdout: Stream,
    stderr: Stream,
    status: mpsc::Receiver<ExitStatus>,
    finished: bool,
}

impl Running {
    fn new(mut child: Child, stdout: Stream, stderr: Stream) -> Self {
        let id = child.id();
        let (sender, status) = mpsc::channel();
        thread::spawn(move || sender.send(child.wait().unwrap()));
        Self { id, stdout, stderr, status, finished: false }
    }

    /// Sends a signal, such as `INT`. Whether it is still there to receive it is the test's affair.
    pub(crate) fn signal(&self, name: &str) {
        let mut kill = Command::new("kill");
        kill.args([format!("-{name}"), self.id.to_string()]).stderr(Stdio::null()).status().unwrap();
    }

    /// Waits until its standard error holds these words.
    pub(crate) fn wait_for_stderr(&self, words: &str) {
        let text = self.stderr.wait(Some(words));
        assert!(text.contains(words), "ended without saying {words:?}: {text}");
    }

    /// The first line of its standard output.
    pub(crate) fn first_line(&self) -> String {
        let text = self.stdout.wait(Some("\n"));
        text.lines().next().unwrap_or_default().to_owned()
    }

    /// Waits for its end.
    pub(crate) fn finish(mut self) -> Finished {
        let status = self.status.recv_timeout(PATIENCE);
        self.finished = status.is_ok();
        let Ok(status) = status else { panic!("it does not end: {}", self.stderr.wait(Some(""))) };
        Finished { code: status.code(), stdout: self.stdout.wait(None), stderr: self.stderr.wait(None) }
    }

    /// Ends it without a chance to tidy up, as a crash would.
    pub(crate) fn kill(self) {
        self.signal("KILL");
        assert_eq!(self.finish().code, None, "it had ended before it was killed");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.finished && self.status.try_recv().is_err() {
            self.signal("KILL");
        }
    }
}

/// What a process left behind.
#[derive(Debug)]
pub(crate) struct Finished {
    /// `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    /// Fails unless it ended with this code.
    #[track_caller]
    pub(crate) fn exits_with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Fails unless all of these words stand in its standard error.
    #[track_caller]
    pub(crate) fn says(self, words: &[&str]) -> Self {
        for words in words {
            assert!(self.stderr.contains(words), "{words:?} is not in:\n{}", self.stderr);
        }
        self
    }

    /// Fails unless all of these words stand in its standard output.
    #[track_caller]
    pub(crate) fn prints(self, words: &[&str]) -> Self {
        for words in words {
            assert!(self.stdout.contains(words), "{words:?} is not in:\n{}", self.stdout);
        }
        self
    }
}
