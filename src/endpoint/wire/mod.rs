//! A chat completion on the wire: the request, the answer, and what to leave out of the request when an endpoint refuses a part of it.

pub(crate) mod adapt;
pub mod answer;
pub mod chat;
mod instructions;
mod members;
mod prompt_notes;
mod schema;

pub use instructions::Instructions;
pub use prompt_notes::PromptNotes;
pub use schema::AnswerSchema;
