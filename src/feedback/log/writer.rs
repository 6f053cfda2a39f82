//! The one writer of a log: its own thread, one `write` per record, data synced once a second.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::file::LogFile;
use super::restored::Restored;
use super::{Mode, OpenError, OpenLog};
use crate::feedback::{AssessmentId, Feedback};

/// Data reaches the disk at least this often.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);
/// On a full disk the writer holds what it has and tries again, this often and this many times.
const DISK_FULL_RETRY: Duration = Duration::from_secs(1);
const DISK_FULL_TRIES: u32 = 30;
/// A caller that gives up still waits this long: a healthy disk needs less.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// The sending end of a log; records are written in the order in which they are appended.
#[derive(Debug)]
pub struct LogWriter {
    path: PathBuf,
    sender: mpsc::Sender<Entry>,
    done: oneshot::Receiver<io::Result<Restored>>,
    /// Records that were to be appended.
    appended: AtomicU64,
    /// Records that are on disk.
    saved: Arc<AtomicU64>,
}

/// What to write, and who waits for it.
#[derive(Debug)]
struct Entry {
    what: What,
    tell: oneshot::Sender<()>,
}

#[derive(Debug)]
enum What {
    Records(Vec<Feedback>),
    /// The record at `offset` holds again.
    Again {
        offset: u64,
        overrides: AssessmentId,
        now_ms: i64,
    },
}

/// The writer has stopped because of an error, which [`LogWriter::close`] returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the feedback log can no longer be written")]
pub struct LogClosed;

/// Why the log could no longer be written.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum WriteError {
    #[error("cannot write to {}: {error}; {unsaved} judgment(s) were not saved", path.display())]
    Io { path: PathBuf, error: io::Error, unsaved: u64 },
    /// Standard output was closed by its reader.
    #[error("standard output was closed")]
    BrokenPipe { unsaved: u64 },
    #[error("{} accepts no more data; {unsaved} judgment(s) were not saved", path.display())]
    Blocked { path: PathBuf, unsaved: u64 },
    #[error(
        "the thread that writes the feedback log could not be started, or has died; {unsaved} judgment(s) were not saved"
    )]
    Thread { unsaved: u64 },
    /// An earlier log could not be set aside.
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl WriteError {
    /// Records that were appended but are not known to be on disk.
    pub fn unsaved(&self) -> u64 {
        match self {
            Self::Io { unsaved, .. }
            | Self::BrokenPipe { unsaved }
            | Self::Blocked { unsaved, .. }
            | Self::Thread { unsaved } => *unsaved,
            Self::Open(_) => 0,
        }
    }
}

/// What records are written to.
trait Medium: Send + 'static {
    /// One line, whole or not at all.
    fn write_line(&mut self, line: &[u8]) -> io::Result<()>;
    fn sync(&mut self) -> io::Result<()>;
    /// Whether what is on disk is at the expected path.
    fn keep_in_place(&mut self) -> io::Result<()>;
    /// What it went through.
    fn restored(&self) -> Restored;
    /// An earlier record.
    fn reread(&mut self, offset: u64) -> io::Result<Feedback>;
}

impl Medium for LogFile {
    fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        self.write_line(line)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync()
    }

    fn keep_in_place(&mut self) -> io::Result<()> {
        self.keep_in_place()
    }

    fn restored(&self) -> Restored {
        self.restored
    }

    fn reread(&mut self, offset: u64) -> io::Result<Feedback> {
        self.reread(offset)
    }
}

