//! Who completes prompts: the model in this process, or a server.

use serde_json::Value;

use crate::{
    lm::{Config, LanguageModel, Place, Tokenizer, sample::Sampling},
    stage::{
        StageCtx, StageError,
        backend::{Backend, PromptForm},
        training::{
            device,
            prompts::{Prompter, Question},
        },
    },
    tools::Sample,
};

/// The policy whose completions are wanted.
pub(in crate::stage) enum Policy {
    /// A model whose weights are in memory.
    Model(Box<LanguageModel>),
    /// A model that a server holds. Its folder gives the tokenizer and the length of its context; its weights stay unread.
    Server(Box<Served>),
}

/// A model that a server holds.
pub(in crate::stage) struct Served {
    pub(in crate::stage) backend: Backend,
    pub(in crate::stage) tokenizer: Tokenizer,
    config: Config,
}

impl Served {
    /// Returns how many tokens the model holds.
    pub(in crate::stage) fn context_tokens(&self) -> usize {
        self.config.max_position_embeddings
    }
}

/// Reads the parameters that say how tokens are drawn.
///
/// # Errors
/// [`StageError::Parameter`].
pub(in crate::stage) fn sampling(context: &StageCtx) -> Result<Sampling, StageError> {
    Ok(Sampling {
        temperature: context.param("temperature")?,
        top_k: context.param("top-k")?,
        top_p: context.param("top-p")?,
        min_p: context.param("min-p")?,
        max_tokens: context.param("max-tokens")?,
        stop: context.param("stop")?,
    })
}

impl Policy {
    /// Reads the input `model`, as much of it as the `backend` parameter asks for.
    ///
    /// # Errors
    /// [`StageError::Parameter`] for a backend that is none, [`StageError::Failed`] for a model that cannot be read.
    pub(in crate::stage) fn read(context: &StageCtx, backend: &Value) -> Result<Self, StageError> {
        let folder = context.input_path("model")?;
        let failed = || StageError::failed("read the model");
        let Some(backend) = Backend::read(backend)? else {
            return Ok(Self::Model(Box::new(LanguageModel::load(folder).map_err(failed())?)));
        };
        let path = folder.join("config.json");
        let config = Config::from_json(&context.read_text(&path)?, path.as_str()).map_err(failed())?;
        let tokenizer = Tokenizer::load(folder).map_err(failed())?;
        Ok(Self::Server(Box::new(Served { backend, tokenizer, config })))
    }

    /// Returns the model's tokenizer.
    pub(in crate::stage) fn tokenizer(&self) -> &Tokenizer {
        match self {
            Self::Model(model) => &model.tokenizer,
            Self::Server(served) => &served.tokenizer,
        }
    }

    /// Returns how many tokens the model holds.
    pub(in crate::stage) fn context(&self) -> usize {
        match self {
            Self::Model(model) => model.config.max_position_embeddings,
            Self::Server(served) => served.context_tokens(),
        }
    }

    /// Returns where a model in this process computes, by the parameter `device`; a server computes where it runs.
    ///
    /// # Errors
    /// [`StageError::Parameter`] for a device that is none, not here, or of no use.
    pub(in crate::stage) fn place(&self, context: &mut StageCtx) -> Result<Place, StageError> {
        if device::is_set(context)? && matches!(self, Self::Server(_)) {
            let reason = "a server computes where it runs: leave `backend` or `device` out";
            return Err(StageError::parameter("device", reason));
        }
        device::place(context)
    }

    /// Returns the prompts as the texts that the server is sent; none where tokens are what counts.
    ///
    /// # Errors
    /// As [`Prompter::text`].
    pub(in crate::stage) fn texts(
        &self,
        context: &StageCtx,
        samples: &[Sample],
        questions: &[Question],
        demonstrated: bool,
    ) -> Result<Vec<String>, StageError> {
        match self {
            Self::Server(served) if served.backend.prompt == PromptForm::Text => {
                let prompter = Prompter::read(context)?;
                let text =
                    |question: &Question| prompter.text(&samples[question.sample], demonstrated, &served.tokenizer);
                questions.iter().map(text).collect()
            }
            _ => Ok(Vec::new()),
        }
    }
}
