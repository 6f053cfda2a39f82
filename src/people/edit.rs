//! Records with which people add feedback, correct a verdict, or withdraw it. Each is a line added to a log: nothing in the log is changed.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::feedback::{
    AssessmentId, DELETED_BY_METADATA, DOCUMENT_METADATA, Feedback, IdHasher, REJECTED_BY_METADATA, Source, SourceType,
};

/// The member of `metadata` with the reason why feedback was rejected or deleted.
const BECAUSE_METADATA: &str = "because";

/// The member of `metadata` of deleted feedback with the id of what it overrode.
const OVERRODE_METADATA: &str = "overrode";

/// Who says something, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// Whose feedback it is.
    pub source: Source,
    /// Unix milliseconds.
    pub now_ms: i64,
}

impl Author {
    /// A person.
    pub fn person(name: impl Into<String>, now_ms: i64) -> Self {
        Self { source: Source::human(name), now_ms }
    }

    fn name(&self) -> String {
        self.source.source_id.clone().unwrap_or_default()
    }

    /// New feedback. Its id is derived from its content, so that the same feedback at the same time adds nothing.
    pub fn says(&self, about: &About, value: Value, rationale: Option<String>) -> Feedback {
        let About { trace_id, span_id, document_index, name } = about;
        let feedback = Feedback {
            name: name.clone(),
            value: Some(value),
            rationale,
            source: self.source.clone(),
            create_time_ms: self.now_ms,
            last_update_time_ms: self.now_ms,
            trace_id: Some(trace_id.clone()),
            span_id: span_id.clone(),
            metadata: document_index.iter().map(|index| (DOCUMENT_METADATA.to_owned(), index.to_string())).collect(),
            ..Feedback::default()
        };
        let id = content_id(&feedback, &self.now_ms.to_le_bytes());
        Feedback { assessment_id: Some(id.to_string()), ..feedback }
    }

    /// Another verdict in the place of one.
    ///
    /// # Errors
    /// When the record has no id to refer to.
    pub fn overrides(&self, record: &Feedback, value: Value, rationale: Option<String>) -> Result<Feedback, NoId> {
        let overrides = Some(record.assessment_id.clone().ok_or(NoId)?);
        let about = About {
            trace_id: record.trace_id.clone().ok_or(NoId)?,
            span_id: record.span_id.clone(),
            document_index: record.document_index(),
            name: record.name.clone(),
        };
        Ok(Feedback { overrides, ..self.says(&about, value, rationale) })
    }

    /// The record again, marked as rejected.
    ///
    /// # Errors
    /// When the record has no id to refer to.
    pub fn rejects(&self, record: &Feedback, because: Option<String>) -> Result<Feedback, NoId> {
        self.marks(record, REJECTED_BY_METADATA, because)
    }

    /// The record again, marked as deleted. What it overrode is in force again.
    ///
    /// # Errors
    /// When the record has no id to refer to.
    pub fn deletes(&self, record: &Feedback, because: Option<String>) -> Result<Feedback, NoId> {
        let mut deleted = self.marks(record, DELETED_BY_METADATA, because)?;
        deleted.metadata.extend(deleted.overrides.take().map(|overridden| (OVERRODE_METADATA.to_owned(), overridden)));
        Ok(deleted)
    }

    /// The record again, no longer marked; what was deleted overrides again what it overrode.
    ///
    /// # Errors
    /// When the record has no id to refer to.
    pub fn accepts(&self, record: &Feedback) -> Result<Feedback, NoId> {
        let mut accepted = Feedback { valid: None, last_update_time_ms: self.now_ms, ..record.clone() };
        accepted.assessment_id.as_ref().ok_or(NoId)?;
        accepted.overrides = accepted.metadata.remove(OVERRODE_METADATA).or(accepted.overrides);
        for key in [REJECTED_BY_METADATA, DELETED_BY_METADATA, BECAUSE_METADATA] {
            accepted.metadata.remove(key);
        }
        Ok(accepted)
    }

