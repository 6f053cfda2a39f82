//! Items that both people and the judge passed or failed.

use crate::error::{Error, open_unit};
use crate::interval::Interval;
use crate::proportion::wilson;

/// The four counts of labelled items. Sums of labels that are probabilities (such as posteriors) need not be whole; the counts here are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Labelled {
    /// People pass, the judge passes.
    pub both_pass: u64,
    /// People pass, the judge fails.
    pub only_people: u64,
    /// The judge passes, people fail.
    pub only_judge: u64,
    /// Both fail.
    pub both_fail: u64,
}

impl Labelled {
    /// Counts an item.
    pub fn add(&mut self, people: bool, judge: bool) {
        *match (people, judge) {
            (true, true) => &mut self.both_pass,
            (true, false) => &mut self.only_people,
            (false, true) => &mut self.only_judge,
            (false, false) => &mut self.both_fail,
        } += 1;
    }

    /// All labelled items.
    pub fn items(&self) -> u64 {
        self.good() + self.bad()
    }

    /// Items that people pass.
    pub fn good(&self) -> u64 {
        self.both_pass + self.only_people
    }

    /// Items that people fail.
    pub fn bad(&self) -> u64 {
        self.only_judge + self.both_fail
    }

    /// The share of good items that the judge passes; 0 without any.
    pub fn sensitivity(&self) -> f64 {
        ratio(self.both_pass, self.good())
    }

    /// The share of bad items that the judge fails; 0 without any.
    pub fn specificity(&self) -> f64 {
        ratio(self.both_fail, self.bad())
    }

    /// Youden's J = sensitivity + specificity - 1, with an interval: 0 is a coin toss, 1 is never wrong. If the interval contains 0, the judge cannot be
    /// told from chance on these labels, and should not be used to correct anything.
    ///
    /// J is a difference of two independent shares; the interval is Newcombe's, from their Wilson intervals.
    ///
    /// Source: Youden (1950), "Index for rating diagnostic tests", Cancer 3, 32-35; Newcombe (1998), "Interval estimation for the difference between
    /// independent proportions", Statistics in Medicine 17, 873-890, method 10.
    ///
    /// # Errors
    ///
    /// [`Error::Domain`] for the level.
    pub fn informedness(&self, level: f64) -> Result<(f64, Interval), Error> {
        open_unit("level", level)?;
        let (hits, alarms) = (self.sensitivity(), ratio(self.only_judge, self.bad()));
        let (of_good, of_bad) =
            (wilson(self.both_pass, self.good(), level)?, wilson(self.only_judge, self.bad(), level)?);
        let j = hits - alarms;
        let lower = j - ((hits - of_good.lower).powi(2) + (of_bad.upper - alarms).powi(2)).sqrt();
        let upper = j + ((of_good.upper - hits).powi(2) + (alarms - of_bad.lower).powi(2)).sqrt();
        Ok((j, Interval { lower: lower.max(-1.0), upper: upper.min(1.0), level }))
    }

    /// The correlation of the two (φ), which decides how many labels a judge saves; 0 if one of them always says the same.
    pub fn correlation(&self) -> f64 {
        let [a, b, c, d] =
            [self.both_pass, self.only_people, self.only_judge, self.both_fail].map(|count| count as f64);
        let product = (a + b) * (c + d) * (a + c) * (b + d);
        if product > 0.0 { (a * d - b * c) / product.sqrt() } else { 0.0 }
    }

    /// Whether a judge that correlates with people like this makes the interval narrower than people's labels alone: |r| > 1 / √(m - 2).
    ///
    /// Source: Mani et al. (2025), "No free lunch: non-asymptotic analysis of prediction-powered inference", arXiv 2505.20178.
    pub fn adds_information(correlation: f64, labels: u64) -> bool {
        labels > 2 && correlation.abs() > 1.0 / ((labels - 2) as f64).sqrt()
    }
}

pub(super) fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_coin_is_not_told_from_chance_and_a_good_judge_is() {
        let coin = Labelled { both_pass: 25, only_people: 25, only_judge: 15, both_fail: 15 };
        let (j, interval) = coin.informedness(0.95).unwrap();
        assert!(j == 0.0 && interval.contains(0.0) && coin.correlation() == 0.0);
        let good = Labelled { both_pass: 45, only_people: 5, only_judge: 8, both_fail: 22 };
        let (j, interval) = good.informedness(0.95).unwrap();
        assert!((j - (0.9 - 8.0 / 30.0)).abs() < 1e-12 && interval.lower > 0.4, "{interval:?}");
        assert!(Labelled::adds_information(good.correlation(), good.items()));
        assert!(!Labelled::adds_information(0.1, 80) && !Labelled::adds_information(1.0, 2));
        assert!(Labelled::default().informedness(0.95).unwrap().1.contains(0.0));
        assert!(good.informedness(2.0).is_err());
    }

    proptest! {
        #[test]
        fn informedness_lies_in_its_interval(a in 0..50u64, b in 0..50u64, c in 0..50u64, d in 0..50u64) {
            let labelled = Labelled { both_pass: a, only_people: b, only_judge: c, both_fail: d };
            let (j, interval) = labelled.informedness(0.95).unwrap();
            prop_assert!(interval.contains(j) && (-1.0..=1.0).contains(&j));
        }
    }
}
