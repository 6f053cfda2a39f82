//! The figures of agreement, as they are written in JSON.

use serde::Serialize;
use serde_json::Value;

/// How well raters agree.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Agreement {
    /// What is judged.
    pub name: String,
    /// Items with two ratings at least.
    pub n_items: u64,
    /// All raters.
    pub n_raters: u64,
    /// Who they are.
    pub raters: Vec<RaterCount>,
    /// The judge that is compared with people, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub judge: Option<String>,
    /// The share of items on which the judge agrees with most people; for two raters without a judge, on which both agree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// Its interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy_interval: Option<Ends>,
    /// Cohen's kappa, of the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kappa: Option<Estimate>,
    /// The same with quadratic weights, on a scale.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weighted_kappa: Option<Estimate>,
    /// Fleiss' kappa of all raters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fleiss: Option<f64>,
    /// Its interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fleiss_interval: Option<Ends>,
    /// Krippendorff's alpha of all raters.
    pub alpha: Option<Alpha>,
    /// The same with other metrics, if values are numbers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alphas: Vec<Alpha>,
    /// Gwet's AC1 of all raters.
    pub ac1: Option<Estimate>,
    /// Gwet's AC2 with quadratic weights, on a scale.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ac2: Option<Estimate>,
    /// The confusion matrix.
    pub confusion: ConfusionTable,
    /// Items on which people are divided evenly, so that the judge is not compared with them.
    pub n_ties: u64,
    /// How well people agree with each other: no judge can be expected to do better.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub people: Option<Ceiling>,
    /// The judge with each person.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub judge_with: Vec<Pair>,
    /// Whether the judge may stand in for one of the people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alt_test: Option<AltTest>,
    /// Caveats that the figures do not show.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
    /// Where the judge and people (or two raters) differ, the most certain first.
    pub disagreements: Vec<Disagreement>,
}

/// A rater, and the number of items that it rated.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "named by what they are")]
pub struct RaterCount {
    pub source_type: &'static str,
    pub source_id: String,
    pub n: u64,
}

/// The ends of an interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[expect(missing_docs, reason = "named by what they are")]
pub struct Ends {
    pub low: f64,
    pub high: f64,
}

/// An estimate with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[expect(missing_docs, reason = "named by what they are")]
pub struct Estimate {
    pub estimate: f64,
    pub low: f64,
    pub high: f64,
}

/// Krippendorff's alpha.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Alpha {
    /// With its interval.
    #[serde(flatten)]
    pub estimate: Estimate,
    /// How far values are apart.
    pub metric: &'static str,
}

/// Counts of two sides.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ConfusionTable {
    /// Whose the rows are.
    pub rows: String,
    /// Whose the columns are.
    pub columns: String,
    /// The values, in the order of rows and columns.
    pub labels: Vec<String>,
    /// Row by row.
    pub counts: Vec<Vec<u64>>,
}

/// How well people agree with each other.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "named as in `Agreement`")]
pub struct Ceiling {
    pub n_items: u64,
    pub n_raters: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fleiss: Option<f64>,
    pub alpha: Option<Alpha>,
    pub ac1: Option<Estimate>,
    /// Each with each.
    pub pairs: Vec<Pair>,
}

/// Two raters.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "named as in `Agreement`")]
pub struct Pair {
    pub a: String,
    pub b: String,
    pub n: u64,
    pub agreement: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kappa: Option<Estimate>,
}

/// The alternative annotator test.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AltTest {
    /// How much more a person costs than the judge.
    pub epsilon: f64,
    /// The share of people that the judge is not worse than.
    pub winning_rate: f64,
    /// How often the judge is as close to the others as a person is.
    pub average_advantage: f64,
    /// Whether the judge may stand in for a person: the winning rate is at least one half.
    pub passed: bool,
    /// Person by person.
    pub annotators: Vec<AltAnnotator>,
}

/// A person in the alternative annotator test.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "named by what they are")]
pub struct AltAnnotator {
    pub source_id: String,
    pub n: u64,
    pub advantage: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p_value: Option<f64>,
    pub matched: bool,
}

/// Something to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// A stable name.
    pub code: &'static str,
    /// In words.
    pub message: String,
}

/// An item on which two sides differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Disagreement {
    /// The trace.
    pub trace_id: String,
    /// The span, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub span_id: Option<String>,
    /// Which of its documents, from 0, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document_index: Option<u32>,
    /// The judge's answer (without one: the second rater's).
    pub judge: Value,
    /// The majority of people (without a judge: the first rater).
    pub people: Value,
    /// The share of people who say so.
    pub share: f64,
    /// The judge's confidence, if it states one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// The judge's reasoning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rationale: Option<String>,
}
