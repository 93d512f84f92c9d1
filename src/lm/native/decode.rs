//! Token by token: prompts go in once, then all live sequences move on together.

use std::cell::RefCell;
use std::sync::Arc;

use crate::lm::layout::{Layout, check_tokens};
use crate::lm::native::block::{Block, Norm, Saved, Scratch};
use crate::lm::native::buffer::Buffer;
use crate::lm::native::cache::Cache;
use crate::lm::native::math;
use crate::lm::native::matmul::{Into, Matrix, multiply};
use crate::lm::native::pass::{embed, sharpen, sharpness};
use crate::lm::native::shape::{Angles, Plan, Shape};
use crate::lm::native::threads::Threads;
use crate::lm::native::weights::{Linears, Parameters, Prepared};
use crate::lm::train::PromptGroup;
use crate::lm::{Config, LmError};

/// A prompt that the model has read.
pub(crate) struct Prompt {
    length: usize,
    /// One per layer.
    caches: Vec<Cache>,
    /// The logits after its last token: `(vocabulary,)`.
    pub(crate) logits: Vec<f32>,
}

/// A sequence after its prompt.
pub(crate) struct Sequence {
    prompt: Arc<Prompt>,
    /// Its own positions, one per layer.
    caches: Vec<Cache>,
    /// Tokens after the prompt that are in the caches.
    length: usize,
}

impl Sequence {
    /// A sequence that is its prompt so far.
    pub(crate) fn new(prompt: Arc<Prompt>) -> Self {
        let caches = prompt.caches.iter().map(|_| Cache::default()).collect();
        Self { prompt, caches, length: 0 }
    }
}

/// The model, ready to go on with sequences.
pub(crate) struct Decoder<'a> {
    plan: Plan,
    threads: Threads,
    limit: usize,
    /// What the input of the head is multiplied with: one over the temperature.
    sharpness: f32,
    weights: Prepared<'a>,
    angles: Angles,
    saved: Saved,
    previous: Buffer,
    scratch: Scratch,
    positions: Vec<usize>,
    last: Buffer,
    last_rstd: Buffer,
    normed: Buffer,
    logits: Buffer,
}

#[derive(Default)]
struct AttentionScratch {
    scores: Buffer,
    inverse: Vec<f32>,
}

thread_local! {
    static SCRATCH: RefCell<AttentionScratch> = RefCell::new(AttentionScratch::default());
}

impl<'a> Decoder<'a> {
    /// Prepares weights and adapter for the threads of the current rayon pool; all logits will be those at `temperature`.
    ///
    /// # Errors
    /// [`LmError::Config`] or [`LmError::Layout`] if weights and configuration do not fit.
    pub(crate) fn new(config: &Config, parameters: Parameters<'a>, temperature: f32) -> Result<Self, LmError> {
        let plan = Plan::new(config, parameters)?;
        let threads = Threads::current();
        let weights = Prepared::new(threads, &plan, parameters);
        Ok(Self {
            plan,
            threads,
            limit: config.max_position_embeddings,
            sharpness: sharpness(temperature),
            weights,
            angles: Angles::default(),
            saved: Saved::default(),
            previous: Buffer::default(),
            scratch: Scratch::default(),
            positions: Vec::new(),
            last: Buffer::default(),
            last_rstd: Buffer::default(),
            normed: Buffer::default(),
            logits: Buffer::default(),
        })
    }

    /// The threads that the decoder works with.
    pub(crate) fn threads(&self) -> Threads {
        self.threads
    }

    /// Reads prompts, all together.
    ///
    /// # Errors
    /// [`LmError::Request`] for an empty prompt, [`LmError::TokenOutOfRange`], [`LmError::TooLong`].
    pub(crate) fn read(&mut self, prompts: &[&[u32]]) -> Result<Vec<Prompt>, LmError> {
        let groups: Vec<PromptGroup> =
            prompts.iter().map(|tokens| PromptGroup { prompt: tokens.to_vec(), completions: Vec::new() }).collect();
        let layout = Layout::new(&groups, 0, self.plan.shape.vocabulary, self.limit)?;
        let mut caches: Vec<Vec<Cache>> = prompts.iter().map(|_| Vec::new()).collect();
        let (threads, shape) = (self.threads, self.plan.shape);
        self.positions.clone_from(&layout.positions);
        self.layers(&layout.tokens, |_, saved| {
            for (caches, group) in caches.iter_mut().zip(&layout.groups) {
                let rows = group.prompt.first * shape.key()..(group.prompt.first + group.prompt.length) * shape.key();
                let mut cache = Cache::default();
                cache.append(&shape, &saved.keys[rows.clone()], &saved.values[rows]);
                caches.push(cache);
            }
            saved.attend(threads, &shape, &layout);
        });
        let last: Vec<usize> = layout.groups.iter().map(|group| group.prompt.first + group.prompt.length - 1).collect();
        let logits = self.head(&last);
        Ok(caches
            .into_iter()
            .zip(prompts)
            .zip(logits.chunks_exact(shape.vocabulary))
            .map(|((caches, tokens), logits)| Prompt { length: tokens.len(), caches, logits: logits.to_vec() })
            .collect())
    }

