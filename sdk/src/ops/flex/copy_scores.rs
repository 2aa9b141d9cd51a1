//! Scores that codes and items give to columns in the copy path of a head.

use super::Csr;
use super::real::Real;

/// Of codes for themselves, of codes for their neighbours and of items: the weights of each, and those that all share.
#[derive(Clone, Copy)]
pub(super) struct Tables<'a, T> {
    pub own: (&'a [T], &'a [T]),
    pub near: (&'a [T], &'a [T]),
    pub item: (&'a [T], &'a [T]),
    pub ages: usize,
}

/// Rows of codes, rows of their neighbours, rows of items; a column a patient.
pub(super) fn forward<T: Real>(tables: Tables<'_, T>, codes: usize, lists: &Csr, patients: usize) -> Vec<T> {
    let ages = tables.ages;
    let mut output = vec![T::ZERO; (codes + lists.len()) * patients];
    let mut add = |row: usize, member: usize, weight: T, (own, shared): (T, T)| {
        output[row * patients + member / ages] += weight * (own + shared);
    };
    for (list, member, weight) in entries::<T>(lists) {
        let age = member % ages;
        let at = list * ages + age;
        if list < codes {
            add(list, member, weight, (tables.own.0[at], tables.own.1[age]));
            add(codes + list, member, weight, (tables.near.0[at], tables.near.1[age]));
        } else {
            add(codes + list, member, weight, (tables.item.0[list - codes], tables.item.1[0]));
        }
    }
    output
}

/// Gradients of the weights of each: of codes `[codes, ages]` twice, and of items.
pub(super) fn backward<T: Real>(gradient: &[T], [codes, ages]: [usize; 2], items: usize, lists: &Csr) -> [Vec<T>; 3] {
    let patients = gradient.len() / (codes + lists.len()).max(1);
    let [mut own, mut near, mut item] = [codes * ages, codes * ages, items].map(|size| vec![T::ZERO; size]);
    for (list, member, weight) in entries::<T>(lists) {
        let (patient, at) = (member / ages, list * ages + member % ages);
        let behind = weight * gradient[(codes + list) * patients + patient];
        if list < codes {
            own[at] += weight * gradient[list * patients + patient];
            near[at] += behind;
        } else {
            item[list - codes] += behind;
        }
    }
    [own, near, item]
}

/// List, member and weight of every entry.
fn entries<T: Real>(lists: &Csr) -> impl Iterator<Item = (usize, usize, T)> {
    let weight = |k: usize| lists.weights().map_or(T::ONE, |weights| T::of(weights[k]));
    (0..lists.len()).flat_map(move |i| lists.range(i).map(move |k| (i, lists.members()[k] as usize, weight(k))))
}
