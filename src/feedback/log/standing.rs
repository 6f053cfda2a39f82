//! The records that the opinions of a log stand as, or of several logs read as one: read without a lock, even while a run writes to them.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::OpenError;
use super::error::not_a_log;
use super::file::refuse_what_is_no_file;
use super::lines::{LineReader, for_each_line};
use super::timeline::Timeline;
use crate::feedback::Feedback;
use crate::feedback::history::{Act, History, Line};

/// The records that opinions stand as. They stay in their files, and are read one by one.
#[derive(Debug)]
pub struct StandingRecords {
    logs: Vec<Log>,
    records: Vec<(Place, Stands)>,
    /// Earlier records of the opinions that have a history.
    earlier: HashMap<Place, Vec<Place>>,
    other_lines: u64,
}

/// How much of an opinion's history is kept.
const MAX_EARLIER: usize = 20;

#[derive(Debug)]
struct Log {
    path: PathBuf,
    reader: LineReader,
}

/// Where a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Place {
    log: u32,
    offset: u64,
}

/// How a record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stands {
    /// It is a verdict.
    Verdict,
    /// It is a verdict that a person rejected.
    Rejected,
    /// It is a failure.
    Failure,
}

impl StandingRecords {
    /// Looks through logs. With several, each record counts once, and the latest of an opinion applies, as in [`merge`](super::merge()).
    ///
    /// # Errors
    /// When a file cannot be read, or is clearly not a log.
    pub fn of(paths: &[PathBuf]) -> Result<Self, OpenError> {
        let mut found = Found::default();
        for path in paths {
            found.add(path, paths.len() > 1)?;
        }
        let Found { history, timeline, places, logs, other_lines } = found;
        let opinions = if paths.len() > 1 { timeline.merged(history).1 } else { history.settle() };
        let mut records: Vec<_> = opinions.standing_of_all().map(|line| (places[line.extra], stands(line))).collect();
        records.sort_unstable_by_key(|(place, _)| *place);
        let place = |line: &Line<usize>| places[line.extra];
        let earlier = opinions.histories().filter_map(|opinion| {
            let standing = place(opinion.iter().rev().find(|line| line.step.is_live())?);
            let mut before: Vec<_> = opinion.iter().map(place).filter(|place| *place != standing).collect();
            Some((standing, before.split_off(before.len().saturating_sub(MAX_EARLIER))))
        });
        let earlier = earlier.collect();
        Ok(Self { logs, records, earlier, other_lines })
    }

    /// Lines that are not records; the last one of a log may only be half written yet.
    pub fn other_lines(&self) -> u64 {
        self.other_lines
    }

    /// Calls `take` with each record: where it is, how it stands, and its line.
    ///
    /// # Errors
    /// When a file can no longer be read.
    pub fn for_each(&mut self, mut take: impl FnMut(Place, Stands, &[u8])) -> Result<(), OpenError> {
        let mut line = Vec::new();
        for (place, stands) in &self.records {
            let Log { path, reader } = &mut self.logs[place.log as usize];
            let io_error = |source| OpenError::Io { path: path.clone(), source };
            reader.read(place.offset, &mut line).map_err(io_error)?;
            take(*place, *stands, &line);
        }
        Ok(())
    }

    /// A whole record.
    ///
    /// # Errors
    /// When the file can no longer be read.
    pub fn record(&mut self, place: Place) -> Result<Feedback, OpenError> {
        let Log { path, reader } = &mut self.logs[place.log as usize];
        reader.record(place.offset).map_err(|source| OpenError::Io { path: path.clone(), source })
    }

    /// The records that preceded one, or that marked it: the latest of them, in chronological order.
    ///
    /// # Errors
    /// When the file can no longer be read.
    pub fn earlier(&mut self, place: Place) -> Result<Vec<Feedback>, OpenError> {
        let places = self.earlier.get(&place).cloned().unwrap_or_default();
        places.into_iter().map(|place| self.record(place)).collect()
    }
}

fn stands(line: &Line<usize>) -> Stands {
    match line.step.act {
        Act::Failure => Stands::Failure,
        Act::Verdict | Act::Mark if line.step.is_rejected() => Stands::Rejected,
        Act::Verdict | Act::Mark => Stands::Verdict,
    }
}

#[derive(Default)]
struct Found {
    history: History<usize>,
    /// Only of several logs.
    timeline: Timeline,
    places: Vec<Place>,
    logs: Vec<Log>,
    other_lines: u64,
}

