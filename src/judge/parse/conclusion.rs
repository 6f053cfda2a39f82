//! Labels that a judge concludes with: `Therefore, Output (a) is better.`

use std::ops::Range;

use super::claim::{Claim, Kind};
use super::coerce::{Reading, strip_word};
use super::prose::{Prose, is_one_of, words};
use crate::judge::verdict::VerdictType;

/// Words that open a conclusion.
const MARKERS: [&str; 10] = [
    "therefore",
    "thus",
    "hence",
    "overall",
    "conclusion",
    "conclude",
    "summary",
    "consequently",
    "ultimately",
    "final",
];
/// Words before a statement that take it back.
const DOUBTS: [&str; 12] =
    ["not", "no", "never", "neither", "nor", "whether", "if", "unless", "hardly", "cannot", "hard", "difficult"];
/// Words after a statement that take part of it back.
const BUTS: [&str; 6] = ["but", "however", "although", "though", "while", "yet"];
/// Words that turn a label that is merely named into the one that was not chosen.
const TURNS: [&str; 14] = [
    "than",
    "worse",
    "worst",
    "inferior",
    "weaker",
    "less",
    "fails",
    "fail",
    "lacks",
    "misses",
    "incorrect",
    "poor",
    "loses",
    "unlike",
];
/// Words of a judge that does not choose.
const TIES: [&str; 8] = ["equally", "equal", "both", "neither", "either", "tie", "tied", "unable"];
/// What makes a label the chosen one.
const CHOSEN: [&str; 8] = ["better", "best", "superior", "preferable", "preferred", "stronger", "winner", "wins"];
/// What may be between a label and [`CHOSEN`].
const BETWEEN: [&str; 20] = [
    "is",
    "the",
    "a",
    "clearly",
    "clear",
    "definitely",
    "generally",
    "marginally",
    "much",
    "far",
    "objectively",
    "overall",
    "significantly",
    "slightly",
    "somewhat",
    "still",
    "therefore",
    "thus",
    "ultimately",
    "considered",
];
const REFUSALS: [&str; 9] = [
    "i can't",
    "i can\u{2019}t",
    "i cannot",
    "i'm unable",
    "i\u{2019}m unable",
    "i am unable",
    "i'm sorry",
    "i won't",
    "as an ai",
];

/// The longest sentence that is searched for labels, in bytes: a verdict is not hidden in a longer one.
const MAX_SENTENCE: usize = 2000;

/// What the sentences conclude.
pub(super) fn claims(prose: &Prose, verdict: &VerdictType) -> Vec<Claim> {
    let VerdictType::Category { .. } = verdict else { return Vec::new() };
    let claim = |(label, at): (&str, Range<usize>)| Claim::new(at, Kind::Stated, Reading::Value(label.into()));
    let Some(last) = prose.sentences.last() else { return Vec::new() };
    let stated = prose.sentences.iter().filter_map(|sentence| Some(claim(statement(prose, sentence, verdict)?)));
    let mut found: Vec<_> = stated.collect();
    if found.last().is_some_and(|claim| last.contains(&claim.at.start)) {
        return found;
    }
    let text = &prose.text[last.clone()];
    let is_conclusion = words(text).any(|(_, word)| is_one_of(word, &MARKERS)) && text.ends_with(['.', '!']);
    match only_label_of(text, verdict).filter(|_| is_conclusion) {
        Some(label) => found.push(claim((label, last.clone()))),
        // The last word is that neither is better.
        None if words(text).any(|(_, word)| is_one_of(word, &TIES)) => found.clear(),
        None => {}
    }
    found
}

/// The one label that a sentence names, and does not name in order to reject it.
pub(super) fn only_label_of<'v>(sentence: &str, verdict: &'v VerdictType) -> Option<&'v str> {
    let named = named(sentence, verdict);
    let (first, ..) = *named.first()?;
    let is_only = is_distinctive(first) && named.iter().all(|(label, ..)| *label == first);
    let is_turned = words(sentence).any(|(_, word)| is_one_of(word, &TURNS) || is_doubt(word));
    (is_only && !is_turned).then_some(first)
}

