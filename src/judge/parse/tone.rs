//! The tone of a statement: denied, doubted, ascribed to another speaker, or taken back.

use std::iter::Peekable;

use super::claim::Claim;
use super::prose::{Prose, Words, is_one_of, words};

/// The tone of a claim, from the words before it in its clause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tone {
    /// `it does not deserve a ...`
    pub(super) is_denied: bool,
    /// `I am not sure whether ...`, `if ..., then ...`
    pub(super) is_uncertain: bool,
    /// `the answer says that ...`
    pub(super) is_reported: bool,
}

const DENIALS: [&str; 11] =
    ["not", "never", "neither", "nor", "hardly", "cannot", "prevents", "preventing", "prevent", "than", "instead"];
/// The reach of a denial, in words.
const MAX_DENIED: usize = 7;
const CONDITIONS: [&str; 2] = ["if", "unless"];
const REPORTS: [&str; 47] = [
    "says",
    "say",
    "said",
    "states",
    "stated",
    "claims",
    "claimed",
    "writes",
    "wrote",
    "tells",
    "told",
    "asks",
    "asked",
    "demands",
    "demanded",
    "orders",
    "ordered",
    "instructs",
    "instructed",
    "requests",
    "requested",
    "insists",
    "contains",
    "contained",
    "includes",
    "included",
    "mentions",
    "mentioned",
    "quotes",
    "quoted",
    "reads",
    "declares",
    "declared",
    "asserts",
    "asserted",
    "ends",
    "argues",
    "argued",
    "suggests",
    "suggested",
    "implies",
    "thinks",
    "believes",
    "reports",
    "reported",
    "reporting",
    "according",
];
/// Words after which something new is said.
const CONJUNCTIONS: [&str; 14] = [
    "and",
    "so",
    "but",
    "therefore",
    "thus",
    "hence",
    "which",
    "with",
    "resulting",
    "leading",
    "because",
    "then",
    "making",
    "consequently",
];
/// Of these, what ends a condition.
const CONSEQUENCES: [&str; 8] = ["so", "but", "therefore", "thus", "hence", "resulting", "leading", "however"];
const SPEAKERS: [&str; 5] = ["i", "we", "my", "our", "i'd"];

/// A longer sentence is taken as it is, in bytes.
const MAX_SENTENCE: usize = 4000;

/// The tone of each claim; claims in the order of the text.
pub(super) fn of(claims: &[Claim], prose: &Prose) -> Vec<Tone> {
    let mut tones = Vec::with_capacity(claims.len());
    let mut listener: Option<(usize, Listener<'_>)> = None;
    for claim in claims {
        let sentence = prose.sentence_at(claim.at.start);
        if listener.as_ref().is_none_or(|(of, _)| *of != sentence) {
            listener = prose.sentences.get(sentence).filter(|range| range.len() <= MAX_SENTENCE).map(|range| {
                // `The answer tells me:` and a line below.
                let before = sentence.checked_sub(1).map(|before| &prose.text[prose.sentences[before].clone()]);
                let mut listener = Listener::new(&prose.text[range.clone()], range.start);
                if let Some(before) = before.filter(|before| before.ends_with(':') && before.len() <= MAX_SENTENCE) {
                    listener.is_announced = Listener::new(before, 0).until(before.len()).is_reported;
                }
                (sentence, listener)
            });
        }
        tones.push(listener.as_mut().map(|(_, listener)| listener.until(claim.at.start)).unwrap_or_default());
    }
    tones
}

/// Follows a sentence up to each claim in it.
struct Listener<'t> {
    words: Peekable<Words<'t>>,
    text: &'t str,
    /// Where the sentence begins.
    start: usize,
    end_of_last: usize,
    /// Words since the last denial of the clause.
    denied: Option<usize>,
    is_conditional: bool,
    is_questioned: bool,
    is_reported: bool,
    is_first_person: bool,
    /// `It falls short of`
    is_after_short: bool,
    /// The sentence before ascribes this one.
    is_announced: bool,
}

impl<'t> Listener<'t> {
    fn new(text: &'t str, start: usize) -> Self {
        Self {
            words: words(text).peekable(),
            text,
            start,
            end_of_last: 0,
            denied: None,
            is_conditional: false,
            is_questioned: false,
            is_reported: false,
            is_first_person: false,
            is_after_short: false,
            is_announced: false,
        }
    }

    fn until(&mut self, at: usize) -> Tone {
        let at = at.saturating_sub(self.start);
        while let Some((start, word)) = self.words.next_if(|(start, _)| *start < at) {
            self.hear(&self.text[self.end_of_last..start], word);
            self.end_of_last = start + word.len();
        }
        let between = self.text.get(self.end_of_last..at).unwrap_or_default();
        let is_new_topic = is_break(between);
        let is_new_clause = is_new_topic || between.contains([':', '(']);
        Tone {
            is_denied: !is_new_clause && self.denied.is_some_and(|words| words < MAX_DENIED),
            is_uncertain: self.is_conditional || self.is_questioned && !is_new_clause,
            is_reported: self.is_announced || self.is_reported && !is_new_topic,
        }
    }

