//! The parameter `trl`, and what of the other parameters TRL cannot do.

use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Map, Value};

use crate::{
    base::did_you_mean,
    rl::{KlEstimator, LossType},
    stage::{StageCtx, StageError, grpo::parameters::Settings, training::device},
};

/// The name of the parameter.
pub(super) const NAME: &str = "trl";

/// Arguments of `GRPOConfig` that something else decides, and what.
const DECIDED: &[(&str, &str)] = &[
    ("learning_rate", "`lr`"),
    ("lr_scheduler_type", "`lr-decay`, `step-decay` and `warm-up`"),
    ("lr_scheduler_kwargs", "`lr-decay`, `step-decay` and `warm-up`"),
    ("warmup_steps", "`warm-up`"),
    ("warmup_ratio", "`warm-up`"),
    ("max_steps", "`steps`"),
    ("num_train_epochs", "`epochs`"),
    ("num_generations", "`group-size`"),
    ("generation_batch_size", "`prompts-per-step` times `group-size`"),
    ("steps_per_generation", "`prompts-per-step` times `group-size`"),
    (
        "gradient_accumulation_steps",
        "`prompts-per-step` times `group-size`, the processes and `per_device_train_batch_size`",
    ),
    ("num_iterations", "`inner-steps`"),
    ("beta", "`kl-beta`"),
    ("epsilon", "`clip-low`"),
    ("epsilon_high", "`clip-high`"),
    ("delta", "`clip-delta`"),
    ("use_bias_correction_kl", "`kl-estimator`"),
    ("loss_type", "`loss-type`"),
    ("importance_sampling_level", "`ratio-level`"),
    ("scale_rewards", "`scale-rewards`"),
    ("reward_weights", "`rewards`"),
    ("multi_objective_aggregation", "`rewards`"),
    ("temperature", "`temperature`"),
    ("top_p", "`top-p`"),
    ("top_k", "`top-k`"),
    ("min_p", "`min-p`"),
    ("max_completion_length", "`max-tokens`"),
    ("max_grad_norm", "`max-grad-norm`"),
    ("weight_decay", "`weight-decay`"),
    ("adam_beta1", "`beta1`"),
    ("adam_beta2", "`beta2`"),
    ("adam_epsilon", "`epsilon`"),
    ("seed", "the stage's seed"),
    ("data_seed", "the stage's seed"),
    ("shuffle_dataset", "the stage's seed"),
    ("use_cpu", "the machine"),
    ("output_dir", "the store"),
    ("resume_from_checkpoint", "the store"),
    ("save_strategy", "the store"),
    ("save_steps", "the store"),
    ("save_total_limit", "the store"),
    ("save_only_model", "the store"),
    ("load_best_model_at_end", "the store"),
    ("push_to_hub", "the store"),
    ("logging_steps", "the table `metrics`, which has every step"),
    ("logging_strategy", "the table `metrics`, which has every step"),
    ("logging_nan_inf_filter", "the table `metrics`, which has every step"),
    ("report_to", "the table `metrics`, which has every step"),
    ("disable_tqdm", "the progress of `pipeline`"),
    ("eval_strategy", "the kind `evaluate`"),
    ("do_eval", "the kind `evaluate`"),
    ("remove_unused_columns", "the prompts' form"),
    ("trust_remote_code", "the rule that no code of a model folder is run"),
];

/// How TRL is run.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Trl {
    /// The program, and arguments to put before the script.
    pub(super) launch: Vec<String>,
    /// Further arguments of `GRPOConfig`.
    pub(super) args: Map<String, Value>,
    /// Environment variables that are passed on, beside those that are needed to run Python on a machine.
    pub(super) env: Vec<String>,
    /// The least seconds between two checkpoints.
    pub(super) checkpoint_seconds: f64,
}

impl Default for Trl {
    fn default() -> Self {
        Self { launch: vec!["python3".to_owned()], args: Map::new(), env: Vec::new(), checkpoint_seconds: 60.0 }
    }
}

impl Trl {
    /// Reads the parameter and checks all others.
    ///
    /// # Errors
    /// [`StageError::Parameter`] that names the first that TRL cannot do, and what to do.
    pub(super) fn read(context: &StageCtx, settings: &Settings) -> Result<Self, StageError> {
        let trl = context.param::<Option<Self>>(NAME)?.unwrap_or_default();
        if trl.launch.first().is_none_or(String::is_empty) {
            return Err(StageError::parameter(NAME, "`launch` names no program: write `launch = [\"python3\"]`"));
        }
        if !(trl.checkpoint_seconds.is_finite() && trl.checkpoint_seconds >= 0.0) {
            return Err(StageError::parameter(NAME, "`checkpoint-seconds` is no number of seconds"));
        }
        for name in trl.args.keys() {
            if let Some((_, decides)) = DECIDED.iter().find(|(decided, _)| decided == name) {
                return Err(StageError::parameter(
                    NAME,
                    format!("`args`: `{name}` is not for here, {decides} decides it"),
                ));
            }
            if !name.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric()) {
                let near = did_you_mean(&name.replace('-', "_"), ["bf16", "per_device_train_batch_size", "use_vllm"])
                    .map(|near| format!("; did you mean `{near}`?"))
                    .unwrap_or_default();
                return Err(StageError::parameter(
                    NAME,
                    format!(
                        "`args`: `{name}` is no argument of Python's GRPOConfig, whose words are joined by `_`{near}"
                    ),
                ));
            }
        }
        if context.param::<Option<String>>("moments")?.is_some_and(|moments| moments != "f32") {
            return refuse("moments", "TRL's optimiser decides how moments are kept: `trl = { args = { optim = … } }`");
        }
        if device::is_set(context)? {
            return refuse("device", "TRL computes where `launch` puts it: leave `device` out");
        }
        if context.param::<Option<IgnoredAny>>("tools")?.is_some() {
            return refuse("tools", "TRL trains on single answers here: leave `tools` out");
        }
        check(settings)?;
        Ok(trl)
    }
}

fn refuse<T>(name: &str, reason: &str) -> Result<T, StageError> {
    Err(StageError::parameter(name, format!("{reason}; or train with `engine = \"native\"`")))
}

/// Refuses what TRL cannot do.
fn check(settings: &Settings) -> Result<(), StageError> {
    if settings.advantages.group_size < 2 {
        return refuse("group-size", "TRL compares at least 2 completions of a prompt");
    }
    if !settings.sampling.stop.is_empty() {
        return refuse("stop", "TRL ends completions at the model's end of turn only: leave `stop` empty");
    }
    if settings.limits.turns > 1 {
        return refuse("max-turns", "TRL trains on single answers here: leave `max-turns` out");
    }
    if settings.kl.is_some_and(|kl| kl.estimator != KlEstimator::K3) {
        return refuse("kl-estimator", "TRL has the estimator `k3` only");
    }
    if settings.loss_type == LossType::Bnpo {
        return refuse(
            "loss-type",
            "TRL's `bnpo` is a mean over the tokens of each device's micro-batch; over the whole step it is `dapo`: write that",
        );
    }
    if settings.rows_per_pass.is_some() {
        return refuse(
            "rows-per-pass",
            "TRL counts completions, not tokens: write `trl = { args = { per_device_train_batch_size = … } }`",
        );
    }
    Ok(())
}