impl Medium for io::Stdout {
    fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        self.write_all(line).and_then(|()| self.flush())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.flush()
    }

    fn keep_in_place(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn restored(&self) -> Restored {
        Restored::default()
    }

    fn reread(&mut self, _: u64) -> io::Result<Feedback> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl OpenLog {
    /// Starts the writer. A log that is to be overwritten is set aside now.
    ///
    /// # Errors
    /// When the old log cannot be set aside or no thread can be started.
    pub fn into_writer(self) -> Result<LogWriter, WriteError> {
        let file = match self.mode {
            Mode::Resume => self.file,
            Mode::Overwrite => self.file.renewed()?,
        };
        LogWriter::start(file.path.clone(), file)
    }
}

impl LogWriter {
    /// A writer to standard output: nothing is locked, kept or resumed.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn stdout() -> Result<Self, WriteError> {
        Self::start("standard output".into(), io::stdout())
    }

    fn start(path: PathBuf, medium: impl Medium) -> Result<Self, WriteError> {
        let no_thread = |_| WriteError::Thread { unsaved: 0 };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(no_thread)?;
        let (writer, work) = Self::new(path, medium);
        std::thread::Builder::new()
            .name("feedback-log".to_owned())
            .spawn(move || runtime.block_on(work))
            .map_err(no_thread)?;
        Ok(writer)
    }

    /// A writer, and the work to do for it.
    fn new(path: PathBuf, medium: impl Medium) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (sender, receiver) = mpsc::channel(1);
        let (told, done) = oneshot::channel();
        let saved = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&saved);
        let work = async move {
            let result = write_all(medium, receiver, &counter).await;
            // A caller that has given up waiting needs no answer.
            let _ = told.send(result);
        };
        (Self { path, sender, done, appended: AtomicU64::new(0), saved }, work)
    }

    /// Writes a record. Once this returns, the record survives the death of the process: a caller that asks the next question only then
    /// never loses more answers than are in flight. A full disk is waited for.
    ///
    /// # Errors
    /// When the writer has stopped.
    pub async fn append(&self, feedback: Feedback) -> Result<(), LogClosed> {
        self.append_all(vec![feedback]).await
    }

    /// Writes several records, one by one, as [`LogWriter::append`] does; waking the writer costs more than writing a line.
    ///
    /// # Errors
    /// When the writer has stopped.
    pub async fn append_all(&self, records: Vec<Feedback>) -> Result<(), LogClosed> {
        self.send(records.len() as u64, What::Records(records)).await
    }

    /// Writes the record at `offset` again, since it is in force again in place of the one that it now overrides.
    ///
    /// # Errors
    /// When the writer has stopped.
    pub async fn append_again(&self, offset: u64, overrides: AssessmentId, now_ms: i64) -> Result<(), LogClosed> {
        self.send(1, What::Again { offset, overrides, now_ms }).await
    }

    async fn send(&self, records: u64, what: What) -> Result<(), LogClosed> {
        // Before anything can go wrong: what is not handed over is not saved.
        self.appended.fetch_add(records, Ordering::Relaxed);
        let (tell, written) = oneshot::channel();
        self.sender.send(Entry { what, tell }).await.map_err(|_| LogClosed)?;
        written.await.map_err(|_| LogClosed)
    }

    /// Waits until everything is on disk, but not much longer than until `give_up` is ready: a writer that blocks is then abandoned. Returns what
    /// the log went through.
    ///
    /// # Errors
    /// What stopped the writer, if something did.
    pub async fn close(self, give_up: impl Future<Output = ()>) -> Result<Restored, WriteError> {
        let Self { path, sender, done, appended, saved } = self;
        drop(sender);
        let patience = async {
            give_up.await;
            tokio::time::sleep(LAST_WAIT).await;
        };
        let result = tokio::select! {
            biased;
            result = done => Some(result),
            () = patience => None,
        };
        let unsaved = appended.into_inner().saturating_sub(saved.load(Ordering::Acquire));
        match result {
            Some(Ok(Ok(restored))) => Ok(restored),
            Some(Ok(Err(error))) if error.kind() == io::ErrorKind::BrokenPipe => {
                Err(WriteError::BrokenPipe { unsaved })
            }
            Some(Ok(Err(error))) => Err(WriteError::Io { path, error, unsaved }),
            Some(Err(_)) => Err(WriteError::Thread { unsaved }),
            None => Err(WriteError::Blocked { path, unsaved }),
        }
    }
}

