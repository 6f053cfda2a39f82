//! Whether a judge on a model judges as it should: its verdicts compared with those of minimal pairs.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use judge_run_statistics::Error;
use judge_run_statistics::paired::{PairedCounts, tango};
use judge_run_statistics::proportion::wilson;
use serde::Serialize;
use serde_json::Value;

use crate::feedback::Feedback;
use crate::judge::Judge;
use crate::judge::suite::{Case, Variant};

/// The level of the intervals.
pub(super) const LEVEL: f64 = 0.95;
/// Numbers that differ by less than this fraction of their scale are the same verdict.
const SAME_NUMBER: f64 = 0.1;
/// A number is as expected within this fraction of its scale.
const AS_EXPECTED: f64 = 0.02;

/// The verdicts of a judge, by trace: null is an abstention, and a failure has none.
pub type Verdicts<'a> = HashMap<Cow<'a, str>, &'a Feedback>;

/// A judge, or a criterion of a rubric, and what it said.
#[derive(Debug)]
pub struct Tested<'a> {
    /// The judge.
    pub judge: &'a Judge,
    /// Its verdicts.
    pub verdicts: Verdicts<'a>,
}

/// What came of a test by minimal pairs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TestReport {
    /// The judge's name; of a rubric the name of its file.
    pub judge: String,
    /// Its version.
    pub version: u32,
    /// Its digest; `None` of a rubric with a request, and so a digest, for each criterion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The model URI.
    pub model: String,
    /// The figures; of a rubric those of all criteria together: a trace is right if every expected verdict about it is, and changed if any verdict is.
    #[serde(flatten)]
    pub figures: Figures,
    /// Of a rubric: by criterion.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub criteria: BTreeMap<String, CriterionReport>,
    /// The wrong answers.
    pub wrong: Vec<Wrong>,
}

/// What came of a test of one criterion.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CriterionReport {
    /// The criterion's digest.
    pub digest: String,
    /// Over the traces for which a verdict on it is expected, and the pairs that differ in it.
    #[serde(flatten)]
    pub figures: Figures,
}

/// Figures over traces. One trace counts once, however many criteria it was judged by: the verdicts about a trace depend on each other, and an
/// interval that took them for independent would be too narrow.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
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
    /// Of a rubric: the criterion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub criterion: Option<String>,
    /// In what the two of the pair differ.
    pub differs: String,
    /// Any of these would have been right.
    pub expected: Vec<Value>,
    /// The judge's verdict; null is an abstention.
    pub value: Value,
    /// Why.
    pub rationale: Option<String>,
}

pub(super) fn answer_of<'a>(verdicts: &Verdicts<'a>, trace_id: &str) -> Option<&'a Value> {
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
pub(super) fn ratio(count: u64, n: u64) -> Option<f64> {
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

/// Compares the verdicts of a judge, or of the criteria of a rubric, on a model with those of minimal pairs.
///
/// # Errors
/// Never, since the level of the intervals is valid.
pub fn of_cases(name: &str, model: &str, tested: &[Tested<'_>], cases: &[Case]) -> Result<TestReport, Error> {
    let digest = tested.first().map_or("", |tested| tested.judge.digest());
    let of_criterion = |tested: &Tested<'_>| {
        let criterion = tested.judge.criterion()?;
        let digest = tested.judge.digest().to_owned();
        let figures = figures(std::slice::from_ref(tested), cases);
        Some(figures.map(|figures| (criterion.to_owned(), CriterionReport { digest, figures })))
    };
    let is_rubric = tested.len() > 1;
    Ok(TestReport {
        judge: name.to_owned(),
        version: tested.first().map_or(0, |tested| tested.judge.version),
        digest: tested.iter().all(|tested| tested.judge.digest() == digest).then(|| digest.to_owned()),
        model: model.to_owned(),
        figures: figures(tested, cases)?,
        criteria: tested.iter().filter(|_| is_rubric).filter_map(of_criterion).collect::<Result<_, _>>()?,
        wrong: plain(cases).flat_map(|case| tested.iter().filter_map(|tested| wrong(tested, case))).collect(),
    })
}

fn plain(cases: &[Case]) -> impl Iterator<Item = &Case> {
    cases.iter().filter(|case| case.variant == Variant::Plain)
}

impl Tested<'_> {
    fn answer(&self, case: &Case) -> Option<&Value> {
        answer_of(&self.verdicts, &case.trace_id)
    }

    /// What is right, if anything is expected.
    fn expected<'c>(&self, case: &'c Case) -> Option<&'c [Value]> {
        case.expected.get(&self.judge.name).map(Vec::as_slice)
    }

    fn is_right(&self, expected: &[Value], answer: &Value) -> bool {
        expected.iter().any(|right| same(self.judge, right, answer, AS_EXPECTED))
    }
}

