//! Sixteen `f32` lanes with one meaning on every processor.
//!
//! Kernels are written once, generic over [`Lanes`], and compiled for AVX-512, for AVX2 + FMA and for anything else; the
//! processor is asked at run time. Every operation rounds the same way everywhere (products are fused, sums over lanes
//! follow one tree), so the three give the same bits. Nothing here knows matrices.

/// Sixteen lanes of `f32`.
pub(super) trait Lanes: Copy {
    /// Rows of a matrix product's tile: what the registers hold.
    const TILE_ROWS: usize;
    /// Vectors of 16 columns in a tile.
    const TILE_VECTORS: usize;

    /// Reads 16 floats.
    ///
    /// # Safety
    /// `from` must be readable for 16 floats.
    unsafe fn load(from: *const f32) -> Self;
    /// Writes 16 floats.
    ///
    /// # Safety
    /// `to` must be writable for 16 floats.
    unsafe fn store(self, to: *mut f32);
    fn splat(value: f32) -> Self;
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    fn div(self, other: Self) -> Self;
    fn min(self, other: Self) -> Self;
    fn max(self, other: Self) -> Self;
    /// `self * factor + addend`, rounded once.
    fn fma(self, factor: Self, addend: Self) -> Self;
    /// The nearest integers, ties to even; for magnitudes below 2²².
    fn round(self) -> Self;
    /// `self · 2^exponent` for integral exponents whose results are normal numbers.
    fn scale(self, exponent: Self) -> Self;
    fn sqrt(self) -> Self;
    /// Reads 16 bf16 numbers.
    ///
    /// # Safety
    /// `from` must be readable for 16 halves.
    #[inline(always)]
    unsafe fn load_bf16(from: *const u16) -> Self {
        // SAFETY: promised by the caller.
        let halves = unsafe { from.cast::<[u16; LANES]>().read_unaligned() };
        let lanes = halves.map(|half| f32::from_bits(u32::from(half) << 16));
        // SAFETY: the array has 16 floats.
        unsafe { Self::load(lanes.as_ptr()) }
    }
    /// Rounds two vectors to bf16 with [`noise`] of the elements from `counter` on, its lower halves for the first and its
    /// upper halves for the second, as [`rounded`] does, and writes both.
    ///
    /// # Safety
    /// `to` must be writable for 16 halves each.
    #[inline(always)]
    unsafe fn store_bf16(pair: [Self; 2], to: [*mut u16; 2], counter: u32, keys: [u32; 2]) {
        for (index, (lanes, to)) in pair.into_iter().zip(to).enumerate() {
            let mut halves = [0u16; LANES];
            for (lane, (half, value)) in halves.iter_mut().zip(lanes.array()).enumerate() {
                *half = rounded(value, noise(counter.wrapping_add(lane as u32), keys) >> (16 * index));
            }
            // SAFETY: promised by the caller.
            unsafe { to.cast::<[u16; LANES]>().write_unaligned(halves) };
        }
    }

    /// Reads the first `count` floats, and zero for the other lanes.
    ///
    /// # Safety
    /// `from` must be readable for `count` floats; `count ≤ 16`.
    #[inline(always)]
    unsafe fn load_first(from: *const f32, count: usize) -> Self {
        let mut lanes = [0.0f32; LANES];
        for (index, lane) in lanes.iter_mut().enumerate().take(count) {
            // SAFETY: `index < count`.
            *lane = unsafe { *from.add(index) };
        }
        // SAFETY: the array has 16 floats.
        unsafe { Self::load(lanes.as_ptr()) }
    }

