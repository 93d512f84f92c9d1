//! How fast training is, as a share of what the machine can do (MFU, model FLOP/s utilisation).
//!
//! Nothing that is computed may depend on it: these numbers are for people who watch.

use std::time::Instant;

use crate::lm::LanguageModel;
use crate::lm::train::PromptGroup;

/// Rows, columns and depth of the product that the machine is measured with: an MLP's in a model of 135 M parameters.
const PRODUCT: [usize; 3] = [1600, 1536, 576];

/// Returns the speed of plain `f32` matrix products on the threads of the current rayon pool, in floating-point operations
/// per second: the best of `tries` products of the `gemm` crate, about 3 billion operations each.
pub fn plain_product(tries: usize) -> f64 {
    let [m, n, k] = PRODUCT;
    let (a, b) = (vec![0.5f32; m * k], vec![0.25f32; n * k]);
    let mut c = vec![0.0f32; m * n];
    let parallelism =
        if rayon::current_num_threads() == 1 { gemm::Parallelism::None } else { gemm::Parallelism::Rayon(0) };
    let mut best = f64::INFINITY;
    for _ in 0..tries {
        let begin = Instant::now();
        // SAFETY: the three matrices have these shapes and strides.
        unsafe {
            let (to, left, right) = (c.as_mut_ptr(), a.as_ptr(), b.as_ptr());
            let (wide, deep) = (n as isize, k as isize);
            gemm::gemm(
                m,
                n,
                k,
                to,
                1,
                wide,
                false,
                left,
                1,
                deep,
                right,
                deep,
                1,
                0.0,
                1.0,
                false,
                false,
                false,
                parallelism,
            );
        }
        best = best.min(begin.elapsed().as_secs_f64());
    }
    2.0 * (m * n * k) as f64 / best
}

/// Returns the floating-point operations that training on these groups takes, forward and backward, with shared prompts
/// and nothing computed twice: for each row 6 per weight (4 where the weights are frozen), and 12 per score of attention.
pub fn training_operations<'a>(model: &LanguageModel, groups: impl IntoIterator<Item = &'a PromptGroup>) -> f64 {
    let config = &model.config;
    let (hidden, query) = (config.hidden_size as f64, (config.num_attention_heads * config.head_dim) as f64);
    let key = (config.num_key_value_heads * config.head_dim) as f64;
    let layers = config.num_hidden_layers as f64;
    let layer = 2.0 * hidden * (query + key) + 3.0 * hidden * config.intermediate_size as f64;
    let (mut rows, mut head_rows, mut scores) = (0.0, 0.0, 0.0);
    for group in groups {
        let prompt = group.prompt.len() as f64;
        rows += prompt;
        head_rows += 1.0;
        scores += prompt * (prompt + 1.0) / 2.0;
        for completion in &group.completions {
            let own = completion.len().saturating_sub(1) as f64;
            rows += own;
            head_rows += own;
            scores += own * prompt + own * (own + 1.0) / 2.0;
        }
    }
    let each = if model.adapter.is_some() { 4.0 } else { 6.0 };
    each * (rows * layers * layer + head_rows * hidden * config.vocab_size as f64) + 12.0 * scores * query * layers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Seed;
    use crate::lm::{Config, Family, Tokenizer};

    #[test]
    fn operations_of_a_small_group_are_counted_by_hand() -> Result<(), Box<dyn std::error::Error>> {
        let config = Config {
            family: Family::Llama,
            hidden_size: 4,
            intermediate_size: 6,
            num_hidden_layers: 2,
            num_attention_heads: 2,
            num_key_value_heads: 1,
            head_dim: 2,
            vocab_size: 300,
            rms_norm_eps: 1e-5,
            rope_theta: 10_000.0,
            rope_scaling: None,
            max_position_embeddings: 16,
            tie_word_embeddings: true,
            bos_token_id: None,
            eos_token_ids: Vec::new(),
        };
        let model = LanguageModel::random(config, Tokenizer::train_bpe(["a b"], 262, &[])?, Seed(1))?;
        let group = PromptGroup { prompt: vec![1, 2, 3], completions: vec![vec![4, 5], vec![6]] };
        // Rows: 3 of the prompt, 1 of a completion; a layer has 2·4·(4 + 2) + 3·4·6 = 120 weights, the head 4·300.
        // Two rows predict; scores: 1 + 2 + 3 of the prompt, 4 of the completion's row.
        let expected = 6.0 * (4.0 * 2.0 * 120.0 + 2.0 * 4.0 * 300.0) + 12.0 * 10.0 * 4.0 * 2.0;
        assert_eq!(training_operations(&model, [&group]), expected);
        Ok(())
    }
}