/// Writes until all senders are gone. The medium is released before this returns.
async fn write_all(
    mut medium: impl Medium,
    mut receiver: mpsc::Receiver<Entry>,
    on_disk: &AtomicU64,
) -> io::Result<Restored> {
    let mut line = Vec::with_capacity(4096);
    let mut sync = tokio::time::interval(SYNC_INTERVAL);
    sync.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut written = 0;
    let mut saved = 0;
    let result = loop {
        let entry = tokio::select! {
            biased;
            _ = sync.tick(), if written > saved => {
                // After an error the system may treat lost data as written: only what was saved before counts.
                medium.sync()?;
                saved = written;
                on_disk.store(saved, Ordering::Release);
                medium.keep_in_place()?;
                continue;
            }
            entry = receiver.recv() => entry,
        };
        let Some(Entry { what, tell }) = entry else { break Ok(()) };
        let result = write_lines(what, &mut line, &mut medium, &mut written).await;
        if result.is_err() {
            break result;
        }
        // The caller may have stopped waiting.
        let _ = tell.send(());
    };
    medium.sync()?;
    on_disk.store(written, Ordering::Release);
    medium.keep_in_place().and(result)?;
    Ok(medium.restored())
}

/// Writes the lines of an entry, and counts them in `written`.
async fn write_lines(what: What, line: &mut Vec<u8>, medium: &mut impl Medium, written: &mut u64) -> io::Result<()> {
    let records = match what {
        What::Records(records) => records,
        What::Again { offset, overrides, now_ms } => vec![Feedback {
            overrides: Some(overrides.to_string()),
            last_update_time_ms: now_ms,
            valid: None,
            ..medium.reread(offset)?
        }],
    };
    for feedback in &records {
        line.clear();
        serde_json::to_writer(&mut *line, feedback)?;
        line.push(b'\n');
        write_patiently(medium, line).await?;
        *written += 1;
    }
    Ok(())
}

