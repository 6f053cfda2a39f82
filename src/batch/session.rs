//! The batches of one log: each is brought as far as it goes, step by step, with the ledger ahead of what is sent.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::answers::Answers;
use super::error::BatchError;
use super::ledger::{Batch, Entry, Ledger, Stage, now_ms};
use super::line;
use super::provider::{BatchDialect, End, Provider, Standing};
use super::spool::{BatchLimits, Shard, Spool, halves, make_private, requests_of, results_of};
use super::{folder_of, ledger_of};
use crate::endpoint::config::EndpointConfig;
use crate::feedback::AssessmentId;
use crate::feedback::log::ids_since;
use crate::files::with_suffix;

/// A submission that died half-way may still arrive: the list of batches is looked at again until this much after it.
const SETTLED_MS: i64 = 5_000;
/// Submissions of which it is not known whether they arrived, before it is given up.
const MAX_SUBMISSIONS: u32 = 5;
/// The longest wait between two looks, as a multiple of the first.
const SLOWEST: u32 = 10;
/// Looks at a batch that the provider does not know, before that is believed.
const MAX_UNKNOWN: u32 = 3;
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

/// Something that happened to a batch.
#[derive(Debug)]
pub enum BatchEvent<'a> {
    /// It was submitted.
    Submitted {
        /// As the ledger knows it.
        batch: &'a Batch,
    },
    /// It was found at the provider: an earlier process had submitted it.
    Found {
        /// As the ledger knows it.
        batch: &'a Batch,
    },
    /// The provider says how far it is.
    Seen {
        /// As the ledger knows it.
        batch: &'a Batch,
        /// The provider's word.
        state: &'a str,
        /// Requests that are done.
        done: u64,
    },
    /// The provider has no room for it yet.
    Waits {
        /// As the ledger knows it.
        batch: &'a Batch,
    },
    /// It will be submitted in two halves.
    Split {
        /// As the ledger knows it.
        batch: &'a Batch,
    },
    /// Its results are here.
    Downloaded {
        /// As the ledger knows it.
        batch: &'a Batch,
    },
    /// A step failed and is tried again.
    Trouble {
        /// As the ledger knows it.
        batch: &'a Batch,
        /// Why.
        error: &'a BatchError,
    },
}

