//! The batches of one log: each is moved as far forward as possible, step by step, with the ledger ahead of what is sent.

mod event;
mod fetch;
mod submit;
mod watch;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::dialect::BatchDialect;
use super::error::BatchError;
use super::ledger::{Batch, Entry, Ledger, Stage, ledger_of};
use super::provider::Provider;
use super::spool::{BatchLimits, Shard, Spool, folder_of};
use crate::endpoint::config::EndpointConfig;

pub use event::BatchEvent;
use event::Sink;

/// The longest wait between two looks, as a multiple of the first.
const SLOWEST: u32 = 10;
/// Sleeping longer at a time would miss that the computer slept meanwhile.
const NAP: Duration = Duration::from_secs(10);
/// Where batches are addressed that are exchanged as files.
pub(super) const BY_FILE: &str = "file";

/// How often batches are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// At first; later up to ten times as long.
    pub poll: Duration,
}

struct Lane {
    source_id: String,
    provider: Box<dyn Provider>,
    limits: BatchLimits,
}

/// The batches of one log, locked for this process.
pub struct Session {
    ledger: Ledger,
    folder: PathBuf,
    log: PathBuf,
    lanes: Vec<Lane>,
    seen: HashMap<String, (String, u64)>,
    unknown: HashMap<String, u32>,
    /// Batches at the provider that are not of this log, though they look like one of it.
    foreign: Vec<String>,
}

/// What becomes of a batch after a step.
enum Then {
    /// The next step at once.
    Next,
    /// Nothing more for now.
    Wait,
}

