//! The output head: log-probabilities and entropies of rows, and their gradients, without the logits of all tokens.
//!
//! Rows are taken a few at a time; their logits are computed, used and dropped, and computed again in the backward pass.

use candle_core::{D, Device, Result, Tensor};

use crate::lm::layout::Target;
use crate::lm::native::log_prob;

use super::stack::index;

/// Logits, in floats, that a pass may have at once: 128 MB, and a few temporaries of the same size.
pub(super) const LOGITS: usize = 1 << 25;

/// Rows that predict something, with the embedding that they are compared with.
pub(super) struct Head<'a> {
    pub(super) device: &'a Device,
    /// `(vocabulary, hidden)`.
    pub(super) weights: &'a Tensor,
    /// At the trainer's temperature: `(rows, hidden)`.
    pub(super) hidden: &'a Tensor,
    /// In whatever order; each names a row.
    pub(super) targets: &'a [Target],
    /// Logits, in floats, that may exist at once; those of one row always may.
    pub(super) logits: usize,
}

/// What the backward pass gives.
pub(super) struct HeadGradients {
    /// `(rows, hidden)`.
    pub(super) hidden: Tensor,
    /// `(vocabulary, hidden)`, unless the embedding is frozen.
    pub(super) weights: Option<Tensor>,
}

/// The logits of some rows, made ready for the softmax.
struct Chunk {
    first: usize,
    rows: usize,
    /// Each row's largest logit: `(rows, 1)`.
    largest: Tensor,
    /// Logits less the largest: `(rows, vocabulary)`.
    shifted: Tensor,
    /// Their exponentials.
    exponentials: Tensor,
    /// `(rows, 1)`.
    sums: Tensor,
}

impl Chunk {
    /// `Σ e^x x` of each row: `(rows, 1)`.
    fn moments(&self) -> Result<Tensor> {
        (&self.exponentials * &self.shifted)?.sum_keepdim(D::Minus1)
    }
}

