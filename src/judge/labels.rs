//! What a category declares about its labels beyond their names: their order, their values, their case.

use std::collections::BTreeMap;

/// What is declared about the labels of a category.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LabelTraits {
    /// The labels go from one end of a scale to the other.
    pub ordered: bool,
    /// `m` and `M` are two labels, and labels are read only in their declared case.
    pub case_sensitive: bool,
    /// A number for each label, for means.
    pub scores: BTreeMap<String, f64>,
}

impl LabelTraits {
    /// Checks the declaration against the labels.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn validate(&self, labels: &[String], is_list: bool) -> Result<(), String> {
        if is_list && (self.ordered || !self.scores.is_empty()) {
            return Err("`ordered` and `scores` are for one label, not for several at once".to_owned());
        }
        if !self.case_sensitive {
            let mut folded: Vec<_> = labels.iter().map(|label| label.to_lowercase()).collect();
            folded.sort();
            if folded.windows(2).any(|pair| pair[0] == pair[1]) {
                return Err(
                    "two labels differ only in case, or not at all; write `case_sensitive = true` if they are different"
                        .to_owned(),
                );
            }
        }
        if let Some(unknown) = self.scores.keys().find(|label| !labels.contains(label)) {
            return Err(format!("`scores` names `{unknown}`, which is not one of the `labels`"));
        }
        if let Some(missing) = labels.iter().find(|label| !self.scores.is_empty() && !self.scores.contains_key(*label))
        {
            return Err(format!("`scores` lacks the label `{missing}`"));
        }
        if self.scores.values().any(|score| !score.is_finite()) {
            return Err("`scores` must be finite".to_owned());
        }
        let values: Vec<f64> = labels.iter().filter_map(|label| self.scores.get(label).copied()).collect();
        let rises = |pair: &[f64]| pair[0] < pair[1];
        let is_monotone = values.windows(2).all(rises) || values.windows(2).all(|pair| pair[0] > pair[1]);
        if self.ordered && !is_monotone {
            return Err("`scores` must rise or fall in the order of the labels, since they are `ordered`".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contradictions_are_named() {
        let labels = ["bad", "fair", "good"].map(String::from);
        let scores = |values: &[(&str, f64)]| values.iter().map(|(label, n)| ((*label).to_owned(), *n)).collect();
        let traits =
            |ordered, values: &[(&str, f64)]| LabelTraits { ordered, scores: scores(values), ..Default::default() };
        let all = [("bad", 0.0), ("fair", 0.5), ("good", 1.0)];
        assert_eq!(traits(true, &all).validate(&labels, false), Ok(()));
        assert_eq!(traits(true, &[]).validate(&labels, false), Ok(()));
        for (traits, is_list, words) in [
            (traits(true, &[("bad", 0.0), ("fair", 2.0), ("good", 1.0)]), false, "must rise or fall"),
            (traits(false, &all[..2]), false, "lacks the label `good`"),
            (traits(false, &[("ugly", 0.0)]), false, "`scores` names `ugly`"),
            (traits(true, &[]), true, "not for several at once"),
        ] {
            let error = traits.validate(&labels, is_list).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
        let two = ["m", "M"].map(String::from);
        assert!(LabelTraits::default().validate(&two, false).unwrap_err().contains("case_sensitive"));
        assert_eq!(LabelTraits { case_sensitive: true, ..Default::default() }.validate(&two, false), Ok(()));
    }
}
