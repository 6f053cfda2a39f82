//! The records of several logs in chronological order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::feedback::AssessmentId;
use crate::feedback::history::{Act, Facts, History, Line, Opinions, Says};

/// The most steps to find an opinion's order: more than any history needs.
const MAX_PASSES: usize = 64;

/// A record of one of the logs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Event {
    /// Of the log.
    pub file: usize,
    pub offset: u64,
    pub last_update_time_ms: i64,
    /// The same, but never earlier than the lines before it in its log: a clock may be wrong, and a mark has the time of its verdict.
    time: i64,
    /// Of the line.
    hash: u64,
    is_own: bool,
    is_mark: bool,
}

/// The records of several logs, log by log.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    events: Vec<Event>,
    /// Where each log begins.
    logs: Vec<usize>,
}

impl Timeline {
    pub(super) fn begin_log(&mut self) {
        self.logs.push(self.events.len());
    }

    /// Adds the next record of the log, and returns its number.
    pub(super) fn add(&mut self, facts: &Facts<'_>, line: &[u8], offset: u64) -> usize {
        let hash = blake3::hash(line.trim_ascii());
        let mut first = [0; 8];
        first.copy_from_slice(&hash.as_bytes()[..8]);
        let last_update_time_ms = facts.last_update_time_ms;
        self.events.push(Event {
            file: self.logs.len() - 1,
            offset,
            last_update_time_ms,
            time: last_update_time_ms,
            hash: u64::from_le_bytes(first),
            is_own: facts.is_own,
            is_mark: matches!(facts.says, Says::Mark(_)),
        });
        self.events.len() - 1
    }

    /// All records in one order, each once, and their roles there. `history` identifies them by their numbers.
    pub(super) fn merged(mut self, mut history: History<usize>) -> (Vec<Event>, Opinions<usize>) {
        for log in self.events.chunk_by_mut(|a, b| a.file == b.file) {
            order_times(log);
        }
        let places = self.places();
        let is_copy = self.copies(&places);
        history.place_anew(|event| (!is_copy[*event]).then_some(places[*event]));
        for opinion in history.by_opinion().filter(|opinion| opinion[0].is_own) {
            put_after_overridden(opinion, &self.events);
        }
        (self.events, history.settle())
    }

    /// The place of each record in the order of all.
    fn places(&self) -> Vec<u64> {
        let ends = self.logs.iter().skip(1).copied().chain([self.events.len()]);
        let mut rests: Vec<_> = self.logs.iter().copied().zip(ends).collect();
        // The next record of a log. At the same time, a mark comes after what it may be about.
        let next = |(start, end): (usize, usize)| {
            let Event { time, is_mark, last_update_time_ms, file, .. } = *self.events[..end].get(start)?;
            Some(Reverse((time, is_mark, last_update_time_ms, file)))
        };
        let mut heads: BinaryHeap<_> = rests.iter().filter_map(|rest| next(*rest)).collect();
        let mut places = vec![0; self.events.len()];
        for place in 0.. {
            let Some(Reverse((.., file))) = heads.pop() else { break };
            places[rests[file].0] = place;
            rests[file].0 += 1;
            heads.extend(next(rests[file]));
        }
        places
    }

    /// Which records are copies of one in another log. If a log has several equal ones, the first matches the first of another log.
    fn copies(&self, places: &[u64]) -> Vec<bool> {
        let mut is_copy = vec![false; self.events.len()];
        let mut numbers: Vec<_> = (0..self.events.len()).collect();
        numbers.sort_unstable_by_key(|i| (self.events[*i].hash, *i));
        for alike in numbers.chunk_by(|a, b| self.events[*a].hash == self.events[*b].hash) {
            let mut counted: Vec<_> = Vec::new();
            for of_log in alike.chunk_by(|a, b| self.events[*a].file == self.events[*b].file) {
                counted.extend(of_log.iter().enumerate().map(|(nth, i)| (nth, places[*i], *i)));
            }
            counted.sort_unstable();
            for same in counted.chunk_by(|(a, ..), (b, ..)| a == b) {
                same.iter().skip(1).for_each(|(.., i)| is_copy[*i] = true);
            }
        }
        is_copy
    }
}

/// Makes the times of a log's records follow its order. The clocks of people and other programs do not move our records.
fn order_times(log: &mut [Event]) {
    let mut earliest = i64::MIN;
    for event in log.iter_mut() {
        event.time = event.time.max(earliest);
        if event.is_own {
            earliest = event.time;
        }
    }
    let mut latest = i64::MAX;
    for event in log.iter_mut().rev() {
        event.time = event.time.min(latest);
        if event.is_own {
            latest = event.time;
        }
    }
}

/// Puts what overrides a verdict of another log after it, whatever the clocks of two machines said.
fn put_after_overridden(opinion: &mut [Line<usize>], events: &[Event]) {
    let file = |line: &Line<usize>| events[line.extra].file;
    if opinion.iter().all(|line| file(line) == file(&opinion[0])) {
        return;
    }
    let places: Vec<_> = opinion.iter().map(|line| line.step.place).collect();
    // One that was moved may have to be moved again, with what it overrides.
    for _ in 0..opinion.len().min(MAX_PASSES) {
        let mut is_moved = false;
        for i in 0..opinion.len() {
            let Some(overridden) = opinion[i].step.overrides else { continue };
            let id = opinion[i].step.id;
            let is_verdict = |line: &&Line<usize>| line.step.id == overridden && line.step.act != Act::Failure;
            let is_in_same_log = opinion.iter().filter(is_verdict).any(|line| file(line) == file(&opinion[i]));
            let later = opinion.iter().position(|line| is_verdict(&line)).filter(|later| *later > i);
            if let Some(later) = later.filter(|_| !is_in_same_log && !leads_to(opinion, overridden, id)) {
                // With the earlier feedback on it.
                opinion[i..=later].sort_by_key(|line| line.step.id == id);
                is_moved = true;
            }
        }
        if !is_moved {
            break;
        }
    }
    opinion.iter_mut().zip(places).for_each(|(line, place)| line.step.place = place);
}

/// Whether what a verdict overrides, and what that overrides, and so on, leads to `id`.
fn leads_to(opinion: &[Line<usize>], from: AssessmentId, id: AssessmentId) -> bool {
    let mut next = Some(from);
    for _ in 0..opinion.len().min(MAX_PASSES) {
        let Some(verdict) = next.filter(|verdict| *verdict != id) else { break };
        next = opinion.iter().rev().filter(|line| line.step.id == verdict).find_map(|line| line.step.overrides);
    }
    next == Some(id)
}