/// Writes a line, and waits for room on a full disk.
async fn write_patiently(medium: &mut impl Medium, line: &[u8]) -> io::Result<()> {
    let mut tries = 0;
    loop {
        match medium.write_line(line) {
            Err(error) if tries < DISK_FULL_TRIES && is_full(&error) => {
                tries += 1;
                tokio::time::sleep(DISK_FULL_RETRY).await;
            }
            result => return result,
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::feedback::Source;
    use crate::feedback::log::{Index, OpinionKey, Seen, Standing};

    /// A medium that does what a test wants.
    struct Fake<W, S> {
        write: W,
        sync: S,
    }

    impl<W, S> Medium for Fake<W, S>
    where
        W: FnMut(&[u8]) -> io::Result<()> + Send + 'static,
        S: FnMut() -> io::Result<()> + Send + 'static,
    {
        fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
            (self.write)(line)
        }

        fn sync(&mut self) -> io::Result<()> {
            (self.sync)()
        }

        fn keep_in_place(&mut self) -> io::Result<()> {
            Ok(())
        }

        fn restored(&self) -> Restored {
            Restored::default()
        }

        fn reread(&mut self, _: u64) -> io::Result<Feedback> {
            Err(io::ErrorKind::Unsupported.into())
        }
    }

    /// A writer whose lines go to `write` as soon as its work is polled.
    pub(crate) fn writer_to(
        write: impl FnMut(&[u8]) -> io::Result<()> + Send + 'static,
    ) -> (LogWriter, impl Future<Output = ()> + Send + 'static) {
        LogWriter::new("fake".into(), Fake { write, sync: || Ok(()) })
    }

    fn named(name: impl Into<String>) -> Feedback {
        Feedback { name: name.into(), ..Feedback::default() }
    }

    fn names(text: &str) -> Vec<String> {
        text.lines().map(|line| Feedback::from_json(line).unwrap().name).collect()
    }

    fn never() -> impl Future<Output = ()> {
        std::future::pending()
    }

    #[tokio::test]
    async fn records_are_appended_in_order_after_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.jsonl");
        for round in 0..2 {
            let log = OpenLog::open(&path, Mode::Resume).unwrap();
            assert_eq!(log.report.records, round * 1000);
            let writer = log.into_writer().unwrap();
            for n in 0..1000 {
                writer.append(named(format!("{round}-{n}"))).await.unwrap();
            }
            writer.close(never()).await.unwrap();
        }
        let expected: Vec<_> = (0..2).flat_map(|round| (0..1000).map(move |n| format!("{round}-{n}"))).collect();
        assert_eq!(names(&std::fs::read_to_string(&path).unwrap()), expected);
    }

    #[tokio::test]
    async fn overwriting_puts_the_old_log_aside_and_locks_the_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let (path, bak) = (folder.path().join("f.jsonl"), folder.path().join("f.jsonl.bak"));
        for name in ["first", "second", "third"] {
            let writer = OpenLog::open(&path, Mode::Overwrite).unwrap().into_writer().unwrap();
            let locked = OpenLog::open(&path, Mode::Resume);
            assert!(matches!(locked, Err(OpenError::Locked { .. })));
            writer.append(named(name)).await.unwrap();
            writer.close(never()).await.unwrap();
        }
        assert_eq!(names(&std::fs::read_to_string(&path).unwrap()), ["third"]);
        assert_eq!(names(&std::fs::read_to_string(&bak).unwrap()), ["second"]);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn overwriting_keeps_links_and_permissions() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target.jsonl"), folder.path().join("link.jsonl"));
        std::fs::write(&target, "old").unwrap();
        std::fs::set_permissions(&target, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let writer = OpenLog::open(&link, Mode::Overwrite).unwrap().into_writer().unwrap();
        writer.append(named("new")).await.unwrap();
        writer.close(never()).await.unwrap();
        assert!(link.is_symlink());
        assert_eq!(names(&std::fs::read_to_string(&target).unwrap()), ["new"]);
        assert_eq!(std::fs::read_to_string(folder.path().join("target.jsonl.bak")).unwrap(), "old");
        assert_eq!(std::fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[tokio::test]
    async fn a_log_that_nothing_was_written_to_is_not_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.jsonl");
        let writer = OpenLog::open(&path, Mode::Resume).unwrap().into_writer().unwrap();
        assert!(path.exists());
        writer.close(never()).await.unwrap();
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn an_overridden_record_that_holds_again_is_appended_and_overrides_in_turn() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.jsonl");
        let id = |n: u128| format!("a-{n:032x}");
        let record = |n: u128| Feedback {
            assessment_id: Some(id(n)),
            trace_id: Some("t".into()),
            source: Source::llm_judge("m"),
            value: Some(u64::try_from(n).unwrap().into()),
            create_time_ms: 5,
            last_update_time_ms: 5,
            ..named("j")
        };
        let text = [record(1), record(2)].map(|record| serde_json::to_string(&record).unwrap() + "\n");
        // Damage in front moves the records.
        std::fs::write(&path, format!("\nbroken\n{}", text.concat())).unwrap();
        let look_up = |index: &Index, n: u128| {
            index.look_up(OpinionKey::new(Some("t"), None, "j", &Source::llm_judge("m")), id(n).parse().unwrap())
        };

        let log = OpenLog::open(&path, Mode::Resume).unwrap();
        let Seen::Superseded { offset, by, .. } = look_up(&log.index, 1) else { panic!() };
        let writer = log.into_writer().unwrap();
        writer.append_again(offset, by, 9).await.unwrap();
        writer.append(named("next")).await.unwrap();
        writer.close(never()).await.unwrap();

        let text = std::fs::read_to_string(&path).unwrap();
        let records: Vec<_> = text.lines().filter_map(|line| Feedback::from_json(line).ok()).collect();
        let again = Feedback { overrides: Some(id(2)), last_update_time_ms: 9, ..record(1) };
        assert_eq!(records, [record(1), record(2), again, named("next")]);
        let index = OpenLog::read_index(&path).unwrap();
        let holds = Seen::Judged { standing: Standing::Number(1.0), overrides: None };
        assert_eq!(look_up(&index, 1), holds);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_disk_is_waited_for_before_anything_else_can_be_asked() {
        let lines = Arc::new(Mutex::new(String::new()));
        let disk = Arc::clone(&lines);
        let mut room = [false, false, true].into_iter();
        let (writer, work) = writer_to(move |line| {
            if !room.next().unwrap_or(true) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            disk.lock().unwrap().push_str(std::str::from_utf8(line).unwrap());
            Ok(())
        });
        let work = tokio::spawn(work);
        let started = tokio::time::Instant::now();
        writer.append(named("a")).await.unwrap();
        assert!(started.elapsed() >= 2 * DISK_FULL_RETRY);
        assert_eq!(names(&lines.lock().unwrap()), ["a"]);
        writer.append(named("b")).await.unwrap();
        writer.close(never()).await.unwrap();
        work.await.unwrap();
        assert_eq!(names(&lines.lock().unwrap()), ["a", "b"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_stays_full_ends_it_and_what_it_did_not_take_is_counted() {
        let mut room = [true, true].into_iter();
        let (writer, work) = writer_to(move |_| room.next().map(|_| ()).ok_or(io::ErrorKind::StorageFull.into()));
        let work = tokio::spawn(work);
        for (name, result) in [("a", Ok(())), ("b", Ok(())), ("c", Err(LogClosed)), ("d", Err(LogClosed))] {
            assert_eq!(writer.append(named(name)).await, result, "{name}");
        }
        work.await.unwrap();
        let error = writer.close(never()).await.unwrap_err();
        assert!(matches!(&error, WriteError::Io { unsaved: 2, .. }), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_synced_is_not_saved() {
        let mut syncs = 0;
        let sync = move || {
            syncs += 1;
            if syncs == 1 { Ok(()) } else { Err(io::Error::other("gone")) }
        };
        let (writer, work) = LogWriter::new("fake".into(), Fake { write: |_: &[u8]| Ok(()), sync });
        let work = tokio::spawn(work);
        writer.append(named("saved")).await.unwrap();
        tokio::time::sleep(SYNC_INTERVAL * 2).await;
        // It may stop between the two, or only after them.
        let _ = writer.append(named("written")).await;
        let _ = writer.append(named("written")).await;
        work.await.unwrap();
        let error = writer.close(never()).await.unwrap_err();
        assert!(matches!(&error, WriteError::Io { unsaved: 2, .. }), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_waiting_leaves_a_blocked_writer_behind() {
        // The work is never polled: as if the medium accepted nothing.
        let (writer, _blocked) = writer_to(|_| Ok(()));
        tokio::select! {
            biased;
            _ = writer.append(named("a")) => panic!("nobody writes"),
            () = std::future::ready(()) => {}
        }
        let error = writer.close(std::future::ready(())).await.unwrap_err();
        assert!(matches!(&error, WriteError::Blocked { unsaved: 1, .. }), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_who_has_seen_enough_is_told_from_a_failing_disk() {
        let (writer, work) = writer_to(|_| Err(io::ErrorKind::BrokenPipe.into()));
        let work = tokio::spawn(work);
        assert_eq!(writer.append(named("a")).await, Err(LogClosed));
        work.await.unwrap();
        let error = writer.close(never()).await.unwrap_err();
        assert!(matches!(&error, WriteError::BrokenPipe { unsaved: 1 }), "{error}");
    }
}
