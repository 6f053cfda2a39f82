//! An answer as prose: its sentences, and its quotations.

use std::ops::Range;

use super::expected::Expected;
use super::turn::visible;
use crate::judge::verdict::VerdictType;

/// Stands for an object of the answer. Never in the text itself: [`visible`] removes it.
const OBJECT: char = '\u{fffc}';

/// How much of a text before or after a place is considered, in bytes: so the time is linear in the text.
const MAX_NEAR: usize = 200;

/// The text around the objects of an answer, without emphasis.
#[derive(Debug, Default)]
pub(super) struct Prose {
    pub(super) text: String,
    /// Lines, and what ends with a full stop; in order.
    pub(super) sentences: Vec<Range<usize>>,
    /// Where the objects stood, in order.
    pub(super) objects: Vec<usize>,
    /// Bold text that ends a line.
    pub(super) bold: Vec<Range<usize>>,
    /// Between quotation marks, in code spans and in lines that quote; sorted and disjoint.
    quoted: Vec<Range<usize>>,
}

impl Prose {
    /// Removes the objects at `ranges` from a text.
    pub(super) fn new(body: &str, ranges: impl Iterator<Item = Range<usize>>, expected: &Expected<'_>) -> Self {
        let mut masked = String::with_capacity(body.len());
        let mut done = 0;
        for range in ranges {
            masked.push_str(&visible(&body[done..range.start]));
            masked.push(OBJECT);
            done = range.end;
        }
        masked.push_str(&visible(&body[done..]));
        let has_emphasis = |labels: &[String]| labels.iter().any(|label| label.contains(['*', '`']));
        let keeps_marks = matches!(expected.verdict, VerdictType::Category { labels } if has_emphasis(labels));
        let mut prose = Self { text: String::with_capacity(masked.len()), ..Self::default() };
        let mut in_fence = false;
        for line in masked.split('\n') {
            let trimmed = line.trim_start();
            if trimmed.starts_with("```") || trimmed.starts_with("~~~") {
                in_fence = !in_fence;
            } else {
                prose.line(line, in_fence, keeps_marks);
            }
            prose.text.push('\n');
        }
        prose.join_quotations();
        prose.objects = prose.text.match_indices(OBJECT).map(|(at, _)| at).collect();
        prose.sentences = sentences(&prose.text);
        prose
    }

    /// Adds a line, and notes what it quotes.
    fn line(&mut self, line: &str, in_fence: bool, keeps_marks: bool) {
        let start = self.text.len();
        let mut code_ends = if in_fence { 0 } else { line.matches('`').count() };
        let mut code: Option<usize> = None;
        for c in line.chars() {
            match c {
                '`' => {
                    code_ends = code_ends.saturating_sub(1);
                    code = match code {
                        Some(start) if start < self.text.len() => {
                            self.quoted.push(start..self.text.len());
                            None
                        }
                        // A longer mark, or one that nothing closes.
                        Some(_) => code,
                        None => (code_ends > 0).then_some(self.text.len()),
                    };
                    if keeps_marks {
                        self.text.push(c);
                    }
                }
                '*' if !keeps_marks => {}
                c => self.text.push(c),
            }
        }
        if let Some(bold) = ends_bold(line).filter(|_| !keeps_marks) {
            let end = start + self.text[start..].trim_end().trim_end_matches(['.', '!']).len();
            let len = bold.chars().filter(|c| !matches!(c, '*' | '`')).map(char::len_utf8).sum();
            self.bold.extend(end.checked_sub(len).filter(|from| *from >= start).map(|from| from..end));
        }
        if line.trim_start().starts_with('>') {
            self.quoted.push(start..self.text.len());
        } else {
            quotations(&self.text[start..]).for_each(|range| self.quoted.push(start + range.start..start + range.end));
        }
    }

    fn join_quotations(&mut self) {
        self.quoted.sort_by_key(|range| range.start);
        let mut joined: Vec<Range<usize>> = Vec::with_capacity(self.quoted.len());
        for range in self.quoted.drain(..) {
            match joined.last_mut() {
                Some(last) if range.start < last.end => last.end = last.end.max(range.end),
                _ => joined.push(range),
            }
        }
        self.quoted = joined;
    }

    /// The quotation that contains a whole range. A quoted key or value alone is not one: `"score": 4`, `Score: "4"`.
    pub(super) fn quotation(&self, range: &Range<usize>) -> Option<&Range<usize>> {
        let next = self.quoted.partition_point(|quoted| quoted.start <= range.start);
        self.quoted.get(next.checked_sub(1)?).filter(|quoted| quoted.end >= range.end)
    }

