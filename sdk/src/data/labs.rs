//! Which results of laboratory items count: what the source calls abnormal, what is outside of a reference interval, or every
//! value by its quantile bin.

use super::{Cohort, LabItem, Step};
use crate::{Error, Result};
use std::collections::HashMap;
use std::hash::Hash;

/// What counts of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// What the source says is abnormal.
    Said,
    /// What is outside the central 95 % of all results of the item, as a reference interval is defined (CLSI EP28), though
    /// over patients instead of healthy people. Items with fewer than 120 results, the number that the guideline asks for,
    /// have none.
    Interval,
    /// Every value, by its quantile bin: one of so many parts with the same number of results.
    Parts(usize),
}

/// Results that an interval is made from at least.
const FEWEST: usize = 120;
/// Fraction of the results below the interval, and above it.
const TAIL: f64 = 0.025;

impl Rule {
    /// By the option `quantiles`; another when that is 0.
    ///
    /// # Errors
    /// Names the key when it is 1, or above 100.
    pub fn of(quantiles: usize, otherwise: Self) -> Result<Self> {
        match quantiles {
            0 => Ok(otherwise),
            2..=100 => Ok(Self::Parts(quantiles)),
            other => Err(Error::user(format!("expected 0 or 2 to 100, found {other}")).at_key("quantiles")),
        }
    }

    /// Whether there are cut points, which are computed from the results of many patients.
    pub fn cuts(self) -> bool {
        self != Self::Said
    }

    /// What its items are called in counts.
    pub fn items(self) -> &'static str {
        match self {
            Self::Said | Self::Interval => "abnormal laboratory items",
            Self::Parts(_) => "parts of the values of laboratory items",
        }
    }
}

/// The results of every item.
pub struct Results<K> {
    values: HashMap<K, Vec<f32>>,
}

impl<K: Hash + Eq> Default for Results<K> {
    fn default() -> Self {
        Self { values: HashMap::new() }
    }
}

impl<K: Hash + Eq> Results<K> {
    /// Adds a result; what is no number does not count.
    pub fn add(&mut self, item: K, value: f32) {
        if value.is_finite() {
            self.values.entry(item).or_default().push(value);
        }
    }

    /// The cut points of each item. An interval leaves out the k smallest and the k largest results, k = ⌈n · 0.025⌉; the
    /// k-th cut between parts is the ⌈n·k/parts⌉-th smallest, so that a result belongs to the first part whose cut is not
    /// below it.
    pub fn cuts(self, rule: Rule) -> Cuts<K> {
        let each = self.values.into_iter();
        match rule {
            Rule::Said => Cuts::None,
            Rule::Interval => {
                Cuts::Intervals(each.filter(|(_, v)| v.len() >= FEWEST).map(|(k, v)| (k, interval(v))).collect())
            }
            Rule::Parts(parts) => Cuts::Parts(each.map(|(k, v)| (k, quantiles(v, parts))).collect()),
        }
    }
}

fn interval(mut values: Vec<f32>) -> (f32, f32) {
    let outside = (values.len() as f64 * TAIL).ceil() as usize;
    let last = values.len() - 1;
    let low = *values.select_nth_unstable_by(outside, f32::total_cmp).1;
    let high = *values.select_nth_unstable_by(last - outside, f32::total_cmp).1;
    (low, high)
}

fn quantiles(mut values: Vec<f32>, parts: usize) -> Vec<f32> {
    values.sort_unstable_by(f32::total_cmp);
    let cut = |k: usize| values.get((values.len() * k).div_ceil(parts).saturating_sub(1)).copied();
    (1..parts).filter_map(cut).collect()
}

/// The cut points of the values of items.
#[derive(Debug)]
pub enum Cuts<K> {
    /// There are none: whatever is given counts.
    None,
    /// Lowest and highest normal result.
    Intervals(HashMap<K, (f32, f32)>),
    /// Quantiles: the highest value of each bin but the last.
    Parts(HashMap<K, Vec<f32>>),
}

impl<K: Hash + Eq> Cuts<K> {
    /// The quantile bin of a value of an item, from 1; 0 for an abnormal value where items have no bins. `None` when the value
    /// does not count.
    pub fn part(&self, item: &K, value: f32) -> Option<u32> {
        match self {
            Self::None => Some(0),
            Self::Intervals(of) => of.get(item).filter(|(low, high)| value < *low || value > *high).map(|_| 0),
            Self::Parts(of) => {
                let cuts = of.get(item).filter(|_| value.is_finite())?;
                Some(1 + cuts.partition_point(|cut| *cut < value) as u32)
            }
        }
    }
}

