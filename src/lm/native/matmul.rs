//! Matrix products whose every element is one chain of fused multiply-adds in the order of the inner dimension.
//!
//! `C[i][j] = fma(A[i][k-1], B[k-1][j], … fma(A[i][0], B[0][j], C₀[i][j]))`, where `C₀` is what was there (accumulating)
//! or zero. No blocking, tile size, thread count or instruction set changes that order, so a row's bits do not depend on
//! which other rows share the call: decoding one token, a batch of 64 and a training pass over thousands of rows agree
//! bit for bit. General libraries (the `gemm` crate among them) change kernels and the split of the inner dimension with
//! the shape, so they cannot promise this.
//!
//! `B` is packed into panels of 32 columns first (once for many products where it is a weight); `A` is read in place or
//! packed by tiles into a buffer of the thread.

use std::cell::RefCell;
use std::mem::MaybeUninit;

use crate::lm::native::buffer::Buffer;
use crate::lm::native::lanes::{InstructionSet, LANES, Lanes, dispatched, prefetch};
use crate::lm::native::threads::{Shared, Threads};

/// Columns in a panel of a packed right-hand side.
pub(super) const PANEL: usize = 32;

/// Rows of `A` that are multiplied while a block of panels stays in the second-level cache; a multiple of every tile
/// height.
const ROW_BLOCK: usize = 96;

/// Longest stretch of the inner dimension before moving to the next tile. Splitting does not change results.
const DEPTH_BLOCK: usize = 512;

/// Bytes of packed panels to sweep with one tile of `A`: half of a usual second-level cache.
const PANEL_BLOCK_BYTES: usize = 512 * 1024;

/// Multiply-adds below which a product is not shared among threads, if its right-hand side has fewer floats than this too: a
/// row times a matrix takes the time to read the matrix.
const PARALLEL_WORK: usize = 1 << 20;
const PARALLEL_FLOATS: usize = 1 << 16;

/// A read-only matrix with any strides, in floats.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// A row-major matrix without gaps, shape `(rows, columns)`.
    pub(super) fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        Self::strided(data, rows, columns, columns)
    }

    /// A row-major matrix whose rows begin every `row_stride` floats.
    pub(super) fn strided(data: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        assert!(rows == 0 || columns == 0 || (rows - 1) * row_stride + columns <= data.len(), "the matrix is inside");
        Self { data, rows, columns, row_stride, column_stride: 1 }
    }

    /// The transposed matrix over the same data.
    pub(super) fn transposed(self) -> Self {
        Self {
            data: self.data,
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
        }
    }
}

/// A right-hand side, shape `(depth, columns)`, in panels: `[column / 32][depth][32]`, zero-padded.
#[derive(Default)]
pub(super) struct Packed {
    data: Buffer,
    depth: usize,
    columns: usize,
}

impl Packed {
    /// Packs `matrix`, reusing the buffer.
    pub(super) fn pack(&mut self, threads: Threads, matrix: Matrix) {
        self.depth = matrix.rows;
        self.columns = matrix.columns;
        let panels = self.columns.div_ceil(PANEL);
        let size = self.depth * PANEL;
        self.data.reserve(panels * size);
        if size == 0 {
            return;
        }
        let threads = if self.depth * self.columns < 1 << 16 { Threads::one() } else { threads };
        let data = Shared::new(&mut self.data[..panels * size]);
        if matrix.column_stride == 1 {
            threads.blocks(self.depth, STRETCH, |begin, end| {
                // SAFETY: the data holds all panels; each row of them is written by one task.
                unsafe { pack_rows_of_panels(&data, size, matrix, begin, end) };
            });
        } else {
            threads.each(panels, |panel| {
                // SAFETY: each panel is written by one task.
                let target = unsafe { data.slice(panel * size, size) };
                pack_panel(target, matrix, panel * PANEL);
            });
        }
    }

