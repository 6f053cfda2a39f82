//! Panels: several votes on one question, each with its own record, and the aggregate that code makes of them.

mod aggregates;
pub(in crate::run) mod aggregation;
mod both_orders;
mod cascade;
mod combine;
#[expect(clippy::module_inception, reason = "the module's one subject")]
mod panel;
mod votes;

pub(in crate::run) use aggregates::aggregate;
pub use aggregation::Aggregation;
pub use panel::{Panel, PanelSummary};
