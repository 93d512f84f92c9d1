//! Token by token on a device: prompts go in once, then all live sequences move on together.
//!
//! The sequences that move on make a *roster*: the keys and values of their prompts, each once, and their own, one column
//! a step for all of them. It is put together anew when sequences end or come in; until then a step is a fixed number of
//! kernels, whatever the number of prompts. Only logits come back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use candle_core::{Device, Result, Tensor};
use candle_nn::ops::softmax_last_dim;

use crate::lm::layout::{Layout, check_tokens};
use crate::lm::native::{Parameters, Plan, sharpness};
use crate::lm::train::PromptGroup;
use crate::lm::{Config, LmError};

use super::angles::Angles;
use super::attention::{Attention, Three};
use super::engine::normed;
use super::layer::Layer;
use super::moments::numbers;
use super::stack::{Stack, index};

/// A prompt that the model has read.
pub(crate) struct Prompt {
    length: usize,
    /// Keys and values of each layer: `(kv, length, head)`.
    layers: Vec<[Tensor; 2]>,
    /// The logits after its last token: `(vocabulary,)`.
    pub(crate) logits: Vec<f32>,
}

/// A sequence after its prompt. What the model remembers of it is with the decoder.
pub(crate) struct Sequence {
    id: u64,
    prompt: Arc<Prompt>,
    /// Tokens after the prompt that the model has read.
    length: usize,
}

impl Sequence {
    /// A sequence that is its prompt so far.
    pub(crate) fn new(prompt: Arc<Prompt>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { id: NEXT.fetch_add(1, Ordering::Relaxed), prompt, length: 0 }
    }
}

/// The sequences that move on together.
struct Roster {
    /// Their ids, in the order of the rows.
    ids: Vec<u64>,
    /// The first column of each one's own keys and values.
    begins: Vec<usize>,
    columns: usize,
    /// The sequences as a grid of prompts by sequences of a prompt: the row at each place, some as padding.
    grid: Tensor,
    prompts: usize,
    width: usize,
    /// The place of each row in the grid.
    places: Tensor,
    /// Positions of the longest prompt.
    longest: usize,
    /// 0 where a row may look at its prompt, −∞ beyond its end: `(rows, 1, longest)`.
    mask: Tensor,
    /// Keys and values of the prompts by layer: `(prompts · kv, longest, head)`.
    before: Vec<[Tensor; 2]>,
    /// Those of the sequences' own tokens by layer, none yet at first: `(rows · kv, columns, head)`.
    own: Vec<Option<[Tensor; 2]>>,
}

/// The model on a device, ready to go on with sequences.
pub(crate) struct Decoder {
    stack: Stack,
    limit: usize,
    sharpness: f32,
    angles: Angles,
    roster: Option<Roster>,
    logits: Vec<f32>,
}

impl Decoder {
    /// Copies the model to `device`; all logits will be those at `temperature`.
    ///
    /// # Errors
    /// [`LmError::Config`] or [`LmError::Layout`] if weights and configuration do not fit, [`LmError::Tensor`].
    pub(crate) fn new(
        config: &Config,
        parameters: Parameters,
        temperature: f32,
        device: Device,
    ) -> std::result::Result<Self, LmError> {
        Ok(Self::of(Stack::new(config, parameters, device)?, config, temperature))
    }

    /// Decodes with the parameters that an engine has on its device, as they are now.
    pub(crate) fn sharing(engine: &super::Engine, config: &Config, temperature: f32) -> Self {
        Self::of(engine.stack.clone(), config, temperature)
    }

    fn of(stack: Stack, config: &Config, temperature: f32) -> Self {
        let limit = config.max_position_embeddings;
        let sharpness = sharpness(temperature);
        Self { stack, limit, sharpness, angles: Angles::default(), roster: None, logits: Vec::new() }
    }