/// Told of everything that happens.
type Sink<'a> = &'a mut dyn FnMut(&BatchEvent<'_>);

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

    /// What is known of each request in a batch.
    ///
    /// # Errors
    /// When a file of results or the log cannot be read.
    pub fn answers(&self) -> Result<Answers, BatchError> {
        let mut answers = Answers::default();
        for batch in self.ledger.batches() {
            match batch.stage {
                Stage::Closed => {}
                Stage::Downloaded => {
                    let recorded = self.recorded(batch)?;
                    let has_all = batch.state.as_deref() != Some(End::Failed.as_str());
                    let path = results_of(&self.folder, &batch.planned.batch);
                    answers.add_results(batch, &path, &recorded, has_all)?;
                }
                _ => answers.add_pending(batch),
            }
        }
        Ok(answers)
    }

    fn recorded(&self, batch: &Batch) -> Result<HashSet<AssessmentId>, BatchError> {
        if !self.log.exists() {
            return Ok(HashSet::new());
        }
        ids_since(&self.log, batch.planned.time_ms).map_err(BatchError::file(&self.log))
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
            self.ledger.add(Entry::Planned(planned))?;
        }
        Ok(())
    }

    /// Brings every batch as far as it goes now.
    ///
    /// # Errors
    /// When a provider does not accept one, or refuses access; or a file cannot be written.
    pub async fn advance(&mut self, on_event: Sink<'_>) -> Result<(), BatchError> {
        // Those that end make room for those that wait.
        loop {
            let names: Vec<_> = self.ledger.batches().filter(|batch| batch.is_open() && !is_by_file(batch)).collect();
            let names: Vec<String> = names.iter().map(|batch| batch.planned.batch.clone()).collect();
            let before = names.len();
            for name in names {
                while let Then::Next = self.step(&name, on_event).await? {}
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

    /// Asks for the end of all; what was never submitted is over.
    ///
    /// # Errors
    /// When a provider does not answer.
    pub async fn cancel(&mut self) -> Result<(), BatchError> {
        let open: Vec<Batch> = self.ledger.batches().filter(|batch| batch.is_open()).cloned().collect();
        for batch in open {
            match (&batch.id, batch.stage) {
                (Some(id), Stage::Submitted) => {
                    match self.lane(&batch)?.provider.cancel(id).await {
                        // It has just ended.
                        Err(BatchError::Endpoint { failure, .. }) if matches!(failure.http_status, Some(400 | 409)) => {
                        }
                        result => result?,
                    }
                }
                (_, Stage::Planned | Stage::Uploaded) => {
                    self.ledger.add(Entry::Dropped { batch: batch.planned.batch.clone() })?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Notes that all results of these batches are in the log, and removes their files here; at the provider, too, if that is wished.
    ///
    /// # Errors
    /// When the ledger or a file cannot be written, or a provider does not answer.
    pub async fn collected(&mut self, names: &[String], delete: bool) -> Result<(), BatchError> {
        for name in names {
            let Some(batch) = self.ledger.get(name).cloned() else { continue };
            if delete && !batch.is_deleted && !is_by_file(&batch) {
                self.lane(&batch)?.provider.delete(&batch).await?;
                self.ledger.add(Entry::Deleted { batch: name.clone() })?;
            }
            self.ledger.add(Entry::Collected { batch: name.clone() })?;
            for path in [requests_of(&self.folder, name), results_of(&self.folder, name)] {
                match std::fs::remove_file(&path) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                        return Err(BatchError::file(&path)(error));
                    }
                    _ => {}
                }
            }
        }
        // It stays while it holds anything.
        let _ = std::fs::remove_dir(&self.folder);
        Ok(())
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

    /// Whether a batch waits until another of its lane has ended: the provider had no room.
    fn is_held(&self, batch: &Batch) -> bool {
        let of_lane = || self.ledger.batches().filter(|other| other.planned.source_id == batch.planned.source_id);
        let is_full = of_lane().any(|other| other.stage < Stage::Submitting && other.was_returned);
        is_full && of_lane().any(|other| other.stage == Stage::Submitted)
    }

    async fn upload(&mut self, batch: &Batch) -> Result<Then, BatchError> {
        let name = batch.planned.batch.clone();
        let requests = requests_of(&self.folder, &name);
        if !requests.is_file() {
            // They were never sent, and are made again.
            self.ledger.add(Entry::Dropped { batch: name })?;
            return Ok(Then::Wait);
        }
        match self.lane(batch)?.provider.upload(&requests, batch).await? {
            Some(file) => self.ledger.add(Entry::Uploaded { batch: name, file })?,
            None => self.ledger.add(Entry::Submitting { batch: name, time_ms: now_ms() }).map(drop)?,
        }
        // Where nothing is uploaded, the submission itself follows.
        match self.ledger.get(&batch.planned.batch).cloned() {
            Some(batch) if batch.stage == Stage::Submitting => self.send(&batch, &mut |_| ()).await,
            _ => Ok(Then::Next),
        }
    }

    async fn submit(&mut self, batch: &Batch, on_event: Sink<'_>) -> Result<Then, BatchError> {
        let name = batch.planned.batch.clone();
        self.ledger.add(Entry::Submitting { batch: name, time_ms: now_ms() })?;
        self.send(batch, on_event).await
    }

    /// Sends the submission that the ledger has announced, once.
    async fn send(&mut self, batch: &Batch, on_event: Sink<'_>) -> Result<Then, BatchError> {
        let name = batch.planned.batch.clone();
        let requests = requests_of(&self.folder, &name);
        match self.lane(batch)?.provider.submit(&requests, batch).await {
            Ok(id) => {
                self.ledger.add(Entry::Submitted { batch: name.clone(), id })?;
                if let Some(batch) = self.ledger.get(&name) {
                    on_event(&BatchEvent::Submitted { batch });
                }
                Ok(Then::Next)
            }
            // It was not accepted for now.
            Err(BatchError::Endpoint { failure, .. }) if failure.http_status == Some(429) => {
                self.ledger.add(Entry::Returned { batch: name })?;
                on_event(&BatchEvent::Waits { batch });
                Ok(Then::Wait)
            }
            // An answer that refuses it for good.
            Err(error) if is_refusal(&error) => {
                self.ledger.add(Entry::Returned { batch: name })?;
                Err(error)
            }
            // It may have arrived: the list says so.
            Err(error) => {
                on_event(&BatchEvent::Trouble { batch, error: &error });
                Ok(Then::Next)
            }
        }
    }

    /// Looks for a batch that may have been submitted; submits it if it was not.
    async fn find(&mut self, batch: &Batch, on_event: Sink<'_>) -> Result<Then, BatchError> {
        let name = batch.planned.batch.clone();
        let known: Vec<_> = self.ledger.batches().filter_map(|batch| batch.id.clone()).collect();
        loop {
            if let Some(id) = self.lane(batch)?.provider.find(batch, &known).await? {
                self.ledger.add(Entry::Submitted { batch: name.clone(), id })?;
                if let Some(batch) = self.ledger.get(&name) {
                    on_event(&BatchEvent::Found { batch });
                }
                return Ok(Then::Next);
            }
            let since = now_ms() - batch.submitting_ms;
            if !(0..SETTLED_MS).contains(&since) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        let submissions = self.unknown.entry(format!("submission of {name}")).or_default();
        *submissions += 1;
        if *submissions > MAX_SUBMISSIONS {
            let what = "submit the batch".to_owned();
            let reason = "the provider's list does not have it, however often it is submitted".to_owned();
            return Err(BatchError::Unexpected { what, reason });
        }
        self.submit(batch, on_event).await
    }

    async fn poll(&mut self, batch: &Batch, on_event: Sink<'_>) -> Result<Then, BatchError> {
        let (name, id) = (batch.planned.batch.clone(), batch.shown_id().to_owned());
        let lane = self.lane(batch)?;
        let standing = match lane.provider.poll(&id).await {
            Err(BatchError::Endpoint { failure, .. }) if failure.http_status == Some(404) => {
                let address = lane.provider.http().address().to_owned();
                let error = BatchError::Gone { address, id, message: failure.message };
                let unknown = self.unknown.entry(name).or_default();
                *unknown += 1;
                if *unknown >= MAX_UNKNOWN {
                    return Err(error);
                }
                on_event(&BatchEvent::Trouble { batch, error: &error });
                return Ok(Then::Wait);
            }
            result => result?,
        };
        self.unknown.remove(&name);
        let now = (standing.state.clone(), standing.done);
        if self.seen.get(&name) != Some(&now) {
            on_event(&BatchEvent::Seen { batch, state: &standing.state, done: standing.done });
            self.seen.insert(name.clone(), now);
        }
        let Standing { end, files, .. } = &standing;
        match end {
            None => Ok(Then::Wait),
            Some(End::Failed) if files.is_empty() => self.failed(batch, standing, on_event),
            Some(end) => {
                // What it did before it failed is as good as what a completed one did.
                let end = if *end == End::Failed { End::Completed } else { *end };
                let state = end.as_str().to_owned();
                self.ledger.add(Entry::Ended { batch: name, state, files: files.clone() })?;
                Ok(Then::Next)
            }
        }
    }

    /// A batch that was not accepted: as a whole, for some of its lines, or for the moment.
    fn failed(&mut self, batch: &Batch, standing: Standing, on_event: Sink<'_>) -> Result<Then, BatchError> {
        let name = batch.planned.batch.clone();
        if standing.is_queue_full {
            return self.no_room(batch, on_event);
        }
        let ids: Vec<_> = batch.ids().filter_map(|ids| ids.first().copied()).collect();
        let rejected = standing.rejected.iter().filter_map(|(line, message)| Some((ids.get(line - 1)?, message)));
        let rejected: Vec<_> = rejected.collect();
        if rejected.is_empty() {
            self.ledger.add(Entry::Dropped { batch: name })?;
            let message = standing.message.unwrap_or_else(|| "no explanation".to_owned());
            return Err(BatchError::Refused { id: batch.shown_id().to_owned(), message });
        }
        self.write_results(&name, |out| {
            rejected.iter().try_for_each(|(id, message)| out.write_all(&line::rejected(&id.to_string(), message)))
        })?;
        let state = End::Failed.as_str().to_owned();
        self.ledger.add(Entry::Ended { batch: name.clone(), state, files: Vec::new() })?;
        self.ledger.add(Entry::Downloaded { batch: name })?;
        on_event(&BatchEvent::Downloaded { batch });
        Ok(Then::Wait)
    }

    /// The provider has too much of this account's in its queue: its own batches are waited for, or this one is made smaller.
    fn no_room(&mut self, batch: &Batch, on_event: Sink<'_>) -> Result<Then, BatchError> {
        let name = &batch.planned.batch;
        let has_others = self.ledger.batches().any(|other| {
            let is_of_lane = other.planned.source_id == batch.planned.source_id;
            is_of_lane && other.stage == Stage::Submitted && other.planned.batch != *name
        });
        if has_others {
            self.ledger.add(Entry::Returned { batch: name.clone() })?;
            on_event(&BatchEvent::Waits { batch });
            return Ok(Then::Wait);
        }
        if batch.planned.requests < 2 {
            let message = "there is no room in its queue for a single request".to_owned();
            self.ledger.add(Entry::Dropped { batch: name.clone() })?;
            return Err(BatchError::Refused { id: batch.shown_id().to_owned(), message });
        }
        let into = halves(&self.folder, &batch.planned)?;
        self.ledger.add(Entry::Split { batch: name.clone(), into })?;
        on_event(&BatchEvent::Split { batch });
        Ok(Then::Wait)
    }

    async fn download(&mut self, batch: &Batch, on_event: Sink<'_>) -> Result<Then, BatchError> {
        let name = batch.planned.batch.clone();
        make_private(&self.folder).map_err(BatchError::file(&self.folder))?;
        let path = results_of(&self.folder, &name);
        let part = with_suffix(&path, "writing");
        let file = File::create(&part).map_err(BatchError::file(&part))?;
        let mut out = BufWriter::with_capacity(1 << 16, file);
        for file in &batch.results {
            match self.lane(batch)?.provider.results(file, &mut out).await {
                // Azure names a file of errors that is not there.
                Err(BatchError::Endpoint { failure, .. }) if failure.http_status == Some(404) => {}
                result => result?,
            }
        }
        let file = out.into_inner().map_err(std::io::IntoInnerError::into_error).map_err(BatchError::file(&part))?;
        file.sync_all().and_then(|()| std::fs::rename(&part, &path)).map_err(BatchError::file(&path))?;
        self.ledger.add(Entry::Downloaded { batch: name })?;
        on_event(&BatchEvent::Downloaded { batch });
        Ok(Then::Wait)
    }

    /// Writes the file of a batch's results, whole.
    pub(super) fn write_results(
        &self,
        batch: &str,
        write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
    ) -> Result<(), BatchError> {
        make_private(&self.folder).map_err(BatchError::file(&self.folder))?;
        let path = results_of(&self.folder, batch);
        crate::files::replace(&path, write).map_err(BatchError::file(&path))
    }
}

/// Whether a batch is exchanged as files, and no provider is asked.
fn is_by_file(batch: &Batch) -> bool {
    batch.planned.address == BY_FILE
}

/// Whether an error is the provider's answer that it does not take a submission.
fn is_refusal(error: &BatchError) -> bool {
    match error {
        BatchError::Endpoint { failure, .. } => {
            failure.http_status.is_some_and(|status| (400..500).contains(&status) && status != 408 && status != 409)
        }
        BatchError::Unexpected { .. } => false,
        _ => true,
    }
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
