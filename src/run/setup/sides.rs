//! The sides of a run that compares outputs, and which of their traces belong together.

use serde::{Deserialize, Serialize};

use crate::dataset::Located;
use crate::feedback::{IdHasher, TIE};
use crate::judge::prompt::TemplateError;
use crate::judge::{Expression, Pair, Side, asked};
use crate::trace::Trace;

/// The sides, as in the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SidesPlan {
    /// Their names, in order. Two or more.
    pub names: Vec<String>,
    /// By dataset, the side that it belongs to; empty where the traces of all sides are in the same records, as several mappings to one field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub of_datasets: Vec<usize>,
    /// What traces that belong together have in common: an expression. By default, trace id or record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Whether each pair is shown in one order alone, drawn by its ids.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub one_order: bool,
}

/// Why outputs cannot be compared.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum SidesError {
    #[error("comparing outputs needs two sides or more, not {0}")]
    Few(usize),
    #[error("two sides are named `{0}`")]
    Twice(String),
    #[error("a side cannot be named `{0}`")]
    Name(String),
    #[error("--pair-by")]
    By(#[source] Box<TemplateError>),
}

/// The sides, ready to group traces that belong together.
#[derive(Debug)]
pub struct Sides {
    names: Vec<String>,
    key: Key,
    one_order: bool,
}

/// What traces that belong together have in common.
#[derive(Debug)]
enum Key {
    TraceId,
    Record,
    Expression(Box<Expression>),
}

/// The pairs of the traces with one key.
#[derive(Debug, Default)]
pub(in crate::run) struct Compared<'a> {
    /// Each in both orders, one after the other, or in one.
    pub pairs: Vec<Pair<'a>>,
    /// What a pair lacks.
    pub lacking: Vec<String>,
}

impl Sides {
    /// Compiles the plan.
    ///
    /// # Errors
    /// When there are too few sides, two have the same name, or the expression is invalid.
    pub fn of(plan: &SidesPlan) -> Result<Self, SidesError> {
        let SidesPlan { names, of_datasets, by, one_order } = plan;
        if names.len() < 2 {
            return Err(SidesError::Few(names.len()));
        }
        for (place, name) in names.iter().enumerate() {
            if name.trim().is_empty() || name == TIE || name.chars().any(char::is_control) {
                return Err(SidesError::Name(name.clone()));
            }
            if names[..place].contains(name) {
                return Err(SidesError::Twice(name.clone()));
            }
        }
        let key = match by {
            Some(by) => {
                let compiled = Expression::compile(by).map_err(|error| SidesError::By(Box::new(error)))?;
                Key::Expression(Box::new(compiled))
            }
            None if of_datasets.is_empty() => Key::Record,
            None => Key::TraceId,
        };
        Ok(Self { names: names.clone(), key, one_order: *one_order })
    }

    /// What a trace has in common with those that it is compared with.
    ///
    /// # Errors
    /// Why that is not known.
    pub(in crate::run) fn key(&self, located: &Located<Trace>) -> Result<String, String> {
        let trace = &located.value;
        match &self.key {
            Key::TraceId => Ok(trace.trace_id.clone()),
            Key::Record => Ok(format!("{}:{}:{}", located.file, located.line, located.byte_offset)),
            Key::Expression(by) => {
                let key = by.text(trace).map_err(|reason| format!("{}: --pair-by: {reason}", trace.trace_id))?;
                if key.is_empty() {
                    return Err(format!("{}: --pair-by: the trace has no such value", trace.trace_id));
                }
                Ok(key)
            }
        }
    }

    /// The pairs of traces with one key, in the order of their sides: each side with each. Where a side has several, the first is
    /// compared with the first of the others, and so on.
    pub(in crate::run) fn compared<'a>(&'a self, traces: &'a [Trace]) -> Compared<'a> {
        let of_side = |side: usize| traces.iter().filter(move |trace| trace.side == side);
        let sides = 0..self.names.len();
        let most = sides.clone().map(|side| of_side(side).count()).max().unwrap_or(0);
        let mut compared = Compared::default();
        for number in 0..most {
            let output = |side: usize| Some(Side { name: &self.names[side], trace: of_side(side).nth(number)? });
            let there: Vec<_> = sides.clone().filter_map(output).collect();
            let absent = sides.clone().filter(|side| output(*side).is_none());
            compared.lacking.extend(absent.map(|side| format!("an output of {}", self.names[side])));
            for (place, first) in there.iter().enumerate() {
                for second in &there[place + 1..] {
                    if self.are_of_one_question(first.trace, second.trace) {
                        let orders = Pair::both_orders(*first, *second);
                        let shown = if self.one_order { &orders[drawn(&orders[0])..][..1] } else { &orders };
                        compared.pairs.extend_from_slice(shown);
                    } else {
                        compared.lacking.push("one question on both sides".to_owned());
                    }
                }
            }
        }
        compared
    }