/// The answers about a trace of which something is expected, and whether each is right. `None` if there is no answer to one of them.
fn outcomes<'a>(tested: &'a [Tested<'_>], case: &Case) -> Option<Vec<(&'a Value, bool)>> {
    let expected = tested.iter().filter_map(|tested| Some((tested, tested.expected(case)?)));
    let outcome = |(tested, right): (&'a Tested<'_>, &[Value])| {
        let answer = tested.answer(case)?;
        Some((answer, tested.is_right(right, answer)))
    };
    expected.map(outcome).collect()
}

fn figures(tested: &[Tested<'_>], cases: &[Case]) -> Result<Figures, Error> {
    let is_asked = |case: &&Case| tested.iter().any(|tested| tested.expected(case).is_some());
    let plain: Vec<&Case> = plain(cases).filter(is_asked).collect();
    let answered: Vec<_> = plain.iter().filter_map(|case| outcomes(tested, case)).collect();
    let all_right = |outcomes: &[(&Value, bool)]| outcomes.iter().all(|(_, is_right)| *is_right);
    let accuracy = counted(answered.iter().map(|outcomes| all_right(outcomes)))?;
    // Of a criterion, only those pairs say something that differ in it.
    let differs = |pair: &&[&Case]| match (tested, pair) {
        ([of], [one, other]) if of.judge.criterion().is_some() => of.expected(one) != of.expected(other),
        _ => pair.len() == 2,
    };
    let pairs = counted(plain.chunk_by(|one, other| one.pair == other.pair).filter(differs).filter_map(|pair| {
        let right = |case: &&Case| outcomes(tested, case).map(|outcomes| all_right(&outcomes));
        Some(pair.iter().map(right).collect::<Option<Vec<_>>>()?.into_iter().all(|right| right))
    }))?;
    let has_abstained = |outcomes: &&Vec<(&Value, bool)>| outcomes.iter().any(|(value, _)| value.is_null());
    Ok(Figures {
        n: accuracy.n,
        n_failed: plain.len() as u64 - accuracy.n,
        n_abstained: answered.iter().filter(has_abstained).count() as u64,
        accuracy: accuracy.share,
        pairs,
        flips: flips(tested, cases)?,
    })
}

fn wrong(tested: &Tested<'_>, case: &Case) -> Option<Wrong> {
    let (expected, answer) = (tested.expected(case)?, tested.answer(case)?);
    (!tested.is_right(expected, answer)).then(|| Wrong {
        trace_id: case.trace_id.clone(),
        criterion: tested.judge.criterion().map(ToOwned::to_owned),
        differs: case.differs.clone(),
        expected: expected.to_vec(),
        value: answer.clone(),
        rationale: tested.verdicts.get(case.trace_id.as_str()).and_then(|feedback| feedback.rationale.clone()),
    })
}

/// Whether each trace's verdict changed, by variant and trace; of several criteria, whether any of them did.
fn flips(tested: &[Tested<'_>], cases: &[Case]) -> Result<BTreeMap<&'static str, Flips>, Error> {
    let key = |case: &Case| case.trace_id.rsplit_once('/').map_or("", |(key, _)| key).to_owned();
    let answers = |case: &Case| tested.iter().map(|tested| tested.answer(case)).collect::<Option<Vec<_>>>();
    let of_plain: HashMap<String, Vec<&Value>> =
        plain(cases).filter_map(|case| Some((key(case), answers(case)?))).collect();
    let changed = |variant: Variant| -> HashMap<String, bool> {
        let cases = cases.iter().filter(|case| case.variant == variant);
        let changed = cases.filter_map(|case| {
            let (key, now) = (key(case), answers(case)?);
            let mut before = of_plain.get(&key)?.iter().zip(now).zip(tested);
            let is_changed = before.any(|((before, now), tested)| !same(tested.judge, before, now, SAME_NUMBER));
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::feedback::{ErrorCode, FeedbackError};
    use crate::judge::{Given, suite};

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
        let judge = judge();
        let cases = suite::read(std::slice::from_ref(&judge), PAIRS, |_| Ok(Vec::new())).unwrap();
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
        let report = of_cases("j", "e:/m", &[Tested { judge: &judge, verdicts }], &cases).unwrap();
        assert!(report.criteria.is_empty() && report.digest.as_deref() == Some(judge.digest()));
        let (figures, wrong) = (report.figures, report.wrong);
        assert_eq!((figures.n, figures.n_failed, figures.n_abstained), (3, 1, 1), "a failure is in no share");
        assert_eq!(figures.accuracy.estimate, Some(2.0 / 3.0));
        assert_eq!((figures.pairs.n, figures.pairs.count), (1, 0));
        let wrong: Vec<_> = wrong.iter().map(|wrong| wrong.trace_id.as_str()).collect();
        assert_eq!(wrong, ["a/other/plain"]);
        let counts = |name: &str| (figures.flips[name].flips.n, figures.flips[name].flips.count);
        assert_eq!(
            (counts("placebo"), counts("length"), counts("order"), counts("style")),
            ((3, 0), (3, 2), (2, 1), (3, 0))
        );
        assert_eq!(figures.flips["length"].beyond_placebo.unwrap().estimate, Some(2.0 / 3.0));
        assert_eq!(figures.flips["placebo"].beyond_placebo, None);
    }

    const OF_RUBRIC: &str = r#"{"pair": "a", "differs": "d", "both": {}, "one": {"expected": {"x": true, "y": true}, "answer": ""}, "other": {"expected": {"x": false, "y": true}, "answer": ""}}
{"pair": "b", "differs": "e", "both": {}, "one": {"expected": {"y": true}, "answer": ""}, "other": {"expected": {"y": false}, "answer": ""}}"#;

    #[test]
    fn a_rubric_is_right_about_a_trace_if_every_expected_verdict_is() {
        let criterion = |name: &str| {
            format!(
                "[[criteria]]\nname = \"{name}\"\ndescription = \"{name}\"\nverdict = {{ type = \"boolean\", good = true }}\n"
            )
        };
        let (x, y) = (criterion("x"), criterion("y"));
        let text = format!("[verdict]\ntype = \"rubric\"\n{x}{y}[prompt]\nuser = \"{{{{ answer | fence }}}}\"");
        let judges = Judge::compile_all("r", &text, "r", &Given::new()).unwrap();
        let cases = suite::read(&judges, OF_RUBRIC, |_| Ok(Vec::new())).unwrap();
        // x is wrong about a/other; y failed on b/other; x says another thing in another order, twice; y once, of a/one too.
        let said = |name: &str, id: &str| {
            let value = match (name, id) {
                ("x", _) if id.starts_with("a/o") && id.contains("/order") => false,
                ("y", _) if id.starts_with("a/one/order") => false,
                ("y", _) if id.starts_with("b/other/plain") => return feedback(None, Some(ErrorCode::Timeout)),
                _ => true,
            };
            feedback(Some(json!(value)), None)
        };
        let records: Vec<Vec<Feedback>> =
            ["x", "y"].map(|name| cases.iter().map(|case| said(name, &case.trace_id)).collect()).into();
        let verdicts = |of: usize| {
            cases.iter().zip(&records[of]).map(|(case, record)| (case.trace_id.as_str().into(), record)).collect()
        };
        let tested: Vec<_> =
            judges.iter().enumerate().map(|(at, judge)| Tested { judge, verdicts: verdicts(at) }).collect();
        let report = of_cases("r", "e:/m", &tested, &cases).unwrap();
        let counts = |figures: &Figures| (figures.n, figures.n_failed, figures.pairs.n, figures.pairs.count);
        assert_eq!(counts(&report.figures), (3, 1, 1, 0), "of the second pair, one trace has no verdict");
        assert_eq!(report.figures.accuracy.estimate, Some(2.0 / 3.0));
        let order = |figures: &Figures| (figures.flips["order"].flips.n, figures.flips["order"].flips.count);
        assert_eq!(order(&report.figures), (3, 2));
        let (x, y) = (&report.criteria["x"].figures, &report.criteria["y"].figures);
        assert_eq!((counts(x), order(x)), ((2, 0, 1, 0), (4, 2)));
        assert_eq!((counts(y), order(y)), ((3, 1, 0, 0), (3, 1)), "the pair that differs in it failed");
        assert_eq!((x.accuracy.estimate, y.accuracy.estimate), (Some(0.5), Some(1.0)));
        let wrong: Vec<_> =
            report.wrong.iter().map(|wrong| (wrong.criterion.as_deref(), wrong.trace_id.as_str())).collect();
        assert_eq!(wrong, [(Some("x"), "a/other/plain")]);
        let alone = of_cases("r.x", "e:/m", &tested[..1], &cases).unwrap();
        assert!(alone.criteria.is_empty() && alone.figures == *x);
    }
}
