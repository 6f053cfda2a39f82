//! The batch APIs of providers, one file each.

mod anthropic;
mod mistral;
mod openai;
mod openrouter;
mod rewritten;

pub(super) use anthropic::Anthropic;
pub(super) use mistral::Mistral;
pub(super) use openai::OpenAi;
pub(super) use openrouter::OpenRouter;
