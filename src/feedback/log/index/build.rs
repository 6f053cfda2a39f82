//! Making an index, record by record.

use std::collections::HashMap;

use super::entry::Entry;
use super::index::Index;
use crate::feedback::AssessmentId;
use crate::feedback::history::{Act, Edges, Facts, OpinionKey, Role, Says, Standing, Step, settle_ids, settle_opinion};

/// From this many of a log's first records their number in all is estimated.
const FIRST: usize = 4096;

/// The records of a log so far.
#[derive(Debug, Default)]
pub(in crate::feedback::log) struct IndexBuilder {
    entries: Vec<Entry>,
    /// The models with records, and whether each gave a verdict.
    models: HashMap<String, bool>,
    overrides: Vec<Override>,
    /// What the last records of others' ids override.
    others: HashMap<(OpinionKey, AssessmentId), (AssessmentId, u64)>,
    /// Of the log.
    log_bytes: u64,
}

/// What a record of ours overrides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Override {
    opinion: OpinionKey,
    offset: u64,
    target: AssessmentId,
}

/// An entry while its opinion is settled.
struct Unsettled {
    step: Step,
    entry: Entry,
}

impl AsRef<Step> for Unsettled {
    fn as_ref(&self) -> &Step {
        &self.step
    }
}

impl AsMut<Step> for Unsettled {
    fn as_mut(&mut self) -> &mut Step {
        &mut self.step
    }
}

impl IndexBuilder {
    /// An index for a log of this length, allocated once: doubling would briefly hold the old half as well.
    pub(in crate::feedback::log) fn of_bytes(log_bytes: u64) -> Self {
        Self { log_bytes, ..Self::default() }
    }

    /// Adds the record at `offset`, in the log's order. Others' records count only where they
    /// override ours.
    pub(in crate::feedback::log) fn add(&mut self, facts: &Facts<'_>, offset: u64) {
        let opinion = facts.opinion;
        let (id, target) = match (facts.is_own, facts.id) {
            (true, Some(id)) => (id, facts.overrides),
            (_, id) => {
                let id = id.unwrap_or_else(|| facts.step(offset).id);
                match facts.overrides {
                    Some(target) => drop(self.others.insert((opinion, id), (target, offset))),
                    None if self.others.is_empty() => {}
                    None => drop(self.others.remove(&(opinion, id))),
                }
                return;
            }
        };
        self.overrides.extend(target.map(|target| Override { opinion, offset, target }));
        let create_time_ms = facts.create_time_ms;
        let standing = match &facts.says {
            Says::Verdict(standing) => *standing,
            Says::Mark(standing) => {
                self.entries.push(Entry::new(opinion, id, Standing::Rejected { create_time_ms }, offset));
                *standing
            }
            Says::Failure(code) => Standing::failed(code, create_time_ms),
        };
        let mut entry = Entry::new(opinion, id, standing, offset);
        if matches!(facts.says, Says::Mark(_)) {
            entry.place |= Entry::MARK;
        }
        self.entries.push(entry);
        if self.entries.len() == FIRST {
            let left = self.log_bytes.saturating_sub(offset) / (offset / FIRST as u64).max(1);
            // Too little is made up for later, and what is not used takes no memory.
            let _ = self.entries.try_reserve_exact(usize::try_from(left.saturating_add(left / 32)).unwrap_or(0));
        }
        if let Some(source_id) = &facts.source_id {
            let is_verdict = !matches!(facts.says, Says::Failure(_));
            match self.models.get_mut(&**source_id) {
                Some(is_proven) => *is_proven |= is_verdict,
                None => _ = self.models.insert(source_id.clone().into_owned(), is_verdict),
            }
        }
    }

