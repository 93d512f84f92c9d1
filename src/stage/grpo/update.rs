//! One batch of rollouts becomes optimiser updates.

use serde::Deserialize;

use crate::{
    lm::{
        LanguageModel, speed,
        train::{PromptGroup, TokenGradients, TokenScores, Trainer},
    },
    rl::{self, Matrix, Totals, loss},
    stage::training::learner::StepError,
};

use super::{batch::Group, parameters::Settings};

/// What one update came to. Means are over the tokens trained on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
pub(super) struct Update {
    pub(super) loss: f64,
    pub(super) kl: f64,
    pub(super) entropy: f64,
    pub(super) clip_low: f64,
    pub(super) clip_high: f64,
    pub(super) grad_norm: f64,
    pub(super) tokens: f64,
}

/// The groups that a batch trains on, with what stays the same over its updates.
pub(super) struct Lesson<'a> {
    settings: &'a Settings,
    groups: Vec<&'a Group>,
    tokens: Vec<PromptGroup>,
    totals: Totals,
    /// log π_ref of every group, if there is a KL term.
    reference: Vec<TokenScores>,
}

impl<'a> Lesson<'a> {
    /// Takes the groups that have something to teach: all if there is a KL term, the live ones otherwise.
    pub(super) fn new(
        settings: &'a Settings,
        groups: &'a [Group],
        totals: Totals,
        reference: Option<&mut Trainer>,
    ) -> Result<Self, StepError> {
        let groups: Vec<&Group> = groups.iter().filter(|group| settings.kl.is_some() || group.live).collect();
        let tokens: Vec<PromptGroup> = groups.iter().map(|group| group.tokens.clone()).collect();
        let reference = match reference {
            Some(reference) if !tokens.is_empty() => reference.score(&tokens)?,
            _ => Vec::new(),
        };
        Ok(Self { settings, groups, tokens, totals, reference })
    }

    /// Returns the floating-point operations of one update.
    pub(super) fn operations(&self, model: &LanguageModel) -> f64 {
        speed::training_operations(model, &self.tokens)
    }

    /// Makes one update with learning rate `lr`; with nothing to learn, none.
    pub(super) fn update(&self, trainer: &mut Trainer, lr: f64) -> Result<Update, StepError> {
        if self.tokens.is_empty() {
            return Ok(Update::default());
        }
        let mut sums = Update::default();
        let accumulated = trainer.accumulate(&self.tokens, &mut |range, scores: &[TokenScores]| {
            scores
                .iter()
                .zip(range)
                .map(|(scores, index)| self.group(index, scores, &mut sums))
                .collect::<Result<Vec<_>, StepError>>()
        });
        if let Err(error) = accumulated {
            trainer.discard();
            return Err(error);
        }
        let max_norm = Some(self.settings.max_grad_norm).filter(|norm| *norm > 0.0);
        sums.grad_norm = trainer.step(lr, max_norm)?.grad_norm;
        let tokens = sums.tokens.max(1.0);
        for mean in [&mut sums.kl, &mut sums.entropy, &mut sums.clip_low, &mut sums.clip_high] {
            *mean /= tokens;
        }
        Ok(sums)
    }

    /// Returns the derivatives of one group's share of the loss and adds what there is to log.
    fn group(&self, index: usize, scores: &TokenScores, sums: &mut Update) -> Result<TokenGradients, StepError> {
        let group = self.groups[index];
        let (new, mut mask) = Matrix::padded(&scores.log_probs);
        for (row, rollout) in group.rollouts.iter().enumerate() {
            // What tools said is read, not learnt.
            for range in &rollout.completion.given {
                mask.row_mut(row)[range.clone()].fill(0.0);
            }
        }
        // The sampler computes the log-probabilities that the trainer would, so the ratio of the first update is 1.
        let old: Vec<Vec<f32>> = group.rollouts.iter().map(|rollout| rollout.completion.log_probs.clone()).collect();
        let (old, _) = Matrix::padded(&old);
        let reference = self.reference.get(index).map(|scores| Matrix::padded(&scores.log_probs).0);
        let batch = rl::Batch {
            new: &new,
            old: Some(&old),
            reference: reference.as_ref(),
            mask: &mask,
            advantages: &group.advantages,
        };
        let found = loss(&batch, &self.settings.loss(self.totals))?;
        let tokens = found.metrics.tokens;
        sums.loss += found.value;
        sums.tokens += tokens;
        sums.kl += found.metrics.kl * tokens;
        sums.clip_low += found.metrics.clip_low * tokens;
        sums.clip_high += found.metrics.clip_high * tokens;
        let entropies = scores.entropies.iter().enumerate().flat_map(|(row, tokens)| tokens.iter().zip(mask.row(row)));
        sums.entropy += entropies.map(|(entropy, mask)| f64::from(*entropy) * mask).sum::<f64>();
        #[expect(clippy::cast_possible_truncation, reason = "the model's numbers have 32 bits")]
        let gradients: Vec<Vec<f32>> = found
            .gradient
            .iter_rows()
            .zip(&scores.log_probs)
            .map(|(row, tokens)| row[..tokens.len()].iter().map(|value| *value as f32).collect())
            .collect();
        Ok(gradients.into())
    }
}
