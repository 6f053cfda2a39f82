//! The record that a judgment leaves: MLflow's Feedback, its two serializations, its identity and its log.

mod error_code;
#[expect(clippy::module_inception, reason = "the module's one subject")]
mod feedback;
mod fields;
pub mod forms;
mod good;
pub mod history;
mod id;
pub mod log;
mod read;
pub mod wire;

pub use error_code::{
    ErrorCode, ErrorTraits, Hint, Pause, RecordedErrorCode, Retry, Room, StopsAfter, UnknownErrorCode,
};
pub use feedback::{
    AGGREGATE, ALL_CRITERIA, ANCHORS_METADATA, ANSWER_A_METADATA, ANSWER_B_METADATA, ASKED_WITH_METADATA,
    DECIDED_BY_METADATA, DELETED_BY_METADATA, DIGEST_METADATA, DOCUMENT_COUNT_METADATA, DOCUMENT_METADATA,
    DocumentPlace, EVIDENCE_METADATA, Feedback, FeedbackError, GOOD_METADATA, ITEMS_METADATA, LAYOUT_METADATA,
    MISSING_EVIDENCE_METADATA, NOT_WEIGHED_METADATA, ORDERS_METADATA, PROMPT_METADATA, RANKING, REJECTED_BY_METADATA,
    SAMPLE_METADATA, SCALE_METADATA, SCORES_METADATA, SESSION_ID_METADATA, SESSION_METADATA, Source, SourceType, TIE,
    TRACE_A_METADATA, TRACE_B_METADATA,
};
pub use good::{Better, Good, InvalidGood};
pub use id::{AssessmentId, IdHasher, InvalidAssessmentId};