    /// Appends one token to each sequence; returns the logits after it: `(sequences, vocabulary)`.
    ///
    /// # Errors
    /// [`LmError::TokenOutOfRange`].
    pub(crate) fn advance(&mut self, sequences: &mut [&mut Sequence], tokens: &[u32]) -> Result<&[f32], LmError> {
        assert_eq!(sequences.len(), tokens.len());
        check_tokens(tokens, self.plan.shape.vocabulary)?;
        let (threads, shape) = (self.threads, self.plan.shape);
        self.positions.clear();
        for sequence in &mut *sequences {
            self.positions.push(sequence.prompt.length + sequence.length);
            sequence.length += 1;
        }
        self.layers(tokens, |layer, saved| {
            let (queries, keys, values) = (&saved.queries, &saved.keys, &saved.values);
            let width = shape.query();
            let outputs = saved.attended.chunks_exact_mut(width);
            let mut work: Vec<_> = sequences.iter_mut().zip(outputs).collect();
            threads.each_mut(&mut work, |row, (sequence, output)| {
                let own = row * shape.key()..(row + 1) * shape.key();
                let cache = &mut sequence.caches[layer];
                cache.append(&shape, &keys[own.clone()], &values[own]);
                attend(
                    threads,
                    &shape,
                    &sequence.prompt.caches[layer],
                    cache,
                    &queries[row * width..][..width],
                    output,
                );
            });
        });
        let rows: Vec<usize> = (0..tokens.len()).collect();
        Ok(self.head(&rows))
    }

    /// Runs the layers over rows of the positions `self.positions`.
    fn layers(&mut self, tokens: &[u32], mut attend: impl FnMut(usize, &mut Saved)) {
        let (rows, hidden) = (tokens.len(), self.plan.shape.hidden);
        self.angles.cover(&self.plan, self.positions.iter().max().map_or(0, |last| last + 1));
        self.scratch.reserve(&self.plan.shape, rows, false);
        self.saved.reserve(&self.plan.shape, rows);
        self.previous.reserve(rows * hidden);
        for (layer, slots) in self.plan.layers.iter().enumerate() {
            std::mem::swap(&mut self.saved.middle, &mut self.previous);
            let block = Block {
                threads: self.threads,
                shape: &self.plan.shape,
                slots,
                angles: &self.angles,
                positions: &self.positions,
            };
            let base = if layer == 0 {
                let embedding = &self.weights.weights().parameters[self.plan.embedding];
                embed(&embedding.data, tokens, hidden, &mut self.saved.input);
                None
            } else {
                Some(&*self.previous)
            };
            block.forward(&mut self.weights, base, &mut self.saved, &mut self.scratch, |saved| attend(layer, saved));
        }
    }

    /// The logits of some rows.
    fn head(&mut self, rows: &[usize]) -> &[f32] {
        let (count, hidden, vocabulary) = (rows.len(), self.plan.shape.hidden, self.plan.shape.vocabulary);
        self.last.reserve(count * hidden);
        self.normed.reserve(count * hidden);
        self.last_rstd.reserve(count);
        self.logits.reserve(count * vocabulary);
        for (to, row) in self.last.chunks_exact_mut(hidden).zip(rows) {
            let place = row * hidden..(row + 1) * hidden;
            let sum = self.saved.middle[place.clone()].iter().zip(&self.scratch.delta[place]);
            to.iter_mut().zip(sum).for_each(|(to, (middle, delta))| *to = middle + delta);
        }
        let weight = &self.weights.weights().parameters[self.plan.norm].data;
        let norm = Norm { weight, epsilon: self.plan.shape.epsilon, rows: count };
        norm.forward(self.threads, &self.last, None, &mut [], &mut self.normed, &mut self.last_rstd);
        sharpen(&mut self.normed[..count * hidden], self.sharpness);
        self.weights.apply(self.threads, self.plan.unembedding, &self.normed, count, &mut self.logits);
        &self.logits[..count * vocabulary]
    }
}

/// Attention of one row to its prompt and to itself.
fn attend(threads: Threads, shape: &Shape, prompt: &Cache, own: &Cache, queries: &[f32], output: &mut [f32]) {
    let (alone, sharing, head) = (threads.alone(), shape.sharing(), shape.head);
    let (before, width) = (prompt.length(), prompt.length() + own.length());
    SCRATCH.with_borrow_mut(|scratch| {
        let AttentionScratch { scores, inverse } = scratch;
        scores.reserve(sharing * width);
        for kv in 0..shape.kv_heads {
            let part = kv * sharing * head..(kv + 1) * sharing * head;
            let queries = Matrix::new(&queries[part.clone()], sharing, head);
            multiply(alone, Into::Replace, queries, prompt.keys(shape, kv), scores, width);
            multiply(alone, Into::Replace, queries, own.keys(shape, kv), &mut scores[before..], width);
            inverse.clear();
            for row in scores.chunks_exact_mut(width).take(sharing) {
                // SAFETY: the row holds its width.
                let (_, sum) = unsafe { math::soft_max(alone.set(), row.as_mut_ptr(), width, shape.scale()) };
                inverse.push(1.0 / sum);
            }
            let output = &mut output[part];
            let left = Matrix::strided(scores, sharing, before, width);
            multiply(alone, Into::Replace, left, prompt.values(shape, kv), output, head);
            let left = Matrix::strided(&scores[before..], sharing, own.length(), width);
            multiply(alone, Into::Accumulate, left, own.values(shape, kv), output, head);
            for (row, factor) in output.chunks_exact_mut(head).zip(&*inverse) {
                row.iter_mut().for_each(|value| *value *= factor);
            }
        }
    });
}
