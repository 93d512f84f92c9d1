//! The arithmetic of single rows: normalisation, rotation, gating, soft maximum and their derivatives.
//!
//! Every function handles one contiguous stretch with [`Lanes`], in an order that depends on its length only.

use crate::lm::native::lanes::{LANES, Lanes, dispatched};

/// Reads the lanes at `index` of `length` floats; lanes past the end are zero.
///
/// # Safety
/// `from` must be readable for `length` floats.
#[inline(always)]
pub(super) unsafe fn at<V: Lanes>(from: *const f32, index: usize, length: usize) -> V {
    // SAFETY: inside, as promised.
    unsafe {
        if index + LANES <= length { V::load(from.add(index)) } else { V::load_first(from.add(index), length - index) }
    }
}

/// Writes the lanes at `index` of `length` floats; lanes past the end are dropped.
///
/// # Safety
/// `to` must be writable for `length` floats.
#[inline(always)]
pub(super) unsafe fn put<V: Lanes>(to: *mut f32, index: usize, length: usize, value: V) {
    // SAFETY: inside, as promised.
    unsafe {
        if index + LANES <= length {
            value.store(to.add(index));
        } else {
            value.store_first(to.add(index), length - index);
        }
    }
}

/// `e^x` to about one unit in the last place. Below -87.3 the result stays at about 1e-38 instead of reaching zero; not a
/// number stays not a number.
///
/// **Source:** Cephes `expf`.
#[inline(always)]
pub(super) fn exp<V: Lanes>(x: V) -> V {
    let x = V::splat(88.3).min(V::splat(-87.3).max(x));
    let n = x.mul(V::splat(std::f32::consts::LOG2_E)).round();
    let r = n.fma(V::splat(-0.693_359_4), x);
    let r = n.fma(V::splat(2.121_944_4e-4), r);
    let p = V::splat(1.987_569_1e-4);
    let p = p.fma(r, V::splat(1.398_199_9e-3));
    let p = p.fma(r, V::splat(8.333_452e-3));
    let p = p.fma(r, V::splat(4.166_579_6e-2));
    let p = p.fma(r, V::splat(1.666_666_5e-1));
    let p = p.fma(r, V::splat(0.5));
    p.fma(r.mul(r), r).add(V::splat(1.0)).scale(n)
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
fn sigmoid<V: Lanes>(x: V) -> V {
    let one = V::splat(1.0);
    one.div(one.add(exp(V::splat(0.0).sub(x))))
}

dispatched! {
    /// `sum = base + delta`, then `normed = sum · rstd · weight`; returns `rstd = 1 / √(mean(sum²) + ε)`. Without a delta
    /// the base is the sum, and `sum` is not written.
    pub(super) fn rms_norm(
        base: *const f32, delta: Option<*const f32>, sum: *mut f32, weight: *const f32, normed: *mut f32, length: usize,
        epsilon: f32,
    ) -> f32 = rms_norm_body;
    /// Adds to `gradient` what reaches a norm's input: `rstd (g - x̂ mean(g x̂))` with `g = upstream · weight`; adds
    /// `upstream · x̂` to `weight_gradient`.
    pub(super) fn rms_norm_backward(
        gradient: *mut f32, upstream: *const f32, input: *const f32, weight: *const f32, weight_gradient: *mut f32,
        length: usize, rstd: f32,
    ) = rms_norm_backward_body;
    /// `normed = input · rstd · weight`.
    pub(super) fn rms_renorm(
        input: *const f32, weight: *const f32, normed: *mut f32, length: usize, rstd: f32,
    ) = rms_renorm_body;
    /// `activated = silu(gate) · up`.
    pub(super) fn swiglu(
        gate: *const f32, up: *const f32, activated: *mut f32, length: usize,
    ) = swiglu_body;
    /// Given the gradient of `activated`, turns `gate` and `up` into their gradients and `upstream` into `activated`.
    pub(super) fn swiglu_backward(
        upstream: *mut f32, gate: *mut f32, up: *mut f32, length: usize,
    ) = swiglu_backward_body;
    /// Rotates `heads` vectors of `2 half` floats by the angles of one position: `angles` holds `half` cosines, then
    /// `half` sines; `direction` is 1, or -1 to rotate back. Dimension `i` pairs with `i + half`, as in Hugging Face's Llama.
    pub(super) fn rotate(
        vectors: *mut f32, heads: usize, half: usize, angles: *const f32, direction: f32,
    ) = rotate_body;
    /// Turns a row of scores into `e^(scale·s - m)` with `m` the largest scaled score; returns `m` and the sum.
    pub(super) fn soft_max(scores: *mut f32, length: usize, scale: f32) -> (f32, f32) = soft_max_body;
    /// Turns a row of scores into probabilities, given `m` and `1 / sum`.
    pub(super) fn probabilities(
        scores: *mut f32, length: usize, scale: f32, largest: f32, inverse: f32,
    ) = probabilities_body;
    /// Turns the gradient of probabilities into that of scores: `p (g - delta) scale`.
    pub(super) fn soft_max_backward(
        gradient: *mut f32, probabilities: *const f32, length: usize, delta: f32, scale: f32,
    ) = soft_max_backward_body;
    /// `Σ a b`.
    pub(super) fn dot(a: *const f32, b: *const f32, length: usize) -> f32 = dot_body;
    /// `to = from · factor`.
    pub(super) fn scaled(to: *mut f32, from: *const f32, length: usize, factor: f32) = scaled_body;
    /// One AdamW update: see [`crate::lm::adamw`].
    pub(super) fn adamw(
        values: *mut f32, gradient: *const f32, first: *mut f32, second: *mut f32, length: usize, rates: &Rates,
    ) = adamw_body;
}

/// The numbers of one AdamW update.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rates {
    /// What gradients are multiplied with (clipping).
    pub(super) gradient: f32,
    pub(super) beta1: f32,
    pub(super) beta2: f32,
    pub(super) epsilon: f32,
    /// `lr / (1 - β₁ᵗ)`.
    pub(super) rate: f32,
    /// `1 / √(1 - β₂ᵗ)`.
    pub(super) second: f32,
    /// `1 - lr · weight decay`.
    pub(super) keep: f32,
}

