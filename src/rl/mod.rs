//! The formulas of reinforcement learning from groups of rollouts: one formula per file, in `f64`, with derivatives
//! worked out by hand.
//!
//! A training step is: [`advantages`] of the rewards → [`loss`] of the tokens' log-probabilities, which is a per-token
//! [`Surrogate`] of the policy [`ratio`], plus a [`kl`] term, averaged by an [`Aggregation`] → [`LearningRate`]. The
//! functions take numbers and give numbers: no model, no tensor, no file, no random draw is known here, and the result
//! depends on nothing but the arguments. `stage` calls them; `lm` supplies log-probabilities and takes the gradients.
//! The numbers are held to those of TRL and verl by `tests/fixtures/rl`.

mod advantage;
mod aggregate;
mod clip;
mod error;
pub mod kl;
mod loss;
mod loss_type;
mod matrix;
pub mod ratio;
mod schedule;

pub use advantage::{AdvantageOptions, Advantages, Combine, Scale, Singleton, advantages};
pub use aggregate::{Aggregation, Totals};
pub use clip::{Surrogate, TokenLoss};
pub use error::RlError;
pub use kl::{KlEstimator, KlOptions};
pub use loss::{Batch, Loss, LossMetrics, LossOptions, loss};
pub use loss_type::LossType;
pub use matrix::Matrix;
pub use ratio::RatioLevel;
pub use schedule::{LearningRate, Shape};