/// The items of every admission, each with the part of its values.
pub struct LabSets<K> {
    /// Items are numbered as they come.
    numbers: HashMap<(K, u32), u32>,
    /// Small sets without order: looking through one is faster than anything cleverer.
    of: Vec<Vec<u32>>,
}

impl<K: Hash + Ord> LabSets<K> {
    /// Nothing yet, of so many admissions.
    pub fn new(admissions: usize) -> Self {
        Self { numbers: HashMap::new(), of: vec![Vec::new(); admissions] }
    }

    /// Adds an item, with the part of its values that [`Cuts::part`] gives, to an admission by its place.
    pub fn insert(&mut self, at: usize, item: K, part: u32) {
        let next = self.numbers.len() as u32;
        let number = *self.numbers.entry((item, part)).or_insert(next);
        let set = &mut self.of[at];
        if !set.contains(&number) {
            set.push(number);
        }
    }

    /// Puts the items into a cohort of the same admissions, ascending by item and part. `describe` gives identifier, category
    /// and name of each; where values have `parts`, identifiers are numbers from 1, and names say which part it is.
    pub fn add_to(self, cohort: &mut Cohort, rule: Rule, describe: impl Fn(&K) -> (LabItem, String)) {
        let mut items: Vec<((K, u32), u32)> = self.numbers.into_iter().collect();
        items.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let mut order = vec![0; items.len()];
        items.iter().zip(0..).for_each(|((_, number), rank)| order[*number as usize] = rank);
        let ascending = |set: Vec<u32>| {
            let mut set: Vec<u32> = set.into_iter().map(|number| order[number as usize]).collect();
            set.sort_unstable();
            set
        };
        cohort.labs = self.of.into_iter().map(ascending).collect();
        cohort.lab_items.clear();
        cohort.lab_names.clear();
        for ((item, part), _) in &items {
            let (mut of, mut name) = describe(item);
            if let Rule::Parts(parts) = rule {
                of.id = cohort.lab_items.len() as i64 + 1;
                // What is only said to be abnormal has no parts.
                if *part > 0 {
                    name = format!("{name}, part {part} of {parts}");
                }
            }
            cohort.lab_items.push(of);
            cohort.lab_names.push(name);
        }
        if cohort.lab_names.iter().all(String::is_empty) {
            cohort.lab_names.clear();
        }
    }
}

impl Cohort {
    /// What laboratory items are called where columns are named by them, by their index and each differently: category, colon,
    /// and the name, or the identifier where there is none. Items of one category and name, such as glucose of blood and of
    /// urine, have their identifiers behind it.
    pub fn item_labels(&self) -> Vec<String> {
        let label = |(i, item): (usize, &LabItem)| {
            let name = match self.lab_name(i) {
                "" => item.id.to_string(),
                name => name.to_owned(),
            };
            match item.category.and_then(|category| self.lab_categories.get(category as usize)) {
                Some(category) => format!("{category}:{name}"),
                None => name,
            }
        };
        let labels: Vec<String> = self.lab_items.iter().enumerate().map(label).collect();
        let mut times: HashMap<&str, usize> = HashMap::new();
        labels.iter().for_each(|label| *times.entry(label.as_str()).or_default() += 1);
        let once = |(label, item): (&String, &LabItem)| match times[label.as_str()] {
            1 => label.clone(),
            _ => format!("{label} ({})", item.id),
        };
        labels.iter().zip(&self.lab_items).map(once).collect()
    }
}

