//! Lists of row numbers in compressed form, both ways: what every kernel runs over.

use super::{Precision, Ragged};
use crate::Error;
use crate::boundary::guard::refuse;
#[cfg(cube)]
use std::any::Any;
use std::sync::{Arc, OnceLock};
#[cfg(cube)]
use std::sync::{Mutex, PoisonError};

/// For each of `len()` outputs the rows of a table that it is made from (compressed sparse rows), with optional
/// weights. Repeats count. The transposed form, which backward passes run over, and the copies on devices are made once,
/// on first use, and kept.
#[derive(Debug, Default)]
pub struct Csr {
    offsets: Vec<u32>,
    members: Vec<u32>,
    weights: Option<Vec<f32>>,
    columns: usize,
    precision: Precision,
    transposed: OnceLock<Transposed>,
    /// Copies on devices, each of its own type.
    #[cfg(cube)]
    copies: Mutex<Vec<Arc<dyn Any + Send + Sync>>>,
}

/// For each row of the table the outputs that it enters.
#[derive(Debug, Default)]
pub struct Transposed {
    /// `columns + 1` of them.
    pub offsets: Vec<u32>,
    /// Outputs, ascending for each row of the table.
    pub outputs: Vec<u32>,
    /// Where that entry stands in the members.
    pub positions: Vec<u32>,
    /// The other way: which entry each member is.
    pub slots: Vec<u32>,
}

/// A number as kernels count: in 32 bits. `what` has so many numbers.
///
/// # Panics
/// When it is larger, rather than go on with what is left of it, with an error of the user's.
pub(crate) fn in_32_bits(number: usize, what: impl FnOnce() -> String) -> u32 {
    u32::try_from(number).unwrap_or_else(|_| {
        let message = format!("{} has {number} numbers, and kernels count up to {}", what(), u32::MAX);
        refuse(
            Error::user(message).help("make what its size comes from smaller: `batch` of the stage, widths, the graph"),
        )
    })
}

impl Csr {
    /// From offsets (one more than outputs, from 0, never falling), the members between them, and their weights.
    ///
    /// # Panics
    /// When the parts do not fit together: [`crate::graph::Graph`] and [`Ragged`] make none that do not.
    pub fn new(offsets: Vec<u32>, members: Vec<u32>, weights: Option<Vec<f32>>) -> Arc<Self> {
        Self::with_precision(offsets, members, weights, Precision::default())
    }

    /// The same, over a table whose rows kernels read in `precision` where the device can.
    pub(crate) fn with_precision(
        offsets: Vec<u32>,
        members: Vec<u32>,
        weights: Option<Vec<f32>>,
        precision: Precision,
    ) -> Arc<Self> {
        let fits = offsets.first() == Some(&0)
            && offsets.last().is_some_and(|&last| last as usize == members.len())
            && offsets.windows(2).all(|w| w[0] <= w[1])
            && weights.as_ref().is_none_or(|w| w.len() == members.len());
        assert!(fits, "offsets, members and weights of different lengths");
        let columns = members.iter().max().map_or(0, |&m| m as usize + 1);
        Arc::new(Self { offsets, members, weights, columns, precision, ..Default::default() })
    }

    /// The rows of a ragged array as members.
    pub fn of(rows: &Ragged<u32>) -> Arc<Self> {
        Self::new(
            rows.offsets().iter().map(|&o| in_32_bits(o, || "a list of the batch".into())).collect(),
            rows.values().to_vec(),
            None,
        )
    }

    /// Lists that count: for each of `outputs` the members that `entries` of output and member name, ascending, with the number
    /// of equal entries as weight. Outputs come in groups of the same size, as many as `last` has members: each of these is the
    /// last one, once more and of weight 1, in all lists of its group. Without `last` nothing is added.
    ///
    /// # Panics
    /// When an entry is of no output, groups cannot be of one size, or there are 2³² outputs or members, with an error of the user's.
    pub fn counted(outputs: usize, mut entries: Vec<(u32, u32)>, last: &[u32]) -> Arc<Self> {
        let groups = last.len().max(1);
        assert!(outputs.is_multiple_of(groups), "{outputs} outputs in {groups} groups");
        let most = entries.len() + if last.is_empty() { 0 } else { outputs };
        // Of more outputs the entries name others than they mean.
        in_32_bits(most.max(outputs), || "what a head counts in a batch".into());
        entries.sort_unstable_by_key(|&(output, member)| u64::from(output) << 32 | u64::from(member));
        let (mut members, mut weights) = (Vec::with_capacity(most), Vec::with_capacity(most));
        let mut offsets = Vec::with_capacity(outputs + 1);
        offsets.push(0);
        let (mut left, size) = (entries.as_slice(), outputs / groups);
        for group in 0..groups {
            for output in group * size..(group + 1) * size {
                while let Some(&entry) = left.first()
                    && entry.0 as usize == output
                {
                    let same = left.iter().take_while(|&&other| other == entry).count();
                    members.push(entry.1);
                    weights.push(same as f32);
                    left = &left[same..];
                }
                if let Some(&member) = last.get(group) {
                    members.push(member);
                    weights.push(1.0);
                }
                offsets.push(members.len() as u32);
            }
        }
        assert!(left.is_empty(), "output {:?} of {outputs}", left.first());
        Self::new(offsets, members, Some(weights))
    }

    /// The numbers in which rows are read.
    pub(crate) fn precision(&self) -> Precision {
        self.precision
    }

