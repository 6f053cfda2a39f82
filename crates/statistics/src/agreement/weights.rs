//! How far two different ratings agree.

use crate::error::{Error, all_finite};

/// How far two categories agree, by their order: 1 for the same one, 0 for those at the ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Weights {
    /// 1 for the same category, 0 for another.
    Identity,
    /// 1 - |i - j| / (K - 1) (Cicchetti and Allison 1971).
    Linear,
    /// 1 - ((i - j) / (K - 1))² (Fleiss and Cohen 1973).
    Quadratic,
}

impl Weights {
    /// The matrix for `categories` categories in their order.
    pub(super) fn matrix(self, categories: usize) -> Matrix {
        let span = categories.saturating_sub(1).max(1) as f64;
        Matrix::of(categories, |i, j| {
            let apart = i.abs_diff(j) as f64 / span;
            match self {
                Self::Identity => f64::from(u8::from(i == j)),
                Self::Linear => 1.0 - apart,
                Self::Quadratic => 1.0 - apart * apart,
            }
        })
    }
}

/// How far two ratings are apart, for [Krippendorff's alpha](super::Votes::krippendorff).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Metric {
    /// Equal or not.
    Nominal,
    /// By how many ratings are between them: (Σ n_g from c to k - (n_c + n_k) / 2)². These are Krippendorff's, not Gwet's ordinal weights.
    Ordinal,
    /// (c - k)².
    Interval,
    /// ((c - k) / (c + k))², for numbers that are not negative.
    Ratio,
}

impl Metric {
    /// The squared distances of categories with these values and frequencies.
    pub(super) fn distances(self, values: &[f64], totals: &[f64]) -> Result<Matrix, Error> {
        all_finite(values)?;
        let matrix = Matrix::of(values.len(), |c, k| match self {
            Self::Nominal => f64::from(u8::from(c != k)),
            Self::Ordinal => {
                let (low, high) = (c.min(k), c.max(k));
                let between: f64 = totals[low..=high].iter().sum();
                if c == k { 0.0 } else { (between - (totals[c] + totals[k]) / 2.0).powi(2) }
            }
            Self::Interval => (values[c] - values[k]).powi(2),
            Self::Ratio if values[c] + values[k] == 0.0 => 0.0,
            Self::Ratio => ((values[c] - values[k]) / (values[c] + values[k])).powi(2),
        });
        all_finite(&matrix.cells)?;
        Ok(matrix)
    }
}

/// A square matrix.
pub(super) struct Matrix {
    size: usize,
    cells: Vec<f64>,
}

impl Matrix {
    fn of(size: usize, mut cell: impl FnMut(usize, usize) -> f64) -> Self {
        let mut cells = Vec::with_capacity(size * size);
        for i in 0..size {
            (0..size).for_each(|j| cells.push(cell(i, j)));
        }
        Self { size, cells }
    }

    /// Distances as weights: 1 for none, 0 for the largest.
    pub(super) fn into_weights(mut self) -> Self {
        let largest = self.cells.iter().copied().fold(0.0, f64::max);
        self.cells.iter_mut().for_each(|cell| *cell = if largest > 0.0 { 1.0 - *cell / largest } else { 1.0 });
        self
    }

    pub(super) fn row(&self, i: usize) -> &[f64] {
        &self.cells[i * self.size..(i + 1) * self.size]
    }

    pub(super) fn sum(&self) -> f64 {
        self.cells.iter().sum()
    }

    /// The matrix times a vector.
    pub(super) fn times(&self, vector: &[f64]) -> Vec<f64> {
        (0..self.size).map(|i| dot(self.row(i), vector)).collect()
    }
}

pub(super) fn dot(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(left, right)| left * right).sum()
}