// SAFETY of all bodies: the pointers are good for `length` floats, as promised by the callers, and `at` and `put` stay
// within them.

#[inline(always)]
unsafe fn rms_norm_body<V: Lanes>(
    base: *const f32,
    delta: Option<*const f32>,
    sum: *mut f32,
    weight: *const f32,
    normed: *mut f32,
    length: usize,
    epsilon: f32,
) -> f32 {
    // SAFETY: see above.
    unsafe {
        let mut squares = V::splat(0.0);
        for index in (0..length).step_by(LANES) {
            let mut x: V = at(base, index, length);
            if let Some(delta) = delta {
                x = x.add(at(delta, index, length));
                put(sum, index, length, x);
            }
            squares = x.fma(x, squares);
        }
        let rstd = 1.0 / (squares.sum() / length as f32 + epsilon).sqrt();
        let sum = if delta.is_some() { sum.cast_const() } else { base };
        rms_renorm_body::<V>(sum, weight, normed, length, rstd);
        rstd
    }
}

#[inline(always)]
unsafe fn rms_renorm_body<V: Lanes>(input: *const f32, weight: *const f32, normed: *mut f32, length: usize, rstd: f32) {
    // SAFETY: see above.
    unsafe {
        for index in (0..length).step_by(LANES) {
            let x: V = at(input, index, length);
            put(normed, index, length, x.mul(V::splat(rstd)).mul(at(weight, index, length)));
        }
    }
}

#[inline(always)]
unsafe fn rms_norm_backward_body<V: Lanes>(
    gradient: *mut f32,
    upstream: *const f32,
    input: *const f32,
    weight: *const f32,
    weight_gradient: *mut f32,
    length: usize,
    rstd: f32,
) {
    // SAFETY: see above.
    unsafe {
        let scale = V::splat(rstd);
        let mut product = V::splat(0.0);
        for index in (0..length).step_by(LANES) {
            let up: V = at(upstream, index, length);
            let unit = at::<V>(input, index, length).mul(scale);
            product = up.mul(at(weight, index, length)).fma(unit, product);
            put(weight_gradient, index, length, up.fma(unit, at(weight_gradient, index, length)));
        }
        let mean = V::splat(-(product.sum() / length as f32));
        for index in (0..length).step_by(LANES) {
            let unit = at::<V>(input, index, length).mul(scale);
            let g = at::<V>(upstream, index, length).mul(at(weight, index, length));
            put(gradient, index, length, unit.fma(mean, g).fma(scale, at(gradient, index, length)));
        }
    }
}

#[inline(always)]
unsafe fn swiglu_body<V: Lanes>(gate: *const f32, up: *const f32, activated: *mut f32, length: usize) {
    // SAFETY: see above.
    unsafe {
        for index in (0..length).step_by(LANES) {
            let gate: V = at(gate, index, length);
            put(activated, index, length, gate.mul(sigmoid(gate)).mul(at(up, index, length)));
        }
    }
}

#[inline(always)]
unsafe fn swiglu_backward_body<V: Lanes>(upstream: *mut f32, gate: *mut f32, up: *mut f32, length: usize) {
    // SAFETY: see above.
    unsafe {
        let one = V::splat(1.0);
        for index in (0..length).step_by(LANES) {
            let g: V = at(gate, index, length);
            let u: V = at(up, index, length);
            let d: V = at(upstream, index, length);
            let s = sigmoid(g);
            let silu = g.mul(s);
            // silu' = s (1 + g (1 - s)).
            let slope = s.mul(g.fma(one.sub(s), one));
            put(upstream, index, length, silu.mul(u));
            put(up, index, length, d.mul(silu));
            put(gate, index, length, d.mul(u).mul(slope));
        }
    }
}

