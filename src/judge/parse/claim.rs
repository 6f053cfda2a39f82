//! What an answer claims its verdict to be.

use std::ops::Range;

use super::coerce::Reading;
use super::prose::Prose;

/// How something is claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A JSON object.
    Object,
    /// `[[5]]`, `<score>5</score>`.
    Marked,
    /// `Score: 5`, where nothing else can follow the label.
    Label,
    /// `the verdict is false`, `I change my verdict to no`.
    Named,
    /// `a score of 5`, `5/5 for style`: said about a part as often as about the whole, so it counts only in the first and the last sentence.
    InPassing,
    /// `5/5`, `Five stars.`, `I give it a 5`, `B is better`, `Yes.`
    Stated,
    /// `5/5 of the facts`, `the value should be 5`: possibly not a verdict. It settles nothing, but contradicts another one.
    Mention,
}

/// Something that may be the verdict.
#[derive(Debug)]
pub(super) struct Claim {
    /// Where it stands in [`Prose::text`].
    pub(super) at: Range<usize>,
    pub(super) kind: Kind,
    pub(super) reading: Reading,
    /// Of an object: its number.
    pub(super) object: Option<usize>,
    /// `the score is not 5`.
    pub(super) is_denied: bool,
}

impl Claim {
    pub(super) fn new(at: Range<usize>, kind: Kind, reading: Reading) -> Self {
        Self { at, kind, reading, object: None, is_denied: false }
    }

    /// Whether the place can hold nothing but a verdict, so that what cannot be read there is a verdict all the same.
    pub(super) fn is_place(&self) -> bool {
        matches!(self.kind, Kind::Object | Kind::Marked | Kind::Label)
    }

    /// What is looked for in the prompt. A bare value is in every prompt; of such a claim it is the sentence.
    pub(super) fn quotable<'t>(&self, prose: &'t Prose, body: &'t str, objects: &[Range<usize>]) -> Option<&'t str> {
        match (self.kind, self.object) {
            (_, Some(object)) => objects.get(object).map(|range| &body[range.clone()]),
            (Kind::Stated, _) if self.at.len() < MIN_QUOTABLE => {
                let sentence = prose.sentences.get(prose.sentence_at(self.at.start))?;
                let text = &prose.text[sentence.clone()];
                (text.len() <= MAX_QUOTABLE && text.split_whitespace().count() > 2).then_some(text)
            }
            _ => Some(&prose.text[self.at.clone()]),
        }
    }
}

/// A shorter statement is looked for with its sentence, in bytes.
const MIN_QUOTABLE: usize = 10;
/// A longer sentence is not quoted for the value in it, in bytes.
const MAX_QUOTABLE: usize = 500;