    fn marks(&self, record: &Feedback, key: &str, because: Option<String>) -> Result<Feedback, NoId> {
        let mut marked = Feedback { valid: Some(false), last_update_time_ms: self.now_ms, ..record.clone() };
        marked.assessment_id.as_ref().ok_or(NoId)?;
        // A judge's verdict without any metadata is recognised by that.
        if !(marked.metadata.is_empty() && record.source.source_type == SourceType::LlmJudge) {
            marked.metadata.insert(key.to_owned(), self.name());
            marked.metadata.extend(because.map(|because| (BECAUSE_METADATA.to_owned(), because)));
        }
        Ok(marked)
    }
}

/// What feedback is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The trace.
    pub trace_id: String,
    /// A span of it, if it is about one.
    pub span_id: Option<String>,
    /// Which of the documents that the span found, from 0, if it is about one.
    pub document_index: Option<u32>,
    /// The question that it answers.
    pub name: String,
}

/// A record that has no id cannot be named by another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the record has no `assessment_id` that another record could name")]
pub struct NoId;

/// An id derived from the content of feedback, its source and its subject. `more` distinguishes what would be equal.
pub fn content_id(feedback: &Feedback, more: &[u8]) -> AssessmentId {
    let Feedback { name, value, rationale, source, trace_id, span_id, .. } = feedback;
    let mut hasher = IdHasher::new("judge-run people 1");
    hasher
        .part(name.as_bytes())
        .optional_part(value.as_ref().map(Value::to_string).as_deref().map(str::as_bytes))
        .optional_part(rationale.as_deref().map(str::as_bytes))
        .part(source.source_type.as_str().as_bytes())
        .optional_part(source.source_id.as_deref().map(str::as_bytes))
        .optional_part(trace_id.as_deref().map(str::as_bytes))
        .optional_part(span_id.as_deref().map(str::as_bytes))
        .part(more);
    if let Some(index) = feedback.document_index() {
        hasher.part(b"document").part(&index.to_le_bytes());
    }
    hasher.finish()
}

/// Selects records of a log: everything given must match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The id, or the beginning of one.
    pub id: Option<String>,
    /// The trace.
    pub trace_id: Option<String>,
    /// The span.
    pub span_id: Option<String>,
    /// The name.
    pub name: Option<String>,
    /// Who said it.
    pub source_id: Option<String>,
}

impl Wanted {
    /// Whether anything is given.
    pub fn is_any(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a record matches.
    pub fn fits(&self, record: &Feedback) -> bool {
        let Self { id, trace_id, span_id, name, source_id } = self;
        let is = |wanted: &Option<String>, found: Option<&str>| wanted.is_none() || wanted.as_deref() == found;
        id.as_ref().is_none_or(|id| record.assessment_id.as_ref().is_some_and(|own| own.starts_with(id.as_str())))
            && is(trace_id, record.trace_id.as_deref())
            && is(span_id, record.span_id.as_deref())
            && is(name, Some(&record.name))
            && is(source_id, record.source.source_id.as_deref())
    }
}

/// A value as people type it: JSON if it is a number, a boolean, a list or an object, otherwise a text.
pub fn typed_value(text: &str) -> Value {
    let text = text.trim();
    match text.to_ascii_lowercase().as_str() {
        "true" => return true.into(),
        "false" => return false.into(),
        _ => {}
    }
    serde_json::from_str(text).ok().filter(|value: &Value| !value.is_null()).unwrap_or_else(|| text.into())
}

/// The strings of an object, as metadata.
pub fn metadata<const N: usize>(members: [(&str, Option<String>); N]) -> BTreeMap<String, String> {
    members.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::feedback::log::StandingRecords;

    fn standing(log: &[Feedback]) -> Vec<(Feedback, bool)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.jsonl");
        let lines: String = log.iter().map(|record| serde_json::to_string(record).unwrap() + "\n").collect();
        std::fs::write(&path, lines).unwrap();
        let mut records = StandingRecords::of(&[path]).unwrap();
        let mut found = Vec::new();
        records
            .for_each(|_, stands, line| {
                let record = Feedback::from_json(std::str::from_utf8(line).unwrap()).unwrap();
                found.push((record, stands == crate::feedback::log::Stands::Verdict));
            })
            .unwrap();
        found
    }

