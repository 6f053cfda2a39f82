//! The command as it was typed, for "the same command", without its secrets: messages end up on shared screens and in CI logs.

use std::ffi::OsString;

use judge_run::endpoint::client::without_credentials;
use serde_json::Value;

use super::print::one_line;

/// Short flags without a value, which can precede another in one word: `-vH`.
const SHORT_SWITCHES: &[char] = &['q', 'v'];

/// What is hidden of a value.
#[derive(Clone, Copy)]
enum Secret {
    Header,
    Url,
    /// The name of a variable; but a key may have been given in its place.
    Variable,
    /// JSON; its texts may be secret.
    Body,
}

/// The command for a shell, with the arguments after the program's name.
pub(crate) fn shown(args: impl Iterator<Item = OsString>) -> String {
    let mut words = vec!["judge-run".to_owned()];
    let mut of_last: Option<Secret> = None;
    for arg in args {
        let arg = arg.to_string_lossy();
        let (word, next) = match of_last {
            Some(secret) => (hidden(secret, &arg), None),
            // A second run would throw away what this one has paid for.
            None if arg == "--overwrite" => continue,
            None => option(&arg),
        };
        words.push(quoted(&one_line(&word)));
        of_last = next;
    }
    words.join(" ")
}

/// A word without its secret, and what the next one holds.
fn option(arg: &str) -> (String, Option<Secret>) {
    for (name, secret) in [
        ("--header", Secret::Header),
        ("--base-url", Secret::Url),
        ("--api-key-env", Secret::Variable),
        ("--extra-body", Secret::Body),
        ("--prompt-cache-key", Secret::Variable),
    ] {
        match arg.strip_prefix(name) {
            Some("") => return (arg.to_owned(), Some(secret)),
            Some(rest) if rest.starts_with('=') => return (format!("{name}={}", hidden(secret, &rest[1..])), None),
            _ => {}
        }
    }
    let shorts = arg.strip_prefix('-').map(|shorts| shorts.trim_start_matches(SHORT_SWITCHES));
    match shorts.and_then(|shorts| shorts.strip_prefix('H')) {
        Some("") => (arg.to_owned(), Some(Secret::Header)),
        Some(value) => {
            let before = &arg[..arg.len() - value.len()];
            let equals = if value.starts_with('=') { "=" } else { "" };
            (format!("{before}{equals}{}", hidden(Secret::Header, &value[equals.len()..])), None)
        }
        None => (arg.to_owned(), None),
    }
}

fn hidden(secret: Secret, whole: &str) -> String {
    match secret {
        Secret::Url => without_credentials(whole),
        Secret::Header => match whole.split_once(':') {
            Some((_, value)) if is_open(value) => whole.to_owned(),
            Some((name, _)) => format!("{name}: ..."),
            None => "...".to_owned(),
        },
        Secret::Variable if is_variable_name(whole) => whole.to_owned(),
        Secret::Variable => "...".to_owned(),
        Secret::Body => match serde_json::from_str::<Value>(whole) {
            Ok(mut body) => {
                hide_texts(&mut body);
                body.to_string()
            }
            Err(_) => "...".to_owned(),
        },
    }
}

/// Whether a header's value shows nothing but names of variables, and perhaps a scheme before one: `Bearer ${TOKEN}`.
pub(crate) fn is_open(value: &str) -> bool {
    value.split_whitespace().all(|word| {
        let variable = word.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
        matches!(word, "Bearer" | "Basic") || variable.is_some_and(|name| !name.contains(['$', '{', '}']))
    })
}

/// Whether a word is clearly the name of a variable, such as `OPENAI_API_KEY_2`, and not a key: words and numbers in capitals.
pub(crate) fn is_variable_name(word: &str) -> bool {
    let is_part = |part: &str| {
        let letters = part.trim_end_matches(|c: char| c.is_ascii_digit());
        letters.len() <= 16 && part.len() - letters.len() <= 2 && letters.chars().all(|c| c.is_ascii_uppercase())
    };
    word.starts_with(|c: char| c.is_ascii_uppercase()) && word.len() <= 64 && word.split('_').all(is_part)
}

fn hide_texts(value: &mut Value) {
    match value {
        Value::String(text) => *text = "...".to_owned(),
        Value::Array(items) => items.iter_mut().for_each(hide_texts),
        Value::Object(members) => members.values_mut().for_each(hide_texts),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A word as a shell reads it.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(args: &[&str]) -> String {
        shown(args.iter().map(OsString::from))
    }

    #[test]
    fn no_spelling_of_a_header_shows_its_value() {
        let header = "Authorization: Bearer sk-secret";
        for spelling in [
            &["-H", header][..],
            &["--header", header],
            &["--header=Authorization: Bearer sk-secret"],
            &["-HAuthorization: Bearer sk-secret"],
            &["-H=Authorization: Bearer sk-secret"],
            &["-vqH", header],
            &["-vHAuthorization: Bearer sk-secret"],
            &["-H", "sk-secret"],
        ] {
            let args: Vec<_> = ["-d", "t.jsonl"].iter().chain(spelling).chain(&["-J", "safety"]).copied().collect();
            let shown = command(&args);
            assert!(!shown.contains("secret") && shown.ends_with(" -J safety"), "{shown}");
        }
        assert_eq!(command(&["-H", header]), "judge-run -H 'Authorization: ...'");
        assert_eq!(command(&["-H=X: s"]), "judge-run '-H=X: ...'");
        assert_eq!(command(&["-H", "Authorization: Bearer ${T}"]), "judge-run -H 'Authorization: Bearer ${T}'");
        assert_eq!(command(&["-H", "X: ${T}s3cret"]), "judge-run -H 'X: ...'");
    }

    #[test]
    fn an_address_is_shown_without_its_password_and_query() {
        assert_eq!(
            command(&["--base-url", "http://u:p@h/v1?key=s", "-q", "--base-url=http://u:p@h/v1"]),
            "judge-run --base-url 'http://...@h/v1?...' -q --base-url=http://...@h/v1"
        );
    }

    #[test]
    fn neither_a_key_nor_a_text_of_the_request_body_is_shown() {
        for (args, shown) in [
            (["--api-key-env", "MY_API_KEY"], "--api-key-env MY_API_KEY"),
            (["--api-key-env", "sk-s3cret"], "--api-key-env ..."),
            (["--api-key-env", "gsk_S3CRET"], "--api-key-env ..."),
            (["--api-key-env", "AKIA1234ABCD5678"], "--api-key-env ..."),
            (["--extra-body", r#"{"a":{"b":["s3cret",1]}}"#], r#"--extra-body '{"a":{"b":["...",1]}}'"#),
            (["--extra-body", "s3cret"], "--extra-body ..."),
            (["--prompt-cache-key", "s3cret"], "--prompt-cache-key ..."),
        ] {
            assert_eq!(command(&args), format!("judge-run {shown}"));
        }
    }

    #[test]
    fn a_word_is_quoted_for_a_shell_and_harmless_for_a_terminal() {
        assert_eq!(command(&["-d", "a b's.jsonl", "--overwrite", ""]), r"judge-run -d 'a b'\''s.jsonl' ''");
        assert_eq!(command(&["-d", "a\u{1b}[2J"]), "judge-run -d 'a [2J'");
    }

    #[cfg(unix)]
    #[test]
    fn a_path_that_is_no_unicode_is_shown_as_well_as_can_be() {
        use std::os::unix::ffi::OsStringExt;
        assert_eq!(shown(std::iter::once(OsString::from_vec(b"a\xff".to_vec()))), "judge-run 'a\u{fffd}'");
    }
}
