//! One page for people, which needs nothing else: no server, no network, no other file.
//!
//! What was judged is hostile. All data is in JSON blocks that no tag can close, the script makes text nodes of it, and the page's policy allows
//! only the style and the script whose hashes it names. Texts are cut so that the page stays small, and the page shows where.

mod data;
mod json_block;
mod page;
mod texts;
mod traces;

use std::io::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};

use super::findings::Findings;
use super::headline::Headline;
use super::plain::one_line;
use json_block::block;
#[cfg(feature = "cli")]
pub(crate) use json_block::escaped;
pub use page::Page;
pub use traces::PageTraces;
#[cfg(feature = "cli")]
pub(crate) use traces::Shown;

const PAGE: &str = include_str!("page.html");
pub(crate) const STYLE: &str = include_str!("style.css");
/// How a trace is shown, on every page.
pub(crate) const SHOWN: [&str; 3] =
    [include_str!("script/elements.js"), include_str!("script/texts.js"), include_str!("script/happened.js")];
/// In the order in which they run after those, inside one function.
const SCRIPTS: [&str; 9] = [
    include_str!("script/base.js"),
    include_str!("script/plots.js"),
    include_str!("script/state.js"),
    include_str!("script/overview.js"),
    include_str!("script/sections.js"),
    include_str!("script/sides.js"),
    include_str!("script/table.js"),
    include_str!("script/trace.js"),
    include_str!("script/main.js"),
];

pub(super) fn write(results: &Findings<'_>, page: &Page<'_>, out: &mut dyn Write) -> io::Result<()> {
    let headline = Headline::of(results);
    let script = format!("(() => {{\n\"use strict\";\n{}{}}})();\n", SHOWN.concat(), SCRIPTS.concat());
    let policy = format!(
        "default-src 'none'; style-src '{}'; script-src '{}'; img-src data:; base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(&script)
    );
    let rows = data::Rows::of(results, page);
    // Inserted text is not searched for further placeholders.
    let mut rest = PAGE;
    while let Some((before, after)) = rest.split_once("{{") {
        out.write_all(before.as_bytes())?;
        let (place, after) = after.split_once("}}").unwrap_or_default();
        rest = after;
        match place {
            "policy" => out.write_all(attribute(&policy).as_bytes())?,
            "version" => out.write_all(env!("CARGO_PKG_VERSION").as_bytes())?,
            "title" => out.write_all(attribute(&one_line(&results.title())).as_bytes())?,
            "headline" => {
                let sentences = std::iter::once(format!("{}.", headline.text)).chain(headline.details.iter().cloned());
                out.write_all(attribute(&sentences.collect::<Vec<_>>().join(" ")).as_bytes())?;
            }
            "style" => out.write_all(STYLE.as_bytes())?,
            "script" => out.write_all(script.as_bytes())?,
            "data" => block(&rows.data(results, &headline, page)?, out)?,
            "blocks" => rows.write_traces(page, out)?,
            _ => {}
        }
    }
    out.write_all(rest.as_bytes())
}

/// As a policy names what it allows.
fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(digest(&SHA256, text.as_bytes())))
}

/// Text in HTML, also between quotes.
pub(crate) fn attribute(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}
