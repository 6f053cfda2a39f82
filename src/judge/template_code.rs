//! The names in a template's code, and where they are: filters, tests, and variables with their members.
//!
//! The engine looks filters up when it reaches them, and knows nothing about the members of a loop variable. A mistake there would be found
//! trace by trace; here it is found when the judge is read.

use std::ops::Range;

/// Something that code names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) what: What,
    pub(super) name: String,
    /// Bytes of the template.
    pub(super) at: Range<usize>,
}

impl Named {
    /// Whether it is the filter that attaches images.
    pub(super) fn is_images(&self) -> bool {
        self.what == What::Filter && self.name == "images"
    }
}

/// What is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Filter,
    Test,
    /// `inputs.question`
    Path,
    /// The same with the variable of a loop, which is named as what the loop goes over: `spans[].outputs`.
    Item,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'t> {
    Word(&'t str),
    Mark(char),
    /// A text or a number.
    Literal,
}

/// What the code between `{{ }}` and `{% %}` names, in order.
pub(super) fn of_template(source: &str) -> Vec<Named> {
    let mut found = Vec::new();
    let mut loops = Vec::new();
    let mut at = 0;
    while let Some(start) = source[at..].find('{').map(|offset| at + offset) {
        let rest = &source[start..];
        at = if rest.starts_with("{#") {
            rest.find("#}").map_or(source.len(), |end| start + end + 2)
        } else if rest.starts_with("{{") || rest.starts_with("{%") {
            let (tokens, end) = tokens(source, start + 2);
            let is_statement = rest.starts_with("{%");
            if is_statement && matches!(tokens.first(), Some((Token::Word("raw"), _))) {
                end_of_raw(source, end)
            } else {
                if is_statement {
                    statement(&tokens, &mut loops);
                }
                names(&tokens, &loops, &mut found);
                end
            }
        } else {
            start + 1
        };
    }
    found
}

/// A variable of the trace that a template writes as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shown {
    /// As written.
    pub(super) variable: String,
    /// Bytes of the template.
    pub(super) at: Range<usize>,
}

/// What `{{ }}` writes without `fence` or `images`, and that is no plain number or name of the template's own.
pub(super) fn shown_unfenced(source: &str) -> Vec<Shown> {
    const HARMLESS: [&str; 4] = ["fence", "images", "length", "count"];
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = source[at..].find('{').map(|offset| at + offset) {
        let rest = &source[start..];
        at = if rest.starts_with("{#") {
            rest.find("#}").map_or(source.len(), |end| start + end + 2)
        } else if rest.starts_with("{%") {
            let (tokens, end) = tokens(source, start + 2);
            let is_raw = matches!(tokens.first(), Some((Token::Word("raw"), _)));
            if is_raw { end_of_raw(source, end) } else { end }
        } else if rest.starts_with("{{") {
            let (tokens, end) = tokens(source, start + 2);
            let mut filters = tokens.windows(2).filter(|pair| pair[0].0 == Token::Mark('|'));
            let is_harmless =
                filters.any(|pair| matches!(pair[1].0, Token::Word(filter) if HARMLESS.contains(&filter)));
            let first = tokens.iter().find(|(token, _)| matches!(token, Token::Word(_)));
            if let Some((Token::Word(word), range)) = first.filter(|_| !is_harmless)
                && !["params", "loop"].contains(word)
            {
                let words: Vec<_> = tokens.iter().map(|(token, _)| *token).collect();
                let index = tokens.iter().position(|(_, other)| other == range).unwrap_or(0);
                let variable = path(&words[index..]).map_or_else(|| (*word).to_owned(), |(path, _)| path);
                found.push(Shown { at: range.start..range.start + variable.len(), variable });
            }
            end
        } else {
            start + 1
        };
    }
    found
}

/// What an expression names.
pub(super) fn of_expression(source: &str) -> Vec<Named> {
    let mut found = Vec::new();
    names(&tokens(source, 0).0, &[], &mut found);
    found
}