    /// Writes the first `count` lanes.
    ///
    /// # Safety
    /// `to` must be writable for `count` floats; `count ≤ 16`.
    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize) {
        let lanes = self.array();
        for (index, lane) in lanes.iter().enumerate().take(count) {
            // SAFETY: `index < count`.
            unsafe { *to.add(index) = *lane };
        }
    }

    #[inline(always)]
    fn array(self) -> [f32; LANES] {
        let mut lanes = [0.0f32; LANES];
        // SAFETY: the array has 16 floats.
        unsafe { self.store(lanes.as_mut_ptr()) };
        lanes
    }

    /// The sum of the lanes, as a tree of halves: the same bits on every processor.
    #[inline(always)]
    fn sum(self) -> f32 {
        let lane = self.array();
        let mut eight = [0.0f32; 8];
        for index in 0..8 {
            eight[index] = lane[index] + lane[index + 8];
        }
        let four = [eight[0] + eight[4], eight[1] + eight[5], eight[2] + eight[6], eight[3] + eight[7]];
        (four[0] + four[2]) + (four[1] + four[3])
    }

    /// The largest lane.
    #[inline(always)]
    fn largest(self) -> f32 {
        let mut largest = f32::NEG_INFINITY;
        for lane in self.array() {
            largest = if lane > largest { lane } else { largest };
        }
        largest
    }
}

/// How many lanes there are.
pub(super) const LANES: usize = 16;

/// Hints that this address will be used soon; any address is fine.
#[inline(always)]
pub(super) fn prefetch(address: *const f32) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint; every x86-64 processor has it.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// 32 random bits, a function of the arguments alone.
///
/// **Source:** Wellons' `lowbias32` (public domain), with a second key between its two products.
#[inline(always)]
pub(super) fn noise(counter: u32, keys: [u32; 2]) -> u32 {
    let mut bits = counter.wrapping_add(keys[0]);
    bits = (bits ^ (bits >> 16)).wrapping_mul(0x7feb_352d) ^ keys[1];
    bits = (bits ^ (bits >> 15)).wrapping_mul(0x846c_a68b);
    bits ^ (bits >> 16)
}

/// Rounds to one of the two nearest bf16 numbers: away from zero if the lower 16 bits of `noise` and those of the number
/// make a carry. What bf16 has is kept.
#[inline(always)]
pub(super) fn rounded(value: f32, noise: u32) -> u16 {
    (value.to_bits().wrapping_add(noise & 0xffff) >> 16) as u16
}

/// Lanes for processors that are not asked for anything: plain Rust.
#[derive(Clone, Copy)]
pub(super) struct Portable([f32; LANES]);

impl From<[f32; LANES]> for Portable {
    fn from(lanes: [f32; LANES]) -> Self {
        Self(lanes)
    }
}

impl Portable {
    #[inline(always)]
    fn zip(self, other: Self, combine: impl Fn(f32, f32) -> f32) -> Self {
        let mut lanes = self.0;
        for (lane, other) in lanes.iter_mut().zip(other.0) {
            *lane = combine(*lane, other);
        }
        Self(lanes)
    }
}