    /// Decides the role of each record, and sorts what matters.
    pub(in crate::feedback::log) fn seal(mut self) -> Index {
        self.entries.sort_unstable_by_key(|entry| (entry.opinion, entry.offset()));
        let mut overrides = std::mem::take(&mut self.overrides);
        overrides.sort_unstable();
        let of_opinion = |opinion: OpinionKey| {
            let start = overrides.partition_point(|named| named.opinion < opinion);
            let rest = &overrides[start..];
            &rest[..rest.partition_point(|named| named.opinion == opinion)]
        };
        let mut edges = Edges::default();
        std::mem::take(&mut self.others).into_values().for_each(|(target, place)| edges.add(target, place));
        let mut unsettled = Vec::new();
        for opinion in overrides.chunk_by(|a, b| a.opinion == b.opinion) {
            unsettled.clear();
            unsettled.extend(steps(self.of_sorted(opinion[0].opinion), opinion));
            settle_ids(&mut unsettled, true);
            edges.add_outgoing(&unsettled, true);
        }
        edges.sort();
        let (mut kept, mut next) = (0, 0);
        while let Some(first) = self.entries.get(next).copied() {
            let group = next..next + self.entries[next..].iter().take_while(|e| e.opinion == first.opinion).count();
            next = group.end;
            if group.len() == 1 {
                self.entries[kept] = first;
                kept += 1;
                continue;
            }
            let group = &self.entries[group];
            let times: Vec<_> = group.iter().filter(|entry| entry.is_rejected()).copied().collect();
            unsettled.clear();
            unsettled.extend(steps(group, of_opinion(first.opinion)));
            settle_ids(&mut unsettled, true);
            settle_opinion(&mut unsettled, true, &edges);
            for Unsettled { step, entry } in unsettled.iter().filter(|unsettled| unsettled.step.is_live()) {
                self.entries[kept] = settled(step, entry, &times);
                kept += 1;
            }
        }
        self.entries.truncate(kept);
        self.entries.shrink_to_fit();
        Index::new(self.entries, self.models)
    }

    /// The entries of an opinion, once they are sorted.
    fn of_sorted(&self, opinion: OpinionKey) -> &[Entry] {
        let rest = &self.entries[self.entries.partition_point(|entry| entry.opinion < opinion)..];
        &rest[..rest.partition_point(|entry| entry.opinion == opinion)]
    }
}

/// The entries of an opinion as steps, except for the times of marks.
fn steps<'a>(entries: &'a [Entry], overrides: &'a [Override]) -> impl Iterator<Item = Unsettled> + 'a {
    let entries = entries.iter().filter(|entry| !entry.is_rejected());
    entries.map(|entry| Unsettled { step: step(entry, overrides), entry: *entry })
}

/// An entry for lookup. `times` are those of the opinion's marks.
fn settled(step: &Step, entry: &Entry, times: &[Entry]) -> Entry {
    if step.is_rejected() {
        let marks = times.iter().filter(|time| time.id == entry.id).map(|time| time.content);
        let content = marks.min_by_key(|time| time.cast_signed()).unwrap_or_default();
        return Entry { content, place: entry.offset() << Entry::OFFSET_SHIFT | Entry::REJECTED, ..*entry };
    }
    let flags = if step.role == Role::Verdict && step.is_superseded { Entry::SUPERSEDED } else { 0 };
    Entry { place: entry.place & !Entry::MARK | flags, ..*entry }
}

fn step(entry: &Entry, overrides: &[Override]) -> Step {
    let act = match entry.is_verdict() {
        true if entry.has(Entry::MARK) => Act::Mark,
        true => Act::Verdict,
        false => Act::Failure,
    };
    let named = overrides.binary_search_by_key(&entry.offset(), |named| named.offset).ok();
    Step::new(entry.id, entry.offset(), act, named.map(|i| overrides[i].target))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feedback::{Feedback, Source};

    #[test]
    fn room_is_taken_once_for_the_whole_log() {
        let (records, line) = (50_000, 100);
        let record = Feedback {
            assessment_id: Some("a-0123456789abcdef0123456789abcdef".into()),
            source: Source::llm_judge("m"),
            ..Feedback::default()
        };
        let mut index = IndexBuilder::of_bytes(records * line);
        (0..records).for_each(|i| index.add(&Facts::of(&record), i * line));
        assert_eq!(index.entries.len() as u64, records);
        assert!(index.entries.capacity() as u64 <= records + records / 20, "{}", index.entries.capacity());
        // An impossible length is no reason to fail.
        let mut absurd = IndexBuilder::of_bytes(u64::MAX);
        (0..5_000).for_each(|i| absurd.add(&Facts::of(&record), i));
        assert_eq!(absurd.entries.len(), 5_000);
    }
}
