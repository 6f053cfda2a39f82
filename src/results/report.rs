//! The report on one log, or several: for each judge what was scored, what failed, and what the verdicts say.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use super::caveat::{Method, Warning, WarningCode};
use super::compare::Comparison;
pub use super::estimate::Estimate;
use super::gate::GateResult;
pub use super::pairs::{PairFigures, Pairwise, SideFigures, Strength};
use crate::feedback::SourceType;

/// The version of the JSON form. It changes when a member is removed or means something else, not when one is added.
pub const SCHEMA_VERSION: u32 = 1;

/// A report on one log, or on several read as one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The logs as they were named.
    pub logs: Vec<String>,
    /// One for each name and source, in the order in which they first appear.
    pub judges: Vec<JudgeReport>,
    /// In the order in which they were given.
    #[serde(default)]
    pub gates: Vec<GateResult>,
    /// With the baseline, if there is one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub comparisons: Vec<Comparison>,
    /// The same judges on the anchors: whether they changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub anchors: Vec<Comparison>,
    /// About the whole report.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
}

/// What one source says under one name: a judge on one model, a person, a program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JudgeReport {
    /// The judge's name.
    pub name: String,
    /// What kind of source.
    pub source_type: SourceType,
    /// The model URI, or who the person or program is; empty if unknown.
    pub source_id: String,
    /// Which verdicts are good: `true`, `false`, a JSON list of labels, `higher`, `lower`, `>= 4`, `<= 2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub good: Option<String>,
    /// Over all opinions.
    #[serde(flatten)]
    pub figures: Figures,
    /// Judgments that were skipped before anything was asked, because the judge has nothing to judge there.
    #[serde(default)]
    pub n_skipped: u64,
    /// What people would say about all that was judged, where they labelled some of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corrected: Option<Corrected>,
    /// What the judgments used.
    #[serde(default)]
    pub usage: Usage,
    /// How long the judgments took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<Latency>,
    /// How verdicts were read from answers, by method; `strict` is the requested form.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub readings: BTreeMap<String, u64>,
    /// For a judge that quotes what it was shown: its quotations, in all verdicts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// For a cascade: what the first votes decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cascade: Option<Cascade>,
    /// For a judge of pairs: the outputs it prefers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pairwise: Option<Pairwise>,
    /// The same figures for parts of the dataset.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slices: Vec<Slice>,
    /// About this judge.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
}

/// A judge's share of good verdicts, or its mean, corrected by people's labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Corrected {
    /// A share in `0..=1`, or a mean in the unit of the scores.
    pub estimate: f64,
    /// The lower end of the interval.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// The interval's nominal coverage: 0.95.
    pub level: f64,
    /// How it was computed.
    pub method: CorrectionMethod,
    /// Over how many verdicts.
    pub n: u64,
    /// Those of them that people labelled.
    pub n_labelled: u64,
    /// Labels that do not count: of the judge's own examples, outside the plan, and on which people are divided evenly.
    #[serde(default)]
    pub n_excluded: u64,
    /// Whether the labelled items were drawn by a plan; otherwise they are treated as a random sample.
    pub is_planned: bool,
    /// Why the judge corrects nothing: then the figure is that of the labels alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// How a share or a mean is corrected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CorrectionMethod {
    /// Post-stratified by verdict, with Jeffreys priors.
    Jeffreys,
    /// Prediction-powered (PPI++).
    #[serde(rename = "ppi++")]
    PpiPlusPlus,
    /// By people's labels alone.
    HumanOnly,
}

/// Quotations of a judge.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// How many there are.
    pub quotes: u64,
    /// How many of them were found in what was judged.
    pub found: u64,
}

/// What the first votes of a cascade decided, and what that saved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cascade {
    /// The model that decides what they leave open; absent if they left nothing open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<String>,
    /// Verdicts of that model.
    pub n_escalated: u64,
    /// Verdicts of the first votes, which did not need that model.
    pub n_spared: u64,
    /// What these would have cost in US dollars, by what that model's judgments cost on average; where its prices are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saved_usd: Option<f64>,
}

/// What verdicts say. Failures are counted, and are in no share or mean.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Verdicts.
    pub n_scored: u64,
    /// Judgments without a verdict.
    pub n_failed: u64,
    /// The same by error code.
    pub failed: BTreeMap<String, u64>,
    /// Judgments in which the judge abstained: verdicts of `null`.
    #[serde(default)]
    pub n_abstained: u64,
    /// Verdicts that a person rejected.
    #[serde(default)]
    pub n_invalid: u64,
    /// The share of verdicts that are good, where `good` decides that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass: Option<Estimate>,
    /// The mean of verdicts that are numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<Estimate>,
    /// What the share (of numbers without a threshold: the mean) would be if all that failed were bad, and if all were good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bounds: Option<Bounds>,
    /// How often each verdict was given, where they are booleans or labels; the most frequent first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<Category>,
    /// Of verdicts that are numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantiles: Option<Quantiles>,
    /// Of verdicts that are numbers: bins side by side, in ascending order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub histogram: Vec<Bin>,
    /// Where several verdicts belong together, so that they are not independent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clusters: Option<Clusters>,
}

/// The figures of a part of the dataset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// The expression that groups the dataset.
    pub by: String,
    /// Its value in this part, as text.
    pub value: String,
    /// Over the opinions in this part.
    #[serde(flatten)]
    pub figures: Figures,
}

/// The lowest and the highest that a figure can be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bounds {
    /// The lowest.
    pub low: f64,
    /// The highest.
    pub high: f64,
}

/// A verdict and how often it was given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Category {
    /// The label; `true` or `false` for a boolean.
    pub label: String,
    /// How often.
    pub n: u64,
    /// Of all verdicts, in `0..=1`.
    pub share: f64,
}

/// Of scores; interpolated as NumPy does by default.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "named by what they are")]
pub struct Quantiles {
    pub min: f64,
    pub p10: f64,
    pub p25: f64,
    pub p50: f64,
    pub p75: f64,
    pub p90: f64,
    pub max: f64,
}

/// A bin of a histogram.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    /// Its lower end, which belongs to it.
    pub low: f64,
    /// Its upper end, which belongs to it only in the last bin.
    pub high: f64,
    /// How many scores are in it.
    pub n: u64,
}

/// Verdicts that are not independent: of one session, of the spans of one trace, several samples of one question.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Clusters {
    /// How many clusters.
    pub n: u64,
    /// The variance of the estimate divided by what it would be if verdicts were independent.
    pub design_effect: f64,
}

/// Tokens, costs and requests.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Of all attempts, cached ones included.
    pub input_tokens: u64,
    /// Of all attempts.
    pub output_tokens: u64,
    /// Input tokens that the provider had cached.
    pub cached_tokens: u64,
    /// Output tokens spent on reasoning.
    pub reasoning_tokens: u64,
    /// In US dollars, where prices are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<f64>,
    /// Requests, retries included.
    pub attempts: u64,
}

/// How long judgments took, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "named by what they are")]
pub struct Latency {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub max: f64,
}
