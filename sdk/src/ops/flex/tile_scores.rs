//! What scores of edges take of a tile, beside sums of its rows.

use super::real::{Real, mul_add};
use super::tiles::totals;
use crate::vectorized_fn;
use std::ops::Range;

/// What an edge adds to the rows of its ends: its own factor, times a row that all edges share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Term<'a, T> {
    /// A number for each edge.
    pub factors: &'a [T],
    /// A number for each channel.
    pub row: &'a [T],
}

impl<'a, T> Term<'a, T> {
    /// `None` unless there are both.
    pub fn of(factors: Option<&'a [T]>, row: Option<&'a [T]>) -> Option<Self> {
        factors.zip(row).map(|(factors, row)| Self { factors, row })
    }

    /// The term of some edges, counted from `first`, and channels.
    pub fn part(self, first: usize, edges: &Range<usize>, columns: &Range<usize>) -> Self {
        Self { factors: &self.factors[first..][edges.clone()], row: &self.row[columns.clone()] }
    }
}

/// The numbers of a tile, filled up with zeros.
#[inline(always)]
fn filled<T: Real, const C: usize>(numbers: &[T]) -> [T; C] {
    let mut all = [T::ZERO; C];
    all[..numbers.len()].copy_from_slice(numbers);
    all
}

/// What stands inside LeakyReLU. The rows of the two ends can change places, so that passes over either end round alike and
/// agree on which numbers are positive.
#[inline(always)]
fn inner<T: Real, const FMA: bool, const TERM: bool>(row: T, own: T, factor: T, by: T) -> T {
    let sum = row + own;
    if TERM { mul_add::<T, FMA>(factor, by, sum) } else { sum }
}

vectorized_fn! {
    /// products_k += rows[members_k] · with, of one tile. `C` is a multiple of 16.
    pub(super) fn dots<T: Real; C>(rows: &[[T; C]], members: &[u32], with: &[T], products: &mut [T]), FMA, {
        let with = filled::<T, C>(with);
        let (fours, rest) = members.as_chunks::<4>();
        let (p_fours, p_rest) = products.as_chunks_mut::<4>();
        for (members, products) in fours.iter().zip(p_fours) {
            let mut lanes = [[T::ZERO; 16]; 4];
            for e in 0..4 {
                add_products::<T, C, FMA>(&rows[members[e] as usize], &with, &mut lanes[e]);
            }
            for (product, total) in products.iter_mut().zip(totals(lanes)) {
                *product += total;
            }
        }
        for (&member, product) in rest.iter().zip(p_rest) {
            let mut lanes = [T::ZERO; 16];
            add_products::<T, C, FMA>(&rows[member as usize], &with, &mut lanes);
            *product += totals([lanes; 1])[0];
        }
    }
}

/// The products row · with, added up in lanes.
#[inline(always)]
fn add_products<T: Real, const C: usize, const FMA: bool>(row: &[T; C], with: &[T; C], lanes: &mut [T; 16]) {
    for at in (0..C).step_by(16) {
        for lane in 0..16 {
            lanes[lane] = mul_add::<T, FMA>(row[at + lane], with[at + lane], lanes[lane]);
        }
    }
}

vectorized_fn! {
    /// products_k += with · max(0, rows[members_k] + own + factors_k · row), of one tile. `C` is a multiple of 16.
    pub(super) fn rectified_dots<T: Real; C>(
        rows: &[[T; C]],
        members: &[u32],
        own: &[T],
        with: &[T],
        term: Option<Term<'_, T>>,
        products: &mut [T],
    ), FMA, {
        let (own, with) = (filled::<T, C>(own), filled::<T, C>(with));
        match term {
            None => add_rectified::<T, C, FMA, false>(rows, members, [&own, &with, &own], &[], products),
            Some(Term { factors, row }) => {
                let by = filled::<T, C>(row);
                add_rectified::<T, C, FMA, true>(rows, members, [&own, &with, &by], factors, products);
            }
        }
    }
}

/// The same of one kind: `TERM` says whether edges have factors.
#[inline(always)]
fn add_rectified<T: Real, const C: usize, const FMA: bool, const TERM: bool>(
    rows: &[[T; C]],
    members: &[u32],
    [own, with, by]: [&[T; C]; 3],
    factors: &[T],
    products: &mut [T],
) {
    let (fours, rest) = members.as_chunks::<4>();
    let (p_fours, p_rest) = products.as_chunks_mut::<4>();
    for (four, (members, products)) in fours.iter().zip(p_fours).enumerate() {
        let mut lanes = [[T::ZERO; 16]; 4];
        for e in 0..4 {
            let factor = if TERM { factors[four * 4 + e] } else { T::ZERO };
            let row = &rows[members[e] as usize];
            add_positive::<T, C, FMA, TERM>(row, [own, with, by], factor, &mut lanes[e]);
        }
        for (product, total) in products.iter_mut().zip(totals(lanes)) {
            *product += total;
        }
    }
    for (edge, (&member, product)) in rest.iter().zip(p_rest).enumerate() {
        let factor = if TERM { factors[fours.len() * 4 + edge] } else { T::ZERO };
        let mut lanes = [T::ZERO; 16];
        add_positive::<T, C, FMA, TERM>(&rows[member as usize], [own, with, by], factor, &mut lanes);
        *product += totals([lanes; 1])[0];
    }
}

