//! What is wanted of a calibration, and what comes of it.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::feedback::Good;
use crate::people::agreement::{Ends, Estimate, Warning};
use crate::people::plan::Plan;
use crate::people::ratings::Ratings;

/// How the rate is corrected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// Post-stratified by verdict, with Jeffreys priors: for labels that are a sample of these items.
    Jeffreys,
    /// Prediction-powered: also for numbers.
    PpiPlusPlus,
    /// By the judge's error rates: for labels from elsewhere.
    RoganGladen,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Jeffreys, Self::PpiPlusPlus, Self::RoganGladen];

    /// Its name on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Jeffreys => "jeffreys",
            Self::PpiPlusPlus => "ppi++",
            Self::RoganGladen => "rogan-gladen",
        }
    }
}

/// What is wanted.
#[derive(Debug, Clone)]
pub struct Settings<'a> {
    /// The judge, as an index of the raters.
    pub judge: usize,
    /// Who labels.
    pub people: Vec<usize>,
    /// How the rate is corrected.
    pub method: Method,
    /// Which verdicts are good, if records do not say.
    pub good: Option<Good>,
    /// Of the intervals.
    pub level: f64,
    /// The width that the interval should have.
    pub width: f64,
    /// The share of kept verdicts that may differ from people's, where a threshold for keeping them is wanted.
    pub max_disagreement: Option<f64>,
    /// How the labelled items were drawn.
    pub plan: Option<&'a Plan>,
    /// Traces that the judge was written with: their labels prove nothing.
    pub examples: BTreeSet<String>,
    /// Labels and verdicts of other items, for error rates that carry over.
    pub elsewhere: Option<(&'a Ratings, usize, Vec<usize>)>,
}

/// What people would say of all items.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Calibration {
    /// What is judged.
    pub name: String,
    /// Whose rate is corrected.
    pub judge: String,
    /// Items with a verdict of the judge.
    pub n: u64,
    /// Those of them (or elsewhere) that people labelled.
    pub n_labelled: u64,
    /// Labels that do not count: of the judge's own examples, of items outside the plan, and on which people are divided evenly.
    pub n_excluded: u64,
    /// The judge's own rate, or mean.
    pub naive: Estimate,
    /// By people's labels alone.
    pub human_only: Option<Estimate>,
    /// By both.
    pub corrected: Option<CorrectedRate>,
    /// Why the judge corrects nothing; `corrected` is then what people's labels say alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// The share of good items that the judge passes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sensitivity: Option<Estimate>,
    /// The share of bad items that the judge fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub specificity: Option<Estimate>,
    /// Youden's J: sensitivity + specificity - 1. 0 is a coin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub informedness: Option<Estimate>,
    /// Of the judge's verdicts and people's labels.
    pub correlation: f64,
    /// Whether the judge makes the interval narrower than people's labels alone.
    pub adds_information: bool,
    /// How much the judge counts in PPI++.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lambda: Option<f64>,
    /// How many items of one session count as one.
    pub design_effect: f64,
    /// What an interval of the wanted width needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needs: Option<Needs>,
    /// From which confidence on verdicts may be kept, where that is wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub escalation: Option<Escalation>,
    /// Verdict by verdict.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub strata: Vec<StratumRow>,
    /// What the figures presume.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
}

/// A corrected rate, or mean.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "named by what they are")]
pub struct CorrectedRate {
    pub estimate: f64,
    pub low: f64,
    pub high: f64,
    /// `jeffreys`, `ppi++`, `rogan-gladen` or `human_only`.
    pub method: &'static str,
    /// Of Rogan-Gladen, by the delta method, beside Lee's adjusted interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delta: Option<Ends>,
}

/// What an interval of some width needs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Needs {
    /// From end to end.
    pub width: f64,
    /// Labels in all; `None` where not even labelling all items is enough.
    pub labels: Option<u64>,
}

/// The items of one verdict.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StratumRow {
    /// The verdict.
    pub stratum: String,
    /// All items.
    pub n: u64,
    /// Those that people labelled.
    pub n_labelled: u64,
    /// The mean of what people say of these, or the share that they pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub people: Option<f64>,
}

/// Why nothing can be corrected.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum CalibrateError {
    #[error("`{judge}` has no verdicts under `{name}`")]
    NoVerdicts { name: String, judge: String },
    #[error("nobody labelled what `{judge}` judged under `{name}`")]
    NoLabels { name: String, judge: String },
    #[error("the verdicts are neither good nor bad, and {} needs such", method.as_str())]
    NotGoodOrBad { method: Method },
    #[error("it is not known which verdicts are good, so disagreement cannot be counted")]
    NoAgreement,
    #[error("the verdicts are neither good nor bad, nor numbers")]
    NotNumbers,
    #[error(transparent)]
    Statistics(#[from] judge_run_statistics::Error),
}

/// The confidence above which verdicts need no second opinion: at most a given share of those that are kept differs from people's labels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Escalation {
    /// That share.
    pub max_disagreement: f64,
    /// The probability with which it holds.
    pub level: f64,
    /// Verdicts with less confidence are to be escalated; `None` if no threshold is known to hold.
    pub below: Option<f64>,
    /// Labelled verdicts that have a confidence.
    pub n_labelled: u64,
    /// Labelled verdicts that are kept.
    pub n_kept: u64,
    /// The number of these that differ from people's labels.
    pub n_differing: u64,
    /// The upper bound on the share of kept verdicts that differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bound: Option<f64>,
    /// The share of all verdicts that is kept.
    pub coverage: f64,
    /// Verdicts without a confidence, which are always escalated.
    pub n_without: u64,
}

impl Calibration {
    /// Whether a threshold was requested but none holds.
    pub fn lacks_threshold(&self) -> bool {
        self.escalation.is_some_and(|escalation| escalation.below.is_none())
    }
}
