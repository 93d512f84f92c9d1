//! The functions between a layer's products, and their derivatives.

use candle_core::{D, Result, Tensor};
use candle_nn::{ops, rotary_emb};

use super::angles::Turn;

/// RMSNorm over the last dimension: `x / √(mean(x²) + ε) · w`.
pub(super) fn norm(input: &Tensor, weight: &Tensor, epsilon: f32) -> Result<Tensor> {
    ops::rms_norm(&input.contiguous()?, weight, epsilon)
}

/// Returns the gradients of [`norm`]'s input and weight, given that of its output.
///
/// With `x̂ = x / √(mean(x²) + ε)` and `g = upstream · w`: `dx = (g - x̂ mean(g x̂)) / √(mean(x²) + ε)`, `dw = Σ upstream x̂`.
pub(super) fn norm_backward(
    upstream: &Tensor,
    input: &Tensor,
    weight: &Tensor,
    epsilon: f32,
) -> Result<(Tensor, Tensor)> {
    let rstd = (input.sqr()?.mean_keepdim(D::Minus1)? + f64::from(epsilon))?.sqrt()?.recip()?;
    let normed = input.broadcast_mul(&rstd)?;
    let scaled = upstream.broadcast_mul(weight)?;
    let mean = (&scaled * &normed)?.mean_keepdim(D::Minus1)?;
    let gradient = (scaled - normed.broadcast_mul(&mean)?)?.broadcast_mul(&rstd)?;
    let width = weight.dim(0)?;
    let of_weight = (upstream * normed)?.reshape(((), width))?.sum(0)?;
    Ok((gradient, of_weight))
}

/// Rotates the heads of rows, `(rows, heads, head)`: a dimension is paired with the one half a head further.
pub(super) fn rotate(input: &Tensor, turn: &Turn) -> Result<Tensor> {
    rotary_emb::rope_thd(&input.contiguous()?.unsqueeze(0)?, &turn.cosines, &turn.sines)?.squeeze(0)
}

/// Turns the gradient of [`rotate`]'s output into that of its input: the rotation back.
pub(super) fn rotate_backward(upstream: &Tensor, turn: &Turn) -> Result<Tensor> {
    rotate(upstream, &Turn { cosines: turn.cosines.clone(), sines: turn.sines.neg()? })
}

/// The gated middle of the MLP: `silu(gate) · up`.
pub(super) fn gated(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    gate.silu()? * up
}

/// Returns the gradients of `gate` and `up`, given that of [`gated`].
pub(super) fn gated_backward(upstream: &Tensor, gate: &Tensor, up: &Tensor) -> Result<(Tensor, Tensor)> {
    let open = (gate.neg()?.exp()? + 1.0)?.recip()?;
    let silu = (gate * &open)?;
    // silu' = σ + silu (1 - σ).
    let slope = (&open + (&silu - (&silu * &open)?)?)?;
    Ok((((upstream * up)? * slope)?, (upstream * silu)?))
}