    /// Reads prompts, all together.
    ///
    /// # Errors
    /// [`LmError::Request`] for an empty prompt, [`LmError::TokenOutOfRange`], [`LmError::TooLong`], [`LmError::Tensor`].
    pub(crate) fn read(&mut self, prompts: &[&[u32]]) -> std::result::Result<Vec<Prompt>, LmError> {
        let groups: Vec<PromptGroup> =
            prompts.iter().map(|tokens| PromptGroup { prompt: tokens.to_vec(), completions: Vec::new() }).collect();
        let layout = Layout::new(&groups, 0, self.stack.plan.shape.vocabulary, self.limit)?;
        self.read_layout(&layout).map_err(LmError::tensor("read prompts on the device"))
    }

    fn read_layout(&mut self, layout: &Layout) -> Result<Vec<Prompt>> {
        let (stack, plan) = (&self.stack, &self.stack.plan);
        let turn = self.angles.of(&plan.frequencies, &layout.positions, &stack.device)?;
        let attention = Attention::new(plan, layout, &stack.device)?;
        let mut stream = stack.embed(&layout.tokens)?;
        let mut layers: Vec<Vec<[Tensor; 2]>> = layout.groups.iter().map(|_| Vec::new()).collect();
        for slots in &plan.layers {
            let layer = Layer { stack, slots, turn: &turn };
            let (saved, output) = layer.forward(stream, |three| attention.forward(three))?;
            stream = output;
            for (layers, group) in layers.iter_mut().zip(&layout.groups) {
                let of_prompt = |tensor: &Tensor| -> Result<Tensor> {
                    tensor.narrow(0, group.prompt.first, group.prompt.length)?.transpose(0, 1)?.contiguous()
                };
                layers.push([of_prompt(&saved.three[1])?, of_prompt(&saved.three[2])?]);
            }
        }
        let last: Vec<usize> = layout.groups.iter().map(|group| group.prompt.first + group.prompt.length - 1).collect();
        let logits = numbers(&self.head(&stream.index_select(&index(&last, &stack.device)?, 0)?)?)?;
        let lengths = layout.groups.iter().map(|group| group.prompt.length);
        let parts = layers.into_iter().zip(lengths).zip(logits.chunks_exact(plan.shape.vocabulary));
        Ok(parts.map(|((layers, length), logits)| Prompt { length, layers, logits: logits.to_vec() }).collect())
    }

    /// Appends one token to each sequence; returns the logits after it: `(sequences, vocabulary)`.
    ///
    /// # Errors
    /// [`LmError::TokenOutOfRange`], [`LmError::Tensor`].
    pub(crate) fn advance(
        &mut self,
        sequences: &mut [&mut Sequence],
        tokens: &[u32],
    ) -> std::result::Result<&[f32], LmError> {
        check_tokens(tokens, self.stack.plan.shape.vocabulary)?;
        let positions: Vec<usize> = sequences.iter().map(|sequence| sequence.prompt.length + sequence.length).collect();
        self.logits = self.compute(sequences, tokens, &positions).map_err(LmError::tensor("decode on the device"))?;
        sequences.iter_mut().for_each(|sequence| sequence.length += 1);
        Ok(&self.logits)
    }

    fn compute(&mut self, sequences: &[&mut Sequence], tokens: &[u32], positions: &[usize]) -> Result<Vec<f32>> {
        let (stack, plan) = (&self.stack, &self.stack.plan);
        let known = self.roster.as_ref().is_some_and(|roster| {
            roster.ids.len() == sequences.len()
                && roster.ids.iter().zip(sequences).all(|(id, sequence)| *id == sequence.id)
        });
        let mut roster = match self.roster.take() {
            Some(roster) if known => roster,
            before => Roster::new(before, sequences, plan, &stack.device)?,
        };
        roster.columns += 1;
        let turn = self.angles.of(&plan.frequencies, positions, &stack.device)?;
        let mask = roster.mask(&stack.device)?;
        let mut stream = stack.embed(tokens)?;
        for (number, slots) in plan.layers.iter().enumerate() {
            let layer = Layer { stack, slots, turn: &turn };
            stream = layer.forward(stream, |three| roster.attend(plan, number, three, &mask))?.1;
        }
        let logits = numbers(&self.head(&stream)?)?;
        self.roster = Some(roster);
        Ok(logits)
    }