    /// The panels, to read.
    pub(super) fn panels(&self) -> Panels<'_> {
        Panels { data: &self.data, depth: self.depth, columns: self.columns, stride: self.depth * PANEL }
    }
}

/// Copies the rows `begin..end` of a matrix of contiguous rows into panels of `size` floats.
///
/// # Safety
/// No other task may touch these rows of the panels.
unsafe fn pack_rows_of_panels(panels: &Shared, size: usize, matrix: Matrix, begin: usize, end: usize) {
    for row in begin..end {
        let place = row * matrix.row_stride;
        let from = &matrix.data[place..place + matrix.columns];
        for (panel, from) in from.chunks(PANEL).enumerate() {
            // SAFETY: as promised by the caller.
            let to = unsafe { panels.slice(panel * size + row * PANEL, PANEL) };
            if from.len() == PANEL {
                copy_fixed::<PANEL>(to, from);
            } else {
                to[..from.len()].copy_from_slice(from);
                to[from.len()..].fill(0.0);
            }
        }
    }
}

/// Copies the columns from `first` of a matrix without contiguous rows, as many as one panel has.
fn pack_panel(target: &mut [f32], matrix: Matrix, first: usize) {
    let width = PANEL.min(matrix.columns - first);
    if width < PANEL {
        target.fill(0.0);
    }
    if matrix.row_stride != 1 {
        for (depth, row) in target.chunks_exact_mut(PANEL).enumerate() {
            for (column, slot) in row[..width].iter_mut().enumerate() {
                *slot = matrix.data[(first + column) * matrix.column_stride + depth * matrix.row_stride];
            }
        }
        return;
    }
    // Transposing: by stretches of the depth that fit the first-level cache on both sides. The sources are too many for the
    // processor to foresee, so the next stretch is asked for while this one is copied.
    for (block, target) in target.chunks_mut(STRETCH * PANEL).enumerate() {
        let depth = target.len() / PANEL;
        for column in 0..width {
            let begin = (first + column) * matrix.column_stride + block * STRETCH;
            let source = &matrix.data[begin..begin + depth];
            for line in (STRETCH..2 * STRETCH).step_by(LANES) {
                prefetch(source.as_ptr().wrapping_add(line));
            }
            for (value, row) in source.iter().zip(target.chunks_exact_mut(PANEL)) {
                row[column] = *value;
            }
        }
    }
}

/// Depth that is transposed at once.
const STRETCH: usize = 64;

/// Packed panels of any owner. Panels begin every `stride` floats, so that a cache can hold more rows than are used.
#[derive(Clone, Copy)]
pub(super) struct Panels<'a> {
    data: &'a [f32],
    depth: usize,
    columns: usize,
    stride: usize,
}

impl<'a> Panels<'a> {
    /// Panels that begin every `stride` floats of `data`, of which the first `depth` rows and `columns` columns count.
    pub(super) fn new(data: &'a [f32], depth: usize, columns: usize, stride: usize) -> Self {
        let panels = columns.div_ceil(PANEL);
        assert!(panels == 0 || (panels - 1) * stride + depth * PANEL <= data.len(), "the panels are inside");
        Self { data, depth, columns, stride }
    }

    /// Columns.
    pub(super) fn width(self) -> usize {
        self.columns
    }

    /// The first `columns` columns.
    pub(super) fn columns(self, columns: usize) -> Self {
        assert!(columns <= self.columns);
        Self { columns, ..self }
    }

    /// The first `depth` rows.
    pub(super) fn depth(self, depth: usize) -> Self {
        assert!(depth <= self.depth);
        Self { depth, ..self }
    }
}

/// What a product does with what its target held.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Into {
    /// Forget it.
    Replace,
    /// Begin the sum with it.
    Accumulate,
}

