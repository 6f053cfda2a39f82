//! What a comparison is made with.

use std::collections::BTreeMap;

use crate::judge::Good;

/// What a comparison is made with.
#[derive(Debug, Clone)]
pub struct CompareOptions {
    /// The nominal coverage of intervals, in `(0, 1)`; a p-value below the rest is significant.
    pub level: f64,
    /// The difference that does not matter, as a share, or as a part of the scale of numbers.
    pub margin: f64,
    /// The same by judge, or for all, where gates say otherwise: the margin that ends a red night.
    pub gates: Vec<(Option<String>, f64)>,
    /// Which verdicts are good, by name. It overrides the logs.
    pub good: BTreeMap<String, Good>,
    /// The number of changed items to list.
    pub flips: usize,
}

impl Default for CompareOptions {
    /// A level of 0.95, a margin of 0.02, 50 flips.
    fn default() -> Self {
        Self { level: 0.95, margin: 0.02, gates: Vec::new(), good: BTreeMap::new(), flips: 50 }
    }
}

impl CompareOptions {
    /// Whether a gate names this judge.
    pub(super) fn is_gated(&self, name: &str) -> bool {
        self.gates.iter().any(|(of, _)| of.as_deref() == Some(name))
    }

    /// The margin of the gate about a judge.
    pub(super) fn tolerated(&self, name: &str) -> f64 {
        let of_name = self.gates.iter().find(|(of, _)| of.as_deref() == Some(name));
        of_name.or_else(|| self.gates.iter().find(|(of, _)| of.is_none())).map_or(self.margin, |(_, margin)| *margin)
    }
}