    /// The logits of rows of the stream.
    fn head(&self, rows: &Tensor) -> Result<Tensor> {
        self.stack.linear(self.stack.plan.unembedding, &normed(&self.stack, rows, self.sharpness)?)
    }
}

impl Roster {
    /// Puts the roster of `sequences` together, with what `before` remembers of them.
    fn new(before: Option<Self>, sequences: &[&mut Sequence], plan: &Plan, device: &Device) -> Result<Self> {
        let shape = &plan.shape;
        // Sequences of a prompt stand together, but need not.
        let mut prompts: Vec<(&Arc<Prompt>, Vec<usize>)> = Vec::new();
        for (row, sequence) in sequences.iter().enumerate() {
            match prompts.iter_mut().find(|(prompt, _)| Arc::ptr_eq(prompt, &sequence.prompt)) {
                Some((_, rows)) => rows.push(row),
                None => prompts.push((&sequence.prompt, vec![row])),
            }
        }
        let width = prompts.iter().map(|(_, rows)| rows.len()).max().unwrap_or(0);
        let longest = prompts.iter().map(|(prompt, _)| prompt.length).max().unwrap_or(0);
        let mut places = vec![0; sequences.len()];
        let mut grid = vec![0; prompts.len() * width];
        for (number, (_, rows)) in prompts.iter().enumerate() {
            for (column, row) in rows.iter().enumerate() {
                (grid[number * width + column], places[*row]) = (*row, number * width + column);
            }
        }
        let mask = sequences.iter().flat_map(|sequence| {
            (0..longest).map(|key| if key < sequence.prompt.length { 0.0 } else { f32::NEG_INFINITY })
        });
        let mask = Tensor::from_vec(mask.collect(), (sequences.len(), 1, longest), device)?;
        let together = |layer: usize, which: usize| -> Result<Tensor> {
            let padded = |(prompt, _): &(&Arc<Prompt>, Vec<usize>)| {
                prompt.layers[layer][which].pad_with_zeros(1, 0, longest - prompt.length)
            };
            Tensor::cat(&prompts.iter().map(padded).collect::<Result<Vec<_>>>()?, 0)?.contiguous()
        };
        let layers = 0..plan.layers.len();
        let of_prompts =
            layers.clone().map(|layer| Ok([together(layer, 0)?, together(layer, 1)?])).collect::<Result<_>>()?;
        let mut roster = Self {
            ids: sequences.iter().map(|sequence| sequence.id).collect(),
            begins: vec![0; sequences.len()],
            columns: 0,
            grid: index(&grid, device)?,
            prompts: prompts.len(),
            width,
            places: index(&places, device)?,
            longest,
            mask,
            before: of_prompts,
            own: layers.map(|_| None).collect(),
        };
        if let Some(before) = before {
            roster.remember(before, shape.kv_heads, device)?;
        }
        Ok(roster)
    }

    /// Takes over what the roster before knew of sequences that are in this one, too.
    fn remember(&mut self, before: Self, kv_heads: usize, device: &Device) -> Result<()> {
        let rows: Vec<Option<usize>> =
            self.ids.iter().map(|id| before.ids.iter().position(|known| known == id)).collect();
        let Some(oldest) = rows.iter().flatten().map(|row| before.begins[*row]).min() else { return Ok(()) };
        // New sequences take the place of any other: all its columns lie before their first.
        self.columns = before.columns - oldest;
        self.begins = rows.iter().map(|row| row.map_or(self.columns, |row| before.begins[row] - oldest)).collect();
        let heads = rows.iter().flat_map(|row| (0..kv_heads).map(move |head| row.unwrap_or(0) * kv_heads + head));
        let heads = index(&heads.collect::<Vec<_>>(), device)?;
        for (own, before) in self.own.iter_mut().zip(before.own) {
            let Some([keys, values]) = before else { continue };
            let kept = |tensor: Tensor| tensor.narrow(1, oldest, self.columns)?.contiguous()?.index_select(&heads, 0);
            *own = Some([kept(keys)?, kept(values)?]);
        }
        Ok(())
    }

