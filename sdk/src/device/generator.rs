//! The one guarded place of burn's random generator.
//!
//! burn has one generator a device and process. Two trainings that drew from it in turns would not repeat, so whoever
//! seeds it, and whoever draws numbers that must follow from a seed, does so [alone]. Draws of other threads outside of
//! it cannot be held up.

use burn::tensor::{Device, Distribution, Tensor};
use std::cell::Cell;
use std::sync::{Mutex, PoisonError};

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    /// State of the generator for devices other than the CPU.
    static HOST: Cell<u64> = const { Cell::new(0) };
}

/// Does `work` while all others who ask wait. What is done alone may ask again.
pub fn alone<R>(work: impl FnOnce() -> R) -> R {
    static GENERATOR: Mutex<()> = Mutex::new(());
    /// Leaves on a panic, too.
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            INSIDE.set(false);
        }
    }
    if INSIDE.get() {
        return work();
    }
    let _guard = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
    INSIDE.set(true);
    let _leave = Leave;
    work()
}

/// Seeds the generator of a device, and the one from which this thread draws for devices other than the CPU. The
/// numbers follow from it as long as one is [alone].
pub fn seed(device: &Device, seed: u64) {
    alone(|| device.seed(seed));
    HOST.set(seed);
}

/// A number below 2²⁴: on the CPU from the device's generator; for other devices, whose numbers the host would have to wait
/// for, from one of this thread.
pub(crate) fn draw(device: &Device) -> u32 {
    const NUMBERS: u32 = 1 << 24;
    let device = device.clone().without_autodiff();
    if device == Device::flex() {
        let number = Tensor::<1>::random([1], Distribution::Uniform(0.0, f64::from(NUMBERS)), &device);
        return number.into_data().iter::<f32>().next().map_or(0, |number| number as u32);
    }
    // SplitMix64 (Steele, Lea and Flood 2014).
    let state = HOST.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
    HOST.set(state);
    let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 40) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Distribution, Tensor};

    #[test]
    fn draws_of_threads_that_are_alone_follow_from_their_seeds() {
        let device = Device::flex();
        let draw = |of: u64| {
            alone(|| {
                seed(&device, of);
                let one = || Tensor::<1>::random([64], Distribution::Default, &device).into_data();
                (0..20).map(|_| one()).collect::<Vec<_>>()
            })
        };
        let expected = draw(7);
        std::thread::scope(|scope| {
            let others: Vec<_> = (0..4).map(|i| scope.spawn(move || (0..20).for_each(|_| drop(draw(i))))).collect();
            assert!((0..20).all(|_| draw(7) == expected));
            others.into_iter().for_each(|other| other.join().unwrap());
        });
    }

    #[test]
    fn a_panic_leaves_it_to_others() {
        assert!(std::panic::catch_unwind(|| alone(|| panic!("over"))).is_err());
        assert_eq!(alone(|| alone(|| 1)), 1);
    }
}
