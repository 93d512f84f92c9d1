//! What the kinds that train or sample a model share: prompts as tokens, the order of samples, the learner with its
//! checkpoints. No kind of its own; nothing here is seen outside `stage`.

mod answers;
pub(super) mod checkpoint;
pub(super) mod completions;
pub(super) mod constrain;
pub(super) mod device;
mod latency;
pub(super) mod learner;
pub(super) mod memory;
pub(super) mod order;
mod pace;
pub(super) mod policy;
pub(super) mod prompts;
pub(super) mod rollouts;
mod threads;
pub(super) mod turns;

pub(super) use threads::on_threads;
