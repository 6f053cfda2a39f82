//! The command as it was typed, for "the same command": without what nobody should read over a shoulder or in a CI log.

use std::ffi::OsString;

use judge_run::endpoint::client::without_credentials;

use super::print::one_line;

/// Short flags without a value, which can stand before another in one word: `-vH`.
const SHORT_SWITCHES: &[char] = &['q', 'v'];

/// What is to be hidden of a value.
#[derive(Clone, Copy)]
enum Secret {
    Header,
    Url,
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
    for (name, secret) in [("--header", Secret::Header), ("--base-url", Secret::Url)] {
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
            Some((_, value)) if value.split_whitespace().all(is_open) => whole.to_owned(),
            Some((name, _)) => format!("{name}: ..."),
            None => "...".to_owned(),
        },
    }
}

/// Whether a word of a header's value is no secret: the name of a variable, or a scheme before it.
fn is_open(word: &str) -> bool {
    let variable = word.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    matches!(word, "Bearer" | "Basic") || variable.is_some_and(|name| !name.contains(['$', '{', '}']))
}

fn quoted(word: &str) -> String {
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
