//! Sharing work among the threads of the caller's rayon pool, in parts that do not depend on how many there are.

use std::marker::PhantomData;

use rayon::prelude::*;

use crate::lm::native::lanes::InstructionSet;

/// How many threads may work, and with which instructions.
#[derive(Clone, Copy)]
pub(crate) struct Threads {
    count: usize,
    set: InstructionSet,
}

impl Threads {
    /// The threads of the current rayon pool.
    pub(crate) fn current() -> Self {
        Self { count: rayon::current_num_threads(), set: InstructionSet::detect() }
    }

    /// This thread only, with an instruction set that this processor has.
    #[cfg(test)]
    pub(super) fn with(set: InstructionSet) -> Self {
        Self { count: 1, set }
    }

    /// This thread only.
    pub(super) fn one() -> Self {
        Self { count: 1, set: InstructionSet::detect() }
    }

    /// This thread only, with the same instructions.
    pub(super) fn alone(self) -> Self {
        Self { count: 1, ..self }
    }

    /// All threads if there are enough elements to pay for waking them.
    pub(super) fn worth(self, elements: usize) -> Self {
        if elements < 1 << 15 { self.alone() } else { self }
    }

    pub(super) fn count(self) -> usize {
        self.count
    }

    pub(super) fn set(self) -> InstructionSet {
        self.set
    }

    /// Runs `task(0)`, `task(1)` … `task(tasks - 1)`, in any order, on all threads.
    pub(super) fn each(self, tasks: usize, task: impl Fn(usize) + Send + Sync) {
        if self.count == 1 || tasks <= 1 {
            (0..tasks).for_each(task);
        } else {
            (0..tasks).into_par_iter().with_max_len(1).for_each(task);
        }
    }

    /// Runs `task` on every item, with its index, on all threads.
    pub(crate) fn each_mut<T: Send>(self, items: &mut [T], task: impl Fn(usize, &mut T) + Send + Sync) {
        if self.count == 1 || items.len() <= 1 {
            items.iter_mut().enumerate().for_each(|(index, item)| task(index, item));
        } else {
            items.par_iter_mut().with_max_len(1).enumerate().for_each(|(index, item)| task(index, item));
        }
    }

    /// Runs `task(begin, end)` over `0..rows` in blocks of `block` rows.
    pub(super) fn blocks(self, rows: usize, block: usize, task: impl Fn(usize, usize) + Send + Sync) {
        self.each(rows.div_ceil(block), |index| task(index * block, ((index + 1) * block).min(rows)));
    }
}

/// A slice of which several tasks write disjoint parts.
#[derive(Clone, Copy)]
pub(super) struct Shared<'a, T = f32> {
    data: *mut T,
    length: usize,
    borrowed: PhantomData<&'a mut [T]>,
}

// SAFETY: it is only a pointer; `slice` puts the duty on its caller.
unsafe impl<T: Send> Send for Shared<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<'_, T> {}

impl<'a, T> Shared<'a, T> {
    pub(super) fn new(data: &'a mut [T]) -> Self {
        Self { data: data.as_mut_ptr(), length: data.len(), borrowed: PhantomData }
    }

    pub(super) fn pointer(&self) -> *mut T {
        self.data
    }

    /// The address of the element at `index`.
    pub(super) fn at(&self, index: usize) -> *mut T {
        assert!(index <= self.length, "the address is inside");
        self.data.wrapping_add(index)
    }

    /// The part of `length` elements from `begin`.
    ///
    /// # Safety
    /// No other living slice may overlap it.
    #[expect(clippy::mut_from_ref, reason = "disjointness is the caller's promise")]
    pub(super) unsafe fn slice(&self, begin: usize, length: usize) -> &mut [T] {
        assert!(begin + length <= self.length, "the part is inside");
        // SAFETY: inside, and disjoint as promised.
        unsafe { std::slice::from_raw_parts_mut(self.data.add(begin), length) }
    }
}
