//! Messages of a conversation, in every spelling, converted to that of OpenAI's chat completions API.
//!
//! ```json
//! {"role": "user", "content": "Weather in Paris?"}
//! {"role": "assistant", "content": null,
//!  "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Paris\"}"}}]}
//! {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}
//! ```
//! Content of several parts is a list of `{"type": "text", "text": "..."}` and others; what a model thought before it
//! answered is `reasoning_content`.

mod message;
mod picture;
mod spelling;
#[cfg(test)]
mod tests;

pub(crate) use message::{answer, read};
pub(crate) use spelling::{is_content, is_dialogue, is_message, is_of_langchain, is_said};
