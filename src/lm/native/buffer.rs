//! Aligned memory that grows and is reused.

use std::alloc::{Layout, alloc_zeroed, handle_alloc_error};
use std::ops::{Deref, DerefMut};

/// One cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; 16]);

/// Floats that begin at a cache line and keep their memory when they are reused.
#[derive(Clone, Default)]
pub(super) struct Buffer {
    lines: Vec<Line>,
}

impl Buffer {
    /// A buffer of at least `floats` zeros.
    pub(super) fn zeros(floats: usize) -> Self {
        let mut buffer = Self::default();
        buffer.reserve(floats);
        buffer
    }

    /// Makes room for `floats` floats. Old contents may be lost; new contents are zero or what an earlier use left.
    pub(super) fn reserve(&mut self, floats: usize) {
        let lines = floats.div_ceil(16);
        if lines > self.lines.len() {
            // Dropped first: the old contents need not be copied, and two buffers need not exist at once.
            self.lines = Vec::new();
            self.lines = zeroed(lines);
        }
    }
}

impl Buffer {
    /// The same memory as twice as many halves of a float.
    pub(super) fn halves(&self) -> &[u16] {
        // SAFETY: a line is 32 halves without padding, and any bits are one.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.lines.len() * 32) }
    }

    /// The same, to write.
    pub(super) fn halves_mut(&mut self) -> &mut [u16] {
        // SAFETY: a line is 32 halves without padding, and any bits are a half and a float.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.lines.len() * 32) }
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: a line is 16 floats without padding.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.lines.len() * 16) }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: a line is 16 floats without padding.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.lines.len() * 16) }
    }
}

/// Lines of zeros. Large ones come from the kernel as they are needed: the threads that work with them touch them first.
fn zeroed(lines: usize) -> Vec<Line> {
    let Ok(layout) = Layout::array::<Line>(lines) else { return vec![Line([0.0; 16]); lines] };
    if layout.size() == 0 {
        return Vec::new();
    }
    // SAFETY: the layout is not empty; the vector takes over memory of its own layout, in which all bytes zero are floats.
    let fresh = unsafe {
        let memory = alloc_zeroed(layout);
        if memory.is_null() {
            handle_alloc_error(layout);
        }
        Vec::from_raw_parts(memory.cast::<Line>(), lines, lines)
    };
    prefer_huge_pages(&fresh);
    fresh
}

/// Asks the kernel for huge pages before the first touch: large buffers fault 512 times less often. A refusal costs nothing.
fn prefer_huge_pages(lines: &Vec<Line>) {
    const HUGE: usize = 2 << 20;
    let bytes = lines.capacity() * size_of::<Line>();
    if bytes < 2 * HUGE {
        return;
    }
    #[cfg(target_os = "linux")]
    {
        let begin = (lines.as_ptr() as usize).next_multiple_of(HUGE);
        let end = (lines.as_ptr() as usize + bytes) / HUGE * HUGE;
        if begin < end {
            // SAFETY: the range is inside this allocation; the advice does not change contents.
            unsafe { libc::madvise(begin as *mut libc::c_void, end - begin, libc::MADV_HUGEPAGE) };
        }
    }
}
