//! Chance, from a seed: the same seed plays the same schedule.

use std::{
    cell::Cell,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
pub struct Dice {
    state: Mutex<Cell<u64>>,
    quiet: AtomicBool,
}

impl Dice {
    pub fn of(seed: u64) -> Self {
        Self {
            state: Mutex::new(Cell::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)),
            quiet: AtomicBool::new(false),
        }
    }

    fn next(&self) -> u64 {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.set(state.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
        let mut z = state.get();
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of `0..n`.
    pub fn below(&self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    /// True once in `n` times.
    pub fn once_in(&self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// A fault, once in `n` times, while faults happen.
    pub fn fault(&self, n: u64) -> bool {
        !self.quiet.load(Ordering::Relaxed) && self.once_in(n)
    }

    pub fn pick<T: Copy>(&self, from: &[T]) -> T {
        from[usize::try_from(self.below(from.len() as u64)).unwrap_or_default()]
    }

    /// From here on nothing goes wrong any more.
    pub fn quieten(&self) {
        self.quiet.store(true, Ordering::Relaxed);
    }

    pub fn is_quiet(&self) -> bool {
        self.quiet.load(Ordering::Relaxed)
    }

    /// How long a call takes: mostly a moment, now and then long enough for everything else to change.
    pub fn delay(&self) -> Duration {
        if self.fault(40) { Duration::from_millis(self.below(8000)) } else { Duration::from_millis(1 + self.below(12)) }
    }
}
