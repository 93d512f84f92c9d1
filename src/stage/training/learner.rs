//! A model in training that can be killed at any moment: the trainer, its checkpoints, and what went wrong with numbers.

use crate::{
    base::Seed,
    lm::{
        Dtype, LanguageModel, LmError, Numbers, Place,
        lora::{self, LoraOptions},
        train::{AdamW, Footprint, OptimizerState, Trainer},
    },
    rl::RlError,
    stage::{
        StageCtx, StageError,
        training::{
            checkpoint::{self, Checkpoint, State},
            memory::Needs,
            pace::Pace,
        },
    },
    table::{self, TableRow},
};

/// How a model is trained.
#[derive(Clone, Debug)]
pub(in crate::stage) struct Method {
    pub(in crate::stage) optimizer: AdamW,
    /// Of the policy whose log-probabilities are taken.
    pub(in crate::stage) temperature: f32,
    /// The adapter to train; without one, all weights are.
    pub(in crate::stage) lora: Option<LoraOptions>,
    /// Where the adapter's first values come from.
    pub(in crate::stage) seed: Seed,
    /// Rows of a pass, from the parameter `rows-per-pass`.
    pub(in crate::stage) rows: Option<usize>,
    /// Whether activations are computed again.
    pub(in crate::stage) recompute: bool,
    /// Where the model computes.
    pub(in crate::stage) place: Place,
}

impl Method {
    /// Returns the rows of a pass.
    pub(in crate::stage) fn rows(&self) -> usize {
        self.rows.unwrap_or(Trainer::DEFAULT_ROWS)
    }
}

/// What a training works on.
#[derive(Clone, Copy, Debug)]
pub(in crate::stage) struct Work {
    /// Rows of the longest group.
    pub(in crate::stage) longest: usize,
    /// Groups of a step.
    pub(in crate::stage) groups: usize,
    /// Bytes for sampling between updates.
    pub(in crate::stage) sampling: u64,
    /// Bytes of other models.
    pub(in crate::stage) others: u64,
}

/// Returns the parameter `lora`, checked.
///
/// # Errors
/// [`StageError::Parameter`] for an unknown key or target, or an adapter that cannot learn.
pub(in crate::stage) fn lora(context: &StageCtx) -> Result<Option<LoraOptions>, StageError> {
    let options: Option<LoraOptions> = context.param("lora")?;
    if let Some(options) = &options {
        options.check().map_err(|error| StageError::parameter("lora", error.to_string()))?;
    }
    Ok(options)
}

/// A model in training.
pub(in crate::stage) struct Learner {
    /// The trainer.
    pub(in crate::stage) trainer: Trainer,
    /// Steps of the stage done.
    pub(in crate::stage) steps: usize,
    /// Optimiser updates done.
    pub(in crate::stage) updates: usize,
    /// Tokens worked through.
    pub(in crate::stage) tokens: u64,
    pace: Pace,
}

impl Learner {
    /// Begins, or goes on where an earlier attempt of the same key left off; then the tables that it had written so far
    /// come along. A checkpoint holds what is trained only: the weights, or the adapter.
    ///
    /// # Errors
    /// [`StageError::Failed`] if the model cannot be trained, [`StageError::Io`] if the checkpoint cannot be read,
    /// [`StageError::Parameter`] if the stage's memory does not suffice.
    pub(in crate::stage) fn new(
        context: &mut StageCtx,
        mut model: LanguageModel,
        method: &Method,
        work: Work,
    ) -> Result<(Self, Vec<Vec<u8>>), StageError> {
        let failed = || StageError::failed("set up the training");
        if let Some(options) = &method.lora {
            model.adapt(options, method.seed).map_err(failed())?;
        }
        let moments: Dtype = context.param::<Option<Dtype>>("moments")?.unwrap_or_default();
        let needs = Needs {
            footprint: Footprint::new(&model, method.recompute).moment_type(moments),
            recomputing: Footprint::new(&model, true).moment_type(moments),
            rows_per_pass: method.rows(),
            longest: work.longest,
            step: work.groups * work.longest,
            sampling: work.sampling,
            others: work.others,
        };
        if method.place != Place::Cpu && moments != Dtype::F32 {
            let reason = "a device keeps moments in f32: leave `moments` or `device` out";
            return Err(StageError::parameter("moments", reason));
        }
        // What a GPU has is not the stage's `memory-gb`.
        if method.place != Place::Cuda {
            needs.check(context)?;
        }
        let sizes: Vec<usize> = model.trained().iter().map(|parameter| parameter.data.len()).collect();
        let found = checkpoint::load(context.scratch())?.filter(|found| fits(found, &sizes));
        let (mut learner_state, mut tables) = ((0, 0, 0), Vec::new());
        let mut state = None;
        if let Some(found) = found {
            context.log(format!("going on after step {}, where an earlier attempt left off", found.steps));
            let mut tensors = found.tensors.into_iter();
            for parameter in model.trained_mut() {
                parameter.data = tensors.next().unwrap_or_default();
            }
            let mut first: Vec<Vec<f32>> = tensors.collect();
            let second = first.split_off(first.len() / 2);
            state = Some(OptimizerState { steps: found.optimizer_steps, first, second });
            learner_state = (found.steps, found.updates, found.tokens);
            tables = found.tables;
        }
        let mut trainer = Trainer::on(method.place, model, method.optimizer).map_err(failed())?;
        trainer = trainer.at_temperature(method.temperature);
        trainer = trainer.rows_per_pass(method.rows()).recompute(method.recompute).moment_type(moments);
        if let Some(state) = state {
            trainer.restore(&state).map_err(failed())?;
        }
        let (steps, updates, tokens) = learner_state;
        let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let learner = Self { trainer, steps: count(steps), updates: count(updates), tokens, pace: Pace::new() };
        Ok((learner, tables))
    }

