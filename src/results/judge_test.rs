//! Whether a judge on a model judges as it should: its verdicts compared with those of minimal pairs, or of people.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use judge_run_statistics::Error;
use judge_run_statistics::paired::{PairedCounts, tango};
use judge_run_statistics::proportion::{clopper_pearson, wilson};
use serde::Serialize;
use serde_json::Value;

use crate::feedback::{Feedback, Good};
use crate::judge::Judge;
use crate::judge::suite::{Case, Variant};

/// The level of the intervals.
pub(super) const LEVEL: f64 = 0.95;
/// The level of a two-sided interval whose lower end is a one-sided 95 % bound.
const ONE_SIDED: f64 = 0.90;
/// Numbers that differ by less than this fraction of their scale are the same verdict.
const SAME_NUMBER: f64 = 0.1;
/// A number is as expected within this fraction of its scale.
const AS_EXPECTED: f64 = 0.02;

/// The verdicts of a judge, by trace: null is an abstention, and a failure has none.
pub type Verdicts<'a> = HashMap<Cow<'a, str>, &'a Feedback>;

/// What came of a test by minimal pairs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TestReport {
    /// The judge's name.
    pub judge: String,
    /// Its version.
    pub version: u32,
    /// Its digest.
    pub digest: String,
    /// The model URI.
    pub model: String,
    /// Traces with an answer, an abstention included.
    pub n: u64,
    /// Traces without one: in no share.
    pub n_failed: u64,
    /// Abstentions among the answers.
    pub n_abstained: u64,
    /// The share of right answers.
    pub accuracy: Share,
    /// The share of pairs with both right.
    pub pairs: Counted,
    /// How often the verdict changed without a reason, by what was changed.
    pub flips: BTreeMap<&'static str, Flips>,
    /// The wrong answers.
    pub wrong: Vec<Wrong>,
}

/// A share, with its 95 % interval (Wilson's).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Share {
    /// The share; none of nothing.
    pub estimate: Option<f64>,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// How many of how many.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Counted {
    /// All.
    pub n: u64,
    /// Those that are counted.
    pub count: u64,
    /// The share.
    #[serde(flatten)]
    pub share: Share,
}

/// How often verdicts changed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Flips {
    /// How many of how many.
    #[serde(flatten)]
    pub flips: Counted,
    /// How much more often than when nothing was changed, over the same traces: the difference, with its 95 % interval (Tango's). Of the placebo
    /// itself none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beyond_placebo: Option<Share>,
}

/// A wrong answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Wrong {
    /// The trace.
    pub trace_id: String,
    /// In what the two of the pair differ.
    pub differs: String,
    /// Any of these would have been right.
    pub expected: Vec<Value>,
    /// The judge's verdict; null is an abstention.
    pub value: Value,
    /// Why.
    pub rationale: Option<String>,
}

/// The result of a test with people's labels.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Certificate {
    /// Traces with a verdict by people and by the judge.
    pub n: u64,
    /// Labels without a verdict of the judge: failures, abstentions, traces that are not there.
    pub n_without_verdict: u64,
    /// The share on which both agree.
    pub agreement: Share,
    /// The share that the judge finds good of those that people find good.
    pub sensitivity: Bound,
    /// The share that the judge finds bad of those that people find bad.
    pub specificity: Bound,
    /// The value that both lower bounds have to reach.
    pub bar: f64,
    /// Whether they do.
    pub certified: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A share, with its one-sided 95 % lower bound (Clopper and Pearson's, which is exact).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bound {
    /// All.
    pub n: u64,
    /// The share; none of nothing.
    pub estimate: Option<f64>,
    /// The lower bound.
    pub low: f64,
}

fn answer_of<'a>(verdicts: &Verdicts<'a>, trace_id: &str) -> Option<&'a Value> {
    answer(verdicts.get(trace_id)?)
}

/// A record's verdict; null is an abstention. `None` for a failure.
pub fn answer(feedback: &Feedback) -> Option<&Value> {
    const ABSTAINED: &Value = &Value::Null;
    match (&feedback.value, &feedback.error) {
        (Some(value), None) => Some(value),
        (_, Some(error)) if error.error_code.is_abstention() => Some(ABSTAINED),
        _ => None,
    }
}

/// Whether a verdict is as expected, or the same as another, within a part of the scale.
fn same(judge: &Judge, one: &Value, other: &Value, tolerance: f64) -> bool {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => {
            let range = match judge.verdict.scale() {
                (Some(min), Some(max)) => max - min,
                _ => 1.0,
            };
            (one - other).abs() <= tolerance * range
        }
        _ => one == other,
    }
}

