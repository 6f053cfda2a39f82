//! What the log has for each id, and what to do with a request. Only one thread uses it, so its decisions stay valid.

use std::collections::HashMap;

use super::access::Application;
use super::assessment::{Change, New, RECEIVED_METADATA};
use super::error::ApiError;
use crate::feedback::history::{Facts, Says};
use crate::feedback::log::{Follower, News, OpenError};
use crate::feedback::{AssessmentId, DELETED_BY_METADATA, Feedback};

/// What a client wants.
#[derive(Debug)]
pub(super) enum Wish {
    Create(Box<New>),
    Get,
    Change(Box<Change>),
    Delete,
}

/// A request about one assessment.
#[derive(Debug)]
pub(super) struct Asked {
    pub trace_id: String,
    pub assessment_id: String,
    pub by: std::sync::Arc<Application>,
    pub wish: Wish,
    pub now_ms: i64,
}

/// The outcome: the feedback as it is then (`None` once deleted), and the record to append.
#[derive(Debug)]
pub(super) struct Decided {
    pub feedback: Option<Feedback>,
    pub record: Option<Feedback>,
}

/// What a log has.
pub(super) struct Desk {
    follower: Follower,
    ids: Ids,
    /// Records that were appended and not yet seen in the log.
    recent: HashMap<AssessmentId, Feedback>,
}

#[derive(Default)]
struct Ids {
    known: HashMap<AssessmentId, Known>,
    /// Which records override an id, so far.
    overriding: HashMap<AssessmentId, Vec<AssessmentId>>,
}

/// The record that an id stands as.
struct Known {
    offset: u64,
    overrides: Option<AssessmentId>,
    is_own_verdict: bool,
}

impl Desk {
    /// Reads the log, if there is one.
    ///
    /// # Errors
    /// When it cannot be read, or is clearly not a log.
    pub(super) fn open(follower: Follower) -> Result<Self, OpenError> {
        let mut desk = Self { follower, ids: Ids::default(), recent: HashMap::new() };
        desk.catch_up()?;
        Ok(desk)
    }

    /// Reads what was appended meanwhile, by anyone.
    pub(super) fn catch_up(&mut self) -> Result<(), OpenError> {
        let Self { follower, ids, recent } = self;
        follower.catch_up(|news| match news {
            News::Anew => *ids = Ids::default(),
            News::Record { offset, line } => {
                if let Some(facts) = Facts::read(line)
                    && let Some(id) = facts.id
                {
                    recent.remove(&id);
                    ids.take(id, offset, &facts);
                }
            }
        })
    }

    /// The record of an id, and whether another one overrides it.
    fn find(&self, id: AssessmentId) -> Result<Option<(Feedback, bool)>, ApiError> {
        let record = match (self.recent.get(&id), self.ids.known.get(&id)) {
            (Some(recent), _) => recent.clone(),
            (None, Some(known)) => {
                self.follower.record(known.offset).map_err(|error| ApiError::unavailable(error.to_string()))?
            }
            (None, None) => return Ok(None),
        };
        let mut overriding = self.ids.overriding.get(&id).into_iter().flatten();
        let is_overridden = overriding.any(|by| self.overridden_by(*by) == Some(id))
            || self.recent.values().any(|recent| recent.overrides.as_deref().map(AssessmentId::of_any) == Some(id));
        Ok(Some((record, is_overridden)))
    }

    /// What an id overrides at present.
    fn overridden_by(&self, id: AssessmentId) -> Option<AssessmentId> {
        match self.recent.get(&id) {
            Some(recent) => recent.overrides.as_deref().map(AssessmentId::of_any),
            None => self.ids.known.get(&id)?.overrides,
        }
    }

    /// Decides; a record to be appended is known from now on.
    pub(super) fn decide(&mut self, asked: Asked) -> Result<Decided, ApiError> {
        let Asked { trace_id, assessment_id, by, wish, now_ms } = asked;
        let id = AssessmentId::of_any(&assessment_id);
        let found = self.find(id)?;
        if let Wish::Create(new) = wish {
            return self.create(id, &assessment_id, &trace_id, *new, found);
        }
        let is_here = |record: &Feedback| record.trace_id.as_deref() == Some(&trace_id) && !record.is_deleted();
        let found = found.filter(|(record, _)| is_here(record));
        let unknown = || ApiError::unknown(&assessment_id, &trace_id);
        let (record, is_overridden) = match (found, &wish) {
            (Some(found), _) => found,
            // As MLflow's: what is not there is deleted.
            (None, Wish::Delete) => return Ok(Decided { feedback: None, record: None }),
            (None, _) => return Err(unknown()),
        };
        let valid = Some(record.valid.unwrap_or(true) && !is_overridden);
        let change = match wish {
            Wish::Get | Wish::Create(_) => {
                return Ok(Decided { feedback: Some(Feedback { valid, ..record }), record: None });
            }
            Wish::Change(change) => Some(change),
            Wish::Delete => None,
        };
        if record.metadata.get(RECEIVED_METADATA) != Some(&by.name) {
            return Err(ApiError::denied(
                "An application may change and delete only its own feedback; to disagree with other feedback, create one that overrides it",
            ));
        }
        let record = match change {
            Some(change) => change.apply(record)?,
            None => deleted(record, &by, now_ms),
        };
        self.recent.insert(id, record.clone());
        let feedback = (!record.is_deleted()).then(|| Feedback { valid, ..record.clone() });
        Ok(Decided { feedback, record: Some(record) })
    }

