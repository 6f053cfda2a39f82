//! The page and its files. The style, and how a trace is shown, are those of the report's page.

use judge_run_web::{Answer, header};
use serde_json::Value;

use crate::results::forms::html::{SHOWN, STYLE, attribute, escaped};

const SHELL: &str = include_str!("page/shell.html");
const LOGIN: &str = include_str!("page/login.html");
const OWN_STYLE: &str = include_str!("page/review.css");
/// In the order in which they run, inside one function.
const SCRIPTS: [&str; 4] = [
    include_str!("page/state.js"),
    include_str!("page/cards.js"),
    include_str!("page/questions.js"),
    include_str!("page/main.js"),
];

/// Nothing from anywhere else, nothing inline, in no frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// With the headers that keep other sites out.
pub(super) fn guarded(answer: Answer) -> Answer {
    answer
        .with(header::CONTENT_SECURITY_POLICY, POLICY)
        .with(header::REFERRER_POLICY, "no-referrer")
        .with(header::X_FRAME_OPTIONS, "DENY")
        .with(header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin")
        .with(header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin")
}

fn html(status: u16, text: String) -> Answer {
    Answer::new(status, "text/html; charset=utf-8", text)
}

pub(super) fn shell(boot: &Value) -> Answer {
    html(200, SHELL.replace("{{boot}}", &escaped(&boot.to_string())))
}

pub(super) fn login(is_wrong: bool) -> Answer {
    let words = if is_wrong { "Wrong password." } else { "" };
    html(if is_wrong { 403 } else { 200 }, LOGIN.replace("{{words}}", &attribute(words)))
}

/// For anyone who opens the address without its token.
pub(super) fn closed() -> Answer {
    Answer::text(403, "Open the whole address that judge-run printed: it ends with a token.\n")
}

pub(super) fn style() -> Answer {
    Answer::new(200, "text/css; charset=utf-8", format!("{STYLE}{OWN_STYLE}"))
}

pub(super) fn script() -> Answer {
    let script = format!("(() => {{\n\"use strict\";\n{}{}}})();\n", SHOWN.concat(), SCRIPTS.concat());
    Answer::new(200, "text/javascript; charset=utf-8", script)
}
