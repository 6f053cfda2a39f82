//! How a batch gets to its provider: once, whatever happens in between, and in halves if there is no room for all of it.

use std::time::Duration;

use super::super::error::BatchError;
use super::super::ledger::{Batch, Entry, Stage, now_ms};
use super::super::provider::{Candidate, Sign, is_queue_full};
use super::super::spool::{requests_of, split};
use super::event::{BatchEvent, Sink};
use super::{Session, Then};

/// A submission that died half-way may still arrive: the list of batches is looked at again until this much after it.
const SETTLED_MS: i64 = 5_000;
/// Submissions of which it is not known whether they arrived, before it is given up.
const MAX_SUBMISSIONS: u32 = 5;

impl Session {
    /// Whether a batch waits for another of its lane, since the provider had no room: until that one has ended, or, if none is with the provider, until
    /// it is known whether the smallest finds room. Otherwise a queue that others fill would have all batches halved to single requests.
    pub(super) fn is_held(&self, batch: &Batch) -> bool {
        let of_lane = || self.ledger.batches().filter(|other| other.planned.source_id == batch.planned.source_id);
        let waiting = || of_lane().filter(|other| other.stage < Stage::Submitting);
        if !waiting().any(|other| other.found_no_room) {
            return false;
        }
        let smallest = waiting().min_by_key(|other| (other.planned.requests, &other.planned.batch));
        of_lane().any(|other| matches!(other.stage, Stage::Submitting | Stage::Submitted))
            || smallest.is_some_and(|smallest| smallest.planned.batch != batch.planned.batch)
    }

    pub(super) async fn upload(&mut self, batch: &Batch) -> Result<Then, BatchError> {
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

    pub(super) async fn submit(&mut self, batch: &Batch, on_event: Sink<'_>) -> Result<Then, BatchError> {
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
            Err(BatchError::Endpoint { failure, .. })
                if failure.provider_code.as_deref().is_some_and(is_queue_full) =>
            {
                self.no_room(batch, on_event)
            }
            // An answer that refuses it: for now, or for good.
            Err(error) if is_refusal(&error) => {
                self.ledger.add(Entry::Returned { batch: name, is_full: false })?;
                Err(error)
            }
            // It may have arrived: the list says so.
            Err(error) => {
                on_event(&BatchEvent::Trouble { batch, error: &error });
                Ok(Then::Next)
            }
        }
    }

    /// Looks for a batch that may have been submitted; submits it if it was not. While it is not known, it waits: another run's batch of as many
    /// requests is never taken for it, nor is it submitted twice.
    pub(super) async fn find(&mut self, batch: &Batch, on_event: Sink<'_>) -> Result<Then, BatchError> {
        let name = batch.planned.batch.clone();
        loop {
            let own = self.ledger.batches().filter_map(|batch| batch.id.clone());
            let others: Vec<_> = own.chain(self.foreign.iter().cloned()).collect();
            let mut open = 0;
            let candidates = self.lane(batch)?.provider.find(batch, &others).await?;
            for Candidate { id, sign } in candidates {
                match sign {
                    Sign::Later => open += 1,
                    Sign::Result(custom_id) if !self.has(batch, &custom_id)? => self.foreign.push(id),
                    Sign::Name | Sign::Result(_) => {
                        self.ledger.add(Entry::Submitted { batch: name.clone(), id })?;
                        if let Some(batch) = self.ledger.get(&name) {
                            on_event(&BatchEvent::Found { batch });
                        }
                        return Ok(Then::Next);
                    }
                }
            }
            if open > 0 {
                let now = ("unclear".to_owned(), open);
                if self.seen.get(&name) != Some(&now) {
                    on_event(&BatchEvent::Unclear { batch, candidates: open });
                    self.seen.insert(name, now);
                }
                return Ok(Then::Wait);
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

    /// Whether a batch has a request of this id.
    fn has(&self, batch: &Batch, custom_id: &str) -> Result<bool, BatchError> {
        let Ok(wanted) = custom_id.parse() else { return Ok(false) };
        let mut has = false;
        self.ledger.for_each_ids(batch, |ids| {
            has |= ids.first() == Some(&wanted);
            Ok(())
        })?;
        Ok(has)
    }

    /// The provider has too much of this account's in its queue: its own batches are waited for, or this one is made smaller.
    pub(super) fn no_room(&mut self, batch: &Batch, on_event: Sink<'_>) -> Result<Then, BatchError> {
        let name = &batch.planned.batch;
        let has_others = self.ledger.batches().any(|other| {
            let is_of_lane = other.planned.source_id == batch.planned.source_id;
            is_of_lane && other.stage == Stage::Submitted && other.planned.batch != *name
        });
        if has_others {
            self.ledger.add(Entry::Returned { batch: name.clone(), is_full: true })?;
            on_event(&BatchEvent::Waits { batch });
            return Ok(Then::Wait);
        }
        if batch.planned.requests < 2 {
            let message = "there is no room in its queue for a single request".to_owned();
            self.ledger.add(Entry::Dropped { batch: name.clone() })?;
            return Err(BatchError::Refused { id: batch.shown_id().to_owned(), message });
        }
        let half = batch.planned.requests.div_ceil(2);
        let into = split(&self.folder, &self.ledger, batch, |i| i < half)?;
        self.ledger.begin(Entry::Split { batch: name.clone(), into }, &self.folder)?;
        self.remove_files(name)?;
        on_event(&BatchEvent::Split { batch });
        Ok(Then::Wait)
    }
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
