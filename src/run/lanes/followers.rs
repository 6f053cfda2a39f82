//! Judgments about the same trace as one in flight: if prompts begin with the trace, these will find it in the endpoint's cache.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::job::Job;
use crate::judge::SubjectIds;

/// In boxes, as a lane hands them over.
type Jobs = Vec<Box<Job>>;

/// Those that wait for the first one about their subject.
#[derive(Debug, Default)]
pub(super) struct Followers {
    /// By subject; an entry exists from when the first one waits until it is back.
    waiting: HashMap<SubjectIds, Jobs>,
    count: usize,
}

impl Followers {
    /// Gives the judgment back if it does not have to wait: it is the first one about its subject, or its prompt begins otherwise.
    pub(super) fn leader(&mut self, job: Box<Job>) -> Option<Box<Job>> {
        if !job.begins_with_trace() {
            return Some(job);
        }
        match self.waiting.entry(job.judgment.subject.clone()) {
            Entry::Vacant(entry) => {
                entry.insert(Vec::new());
                Some(job)
            }
            Entry::Occupied(mut entry) => {
                entry.get_mut().push(job);
                self.count += 1;
                None
            }
        }
    }

    /// Those that waited for this one, which is back.
    pub(super) fn of(&mut self, leader: &Job) -> Jobs {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        let followers = self.waiting.remove(&leader.judgment.subject).unwrap_or_default();
        self.count -= followers.len();
        followers
    }

    /// All of them, whatever they wait for.
    pub(super) fn take_all(&mut self) -> Jobs {
        self.count = 0;
        std::mem::take(&mut self.waiting).into_values().flatten().collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }
}
