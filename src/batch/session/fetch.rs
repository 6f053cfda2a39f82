//! The results of batches: fetched, read, and removed once they are in the log.

use std::fs::File;
use std::io::{BufWriter, Write};

use super::super::answers::Answers;
use super::super::error::BatchError;
use super::super::ledger::{Batch, Entry, Stage};
use super::super::provider::End;
use super::super::spool::{files_of, make_private, results_of};
use super::event::{BatchEvent, Sink};
use super::{Session, Then, is_by_file};
use crate::files::with_suffix;

impl Session {
    pub(super) async fn download(&mut self, batch: &Batch, on_event: Sink<'_>) -> Result<Then, BatchError> {
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

    /// What is known of each request in a batch.
    ///
    /// # Errors
    /// When a file of results or the log cannot be read.
    pub fn answers(&self) -> Result<Answers, BatchError> {
        let alive = || self.ledger.batches().filter(|batch| batch.stage < Stage::Closed);
        let mut answers = Answers::new(alive().map(Batch::most_judgments).sum())?;
        for batch in alive() {
            if batch.stage == Stage::Downloaded {
                let has_all = batch.state.as_deref() != Some(End::Failed.as_str());
                let path = results_of(&self.folder, &batch.planned.batch);
                answers.add_results(&self.ledger, batch, &path, has_all)?;
            } else {
                answers.add_pending(&self.ledger, batch)?;
            }
        }
        answers.leave_recorded(&self.log)?;
        Ok(answers)
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
            for path in files_of(&self.folder, name) {
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
}