impl Lanes for Portable {
    const TILE_ROWS: usize = 6;
    const TILE_VECTORS: usize = 1;

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: promised by the caller.
        Self(unsafe { from.cast::<[f32; LANES]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: promised by the caller.
        unsafe { to.cast::<[f32; LANES]>().write_unaligned(self.0) };
    }
    #[inline(always)]
    fn splat(value: f32) -> Self {
        Self([value; LANES])
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.zip(other, |a, b| a * b)
    }
    #[inline(always)]
    fn div(self, other: Self) -> Self {
        self.zip(other, |a, b| a / b)
    }
    // As the processors' instructions: the second operand if either is not a number.
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        self.zip(other, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        self.zip(other, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn fma(self, factor: Self, addend: Self) -> Self {
        let mut lanes = self.0;
        for ((lane, factor), addend) in lanes.iter_mut().zip(factor.0).zip(addend.0) {
            *lane = lane.mul_add(factor, addend);
        }
        Self(lanes)
    }
    #[inline(always)]
    fn round(self) -> Self {
        self.zip(self, |a, _| a.round_ties_even())
    }
    #[inline(always)]
    fn scale(self, exponent: Self) -> Self {
        self.zip(exponent, |a, n| f32::from_bits((a.to_bits() as i32).wrapping_add((n as i32) << 23) as u32))
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        self.zip(self, |a, _| a.sqrt())
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    //! The methods are inlined into functions that enable the features, and such functions run only after detection.
    #![expect(clippy::undocumented_unsafe_blocks, reason = "one reason for all: see the module")]

    use std::arch::x86_64::*;

    use super::Lanes;

    #[derive(Clone, Copy)]
    pub(in super::super) struct Avx512(__m512);

    impl Lanes for Avx512 {
        const TILE_ROWS: usize = 12;
        const TILE_VECTORS: usize = 2;

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            unsafe { Self(_mm512_loadu_ps(from)) }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            unsafe { _mm512_storeu_ps(to, self.0) }
        }
        #[inline(always)]
        unsafe fn load_first(from: *const f32, count: usize) -> Self {
            unsafe { Self(_mm512_maskz_loadu_ps(((1u32 << count) - 1) as u16, from)) }
        }
        #[inline(always)]
        unsafe fn store_first(self, to: *mut f32, count: usize) {
            unsafe { _mm512_mask_storeu_ps(to, ((1u32 << count) - 1) as u16, self.0) }
        }
        #[inline(always)]
        fn splat(value: f32) -> Self {
            unsafe { Self(_mm512_set1_ps(value)) }
        }
        #[inline(always)]
        fn add(self, other: Self) -> Self {
            unsafe { Self(_mm512_add_ps(self.0, other.0)) }
        }
        #[inline(always)]
        fn sub(self, other: Self) -> Self {
            unsafe { Self(_mm512_sub_ps(self.0, other.0)) }
        }
        #[inline(always)]
        fn mul(self, other: Self) -> Self {
            unsafe { Self(_mm512_mul_ps(self.0, other.0)) }
        }
        #[inline(always)]
        fn div(self, other: Self) -> Self {
            unsafe { Self(_mm512_div_ps(self.0, other.0)) }
        }
        #[inline(always)]
        fn min(self, other: Self) -> Self {
            unsafe { Self(_mm512_min_ps(self.0, other.0)) }
        }
        #[inline(always)]
        fn max(self, other: Self) -> Self {
            unsafe { Self(_mm512_max_ps(self.0, other.0)) }
        }
        #[inline(always)]
        fn fma(self, factor: Self, addend: Self) -> Self {
            unsafe { Self(_mm512_fmadd_ps(self.0, factor.0, addend.0)) }
        }
        #[inline(always)]
        fn round(self) -> Self {
            unsafe { Self(_mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(self.0)) }
        }
        #[inline(always)]
        fn scale(self, exponent: Self) -> Self {
            unsafe {
                let shift = _mm512_slli_epi32::<23>(_mm512_cvttps_epi32(exponent.0));
                Self(_mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(self.0), shift)))
            }
        }
        #[inline(always)]
        fn sqrt(self) -> Self {
            unsafe { Self(_mm512_sqrt_ps(self.0)) }
        }
        #[inline(always)]
        unsafe fn load_bf16(from: *const u16) -> Self {
            unsafe {
                let halves = _mm512_cvtepu16_epi32(_mm256_loadu_si256(from.cast()));
                Self(_mm512_castsi512_ps(_mm512_slli_epi32::<16>(halves)))
            }
        }
        #[inline(always)]
        unsafe fn store_bf16(pair: [Self; 2], to: [*mut u16; 2], counter: u32, keys: [u32; 2]) {
            unsafe {
                let lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
                let mut bits = _mm512_add_epi32(lanes, _mm512_set1_epi32(counter.wrapping_add(keys[0]) as i32));
                bits = _mm512_xor_si512(bits, _mm512_srli_epi32::<16>(bits));
                bits = _mm512_mullo_epi32(bits, _mm512_set1_epi32(0x7feb_352d));
                bits = _mm512_xor_si512(bits, _mm512_set1_epi32(keys[1] as i32));
                bits = _mm512_xor_si512(bits, _mm512_srli_epi32::<15>(bits));
                bits = _mm512_mullo_epi32(bits, _mm512_set1_epi32(0x846c_a68b_u32 as i32));
                bits = _mm512_xor_si512(bits, _mm512_srli_epi32::<16>(bits));
                let lower = _mm512_and_si512(bits, _mm512_set1_epi32(0xffff));
                let first = _mm512_add_epi32(_mm512_castps_si512(pair[0].0), lower);
                let second = _mm512_add_epi32(_mm512_castps_si512(pair[1].0), _mm512_srli_epi32::<16>(bits));
                let first = _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(first));
                let second = _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(second));
                _mm256_storeu_si256(to[0].cast(), first);
                _mm256_storeu_si256(to[1].cast(), second);
            }
        }
    }

    /// [`noise`](super::noise) of 8 elements. A function, not a closure: those are not always inlined where the features are.
    #[inline(always)]
    unsafe fn noise_of_8(counter: u32, keys: [u32; 2]) -> __m256i {
        unsafe {
            let lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
            let mut bits = _mm256_add_epi32(lanes, _mm256_set1_epi32(counter.wrapping_add(keys[0]) as i32));
            bits = _mm256_xor_si256(bits, _mm256_srli_epi32::<16>(bits));
            bits = _mm256_mullo_epi32(bits, _mm256_set1_epi32(0x7feb_352d));
            bits = _mm256_xor_si256(bits, _mm256_set1_epi32(keys[1] as i32));
            bits = _mm256_xor_si256(bits, _mm256_srli_epi32::<15>(bits));
            bits = _mm256_mullo_epi32(bits, _mm256_set1_epi32(0x846c_a68b_u32 as i32));
            _mm256_xor_si256(bits, _mm256_srli_epi32::<16>(bits))
        }
    }

    /// Adds noise to the bits of two times 8 floats and writes their upper halves.
    #[inline(always)]
    unsafe fn store_upper_halves(value: Avx2, noise: [__m256i; 2], to: *mut u16) {
        unsafe {
            let low = _mm256_srli_epi32::<16>(_mm256_add_epi32(_mm256_castps_si256(value.0), noise[0]));
            let high = _mm256_srli_epi32::<16>(_mm256_add_epi32(_mm256_castps_si256(value.1), noise[1]));
            // Packing takes turns between the halves of its operands.
            let halves = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packus_epi32(low, high));
            _mm256_storeu_si256(to.cast(), halves);
        }
    }

    #[derive(Clone, Copy)]
    pub(in super::super) struct Avx2(__m256, __m256);

    impl Lanes for Avx2 {
        const TILE_ROWS: usize = 6;
        const TILE_VECTORS: usize = 1;

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            unsafe { Self(_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))) }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            unsafe {
                _mm256_storeu_ps(to, self.0);
                _mm256_storeu_ps(to.add(8), self.1);
            }
        }
        #[inline(always)]
        fn splat(value: f32) -> Self {
            unsafe { Self(_mm256_set1_ps(value), _mm256_set1_ps(value)) }
        }
        #[inline(always)]
        fn add(self, other: Self) -> Self {
            unsafe { Self(_mm256_add_ps(self.0, other.0), _mm256_add_ps(self.1, other.1)) }
        }
        #[inline(always)]
        fn sub(self, other: Self) -> Self {
            unsafe { Self(_mm256_sub_ps(self.0, other.0), _mm256_sub_ps(self.1, other.1)) }
        }
        #[inline(always)]
        fn mul(self, other: Self) -> Self {
            unsafe { Self(_mm256_mul_ps(self.0, other.0), _mm256_mul_ps(self.1, other.1)) }
        }
        #[inline(always)]
        fn div(self, other: Self) -> Self {
            unsafe { Self(_mm256_div_ps(self.0, other.0), _mm256_div_ps(self.1, other.1)) }
        }
        #[inline(always)]
        fn min(self, other: Self) -> Self {
            unsafe { Self(_mm256_min_ps(self.0, other.0), _mm256_min_ps(self.1, other.1)) }
        }
        #[inline(always)]
        fn max(self, other: Self) -> Self {
            unsafe { Self(_mm256_max_ps(self.0, other.0), _mm256_max_ps(self.1, other.1)) }
        }
        #[inline(always)]
        fn fma(self, factor: Self, addend: Self) -> Self {
            unsafe { Self(_mm256_fmadd_ps(self.0, factor.0, addend.0), _mm256_fmadd_ps(self.1, factor.1, addend.1)) }
        }
        #[inline(always)]
        fn round(self) -> Self {
            const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
            unsafe { Self(_mm256_round_ps::<NEAREST>(self.0), _mm256_round_ps::<NEAREST>(self.1)) }
        }
        #[inline(always)]
        fn scale(self, exponent: Self) -> Self {
            let half = |value: __m256, exponent: __m256| unsafe {
                let shift = _mm256_slli_epi32::<23>(_mm256_cvttps_epi32(exponent));
                _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(value), shift))
            };
            Self(half(self.0, exponent.0), half(self.1, exponent.1))
        }
        #[inline(always)]
        fn sqrt(self) -> Self {
            unsafe { Self(_mm256_sqrt_ps(self.0), _mm256_sqrt_ps(self.1)) }
        }
        #[inline(always)]
        unsafe fn load_bf16(from: *const u16) -> Self {
            unsafe {
                let low = _mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(_mm_loadu_si128(from.cast())));
                let high = _mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(_mm_loadu_si128(from.add(8).cast())));
                Self(_mm256_castsi256_ps(low), _mm256_castsi256_ps(high))
            }
        }
        #[inline(always)]
        unsafe fn store_bf16(pair: [Self; 2], to: [*mut u16; 2], counter: u32, keys: [u32; 2]) {
            unsafe {
                let (low, high) = (noise_of_8(counter, keys), noise_of_8(counter.wrapping_add(8), keys));
                let mask = _mm256_set1_epi32(0xffff);
                store_upper_halves(pair[0], [_mm256_and_si256(low, mask), _mm256_and_si256(high, mask)], to[0]);
                store_upper_halves(pair[1], [_mm256_srli_epi32::<16>(low), _mm256_srli_epi32::<16>(high)], to[1]);
            }
        }
    }
}

