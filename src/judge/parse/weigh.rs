//! Which claims count.
//!
//! All claims of all kinds are collected. None outranks another by its kind or position: if two of the judge's own differ, there is
//! no verdict. What the judge only quotes is not its own claim.

use std::ops::Range;

use serde_json::Value;

use super::claim::{Claim, Kind};
use super::coerce::{Reading, same};
use super::echo::Echo;
use super::outcome::{DIFFERING, Miss};
use super::prose::Prose;
use super::tone::{self, Tone};

/// The claim that holds.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) value: Value,
    /// Of the last object that says so.
    pub(super) object: Option<usize>,
}

/// Weighs all claims of an answer, in the order of the text. `objects` are those of `body`.
pub(super) fn settle(
    mut claims: Vec<Claim>,
    prose: &Prose,
    body: &str,
    objects: &[Range<usize>],
    echo: &Echo<'_>,
) -> Result<Settled, Miss> {
    claims.sort_by_key(|claim| claim.at.start);
    let tones = tone::of(&claims, prose);
    let edges = prose.edges();
    let is_echo = |claim: &Claim| claim.quotable(prose, body, objects).is_some_and(|text| echo.is_in_prompt(text));
    let mut weighed = Weighed::default();
    for (claim, tone) in claims.iter().zip(tones) {
        let quotation = prose.quotation(&claim.at);
        if quotation.is_some() || claim.reading != Reading::Nothing && is_echo(claim) {
            let is_value = matches!(claim.reading, Reading::Value(_));
            weighed.has_quotation |= is_value;
            // `"[[A]]"` as the last line is how some judges mark their own verdict.
            let is_last = || edges.is_none_or(|(_, last)| prose.sentence_at(claim.at.start) >= last);
            if is_value && quotation.is_some_and(|range| prose.is_line(range)) && is_last() && !is_echo(claim) {
                weighed.set_apart.push(claim);
            }
            continue;
        }
        let sentence = prose.sentence_at(claim.at.start);
        let is_edge = edges.is_some_and(|(first, last)| sentence == first || sentence == last);
        weighed.add(claim, tone, is_edge);
    }
    weighed.settle(prose)
}

/// The claims of an answer by their weight.
#[derive(Default)]
struct Weighed<'c> {
    /// Those that can be the verdict.
    own: Vec<&'c Claim>,
    /// What speaks against other values.
    mentioned: Vec<&'c Value>,
    /// What speaks against the same value.
    denied: Vec<&'c Value>,
    /// The last place of a verdict that cannot be read.
    unreadable: Option<(usize, Miss)>,
    /// Between quotation marks, but as a last line.
    set_apart: Vec<&'c Claim>,
    has_quotation: bool,
}

impl<'c> Weighed<'c> {
    fn add(&mut self, claim: &'c Claim, tone: Tone, is_edge: bool) {
        let is_object = claim.kind == Kind::Object;
        match &claim.reading {
            Reading::Nothing => {}
            Reading::Ambiguous(why) => {
                if claim.is_place() || claim.kind == Kind::Named {
                    self.unreadable = Some((claim.at.start, Miss::Unparseable(why)));
                }
            }
            _ if tone.is_uncertain && !claim.is_place() => {}
            Reading::Value(value) if claim.is_denied || tone.is_denied && !claim.is_place() => self.denied.push(value),
            Reading::Value(value)
                if claim.kind == Kind::Mention
                    || claim.kind == Kind::InPassing && !is_edge
                    || tone.is_reported && !is_object =>
            {
                self.mentioned.push(value);
            }
            Reading::Value(_) => self.own.push(claim),
            Reading::OutOfRange(_) => {
                let is_claim = claim.is_place() || matches!(claim.kind, Kind::Named | Kind::Stated);
                if is_claim && !claim.is_denied && !tone.is_denied && !tone.is_reported {
                    self.own.push(claim);
                }
            }
        }
    }

    fn settle(mut self, prose: &Prose) -> Result<Settled, Miss> {
        if self.own.is_empty() && self.unreadable.is_none() {
            self.own = std::mem::take(&mut self.set_apart);
        }
        if let Some((at, miss)) = self.unreadable {
            // A later readable verdict makes up for it; an earlier one was not the last word.
            let last = self.own.iter().rev().find(|claim| claim.is_place()).map(|claim| claim.at.start);
            if last.is_none_or(|last| last < at) {
                return Err(miss);
            }
        }
        let Some(last) = self.own.last() else {
            return Err(Miss::Unparseable(if self.has_quotation {
                "the answer only quotes a verdict"
            } else {
                "no verdict in the answer"
            }));
        };
        let agree = |claim: &&&Claim| match (&claim.reading, &last.reading) {
            (Reading::Value(one), Reading::Value(other)) => same(one, other),
            (Reading::OutOfRange(_), Reading::OutOfRange(_)) => true,
            _ => false,
        };
        if !self.own.iter().all(|claim| agree(&claim)) {
            return Err(Miss::Unparseable(DIFFERING));
        }
        let value = match &last.reading {
            Reading::Value(value) => value.clone(),
            Reading::OutOfRange(error) => return Err(Miss::OutOfRange(error.clone())),
            _ => return Err(Miss::Unparseable("no verdict in the answer")),
        };
        let is_contested = self.mentioned.iter().any(|other| !same(other, &value));
        if is_contested || self.denied.iter().any(|other| same(other, &value)) {
            return Err(Miss::Unparseable(DIFFERING));
        }
        let end = self.own.iter().map(|claim| claim.at.end).max().unwrap_or_default();
        if tone::takes_back(prose, end) {
            return Err(Miss::Unparseable("the answer takes its verdict back"));
        }
        let object = self.own.iter().rev().find_map(|claim| claim.object);
        Ok(Settled { value, object })
    }
}
