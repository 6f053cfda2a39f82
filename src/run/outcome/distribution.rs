//! The verdicts of one judge, folded as they arrive.

use crate::feedback::log::Standing;
use crate::judge::verdict::VerdictType;

/// The verdicts of one judge.
#[derive(Debug, Clone, PartialEq)]
pub enum Distribution {
    /// How many are true and false.
    Boolean {
        /// `true`.
        yes: u64,
        /// `false`.
        no: u64,
    },
    /// How many of each label, in the judge's order.
    Category(Vec<(String, u64)>),
    /// Numbers and integer scales.
    Number {
        /// How many.
        count: u64,
        /// Their sum; the mean is `sum / count`.
        sum: f64,
        /// The lowest.
        min: f64,
        /// The highest.
        max: f64,
    },
}

impl Distribution {
    pub(in crate::run) fn of(verdict: &VerdictType) -> Self {
        match verdict {
            VerdictType::Boolean => Self::Boolean { yes: 0, no: 0 },
            // How often each of several labels comes is not known from the hash of their list.
            VerdictType::Labels { .. } => Self::Category(Vec::new()),
            VerdictType::Category { labels } => Self::Category(labels.iter().map(|label| (label.clone(), 0)).collect()),
            VerdictType::Integer { .. } | VerdictType::Number { .. } => {
                Self::Number { count: 0, sum: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY }
            }
        }
    }

    pub(in crate::run) fn add(&mut self, standing: Standing) {
        match (self, standing) {
            (Self::Boolean { yes, no }, Standing::Number(n)) => *if n == 0.0 { no } else { yes } += 1,
            (Self::Category(labels), Standing::Label(hash)) => {
                for (label, count) in labels {
                    *count += u64::from(Standing::label_hash(label) == hash);
                }
            }
            (Self::Number { count, sum, min, max }, Standing::Number(n)) => {
                *count += 1;
                *sum += n;
                *min = min.min(n);
                *max = max.max(n);
            }
            _ => {}
        }
    }

    /// The mean of numbers, or the share of `true`; `None` where there is nothing to average, and for labels.
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    pub fn mean(&self) -> Option<f64> {
        match self {
            Self::Boolean { yes, no } => (yes + no > 0).then(|| *yes as f64 / (yes + no) as f64),
            Self::Number { count, sum, .. } => (*count > 0).then(|| sum / *count as f64),
            Self::Category(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(verdict: &VerdictType, standings: &[Standing]) -> Distribution {
        let mut distribution = Distribution::of(verdict);
        standings.iter().for_each(|standing| distribution.add(*standing));
        distribution
    }

    #[test]
    fn booleans_are_counted_by_their_value() {
        let booleans = |values: &[f64]| {
            folded(&VerdictType::Boolean, &values.iter().map(|n| Standing::Number(*n)).collect::<Vec<_>>())
        };
        assert_eq!(booleans(&[]).mean(), None);
        assert_eq!(booleans(&[0.0]).mean(), Some(0.0));
        let mixed = booleans(&[1.0, 0.0, 1.0, 1.0]);
        assert_eq!(mixed, Distribution::Boolean { yes: 3, no: 1 });
        assert_eq!(mixed.mean(), Some(0.75));
    }

    #[test]
    fn numbers_have_a_mean_and_two_ends() {
        let number = VerdictType::Number { min: None, max: None };
        assert_eq!(folded(&number, &[]).mean(), None);
        let numbers = folded(&number, &[2.0, -1.0, 5.0].map(Standing::Number));
        assert_eq!(numbers, Distribution::Number { count: 3, sum: 6.0, min: -1.0, max: 5.0 });
        assert_eq!(numbers.mean(), Some(2.0));
    }

    #[test]
    fn labels_are_counted_in_the_judges_order_and_have_no_mean() {
        let category = VerdictType::Category { labels: vec!["b".into(), "a".into()] };
        let label = |label| Standing::Label(Standing::label_hash(label));
        let labels = folded(&category, &[label("a"), label("a"), label("unknown")]);
        assert_eq!(labels, Distribution::Category(vec![("b".into(), 0), ("a".into(), 2)]));
        assert_eq!(labels.mean(), None);
    }

    #[test]
    fn what_is_not_a_verdict_of_the_declared_type_changes_nothing() {
        let failed = Standing::Failed { code: None, create_time_ms: 1 };
        let odd = [failed, Standing::Rejected { create_time_ms: 1 }, Standing::Other, Standing::Label(7)];
        let number = VerdictType::Number { min: None, max: None };
        assert_eq!(folded(&number, &odd).mean(), None);
        assert_eq!(folded(&VerdictType::Boolean, &odd), Distribution::Boolean { yes: 0, no: 0 });
    }
}