impl Head<'_> {
    fn vocabulary(&self) -> Result<usize> {
        self.weights.dim(0)
    }

    fn chunks(&self) -> Result<impl Iterator<Item = Result<Chunk>> + '_> {
        let (count, size) = (self.hidden.dim(0)?, (self.logits / self.vocabulary()?).max(1));
        Ok((0..count).step_by(size).map(move |first| self.chunk(first, size.min(count - first))))
    }

    fn chunk(&self, first: usize, rows: usize) -> Result<Chunk> {
        let logits = self.hidden.narrow(0, first, rows)?.matmul(&self.weights.t()?)?;
        let largest = logits.max_keepdim(D::Minus1)?;
        let shifted = logits.broadcast_sub(&largest)?;
        let exponentials = shifted.exp()?;
        let sums = exponentials.sum_keepdim(D::Minus1)?;
        Ok(Chunk { first, rows, largest, shifted, exponentials, sums })
    }

    /// The targets of a chunk's rows, by their index.
    fn of<'a>(&'a self, chunk: &Chunk) -> Vec<(usize, &'a Target)> {
        let rows = chunk.first..chunk.first + chunk.rows;
        self.targets.iter().enumerate().filter(|(_, target)| rows.contains(&target.row)).collect()
    }

    /// Where the logits of targets are in a chunk, laid flat.
    fn places(&self, chunk: &Chunk, targets: &[(usize, &Target)]) -> Result<Tensor> {
        let vocabulary = self.vocabulary()?;
        let place = |(_, target): &(usize, &Target)| (target.row - chunk.first) * vocabulary + target.token as usize;
        index(&targets.iter().map(place).collect::<Vec<_>>(), self.device)
    }

    /// Returns the log-probability of each target, and the entropy of each row, in nats.
    pub(super) fn forward(&self) -> Result<(Vec<f32>, Vec<f32>)> {
        let (mut log_probs, mut entropies) = (vec![0.0; self.targets.len()], Vec::new());
        for chunk in self.chunks()? {
            let chunk = chunk?;
            let columns = Tensor::cat(&[&chunk.largest, &chunk.sums, &chunk.moments()?], 1)?.to_vec2::<f32>()?;
            for row in &columns {
                let (sum, moment) = (f64::from(row[1]), f64::from(row[2]));
                entropies.push((sum.ln() - moment / sum) as f32);
            }
            let targets = self.of(&chunk);
            if targets.is_empty() {
                continue;
            }
            let flat = chunk.shifted.flatten_all()?;
            let picked = flat.index_select(&self.places(&chunk, &targets)?, 0)?.to_vec1::<f32>()?;
            for ((target, Target { row, .. }), shifted) in targets.into_iter().zip(picked) {
                log_probs[target] = log_prob(shifted, 0.0, columns[row - chunk.first][1]);
            }
        }
        Ok((log_probs, entropies))
    }

    /// Returns the gradients of the hidden rows and the embedding, given those of the targets' log-probabilities and
    /// entropies.
    ///
    /// With `p` a row's probabilities and `H` its entropy: `d log p_t / dx_j = [j = t] - p_j`,
    /// `dH / dx_j = -p_j (log p_j + H)`.
    pub(super) fn backward(&self, log_probs: &[f32], entropies: Option<&[f32]>, learns: bool) -> Result<HeadGradients> {
        let rows = self.hidden.dim(0)?;
        let (mut pull, mut spread) = (vec![0.0f32; rows], vec![0.0f32; rows]);
        for (index, target) in self.targets.iter().enumerate() {
            pull[target.row] -= log_probs[index];
            spread[target.row] += entropies.map_or(0.0, |entropies| entropies[index]);
        }
        let column = |values: &[f32], chunk: &Chunk| {
            Tensor::from_slice(&values[chunk.first..chunk.first + chunk.rows], (chunk.rows, 1), self.device)
        };
        let (mut of_hidden, mut of_weights): (Vec<Tensor>, Option<Tensor>) = (Vec::new(), None);
        for chunk in self.chunks()? {
            let chunk = chunk?;
            let probabilities = chunk.exponentials.broadcast_div(&chunk.sums)?;
            let mut factors = column(&pull, &chunk)?.broadcast_as(probabilities.shape())?.contiguous()?;
            if entropies.is_some() {
                let log_sums = chunk.sums.log()?;
                let entropies = (&log_sums - chunk.moments()?.div(&chunk.sums)?)?;
                let surprise = chunk.shifted.broadcast_add(&(entropies - log_sums)?)?;
                factors = (factors - surprise.broadcast_mul(&column(&spread, &chunk)?)?)?;
            }
            let mut slopes = (probabilities * factors)?;
            let targets = self.of(&chunk);
            if !targets.is_empty() {
                let own: Vec<f32> = targets.iter().map(|(target, _)| log_probs[*target]).collect();
                let own = Tensor::from_vec(own, ((),), self.device)?;
                let flat = slopes.flatten_all()?.index_add(&self.places(&chunk, &targets)?, &own, 0)?;
                slopes = flat.reshape(slopes.shape())?;
            }
            of_hidden.push(slopes.matmul(self.weights)?);
            if learns {
                let more = slopes.t()?.matmul(&self.hidden.narrow(0, chunk.first, chunk.rows)?)?;
                of_weights = Some(match of_weights {
                    Some(sum) => (sum + more)?,
                    None => more,
                });
            }
        }
        Ok(HeadGradients { hidden: Tensor::cat(&of_hidden, 0)?, weights: of_weights })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A made-up number for each place.
    fn wave(count: usize, pace: f32) -> Vec<f32> {
        (0..count).map(|index| (index as f32 * pace).sin()).collect()
    }

    #[test]
    fn rows_taken_a_few_at_a_time_give_the_same() -> Result<()> {
        let (rows, width, vocabulary) = (7, 5, 13);
        let device = Device::Cpu;
        let hidden = Tensor::from_vec(wave(rows * width, 0.7), (rows, width), &device)?;
        let weights = Tensor::from_vec(wave(vocabulary * width, 1.3), (vocabulary, width), &device)?;
        // Two tokens of one row, none of another, and not in order.
        let targets =
            [(6, 1), (0, 3), (0, 12), (3, 0), (1, 5), (5, 5), (4, 7)].map(|(row, token)| Target { row, token });
        let (log_probs, entropies) = (wave(targets.len(), 2.1), wave(targets.len(), 0.9));
        let run = |logits: usize| -> Result<_> {
            let head = Head { device: &device, weights: &weights, hidden: &hidden, targets: &targets, logits };
            let found = head.backward(&log_probs, Some(&entropies), true)?;
            let of_weights = found.weights.map(|gradient| gradient.to_vec2::<f32>()).transpose()?;
            Ok((head.forward()?, found.hidden.to_vec2::<f32>()?, of_weights.unwrap_or_default()))
        };
        let ((log_probs, entropies), of_hidden, of_weights) = run(LOGITS)?;
        assert_eq!((log_probs.len(), entropies.len()), (targets.len(), rows));
        for logits in [0, vocabulary, 3 * vocabulary + 1] {
            let few = run(logits)?;
            let pairs = [(&of_hidden, &few.1), (&of_weights, &few.2)];
            let apart = pairs.into_iter().flat_map(|(a, b)| a.iter().flatten().zip(b.iter().flatten()));
            assert!(apart.chain(log_probs.iter().zip(&few.0.0)).all(|(a, b)| (a - b).abs() < 1e-5), "{logits}");
            assert!(entropies.iter().zip(&few.0.1).all(|(a, b)| (a - b).abs() < 1e-5), "{logits}");
        }
        Ok(())
    }
}
