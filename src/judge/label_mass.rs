//! A model's confidence in its verdict: the probabilities of the labels at the verdict's position in the answer.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::verdict::{Verdict, VerdictType};
use crate::endpoint::wire::logprobs::{Token, tokens};
use crate::feedback::NOT_WEIGHED_METADATA as NOT_WEIGHED;

/// The most labels of an integer scale: those that the schema enumerates.
const MAX_LABELS: i64 = 21;

/// Less than this of the probability on labels: the model was about to say something else, and its labels say little.
const MIN_MASS: f64 = 0.8;
/// Members of a record's metadata: the share of the verdict's label among all labels; the probability of all of these.
const CONFIDENCE: &str = "confidence";
const LABEL_MASS: &str = "label_mass";
/// What the model wrote, if the value is a mean.
const ANSWERED: &str = "answered";

/// A verdict with what the probabilities of the labels say: the model's confidence; for numbers, their mean in place of the one that the model
/// happened to write. If they say nothing, the verdict stays, and its record says why.
pub(crate) fn weighed(verdict: Verdict, of: &VerdictType, content: &str, logprobs: Option<&str>) -> Verdict {
    if verdict.value.is_null() {
        return verdict;
    }
    let mut verdict = verdict;
    let mut put = |key, text| verdict.details.push((key, text));
    let Some(tokens) = logprobs.and_then(tokens) else {
        put(NOT_WEIGHED, "none".to_owned());
        return verdict;
    };
    let labels = labels(of).unwrap_or_default();
    let Some(mass) = of_answer(content, &tokens, &labels) else {
        put(NOT_WEIGHED, "unread".to_owned());
        return verdict;
    };
    put(LABEL_MASS, format!("{:.4}", mass.mass()));
    if mass.mass() < MIN_MASS {
        put(NOT_WEIGHED, "low".to_owned());
        return verdict;
    }
    put(CONFIDENCE, format!("{:.4}", mass.confidence()));
    if let VerdictType::Integer { min, max } = of {
        put(ANSWERED, verdict.value.to_string());
        #[expect(clippy::cast_precision_loss, reason = "at most 21 of a scale")]
        let numbers: Vec<f64> = (*min..=*max).map(|number| number as f64).collect();
        verdict.value = ((mass.mean(&numbers) * 1e6).round() / 1e6).into();
    }
    verdict
}

/// The probabilities of the labels, in their order.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LabelMass {
    masses: Vec<f64>,
    /// The number of the label that the answer has.
    chosen: usize,
}

impl LabelMass {
    /// The total for all labels. The rest up to 1 is other text, and what is beyond the alternatives that the endpoint gives.
    fn mass(&self) -> f64 {
        self.masses.iter().sum()
    }

    /// The probability of the label that the answer has, among the labels.
    fn confidence(&self) -> f64 {
        self.masses[self.chosen] / self.mass()
    }

    /// The mean of the labels' numbers: Σ s p(s) / Σ p(s).
    ///
    /// Source: Liu et al. (2023), "G-Eval", arXiv 2303.16634, equation 1.
    fn mean(&self, numbers: &[f64]) -> f64 {
        self.masses.iter().zip(numbers).map(|(mass, number)| mass * number).sum::<f64>() / self.mass()
    }
}

/// The labels of a type as an answer has them, in JSON; `None` if there are too many to weigh.
pub(super) fn labels(verdict: &VerdictType) -> Option<Vec<String>> {
    match verdict {
        VerdictType::Boolean => Some(vec!["true".to_owned(), "false".to_owned()]),
        VerdictType::Category { labels } => {
            Some(labels.iter().map(|label| serde_json::Value::from(label.as_str()).to_string()).collect())
        }
        VerdictType::Integer { min, max } if max.saturating_sub(*min) < MAX_LABELS => {
            Some((*min..=*max).map(|number| number.to_string()).collect())
        }
        VerdictType::Integer { .. } | VerdictType::Labels { .. } | VerdictType::Number { .. } => None,
    }
}

#[derive(Deserialize)]
struct OfValue<'a> {
    #[serde(borrow)]
    value: &'a RawValue,
}