/// `C ← A B` (or `C + A B`): `A` is `(m, k)`, `B` packed `(k, n)`, `C` row-major `(m, n)` with rows every `stride` floats.
pub(super) fn multiply(threads: Threads, into: Into, a: Matrix, b: Panels, c: &mut [f32], stride: usize) {
    let (m, n, k) = (a.rows, b.columns, b.depth);
    assert_eq!(a.columns, k, "inner dimensions agree");
    if m == 0 || n == 0 {
        return;
    }
    assert!((m - 1) * stride + n <= c.len(), "the target holds the product");
    if k == 0 {
        if into == Into::Replace {
            c.chunks_mut(stride).take(m).for_each(|row| row[..n].fill(0.0));
        }
        return;
    }
    let panels = n.div_ceil(PANEL);
    let c = Shared::new(c);
    let block = |rows: (usize, usize), columns: (usize, usize)| {
        // SAFETY: sizes were checked above; blocks of different tasks do not overlap in `c`.
        unsafe { multiply_block(threads.set(), into, &a, &b, &c, stride, rows, columns) };
    };
    if threads.count() == 1 || (m * n * k < PARALLEL_WORK && n * k < PARALLEL_FLOATS) {
        block((0, m), (0, panels));
        return;
    }
    // A few tasks per thread, so that a thread that is disturbed does not hold up the others.
    let wanted = threads.count() * 4;
    let row_tasks = m.div_ceil(ROW_BLOCK).min(wanted);
    let rows = m.div_ceil(row_tasks).next_multiple_of(12);
    let row_tasks = m.div_ceil(rows);
    let column_tasks = wanted.div_ceil(row_tasks).min(panels);
    let columns = panels.div_ceil(column_tasks);
    let column_tasks = panels.div_ceil(columns);
    threads.each(row_tasks * column_tasks, |task| {
        let (row, column) = (task / column_tasks * rows, task % column_tasks * columns);
        block((row, (row + rows).min(m)), (column, (column + columns).min(panels)));
    });
}

thread_local! {
    static PACKED_ROWS: RefCell<Buffer> = RefCell::new(Buffer::default());
}

/// One task: the rows `rows.0..rows.1` of the panels `panels.0..panels.1`.
///
/// # Safety
/// Strides and sizes must keep all reads and writes inside the slices, and no other thread may touch this part of `c`.
#[expect(clippy::too_many_arguments)]
unsafe fn multiply_block(
    set: InstructionSet,
    into: Into,
    a: &Matrix,
    b: &Panels,
    c: &Shared,
    stride: usize,
    rows: (usize, usize),
    panels: (usize, usize),
) {
    // Reading `A` in place is as fast while its rows are contiguous.
    let pack = a.column_stride != 1;
    let height = tile_height(set);
    let block_panels = |depth: usize| (PANEL_BLOCK_BYTES / (depth * PANEL * 4)).max(1);
    let run = |packed: &mut Buffer| {
        let mut depth = 0;
        while depth < b.depth {
            let depth_size = DEPTH_BLOCK.min(b.depth - depth);
            let load = into == Into::Accumulate || depth > 0;
            let mut row = rows.0;
            while row < rows.1 {
                let count = ROW_BLOCK.min(rows.1 - row);
                let source = &a.data[row * a.row_stride + depth * a.column_stride..];
                if pack {
                    packed.reserve(count * depth_size);
                    pack_rows(&mut packed[..count * depth_size], source, a, count, depth_size, height);
                }
                let step = block_panels(depth_size);
                let mut panel = panels.0;
                while panel < panels.1 {
                    let end = (panel + step).min(panels.1);
                    let tiles = Tiles {
                        a: if pack { packed.as_ptr() } else { source.as_ptr() },
                        a_row: if pack { 1 } else { a.row_stride },
                        packed: pack,
                        // SAFETY: inside, as promised.
                        b: unsafe { b.data.as_ptr().add(panel * b.stride + depth * PANEL) },
                        b_panel: b.stride,
                        // SAFETY: inside, as promised.
                        c: unsafe { c.pointer().add(row * stride + panel * PANEL) },
                        c_row: stride,
                        rows: count,
                        columns: (end * PANEL).min(b.columns) - panel * PANEL,
                        depth: depth_size,
                        load,
                    };
                    // SAFETY: inside, as promised; the set was detected.
                    unsafe { multiply_tiles(set, &tiles) };
                    panel = end;
                }
                row += count;
            }
            depth += depth_size;
        }
    };
    if pack {
        PACKED_ROWS.with_borrow_mut(run);
    } else {
        run(&mut Buffer::default());
    }
}