/// `L is better`, `L is clearly the best`.
fn statement<'v>(prose: &Prose, sentence: &Range<usize>, verdict: &'v VerdictType) -> Option<(&'v str, Range<usize>)> {
    let text = &prose.text[sentence.clone()];
    named(text, verdict).iter().find_map(|&(label, start, end)| {
        let mut after = words(&text[end..]).skip_while(|(_, word)| is_one_of(word, &BETWEEN));
        let chosen = after.next().filter(|(_, word)| is_one_of(word, &CHOSEN));
        let (at, word) = chosen.filter(|_| text[end..].starts_with(' '))?;
        // "not only A but also B" takes nothing back.
        let next = words(&text[end..]).skip(1).map(|(_, word)| word).chain([""]);
        let is_but = |((_, word), next): ((usize, &str), &str)| is_one_of(word, &BUTS) && next != "also";
        let is_certain =
            !words(&text[..start]).any(|(_, word)| is_doubt(word)) && !words(&text[end..]).zip(next).any(is_but);
        is_certain.then(|| (label, sentence.start + start..sentence.start + end + at + word.len()))
    })
}

/// The labels that a text names, with the bytes they span; the longest where several begin.
fn named<'v>(text: &str, verdict: &'v VerdictType) -> Vec<(&'v str, usize, usize)> {
    let VerdictType::Category { labels } = verdict else { return Vec::new() };
    if text.len() > MAX_SENTENCE {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut end_of_last = 0;
    let mut before = ' ';
    for (start, c) in text.char_indices() {
        if start >= end_of_last && !(before.is_alphanumeric() || before == '_') {
            let here = &text[start..];
            // A word that prose may use in passing must be spelled exactly, `A` above all.
            let matching = labels.iter().filter(|label| {
                strip_word(here, label).is_some() && (is_distinctive(label) || here.starts_with(label.as_str()))
            });
            if let Some(label) = matching.max_by_key(|label| label.len()) {
                end_of_last = here.len() - strip_word(here, label).map_or(0, str::len) + start;
                found.push((label.as_str(), start, end_of_last));
            }
        }
        before = c;
    }
    found
}

/// Whether a label is more than a word or a number that prose could use by chance.
fn is_distinctive(label: &str) -> bool {
    label.contains(char::is_alphabetic) && label.contains(|c: char| !c.is_alphabetic())
}

/// Whether the judge refuses to judge.
pub(super) fn is_refusal(text: &str) -> bool {
    let text = text.to_lowercase();
    REFUSALS.iter().any(|phrase| text.contains(phrase))
}

fn is_doubt(word: &str) -> bool {
    is_one_of(word, &DOUBTS) || word.ends_with("n't") || word.ends_with("n\u{2019}t")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::parse::parse_verdict;

    fn concluded(text: &str, labels: [&str; 2]) -> Option<String> {
        let verdict = VerdictType::Category { labels: labels.map(String::from).into() };
        parse_verdict(text, &verdict).ok()?.verdict.value.as_str().map(str::to_owned)
    }

    #[test]
    fn a_conclusion_names_its_label() {
        for text in [
            "Both are long. Therefore, Output (a) is better.",
            "Output (a) is better.\n\nIt is complete.",
            "Thus, based on all this, output (A) is clearly the better choice",
            "As Output (b) is wrong, Output (a) is better.",
            "Output (a) is better than Output (b).",
            "Overall, Output (a) follows the instruction closely.",
            "In conclusion, I choose Output (a)!",
            "My final verdict is Output (a)",
            "Output (a) wins.",
            "Output (a) is better as it is not only right but also short.",
        ] {
            assert_eq!(concluded(text, ["Output (a)", "Output (b)"]).as_deref(), Some("Output (a)"), "{text}");
        }
        assert_eq!(concluded("A reader is lost. Thus, A is better.", ["A", "B"]).as_deref(), Some("A"));
    }

    #[test]
    fn what_is_not_concluded_is_not_read() {
        for text in [
            "Therefore, both Output (a) and Output (b) are equally good.",
            "Therefore, neither Output (a) nor Output (b) is better.",
            "Output (a) is better in tone. Overall, both are equally good.",
            "Output (a) is better in tone, but it ends there.",
            "Output (a) is better. Therefore, Output (b) is better.",
            "Therefore, Output (a) is not better.",
            "Therefore, Output (a) does not follow the instruction.",
            "Overall, it is less precise than Output (a).",
            "It is hard to tell whether Output (a) is better.",
            "Overall, based on Output (a)",
            "Output (a) is shorter.",
            "Therefore,",
            "",
        ] {
            assert_eq!(concluded(text, ["Output (a)", "Output (b)"]), None, "{text}");
        }
        assert_eq!(concluded("Overall, a good attempt that falls short.", ["good", "bad"]), None);
        assert_eq!(concluded("Overall, it has 1 error.", ["1", "2"]), None);
    }
}
