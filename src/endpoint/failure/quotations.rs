//! Cutting what an endpoint only quotes out of its message: often the text under judgment, which may speak of quotas and keys.

/// Opening quotation marks and the marks that close them.
const MARKS: &[(char, char)] = &[('\'', '\''), ('"', '"'), ('`', '`'), ('“', '”'), ('‘', '’'), ('«', '»')];

/// A line without the sentences that it quotes. Single words in quotation marks are names, and stay; so do the values of a Python
/// dictionary, which is how some gateways print their upstream's error.
pub(crate) fn without_quotations(line: &str) -> String {
    let mut kept = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, quoted, after)) = next_quotation(rest, &kept) {
        kept.push_str(before);
        let is_sentence = quoted.trim().contains(|c: char| c.is_whitespace() || c == ',');
        if !is_sentence || is_value(&kept) {
            kept.push_str(quoted);
        }
        rest = after;
    }
    kept + rest
}

/// The text before the first quotation, the quotation with its marks, and the rest. One that is not closed ends with the line.
fn next_quotation<'a>(text: &'a str, before: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let mut previous = before.chars().next_back();
    for (at, c) in text.char_indices() {
        // An apostrophe is inside or after a word.
        let opens = previous.is_none_or(|previous| !previous.is_alphanumeric());
        if let Some((_, closing)) = MARKS.iter().find(|(opening, _)| *opening == c && opens) {
            let inside = at + c.len_utf8();
            let end = closing_mark(&text[inside..], *closing).map_or(text.len(), |end| inside + end);
            return Some((&text[..at], &text[at..end], &text[end..]));
        }
        previous = Some(c);
    }
    None
}

/// The end of the mark that closes a quotation.
fn closing_mark(text: &str, mark: char) -> Option<usize> {
    text.match_indices(mark).map(|(at, mark)| at + mark.len()).find(|end| {
        let next = text[*end..].chars().next();
        next.is_none_or(|next| !next.is_alphanumeric())
    })
}

/// Whether what follows is the value of a key in quotation marks.
fn is_value(before: &str) -> bool {
    let key = before.trim_end().strip_suffix(':').map(str::trim_end);
    key.is_some_and(|key| key.ends_with(['\'', '"']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_sentences_go_and_names_stay() {
        for (line, kept) in [
            ("invalid input: 'rate limit exceeded, insufficient_quota'", "invalid input: "),
            ("cannot read \"you exceeded your current quota\" (1)", "cannot read  (1)"),
            ("`a b` and “c d” and ‘e f’", " and  and "),
            ("the model 'x' does not exist", "the model 'x' does not exist"),
            (
                "'response_format.type' must be 'json_schema' or 'text'",
                "'response_format.type' must be 'json_schema' or 'text'",
            ),
            ("exceeds the model's limit, the users' too", "exceeds the model's limit, the users' too"),
            ("got 'it's all right, isn't it' instead", "got  instead"),
            ("input: \"insufficient_quota is what the user", "input: "),
            (
                "exception - {'error': {'message': 'slow down, please'}}",
                "exception - {'error': {'message': 'slow down, please'}}",
            ),
            ("message: 'no, thanks'", "message: "),
            ("", ""),
            ("'", "'"),
        ] {
            assert_eq!(without_quotations(line), kept, "{line}");
        }
    }
}
