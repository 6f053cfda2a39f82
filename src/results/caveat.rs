//! How an interval is computed, and what to know before it is relied on.

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
    /// Cluster-robust (CR1), t with one degree of freedom less than clusters.
    ClusterT,
    /// Tango's score interval of the difference of paired shares.
    Tango,
    /// There is nothing to estimate a spread from: the interval is the whole scale, or the estimate alone.
    None,
}

/// Something to know before a figure is relied on.
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
    /// The conclusion could be another one, had what failed been judged.
    FailuresCouldDecide,
    /// The log does not say which verdicts are good: it was assumed.
    GoodAssumed,
    /// Records of one judge disagree about which verdicts are good; the latest holds.
    GoodChanged,
    /// The verdicts are of several types, and only one is in the figures.
    MixedTypes,
    /// There are too few clusters for the interval to have its level.
    FewClusters,
    /// The judge is not what it was: its prompt, its version, its model, or its verdicts on the anchors.
    JudgeChanged,
    /// Small losses add up over nights, none of which is worse by itself.
    Drift,
    /// Some nights of the baseline are in no figure.
    NightsLeftOut,
    /// Lines of a log are not records.
    NotRecords,
    /// Some verdicts have no place in the slices, because what divides them is not known.
    NotSliced,
}