    /// Ends the training and leaves the model as the output `model`, an adapter merged into its weights. The adapter itself
    /// is left as the output `adapter` where the request has one.
    ///
    /// # Errors
    /// [`StageError::Failed`] if a weight is no number: the last update went wrong where no loss was computed after it.
    pub(in crate::stage) fn save(self, context: &StageCtx) -> Result<(), StageError> {
        let steps = self.steps;
        let model = self.trainer.into_model();
        if let Some(adapter) = model.adapter.as_ref().filter(|_| context.has_output("adapter")) {
            lora::save_peft(adapter, context.output_path("adapter")?)
                .map_err(StageError::failed("write the adapter"))?;
        }
        leave(context, &model.merged(), steps)
    }

    /// Notes a finished step and, if it is time, leaves a checkpoint. `tables` are written only then.
    ///
    /// # Errors
    /// [`StageError::Io`].
    pub(in crate::stage) fn finish_step(
        &mut self,
        context: &StageCtx,
        tokens: u64,
        tables: impl FnOnce() -> Result<Vec<Vec<u8>>, StageError>,
    ) -> Result<(), StageError> {
        self.steps += 1;
        self.tokens += tokens;
        let Self { trainer, steps, updates, tokens, pace } = self;
        pace.keep(|| {
            let (optimizer_steps, moments) =
                trainer.moments().map_err(StageError::failed("read the optimiser's state"))?;
            let trained = trainer.model().trained().iter().map(|parameter| Numbers::F32(&parameter.data));
            let tensors: Vec<Numbers<'_>> = trained.chain(moments).collect();
            let saved = State {
                steps: *steps as u64,
                updates: *updates as u64,
                tokens: *tokens,
                optimizer_steps,
                tables: &tables()?,
                tensors: &tensors,
            };
            checkpoint::save(context.scratch(), &saved)
        })
    }
}

/// Leaves a model that was trained for `steps` steps as the output `model`.
///
/// # Errors
/// [`StageError::Failed`] if a weight is no number, or if it cannot be written.
pub(in crate::stage) fn leave(context: &StageCtx, model: &LanguageModel, steps: usize) -> Result<(), StageError> {
    let broken = model.weights.parameters.iter().find(|parameter| parameter.data.iter().any(|it| !it.is_finite()));
    if let Some(parameter) = broken {
        let what = format!("a weight of `{}` after step {steps} (seed {})", parameter.name, context.seed().0);
        return Err(StageError::failed("train")(LmError::NotFinite { what, value: f64::NAN }));
    }
    write_model(context, model)
}

/// Writes a model as the output `model`, its weights in the type that the parameter `store-dtype` names.
///
/// # Errors
/// [`StageError::Failed`], [`StageError::Parameter`].
pub(in crate::stage) fn write_model(context: &StageCtx, model: &LanguageModel) -> Result<(), StageError> {
    let dtype: Option<Dtype> = context.param("store-dtype")?;
    let folder = context.output_path("model")?;
    model.save_as(folder, dtype.unwrap_or_default()).map_err(StageError::failed("write the model"))
}

/// Returns whether a checkpoint is of a model of these sizes.
fn fits(found: &Checkpoint, sizes: &[usize]) -> bool {
    let lengths: Vec<usize> = found.tensors.iter().map(Vec::len).collect();
    lengths == sizes || lengths == sizes.repeat(3)
}

/// Returns the rows of a table that a checkpoint holds; of a missing one, none.
///
/// # Errors
/// [`StageError::Failed`] if it is no such table.
pub(in crate::stage) fn rows<R: TableRow>(tables: &[Vec<u8>], index: usize) -> Result<Vec<R>, StageError> {
    let decode = |bytes: &Vec<u8>| table::decode(bytes).map_err(StageError::failed("read a table of the checkpoint"));
    tables.get(index).map_or(Ok(Vec::new()), decode)
}

/// Returns a table for a checkpoint.
///
/// # Errors
/// [`StageError::Failed`].
pub(in crate::stage) fn encoded<R: TableRow>(rows: &[R]) -> Result<Vec<u8>, StageError> {
    table::encode(rows).map_err(StageError::failed("write a table of the checkpoint"))
}

/// Why a step of training failed.
#[derive(Debug, thiserror::Error)]
pub(in crate::stage) enum StepError {
    /// In the model.
    #[error(transparent)]
    Lm(#[from] LmError),
    /// In the loss.
    #[error(transparent)]
    Rl(#[from] RlError),
}

impl StepError {
    /// Returns the error of a stage with seed `seed` that was at optimiser step `step` (from 1).
    pub(in crate::stage) fn at(self, context: &StageCtx, step: usize) -> StageError {
        let seed = context.seed().0;
        match self {
            Self::Lm(LmError::NotFinite { .. }) | Self::Rl(RlError::NotFinite { .. }) => StageError::data(
                format!("optimiser step {step}, seed {seed}"),
                format!("the training broke down: {self}"),
                "lower `lr`, raise `warm-up`, or check that the model it starts from is sound",
            ),
            other => StageError::failed(format!("train at optimiser step {step} (seed {seed})"))(other),
        }
    }
}
