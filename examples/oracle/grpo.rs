//! Golden cases of losses and advantages: reads the file, computes with `toolexpander::rl`, compares.
//!
//! The form of the file is described beside it, in `tests/fixtures/rl/README.md`.

use serde_json::{Map, Value};
use toolexpander::rl::{
    AdvantageOptions, Advantages, Aggregation, Batch, Combine, KlEstimator, KlOptions, Loss, LossOptions, LossType,
    Matrix, RatioLevel, Scale, Singleton, Surrogate, advantages, loss,
};

/// Absolute and relative tolerance of 64-bit mathematics, as the file's `meta` states it.
const TOLERANCE: f64 = 1e-12;

/// The id of a case, and why it does not match if it does not.
pub type Checked = (String, Result<(), String>);

/// Computes every case of a file and compares it with what is expected.
///
/// # Errors
/// What is wrong with the file itself, in words.
pub fn check(text: &str) -> Result<Vec<Checked>, String> {
    let file: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let cases = file["cases"].as_array().ok_or("there is no list `cases`")?;
    if cases.is_empty() {
        return Err("the list `cases` is empty".to_owned());
    }
    let id = |case: &Value| case["id"].as_str().unwrap_or("a case without id").to_owned();
    Ok(cases.iter().map(|case| (id(case), check_case(case))).collect())
}

fn check_case(case: &Value) -> Result<(), String> {
    let case = Case {
        params: case["params"].as_object().ok_or("no `params`")?,
        input: case["input"].as_object().ok_or("no `input`")?,
        expected: case["expected"].as_object().ok_or("no `expected`")?,
        kind: case["kind"].as_str().ok_or("no `kind`")?,
    };
    match case.kind {
        "loss" => case.trl_loss(),
        "loss_verl" => case.verl_loss(),
        "advantages" => case.trl_advantages(),
        "advantages_verl" => case.verl_advantages(),
        other => Err(format!("unknown kind `{other}`")),
    }
}

struct Case<'a> {
    kind: &'a str,
    params: &'a Map<String, Value>,
    input: &'a Map<String, Value>,
    expected: &'a Map<String, Value>,
}

/// The matrices of a loss case.
struct Inputs {
    new: Matrix,
    old: Option<Matrix>,
    reference: Option<Matrix>,
    mask: Matrix,
    advantages: Vec<f64>,
}

impl Inputs {
    fn loss(&self, options: &LossOptions) -> Result<Loss, String> {
        let batch = Batch {
            new: &self.new,
            old: self.old.as_ref(),
            reference: self.reference.as_ref(),
            mask: &self.mask,
            advantages: &self.advantages,
        };
        loss(&batch, options).map_err(|error| error.to_string())
    }
}