/// Reads the items of admissions; `cut_from` says of each whether the cut points are computed from its results
/// ([`ParserContext::cut_from`](crate::component::ParserContext::cut_from)). `pass` goes over the results once, shows each with
/// the place of its admission, its item and its value, and says what it left out; it is called twice where there are cut points.
/// With [`Rule::Said`] it shows what is abnormal, else all that has a value.
///
/// # Errors
/// Those of `pass`.
pub fn read<K: Hash + Ord>(
    rule: Rule,
    cut_from: &[bool],
    mut pass: impl FnMut(&mut dyn FnMut(usize, K, f32)) -> Result<Step>,
) -> Result<(LabSets<K>, Step)> {
    let mut results = Results::default();
    if rule.cuts() {
        pass(&mut |at, item, value| {
            if cut_from[at] {
                results.add(item, value);
            }
        })?;
    }
    let (cuts, mut sets) = (results.cuts(rule), LabSets::new(cut_from.len()));
    let step = pass(&mut |at, item, value| {
        if let Some(part) = cuts.part(&item, value) {
            sets.insert(at, item, part);
        }
    })?;
    Ok((sets, step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_have_the_same_size() {
        // numpy.quantile(range(1, 11), [0.25, 0.5, 0.75], method="inverted_cdf")
        assert_eq!(quantiles((1..=10).rev().map(|v| v as f32).collect(), 4), [3.0, 5.0, 8.0]);
        assert_eq!(quantiles(vec![2.0, 2.0, 2.0], 2), [2.0]);
        assert!(quantiles(vec![], 3).is_empty());
    }

    #[test]
    fn the_central_part_is_normal() {
        let mut results = Results::default();
        // 0 … 199 in a scrambled order: 5 are below the interval and 5 above.
        (0..200).for_each(|i| results.add("a", (i * 77 % 200) as f32));
        (0..119).for_each(|i| results.add("few", i as f32));
        results.add("a", f32::NAN);
        let cuts = results.cuts(Rule::Interval);
        assert_eq!([4.0, 5.0, 194.0, 195.0].map(|v| cuts.part(&"a", v)), [Some(0), None, None, Some(0)]);
        assert_eq!(cuts.part(&"few", 1e9), None);
    }

    #[test]
    fn items_are_called_by_category_and_name_each_differently() {
        let item = |id, category| LabItem { id, category };
        let mut cohort = Cohort {
            lab_items: vec![item(1, Some(0)), item(2, Some(1)), item(3, Some(0)), item(4, None), item(5, Some(1))],
            lab_categories: vec!["chemistry".into(), "blood gas".into()],
            ..Cohort::default()
        };
        assert_eq!(cohort.item_labels(), ["chemistry:1", "blood gas:2", "chemistry:3", "4", "blood gas:5"]);
        cohort.lab_names = ["Glucose", "Glucose", "Glucose", "pH", ""].map(String::from).to_vec();
        let expected = ["chemistry:Glucose (1)", "blood gas:Glucose", "chemistry:Glucose (3)", "pH", "blood gas:5"];
        assert_eq!(cohort.item_labels(), expected);
    }

    #[test]
    fn results_become_items_of_admissions() {
        let shown = [(0, "b", 1.0), (1, "b", 2.0), (0, "a", 5.0), (0, "b", 1.0), (2, "b", 9.0), (2, "b", f32::NAN)];
        let found = |rule: Rule, cut_from: [bool; 3]| {
            let (sets, step) = read(rule, &cut_from, |show| {
                shown.iter().for_each(|(at, item, value)| show(*at, item, *value));
                Ok(Step::new("rows", shown.len() as u64))
            })
            .unwrap();
            assert_eq!(step.total, 6);
            let mut cohort = Cohort::default();
            let id = |item: &&str| i64::from(item.as_bytes()[0]);
            sets.add_to(&mut cohort, rule, |item| (LabItem { id: id(item), category: Some(0) }, item.to_string()));
            let ids: Vec<i64> = cohort.lab_items.iter().map(|item| item.id).collect();
            (ids, cohort.lab_names, cohort.labs.rows().map(<[u32]>::to_vec).collect::<Vec<_>>())
        };
        let (ids, names, sets) = found(Rule::Said, [true; 3]);
        assert_eq!((ids, names), (vec![97, 98], vec!["a".to_owned(), "b".into()]));
        assert_eq!(sets, [vec![0, 1], vec![1], vec![1]]);
        // The results of b are 1, 1, 2, 9: half of them are 1.
        let (ids, names, sets) = found(Rule::Parts(2), [true; 3]);
        assert_eq!(ids, [1, 2, 3]);
        assert_eq!(names, ["a, part 1 of 2", "b, part 1 of 2", "b, part 2 of 2"]);
        assert_eq!(sets, [vec![0, 1], vec![2], vec![2]]);
        // Without the last admission they are 1, 1, 2, and without the first 2, 9, while nobody has a.
        let (_, names, sets) = found(Rule::Parts(2), [true, true, false]);
        assert_eq!((names.len(), sets), (3, vec![vec![0, 1], vec![2], vec![2]]));
        let (_, names, sets) = found(Rule::Parts(2), [false, true, true]);
        assert_eq!(names, ["b, part 1 of 2", "b, part 2 of 2"]);
        assert_eq!(sets, [vec![0], vec![0], vec![1]]);
        assert!([1, 101].iter().all(|&n| Rule::of(n, Rule::Said).is_err()));
        assert_eq!(Rule::of(0, Rule::Interval).unwrap(), Rule::Interval);
    }
}