/// Weighs the labels where the answer, one JSON object, has its `value`; `None` where its tokens are not those of the answer.
///
/// A label may be several tokens. Along those of the answer the probability is a product; what turns off before is a label's where it can be no
/// other's, and else that of the label which it spells out.
fn of_answer(content: &str, tokens: &[Token], labels: &[String]) -> Option<LabelMass> {
    let OfValue { value } = serde_json::from_str(content).ok()?;
    let value = value.get();
    let chosen = labels.iter().position(|label| label == value)?;
    let start = value.as_ptr() as usize - content.as_ptr() as usize;
    let whole: String = tokens.iter().map(|token| token.text.as_str()).collect();
    // From the end: in the text before, tokens may be parts of characters.
    let at = whole.rfind(content.get(start..)?.trim_end())?;
    let mut masses = vec![0.0; labels.len()];
    let (mut offset, mut reached, mut said) = (0, 1.0, String::new());
    for token in tokens {
        let from = offset;
        offset += token.text.len();
        if offset <= at {
            continue;
        }
        let before = token.text.get(..at.saturating_sub(from))?;
        for (text, logprob) in token.others.iter().filter(|(text, _)| *text != token.text) {
            let Some(rest) = rest(text, before, said.is_empty()) else { continue };
            let spelt = said.clone() + rest;
            if let Some(label) = label_of(labels, &spelt) {
                masses[label] += reached * logprob.exp();
            }
        }
        reached *= token.logprob.exp();
        said += rest(&token.text, before, said.is_empty())?;
        if labels.iter().filter(|label| may_be(label, &said)).count() < 2 {
            break;
        }
    }
    masses[chosen] += reached;
    let is_real = masses.iter().all(|mass| mass.is_finite()) && masses[chosen] > 0.0;
    is_real.then_some(LabelMass { masses, chosen })
}

/// What a token contributes to the value, after the part `before`.
fn rest<'a>(text: &'a str, before: &str, is_first: bool) -> Option<&'a str> {
    match text.strip_prefix(before) {
        Some(rest) if is_first => Some(rest.trim_start()),
        Some(rest) => Some(rest),
        None if before.trim().is_empty() => Some(text.trim_start()),
        None => None,
    }
}

/// Whether a text that has come so far may be this label.
fn may_be(label: &str, said: &str) -> bool {
    label.starts_with(said) || said.strip_prefix(label).is_some_and(ends)
}

/// Whether the value has ended before this.
fn ends(after: &str) -> bool {
    matches!(after.trim_start().chars().next(), None | Some(',' | '}'))
}