impl Case<'_> {
    fn number(&self, name: &str) -> Option<f64> {
        self.params.get(name).and_then(Value::as_f64)
    }

    fn number_or(&self, name: &str, default: f64) -> f64 {
        self.number(name).unwrap_or(default)
    }

    fn word(&self, name: &str) -> Option<&str> {
        self.params.get(name).and_then(Value::as_str)
    }

    fn flag(&self, name: &str) -> bool {
        self.params.get(name).and_then(Value::as_bool).unwrap_or(false)
    }

    fn count(&self, name: &str) -> Result<usize, String> {
        let count = self.params.get(name).and_then(Value::as_u64).ok_or_else(|| format!("no `{name}`"))?;
        usize::try_from(count).map_err(|error| error.to_string())
    }

    fn matrix(&self, name: &str) -> Result<Option<Matrix>, String> {
        match self.input.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => Matrix::from_rows(&rows(value)).map(Some).map_err(|error| error.to_string()),
        }
    }

    fn inputs(&self) -> Result<Inputs, String> {
        let mut mask = self.matrix("mask")?.ok_or("no `mask`")?;
        if let Some(tool_mask) = self.matrix("tool_mask")? {
            mask = mask.times(&tool_mask, "tool mask").map_err(|error| error.to_string())?;
        }
        Ok(Inputs {
            new: self.matrix("logp_new")?.ok_or("no `logp_new`")?,
            old: self.matrix("logp_old")?,
            reference: self.matrix("logp_ref")?,
            mask,
            advantages: row(self.input.get("advantages").ok_or("no `advantages`")?),
        })
    }

    fn trl_loss(&self) -> Result<(), String> {
        let inputs = self.inputs()?;
        let name = self.word("loss_type").ok_or("no `loss_type`")?;
        let loss_type = LossType::from_name(name).map_err(|error| error.to_string())?;
        let accumulation = self.number_or("gradient_accumulation_steps", 1.0);
        let items = self.number_or("num_items_in_batch", 1.0).max(1.0);
        let window = items * accumulation / self.number_or("steps_per_generation", accumulation);
        let aggregation = match loss_type.aggregation(self.number_or("max_completion_length", 1.0), 1.0) {
            Aggregation::Normaliser(_) => Aggregation::Normaliser(window),
            other => other,
        };
        let (low, high) = (self.number_or("epsilon_low", 0.2), self.number_or("epsilon_high", 0.2));
        let surrogate = match loss_type.surrogate(low, high, self.number("delta")) {
            Surrogate::Soft { positive, negative } => Surrogate::Soft {
                positive: self.number_or("sapo_temperature_pos", positive),
                negative: self.number_or("sapo_temperature_neg", negative),
            },
            Surrogate::Gamma { k_positive, lambda_positive, k_negative, lambda_negative } => Surrogate::Gamma {
                k_positive: self.number_or("vespo_k_pos", k_positive),
                lambda_positive: self.number_or("vespo_lambda_pos", lambda_positive),
                k_negative: self.number_or("vespo_k_neg", k_negative),
                lambda_negative: self.number_or("vespo_lambda_neg", lambda_negative),
            },
            other => other,
        };
        let mut options = LossOptions::new(surrogate, aggregation);
        options.divisor = if matches!(aggregation, Aggregation::Normaliser(_)) { 1.0 } else { accumulation };
        options.level = RatioLevel::from_name(self.word("importance_sampling_level").unwrap_or("token"))
            .map_err(|error| error.to_string())?;
        options.kl = self.kl()?.map(|kl| KlOptions { ratio_corrected: self.flag("use_bias_correction_kl"), ..kl });
        let found = inputs.loss(&options)?;
        let metrics = |name: &str| match name {
            "clip_ratio/low_mean" => Some(found.metrics.clip_low),
            "clip_ratio/high_mean" | "cispo_clip_ratio" => Some(found.metrics.clip_high),
            "clip_ratio/region_mean" => Some(found.metrics.clip_region),
            "clip_ratio/low_min" => Some(found.metrics.clip_low_min),
            "clip_ratio/high_max" => Some(found.metrics.clip_high_max),
            "vespo/phi_seq_mean" => Some(found.metrics.gamma_weight),
            "kl" => Some(found.metrics.kl),
            _ => None,
        };
        for (name, expected) in self.expected {
            match name.as_str() {
                "loss" => same(name, expected, found.value)?,
                "grad_logp_new" => same_rows(name, expected, &found.gradient)?,
                "metrics" => {
                    for (name, expected) in expected.as_object().ok_or("`metrics` is no object")? {
                        same(name, expected, metrics(name).ok_or_else(|| format!("unknown metric `{name}`"))?)?;
                    }
                }
                other => return Err(format!("unknown expectation `{other}`")),
            }
        }
        Ok(())
    }

    fn verl_loss(&self) -> Result<(), String> {
        let inputs = self.inputs()?;
        let mode = self.word("loss_agg_mode").ok_or("no `loss_agg_mode`")?;
        let aggregation = match mode {
            "token-mean" => Aggregation::VerlTokenMean,
            "token-sum" => Aggregation::VerlTokenSum,
            "seq-mean-token-sum" => Aggregation::VerlSequenceSum,
            "seq-mean-token-sum-norm" => Aggregation::VerlSequenceSumNorm,
            "seq-mean-token-mean" => Aggregation::VerlSequenceMean,
            other => return Err(format!("unknown `loss_agg_mode` `{other}`")),
        };
        let (low, high) = (self.number_or("epsilon_low", 0.2), self.number_or("epsilon_high", 0.2));
        let policy = self.word("loss_mode").or_else(|| self.word("policy_loss")).unwrap_or("vanilla");
        let mut options = LossOptions::new(
            match policy {
                "vanilla" => {
                    Surrogate::Clipped { low, high, delta: None, dual: Some(self.number_or("clip_ratio_c", 3.0)) }
                }
                "gspo" => Surrogate::Clipped { low, high, delta: None, dual: None },
                "sapo" => Surrogate::Soft {
                    positive: self.number_or("tau_pos", 1.0),
                    negative: self.number_or("tau_neg", 1.05),
                },
                "cispo" => Surrogate::Detached { floor: 1.0 - low, ceiling: 1.0 + high },
                other => return Err(format!("unknown `loss_mode` `{other}`")),
            },
            if policy == "sapo" { Aggregation::VerlSequenceMean } else { aggregation },
        );
        options.log_ratio_bounds = Some((-20.0, 20.0));
        if policy == "gspo" {
            options.level = RatioLevel::SequenceDetached;
            options.log_ratio_bounds = Some((f64::NEG_INFINITY, 10.0));
        }
        options.kl = self.kl()?;
        let found = inputs.loss(&options)?;
        // verl's masked mean has 1e-8 beside the number of tokens.
        let mean = |value: f64| value * found.metrics.tokens / (found.metrics.tokens + 1e-8);
        for (name, expected) in self.expected {
            match name.as_str() {
                "loss" => same(name, expected, found.value)?,
                "pg_loss" => same(name, expected, found.policy)?,
                "grad_logp_new" => same_rows(name, expected, &found.gradient)?,
                "pg_clipfrac" => same(name, expected, mean(found.metrics.clipped))?,
                "pg_clipfrac_lower" => same(name, expected, mean(found.metrics.dual_clipped))?,
                "ppo_kl" => same(name, expected, mean(found.metrics.old_kl))?,
                other => return Err(format!("unknown expectation `{other}`")),
            }
        }
        Ok(())
    }

    fn kl(&self) -> Result<Option<KlOptions>, String> {
        let beta = self.number_or("beta", 0.0);
        if beta == 0.0 {
            return Ok(None);
        }
        // The name may be followed by an explanation in brackets; a `+` asks for k2's derivative.
        let name = self.word("kl_estimator").unwrap_or("k3").split(' ').next().unwrap_or("k3");
        let (name, straight_through) = name.strip_suffix('+').map_or((name, false), |name| (name, true));
        let mut estimator = KlEstimator::from_name(name).map_err(|error| error.to_string())?;
        if self.kind == "loss_verl" && estimator == KlEstimator::K3 {
            // verl's k3 is the bounded one.
            estimator = KlEstimator::LowVariance;
        }
        Ok(Some(KlOptions { straight_through, ..KlOptions::new(beta, estimator) }))
    }

    fn trl_advantages(&self) -> Result<(), String> {
        let parts = rows(self.input.get("rewards_per_func").ok_or("no `rewards_per_func`")?);
        let scale =
            Scale::from_name(self.word("scale_rewards").unwrap_or("group")).map_err(|error| error.to_string())?;
        let combine = match self.word("multi_objective_aggregation").unwrap_or("sum_then_normalize") {
            "sum_then_normalize" => Combine::SumThenNormalize,
            "normalize_then_sum" => Combine::NormalizeThenSum,
            other => return Err(format!("unknown `multi_objective_aggregation` `{other}`")),
        };
        let options = AdvantageOptions {
            scale,
            combine,
            std_floor: self.number_or("eps", 1e-4),
            weights: self.params.get("reward_weights").map_or_else(|| vec![1.0], row),
            ..AdvantageOptions::new(self.count("num_generations")?)
        };
        self.compare_advantages(&advantages(&parts, &options).map_err(|error| error.to_string())?)
    }

    fn verl_advantages(&self) -> Result<(), String> {
        let rewards = row(self.input.get("rewards").ok_or("no `rewards`")?);
        let parts: Vec<Vec<f64>> = rewards.into_iter().map(|reward| vec![reward]).collect();
        let options = AdvantageOptions {
            scale: if self.flag("norm_adv_by_std") { Scale::Group } else { Scale::None },
            std_floor: self.number_or("eps", 1e-6),
            singleton: Singleton::Standard,
            ..AdvantageOptions::new(self.count("num_generations")?)
        };
        self.compare_advantages(&advantages(&parts, &options).map_err(|error| error.to_string())?)
    }

    fn compare_advantages(&self, found: &Advantages) -> Result<(), String> {
        for (name, expected) in self.expected {
            match name.as_str() {
                "advantages" => same_row(name, expected, &found.values)?,
                "is_std_zero" => {
                    let expected: Option<Vec<bool>> =
                        expected.as_array().map(|flags| flags.iter().filter_map(Value::as_bool).collect());
                    if expected.as_ref() != Some(&found.zero_std) {
                        return Err(format!("{name}: expected {expected:?}, found {:?}", found.zero_std));
                    }
                }
                "frac_reward_zero_std" => same(name, expected, found.zero_std_share())?,
                other => return Err(format!("unknown expectation `{other}`")),
            }
        }
        Ok(())
    }
}

