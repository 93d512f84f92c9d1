//! Models with random weights, the same on every machine.

use rand::RngCore;

use crate::{
    base::Seed,
    lm::{Config, LanguageModel, LmError, Parameter, Tokenizer, Weights},
};

/// The standard deviation of the initial weights: GPT-2's and Llama's.
const DEVIATION: f64 = 0.02;

impl LanguageModel {
    /// Makes a model with random weights: norms 1, biases 0, all else normal with deviation 0.02, divided by √(2 · layers) for the
    /// two projections of each layer that write to the residual stream. Each tensor has a stream of its own, so a
    /// tensor's values depend on the seed, its name and its shape only.
    ///
    /// **Source:** Radford et al. 2019 (GPT-2), §2.3; transformers' `initializer_range`. Ours differs in the tails: the
    /// draws are sums of twelve uniforms, which end at six deviations.
    ///
    /// # Errors
    /// As [`LanguageModel::new`].
    pub fn random(config: Config, tokenizer: Tokenizer, seed: Seed) -> Result<Self, LmError> {
        config.check("the random model's configuration")?;
        let weights = Weights::random(&config, seed);
        Self::new(config, weights, tokenizer)
    }
}

impl Weights {
    /// Returns random weights: see [`LanguageModel::random`].
    pub fn random(config: &Config, seed: Seed) -> Self {
        let seed = seed.derive("weights");
        let residual = DEVIATION / (2.0 * config.num_hidden_layers as f64).sqrt();
        let parameters = Self::layout(config)
            .into_iter()
            .map(|(name, shape)| {
                let elements = shape.iter().product();
                let data = if name.ends_with("norm.weight") {
                    vec![1.0; elements]
                } else if name.ends_with(".bias") {
                    vec![0.0; elements]
                } else {
                    let writes_residual = name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight");
                    let deviation = if writes_residual { residual } else { DEVIATION };
                    let mut rng = seed.rng(&name);
                    (0..elements).map(|_| (normal(&mut rng) * deviation) as f32).collect()
                };
                Parameter { name, shape, data }
            })
            .collect();
        Self { parameters }
    }
}

/// Draws from the standard normal distribution, nearly: the sum of twelve 16-bit uniforms (Irwin-Hall), which ends at ± 6.
///
/// Box-Muller would need `ln` and `cos`, whose last bits differ between C libraries; this needs integer sums only.
fn normal(rng: &mut impl RngCore) -> f64 {
    let mut sum = 0_u64;
    for _ in 0..3 {
        let bits = rng.next_u64();
        sum += (bits & 0xFFFF) + (bits >> 16 & 0xFFFF) + (bits >> 32 & 0xFFFF) + (bits >> 48);
    }
    // Each uniform is (k + ½) / 2¹⁶: mean ½, variance 1 / 12.
    (sum as f64 + 6.0) / 65536.0 - 6.0
}
