//! What a log's feedback shows: a report, a comparison of two, and gates that they pass or fail.
//!
//! [`Results`] are the opinions of logs, compactly; what is computed from them is plain data ([`report`], [`mod@compare`], [`gate`]). The forms that
//! people read are made from that elsewhere.

pub mod attack;
pub mod by;
mod caveat;
pub mod certificate;
pub mod compare;
mod compare_options;
mod comparing;
mod confirming;
mod estimate;
mod extract;
mod family;
mod figures;
pub mod forms;
pub mod gate;
mod gate_text;
mod gating;
mod hash;
mod interned;
mod items;
pub mod judge_test;
pub mod judgments;
mod nights;
mod opinions;
mod pairs;
mod pairwise;
pub mod planning;
mod preference;
pub mod report;
mod reporting;
mod side;

pub use compare_options::CompareOptions;
pub use comparing::{Compared, compare};
pub use confirming::{draw_to_confirm, share_to_confirm};
pub use gate_text::{Comparator, Condition, Figure, Gate, GateError, Part};
pub use gating::{Evidence, evaluate, slices_of, unknown_name};
pub use opinions::Results;
pub use reporting::Options;
pub use side::{Night, Side};
