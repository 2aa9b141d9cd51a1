//! CPython's set order and NumPy's legacy generator: the published split depends on both.

/// A set of integers that iterates in the order of a CPython 3.7+ `set`.
///
/// The hash of an integer is its value modulo 2⁶¹ − 1; collisions probe nine neighbours, then jump by a
/// perturbed recurrence (CPython, `Objects/setobject.c`).
#[derive(Debug, Clone)]
pub struct PySet {
    table: Vec<Option<i64>>,
    used: usize,
}

const LINEAR_PROBES: usize = 9;
const PERTURB_SHIFT: u32 = 5;
const SMALLEST_TABLE: usize = 8;

impl Default for PySet {
    fn default() -> Self {
        Self { table: vec![None; SMALLEST_TABLE], used: 0 }
    }
}

impl PySet {
    /// `set()`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of members.
    pub fn len(&self) -> usize {
        self.used
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// `x in self`.
    pub fn contains(&self, x: i64) -> bool {
        matches!(self.slot(x), Slot::Taken)
    }

    /// `self.add(x)`.
    pub fn add(&mut self, x: i64) {
        let Slot::Free(at) = self.slot(x) else { return };
        self.table[at] = Some(x);
        self.used += 1;
        if self.used * 5 >= (self.table.len() - 1) * 3 {
            self.resize(if self.used > 50_000 { self.used * 2 } else { self.used * 4 });
        }
    }

    /// The members in CPython's order.
    pub fn iter(&self) -> impl Iterator<Item = i64> + '_ {
        self.table.iter().flatten().copied()
    }

    /// `self.difference(other)`. The result can be read, not added to as CPython would: it keeps no tombstones.
    pub fn difference(&self, other: &PySet) -> PySet {
        if self.used >> 2 > other.used {
            let mut copy = self.copy();
            copy.table.iter_mut().filter(|x| x.is_some_and(|x| other.contains(x))).for_each(|x| *x = None);
            copy.used = copy.iter().count();
            return copy;
        }
        self.iter().filter(|&x| !other.contains(x)).collect()
    }

    /// `self.union(other)`.
    pub fn union(&self, other: &PySet) -> PySet {
        let mut result = self.copy();
        result.merge(other);
        result
    }

    fn copy(&self) -> PySet {
        let mut copy = PySet::new();
        copy.merge(self);
        copy
    }

    /// `set_merge`: one resize for both at the start, and a plain copy when the tables are alike.
    fn merge(&mut self, other: &PySet) {
        if other.is_empty() {
            return;
        }
        if (self.used + other.used) * 5 >= (self.table.len() - 1) * 3 {
            self.resize((self.used + other.used) * 2);
        }
        if self.is_empty() && self.table.len() == other.table.len() {
            self.clone_from(other);
        } else {
            other.iter().for_each(|x| self.add(x));
        }
    }

    fn resize(&mut self, at_least: usize) {
        let mut size = SMALLEST_TABLE;
        while size <= at_least {
            size *= 2;
        }
        for x in std::mem::replace(&mut self.table, vec![None; size]).into_iter().flatten() {
            if let Slot::Free(at) = self.slot(x) {
                self.table[at] = Some(x);
            }
        }
    }

    fn slot(&self, x: i64) -> Slot {
        let mask = self.table.len() - 1;
        let hash = hash(x) as u64;
        let (mut i, mut perturb) = (hash as usize & mask, hash);
        loop {
            let probes = if i + LINEAR_PROBES <= mask { LINEAR_PROBES } else { 0 };
            for at in i..=i + probes {
                match self.table[at] {
                    None => return Slot::Free(at),
                    Some(y) if y == x => return Slot::Taken,
                    Some(_) => {}
                }
            }
            perturb >>= PERTURB_SHIFT;
            i = i.wrapping_mul(5).wrapping_add(1).wrapping_add(perturb as usize) & mask;
        }
    }
}

impl FromIterator<i64> for PySet {
    /// `set(list)`: members are added one by one.
    fn from_iter<I: IntoIterator<Item = i64>>(members: I) -> Self {
        let mut set = Self::new();
        members.into_iter().for_each(|x| set.add(x));
        set
    }
}

enum Slot {
    Free(usize),
    Taken,
}

fn hash(x: i64) -> i64 {
    const MODULUS: i64 = (1 << 61) - 1;
    match x % MODULUS {
        -1 => -2,
        h => h,
    }
}

/// NumPy's `RandomState(seed)`: the Mersenne Twister MT19937.
#[derive(Debug, Clone)]
pub struct RandomState {
    state: Vec<u32>,
    next: usize,
}

const N: usize = 624;
const M: usize = 397;

impl RandomState {
    /// `numpy.random.RandomState(seed)`.
    pub fn new(seed: u32) -> Self {
        let mut state = vec![seed; N];
        for i in 1..N {
            let last = state[i - 1];
            state[i] = 1_812_433_253u32.wrapping_mul(last ^ (last >> 30)).wrapping_add(i as u32);
        }
        Self { state, next: N }
    }

