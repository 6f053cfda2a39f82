//! A verdict that a person rejected, on the server.
//!
//! The log says it with `"valid": false`. The server accepts no such assessment, and cannot change one to it: `valid` is ignored when an assessment is
//! created, and refused in an update. An assessment becomes invalid when another overrides it. So the mark is an assessment without a value, by a person.

use crate::feedback::{Feedback, IdHasher, Source, SourceType};

/// The member of the mark's metadata with the id of what it rejects.
const REJECTS: &str = "judge_run.rejects";

/// The mark on a record.
pub(super) fn of(record: &Feedback) -> Feedback {
    let id = record.assessment_id.clone().unwrap_or_default();
    Feedback {
        assessment_id: Some(id_of(&id)),
        name: record.name.clone(),
        value: Some(serde_json::Value::Null),
        rationale: Some("rejected".to_owned()),
        source: Source { source_type: SourceType::Human, source_id: Some("judge-run".to_owned()) },
        metadata: [(REJECTS.to_owned(), id.clone())].into(),
        create_time_ms: record.last_update_time_ms,
        last_update_time_ms: record.last_update_time_ms,
        trace_id: record.trace_id.clone(),
        span_id: record.span_id.clone(),
        overrides: Some(id),
        ..Feedback::default()
    }
}

/// The id of the mark on a record.
pub(super) fn id_of(id: &str) -> String {
    IdHasher::new("judge-run rejection 1").part(id.as_bytes()).finish().to_string()
}

/// Whether it is such a mark.
pub(super) fn is_mark(feedback: &Feedback) -> bool {
    feedback.metadata.contains_key(REJECTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_overrides_what_it_rejects_and_is_always_the_same() {
        let record = Feedback {
            assessment_id: Some("a-1".into()),
            name: "safety".into(),
            value: Some(true.into()),
            trace_id: Some("tr-1".into()),
            span_id: Some("00000000000000aa".into()),
            last_update_time_ms: 7,
            ..Feedback::default()
        };
        let mark = of(&record);
        assert_eq!(mark, of(&record));
        assert!(is_mark(&mark) && !is_mark(&record));
        assert_eq!(
            (mark.overrides.as_deref(), mark.trace_id, mark.span_id),
            (Some("a-1"), record.trace_id, record.span_id)
        );
        assert_eq!(mark.assessment_id, Some(id_of("a-1")));
        assert_ne!(id_of("a-1"), id_of("a-2"));
    }
}
