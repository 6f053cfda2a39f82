//! One recorded run of a GenAI application, in the common form of every dialect.

pub(crate) mod content;
mod session;
mod span;
#[expect(clippy::module_inception, reason = "the module's one subject")]
mod trace;

pub use session::Session;
pub use span::{Span, SpanStatus, SpanType};
pub use trace::{TokenUsage, Trace, TraceState};