#[inline(always)]
unsafe fn rotate_body<V: Lanes>(vectors: *mut f32, heads: usize, half: usize, angles: *const f32, direction: f32) {
    // SAFETY: see above.
    unsafe {
        for head in 0..heads {
            let low = vectors.add(head * 2 * half);
            let high = low.add(half);
            for index in (0..half).step_by(LANES) {
                let cosine: V = at(angles, index, half);
                let sine = at::<V>(angles.add(half), index, half).mul(V::splat(direction));
                let a: V = at(low, index, half);
                let b: V = at(high, index, half);
                put(low, index, half, a.mul(cosine).sub(b.mul(sine)));
                put(high, index, half, b.mul(cosine).add(a.mul(sine)));
            }
        }
    }
}

#[inline(always)]
unsafe fn soft_max_body<V: Lanes>(scores: *mut f32, length: usize, scale: f32) -> (f32, f32) {
    // SAFETY: see above.
    unsafe {
        let whole = length / LANES * LANES;
        let mut lanes = V::splat(f32::NEG_INFINITY);
        for index in (0..whole).step_by(LANES) {
            lanes = lanes.max(V::load(scores.add(index)));
        }
        let mut largest = lanes.largest();
        for index in whole..length {
            let score = *scores.add(index);
            largest = if score > largest { score } else { largest };
        }
        let largest = largest * scale;
        let mut sum = V::splat(0.0);
        for index in (0..length).step_by(LANES) {
            let value = exp(at::<V>(scores, index, length).fma(V::splat(scale), V::splat(-largest)));
            put(scores, index, length, value);
            sum = sum.add(if index < whole { value } else { at(scores, index, length) });
        }
        (largest, sum.sum())
    }
}

#[inline(always)]
unsafe fn probabilities_body<V: Lanes>(scores: *mut f32, length: usize, scale: f32, largest: f32, inverse: f32) {
    // SAFETY: see above.
    unsafe {
        for index in (0..length).step_by(LANES) {
            let value = exp(at::<V>(scores, index, length).fma(V::splat(scale), V::splat(-largest)));
            put(scores, index, length, value.mul(V::splat(inverse)));
        }
    }
}

#[inline(always)]
unsafe fn soft_max_backward_body<V: Lanes>(
    gradient: *mut f32,
    probabilities: *const f32,
    length: usize,
    delta: f32,
    scale: f32,
) {
    // SAFETY: see above.
    unsafe {
        for index in (0..length).step_by(LANES) {
            let g = at::<V>(gradient, index, length).sub(V::splat(delta));
            let p = at::<V>(probabilities, index, length).mul(V::splat(scale));
            put(gradient, index, length, p.mul(g));
        }
    }
}

#[inline(always)]
unsafe fn dot_body<V: Lanes>(a: *const f32, b: *const f32, length: usize) -> f32 {
    // SAFETY: see above.
    unsafe {
        let mut sum = V::splat(0.0);
        for index in (0..length).step_by(LANES) {
            sum = at::<V>(a, index, length).fma(at(b, index, length), sum);
        }
        sum.sum()
    }
}

#[inline(always)]
unsafe fn scaled_body<V: Lanes>(to: *mut f32, from: *const f32, length: usize, factor: f32) {
    // SAFETY: see above.
    unsafe {
        for index in (0..length).step_by(LANES) {
            put(to, index, length, at::<V>(from, index, length).mul(V::splat(factor)));
        }
    }
}

/// One update of AdamW: the new value and both moments.
#[inline(always)]
pub(super) fn adamw_step<V: Lanes>(gradient: V, value: V, first: V, second: V, rates: &Rates) -> (V, [V; 2]) {
    let g = gradient.mul(V::splat(rates.gradient));
    let m = g.sub(first).fma(V::splat(1.0 - rates.beta1), first);
    let v = g.mul(g).fma(V::splat(1.0 - rates.beta2), second.mul(V::splat(rates.beta2)));
    let root = v.sqrt().fma(V::splat(rates.second), V::splat(rates.epsilon));
    (m.div(root).fma(V::splat(-rates.rate), value.mul(V::splat(rates.keep))), [m, v])
}

#[inline(always)]
unsafe fn adamw_body<V: Lanes>(
    values: *mut f32,
    gradient: *const f32,
    first: *mut f32,
    second: *mut f32,
    length: usize,
    rates: &Rates,
) {
    // SAFETY: see above.
    unsafe {
        for index in (0..length).step_by(LANES) {
            let (gradient, value) = (at(gradient, index, length), at(values, index, length));
            let (m, v) = (at(first, index, length), at(second, index, length));
            let (value, [m, v]): (V, _) = adamw_step(gradient, value, m, v, rates);
            put(values, index, length, value);
            put(first, index, length, m);
            put(second, index, length, v);
        }
    }
}