fn row(value: &Value) -> Vec<f64> {
    let numbers = value.as_array().map(Vec::as_slice).unwrap_or_default();
    numbers.iter().map(|number| number.as_f64().unwrap_or(f64::NAN)).collect()
}

fn rows(value: &Value) -> Vec<Vec<f64>> {
    value.as_array().map(Vec::as_slice).unwrap_or_default().iter().map(row).collect()
}

fn close(expected: f64, found: f64) -> bool {
    (expected.is_nan() && found.is_nan()) || (expected - found).abs() <= TOLERANCE * (1.0 + expected.abs())
}

fn same(name: &str, expected: &Value, found: f64) -> Result<(), String> {
    match expected.as_f64() {
        Some(expected) if !close(expected, found) => Err(format!("{name}: expected {expected:e}, found {found:e}")),
        None if !expected.is_null() => Err(format!("{name}: the expectation is no number")),
        _ => Ok(()),
    }
}

fn same_row(name: &str, expected: &Value, found: &[f64]) -> Result<(), String> {
    let expected = row(expected);
    if expected.len() != found.len() {
        return Err(format!("{name}: expected {} values, found {}", expected.len(), found.len()));
    }
    match expected.iter().zip(found).position(|(expected, found)| !close(*expected, *found)) {
        None => Ok(()),
        Some(at) => Err(format!("{name}[{at}]: expected {:e}, found {:e}", expected[at], found[at])),
    }
}

fn same_rows(name: &str, expected: &Value, found: &Matrix) -> Result<(), String> {
    let expected = expected.as_array().ok_or_else(|| format!("{name}: the expectation is no list"))?;
    if expected.len() != found.rows() {
        return Err(format!("{name}: expected {} rows, found {}", expected.len(), found.rows()));
    }
    for (index, expected) in expected.iter().enumerate() {
        same_row(&format!("{name}[{index}]"), expected, found.row(index))?;
    }
    Ok(())
}
