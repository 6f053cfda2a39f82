//! What a log's feedback says: a report, a comparison of two, and gates that they pass or fail.
//!
//! All of it is plain data. The forms that people read are made from it elsewhere.

pub mod compare;
pub mod forms;
pub mod gate;
pub mod judgments;
pub mod report;
