//! The thread that decides all requests, in order. Those that arrived while the last were being synced are written and synced together.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::desk::{Asked, Decided, Desk};
use super::error::ApiError;
use crate::feedback::Feedback;
use crate::feedback::log::{Follower, OpenError, add};

/// Requests that may wait to be decided, and bytes of their bodies.
const MAX_WAITING: usize = 1024;
const MAX_WAITING_BYTES: usize = 64 << 20;
/// Requests that are synced together.
const MAX_TOGETHER: usize = 256;

/// The sending end.
#[derive(Debug, Clone)]
pub struct Counter {
    sender: mpsc::Sender<Job>,
    room: Arc<Semaphore>,
}

/// The thread ended, which it does only after its last request.
#[derive(Debug)]
pub struct CounterClosed(JoinHandle<()>);

#[derive(Debug)]
struct Job {
    asked: Asked,
    tell: oneshot::Sender<Result<Option<Feedback>, ApiError>>,
    _room: OwnedSemaphorePermit,
}

impl Counter {
    /// Reads the log, and begins. The thread ends when the last clone of this is dropped and its requests are decided.
    ///
    /// # Errors
    /// When the log cannot be read, or is clearly not one.
    pub fn start(log: &Path) -> Result<(Self, CounterClosed), OpenError> {
        let desk = Desk::open(Follower::new(log))?;
        let (sender, receiver) = mpsc::channel(MAX_WAITING);
        let path = log.to_owned();
        let thread = std::thread::Builder::new().name("intake".to_owned()).spawn(move || work(desk, &path, receiver));
        let thread = thread.map_err(|source| OpenError::Io { path: log.to_owned(), source })?;
        Ok((Self { sender, room: Arc::new(Semaphore::new(MAX_WAITING_BYTES)) }, CounterClosed(thread)))
    }

    /// Submits a request for a decision; `bytes` is the length of its body. If too many are waiting, it is refused at once.
    pub(super) async fn ask(&self, asked: Asked, bytes: usize) -> Result<Option<Feedback>, ApiError> {
        let busy = || ApiError::unavailable("Too many requests are waiting for the disk");
        let bytes = u32::try_from(bytes.clamp(1, MAX_WAITING_BYTES)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).try_acquire_many_owned(bytes).map_err(|_| busy())?;
        let (tell, told) = oneshot::channel();
        self.sender.try_send(Job { asked, tell, _room: room }).map_err(|_| busy())?;
        told.await.unwrap_or_else(|_| Err(ApiError::unavailable("The server is stopping")))
    }
}

impl CounterClosed {
    /// Waits until everything is decided.
    pub fn wait(self) {
        let _ = self.0.join();
    }
}

fn work(mut desk: Desk, path: &Path, mut receiver: mpsc::Receiver<Job>) {
    let mut jobs = Vec::with_capacity(MAX_TOGETHER);
    while receiver.blocking_recv_many(&mut jobs, MAX_TOGETHER) > 0 {
        let (asked, told): (Vec<_>, Vec<_>) = jobs.drain(..).map(|job| (job.asked, (job.tell, job._room))).unzip();
        let answers = together(&mut desk, path, asked);
        for ((tell, _room), answer) in told.into_iter().zip(answers) {
            // The client may have gone.
            let _ = tell.send(answer);
        }
    }
}

/// Decides requests, and writes what they add. If that fails, none of them takes effect.
fn together(desk: &mut Desk, path: &Path, asked: Vec<Asked>) -> Vec<Result<Option<Feedback>, ApiError>> {
    let all = asked.len();
    if let Err(error) = desk.catch_up() {
        let error = ApiError::unavailable(format!("The log cannot be read: {error}"));
        return vec![Err(error); all];
    }
    let decided: Vec<_> = asked.into_iter().map(|asked| desk.decide(asked)).collect();
    let records: Vec<_> = decided.iter().filter_map(|decided| decided.as_ref().ok()?.record.clone()).collect();
    if !records.is_empty()
        && let Err(error) = add(path, &records)
    {
        desk.forget_recent();
        return vec![Err(unwritten(&error)); all];
    }
    decided.into_iter().map(|decided| decided.map(|Decided { feedback, .. }| feedback)).collect()
}

fn unwritten(error: &io::Error) -> ApiError {
    ApiError::unavailable(match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "The disk is full".to_owned(),
        _ => format!("The log cannot be written: {error}"),
    })
}