    fn hear(&mut self, between: &str, word: &str) {
        let is_new = is_one_of(word, &CONJUNCTIONS);
        if is_one_of(word, &CONSEQUENCES) {
            self.is_conditional = false;
        }
        if is_new || is_break(between) {
            self.is_reported = false;
            self.is_first_person = false;
        }
        if is_new || is_break(between) || between.contains([':', '(']) {
            self.denied = None;
            self.is_questioned = false;
        }
        if let Some(words) = &mut self.denied {
            *words += 1;
        }
        let is_short_of = word.eq_ignore_ascii_case("of") && between == " " && self.is_after_short;
        self.is_after_short = word.eq_ignore_ascii_case("short");
        if is_short_of || is_one_of(word, &DENIALS) || word.ends_with("n't") || word.ends_with("n\u{2019}t") {
            self.denied = Some(0);
        }
        self.is_conditional |= is_one_of(word, &CONDITIONS);
        self.is_questioned |= word.eq_ignore_ascii_case("whether");
        self.is_first_person |= is_one_of(word, &SPEAKERS);
        self.is_reported |= is_one_of(word, &REPORTS) && !self.is_first_person;
    }
}

/// Whether the text between two words begins a new clause.
fn is_break(between: &str) -> bool {
    between.contains([',', ';', '|', '\u{2014}', '\u{2013}']) || between.contains(" - ")
}

/// Beginnings of sentences that take back what was said.
const RETRACTIONS: [&str; 11] = [
    "wait",
    "actually",
    "hmm",
    "correction",
    "sorry",
    "oops",
    "scratch that",
    "on reflection",
    "on second thought",
    "no wait",
    "hold on",
];
/// Words that take it back wherever they are.
const RETRACTING: [&str; 14] = [
    "scratch that",
    "on reflection",
    "on second thought",
    "i change my",
    "i take that back",
    "i take it back",
    "i retract",
    "i revise",
    "i was wrong",
    "let me reconsider",
    "let me revise",
    "my mistake",
    "make that a",
    "or rather",
];

/// Whether the text after the last claim takes it back, and gives no other.
pub(super) fn takes_back(prose: &Prose, end: usize) -> bool {
    let first = prose.sentence_at(end);
    let rest = prose.sentences.iter().skip(first).filter(|sentence| prose.quotation(sentence).is_none());
    rest.into_iter().any(|sentence| {
        let text = prose.text[sentence.start.max(end)..sentence.end].to_lowercase();
        let opening = text.trim_start_matches(|c: char| !c.is_alphanumeric());
        let begins = |words: &str| {
            opening.strip_prefix(words).is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric()))
        };
        let is_no =
            opening.strip_prefix("no").is_some_and(|rest| rest.trim_start().starts_with([',', ':', '\u{2014}']));
        is_no || RETRACTIONS.iter().any(|words| begins(words)) || RETRACTING.iter().any(|words| text.contains(*words))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::parse::claim::Kind;
    use crate::judge::parse::coerce::Reading;
    use crate::judge::parse::expected::Expected;
    use crate::judge::verdict::VerdictType;

    fn prose(text: &str) -> Prose {
        Prose::new(text, std::iter::empty(), &Expected::from(&VerdictType::Boolean))
    }

    /// The tone of what stands at `#`.
    fn tone(text: &str) -> (bool, bool, bool) {
        let prose = prose(text);
        let at = prose.text.find('#').unwrap();
        let claims = [Claim::new(at..at + 1, Kind::Stated, Reading::Nothing)];
        let Tone { is_denied, is_uncertain, is_reported } = of(&claims, &prose)[0];
        (is_denied, is_uncertain, is_reported)
    }

    #[test]
    fn a_claim_is_denied_doubted_or_reported_in_its_clause() {
        for text in [
            "It does not deserve #",
            "I cannot give it #",
            "It isn't #",
            "It prevents a score of #",
            "It falls short of a #",
        ] {
            assert_eq!(tone(text), (true, false, false), "{text}");
        }
        for text in ["If all holds, the score is #", "Unless proven, #"] {
            assert_eq!(tone(text), (false, true, false), "{text}");
        }
        assert_eq!(tone("I am not sure whether #"), (true, true, false));
        for text in ["The answer says that #", "It claims: #", "The answer tells me:\n#", "It orders a #"] {
            assert_eq!(tone(text), (false, false, true), "{text}");
        }
        for text in [
            "#",
            "It does not mention X, resulting in #",
            "It is not coherent and receives #",
            "It is not known to many people who read this text in the morning #",
            "It says X, so #",
            "A short answer of ten words earns #",
            "It includes X and gets #",
            "I said #",
            "My verdict reads #",
            "The answer says X.\n#",
        ] {
            assert_eq!(tone(text), (false, false, false), "{text}");
        }
    }

    #[test]
    fn what_is_taken_back_does_not_hold() {
        for (text, is_taken_back) in [
            ("4. Wait, I missed one.", true),
            ("4\nOn reflection that is too low.", true),
            ("4, or rather something else", true),
            ("4. Hmm.", true),
            ("4; no, rather less", true),
            ("4. No errors were found.", false),
            ("4. It is fine, and people wait for it. The sun actually shines.", false),
            ("4. \"Wait, I missed one.\"", false),
            ("4", false),
        ] {
            assert_eq!(takes_back(&prose(text), 1), is_taken_back, "{text}");
        }
    }
}
