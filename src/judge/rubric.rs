//! Several criteria that are judged together: one request, one verdict for each.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::abstain;
use super::labels::LabelTraits;
use super::verdict::VerdictType;
use crate::feedback::{Good, IdHasher};

/// The criteria of a rubric whose verdicts come to one, each with the verdicts on it that are good.
pub type Aggregated = Vec<(String, Good)>;

/// The most criteria of one rubric: more are not judged with care.
const MAX_CRITERIA: usize = 20;

/// Criteria for each of which one answer gives a verdict.
#[derive(Debug, Clone, PartialEq)]
pub struct Rubric {
    /// In the order of the judge file.
    pub criteria: Vec<Criterion>,
    /// Whether each trace is shown the criteria in its own order: the position of a criterion shifts its verdicts.
    pub is_shuffled: bool,
}

/// What is judged by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Criterion {
    /// The key in the answer, and the end of the feedback's name.
    pub name: String,
    /// What it means, for the model.
    pub description: String,
    /// What it may be answered with.
    pub verdict: VerdictType,
    /// What is declared of its labels.
    pub labels: LabelTraits,
    /// Whether the judge may say that the material does not allow a verdict on it.
    pub can_abstain: bool,
    /// Which verdicts are good.
    pub good: Option<Good>,
}

impl Rubric {
    /// Checks the criteria.
    ///
    /// # Errors
    /// What is wrong with them, as a sentence fragment.
    pub(super) fn new(criteria: Vec<Criterion>, is_shuffled: bool) -> Result<Self, String> {
        let is_name = |name: &str| {
            name.starts_with(|c: char| c.is_ascii_lowercase())
                && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        };
        if criteria.len() < 2 || criteria.len() > MAX_CRITERIA {
            return Err(format!("a rubric has 2 to {MAX_CRITERIA} [[criteria]], not {}", criteria.len()));
        }
        for (place, Criterion { name, description, .. }) in criteria.iter().enumerate() {
            if !is_name(name) {
                return Err(format!("`name` may only have lower-case letters, digits and `_`, unlike `{name}`"));
            }
            if criteria[..place].iter().any(|other| other.name == *name) {
                return Err(format!("two criteria are named `{name}`"));
            }
            if description.trim().is_empty() {
                return Err(format!("the criterion `{name}` has no `description`, which is what the model is told"));
            }
        }
        Ok(Self { criteria, is_shuffled })
    }

    /// All criteria with what is good, for one verdict on whether all of them are.
    ///
    /// # Errors
    /// The criterion that does not say it.
    pub(super) fn aggregated(&self) -> Result<Aggregated, String> {
        let needs = |criterion: &Criterion, what| {
            Err(format!(
                "`{}`: `aggregate = \"all\"` needs to know which verdicts are good: add {what}",
                criterion.name
            ))
        };
        let of_criterion = |criterion: &Criterion| match (&criterion.good, &criterion.verdict) {
            (Some(Good::Scale { threshold: None, .. }), _) => needs(criterion, "`threshold`"),
            (Some(good), _) => Ok((criterion.name.clone(), good.clone())),
            (None, VerdictType::Integer { .. } | VerdictType::Number { .. }) => {
                needs(criterion, "`better` and `threshold`")
            }
            (None, _) => needs(criterion, "`good`"),
        };
        self.criteria.iter().map(of_criterion).collect()
    }

    /// How many orders there are: each begins with another criterion, so that each criterion is at each position equally often, and the
    /// prompts stay few enough for providers' caches.
    pub(super) fn orders(&self) -> usize {
        if self.is_shuffled { self.criteria.len() } else { 1 }
    }

    /// The order for a trace: always the same one for the same trace.
    pub(super) fn order_for(&self, trace_id: &str) -> usize {
        let hash = IdHasher::new("judge-run order of criteria 1").part(trace_id.as_bytes()).finish_u64();
        usize::try_from(hash % self.orders() as u64).unwrap_or(0)
    }

    fn in_order(&self, order: usize) -> impl Iterator<Item = &Criterion> {
        let (first, rest) = self.criteria.split_at(order.min(self.criteria.len()));
        rest.iter().chain(first)
    }

    /// The JSON schema of the answer, in the subset that every strict endpoint takes.
    pub(super) fn json_schema(&self, order: usize) -> Value {
        self.schema(order, |verdict| verdict.json_schema())
    }

    /// The same for endpoints that enforce more keywords.
    pub(super) fn bounded_json_schema(&self, order: usize, max_rationale_chars: u32) -> Value {
        self.schema(order, |verdict| verdict.bounded_json_schema(max_rationale_chars))
    }

    fn schema(&self, order: usize, of: impl Fn(&VerdictType) -> Value) -> Value {
        let of_criterion = |Criterion { name, verdict, can_abstain, .. }: &Criterion| {
            (name.clone(), if *can_abstain { abstain::schema(of(verdict)) } else { of(verdict) })
        };
        let properties: Map<_, _> = self.in_order(order).map(of_criterion).collect();
        let required: Vec<_> = properties.keys().cloned().collect();
        json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
    }