/// The code around a byte of a template, with its braces: a line or less.
pub(super) fn around(source: &str, at: usize) -> Range<usize> {
    /// Bytes on either side: more of a longer line shows nothing.
    const NEAR: usize = 120;
    let is_boundary = |at: &usize| source.is_char_boundary(*at);
    let floor = |at: usize| (0..=at.min(source.len())).rev().find(is_boundary).unwrap_or(0);
    let at = floor(at);
    let line_start = source[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let line_end = source[at..].find('\n').map_or(source.len(), |newline| at + newline);
    let before = &source[line_start..at];
    let start =
        ["{{", "{%"].iter().filter_map(|brace| before.rfind(brace)).max().map_or(line_start, |at| line_start + at);
    let after = &source[at..line_end];
    let end = ["}}", "%}"].iter().filter_map(|brace| after.find(brace)).min().map_or(line_end, |end| at + end + 2);
    start.max(floor(at.saturating_sub(NEAR)))..end.min(floor(at + NEAR))
}

fn end_of_raw(source: &str, from: usize) -> usize {
    let mut at = from;
    while let Some(start) = source[at..].find("{%").map(|offset| at + offset) {
        let (tokens, end) = tokens(source, start + 2);
        if matches!(tokens.first(), Some((Token::Word("endraw"), _))) {
            return end;
        }
        at = start + 2;
    }
    source.len()
}

/// The tokens from a byte on, up to closing braces, and the byte behind them.
fn tokens(source: &str, start: usize) -> (Vec<(Token<'_>, Range<usize>)>, usize) {
    let mut found = Vec::new();
    let mut at = start;
    while let Some(c) = source[at..].chars().next() {
        let rest = &source[at..];
        if rest.starts_with("}}") || rest.starts_with("%}") {
            return (found, at + 2);
        }
        let len = if c == '"' || c == '\'' {
            let mut is_escaped = false;
            let end = rest.char_indices().skip(1).find(|(_, next)| {
                let ends = !is_escaped && *next == c;
                is_escaped = !is_escaped && *next == '\\';
                ends
            });
            end.map_or(rest.len(), |(end, _)| end + 1)
        } else {
            let is_part = |c: char| c.is_alphanumeric() || c == '_';
            rest.find(|c| !is_part(c)).unwrap_or(rest.len()).max(c.len_utf8())
        };
        let token = match c {
            '"' | '\'' => Some(Token::Literal),
            c if c.is_ascii_digit() => Some(Token::Literal),
            c if c.is_alphabetic() || c == '_' => Some(Token::Word(&rest[..len])),
            c if c.is_whitespace() => None,
            c => Some(Token::Mark(c)),
        };
        found.extend(token.map(|token| (token, at..at + len)));
        at += len;
    }
    (found, at)
}

/// A loop that is open: its variable, and what it goes over where its items are known.
type Loop = (String, Option<String>);

fn statement(tokens: &[(Token<'_>, Range<usize>)], loops: &mut Vec<Loop>) {
    let words: Vec<_> = tokens.iter().map(|(token, _)| *token).collect();
    match words.as_slice() {
        [Token::Word("for"), Token::Word(variable), Token::Word("in"), over @ ..] => {
            loops
                .push(((*variable).to_owned(), path(over).filter(|(_, rest)| keeps_items(rest)).map(|(path, _)| path)));
        }
        [Token::Word("for"), ..] => loops.push((String::new(), None)),
        [Token::Word("endfor"), ..] => _ = loops.pop(),
        _ => {}
    }
}

/// A path at the start, and what follows.
fn path<'a, 't>(tokens: &'a [Token<'t>]) -> Option<(String, &'a [Token<'t>])> {
    let Some((Token::Word(first), mut rest)) = tokens.split_first() else { return None };
    let mut path = (*first).to_owned();
    while let [Token::Mark('.'), Token::Word(member), after @ ..] = rest {
        path.push('.');
        path.push_str(member);
        rest = after;
    }
    Some((path, rest))
}

/// Whether the items of a list are still the same behind these filters.
fn keeps_items(mut rest: &[Token<'_>]) -> bool {
    const KEEPING: [&str; 7] = ["selectattr", "rejectattr", "sort", "reverse", "list", "unique", "default"];
    loop {
        rest = match rest {
            [] | [Token::Word("if" | "recursive"), ..] | [Token::Mark('-'), ..] => return true,
            [Token::Mark('|'), Token::Word(filter), after @ ..] if KEEPING.contains(filter) => match after {
                [Token::Mark('('), inside @ ..] => {
                    let end = inside.iter().position(|token| *token == Token::Mark(')'));
                    end.map_or(&[][..], |end| &inside[end + 1..])
                }
                after => after,
            },
            _ => return false,
        };
    }
}

fn names(tokens: &[(Token<'_>, Range<usize>)], loops: &[Loop], found: &mut Vec<Named>) {
    let word = |index: usize| match tokens.get(index) {
        Some((Token::Word(word), at)) => Some((*word, at.clone())),
        _ => None,
    };
    let mut index = 0;
    while index < tokens.len() {
        let (token, at) = &tokens[index];
        match token {
            Token::Mark('|') => {
                if let Some((name, at)) = word(index + 1) {
                    found.push(Named { what: What::Filter, name: name.to_owned(), at });
                    index += 1;
                }
            }
            Token::Word("filter") if index == 0 => {
                if let Some((name, at)) = word(1) {
                    found.push(Named { what: What::Filter, name: name.to_owned(), at });
                    index += 1;
                }
            }
            Token::Word("is") => {
                let negated = usize::from(word(index + 1).is_some_and(|(word, _)| word == "not"));
                if let Some((name, at)) = word(index + 1 + negated) {
                    found.push(Named { what: What::Test, name: name.to_owned(), at });
                    index += 1 + negated;
                }
            }
            Token::Word(first) => {
                let rest: Vec<_> = tokens[index..].iter().map(|(token, _)| *token).collect();
                let (path, after) = path(&rest).unwrap_or_else(|| ((*first).to_owned(), &[]));
                let len = rest.len() - after.len();
                let end = tokens[index + len.max(1) - 1].1.end;
                let item = loops.iter().rev().find(|(variable, _)| variable == first);
                let named = match item {
                    Some((_, Some(over))) => Some((What::Item, format!("{over}[]{}", &path[first.len()..]))),
                    Some((_, None)) => None,
                    None => Some((What::Path, path)),
                };
                found.extend(named.map(|(what, name)| Named { what, name, at: at.start..end }));
                index += len.max(1) - 1;
            }
            // A member behind something else than a name: `spans[0].outputs`.
            Token::Mark('.') => index += 1,
            _ => {}
        }
        index += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(source: &str) -> Vec<(What, String)> {
        let named = of_template(source);
        for named in &named {
            let last = named.name.rsplit(['.', ']']).next().unwrap();
            assert!(source[named.at.clone()].ends_with(last), "{source}");
        }
        named.into_iter().map(|named| (named.what, named.name)).collect()
    }

    fn path(name: &str) -> (What, String) {
        (What::Path, name.to_owned())
    }

    #[test]
    fn filters_tests_and_paths_are_found_wherever_code_is() {
        let filter = |name: &str| (What::Filter, name.to_owned());
        assert_eq!(found("{{ inputs.a | fense('x | y') }}"), [path("inputs.a"), filter("fense")]);
        assert_eq!(found("{% if a is not defind and b is odd %}")[2], (What::Test, "defind".to_owned()));
        assert_eq!(found("{% filter upper %}x | y{% endfilter %}")[0], filter("upper"));
        assert_eq!(
            found("a | b {c | d} {# {{ e | f }} #} {% raw %}{{ g | h }}{% endraw %}{{ i|j }}"),
            [path("i"), filter("j")]
        );
        assert_eq!(found("{{- \"a \\\" | b\" ~ c -}}"), [path("c")]);
        assert_eq!(found("{{ spans[0].outputs }}"), [path("spans")]);
        assert_eq!(found("{{ a"), [path("a")]);
        assert_eq!(found("{{ 'open"), []);
    }

    #[test]
    fn the_variable_of_a_loop_is_named_by_what_the_loop_goes_over() {
        let item = |name: &str| (What::Item, name.to_owned());
        let source = "{% for s in spans if s.outputs %}{{ s.inptus | fence }}{% endfor %}{{ s.x }}";
        let names = found(source);
        assert!(names.contains(&item("spans[].outputs")) && names.contains(&item("spans[].inptus")), "{names:?}");
        assert!(names.contains(&path("s.x")));
        assert!(
            found("{% for s in trace.spans | selectattr('a') %}{{ s.b }}{% endfor %}")
                .contains(&item("trace.spans[].b"))
        );
        // What these items are is not known.
        for source in [
            "{% for d in spans | documents %}{{ d.b }}{% endfor %}",
            "{% for k, v in inputs.items() %}{{ v.b }}{% endfor %}",
        ] {
            assert!(!found(source).iter().any(|(what, _)| *what == What::Item), "{source}");
        }
    }

    #[test]
    fn what_is_written_without_a_fence_is_found() {
        let shown = |source: &str| shown_unfenced(source).into_iter().map(|shown| shown.variable).collect::<Vec<_>>();
        assert_eq!(shown("{{ a.b }}{{ c | tojson }}{{ d | fence('x') }}{{- e ~ f -}}"), ["a.b", "c", "e"]);
        let harmless = "{{ spans | length }}{{ loop.index }}{{ params.x }}{{ i | images }}{% raw %}{{ a }}{% endraw %}{# {{ b }} #}{% if c %}{% endif %}";
        assert!(shown(harmless).is_empty(), "{:?}", shown(harmless));
    }

    #[test]
    fn the_code_around_a_mistake_is_shown_and_nothing_else() {
        let source = "sk-secret {{ a | b }} {% if c %}\nrest";
        let shown = |what: &str| &source[around(source, source.find(what).unwrap())];
        assert_eq!((shown("b }}"), shown("c %}")), ("{{ a | b }}", "{% if c %}"));
        let long = format!("{{{{ {}x{} }}}}", "é(".repeat(1000), ")".repeat(1000));
        let shown = &long[around(&long, long.find('x').unwrap())];
        assert!(shown.len() < 300 && shown.contains("(x)"), "{shown}");
    }
}