    /// What devices keep of the lists, of a type of theirs: empty on the first call, and there as long as the lists are.
    #[cfg(cube)]
    pub(crate) fn copies<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        let mut copies = self.copies.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = copies.iter().find_map(|copy| copy.clone().downcast().ok()) {
            return found;
        }
        let made = Arc::new(T::default());
        copies.push(made.clone());
        made
    }

    /// Number of outputs.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there are no outputs.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The smallest number of rows that the table may have.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Where the members of each output begin; the last is the number of members.
    pub fn offsets(&self) -> &[u32] {
        &self.offsets
    }

    /// The members of all outputs.
    pub fn members(&self) -> &[u32] {
        &self.members
    }

    /// Their weights; `None` when all are 1.
    pub fn weights(&self) -> Option<&[f32]> {
        self.weights.as_deref()
    }

    /// The range of the members of output `i`.
    pub fn range(&self, i: usize) -> std::ops::Range<usize> {
        self.offsets[i] as usize..self.offsets[i + 1] as usize
    }

    /// For each row of the table the outputs that it enters. Made on the first call, in linear time.
    pub fn transposed(&self) -> &Transposed {
        self.transposed.get_or_init(|| {
            let mut offsets = vec![0u32; self.columns + 1];
            self.members.iter().for_each(|&m| offsets[m as usize + 1] += 1);
            (0..self.columns).for_each(|c| offsets[c + 1] += offsets[c]);
            let mut next = offsets.clone();
            let none = || vec![0u32; self.members.len()];
            let (mut outputs, mut positions, mut slots) = (none(), none(), none());
            for output in 0..self.len() {
                for position in self.range(output) {
                    let slot = &mut next[self.members[position] as usize];
                    (outputs[*slot as usize], positions[*slot as usize]) = (output as u32, position as u32);
                    slots[position] = *slot;
                    *slot += 1;
                }
            }
            Transposed { offsets, outputs, positions, slots }
        })
    }
}

impl Transposed {
    /// The range of the entries of row `row` of the table; empty beyond the last row that is a member.
    pub fn range(&self, row: usize) -> std::ops::Range<usize> {
        match self.offsets.get(row + 1) {
            Some(&end) => self.offsets[row] as usize..end as usize,
            None => 0..0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boundary::guard::catch;

    #[test]
    fn transposing_lists_every_entry_once_by_row() {
        let csr = Csr::of(&[vec![2, 0, 2], vec![], vec![2]].into_iter().collect());
        assert_eq!((csr.len(), csr.columns()), (3, 3));
        let t = csr.transposed();
        let entries = |row| t.range(row).map(|k| (t.outputs[k], t.positions[k])).collect::<Vec<_>>();
        assert_eq!(
            [entries(0), entries(1), entries(2), entries(9)],
            [vec![(0, 1)], vec![], vec![(0, 0), (0, 2), (2, 3)], vec![]]
        );
        assert_eq!(t.slots, [1, 0, 2, 3]);
    }

    #[test]
    fn equal_entries_are_counted() {
        let lists = |csr: &Csr| -> Vec<Vec<(u32, f32)>> {
            let weights = csr.weights().unwrap();
            (0..csr.len()).map(|i| csr.range(i).map(|k| (csr.members()[k], weights[k])).collect()).collect()
        };
        let entries = vec![(3, 1), (0, 5), (3, 0), (3, 1), (0, 2)];
        let counted = Csr::counted(4, entries.clone(), &[]);
        assert_eq!(lists(&counted), [vec![(2, 1.0), (5, 1.0)], vec![], vec![], vec![(0, 1.0), (1, 2.0)]]);
        let kinds = Csr::counted(4, entries, &[7, 8]);
        let expected =
            [vec![(2, 1.0), (5, 1.0), (7, 1.0)], vec![(7, 1.0)], vec![(8, 1.0)], vec![(0, 1.0), (1, 2.0), (8, 1.0)]];
        assert_eq!(lists(&kinds), expected);
        assert!(Csr::counted(0, Vec::new(), &[]).is_empty());
    }

    /// Nodes times patients of a batch.
    #[test]
    fn outputs_that_no_entry_of_32_bits_can_name_are_refused() {
        for (outputs, last) in [(1 << 32, &[][..]), ((1 << 32) - 1, &[7][..])] {
            let counted = || Ok(Csr::counted(outputs, vec![(0, 1)], last).len());
            let error = catch(counted).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(
                error.to_string().contains("4294967296 numbers") && error.to_string().contains("`batch`"),
                "{error}"
            );
        }
    }

    #[test]
    #[should_panic(expected = "of 2")]
    fn entries_beyond_the_outputs_are_refused() {
        Csr::counted(2, vec![(2, 0)], &[]);
    }

    #[cfg(cube)]
    #[test]
    fn copies_are_kept_by_type() {
        let csr = Csr::of(&Ragged::new());
        *csr.copies::<Mutex<u8>>().lock().unwrap() = 3;
        assert_eq!(*csr.copies::<Mutex<u16>>().lock().unwrap(), 0);
        assert_eq!(*csr.copies::<Mutex<u8>>().lock().unwrap(), 3);
    }

    #[test]
    fn nothing_is_a_csr_too() {
        let csr = Csr::of(&Ragged::new());
        assert!(csr.is_empty() && csr.transposed().outputs.is_empty() && csr.columns() == 0);
    }

    #[test]
    fn what_kernels_cannot_count_is_refused() {
        let count = |number| catch(|| Ok(in_32_bits(number, || "a table".into())));
        assert_eq!(count((1 << 32) - 1).unwrap(), u32::MAX);
        let refused = count(1 << 32).unwrap_err();
        assert_eq!(refused.exit_code(), 2);
        assert!(refused.to_string().contains("a table has 4294967296 numbers"), "{refused}");
    }
}
