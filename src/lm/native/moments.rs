//! AdamW with its two moments in bf16: the update is computed in f32, and what is kept of the moments is rounded at random.
//!
//! Rounding to the nearest would stop the second moment: with β₂ = 0.999 it shrinks by a thousandth a step, which is less than
//! half of the distance between two bf16 numbers, so it would never shrink. Rounded up or down with the probabilities that
//! make the mean right, it follows the f32 one. The noise is a function of update, parameter and element alone, never of
//! threads or instruction sets, so that equal trainings have equal bits.
//!
//! **Source:** stochastic rounding of bf16 by adding noise below the kept bits: Gupta et al. 2015 (arXiv 1502.02551), §3.1,
//! and as in torchao's `_fp32_to_bf16_sr`.

use crate::lm::native::lanes::{LANES, Lanes, dispatched};
use crate::lm::native::math::{Rates, adamw_step, at, put};

/// Where the noise of a stretch of elements comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Noise {
    keys: [u32; 2],
    /// The number of the stretch's first element in its parameter.
    begin: u32,
}

impl Noise {
    /// The noise of one parameter in one update.
    pub(super) fn new(update: u64, slot: usize) -> Self {
        // SplitMix64 of both numbers.
        let mix = |state: u64| {
            let mut bits = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            bits ^ (bits >> 31)
        };
        let bits = mix(mix(update) ^ slot as u64);
        Self { keys: [bits as u32, (bits >> 32) as u32], begin: 0 }
    }

    /// The same noise from element `begin` on. Beyond 2³² elements it repeats.
    pub(super) fn from(self, begin: usize) -> Self {
        Self { begin: begin as u32, ..self }
    }
}

dispatched! {
    /// One AdamW update with moments in bf16: see [`crate::lm::adamw`].
    pub(super) fn adamw_bf16(
        values: *mut f32, gradient: *const f32, first: *mut u16, second: *mut u16, length: usize, rates: &Rates,
        noise: &Noise,
    ) = adamw_bf16_body;
}

#[inline(always)]
unsafe fn adamw_bf16_body<V: Lanes>(
    values: *mut f32,
    gradient: *const f32,
    first: *mut u16,
    second: *mut u16,
    length: usize,
    rates: &Rates,
    noise: &Noise,
) {
    let whole = length / LANES * LANES;
    // SAFETY: the pointers are good for `length` elements, as promised by the caller.
    unsafe {
        for index in (0..whole).step_by(LANES) {
            let (first, second) = (first.add(index), second.add(index));
            let (m, v) = (V::load_bf16(first), V::load_bf16(second));
            let (value, moments) = adamw_step(V::load(gradient.add(index)), V::load(values.add(index)), m, v, rates);
            value.store(values.add(index));
            V::store_bf16(moments, [first, second], noise.begin.wrapping_add(index as u32), noise.keys);
        }
        let rest = length - whole;
        if rest == 0 {
            return;
        }
        let (mut m, mut v) = ([0u16; LANES], [0u16; LANES]);
        m[..rest].copy_from_slice(std::slice::from_raw_parts(first.add(whole), rest));
        v[..rest].copy_from_slice(std::slice::from_raw_parts(second.add(whole), rest));
        let (gradient, value) = (at(gradient, whole, length), at(values, whole, length));
        let (value, moments) = adamw_step(gradient, value, V::load_bf16(m.as_ptr()), V::load_bf16(v.as_ptr()), rates);
        put(values, whole, length, value);
        let counter = noise.begin.wrapping_add(whole as u32);
        V::store_bf16(moments, [m.as_mut_ptr(), v.as_mut_ptr()], counter, noise.keys);
        std::slice::from_raw_parts_mut(first.add(whole), rest).copy_from_slice(&m[..rest]);
        std::slice::from_raw_parts_mut(second.add(whole), rest).copy_from_slice(&v[..rest]);
    }
}

#[cfg(test)]
mod tests {
    use half::bf16;

    use super::*;
    use crate::lm::native::lanes::{InstructionSet, noise, rounded};

    const RATES: Rates =
        Rates { gradient: 0.5, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, rate: 0.01, second: 3.0, keep: 0.999 };

    fn wave(length: usize, scale: f32, shift: f32) -> Vec<f32> {
        (0..length).map(|index| scale * (index as f32 * 0.37 + shift).sin()).collect()
    }

