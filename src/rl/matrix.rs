//! A `(B, T)` table of numbers: sequences down, tokens across.

use crate::rl::RlError;

/// Numbers of shape `(B, T)`, row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    columns: usize,
    values: Vec<f64>,
}

impl Matrix {
    /// Returns a matrix full of zeros.
    pub fn zeros(rows: usize, columns: usize) -> Self {
        Self { columns, values: vec![0.0; rows * columns] }
    }

    /// Joins rows of equal length.
    ///
    /// # Errors
    /// [`RlError::Length`] if a row's length differs from the first one's.
    pub fn from_rows(rows: &[Vec<f64>]) -> Result<Self, RlError> {
        let columns = rows.first().map_or(0, Vec::len);
        if let Some(row) = rows.iter().find(|row| row.len() != columns) {
            return Err(RlError::Length { name: "a row", expected: columns.to_string(), found: row.len() });
        }
        Ok(Self { columns, values: rows.concat() })
    }

    /// Pads sequences of different lengths with zeros on the right; returns the matrix and its mask, 1 where a token is.
    pub fn padded(rows: &[Vec<f32>]) -> (Self, Self) {
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let mut values = Self::zeros(rows.len(), columns);
        let mut mask = Self::zeros(rows.len(), columns);
        for (index, row) in rows.iter().enumerate() {
            for (column, value) in row.iter().enumerate() {
                values.row_mut(index)[column] = f64::from(*value);
                mask.row_mut(index)[column] = 1.0;
            }
        }
        (values, mask)
    }

    /// Returns rows and columns.
    pub fn shape(&self) -> (usize, usize) {
        (self.rows(), self.columns)
    }

    /// Returns the number of rows.
    pub fn rows(&self) -> usize {
        self.values.len().checked_div(self.columns).unwrap_or(0)
    }

    /// Returns the number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Returns one row.
    pub fn row(&self, index: usize) -> &[f64] {
        &self.values[index * self.columns..(index + 1) * self.columns]
    }

    /// Returns one row, to write.
    pub fn row_mut(&mut self, index: usize) -> &mut [f64] {
        &mut self.values[index * self.columns..(index + 1) * self.columns]
    }

    /// Returns the rows.
    pub fn iter_rows(&self) -> impl Iterator<Item = &[f64]> {
        (0..self.rows()).map(|index| self.row(index))
    }

    /// Returns the sum of all values.
    pub fn sum(&self) -> f64 {
        self.values.iter().sum()
    }

    /// Returns the values, row by row.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// Multiplies by another matrix, value by value.
    ///
    /// # Errors
    /// [`RlError::Shape`] if the shapes differ.
    pub fn times(&self, other: &Self, name: &'static str) -> Result<Self, RlError> {
        other.expect_shape(name, self.shape())?;
        let values = self.values.iter().zip(&other.values).map(|(left, right)| left * right).collect();
        Ok(Self { columns: self.columns, values })
    }

    pub(super) fn expect_shape(&self, name: &'static str, expected: (usize, usize)) -> Result<(), RlError> {
        if self.shape() == expected { Ok(()) } else { Err(RlError::Shape { name, expected, found: self.shape() }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_marks_what_is_a_token() {
        let (values, mask) = Matrix::padded(&[vec![1.5], vec![2.0, 3.0], vec![]]);
        assert_eq!(values.values(), [1.5, 0.0, 2.0, 3.0, 0.0, 0.0]);
        assert_eq!(mask.values(), [1.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
        assert_eq!(values.shape(), (3, 2));
    }

    #[test]
    fn uneven_rows_are_refused() {
        assert!(Matrix::from_rows(&[vec![1.0], vec![1.0, 2.0]]).is_err());
    }
}
