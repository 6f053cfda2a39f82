//! Two raters who rated the same items.

use super::Weights;
use super::coefficient::{Coefficient, Parts, varies};
use super::votes::Votes;
use super::weights::dot;
use crate::error::{Error, at_least};
use crate::interval::Interval;
use crate::proportion::wilson;

/// How often one rater gave the category of a row, and the other that of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion {
    counts: Vec<Vec<u64>>,
}

impl Confusion {
    /// Without items, for this many categories.
    pub fn new(categories: usize) -> Self {
        Self { counts: vec![vec![0; categories]; categories] }
    }

    /// Of counts, row by row.
    ///
    /// # Errors
    ///
    /// [`Error::LengthMismatch`] when the table is not square.
    pub fn of_rows(counts: Vec<Vec<u64>>) -> Result<Self, Error> {
        match counts.iter().find(|row| row.len() != counts.len()) {
            Some(row) => Err(Error::LengthMismatch { left: counts.len(), right: row.len() }),
            None => Ok(Self { counts }),
        }
    }

    /// Counts an item; one whose category is not in the table is ignored.
    pub fn add(&mut self, row: usize, column: usize) {
        if let Some(count) = self.counts.get_mut(row).and_then(|row| row.get_mut(column)) {
            *count += 1;
        }
    }

    /// The counts, row by row.
    pub fn rows(&self) -> &[Vec<u64>] {
        &self.counts
    }

    /// All items.
    pub fn items(&self) -> u64 {
        self.counts.iter().flatten().sum()
    }

    /// Items on which the two said the same.
    pub fn agreed(&self) -> u64 {
        self.counts.iter().enumerate().map(|(i, row)| row[i]).sum()
    }

    /// The share of items on which the two agreed (the accuracy, if one of them is the truth), with Wilson's interval; the
    /// share is 0 without items.
    ///
    /// # Errors
    ///
    /// [`Error::Domain`] for a level outside `(0, 1)`.
    pub fn accuracy(&self, level: f64) -> Result<(f64, Interval), Error> {
        let (agreed, items) = (self.agreed(), self.items());
        let share = if items == 0 { 0.0 } else { agreed as f64 / items as f64 };
        Ok((share, wilson(agreed, items, level)?))
    }

    /// Cohen's kappa, weighted or not, with the asymptotic standard error.
    ///
    /// With shares p_ij, marginal shares r_i and c_j, weights w_ij, p_o = Σ w_ij p_ij, p_e = Σ w_ij r_i c_j, κ = (p_o - p_e) / (1 - p_e) and
    /// u_i = Σ_j w_ij c_j, v_j = Σ_i w_ij r_i:
    ///
    /// ```text
    /// Var κ = (Σ p_ij (w_ij (1 - p_e) - (u_i + v_j)(1 - p_o))² - (p_o p_e - 2 p_e + p_o)²) / (n (1 - p_e)⁴)
    /// ```
    ///
    /// Source: Cohen (1960, 1968); Fleiss, Cohen and Everitt (1969), "Large sample standard errors of kappa and weighted kappa", Psychological
    /// Bulletin 72, 323-327. As `statsmodels.stats.inter_rater.cohens_kappa`.
    ///
    /// # Errors
    ///
    /// [`Error::TooFew`] without items, [`Error::Constant`] when both only ever said one and the same category, [`Error::Domain`] for the level.
    ///
    /// ```
    /// # use judge_run_statistics::agreement::{Confusion, Weights};
    /// let table = Confusion::of_rows(vec![vec![45, 5], vec![8, 22]])?;
    /// let kappa = table.cohen(Weights::Identity, 0.95)?;
    /// assert_eq!(format!("{:.4} {:.4}", kappa.estimate, kappa.interval.lower), "0.6463 0.4719");
    /// # Ok::<(), judge_run_statistics::Error>(())
    /// ```
    pub fn cohen(&self, weights: Weights, level: f64) -> Result<Coefficient, Error> {
        let items = self.items();
        at_least(1, "items", usize::try_from(items).unwrap_or(usize::MAX))?;
        let (n, size) = (items as f64, self.counts.len());
        let share = |i: usize, j: usize| self.counts[i][j] as f64 / n;
        let rows: Vec<f64> = (0..size).map(|i| (0..size).map(|j| share(i, j)).sum()).collect();
        let columns: Vec<f64> = (0..size).map(|j| (0..size).map(|i| share(i, j)).sum()).collect();
        let matrix = weights.matrix(size);
        // The weights are symmetric.
        let (u, v) = (matrix.times(&columns), matrix.times(&rows));
        let expected = dot(&rows, &u);
        varies(expected)?;
        let agreement: f64 = (0..size).map(|i| (0..size).map(|j| matrix.row(i)[j] * share(i, j)).sum::<f64>()).sum();
        let mut sum = 0.0;
        for (i, u) in u.iter().enumerate() {
            for (j, v) in v.iter().enumerate() {
                let term = matrix.row(i)[j] * (1.0 - expected) - (u + v) * (1.0 - agreement);
                sum += share(i, j) * term * term;
            }
        }
        let last = agreement * expected - 2.0 * expected + agreement;
        let variance = (sum - last * last) / (n * (1.0 - expected).powi(4));
        let estimate = (agreement - expected) / (1.0 - expected);
        Parts { agreement, expected, estimate, variance, items, degrees_of_freedom: None }.coefficient(level)
    }

    /// The same items as votes of two raters, for the coefficients of more.
    pub fn votes(&self) -> Votes {
        let mut votes = Votes::new(self.counts.len());
        for (i, row) in self.counts.iter().enumerate() {
            for (j, count) in row.iter().enumerate() {
                (0..*count).for_each(|_| votes.add([i, j]));
            }
        }
        votes
    }
}
