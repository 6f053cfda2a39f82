//! Small dense matrices.

/// The inverse, by Gauss-Jordan elimination with partial pivoting; `None` where there is none.
pub(super) fn inverse(mut matrix: Vec<Vec<f64>>) -> Option<Vec<Vec<f64>>> {
    let n = matrix.len();
    let mut inverse: Vec<Vec<f64>> = (0..n).map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect()).collect();
    for column in 0..n {
        let pivot = (column..n).max_by(|a, b| matrix[*a][column].abs().total_cmp(&matrix[*b][column].abs()))?;
        matrix.swap(column, pivot);
        inverse.swap(column, pivot);
        let by = matrix[column][column];
        if by == 0.0 || !by.is_finite() {
            return None;
        }
        matrix[column].iter_mut().chain(&mut inverse[column]).for_each(|entry| *entry /= by);
        let (row, row_of_inverse) = (matrix[column].clone(), inverse[column].clone());
        for other in (0..n).filter(|other| *other != column) {
            let factor = matrix[other][column];
            matrix[other].iter_mut().zip(&row).for_each(|(entry, value)| *entry -= factor * value);
            inverse[other].iter_mut().zip(&row_of_inverse).for_each(|(entry, value)| *entry -= factor * value);
        }
    }
    Some(inverse)
}

pub(super) fn times(matrix: &[Vec<f64>], vector: &[f64]) -> Vec<f64> {
    matrix.iter().map(|row| row.iter().zip(vector).map(|(a, b)| a * b).sum()).collect()
}

pub(super) fn product(left: &[Vec<f64>], right: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let column = |j: usize| right.iter().map(move |row| row[j]);
    left.iter()
        .map(|row| (0..right.len()).map(|j| row.iter().zip(column(j)).map(|(a, b)| a * b).sum()).collect())
        .collect()
}