/// The products with · max(0, x), added up in lanes.
#[inline(always)]
fn add_positive<T: Real, const C: usize, const FMA: bool, const TERM: bool>(
    row: &[T; C],
    [own, with, by]: [&[T; C]; 3],
    factor: T,
    lanes: &mut [T; 16],
) {
    for at in (0..C).step_by(16) {
        for (c, sum) in (at..).zip(lanes.iter_mut()) {
            let x = inner::<T, FMA, TERM>(row[c], own[c], factor, by[c]);
            *sum = mul_add::<T, FMA>(with[c], x.larger(T::ZERO), *sum);
        }
    }
}

vectorized_fn! {
    /// For each channel of a tile the sum of the weights_k of which rows[members_k] + own + factors_k · row is positive, and,
    /// where edges have factors, beside += the same sum of weights_k · factors_k.
    pub(super) fn positive_sums<T: Real; C>(
        rows: &[[T; C]],
        members: &[u32],
        weights: &[T],
        own: &[T],
        term: Option<Term<'_, T>>,
        output: &mut [T],
        beside: &mut [T],
    ), FMA, {
        let own = filled::<T, C>(own);
        let mut sums = [T::ZERO; C];
        match term {
            None => {
                for (&member, &w) in members.iter().zip(weights) {
                    let row = &rows[member as usize];
                    for c in 0..C {
                        let x = inner::<T, FMA, false>(row[c], own[c], T::ZERO, T::ZERO);
                        sums[c] += if x > T::ZERO { w } else { T::ZERO };
                    }
                }
            }
            Some(Term { factors, row: by }) => {
                let by = filled::<T, C>(by);
                let mut others = [T::ZERO; C];
                for ((&member, &w), &factor) in members.iter().zip(weights).zip(factors) {
                    let (row, product) = (&rows[member as usize], w * factor);
                    for c in 0..C {
                        let x = inner::<T, FMA, true>(row[c], own[c], factor, by[c]);
                        sums[c] += if x > T::ZERO { w } else { T::ZERO };
                        others[c] += if x > T::ZERO { product } else { T::ZERO };
                    }
                }
                for (to, &from) in beside.iter_mut().zip(&others) {
                    *to += from;
                }
            }
        }
        output.copy_from_slice(&sums[..output.len()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_and_sums_take_every_edge() {
        for edges in [0, 1, 4, 7] {
            // Sixteen channels, of which ten are used.
            let number = |r: usize, c: usize| if c < 10 { ((r * 16 + c) as f64).sin() } else { 0.0 };
            let rows: Vec<[f64; 16]> = (0..9).map(|r| std::array::from_fn(|c| number(r, c))).collect();
            let members: Vec<u32> = (0..edges).map(|k| (k * 5 % 9) as u32).collect();
            let weights: Vec<f64> = (0..edges).map(|k| 0.5 - k as f64).collect();
            let own: Vec<f64> = (0..10).map(|c| (c as f64 * 0.7).cos() - 0.2).collect();
            let with: Vec<f64> = (0..10).map(|c| 1.0 - c as f64 * 0.3).collect();
            let factors: Vec<f64> = (0..edges).map(|k| k as f64 * 0.4 - 1.0).collect();
            let by: Vec<f64> = (0..10).map(|c| (c as f64).cos()).collect();
            let row = |k: usize| &rows[members[k] as usize];
            let mut products = vec![1.0; edges];
            dots(&rows, &members, &with, &mut products);
            for (k, product) in products.iter().enumerate() {
                let expected: f64 = 1.0 + (0..10).map(|c| row(k)[c] * with[c]).sum::<f64>();
                assert!((product - expected).abs() < 1e-9);
            }
            for term in [None, Some(Term { factors: &factors, row: &by })] {
                let x = |k: usize, c: usize| row(k)[c] + own[c] + term.map_or(0.0, |_| factors[k] * by[c]);
                let mut products = vec![1.0; edges];
                rectified_dots(&rows, &members, &own, &with, term, &mut products);
                for (k, product) in products.iter().enumerate() {
                    let expected: f64 = 1.0 + (0..10).map(|c| with[c] * x(k, c).max(0.0)).sum::<f64>();
                    assert!((product - expected).abs() < 1e-9);
                }
                let (mut sums, mut beside) = ([9.0; 10], [2.0; 10]);
                positive_sums(&rows, &members, &weights, &own, term, &mut sums, &mut beside);
                for c in 0..10 {
                    let of = |w: &dyn Fn(usize) -> f64| (0..edges).filter(|&k| x(k, c) > 0.0).map(w).sum::<f64>();
                    let expected = 2.0 + term.map_or(0.0, |_| of(&|k| weights[k] * factors[k]));
                    assert!((sums[c] - of(&|k| weights[k])).abs() < 1e-9 && (beside[c] - expected).abs() < 1e-9);
                }
            }
        }
    }
}
