//! The part of imported feedback that a log does not have yet.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use crate::feedback::log::{OpenError, StandingRecords, Stands, known_ids};
use crate::feedback::{AssessmentId, Feedback};
use crate::people::edit::content_id;

/// What a log has, to add to.
#[derive(Debug, Default)]
pub struct Adoption {
    /// All ids, whether or not their records are in force.
    ids: HashSet<AssessmentId>,
    /// What each source says about each thing: the record in force.
    standing: HashMap<Key, Feedback>,
    /// How often the same feedback occurred before, in this import.
    repeats: HashMap<AssessmentId, u64>,
}

/// Name, source, trace and span.
type Key = (String, String, Option<String>, Option<String>, Option<String>, Option<u32>);

/// What to do with a record to be added.
#[derive(Debug, Clone, PartialEq)]
pub enum Adopted {
    /// It is new.
    New(Feedback),
    /// It replaces earlier feedback of the same source.
    Replacing(Feedback),
    /// It is there already.
    Known,
}

impl Adoption {
    /// Reads a log; one that does not exist is empty.
    ///
    /// # Errors
    /// When it cannot be read, or is not a log.
    pub fn of(log: &Path) -> Result<Self, OpenError> {
        if !log.exists() {
            return Ok(Self::default());
        }
        let mut adoption = Self { ids: known_ids(log)?, ..Self::default() };
        let mut records = StandingRecords::of(&[log.to_owned()])?;
        records.for_each(|_, stands, line| {
            let record = std::str::from_utf8(line).ok().and_then(|line| Feedback::from_json(line).ok());
            // Records of runs belong to the runs: a panel's aggregate has the same source as one of people's votes.
            let is_others = |record: &Feedback| !record.metadata.contains_key("run_id");
            if let Some(record) = record.filter(|record| stands == Stands::Verdict && is_others(record)) {
                adoption.standing.insert(key(&record), record);
            }
        })?;
        Ok(adoption)
    }

    /// Gives a record its id, and says whether to add it. The id is derived from its content, so that importing a file twice adds nothing
    /// the second time; a source has one opinion about a trace, so that a later one overrides an earlier one.
    pub fn adopt(&mut self, record: Feedback) -> Adopted {
        let id = record.assessment_id.as_deref().map(AssessmentId::of_any).unwrap_or_else(|| {
            let first = content_id(&record, b"");
            let repeats = self.repeats.entry(first).or_default();
            *repeats += 1;
            if *repeats == 1 { first } else { content_id(&record, &(*repeats - 1).to_le_bytes()) }
        });
        if !self.ids.insert(id) {
            return Adopted::Known;
        }
        let key = key(&record);
        let before = self.standing.get(&key);
        let is_said = |before: &&Feedback| before.value == record.value && before.rationale == record.rationale;
        if record.assessment_id.is_none() && before.filter(is_said).is_some() {
            return Adopted::Known;
        }
        if record.assessment_id.is_some() {
            // A record that someone else wrote stays as it is.
            self.standing.insert(key, record.clone());
            return if record.overrides.is_none() { Adopted::New(record) } else { Adopted::Replacing(record) };
        }
        let record = Feedback { assessment_id: Some(id.to_string()), ..record };
        self.succeed(record)
    }

    /// Adds a record with an id derived from its content, which replaces what its source said before, unless that is the same. It may come
    /// back to what was said before that.
    pub fn adopt_successor(&mut self, record: Feedback) -> Adopted {
        let before = self.standing.get(&key(&record));
        if before.is_some_and(|before| before.assessment_id == record.assessment_id) {
            return Adopted::Known;
        }
        self.succeed(record)
    }

    fn succeed(&mut self, record: Feedback) -> Adopted {
        let key = key(&record);
        let before = self.standing.get(&key).and_then(|before| before.assessment_id.clone());
        let record = Feedback { overrides: before, ..record };
        self.standing.insert(key, record.clone());
        if record.overrides.is_none() { Adopted::New(record) } else { Adopted::Replacing(record) }
    }
}

fn key(record: &Feedback) -> Key {
    let source = &record.source;
    (
        record.name.clone(),
        source.source_type.as_str().to_owned(),
        source.source_id.clone(),
        record.trace_id.clone(),
        record.span_id.clone(),
        record.document_index(),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::feedback::Source;

    fn said(value: bool) -> Feedback {
        Feedback {
            name: "helpful".into(),
            value: Some(json!(value)),
            source: Source::human("anna"),
            trace_id: Some("t".into()),
            ..Feedback::default()
        }
    }

    fn added(adopted: Adopted) -> Option<Feedback> {
        match adopted {
            Adopted::New(record) | Adopted::Replacing(record) => Some(record),
            Adopted::Known => None,
        }
    }

    #[test]
    fn what_is_imported_twice_is_added_once_and_the_last_holds() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("f.jsonl");
        let file = [said(true), said(false), said(true)];
        let mut adoption = Adoption::of(&log).unwrap();
        let records: Vec<Feedback> = file.iter().filter_map(|record| added(adoption.adopt(record.clone()))).collect();
        assert_eq!(records.len(), 3);
        assert_eq!(records[1].overrides, records[0].assessment_id);
        assert_eq!(records[2].overrides, records[1].assessment_id);
        let lines: String = records.iter().map(|record| serde_json::to_string(record).unwrap() + "\n").collect();
        std::fs::write(&log, lines).unwrap();
        let mut again = Adoption::of(&log).unwrap();
        assert!(file.iter().all(|record| again.adopt(record.clone()) == Adopted::Known));
        let corrected = added(again.adopt(said(false))).unwrap();
        assert_eq!(corrected.overrides, records[2].assessment_id);
    }
}
