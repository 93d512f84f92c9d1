//! The closed set of built-in kinds.

use crate::{
    base::did_you_mean,
    stage::{
        StageCtx, StageError, check_contamination, compare, converse_bfcl, evaluate, gold_ceiling, grpo, import_model,
        init_model, inject_few_shot, mine_hard, prepare_data, rollout, score_bfcl, sft,
    },
};

macro_rules! kinds {
    ($( $(#[doc = $doc:literal])+ $variant:ident = $name:literal => $module:ident, )+) => {
        /// A kind of stage that runs inside the `pipeline` binary.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum BuiltinKind {
            $( $(#[doc = $doc])+ $variant, )+
        }

        impl BuiltinKind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Returns the name that pipeline files use.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// Runs the kind on the request of `context`.
            ///
            /// # Errors
            /// Whatever the kind fails with.
            pub fn run(self, context: &mut StageCtx) -> Result<(), StageError> {
                match self { $(Self::$variant => $module::run(context),)+ }
            }
        }
    };
}

kinds! {
    /// Brings a model into the pipeline.
    ImportModel = "import-model" => import_model,
    /// Makes a small random model.
    InitModel = "init-model" => init_model,
    /// Trains on gold answers.
    Sft = "sft" => sft,
    /// Samples completions and scores them.
    Rollout = "rollout" => rollout,
    /// Trains on rollouts.
    Grpo = "grpo" => grpo,
    /// Reads questions with tools and accepted answers, and splits them.
    PrepareData = "prepare-data" => prepare_data,
    /// Finds the samples that the current policy (almost) never solves.
    MineHard = "mine-hard" => mine_hard,
    /// Gives hard samples demonstrations.
    InjectFewShot = "inject-few-shot" => inject_few_shot,
    /// Asks a model and judges its answers.
    Evaluate = "evaluate" => evaluate,
    /// Judges the gold answers themselves.
    GoldCeiling = "gold-ceiling" => gold_ceiling,
    /// Finds what evaluation samples have in common with training samples.
    CheckContamination = "check-contamination" => check_contamination,
    /// Holds BFCL's conversations with a model.
    ConverseBfcl = "converse-bfcl" => converse_bfcl,
    /// Judges answers to BFCL officially.
    ScoreBfcl = "score-bfcl" => score_bfcl,
    /// Puts score tables side by side.
    Compare = "compare" => compare,
}

impl BuiltinKind {
    /// Returns the kind called `name`.
    ///
    /// # Errors
    /// [`StageError::UnknownKind`], which names the known ones.
    pub fn from_name(name: &str) -> Result<Self, StageError> {
        let names = || Self::ALL.iter().map(|kind| kind.name());
        Self::ALL.iter().copied().find(|kind| kind.name() == name).ok_or_else(|| StageError::UnknownKind {
            name: name.to_owned(),
            known: names().collect::<Vec<_>>().join(", "),
            suggestion: did_you_mean(name, names()).map(str::to_owned),
        })
    }
}