/// The instruction sets that the kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstructionSet {
    /// 512-bit vectors.
    Avx512,
    /// 256-bit vectors with fused products.
    Avx2,
    /// Whatever the compiler makes of plain Rust.
    Portable,
}

impl InstructionSet {
    /// Returns the best one that this processor has.
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("fma") && is_x86_feature_detected!("avx2") {
                return if is_x86_feature_detected!("avx512f") { Self::Avx512 } else { Self::Avx2 };
            }
        }
        Self::Portable
    }

    /// Returns all that this processor has.
    #[cfg(test)]
    pub fn available() -> Vec<Self> {
        match Self::detect() {
            Self::Avx512 => vec![Self::Avx512, Self::Avx2, Self::Portable],
            Self::Avx2 => vec![Self::Avx2, Self::Portable],
            Self::Portable => vec![Self::Portable],
        }
    }
}

/// Defines functions that run a generic body with the lanes of the given instruction set.
macro_rules! dispatched {
    ($($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? = $body:ident;)*) => {$(
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis unsafe fn $name(set: $crate::lm::native::lanes::InstructionSet, $($arg: $ty),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[allow(clippy::too_many_arguments)]
                #[target_feature(enable = "avx512f,avx2,fma")]
                unsafe fn avx512($($arg: $ty),*) $(-> $ret)? {
                    // SAFETY: as promised by the caller of the function.
                    unsafe { $body::<$crate::lm::native::lanes::Avx512>($($arg),*) }
                }
                #[allow(clippy::too_many_arguments)]
                #[target_feature(enable = "avx2,fma")]
                unsafe fn avx2($($arg: $ty),*) $(-> $ret)? {
                    // SAFETY: as promised by the caller of the function.
                    unsafe { $body::<$crate::lm::native::lanes::Avx2>($($arg),*) }
                }
                // SAFETY: the set was detected on this processor; the rest is promised by the caller.
                match set {
                    $crate::lm::native::lanes::InstructionSet::Avx512 => return unsafe { avx512($($arg),*) },
                    $crate::lm::native::lanes::InstructionSet::Avx2 => return unsafe { avx2($($arg),*) },
                    $crate::lm::native::lanes::InstructionSet::Portable => {}
                }
            }
            let _ = set;
            // SAFETY: as promised by the caller.
            unsafe { $body::<$crate::lm::native::lanes::Portable>($($arg),*) }
        }
    )*};
}
pub(super) use dispatched;
