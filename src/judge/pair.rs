//! Two outputs for the same inputs, side by side.

use serde_json::{Map, Value};

use super::verdict::VerdictType;
use crate::feedback::{ANSWER_A_METADATA, ANSWER_B_METADATA, IdHasher, TIE, TRACE_A_METADATA, TRACE_B_METADATA};
use crate::trace::Trace;

/// What a judge of pairs answers.
const ANSWERS: [&str; 2] = ["answer_a", "answer_b"];

/// One of the compared outputs.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// Its name in reports: a system, a version, a column.
    pub name: &'a str,
    /// The trace that has the output.
    pub trace: &'a Trace,
}

/// Two outputs for the same inputs, in the order in which a judge is shown them.
#[derive(Debug, Clone, Copy)]
pub struct Pair<'a> {
    /// Shown first.
    pub a: Side<'a>,
    /// Shown second.
    pub b: Side<'a>,
    /// Whether that is not the order in which the sides were named.
    is_swapped: bool,
}

impl<'a> Pair<'a> {
    /// Both orders of two sides, of which `first` was named first.
    pub fn both_orders(first: Side<'a>, second: Side<'a>) -> [Self; 2] {
        [Self { a: first, b: second, is_swapped: false }, Self { a: second, b: first, is_swapped: true }]
    }

    /// The trace of the side that was named first.
    pub fn filed_under(self) -> &'a Trace {
        if self.is_swapped { self.b.trace } else { self.a.trace }
    }

    /// What a right output looks like, from either trace.
    pub(super) fn expectations(self) -> &'a Map<String, Value> {
        let (first, second) = if self.is_swapped { (self.b, self.a) } else { (self.a, self.b) };
        let is_silent = first.trace.expectations.is_empty();
        if is_silent { &second.trace.expectations } else { &first.trace.expectations }
    }

    /// The names, in the order in which they are shown.
    pub fn names(self) -> [&'a str; 2] {
        [self.a.name, self.b.name]
    }

    pub(super) fn ids(self) -> PairIds {
        PairIds {
            names: self.names().map(Into::into),
            trace_ids: [self.a, self.b].map(|side| side.trace.trace_id.as_str().into()),
        }
    }
}

/// What is compared, in the order in which it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PairIds {
    /// The names of the sides.
    pub names: [Box<str>; 2],
    /// Their traces.
    pub trace_ids: [Box<str>; 2],
}

impl PairIds {
    /// Both subjects, in their order, for the identity of a judgment.
    pub(super) fn identify(&self, hasher: &mut IdHasher) {
        hasher.part(b"pair");
        self.names.iter().chain(&self.trace_ids).for_each(|text| _ = hasher.part(text.as_bytes()));
    }

    /// A verdict by the name of the side that it prefers.
    pub(crate) fn named(&self, verdict: Value) -> Value {
        let place = ANSWERS.iter().position(|answer| verdict == **answer);
        place.map_or(verdict, |place| Value::from(&*self.names[place]))
    }

    pub(super) fn metadata(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let ([a, b], [of_a, of_b]) = (&self.names, &self.trace_ids);
        let members =
            [(ANSWER_A_METADATA, a), (ANSWER_B_METADATA, b), (TRACE_A_METADATA, of_a), (TRACE_B_METADATA, of_b)];
        members.into_iter().map(|(key, value)| (key, &**value))
    }
}

/// What a judge of pairs may answer.
pub(super) fn preference(has_ties: bool) -> VerdictType {
    let labels = ANSWERS.into_iter().chain(has_ties.then_some(TIE));
    VerdictType::Category { labels: labels.map(ToOwned::to_owned).collect() }
}

/// What its records have instead: names of sides. Both orders make ties, whatever the judge may answer.
pub(crate) fn preferred(sides: &[String]) -> VerdictType {
    VerdictType::Category { labels: sides.iter().map(String::as_str).chain([TIE]).map(ToOwned::to_owned).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::Subject;

    #[test]
    fn both_orders_are_filed_under_the_side_that_was_named_first() {
        let trace = |id: &str| Trace { trace_id: id.into(), ..Trace::default() };
        let (old, new) = (trace("t1"), trace("t2"));
        let orders = Pair::both_orders(Side { name: "old", trace: &old }, Side { name: "new", trace: &new });
        let ids = orders.map(|pair| Subject::from(pair).ids());
        assert_eq!(ids.each_ref().map(|ids| ids.trace_id.as_str()), ["t1", "t1"]);
        let swapped = ids[1].pair.as_ref().unwrap();
        assert_eq!((swapped.named("answer_a".into()), swapped.named("tie".into())), ("new".into(), "tie".into()));
        let metadata: Vec<_> = ids[1].metadata().map(|(key, text)| (key, text.into_owned())).collect();
        let expected =
            [("answer_a", "new"), ("answer_b", "old"), ("answer_a_trace_id", "t2"), ("answer_b_trace_id", "t1")];
        assert_eq!(metadata, expected.map(|(key, text)| (key, text.to_owned())));
    }

    #[test]
    fn expectations_are_those_of_either_trace() {
        let bare = Trace::default();
        let expecting = Trace { expectations: Map::from_iter([("goal".to_owned(), "x".into())]), ..Trace::default() };
        let orders = Pair::both_orders(Side { name: "a", trace: &bare }, Side { name: "b", trace: &expecting });
        orders.iter().for_each(|pair| assert_eq!(pair.expectations().len(), 1));
    }
}