    /// 0 where a row may look, −∞ where it may not: `(rows, 1, longest + columns)`.
    fn mask(&self, device: &Device) -> Result<Tensor> {
        let columns = self.columns;
        let own = self
            .begins
            .iter()
            .flat_map(|begin| (0..columns).map(move |column| if column >= *begin { 0.0 } else { f32::NEG_INFINITY }));
        let own = Tensor::from_vec(own.collect(), (self.ids.len(), 1, columns), device)?;
        Tensor::cat(&[&self.mask, &own], 2)
    }

    /// Attention of one row of each sequence to its prompt and to itself: `(rows, heads · head)`.
    fn attend(&mut self, plan: &Plan, layer: usize, [queries, keys, values]: &Three, mask: &Tensor) -> Result<Tensor> {
        let shape = &plan.shape;
        let (rows, kv, sharing, head) = (self.ids.len(), shape.kv_heads, shape.sharing(), shape.head);
        let append = |tensor: &Tensor, before: Option<&Tensor>| -> Result<Tensor> {
            let column = tensor.reshape((rows * kv, 1, head))?;
            before.map_or(Ok(column.clone()), |before| Tensor::cat(&[before, &column], 1)?.contiguous())
        };
        let before = self.own[layer].as_ref();
        let own = [append(keys, before.map(|before| &before[0]))?, append(values, before.map(|before| &before[1]))?];
        // To its own tokens: `(rows · kv, sharing, columns)`.
        let to_own = queries.reshape((rows * kv, sharing, head))?.matmul(&own[0].t()?)?;
        // To the prompts: every sequence of a prompt, all query heads of a key head, as rows of one product.
        let of_prompts = &self.before[layer];
        let asked = self.to_grid(queries, [kv, sharing, head])?;
        let to_prompts = self.to_rows(&asked.matmul(&of_prompts[0].t()?)?, [kv, sharing, self.longest])?;
        let to_own = to_own.reshape((rows, kv * sharing, self.columns))?;
        let scores = (Tensor::cat(&[&to_prompts, &to_own], 2)? * f64::from(shape.scale()))?;
        let weights = softmax_last_dim(&scores.broadcast_add(mask)?)?;
        let of_own = weights.narrow(2, self.longest, self.columns)?.contiguous()?;
        let of_own = of_own.reshape((rows * kv, sharing, self.columns))?.matmul(&own[1])?;
        let weights = weights.narrow(2, 0, self.longest)?.contiguous()?;
        let mixed = self.to_grid(&weights, [kv, sharing, self.longest])?.matmul(&of_prompts[1])?;
        let mixed = self.to_rows(&mixed, [kv, sharing, head])?;
        self.own[layer] = Some(own);
        (mixed.reshape((rows, kv * sharing * head))? + of_own.reshape((rows, kv * sharing * head))?)?.contiguous()
    }

    /// `(rows, kv · sharing, n)` → `(prompts · kv, width · sharing, n)`.
    fn to_grid(&self, tensor: &Tensor, [kv, sharing, last]: [usize; 3]) -> Result<Tensor> {
        let grid = tensor.index_select(&self.grid, 0)?.reshape((self.prompts, self.width, kv, sharing * last))?;
        grid.transpose(1, 2)?.contiguous()?.reshape((self.prompts * kv, self.width * sharing, last))
    }

    /// The way back.
    fn to_rows(&self, tensor: &Tensor, [kv, sharing, last]: [usize; 3]) -> Result<Tensor> {
        let grid = tensor.reshape((self.prompts, kv, self.width, sharing * last))?.transpose(1, 2)?.contiguous()?;
        grid.reshape((self.prompts * self.width, kv * sharing, last))?.index_select(&self.places, 0)
    }
}