    /// The next 32 bits.
    pub fn next_u32(&mut self) -> u32 {
        if self.next == N {
            self.twist();
        }
        let mut y = self.state[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    fn twist(&mut self) {
        for i in 0..N {
            let y = (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % N] & 0x7fff_ffff);
            let odd = if y & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[i] = self.state[(i + M) % N] ^ (y >> 1) ^ odd;
        }
        self.next = 0;
    }

    /// A number in `0..=max`: bits under the smallest mask that covers `max`, drawn again while too large.
    fn up_to(&mut self, max: usize) -> usize {
        if max == 0 {
            return 0;
        }
        let mask = usize::MAX >> max.leading_zeros();
        let narrow = max <= u32::MAX as usize;
        loop {
            let bits = match narrow {
                true => self.next_u32() as usize,
                false => (self.next_u32() as usize) << 32 | self.next_u32() as usize,
            };
            if bits & mask <= max {
                return bits & mask;
            }
        }
    }

    /// `shuffle(values)`.
    pub fn shuffle<T>(&mut self, values: &mut [T]) {
        for i in (1..values.len()).rev() {
            let j = self.up_to(i);
            values.swap(i, j);
        }
    }

    /// `permutation(n)`.
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut values: Vec<usize> = (0..n).collect();
        self.shuffle(&mut values);
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(n: i64) -> Vec<i64> {
        (0..n).map(|i| 10_000_000 + i * 7919 % 100_003).collect()
    }

    fn digest(values: impl IntoIterator<Item = i64>) -> u64 {
        values.into_iter().fold(0u64, |h, x| h.wrapping_mul(31).wrapping_add(x as u64))
    }

    // spread = lambda n: [10000000 + i * 7919 % 100003 for i in range(n)]
    // def digest(l):
    //     h = 0
    //     for x in l: h = (h * 31 + x) % 2**64
    //     return h

    #[test]
    fn sets_iterate_as_in_python() {
        // list(set(spread(40)))[:5]; list(set(spread(40)))[-2:]
        let set: PySet = spread(40).into_iter().collect();
        let order: Vec<i64> = set.iter().collect();
        assert_eq!(order[..5], [10000000, 10002944, 10005888, 10069240, 10008832]);
        assert_eq!(order[38..], [10013807, 10063352]);
        // huge = [i * 2654435761 % 2**32 for i in range(60000)]; digest(list(set(huge)))
        let huge: Vec<i64> = (0..60_000).map(|i| i * 2_654_435_761 % (1 << 32)).collect();
        let set: PySet = huge.iter().copied().collect();
        assert_eq!(digest(set.iter()), 7195867091170251108);
        // digest(list(set(huge).union(set([x + 1 for x in huge]))))
        let next: PySet = huge.iter().map(|x| x + 1).collect();
        let union = set.union(&next);
        assert_eq!((union.len(), digest(union.iter())), (120_000, 5268043085138955268));
    }

    #[test]
    fn hashes_of_negative_and_large_integers() {
        // list(set([-1, -2, 0, 5, 8, 16, -9, 2**61 - 1, 2**61, 2**62 + 3]))
        let set: PySet = [-1, -2, 0, 5, 8, 16, -9, (1 << 61) - 1, 1 << 61, (1 << 62) + 3].into_iter().collect();
        let order: Vec<i64> = set.iter().collect();
        let expected = [0, 2305843009213693951, 2305843009213693952, 5, 4611686018427387907, 8, 16, -2, -9, -1];
        assert_eq!(order, expected);
    }

    #[test]
    fn both_ways_of_difference() {
        let set = |n: i64| -> PySet { spread(n).into_iter().collect() };
        // digest(set(spread(1000)).difference(set(spread(30)))): copied, then discarded from
        let copied = set(1000).difference(&set(30));
        assert_eq!((copied.len(), digest(copied.iter())), (970, 3261057098104112027));
        // list(set(spread(40)).difference(set(spread(20)))): a new set
        let rebuilt: Vec<i64> = set(40).difference(&set(20)).iter().collect();
        let expected = [
            10005888, 10008832, 10069240, 10058377, 10061321, 10000913, 10053402, 10045483, 10097972, 10037564,
            10090053, 10092997, 10029645, 10082134, 10085078, 10021726, 10074215, 10077159, 10013807, 10066296,
        ];
        assert_eq!(rebuilt, expected);
    }

    #[test]
    fn numbers_and_shuffles_as_in_numpy() {
        // r = numpy.random.RandomState(42); [r.randint(0, 2**32, dtype=numpy.uint32) for _ in range(3)]
        let mut r = RandomState::new(42);
        assert_eq!([r.next_u32(), r.next_u32(), r.next_u32()], [1608637542, 3421126067, 4083286876]);
        // x = list(range(10)); numpy.random.RandomState(42).shuffle(x)
        let mut x: Vec<i64> = (0..10).collect();
        RandomState::new(42).shuffle(&mut x);
        assert_eq!(x, [8, 1, 5, 0, 7, 2, 9, 4, 3, 6]);
        // numpy.random.RandomState(66).permutation(12)
        assert_eq!(RandomState::new(66).permutation(12), [11, 6, 1, 10, 0, 8, 2, 9, 5, 3, 7, 4]);
        // x = numpy.arange(100000); numpy.random.RandomState(42).shuffle(x); digest(x)
        let mut x: Vec<i64> = (0..100_000).collect();
        RandomState::new(42).shuffle(&mut x);
        assert_eq!(digest(x), 14548359271444955862);
    }
}