    /// The index of the sentence that contains a byte; that of the next one if it is between two.
    pub(super) fn sentence_at(&self, at: usize) -> usize {
        self.sentences.partition_point(|sentence| sentence.end <= at)
    }

    /// The line from a byte on, up to [`MAX_NEAR`].
    pub(super) fn rest_of_line(&self, at: usize) -> &str {
        let near = &self.text[at..floor(&self.text, at.saturating_add(MAX_NEAR))];
        &near[..memchr::memchr(b'\n', near.as_bytes()).unwrap_or(near.len())]
    }

    /// The text before a byte, from `start` or [`MAX_NEAR`] on.
    pub(super) fn before(&self, at: usize, start: usize) -> &str {
        &self.text[floor(&self.text, at.saturating_sub(MAX_NEAR)).max(start).min(at)..at]
    }

    /// Whether a range is the whole content of its line.
    pub(super) fn is_line(&self, range: &Range<usize>) -> bool {
        let says = |text: &str| text.contains(char::is_alphanumeric);
        let before = self.before(range.start, 0);
        let start = memchr::memrchr(b'\n', before.as_bytes()).map_or(0, |at| at + 1);
        !says(&before[start..]) && !says(self.rest_of_line(range.end))
    }

    /// The first and the last sentence with the judge's own words.
    pub(super) fn edges(&self) -> Option<(usize, usize)> {
        let is_own = |sentence: &Range<usize>| {
            let text = self.text[sentence.clone()].trim();
            text.contains(char::is_alphanumeric) && self.quotation(sentence).is_none()
        };
        let first = self.sentences.iter().position(is_own)?;
        let last = self.sentences.iter().rposition(is_own)?;
        Some((first, last))
    }
}

/// The bold text that a line ends with.
fn ends_bold(line: &str) -> Option<&str> {
    let bold = line.trim_end().trim_end_matches(['.', '!']).strip_suffix("**")?;
    Some(&bold[bold.rfind("**")? + 2..])
}

/// What is between quotation marks in a line, including the marks.
fn quotations(line: &str) -> impl Iterator<Item = Range<usize>> {
    let mut open: Option<(char, usize)> = None;
    let mut before: Option<char> = None;
    let mut chars = line.char_indices().peekable();
    std::iter::from_fn(move || {
        while let Some((at, c)) = chars.next() {
            let after = chars.peek().map(|(_, c)| *c);
            let last = before.replace(c);
            let is_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
            let opens = match c {
                '"' | '\'' => !is_word(last) && after.is_some_and(|c| !c.is_whitespace()),
                '\u{201c}' | '\u{201e}' | '\u{2018}' | '\u{ab}' => true,
                _ => false,
            };
            let closes = match (open, c) {
                (Some(('"', _)), '"') | (Some(('\'', _)), '\'') => {
                    !is_word(after) && last.is_some_and(|c| !c.is_whitespace())
                }
                (Some(('\u{201c}', _)), '\u{201d}' | '"') | (Some(('\u{201e}', _)), '\u{201c}' | '\u{201d}') => true,
                (Some(('\u{2018}', _)), '\u{2019}') => !is_word(after),
                (Some(('\u{ab}', _)), '\u{bb}') => true,
                _ => false,
            };
            if closes {
                let start = open.take().map_or(at, |(_, start)| start);
                return Some(start..at + c.len_utf8());
            }
            if opens && open.is_none() {
                open = Some((c, at));
            }
        }
        None
    })
}

/// Sentences end at lines, objects, and marks that white space follows.
fn sentences(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    let mut push = |range: Range<usize>| {
        let trimmed = text[range.clone()].trim_start();
        let start = range.end - trimmed.len();
        let end = start + trimmed.trim_end().len();
        if start < end {
            found.push(start..end);
        }
    };
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let mut end = at + c.len_utf8();
        match c {
            '\n' | OBJECT => push(start..at),
            '.' | '!' | '?' => {
                while let Some((next, closing)) = chars.next_if(|(_, c)| is_closing_mark(*c)) {
                    end = next + closing.len_utf8();
                }
                if !chars.peek().is_none_or(|(_, c)| c.is_whitespace())
                    || is_number_sign(&text[start..end], &text[end..])
                {
                    continue;
                }
                push(start..end);
            }
            '\u{3002}' => push(start..end),
            _ => continue,
        }
        start = end;
    }
    push(start..text.len());
    found
}

