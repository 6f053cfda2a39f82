//! What was uploaded and submitted.

use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;

use super::job::Job;

/// What was uploaded and submitted.
#[derive(Debug, Default)]
pub(in super::super) struct Batches(Mutex<Store>);

#[derive(Debug, Default)]
pub(super) struct Store {
    files: Vec<Option<File>>,
    pub(super) jobs: Vec<Job>,
}

#[derive(Debug, Clone)]
pub(super) struct File {
    pub(super) name: String,
    pub(super) purpose: String,
    pub(super) content: Bytes,
}

impl Batches {
    pub(super) fn lock(&self) -> MutexGuard<'_, Store> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of submitted batches, of their lines, and of lines that had been submitted before.
    pub(in super::super) fn counts(&self) -> (u64, u64, u64) {
        let store = self.lock();
        let mut met = std::collections::HashSet::new();
        // What failed validation was never accepted.
        let ids = store.jobs.iter().filter(|job| !job.is_refused()).flat_map(Job::ids);
        let (mut lines, mut again) = (0, 0);
        for id in ids {
            lines += 1;
            again += u64::from(!met.insert(id));
        }
        (store.jobs.len() as u64, lines, again)
    }
}

impl Store {
    pub(super) fn add(&mut self, file: File) -> String {
        self.files.push(Some(file));
        format!("file-{}", self.files.len())
    }

    pub(super) fn file(&mut self, id: &str) -> Option<&mut Option<File>> {
        let number: usize = id.strip_prefix("file-")?.parse().ok()?;
        self.files.get_mut(number.checked_sub(1)?).filter(|file| file.is_some())
    }

    pub(super) fn content(&mut self, id: &str) -> Option<Bytes> {
        self.file(id)?.as_ref().map(|file| file.content.clone())
    }
}