    fn create(
        &mut self,
        id: AssessmentId,
        assessment_id: &str,
        trace_id: &str,
        new: New,
        found: Option<(Feedback, bool)>,
    ) -> Result<Decided, ApiError> {
        if let Some((recorded, is_overridden)) = found {
            // The same request again, possibly because its answer was lost.
            return if new.is(&recorded) {
                let feedback = Feedback { valid: Some(!is_overridden), ..recorded };
                Ok(Decided { feedback: Some(feedback), record: None })
            } else {
                Err(ApiError::conflict(assessment_id))
            };
        }
        if Facts::of(&new.feedback).is_own {
            return Err(ApiError::invalid(
                "The metadata is that of judge-run's own verdicts, which only its runs record",
            ));
        }
        if let Some(overridden) = &new.feedback.overrides {
            let target = self.find(AssessmentId::of_any(overridden))?;
            let is_here = |target: &Feedback| target.trace_id.as_deref() == Some(trace_id) && !target.is_deleted();
            if !target.is_some_and(|(target, _)| is_here(&target)) {
                return Err(ApiError::unknown(overridden, trace_id));
            }
        }
        self.recent.insert(id, new.feedback.clone());
        let feedback = Feedback { valid: Some(true), ..new.feedback.clone() };
        Ok(Decided { feedback: Some(feedback), record: Some(new.feedback) })
    }

    /// The last decision could not be written.
    pub(super) fn forget_recent(&mut self) {
        self.recent.clear();
    }
}

/// The record that says so. It no longer overrides anything, so that what was overridden is in force again, as in MLflow.
fn deleted(record: Feedback, by: &Application, now_ms: i64) -> Feedback {
    let mut metadata = record.metadata;
    metadata.insert(DELETED_BY_METADATA.to_owned(), by.name.clone());
    let last_update_time_ms = now_ms.max(record.last_update_time_ms);
    Feedback { metadata, last_update_time_ms, overrides: None, valid: Some(false), ..record }
}

impl Ids {
    fn take(&mut self, id: AssessmentId, offset: u64, facts: &Facts<'_>) {
        let is_verdict = !matches!(facts.says, Says::Failure(_));
        // A verdict of ours is not replaced by a later failure.
        if facts.is_own && !is_verdict && self.known.get(&id).is_some_and(|known| known.is_own_verdict) {
            return;
        }
        if let Some(target) = facts.overrides {
            let by = self.overriding.entry(target).or_default();
            if !by.contains(&id) {
                by.push(id);
            }
        }
        self.known.insert(id, Known { offset, overrides: facts.overrides, is_own_verdict: facts.is_own && is_verdict });
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::feedback::log::add;
    use crate::intake::Rights;

    fn application(name: &str) -> Arc<Application> {
        Arc::new(Application { name: name.into(), rights: Rights::Full })
    }

    fn assessment(id: &str, value: i64, overrides: Option<&str>) -> Value {
        let source = json!({"source_type": "HUMAN", "source_id": "anna"});
        json!({"assessment_id": id, "assessment_name": "n", "source": source, "feedback": {"value": value}, "overrides": overrides})
    }

    struct Fixture {
        desk: Desk,
        _folder: tempfile::TempDir,
    }

    impl Fixture {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let desk = Desk::open(Follower::new(&folder.path().join("f.jsonl"))).unwrap();
            Self { desk, _folder: folder }
        }

        fn path(&self) -> &Path {
            self.desk.follower.path()
        }

        /// Decides, and writes as the counter would.
        fn ask(&mut self, by: &str, id: &str, wish: Wish) -> Result<Option<Feedback>, ApiError> {
            let asked = Asked { trace_id: "t".into(), assessment_id: id.into(), by: application(by), wish, now_ms: 9 };
            let decided = self.desk.decide(asked)?;
            if let Some(record) = decided.record {
                add(self.path(), &[record]).unwrap();
                self.desk.catch_up().unwrap();
            }
            Ok(decided.feedback)
        }

        fn create(&mut self, assessment: &Value) -> Result<Option<Feedback>, ApiError> {
            let body = json!({"assessment": assessment}).to_string();
            let new = New::read(body.as_bytes(), "t", &application("shop"), None, 5)?;
            let id = new.feedback.assessment_id.clone().unwrap();
            self.ask("shop", &id, Wish::Create(Box::new(new)))
        }

        fn is_valid(&mut self, id: &str) -> Option<bool> {
            self.ask("shop", id, Wish::Get).unwrap().unwrap().valid
        }

        fn lines(&self) -> usize {
            std::fs::read_to_string(self.path()).unwrap().lines().count()
        }
    }

