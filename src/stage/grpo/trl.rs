//! `grpo` with `engine = "trl"`: the same stage, trained by TRL's `GRPOTrainer` in a child process.
//!
//! Everything that a seed decides is decided here: the order of the samples, which prompts keep their demonstrations, the
//! learning rates. The child (`stages/grpo/trl_engine.py`, under whatever `launch` says) samples and trains; it asks
//! `pipeline __score` what completions are worth and tells in a file what it has done, from which the tables are made with the very
//! functions of the native engine. What TRL cannot do is refused by name before anything starts.
//!
//! Not the same as the native engine: the random numbers of sampling (the child's own, reproducible as far as PyTorch is),
//! hence the completions; given the same completions, losses and weights agree (`tests/it/stages/trl_agreement.rs`).

mod child;
mod error;
mod events;
mod ledger;
mod parameters;
mod request;
mod score;

use std::{thread, time::Duration};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;

use crate::{
    lm::LanguageModel,
    stage::{
        StageCtx, StageError,
        training::{
            learner, order,
            prompts::{Room, questions},
        },
        worlds::Worlds,
    },
};

use super::{batch::Course, parameters::Settings, reference_port, seed};
use child::Child;
use events::Follower;
use ledger::Ledger;
use parameters::Trl;
use request::Folders;

pub use score::serve_scores;

/// The script, by its name among the files of the kind.
const SCRIPT: &str = "trl_engine.py";
/// Between two looks at what the child has told.
const PAUSE: Duration = Duration::from_millis(50);

/// Runs the stage.
pub(super) fn train(context: &mut StageCtx, settings: &Settings) -> Result<(), StageError> {
    let trl = Trl::read(context, settings)?;
    let lora = learner::lora(context)?;
    let script = context.file_path(SCRIPT)?.to_owned();
    let folder = context.input_path("model")?.to_owned();
    let (config, tokenizer) = LanguageModel::load_head(&folder).map_err(StageError::failed("read the model"))?;
    let reference = reference(context, settings, config.vocab_size)?;
    if lora.is_some() && reference.is_some() {
        return Err(StageError::parameter(
            "lora",
            "with `engine = \"trl\"` the reference of the KL term is the model that the adapter sits on: leave `reference` \
             unconnected",
        ));
    }
    let samples = context.input_samples("samples")?;
    let room = Room { context: config.max_position_embeddings, long: settings.long_prompts };
    let questions = questions(context, &samples, &tokenizer, true, room, |_| settings.sampling.max_tokens)?;
    let seed = seed(context, settings);
    let steps = order::steps(seed, questions.len(), settings.prompts_per_step, settings.length);
    if let Some(last) = steps.last().filter(|last| last.len() < settings.prompts_per_step) {
        return Err(StageError::parameter(
            "steps",
            format!(
                "TRL takes whole steps only, and the last one would have {} of {} prompts: set `steps` ({} leaves it out, {} \
                 fills it from the next epoch), or a `prompts-per-step` that divides the {} samples",
                last.len(),
                settings.prompts_per_step,
                steps.len() - 1,
                steps.len(),
                questions.len(),
            ),
        ));
    }
    let worlds = Worlds::Suites;
    let course = Course { settings, worlds: &worlds, samples: &samples, questions: &questions, steps: &steps, seed };

    let folders = Folders::new(context.scratch());
    let request = request::write(context, &course, &trl, lora.as_ref(), reference.as_deref(), &tokenizer, &folders)?;
    let mut ledger = Ledger::new(&course, &tokenizer);
    let mut follower = Follower::open(&folders.events)?;
    // What an earlier attempt has told counts as far as the checkpoint that the child goes on from.
    for event in follower.news()? {
        ledger.remember(event)?;
    }
    context.log(format!("training with TRL: {} {script}", trl.launch.join(" ")));
    let mut child = Child::start(&trl, &script, &request, context.threads())?;
    let ended = loop {
        let ended = child.ended().map_err(StageError::failed("wait for TRL"))?;
        for event in follower.news()? {
            ledger.take(context, event)?;
        }
        if let Some(ended) = ended {
            break ended;
        }
        thread::sleep(PAUSE);
    };
    let tail = child.tail();
    ledger.check(context, ended, tail)?;
    let (metrics, rollouts) = ledger.tables();
    leave(context, &folder, &folders.model, steps.len())?;
    context.write_table("metrics", &metrics)?;
    context.write_table("rollouts", &rollouts)?;
    // A leftover costs room, nothing else.
    fs::remove_dir_all(&folders.root).ok();
    Ok(())
}

/// Returns the folder of the reference policy if there is a KL term and it is another model.
fn reference(context: &StageCtx, settings: &Settings, vocab_size: usize) -> Result<Option<Utf8PathBuf>, StageError> {
    if settings.kl.is_none() || reference_port(context) == "model" {
        return Ok(None);
    }
    let folder = context.input_path("reference")?.to_owned();
    let (config, _) = LanguageModel::load_head(&folder).map_err(StageError::failed("read the reference model"))?;
    super::check_reference(config.vocab_size, vocab_size)?;
    Ok(Some(folder))
}

/// Leaves the trained weights with the configuration and the tokenizer that the policy came with.
fn leave(context: &StageCtx, before: &Utf8Path, trained: &Utf8Path, steps: usize) -> Result<(), StageError> {
    for entry in before.read_dir_utf8().map_err(StageError::io("read", before))? {
        let path = entry.map_err(StageError::io("read", before))?.into_path();
        let name = path.file_name().unwrap_or_default();
        if name.ends_with(".safetensors") || name.ends_with(".index.json") || !path.is_file() {
            continue;
        }
        let copy = trained.join(name);
        let bytes = fs::read(&path).map_err(StageError::io("read", &path))?;
        fs::write(&copy, bytes).map_err(StageError::io("write", &copy))?;
    }
    if context.has_output("adapter") {
        let (from, to) = (Utf8PathBuf::from(format!("{trained}.adapter")), context.output_path("adapter")?);
        fs::create_dir_all(to).map_err(StageError::io("create", to))?;
        for name in ["adapter_config.json", "adapter_model.safetensors"] {
            fs::copy(from.join(name), to.join(name)).map_err(StageError::io("copy", from.join(name)))?;
        }
    }
    let model = LanguageModel::load(trained).map_err(StageError::failed("read the model that TRL has left"))?;
    learner::leave(context, &model, steps)
}
