//! What people say about traces: their feedback in a log, and what it says about a judge.

pub mod aggregate;
pub mod agreement;
mod agreement_figures;
mod agreement_gate;
pub mod calibrate;
mod corrected;
pub mod edit;
pub mod import;
pub mod plan;
pub mod ratings;

pub use agreement_gate::AgreementGate;
pub use corrected::{Known, add_corrected};
pub use edit::{Author, Wanted};
pub use ratings::Ratings;