impl Session {
    /// Of the log at this path. Each lane is a model URI, its endpoint and model, and how large its batches may be.
    ///
    /// # Errors
    /// When the ledger cannot be used, or another process does.
    pub fn open<'a>(
        log: &Path,
        lanes: impl IntoIterator<Item = (String, &'a EndpointConfig, &'a str, BatchLimits)>,
    ) -> Result<Self, BatchError> {
        let mut opened = Vec::new();
        for (source_id, endpoint, model, limits) in lanes {
            let provider = BatchDialect::of(endpoint).open(endpoint, model)?;
            let limits = limits.and(provider.limits());
            opened.push(Lane { source_id, provider, limits });
        }
        Ok(Self {
            ledger: Ledger::open(&ledger_of(log))?,
            folder: folder_of(log),
            log: log.to_owned(),
            lanes: opened,
            seen: HashMap::new(),
            unknown: HashMap::new(),
            foreign: Vec::new(),
        })
    }

    /// The ledger.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    pub(super) fn ledger_mut(&mut self) -> &mut Ledger {
        &mut self.ledger
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether a provider still has something to do, or to tell.
    pub fn has_open(&self) -> bool {
        self.ledger.batches().any(|batch| batch.is_open() && !is_by_file(batch))
    }

    /// What all that is in batches may cost at most, and the tokens that it may use.
    pub fn reserved(&self) -> (f64, u64) {
        let alive = self.ledger.batches().filter(|batch| batch.stage < Stage::Closed);
        alive.fold((0.0, 0), |(cost, tokens), batch| {
            (cost + batch.planned.cost.unwrap_or(0.0), tokens + batch.planned.tokens)
        })
    }

    /// Where new requests go. Files that no batch was made of are removed: their run did not come to its end.
    ///
    /// # Errors
    /// When such a file cannot be removed.
    pub fn spool(&self) -> Result<Spool, BatchError> {
        self.remove_stray()?;
        let lanes = self
            .lanes
            .iter()
            .map(|lane| (lane.source_id.clone(), lane.provider.http().address().to_owned(), lane.limits));
        Ok(Spool::new(&self.folder, lanes))
    }

    /// The same for batches that are exchanged as files.
    ///
    /// # Errors
    /// When such a file cannot be removed.
    pub fn spool_by_file(&self) -> Result<Spool, BatchError> {
        self.remove_stray()?;
        let lanes = self.lanes.iter().map(|lane| (lane.source_id.clone(), BY_FILE.to_owned(), lane.limits));
        Ok(Spool::new(&self.folder, lanes))
    }

    fn remove_stray(&self) -> Result<(), BatchError> {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return Ok(()) };
        for entry in entries.filter_map(Result::ok) {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some((batch, _)) = name.split_once('.').filter(|(batch, _)| batch.starts_with("judge-run-")) else {
                continue;
            };
            if self.ledger.get(batch).is_none_or(|batch| batch.stage == Stage::Closed) {
                std::fs::remove_file(entry.path()).map_err(BatchError::file(&entry.path()))?;
            }
        }
        Ok(())
    }

    /// Takes over files of requests: from now on they are submitted, whatever happens to this process.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn plan(&mut self, shards: Vec<Shard>) -> Result<(), BatchError> {
        for Shard { planned } in shards {
            self.ledger.begin(Entry::Planned(planned), &self.folder)?;
        }
        Ok(())
    }

    /// Brings every batch as far as it goes now.
    ///
    /// # Errors
    /// When a provider does not accept one or refuses access, or a file cannot be written; when a batch is gone or cannot be read, after all others were
    /// brought on.
    pub async fn advance(&mut self, on_event: Sink<'_>) -> Result<(), BatchError> {
        // Those that end make room for those that wait.
        loop {
            let names: Vec<_> = self.ledger.batches().filter(|batch| batch.is_open() && !is_by_file(batch)).collect();
            let names: Vec<String> = names.iter().map(|batch| batch.planned.batch.clone()).collect();
            let before = names.len();
            // What is wrong with one of them must not keep the others' results from being fetched.
            let mut wrong = None;
            for name in names {
                loop {
                    match self.step(&name, on_event).await {
                        Ok(Then::Next) => {}
                        Ok(Then::Wait) => break,
                        Err(error) if error.is_of_one_batch() => {
                            wrong.get_or_insert(error);
                            break;
                        }
                        Err(error) => return Err(error),
                    }
                }
            }
            if let Some(error) = wrong {
                return Err(error);
            }
            let after = self.ledger.batches().filter(|batch| batch.is_open() && !is_by_file(batch)).count();
            let waits = self
                .ledger
                .batches()
                .any(|batch| batch.stage < Stage::Submitting && batch.is_open() && !is_by_file(batch));
            if after == before || !waits {
                return Ok(());
            }
        }
    }

    /// Brings all to their ends, however long that takes.
    ///
    /// # Errors
    /// Those of [`Self::advance`].
    pub async fn wait(&mut self, wait: Wait, on_event: Sink<'_>) -> Result<(), BatchError> {
        let mut delay = wait.poll;
        let mut open = usize::MAX;
        loop {
            self.advance(on_event).await?;
            let still_open = self.ledger.batches().filter(|batch| batch.is_open() && !is_by_file(batch)).count();
            if still_open == 0 {
                return Ok(());
            }
            delay = if still_open < open { wait.poll } else { (delay * 3 / 2).min(wait.poll * SLOWEST) };
            open = still_open;
            sleep(delay.mul_f64(0.9 + 0.2 * fastrand::f64())).await;
        }
    }

    fn lane(&self, batch: &Batch) -> Result<&Lane, BatchError> {
        let source_id = &batch.planned.source_id;
        let lane = self.lanes.iter().find(|lane| lane.source_id == *source_id);
        let lane = lane.ok_or_else(|| BatchError::NoBatches { endpoint: source_id.clone() })?;
        let now = lane.provider.http().address();
        if now != batch.planned.address {
            return Err(BatchError::OtherAddress {
                id: batch.shown_id().to_owned(),
                then: batch.planned.address.clone(),
                now: now.to_owned(),
            });
        }
        Ok(lane)
    }

    /// Whether a run of these lanes has to do with a batch.
    fn is_ours(&self, batch: &Batch) -> bool {
        self.lanes.iter().any(|lane| lane.source_id == batch.planned.source_id)
    }

    async fn step(&mut self, name: &str, on_event: Sink<'_>) -> Result<Then, BatchError> {
        let Some(batch) = self.ledger.get(name).cloned() else { return Ok(Then::Wait) };
        if !self.is_ours(&batch) {
            return Ok(Then::Wait);
        }
        let stepped = match batch.stage {
            Stage::Planned | Stage::Uploaded if self.is_held(&batch) => return Ok(Then::Wait),
            Stage::Planned => self.upload(&batch).await,
            Stage::Uploaded => self.submit(&batch, on_event).await,
            Stage::Submitting => self.find(&batch, on_event).await,
            Stage::Submitted => self.poll(&batch, on_event).await,
            Stage::Ended => self.download(&batch, on_event).await,
            Stage::Downloaded | Stage::Closed => return Ok(Then::Wait),
        };
        match stepped {
            Err(error) if error.may_pass() => {
                on_event(&BatchEvent::Trouble { batch: &batch, error: &error });
                Ok(Then::Wait)
            }
            result => result,
        }
    }
}

/// Whether a batch is exchanged as files, and no provider is asked.
fn is_by_file(batch: &Batch) -> bool {
    batch.planned.address == BY_FILE
}

/// Sleeps by the clock on the wall: a computer that slept meanwhile has slept enough.
async fn sleep(delay: Duration) {
    let until = SystemTime::now() + delay;
    while let Ok(left) = until.duration_since(SystemTime::now()) {
        // A clock that was set back must not make it longer.
        let nap = left.min(NAP).min(delay);
        tokio::time::sleep(nap).await;
        if left <= NAP {
            return;
        }
    }
}
