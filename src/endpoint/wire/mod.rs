//! A chat completion on the wire: the request, the answer, and what to leave out of the request when an endpoint refuses a part of it.

pub mod answer;
pub mod chat;
pub mod finish;
mod instructions;
pub mod ladder;
mod layout;
pub mod logprobs;
mod members;
mod profile;
mod prompt_notes;
mod request_parts;
mod schema;
pub(crate) mod stream;
mod usage;

pub use instructions::Instructions;
pub use layout::Layout;
pub use prompt_notes::PromptNotes;
pub use schema::AnswerSchema;