impl Found {
    fn add(&mut self, path: &Path, is_one_of_several: bool) -> Result<(), OpenError> {
        let io_error = |source: io::Error| OpenError::Io { path: path.to_owned(), source };
        if path.is_dir() {
            return Err(OpenError::Directory { path: path.to_owned() });
        }
        refuse_what_is_no_file(path)?;
        let file = File::open(path).map_err(io_error)?;
        let log = u32::try_from(self.logs.len()).map_err(|error| io_error(io::Error::other(error)))?;
        let mut first_line = None;
        let mut records = 0;
        self.timeline.begin_log();
        for_each_line(&file, |offset, line, facts| {
            let Some(facts) = facts else {
                self.other_lines += 1;
                if line.ends_with(b"\n") {
                    first_line.get_or_insert_with(|| line.to_vec());
                }
                return;
            };
            records += 1;
            let number = self.places.len();
            self.places.push(Place { log, offset });
            if is_one_of_several {
                self.timeline.add(&facts, line, offset);
            }
            self.history.add(&facts, number as u64, number);
        })
        .map_err(io_error)?;
        if let (0, Some(line)) = (records, first_line) {
            return Err(not_a_log(path, &line));
        }
        self.logs.push(Log { path: path.to_owned(), reader: LineReader::new(file).map_err(io_error)? });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: u8, source: &str, value: &str, time: i64) -> String {
        format!(
            r#"{{"assessment_id":"a-{id:032x}","name":"j",{value},"source":{{"source_type":"{source}","source_id":"m"}},"create_time_ms":{time},"last_update_time_ms":{time},"trace_id":"t{id}"}}"#
        ) + "\n"
    }

    fn standing(logs: &[String]) -> Vec<(Stands, String)> {
        let folder = tempfile::tempdir().unwrap();
        let paths: Vec<_> = (0..logs.len()).map(|n| folder.path().join(format!("{n}.jsonl"))).collect();
        paths.iter().zip(logs).for_each(|(path, log)| std::fs::write(path, log).unwrap());
        let mut records = StandingRecords::of(&paths).unwrap();
        let mut found = Vec::new();
        let mut places = Vec::new();
        records
            .for_each(|place, stands, line| {
                found.push((stands, String::from_utf8(line.to_vec()).unwrap() + "\n"));
                places.push(place);
            })
            .unwrap();
        for (place, (_, line)) in places.into_iter().zip(&found) {
            assert_eq!(records.record(place).unwrap(), Feedback::from_json(line).unwrap());
        }
        found
    }

    #[test]
    fn an_opinion_stands_as_its_last_record_whoever_has_it() {
        let failed = line(1, "LLM_JUDGE", r#""error":{"error_code":"TIMEOUT"}"#, 1);
        let scored = line(1, "LLM_JUDGE", r#""value":true"#, 2);
        let rejected = line(2, "LLM_JUDGE", r#""value":true,"valid":false"#, 3);
        let lasting = line(3, "LLM_JUDGE", r#""error":{"error_code":"REFUSED"}"#, 3);
        let human = line(1, "HUMAN", r#""value":false"#, 3);
        let log = [failed.clone(), scored.clone(), rejected.clone(), lasting.clone(), human.clone()].concat();
        let expected = [
            (Stands::Verdict, scored.clone()),
            (Stands::Rejected, rejected.clone()),
            (Stands::Failure, lasting.clone()),
            (Stands::Verdict, human.clone()),
        ];
        assert_eq!(standing(std::slice::from_ref(&log)), expected);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.jsonl");
        std::fs::write(&path, &log).unwrap();
        let mut records = StandingRecords::of(&[path]).unwrap();
        let mut places = Vec::new();
        records.for_each(|place, _, _| places.push(place)).unwrap();
        let earlier: Vec<_> = places.iter().map(|place| records.earlier(*place).unwrap()).collect();
        assert_eq!(earlier, [vec![Feedback::from_json(&failed).unwrap()], vec![], vec![], vec![]]);
        // Read twice it means the same, and so it does split in two.
        assert_eq!(standing(&[log.clone(), log]), expected);
        assert_eq!(standing(&[failed + &rejected, scored.clone() + &lasting + &human]).len(), 4);
    }

    #[test]
    fn of_several_logs_the_latest_holds() {
        let (old, new) = (line(1, "LLM_JUDGE", r#""value":1"#, 1), line(1, "LLM_JUDGE", r#""value":2"#, 2));
        for logs in [[old.clone(), new.clone()], [new.clone(), old.clone()]] {
            assert_eq!(standing(&logs), [(Stands::Verdict, new.clone())]);
        }
    }
}