    fn bits(values: &[f32]) -> Vec<u16> {
        values.iter().map(|value| bf16::from_f32(*value).to_bits()).collect()
    }

    #[test]
    fn every_instruction_set_and_every_cut_gives_the_same_bits() {
        let length = 1003;
        let run = |set: InstructionSet, cuts: &[usize]| {
            let (mut values, gradient) = (wave(length, 1.0, 0.1), wave(length, 0.3, 0.2));
            let (mut first, mut second) = (bits(&wave(length, 0.1, 0.3)), bits(&wave(length, 0.02, 0.4)));
            second.iter_mut().for_each(|half| *half &= 0x7fff);
            for cut in cuts.windows(2) {
                let (begin, end) = (cut[0], cut[1]);
                let (values, first, second) =
                    (&mut values[begin..end], &mut first[begin..end], &mut second[begin..end]);
                let gradient = gradient[begin..end].as_ptr();
                let noise = Noise::new(5, 2).from(begin);
                // SAFETY: all four have `end - begin` elements.
                unsafe {
                    let (values, first, second) = (values.as_mut_ptr(), first.as_mut_ptr(), second.as_mut_ptr());
                    adamw_bf16(set, values, gradient, first, second, end - begin, &RATES, &noise);
                }
            }
            (values.iter().map(|value| value.to_bits()).collect::<Vec<_>>(), first, second)
        };
        let whole = run(InstructionSet::Portable, &[0, length]);
        for set in InstructionSet::available() {
            assert!(run(set, &[0, length]) == whole, "{set:?}");
            assert!(run(set, &[0, 16, 336, 999, length]) == whole, "{set:?}");
        }
    }

    #[test]
    fn rounding_goes_to_a_neighbour_and_is_right_on_average() {
        let keys = Noise::new(1, 0).keys;
        for value in [1.0f32, 1.003, -0.777, 3.3e-9, 1e-39, -2.9e30] {
            let (low, high) = (value.to_bits() >> 16, (value.to_bits() >> 16) + 1);
            let [low, high] = [low, high].map(|half| f64::from(f32::from_bits(half << 16)));
            let mut sum = 0.0;
            for index in 0..40_000 {
                let found = f64::from(bf16::from_bits(rounded(value, noise(index, keys))).to_f32());
                assert!(found == low || found == high);
                sum += found;
            }
            // The mean of 40 000 draws deviates by at most 1/400 of the distance; this is four times that.
            assert!((sum / 40_000.0 - f64::from(value)).abs() <= (high - low).abs() / 100.0, "{value}");
        }
        assert_eq!(rounded(f32::INFINITY, 0xffff), bf16::INFINITY.to_bits());
        assert!(bf16::from_bits(rounded(f32::NAN, 0xffff)).is_nan());
        assert_eq!([0x1234, 0xffff].map(|noise| rounded(-0.0, noise)), [0x8000; 2]);
    }

    #[test]
    fn noise_is_even_and_its_own_for_each_update_parameter_element_and_moment() {
        let count = 1 << 16;
        let draws = |update, slot| {
            let keys = Noise::new(update, slot).keys;
            (0..count).map(move |index| noise(index, keys))
        };
        let unit = |bits: u32| f64::from(bits & 0xffff) / 65536.0 - 0.5;
        let deviation = (1.0 / 12.0 / f64::from(count)).sqrt();
        for (one, other) in [
            (draws(1, 0).collect::<Vec<_>>(), draws(2, 0).collect::<Vec<_>>()),
            (draws(1, 0).collect(), draws(1, 1).collect()),
            (draws(7, 3).collect(), draws(7, 3).skip(1).collect()),
            (draws(7, 3).collect(), draws(7, 3).map(|bits| bits >> 16).collect()),
        ] {
            let mean = one.iter().map(|bits| unit(*bits)).sum::<f64>() / f64::from(count);
            assert!(mean.abs() < 4.0 * deviation, "{mean}");
            let product = one.iter().zip(&other).map(|(a, b)| unit(*a) * unit(*b)).sum::<f64>() / f64::from(count);
            assert!(product.abs() < 4.0 / 12.0 / f64::from(count).sqrt(), "{product}");
        }
    }
}
