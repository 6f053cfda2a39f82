//! How an interval is computed, and what to know before relying on it.

use serde::{Deserialize, Serialize};

/// How an interval is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Wilson's score interval of a share.
    Wilson,
    /// Wilson's with the effective sample size, where verdicts come in clusters.
    WilsonClustered,
    /// Student's t.
    T,
    /// Cluster-robust (CR1), t with the number of clusters minus one degrees of freedom.
    ClusterT,
    /// Tango's score interval of the difference of paired shares.
    Tango,
    /// There is nothing to estimate a spread from: the interval is the whole scale, or the estimate alone.
    None,
}

/// Something to know before relying on a figure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// What kind.
    pub code: WarningCode,
    /// In words.
    pub message: String,
}

/// The kinds of warnings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WarningCode {
    /// The conclusion could be different if the failed judgments had been made.
    FailuresCouldDecide,
    /// The log does not say which verdicts are good: it was assumed.
    GoodAssumed,
    /// Records of one judge disagree about which verdicts are good; the latest holds.
    GoodChanged,
    /// The verdicts are of several types, and only one is in the figures.
    MixedTypes,
    /// There are too few clusters for the interval to have its level.
    FewClusters,
    /// The judge changed: its prompt, its version, its model, or its verdicts on the anchors.
    JudgeChanged,
    /// Small losses add up over nights that are not worse individually.
    Drift,
    /// Some nights of the baseline are not in any figure.
    NightsLeftOut,
    /// Lines of a log are not records.
    NotRecords,
    /// Some verdicts are in no slice, because the value that groups them is unknown.
    NotSliced,
}
