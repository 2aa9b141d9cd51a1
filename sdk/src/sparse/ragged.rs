//! Lists of different lengths in two flat arrays.

use serde::{Deserialize, Serialize};

/// A list of rows of different lengths: row `i` is `values[offsets[i]..offsets[i + 1]]`.
///
/// ```
/// use dualk_sdk::sparse::Ragged;
/// let r: Ragged<u32> = [vec![1, 2], vec![], vec![3]].into_iter().collect();
/// assert_eq!((r.len(), r.row(0), r.row(1)), (3, &[1, 2][..], &[][..]));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(crate = "serde")]
pub struct Ragged<T> {
    offsets: Vec<usize>,
    values: Vec<T>,
}

impl<T> Default for Ragged<T> {
    fn default() -> Self {
        Self { offsets: vec![0], values: Vec::new() }
    }
}

impl<T> Ragged<T> {
    /// No rows.
    pub fn new() -> Self {
        Self::default()
    }

    /// From offsets and values; `None` unless the offsets start at 0, never fall and end at `values.len()`.
    pub fn from_parts(offsets: Vec<usize>, values: Vec<T>) -> Option<Self> {
        let ordered = offsets.windows(2).all(|w| w[0] <= w[1]);
        let fits = offsets.first() == Some(&0) && offsets.last() == Some(&values.len());
        (ordered && fits).then_some(Self { offsets, values })
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Row `i`.
    pub fn row(&self, i: usize) -> &[T] {
        &self.values[self.offsets[i]..self.offsets[i + 1]]
    }

    /// The range of `values` that row `i` takes.
    pub fn range(&self, i: usize) -> std::ops::Range<usize> {
        self.offsets[i]..self.offsets[i + 1]
    }

    /// All rows, in order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[T]> {
        (0..self.len()).map(|i| self.row(i))
    }

    /// Row offsets, `len() + 1` of them.
    pub fn offsets(&self) -> &[usize] {
        &self.offsets
    }

    /// All values, row after row.
    pub fn values(&self) -> &[T] {
        &self.values
    }

    /// Adds a row.
    pub fn push(&mut self, row: impl IntoIterator<Item = T>) {
        self.values.extend(row);
        self.offsets.push(self.values.len());
    }
}

impl<T, R: IntoIterator<Item = T>> FromIterator<R> for Ragged<T> {
    fn from_iter<I: IntoIterator<Item = R>>(rows: I) -> Self {
        let mut ragged = Self::new();
        rows.into_iter().for_each(|row| ragged.push(row));
        ragged
    }
}
