//! Whether a judge on a model agrees with people: its verdicts compared with their labels.

use std::collections::BTreeMap;

use judge_run_statistics::Error;
use judge_run_statistics::proportion::clopper_pearson;
use serde::Serialize;

use super::judge_test::{Share, Verdicts, answer_of, counted, ratio};
use crate::feedback::Good;

/// The level of a two-sided interval whose lower end is a one-sided 95 % bound.
const ONE_SIDED: f64 = 0.90;

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
    use crate::feedback::Feedback;

    #[test]
    fn a_judge_is_certified_by_both_lower_bounds() {
        let certificate = |right: u64, wrong: u64| {
            let mut labels = BTreeMap::new();
            let mut records = Vec::new();
            for human in [true, false] {
                for n in 0..right + wrong {
                    let id = format!("{human}-{n}");
                    labels.insert(id.clone(), human);
                    records.push((
                        id,
                        Feedback { value: Some(json!(if n < right { human } else { !human })), ..Feedback::default() },
                    ));
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
