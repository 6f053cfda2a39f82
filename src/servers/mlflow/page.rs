//! A page of a search for traces.

use serde::Deserialize;
use serde_json::value::RawValue;

/// Infos of traces, and the token of the next page.
#[derive(Deserialize)]
pub(super) struct Page {
    #[serde(default)]
    pub traces: Vec<Box<RawValue>>,
    pub next_page_token: Option<String>,
}