    /// Systems may use one id for different things, unless the user says what belongs together.
    fn are_of_one_question(&self, first: &Trace, second: &Trace) -> bool {
        match (&self.key, &first.inputs, &second.inputs) {
            (Key::TraceId, Some(first), Some(second)) => asked(first) == asked(second),
            _ => true,
        }
    }
}

/// Which of the orders is shown if only one is: the same every time, and each for half of all pairs.
fn drawn(pair: &Pair<'_>) -> usize {
    let mut hasher = IdHasher::new("judge-run order of a pair 1");
    for side in [pair.a, pair.b] {
        hasher.part(side.name.as_bytes()).part(side.trace.trace_id.as_bytes());
    }
    usize::from(hasher.finish_u64() % 2 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sides(names: &[&str], by: Option<&str>) -> Result<Sides, SidesError> {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let of_datasets = (0..names.len()).collect();
        Sides::of(&SidesPlan { names, of_datasets, by: by.map(Into::into), one_order: false })
    }

    fn trace(id: &str, side: usize, question: &str) -> Trace {
        Trace { trace_id: id.into(), side, inputs: Some(question.into()), ..Trace::default() }
    }

    fn found(sides: &Sides, traces: &[Trace]) -> (Vec<String>, Vec<String>) {
        let Compared { pairs, lacking } = sides.compared(traces);
        let written = |pair: &Pair<'_>| {
            let [a, b] = pair.names();
            format!("{a}={} {b}={}", pair.a.trace.trace_id, pair.b.trace.trace_id)
        };
        (pairs.iter().step_by(2).map(written).collect(), lacking)
    }

    #[test]
    fn each_side_is_compared_with_each_and_what_lacks_a_counterpart_is_said() {
        let three = sides(&["a", "b", "c"], None).unwrap();
        let all = [trace("1", 0, "q"), trace("2", 1, "q"), trace("3", 2, "q")];
        assert_eq!(found(&three, &all).0, ["a=1 b=2", "a=1 c=3", "b=2 c=3"]);
        assert_eq!(found(&three, &all[1..]), (vec!["b=2 c=3".into()], vec!["an output of a".into()]));
        let twice = [trace("1", 0, "q"), trace("2", 0, "q"), trace("3", 1, "q"), trace("4", 1, "q")];
        assert_eq!(found(&sides(&["a", "b"], None).unwrap(), &twice).0, ["a=1 b=3", "a=2 b=4"]);
    }

    #[test]
    fn one_id_with_two_questions_is_no_pair_unless_the_user_says_so() {
        let traces = [trace("1", 0, "q"), trace("1", 1, "other")];
        let (pairs, lacking) = found(&sides(&["a", "b"], None).unwrap(), &traces);
        assert_eq!((pairs.len(), lacking), (0, vec!["one question on both sides".to_owned()]));
        assert_eq!(found(&sides(&["a", "b"], Some("trace.tags.item")).unwrap(), &traces).0, ["a=1 b=1"]);
    }

    #[test]
    fn in_one_order_half_of_the_pairs_are_swapped() {
        let sides = Sides { one_order: true, ..sides(&["a", "b"], None).unwrap() };
        let shown_first = |n: usize| {
            let traces = [trace(&format!("t{n}"), 0, "q"), trace(&format!("t{n}"), 1, "q")];
            let pairs = sides.compared(&traces).pairs;
            assert_eq!(pairs.len(), 1);
            pairs[0].names()[0].to_owned()
        };
        let of_a = (0..200).filter(|n| shown_first(*n) == "a").count();
        assert!((70..130).contains(&of_a), "{of_a}");
    }

    #[test]
    fn sides_that_cannot_be_told_apart_are_refused() {
        assert!(matches!(sides(&["a"], None), Err(SidesError::Few(1))));
        assert!(matches!(sides(&["a", "b", "a"], None), Err(SidesError::Twice(name)) if name == "a"));
        for name in ["tie", " ", "a\u{1b}[2J"] {
            assert!(matches!(sides(&["a", name], None), Err(SidesError::Name(_))), "{name:?}");
        }
        assert!(matches!(sides(&["a", "b"], Some("inputs.")), Err(SidesError::By(_))));
    }

    #[test]
    fn what_belongs_together_is_the_trace_id_the_record_or_what_the_user_says() {
        let located = |line| Located { file: "f".into(), line, byte_offset: 7, value: trace("t", 0, "q") };
        let key = |by| sides(&["a", "b"], by).unwrap().key(&located(3));
        assert_eq!(key(None), Ok("t".to_owned()));
        assert_eq!(key(Some("inputs")), Ok("q".to_owned()));
        assert!(key(Some("trace.tags.item")).unwrap_err().starts_with("t: --pair-by: "));
        let names = vec!["a".to_owned(), "b".to_owned()];
        let of_records = Sides::of(&SidesPlan { names, of_datasets: Vec::new(), by: None, one_order: false }).unwrap();
        assert_ne!(of_records.key(&located(3)), of_records.key(&located(4)));
    }
}