fn share(count: u64, n: u64) -> Result<Share, Error> {
    let interval = wilson(count, n, LEVEL)?;
    Ok(Share { estimate: ratio(count, n), low: interval.lower, high: interval.upper })
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn ratio(count: u64, n: u64) -> Option<f64> {
    (n > 0).then(|| count as f64 / n as f64)
}

pub(super) fn counted(outcomes: impl IntoIterator<Item = bool>) -> Result<Counted, Error> {
    let (mut n, mut count) = (0, 0);
    for outcome in outcomes {
        n += 1;
        count += u64::from(outcome);
    }
    Ok(Counted { n, count, share: share(count, n)? })
}

/// Compares the verdicts of a judge on a model with those of minimal pairs.
///
/// # Errors
/// Never, since the level of the intervals is valid.
pub fn of_cases(judge: &Judge, model: &str, cases: &[Case], verdicts: &Verdicts<'_>) -> Result<TestReport, Error> {
    let plain: Vec<&Case> = cases.iter().filter(|case| case.variant == Variant::Plain).collect();
    let is_right =
        |case: &Case, value: &Value| case.expected.iter().any(|right| same(judge, right, value, AS_EXPECTED));
    let answered: Vec<(&Case, &Value)> =
        plain.iter().filter_map(|case| Some((*case, answer_of(verdicts, &case.trace_id)?))).collect();
    let accuracy = counted(answered.iter().map(|(case, value)| is_right(case, value)))?;
    let pairs = counted(plain.chunks(2).filter_map(|pair| {
        let right = |case: &&Case| Some(is_right(case, answer_of(verdicts, &case.trace_id)?));
        Some(pair.iter().map(right).collect::<Option<Vec<_>>>()?.into_iter().all(|right| right))
    }))?;
    let wrong = answered.iter().filter(|(case, value)| !is_right(case, value)).map(|(case, value)| Wrong {
        trace_id: case.trace_id.clone(),
        differs: case.differs.clone(),
        expected: case.expected.clone(),
        value: (*value).clone(),
        rationale: verdicts.get(case.trace_id.as_str()).and_then(|feedback| feedback.rationale.clone()),
    });
    Ok(TestReport {
        judge: judge.name.clone(),
        version: judge.version,
        digest: judge.digest().to_owned(),
        model: model.to_owned(),
        n: accuracy.n,
        n_failed: plain.len() as u64 - accuracy.n,
        n_abstained: answered.iter().filter(|(_, value)| value.is_null()).count() as u64,
        accuracy: accuracy.share,
        pairs,
        flips: flips(judge, cases, verdicts)?,
        wrong: wrong.collect(),
    })
}

/// Whether each trace's verdict changed, by variant and trace.
fn flips(judge: &Judge, cases: &[Case], verdicts: &Verdicts<'_>) -> Result<BTreeMap<&'static str, Flips>, Error> {
    let key = |case: &Case| case.trace_id.rsplit_once('/').map_or("", |(key, _)| key).to_owned();
    let of_plain: HashMap<String, &Value> = cases
        .iter()
        .filter(|case| case.variant == Variant::Plain)
        .filter_map(|case| Some((key(case), answer_of(verdicts, &case.trace_id)?)))
        .collect();
    let changed = |variant: Variant| -> HashMap<String, bool> {
        let cases = cases.iter().filter(|case| case.variant == variant);
        let changed = cases.filter_map(|case| {
            let (key, value) = (key(case), answer_of(verdicts, &case.trace_id)?);
            let is_changed = !same(judge, of_plain.get(&key)?, value, SAME_NUMBER);
            Some((key, is_changed))
        });
        changed.collect()
    };
    let placebo = changed(Variant::Placebo);
    let mut all = BTreeMap::new();
    for variant in Variant::OTHERS {
        let changed = changed(variant);
        if changed.is_empty() {
            continue;
        }
        let beyond_placebo = if variant == Variant::Placebo {
            None
        } else {
            let both = changed.iter().filter_map(|(key, changed)| Some((*placebo.get(key)?, *changed)));
            let pairs: PairedCounts = both.collect();
            let interval = tango(&pairs, LEVEL)?;
            Some(Share { estimate: pairs.difference(), low: interval.lower, high: interval.upper })
        };
        all.insert(variant.as_str(), Flips { flips: counted(changed.into_values())?, beyond_placebo });
    }
    Ok(all)
}

/// Compares the verdicts of a judge with people's labels, each good or bad, by trace.
///
/// # Errors
/// Never, since the level of the bounds is valid.
pub fn of_labels(
    good: &Good,
    labels: &BTreeMap<String, bool>,
    verdicts: &Verdicts<'_>,
    bar: f64,
) -> Result<Certificate, Error> {
    let both: Vec<(bool, bool)> = labels
        .iter()
        .filter_map(|(trace_id, human)| Some((*human, good.is_good(answer_of(verdicts, trace_id)?)?)))
        .collect();
    let bound = |human_says: bool| {
        let of = both.iter().filter(|(human, _)| *human == human_says);
        let (n, count) = of.fold((0, 0), |(n, count), (human, judge)| (n + 1, count + u64::from(human == judge)));
        let low = clopper_pearson(count, n, ONE_SIDED)?.lower;
        Ok(Bound { n, estimate: ratio(count, n), low })
    };
    let (sensitivity, specificity) = (bound(true)?, bound(false)?);
    let agreement = counted(both.iter().map(|(human, judge)| human == judge))?.share;
    let short = [("sensitivity", sensitivity, "good"), ("specificity", specificity, "bad")];
    let short: Vec<_> = short
        .iter()
        .filter(|(_, bound, _)| bound.low < bar)
        .map(|(name, Bound { n, low, .. }, label)| {
            format!("{name} is only shown to be at least {low:.3}, with {n} {label} traces")
        })
        .collect();
    Ok(Certificate {
        n: both.len() as u64,
        n_without_verdict: (labels.len() - both.len()) as u64,
        agreement,
        sensitivity,
        specificity,
        bar,
        certified: short.is_empty(),
        reason: (!short.is_empty()).then(|| short.join("; ")),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::feedback::{ErrorCode, FeedbackError};
    use crate::judge::suite::Suite;

    fn judge() -> Judge {
        let text =
            "[verdict]\ntype = \"boolean\"\ngood = true\nunknown = true\n[prompt]\nuser = \"{{ answer | fence }}\"";
        Judge::compile("j", text, "j").unwrap()
    }

    fn feedback(value: Option<Value>, code: Option<ErrorCode>) -> Feedback {
        let error = code.map(|code| FeedbackError { error_code: code.into(), error_message: None, stack_trace: None });
        Feedback { value, error, ..Feedback::default() }
    }

    const PAIRS: &str = r#"{"pair": "a", "differs": "d", "both": {"documents": ["x", "y"]}, "one": {"expected": true, "answer": "A"}, "other": {"expected": false, "answer": "B"}}
{"pair": "b", "differs": "e", "both": {}, "one": {"expected": null, "answer": "A"}, "other": {"expected": false, "answer": "B"}}"#;

    #[test]
    fn answers_are_held_against_what_is_expected_and_against_themselves() {
        let cases = Suite::read("j", PAIRS).unwrap().cases();
        let records: Vec<(&Case, Feedback)> = cases
            .iter()
            .map(|case| {
                let feedback = match (case.trace_id.as_str(), case.variant) {
                    ("b/other/plain", _) => feedback(None, Some(ErrorCode::Timeout)),
                    ("a/other/plain", _) => feedback(Some(json!(true)), None),
                    ("a/one/length" | "a/one/order" | "a/other/length", _) => feedback(Some(json!(false)), None),
                    (id, _) if id.starts_with("b/one") => feedback(None, Some(ErrorCode::Abstained)),
                    _ => feedback(Some(json!(true)), None),
                };
                (case, feedback)
            })
            .collect();
        let verdicts = records.iter().map(|(case, feedback)| (case.trace_id.as_str().into(), feedback)).collect();
        let report = of_cases(&judge(), "e:/m", &cases, &verdicts).unwrap();
        assert_eq!((report.n, report.n_failed, report.n_abstained), (3, 1, 1), "a failure is in no share");
        assert_eq!(report.accuracy.estimate, Some(2.0 / 3.0));
        assert_eq!((report.pairs.n, report.pairs.count), (1, 0));
        let wrong: Vec<_> = report.wrong.iter().map(|wrong| wrong.trace_id.as_str()).collect();
        assert_eq!(wrong, ["a/other/plain"]);
        let counts = |name: &str| (report.flips[name].flips.n, report.flips[name].flips.count);
        assert_eq!(
            (counts("placebo"), counts("length"), counts("order"), counts("style")),
            ((3, 0), (3, 2), (2, 1), (3, 0))
        );
        assert_eq!(report.flips["length"].beyond_placebo.unwrap().estimate, Some(2.0 / 3.0));
        assert_eq!(report.flips["placebo"].beyond_placebo, None);
    }

    #[test]
    fn a_judge_is_certified_by_both_lower_bounds() {
        let certificate = |right: u64, wrong: u64| {
            let mut labels = BTreeMap::new();
            let mut records = Vec::new();
            for human in [true, false] {
                for n in 0..right + wrong {
                    let id = format!("{human}-{n}");
                    labels.insert(id.clone(), human);
                    records.push((id, feedback(Some(json!(if n < right { human } else { !human })), None)));
                }
            }
            labels.insert("gone".to_owned(), true);
            let verdicts = records.iter().map(|(id, feedback)| (id.as_str().into(), feedback)).collect();
            of_labels(&Good::Boolean(true), &labels, &verdicts, 0.8).unwrap()
        };
        let good = certificate(50, 2);
        assert!(good.certified && good.reason.is_none() && good.n == 104 && good.n_without_verdict == 1);
        // The share for which 50 of 52 or more occur in 5 of 100 samples, by bisection over the binomial distribution.
        assert!((good.sensitivity.low - 0.883_832_5).abs() < 1e-6, "{}", good.sensitivity.low);
        let few = certificate(10, 0);
        assert_eq!(few.agreement.estimate, Some(1.0));
        assert!(!few.certified && few.reason.unwrap().contains("10 good traces"), "0.05^(1/10) = 0.741");
        assert!((few.specificity.low - 0.05_f64.powf(0.1)).abs() < 1e-9);
    }
}