fn label_of(labels: &[String], said: &str) -> Option<usize> {
    let mut possible = (0..labels.len()).filter(|number| may_be(&labels[*number], said));
    let (first, another) = (possible.next()?, possible.next());
    if another.is_none() {
        return Some(first).filter(|_| !said.is_empty());
    }
    labels.iter().position(|label| label == said)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str, others: &[(&str, f64)]) -> Token {
        let logprob = others.iter().find(|(other, _)| *other == text).map_or(0.0, |(_, logprob)| *logprob);
        let others = others.iter().map(|(text, logprob)| ((*text).to_owned(), *logprob)).collect();
        Token { text: text.to_owned(), logprob, others }
    }

    fn weighed(verdict: &VerdictType, tokens: &[Token]) -> Option<LabelMass> {
        let content: String = tokens.iter().map(|token| token.text.as_str()).collect();
        of_answer(content.trim_end_matches("<eos>"), tokens, &labels(verdict)?)
    }

    #[track_caller]
    fn close(got: f64, expected: f64) {
        assert!((got - expected).abs() < 1e-9, "{got} is not {expected}");
    }

    const SCALE: VerdictType = VerdictType::Integer { min: 1, max: 5 };

    #[test]
    fn the_score_is_the_mean_over_the_labels() {
        let places = [("4", -0.35), ("5", -1.6), ("3", -2.9), (" 4", -5.0), ("The", -6.0)];
        let mass = weighed(
            &SCALE,
            &[
                token("{\"rationale\":\"4 of", &[]),
                token(" 5\",\"value\":", &[]),
                token("4", &places),
                token("}", &[]),
                token("<eos>", &[]),
            ],
        );
        let mass = mass.unwrap();
        // Computed with Python's math.exp.
        close(mass.mass(), 0.968_345_774_8);
        assert!((mass.mean(&[1.0, 2.0, 3.0, 4.0, 5.0]) - 4.151_674_435).abs() < 1e-8);
        assert!(mass.confidence() > 0.7);
    }

    #[test]
    fn a_preference_of_a_published_evaluation_is_reproduced() {
        // The first row of NullModel in AlpacaEval's annotations: its preference is 1 + P(m) / (P(m) + P(M)).
        let verdict = VerdictType::Category { labels: vec!["m".into(), "M".into()] };
        let places = [("m", -0.010_449_888), ("M", -4.606_984_6)];
        let mass = weighed(&verdict, &[token("{\"value\": \"", &[]), token("m", &places), token("\"}", &[])]).unwrap();
        assert!((mass.confidence() - 0.990_013_997_4).abs() < 1e-9);
    }

    #[test]
    fn a_label_of_several_tokens_is_weighed_along_its_way() {
        let verdict = VerdictType::Category { labels: vec!["answer_a".into(), "answer_b".into(), "tie".into()] };
        let half = 0.5_f64.ln();
        let tokens = [
            token("{\"value\": ", &[]),
            token("\"answer", &[("\"answer", 0.8_f64.ln()), ("\"tie", 0.2_f64.ln())]),
            token("_a", &[("_a", half), ("_b", half)]),
            token("\"}", &[]),
        ];
        let mass = weighed(&verdict, &tokens).unwrap();
        [0.4, 0.4, 0.2].iter().zip(&mass.masses).for_each(|(expected, got)| close(*got, *expected));
    }

    #[test]
    fn one_and_ten_are_told_apart_by_what_follows() {
        let ten = VerdictType::Integer { min: 1, max: 10 };
        let tokens = [
            token("{\"value\":", &[]),
            token("1", &[("1", 0.9_f64.ln()), ("2", 0.1_f64.ln())]),
            token("0", &[("0", 0.75_f64.ln()), ("}", 0.25_f64.ln())]),
            token("}", &[]),
        ];
        let mass = weighed(&ten, &tokens).unwrap();
        close(mass.masses[9], 0.675);
        close(mass.masses[0], 0.225);
        close(mass.masses[1], 0.1);
    }

    #[test]
    fn what_stands_around_the_value_may_be_in_its_token() {
        let tokens = [
            token("{\"value\"", &[]),
            token(": true", &[(": true", 0.7_f64.ln()), (": false", 0.2_f64.ln()), ("?", -3.0)]),
            token("}", &[]),
        ];
        let mass = weighed(&VerdictType::Boolean, &tokens).unwrap();
        close(mass.mass(), 0.9);
        close(mass.confidence(), 0.7 / 0.9);
    }

    #[test]
    fn a_verdict_says_how_sure_it_is_or_why_that_is_not_known() {
        let verdict = |value: i64| Verdict { value: value.into(), rationale: None, details: Vec::new() };
        let logprobs = |others: &str| {
            format!(
                r#"{{"content": [{{"token": "{{\"value\":", "logprob": 0}}, {{"token": "4", "logprob": -0.5, "top_logprobs": [{others}]}}, {{"token": "}}", "logprob": 0}}]}}"#
            )
        };
        let weighed = |logprobs: Option<&str>| super::weighed(verdict(4), &SCALE, "{\"value\":4}", logprobs);
        let sure = weighed(Some(&logprobs(r#"{"token": "5", "logprob": -1}"#)));
        // exp(-0.5) = 0.606531 and exp(-1) = 0.367879.
        assert_eq!(sure.value, 4.377_541);
        assert_eq!(
            sure.details,
            [("label_mass", "0.9744".into()), ("confidence", "0.6225".into()), ("answered", "4".into())]
        );
        let low = weighed(Some(&logprobs("")));
        assert_eq!((low.value, low.details[1].clone()), (4.into(), ("logprobs", "low".into())));
        assert_eq!(weighed(None).details, [("logprobs", "none".into())]);
        assert_eq!(weighed(Some(r#"{"content": []}"#)).details, [("logprobs", "unread".into())]);
    }

    #[test]
    fn other_tokens_other_forms_and_other_types_are_not_weighed() {
        let labels = labels(&SCALE).unwrap();
        let tokens = [token("{\"value\":", &[]), token("4", &[("4", -0.1)]), token("}", &[])];
        for content in ["{\"value\": 5}", "Score: 4", "{\"value\": 4.5}", "{\"score\": 4}", ""] {
            assert!(of_answer(content, &tokens, &labels).is_none(), "{content}");
        }
        assert!(of_answer("{\"value\":4}", &[], &labels).is_none());
        assert!(super::labels(&VerdictType::Number { min: Some(0.0), max: Some(1.0) }).is_none());
        assert!(super::labels(&VerdictType::Integer { min: 0, max: 100 }).is_none());
    }
}