    /// What the prompt says about the criteria and the form of the answer.
    pub(super) fn instructions(&self, order: usize, length: &str) -> String {
        let mut text = "Judge each of these criteria by itself, whatever the others come to:\n".to_owned();
        // Writing to a string cannot fail.
        for Criterion { name, description, .. } in self.in_order(order) {
            let _ = writeln!(text, "\"{name}\": {}", description.trim());
        }
        let keys: Vec<_> = self.in_order(order).map(|criterion| format!("\"{}\"", criterion.name)).collect();
        let _ = write!(
            text,
            "\nAnswer with one JSON object and nothing else. It has exactly these {} keys, in this order: {}. Each is an object with \
             exactly these two keys, in this order:\n\
             \"rationale\": a string, your reasoning in {length}; write it before you decide.\n\
             \"value\": your verdict on the criterion:",
            keys.len(),
            keys.join(", ")
        );
        for Criterion { name, verdict, .. } in self.in_order(order) {
            let _ = write!(text, "\n- \"{name}\": {verdict}");
        }
        let forms = self.in_order(order).map(|Criterion { name, verdict, .. }| {
            let value = match verdict {
                VerdictType::Category { .. } => Value::from(format!("<{verdict}>")).to_string(),
                _ => format!("<{verdict}>"),
            };
            format!("\"{name}\":{{\"rationale\":\"<your reasoning>\",\"value\":{value}}}")
        });
        let _ = write!(text, "\nForm: {{{}}}", forms.collect::<Vec<_>>().join(","));
        let open = self.in_order(order).filter(|criterion| criterion.can_abstain);
        let open: Vec<_> = open.map(|criterion| format!("\"{}\"", criterion.name)).collect();
        if !open.is_empty() {
            text += &abstain::instructions_for(&open.join(", "));
        }
        text
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::judge) fn rubric() -> Rubric {
        let criterion = |name: &str, verdict| Criterion {
            name: name.to_owned(),
            description: format!("What {name} means."),
            verdict,
            labels: LabelTraits::default(),
            can_abstain: false,
            good: None,
        };
        let scale = VerdictType::Integer { min: 1, max: 4 };
        let label = VerdictType::Category { labels: vec!["a".into(), "b".into()] };
        let criteria =
            vec![criterion("faithful", VerdictType::Boolean), criterion("clear", scale), criterion("kind", label)];
        Rubric::new(criteria, true).unwrap()
    }

    #[test]
    fn criteria_are_checked() {
        let error = |change: &dyn Fn(&mut Vec<Criterion>)| {
            let mut criteria = rubric().criteria;
            change(&mut criteria);
            Rubric::new(criteria, true).unwrap_err()
        };
        assert!(error(&|criteria| criteria.truncate(1)).contains("2 to 20 [[criteria]], not 1"));
        assert!(error(&|criteria| criteria[1].name = "faithful".into()).contains("two criteria are named `faithful`"));
        assert!(error(&|criteria| criteria[0].name = "a.b".into()).contains("unlike `a.b`"));
        assert!(error(&|criteria| criteria[0].description = " ".into()).contains("has no `description`"));
    }

    #[test]
    fn every_criterion_stands_at_every_place_and_a_trace_keeps_its_order() {
        let rubric = rubric();
        let keys = |order| rubric.json_schema(order)["required"].as_array().unwrap().clone();
        assert_eq!(keys(0), ["faithful", "clear", "kind"]);
        assert_eq!(keys(1), ["clear", "kind", "faithful"]);
        assert_eq!(keys(2), ["kind", "faithful", "clear"]);
        assert_eq!(rubric.order_for("t"), rubric.order_for("t"));
        let orders: std::collections::BTreeSet<_> = (0..50).map(|n| rubric.order_for(&format!("t{n}"))).collect();
        assert_eq!(orders.len(), 3);
        let fixed = Rubric { is_shuffled: false, ..rubric };
        assert!((0..50).all(|n| fixed.order_for(&format!("t{n}")) == 0));
    }

    #[test]
    fn a_criterion_that_may_be_left_open_takes_null_in_schema_and_words() {
        let mut rubric = rubric();
        rubric.criteria[1].can_abstain = true;
        let schema = rubric.json_schema(0);
        let value = |name: &str| schema["properties"][name]["properties"]["value"].clone();
        assert_eq!(value("clear")["anyOf"][1], json!({"type": "null"}));
        assert_eq!(value("faithful")["anyOf"], Value::Null);
        let words = rubric.instructions(1, "one sentence");
        assert!(
            words.ends_with("its \"value\" is null, and its rationale says what is missing: \"clear\"."),
            "{words}"
        );
    }

    #[test]
    fn the_form_is_shown_with_the_criteria_in_their_order() {
        let words = rubric().instructions(1, "one sentence");
        assert!(words.contains("\"clear\": What clear means.\n\"kind\": What kind means.\n\"faithful\":"), "{words}");
        let form = r#"Form: {"clear":{"rationale":"<your reasoning>","value":<an integer from 1 to 4>},"kind":{"rationale":"<your reasoning>","value":"<one of \"a\", \"b\">"},"faithful":{"rationale":"<your reasoning>","value":<true or false>}}"#;
        assert!(words.ends_with(form), "{words}");
    }
}