fn is_closing_mark(c: char) -> bool {
    matches!(c, '.' | '!' | '?' | '"' | '\'' | ')' | ']' | '_' | '\u{201d}' | '\u{2019}' | '\u{bb}')
}

/// `No. 5`
fn is_number_sign(sentence: &str, after: &str) -> bool {
    let before = sentence.trim_end_matches('.');
    let word = before.rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    ["no", "nr"].iter().any(|sign| word.eq_ignore_ascii_case(sign))
        && after.trim_start().starts_with(|c: char| c.is_ascii_digit())
}

/// The words of a text and where they stand.
pub(super) fn words(text: &str) -> Words<'_> {
    Words { text, at: 0 }
}

#[derive(Debug, Clone)]
pub(super) struct Words<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Iterator for Words<'t> {
    type Item = (usize, &'t str);

    fn next(&mut self) -> Option<Self::Item> {
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '\'' | '\u{2019}');
        let start = self.at + self.text[self.at..].find(is_part)?;
        let rest = &self.text[start..];
        let word = &rest[..rest.find(|c| !is_part(c)).unwrap_or(rest.len())];
        self.at = start + word.len();
        Some((start, word))
    }
}

/// The largest boundary of a character up to `at`.
fn floor(text: &str, at: usize) -> usize {
    if at >= text.len() {
        return text.len();
    }
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

pub(super) fn is_one_of(word: &str, list: &[&str]) -> bool {
    list.iter().any(|one| word.eq_ignore_ascii_case(one))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prose(text: &str) -> Prose {
        Prose::new(text, std::iter::empty(), &Expected::from(&VerdictType::Boolean))
    }

    #[test]
    fn sentences_end_at_marks_and_lines() {
        let prose = prose("One 1.5. Two! \n\n Three? \"Four.\" No. 5 is *five*.\u{3002}six");
        let found: Vec<_> = prose.sentences.iter().map(|range| &prose.text[range.clone()]).collect();
        assert_eq!(found, ["One 1.5.", "Two!", "Three?", "\"Four.\"", "No. 5 is five.\u{3002}", "six"]);
        assert_eq!(prose.edges(), Some((0, 5)));
        let text = Prose::new("a {1}. B", std::iter::once(2..5), &Expected::from(&VerdictType::Boolean));
        let found: Vec<_> = text.sentences.iter().map(|range| &text.text[range.clone()]).collect();
        assert_eq!((found, text.objects), (vec!["a", ".", "B"], vec![2]));
    }

    #[test]
    fn quotations_are_known_by_their_marks() {
        for (text, quoted) in [
            ("It says \"Score: 5\" here", true),
            ("It says \u{201c}Score: 5\u{201d} here", true),
            ("It says 'Score: 5' here", true),
            ("It says \u{201e}Score: 5\u{201c} here", true),
            ("It says `Score: 5` here", true),
            ("It says ``Score: 5`` here", true),
            ("> Score: 5", true),
            ("The users' text isn't fine. Score: 5. It's done", false),
            ("A 5\" pipe. Score: 5 and a 6\" pipe", false),
            ("`code` Score: 5 `more`", false),
            ("```\nScore: 5\n```", false),
            ("Score: 5 \"or so", false),
        ] {
            let prose = prose(text);
            let start = prose.text.find("Score").unwrap();
            assert_eq!(prose.quotation(&(start..start + 8)).is_some(), quoted, "{text}");
        }
        let text = prose("\"Score\": 5, Grade: \"6\"");
        assert!(text.quotation(&(1..10)).is_none() && text.quotation(&(12..22)).is_none());
    }

    #[test]
    fn bold_text_is_known_at_the_end_of_a_line() {
        let prose = prose("It is **partly `right`**.\n**Not** at the end\n- **4**");
        let bold: Vec<_> = prose.bold.iter().map(|range| &prose.text[range.clone()]).collect();
        assert_eq!(bold, ["partly right", "4"]);
    }

    #[test]
    fn a_line_of_its_own_differs_from_a_part_of_one() {
        let prose = prose("x\n - \"[[A]]\".\ny [[A]]");
        let start = prose.text.find("[[A]]").unwrap();
        assert!(prose.is_line(&(start..start + 5)));
        let start = prose.text.rfind("[[A]]").unwrap();
        assert!(!prose.is_line(&(start..start + 5)));
    }
}
