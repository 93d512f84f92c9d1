//! The parameters of `grpo`: as they are written, and checked.

use serde::{Deserialize, de::IgnoredAny};

use crate::{
    lm::{sample::Sampling, train::AdamW},
    rl::{
        AdvantageOptions, KlEstimator, KlOptions, LearningRate, LossOptions, LossType, RatioLevel, RlError, Scale,
        Shape, Totals,
    },
    stage::{
        StageError,
        training::{order::Length, prompts::LongPrompts, turns::Limits},
    },
    tools::reward::RewardSpec,
};

use super::anneal::Anneal;

/// As the pipeline file has them. The manifest documents each.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Parameters {
    epochs: usize,
    steps: Option<usize>,
    prompts_per_step: usize,
    group_size: usize,
    inner_steps: usize,
    temperature: f32,
    top_p: f32,
    min_p: f32,
    top_k: usize,
    max_tokens: usize,
    max_turns: Option<usize>,
    max_trajectory_tokens: Option<usize>,
    stop: Vec<String>,
    rewards: RewardSpec,
    scale_rewards: String,
    std_floor: f64,
    loss_type: String,
    ratio_level: String,
    clip_low: f64,
    clip_high: f64,
    clip_delta: Option<f64>,
    kl_beta: f64,
    kl_estimator: String,
    lr: f64,
    lr_decay: f64,
    round: u32,
    step_decay: f64,
    warm_up: u32,
    max_grad_norm: f64,
    weight_decay: f64,
    beta1: f64,
    beta2: f64,
    epsilon: f64,
    demonstration_keep_first: f64,
    demonstration_keep_last: f64,
    long_prompts: LongPrompts,
    rows_per_pass: Option<usize>,
    #[serde(default)]
    recompute: bool,
    /// Read by [`crate::stage::training::learner::lora`], which names it when it is wrong.
    #[serde(rename = "lora")]
    _lora: Option<IgnoredAny>,
    /// Read by [`crate::stage::training::learner::Learner`], beside `store-dtype`.
    #[serde(rename = "moments")]
    _moments: Option<IgnoredAny>,
    #[serde(rename = "store-dtype")]
    _store_dtype: Option<IgnoredAny>,
    /// Read by [`crate::stage::training::device::place`].
    #[serde(rename = "device")]
    _device: Option<IgnoredAny>,
    /// Read by [`crate::stage::worlds::Worlds`].
    #[serde(rename = "tools")]
    _tools: Option<IgnoredAny>,
    #[serde(default)]
    engine: Engine,
    /// Read by [`super::trl`].
    #[serde(rename = "trl")]
    _trl: Option<IgnoredAny>,
}

/// Who trains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Engine {
    /// This process.
    #[default]
    Native,
    /// TRL's trainer in a child process.
    Trl,
}

/// What the stage works with.
pub(super) struct Settings {
    pub(super) engine: Engine,
    pub(super) length: Length,
    pub(super) prompts_per_step: usize,
    pub(super) inner_steps: usize,
    pub(super) sampling: Sampling,
    pub(super) limits: Limits,
    pub(super) rewards: RewardSpec,
    pub(super) advantages: AdvantageOptions,
    pub(super) kl: Option<KlOptions>,
    pub(super) rate: LearningRate,
    pub(super) max_grad_norm: f64,
    pub(super) optimizer: AdamW,
    pub(super) keep: Anneal,
    pub(super) long_prompts: LongPrompts,
    pub(super) rows_per_pass: Option<usize>,
    pub(super) recompute: bool,
    pub(super) loss_type: LossType,
    pub(super) level: RatioLevel,
    /// How far below 1 and above 1 the ratio counts, and the bound of negative advantages' ratio.
    pub(super) clip: (f64, f64, Option<f64>),
}

impl Parameters {
    /// Checks what the manifest's ranges cannot.
    pub(super) fn checked(self) -> Result<Settings, StageError> {
        let named = |name: &'static str| move |error: RlError| StageError::parameter(name, error.to_string());
        let rate = LearningRate {
            base: self.lr,
            round_decay: self.lr_decay,
            round: self.round,
            shape: Shape::Exponential { decay: self.step_decay },
            warmup: self.warm_up,
            steps: 0,
        };
        let estimator = KlEstimator::from_name(&self.kl_estimator).map_err(named("kl-estimator"))?;
        if self.clip_low > 1.0 {
            return Err(StageError::parameter(
                "clip-low",
                format!("{} is more than 1: no ratio is below 0", self.clip_low),
            ));
        }
        Ok(Settings {
            engine: self.engine,
            length: self.steps.map_or(Length::Epochs(self.epochs), Length::Steps),
            prompts_per_step: self.prompts_per_step,
            inner_steps: self.inner_steps,
            sampling: Sampling {
                temperature: self.temperature,
                top_k: self.top_k,
                top_p: self.top_p,
                min_p: self.min_p,
                max_tokens: self.max_tokens,
                stop: self.stop,
            },
            limits: Limits::new(self.max_turns, self.max_trajectory_tokens, self.max_tokens),
            rewards: self.rewards,
            advantages: AdvantageOptions {
                scale: Scale::from_name(&self.scale_rewards).map_err(named("scale-rewards"))?,
                std_floor: self.std_floor,
                ..AdvantageOptions::new(self.group_size)
            },
            kl: (self.kl_beta > 0.0).then(|| KlOptions::new(self.kl_beta, estimator)),
            rate: rate.checked().map_err(named("lr"))?,
            max_grad_norm: self.max_grad_norm,
            optimizer: AdamW {
                beta1: self.beta1,
                beta2: self.beta2,
                eps: self.epsilon,
                weight_decay: self.weight_decay,
            },
            keep: Anneal { first: self.demonstration_keep_first, last: self.demonstration_keep_last },
            long_prompts: self.long_prompts,
            rows_per_pass: self.rows_per_pass,
            recompute: self.recompute,
            loss_type: LossType::from_name(&self.loss_type).map_err(named("loss-type"))?,
            level: RatioLevel::from_name(&self.ratio_level).map_err(named("ratio-level"))?,
            clip: (self.clip_low, self.clip_high, self.clip_delta),
        })
    }
}

impl Settings {
    /// Returns the loss for a part of a step whose completions have `totals` in all.
    pub(super) fn loss(&self, totals: Totals) -> LossOptions {
        let (low, high, delta) = self.clip;
        #[expect(clippy::cast_precision_loss, reason = "a completion has fewer than 2^53 tokens")]
        let longest = self.limits.tokens.min(self.sampling.max_tokens * self.limits.turns) as f64;
        LossOptions {
            level: self.level,
            kl: self.kl,
            totals: Some(totals),
            ..LossOptions::new(
                self.loss_type.surrogate(low, high, delta),
                self.loss_type.aggregation(longest, totals.tokens),
            )
        }
    }
}
