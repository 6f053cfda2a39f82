//! The results of batches: fetched, read, and removed once they are in the log.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

use super::super::answers::Answers;
use super::super::error::BatchError;
use super::super::ledger::{Batch, Entry, Stage};
use super::super::line::CustomId;
use super::super::provider::End;
use super::super::spool::{files_of, make_private, results_of};
use super::event::{BatchEvent, Sink};
use super::{Session, Then};
use crate::endpoint::pacing::backoff;
use crate::files::with_suffix;

/// Further looks at results that are not whole: files may come later than the state that names them, and a transfer can end early without a sign.
const MAX_LOOKS: u32 = 3;

/// What a provider's files of results hold.
#[derive(Debug, Default, PartialEq, Eq)]
struct Fetched {
    /// Lines with the id of a request.
    results: u64,
    /// Other lines.
    unreadable: u64,
    /// Files that are not there.
    absent: u64,
}

impl Fetched {
    /// Counts the lines, and leaves them on disk.
    fn count(&mut self, mut file: File) -> std::io::Result<()> {
        file.sync_all()?;
        file.seek(SeekFrom::Start(0))?;
        let (mut lines, mut line) = (BufReader::with_capacity(1 << 16, file), Vec::new());
        while lines.read_until(b'\n', &mut line)? > 0 {
            match serde_json::from_slice::<CustomId<'_>>(&line) {
                Ok(_) => self.results += 1,
                Err(_) => self.unreadable += 1,
            }
            line.clear();
        }
        Ok(())
    }

    /// What is not as the provider says it is, if anything.
    fn lack(&self, batch: &Batch) -> Option<String> {
        let requests = batch.planned.requests as u64;
        let expected = batch.results.min(requests);
        if self.unreadable > 0 {
            return Some(format!("{} of their lines cannot be read", self.unreadable));
        }
        if self.results < expected {
            return Some(format!("the provider counts {expected}, and sent {}", self.results));
        }
        // Azure names a file of errors that is not there.
        let is_missed = self.absent > 0 && self.results < requests && batch.results == 0;
        is_missed.then(|| "the provider does not have the file that it names".to_owned())
    }
}

impl Session {
    pub(super) async fn download(&mut self, batch: &Batch, on_event: Sink<'_>) -> Result<Then, BatchError> {
        make_private(&self.folder).map_err(BatchError::file(&self.folder))?;
        let path = results_of(&self.folder, &batch.planned.batch);
        let part = with_suffix(&path, "writing");
        for looks in 0.. {
            let fetched = self.fetch(batch, &part).await?;
            let Some(lack) = fetched.lack(batch) else { break };
            if looks < MAX_LOOKS {
                tokio::time::sleep(backoff::equal_jitter(looks)).await;
                continue;
            }
            // Whatever this is, the results are elsewhere, and paid for.
            if fetched.results == 0 && fetched.unreadable > 0 {
                let what = format!("read the results of batch {}", batch.shown_id());
                let reason = format!("no line of `{}` is one", part.display());
                return Err(BatchError::Unexpected { what, reason });
            }
            on_event(&BatchEvent::Lacks { batch, lack: &lack });
            break;
        }
        std::fs::rename(&part, &path).map_err(BatchError::file(&path))?;
        self.ledger.add(Entry::Downloaded { batch: batch.planned.batch.clone() })?;
        on_event(&BatchEvent::Downloaded { batch });
        Ok(Then::Wait)
    }

    /// Fetches all files of a batch's results into one.
    async fn fetch(&self, batch: &Batch, part: &Path) -> Result<Fetched, BatchError> {
        let file = File::options().read(true).write(true).create(true).truncate(true).open(part);
        let mut out = BufWriter::with_capacity(1 << 16, file.map_err(BatchError::file(part))?);
        let mut fetched = Fetched::default();
        for file in &batch.files {
            match self.lane(batch)?.provider.results(file, &mut out).await {
                Err(BatchError::Endpoint { failure, .. }) if failure.http_status == Some(404) => fetched.absent += 1,
                result => result?,
            }
        }
        let file = out.into_inner().map_err(std::io::IntoInnerError::into_error).map_err(BatchError::file(part))?;
        fetched.count(file).map_err(BatchError::file(part))?;
        Ok(fetched)
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

    /// Notes that all results of these batches are in the log, and removes their files here; at the provider, too, if that is wished, with those of all
    /// batches that were over before.
    ///
    /// # Errors
    /// When the ledger or a file cannot be written, or a provider does not answer.
    pub async fn collected(&mut self, names: &[String], delete: bool) -> Result<(), BatchError> {
        for name in names {
            self.ledger.add(Entry::Collected { batch: name.clone() })?;
            self.remove_files(name)?;
        }
        // It stays while it holds anything.
        let _ = std::fs::remove_dir(&self.folder);
        let has_files = |batch: &&Batch| {
            let is_at_provider = batch.file.is_some() || batch.id.is_some();
            batch.stage == Stage::Closed && is_at_provider && !batch.is_deleted && self.lane(batch).is_ok()
        };
        let to_delete: Vec<Batch> = self.ledger.batches().filter(has_files).filter(|_| delete).cloned().collect();
        for batch in to_delete {
            self.lane(&batch)?.provider.delete(&batch).await?;
            self.ledger.add(Entry::Deleted { batch: batch.planned.batch.clone() })?;
        }
        Ok(())
    }

    /// Removes the files of a batch that is over.
    pub(in crate::batch) fn remove_files(&self, batch: &str) -> Result<(), BatchError> {
        for path in files_of(&self.folder, batch) {
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(BatchError::file(&path)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}