    fn about() -> About {
        About { trace_id: "t".into(), span_id: None, document_index: None, name: "helpful".into() }
    }

    #[test]
    fn what_is_rejected_can_be_accepted_again_whoever_said_it() {
        let anna = Author::person("anna", 7);
        let own = Feedback {
            assessment_id: Some(IdHasher::new("x").finish().to_string()),
            metadata: metadata([("run_id", Some("r".into())), ("judge_prompt", Some("p".into()))]),
            source: Source::llm_judge("e:/m"),
            ..anna.says(&about(), json!(true), None)
        };
        for record in [own.clone(), Feedback { metadata: BTreeMap::new(), ..own }, anna.says(&about(), json!(1), None)]
        {
            let rejected = anna.rejects(&record, Some("wrong".into())).unwrap();
            assert_eq!(rejected.valid, Some(false));
            let log = [record.clone(), rejected.clone()];
            assert!(standing(&log).iter().all(|(_, holds)| !holds), "{record:?}");
            let accepted = anna.accepts(&rejected).unwrap();
            assert_eq!(accepted.metadata, record.metadata);
            assert!(standing(&[&log[..], &[accepted]].concat()).iter().all(|(_, holds)| *holds), "{record:?}");
        }
    }

    #[test]
    fn what_is_deleted_counts_no_more_and_what_it_overrode_holds_again() {
        let anna = Author::person("anna", 7);
        let first = anna.says(&about(), json!(true), None);
        let second = anna.overrides(&first, json!(false), None).unwrap();
        let log = [first.clone(), second.clone()];
        assert_eq!(standing(&log), [(second.clone(), true)]);
        let deleted = anna.deletes(&second, None).unwrap();
        assert!(deleted.is_deleted());
        assert_eq!(
            standing(&[&log[..], std::slice::from_ref(&deleted)].concat()),
            [(first, true), (deleted.clone(), false)]
        );
        assert_eq!(anna.accepts(&deleted).unwrap(), second);
    }

    #[test]
    fn without_an_id_nothing_can_be_named() {
        let anna = Author::person("anna", 7);
        let record = Feedback { assessment_id: None, ..anna.says(&about(), json!(true), None) };
        assert_eq!(anna.rejects(&record, None), Err(NoId));
        assert_eq!(anna.accepts(&record), Err(NoId));
        assert_eq!(anna.overrides(&record, json!(1), None), Err(NoId));
    }

    #[test]
    fn values_are_read_as_people_type_them() {
        for (text, value) in [
            ("true", json!(true)),
            ("False", json!(false)),
            ("4", json!(4)),
            (" 0.5 ", json!(0.5)),
            ("good", json!("good")),
            ("null", json!("null")),
            ("[1]", json!([1])),
            ("\"4\"", json!("4")),
            ("", json!("")),
        ] {
            assert_eq!(typed_value(text), value, "{text}");
        }
    }

    #[test]
    fn all_that_is_given_must_fit() {
        let record = Author::person("anna", 7).says(&about(), json!(true), None);
        let id = record.assessment_id.clone().unwrap();
        let wanted =
            |id: &str, name: &str| Wanted { id: Some(id.into()), name: Some(name.into()), ..Wanted::default() };
        assert!(wanted(&id[..6], "helpful").fits(&record) && !wanted(&id[..6], "other").fits(&record));
        assert!(!wanted("a-zz", "helpful").fits(&record) && Wanted::default().is_any());
    }
}