    #[test]
    fn the_same_twice_is_once_and_something_else_under_its_id_is_a_conflict() {
        let mut fixture = Fixture::new();
        let first = fixture.create(&assessment("a-1", 1, None)).unwrap();
        assert_eq!(fixture.create(&assessment("a-1", 1, None)).unwrap(), first);
        assert_eq!(fixture.create(&assessment("a-1", 2, None)).unwrap_err(), ApiError::conflict("a-1"));
        assert_eq!(fixture.lines(), 1);
        // A restarted server knows it too.
        fixture.desk = Desk::open(Follower::new(fixture.path())).unwrap();
        assert_eq!(fixture.create(&assessment("a-1", 1, None)).unwrap(), first);
        assert_eq!(fixture.lines(), 1);
    }

    #[test]
    fn what_overrides_invalidates_and_its_end_restores() {
        let mut fixture = Fixture::new();
        assert_eq!(fixture.create(&assessment("a-2", 2, Some("a-1"))).unwrap_err(), ApiError::unknown("a-1", "t"));
        fixture.create(&assessment("a-1", 1, None)).unwrap();
        fixture.create(&assessment("a-2", 2, Some("a-1"))).unwrap();
        assert_eq!((fixture.is_valid("a-1"), fixture.is_valid("a-2")), (Some(false), Some(true)));
        assert_eq!(fixture.ask("shop", "a-2", Wish::Delete).unwrap(), None);
        assert_eq!(fixture.is_valid("a-1"), Some(true));
        assert_eq!(fixture.ask("shop", "a-2", Wish::Get).unwrap_err(), ApiError::unknown("a-2", "t"));
        assert_eq!(fixture.ask("shop", "a-2", Wish::Delete).unwrap(), None);
        assert_eq!(fixture.lines(), 3);
        assert_eq!(fixture.create(&assessment("a-2", 2, Some("a-1"))).unwrap_err(), ApiError::conflict("a-2"));
    }

    #[test]
    fn a_change_is_another_line_and_only_of_ones_own() {
        let mut fixture = Fixture::new();
        fixture.create(&assessment("a-1", 1, None)).unwrap();
        let change = || {
            let body = json!({"assessment": {"feedback": {"value": 3}}, "update_mask": "feedback"}).to_string();
            Wish::Change(Box::new(Change::read(body.as_bytes(), 9).unwrap()))
        };
        assert!(fixture.ask("other", "a-1", change()).is_err());
        let changed = fixture.ask("shop", "a-1", change()).unwrap().unwrap();
        assert_eq!((changed.value, changed.create_time_ms, changed.last_update_time_ms), (Some(json!(3)), 5, 9));
        assert_eq!(fixture.lines(), 2);
        let judged = r#"{"assessment_id":"a-00000000000000000000000000000001","name":"n","value":true,"source":{"source_type":"LLM_JUDGE","source_id":"m"},"trace_id":"t"}"#;
        add(fixture.path(), &[Feedback::from_json(judged).unwrap()]).unwrap();
        fixture.desk.catch_up().unwrap();
        let id = "a-00000000000000000000000000000001";
        assert_eq!(fixture.is_valid(id), Some(true));
        assert!(fixture.ask("shop", id, change()).is_err() && fixture.ask("shop", id, Wish::Delete).is_err());
        fixture.create(&assessment("a-3", 0, Some(id))).unwrap();
        assert_eq!(fixture.is_valid(id), Some(false));
    }

    #[test]
    fn nobody_posts_a_verdict_of_a_run() {
        let mut fixture = Fixture::new();
        let forged = json!({"assessment_id": "a-00000000000000000000000000000002", "assessment_name": "safety", "feedback": {"value": true},
            "source": {"source_type": "LLM_JUDGE", "source_id": "openai:/gpt-4.1-mini"}, "metadata": {"run_id": "r", "judge_prompt": "prompts:/safety/1"}});
        assert!(fixture.create(&forged).is_err());
        let mut plain = forged;
        plain["metadata"] = json!({});
        let record = fixture.create(&plain).unwrap().unwrap();
        assert!(!Facts::of(&record).is_own);
    }
}
