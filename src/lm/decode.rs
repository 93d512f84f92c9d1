//! Decoding with either engine.

use std::sync::Arc;

use crate::lm::native::Threads;
use crate::lm::{LmError, device, native};

/// The model, ready to go on with sequences.
pub(super) enum Decoder<'a> {
    Native(Box<native::Decoder<'a>>),
    Device(Box<device::Decoder>),
}

/// A prompt that a decoder has read. Copies share it.
#[derive(Clone)]
pub(super) enum Prompt {
    Native(Arc<native::Prompt>),
    Device(Arc<device::Prompt>),
}

/// A sequence after its prompt.
pub(super) enum Sequence {
    Native(native::Sequence),
    Device(device::Sequence),
}

impl Prompt {
    /// The logits after its last token: `(vocabulary,)`.
    pub(super) fn logits(&self) -> &[f32] {
        match self {
            Self::Native(prompt) => &prompt.logits,
            Self::Device(prompt) => &prompt.logits,
        }
    }
}

impl Sequence {
    /// A sequence that is its prompt so far.
    pub(super) fn new(prompt: &Prompt) -> Self {
        match prompt {
            Prompt::Native(prompt) => Self::Native(native::Sequence::new(Arc::clone(prompt))),
            Prompt::Device(prompt) => Self::Device(device::Sequence::new(Arc::clone(prompt))),
        }
    }
}

impl Decoder<'_> {
    /// The threads that tokens are drawn with.
    pub(super) fn threads(&self) -> Threads {
        match self {
            Self::Native(decoder) => decoder.threads(),
            Self::Device(_) => Threads::current(),
        }
    }

    /// Reads prompts, all together.
    ///
    /// # Errors
    /// [`LmError::Request`] for an empty prompt, [`LmError::TokenOutOfRange`], [`LmError::TooLong`], [`LmError::Tensor`].
    pub(super) fn read(&mut self, prompts: &[&[u32]]) -> Result<Vec<Prompt>, LmError> {
        Ok(match self {
            Self::Native(decoder) => {
                decoder.read(prompts)?.into_iter().map(|prompt| Prompt::Native(Arc::new(prompt))).collect()
            }
            Self::Device(decoder) => {
                decoder.read(prompts)?.into_iter().map(|prompt| Prompt::Device(Arc::new(prompt))).collect()
            }
        })
    }

    /// Appends one token to each sequence, which this decoder has begun; returns the logits after it:
    /// `(sequences, vocabulary)`.
    ///
    /// # Errors
    /// [`LmError::TokenOutOfRange`], [`LmError::Tensor`].
    pub(super) fn advance(&mut self, sequences: &mut [&mut Sequence], tokens: &[u32]) -> Result<&[f32], LmError> {
        match self {
            Self::Native(decoder) => {
                let own = sequences.iter_mut().filter_map(|sequence| match sequence {
                    Sequence::Native(sequence) => Some(sequence),
                    Sequence::Device(_) => None,
                });
                decoder.advance(&mut own.collect::<Vec<_>>(), tokens)
            }
            Self::Device(decoder) => {
                let own = sequences.iter_mut().filter_map(|sequence| match sequence {
                    Sequence::Device(sequence) => Some(sequence),
                    Sequence::Native(_) => None,
                });
                decoder.advance(&mut own.collect::<Vec<_>>(), tokens)
            }
        }
    }
}