/// Copies so few floats that a call would cost more.
#[inline(always)]
fn copy_fixed<const N: usize>(to: &mut [f32], from: &[f32]) {
    if let (Some(to), Some(from)) = (to.first_chunk_mut::<N>(), from.first_chunk::<N>()) {
        *to = *from;
    }
}

fn tile_height(set: InstructionSet) -> usize {
    if set == InstructionSet::Avx512 { 12 } else { 6 }
}

/// Packs rows into tiles `[row / height][depth][rows of the tile]`.
fn pack_rows(target: &mut [f32], source: &[f32], a: &Matrix, rows: usize, depth: usize, height: usize) {
    let whole = rows / height * height;
    if a.row_stride == 1 && height == 12 {
        // All tiles of one depth are neighbours in memory: read them together.
        for index in 0..depth {
            let begin = index * a.column_stride;
            for (tile, from) in source[begin..begin + whole].chunks_exact(12).enumerate() {
                let place = (tile * depth + index) * 12;
                copy_fixed::<12>(&mut target[place..place + 12], from);
            }
        }
    } else {
        pack_tiles(&mut target[..whole * depth], source, a, depth, height);
    }
    if whole < rows {
        pack_tiles(&mut target[whole * depth..], &source[whole * a.row_stride..], a, depth, rows - whole);
    }
}

/// Packs tiles of `height` rows, as many as fit the target.
fn pack_tiles(target: &mut [f32], source: &[f32], a: &Matrix, depth: usize, height: usize) {
    for (tile, target) in target.chunks_exact_mut(height * depth).enumerate() {
        for (index, slots) in target.chunks_exact_mut(height).enumerate() {
            for (row, slot) in slots.iter_mut().enumerate() {
                *slot = source[(tile * height + row) * a.row_stride + index * a.column_stride];
            }
        }
    }
}

/// Tiles of rows times a run of panels.
struct Tiles {
    a: *const f32,
    a_row: usize,
    packed: bool,
    b: *const f32,
    b_panel: usize,
    c: *mut f32,
    c_row: usize,
    rows: usize,
    columns: usize,
    depth: usize,
    load: bool,
}

dispatched! {
    fn multiply_tiles(tiles: &Tiles) = tiles_body;
}

#[inline(always)]
unsafe fn tiles_body<V: Lanes>(tiles: &Tiles) {
    let height = V::TILE_ROWS;
    let mut row = 0;
    while row < tiles.rows {
        let rows = height.min(tiles.rows - row);
        let mut panel = 0;
        while panel * PANEL < tiles.columns {
            let columns = PANEL.min(tiles.columns - panel * PANEL);
            // SAFETY: inside, as promised by the caller.
            unsafe {
                let a = if tiles.packed { tiles.a.add(row * tiles.depth) } else { tiles.a.add(row * tiles.a_row) };
                let b = tiles.b.add(panel * tiles.b_panel);
                let c = tiles.c.add(row * tiles.c_row + panel * PANEL);
                if V::TILE_VECTORS == 2 && columns > LANES {
                    tile_of_height::<V, 2>(tiles, rows, a, b, c, columns);
                } else {
                    tile_of_height::<V, 1>(tiles, rows, a, b, c, columns.min(LANES));
                    if columns > LANES {
                        tile_of_height::<V, 1>(tiles, rows, a, b.add(LANES), c.add(LANES), columns - LANES);
                    }
                }
            }
            panel += 1;
        }
        row += rows;
    }
}

