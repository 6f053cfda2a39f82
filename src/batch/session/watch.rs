//! The state of a batch at its provider, and cancelling it.

use std::collections::HashMap;
use std::io::{self, Write};

use super::super::error::BatchError;
use super::super::ledger::{Batch, Entry, Stage};
use super::super::line;
use super::super::provider::{End, Standing};
use super::event::{BatchEvent, Sink};
use super::{Session, Then};

/// Looks at a batch that the provider does not know, before that is believed.
const MAX_UNKNOWN: u32 = 3;

impl Session {
    pub(super) async fn poll(&mut self, batch: &Batch, on_event: Sink<'_>) -> Result<Then, BatchError> {
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
                let files = files.clone();
                self.ledger.add(Entry::Ended { batch: name, state, files, results: standing.done })?;
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
        let said: HashMap<usize, &String> = standing.rejected.iter().rev().map(|(line, said)| (*line, said)).collect();
        let (mut line, mut rejected) = (0, Vec::new());
        self.ledger.for_each_ids(batch, |ids| {
            line += 1;
            rejected.extend(ids.first().copied().zip(said.get(&line)));
            Ok(())
        })?;
        if rejected.is_empty() {
            self.ledger.add(Entry::Dropped { batch: name })?;
            let message = standing.message.unwrap_or_else(|| "no explanation".to_owned());
            return Err(BatchError::Refused { id: batch.shown_id().to_owned(), message });
        }
        self.ends_here(&name, End::Failed, |out| {
            rejected.iter().try_for_each(|(id, message)| out.write_all(&line::rejected(&id.to_string(), message)))
        })?;
        on_event(&BatchEvent::Downloaded { batch });
        Ok(Then::Wait)
    }

    /// Notes the end of a batch of which the provider has no file.
    fn ends_here(
        &mut self,
        name: &str,
        end: End,
        results: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), BatchError> {
        self.write_results(name, results)?;
        let (batch, state) = (name.to_owned(), end.as_str().to_owned());
        self.ledger.add(Entry::Ended { batch: batch.clone(), state, files: Vec::new(), results: 0 })?;
        self.ledger.add(Entry::Downloaded { batch })
    }

    /// Asks for the end of all; what was never submitted is over, and what the provider no longer has.
    ///
    /// # Errors
    /// When a provider does not answer; after all others were cancelled, when one cannot cancel.
    pub async fn cancel(&mut self, on_event: Sink<'_>) -> Result<(), BatchError> {
        let open: Vec<Batch> = self.ledger.batches().filter(|batch| batch.is_open()).cloned().collect();
        let mut cannot = None;
        for batch in open {
            match (&batch.id, batch.stage) {
                (Some(id), Stage::Submitted) => {
                    match self.lane(&batch)?.provider.cancel(id).await {
                        // It has just ended.
                        Err(BatchError::Endpoint { failure, .. }) if matches!(failure.http_status, Some(400 | 409)) => {
                        }
                        Err(BatchError::Endpoint { failure, .. }) if failure.http_status == Some(404) => {
                            self.ends_here(&batch.planned.batch, End::Cancelled, |_| Ok(()))?;
                            on_event(&BatchEvent::GivenUp { batch: &batch });
                        }
                        Err(error @ BatchError::CannotCancel { .. }) => cannot = Some(error),
                        result => result?,
                    }
                }
                (_, Stage::Planned | Stage::Uploaded) => {
                    self.ledger.add(Entry::Dropped { batch: batch.planned.batch.clone() })?;
                }
                _ => {}
            }
        }
        cannot.map_or(Ok(()), Err)
    }
}
