//! What the kinds that train or sample a model share: prompts as tokens, the order of samples, the learner with its
//! checkpoints. No kind of its own; nothing here is seen outside `stage`.

pub(super) mod answers;
pub(super) mod chat;
pub(super) mod checkpoint;
pub(super) mod completions;
pub(super) mod constrain;
pub(super) mod device;
pub(super) mod latency;
pub(super) mod learner;
pub(super) mod memory;
pub(super) mod order;
pub(super) mod pace;
pub(super) mod policy;
pub(super) mod prompts;
pub(super) mod rollouts;
pub(super) mod rounds;
mod threads;
pub(super) mod turns;

pub(super) use threads::on_threads;