#[inline(always)]
unsafe fn tile_of_height<V: Lanes, const N: usize>(
    tiles: &Tiles,
    rows: usize,
    a: *const f32,
    b: *const f32,
    c: *mut f32,
    columns: usize,
) {
    macro_rules! heights {
        ($($height:literal)*) => {
            // SAFETY: as promised by the caller.
            match rows {
                $($height if $height <= V::TILE_ROWS => unsafe {
                    if tiles.packed {
                        tile::<V, $height, N, true>(tiles, a, b, c, columns);
                    } else {
                        tile::<V, $height, N, false>(tiles, a, b, c, columns);
                    }
                },)*
                _ => unreachable!("a tile has at most {} rows", V::TILE_ROWS),
            }
        };
    }
    heights!(1 2 3 4 5 6 7 8 9 10 11 12);
}

/// Writes out `body` for every row of a tile, with the row as a constant: compilers keep arrays in registers only where
/// all indices are constants, and few unroll loops below their highest level.
macro_rules! each_row {
    ($row:ident < $rows:ident: $body:block) => {
        each_row!(@ $row $rows $body; 0 1 2 3 4 5 6 7 8 9 10 11)
    };
    (@ $row:ident $rows:ident $body:block; $($number:literal)*) => {
        $(if $number < $rows {
            const $row: usize = $number;
            $body
        })*
    };
}

/// `M` rows times `16 N` columns, all sums in registers.
#[inline(always)]
unsafe fn tile<V: Lanes, const M: usize, const N: usize, const PACKED: bool>(
    tiles: &Tiles,
    a: *const f32,
    b: *const f32,
    c: *mut f32,
    columns: usize,
) {
    let whole = columns == N * LANES;
    let (low_columns, high_columns) = (columns.min(LANES), columns.saturating_sub(LANES));
    let mut sums = [const { [const { MaybeUninit::<V>::uninit() }; 2] }; 12];
    // SAFETY: the addresses are inside, as promised by the caller, but for the prefetch, which may be anywhere; the sums
    // that are read have been written.
    unsafe {
        each_row!(ROW < M: {
            let c = c.wrapping_add(ROW * tiles.c_row);
            // The next tile's target, by the time that this one is done.
            prefetch(c.wrapping_add(PANEL));
            if N > 1 {
                prefetch(c.wrapping_add(PANEL + LANES));
            }
            let (mut low, mut high) = (V::splat(0.0), V::splat(0.0));
            if tiles.load {
                low = if whole { V::load(c) } else { V::load_first(c, low_columns) };
                if N > 1 {
                    high = if whole { V::load(c.add(LANES)) } else { V::load_first(c.add(LANES), high_columns) };
                }
            }
            sums[ROW][0].write(low);
            sums[ROW][1].write(high);
        });
        let a_row = if PACKED { 1 } else { tiles.a_row };
        let a_step = if PACKED { M } else { 1 };
        for depth in 0..tiles.depth {
            let low = V::load(b.add(depth * PANEL));
            let high = if N > 1 { V::load(b.add(depth * PANEL + LANES)) } else { low };
            each_row!(ROW < M: {
                let value = V::splat(*a.add(ROW * a_row + depth * a_step));
                let sum = sums[ROW][0].assume_init();
                sums[ROW][0].write(value.fma(low, sum));
                if N > 1 {
                    let sum = sums[ROW][1].assume_init();
                    sums[ROW][1].write(value.fma(high, sum));
                }
            });
        }
        each_row!(ROW < M: {
            let c = c.add(ROW * tiles.c_row);
            let sum = sums[ROW][0].assume_init();
            if whole { sum.store(c) } else { sum.store_first(c, low_columns) }
            if N > 1 {
                let sum = sums[ROW][1].assume_init();
                if whole { sum.store(c.add(LANES)) } else { sum.store_first(c.add(LANES), high_columns) }
            }
        });
    }
}
