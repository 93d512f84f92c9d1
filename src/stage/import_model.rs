//! `import-model`: a Hugging Face folder or a GGUF file becomes a model artifact.

use std::io::Read;

use camino::Utf8Path;
use fs_err as fs;

use crate::{
    lm::{self, LanguageModel},
    stage::{StageCtx, StageError, training::learner::write_model},
};

/// The first bytes of a GGUF file.
const GGUF: &[u8; 4] = b"GGUF";

pub(super) fn run(context: &mut StageCtx) -> Result<(), StageError> {
    let member: Option<String> = context.param("file")?;
    let digest: Option<String> = context.param("digest")?;
    let fetched = context.fetch("source", member.as_deref(), digest.as_deref())?;
    let model = read(&fetched.path, &fetched.origin)?;
    let config = &model.config;
    context.log(format!(
        "{}: {} parameters, {} layers of width {}, {} tokens, content digest {}",
        fetched.origin,
        model.weights.count(),
        config.num_hidden_layers,
        config.hidden_size,
        config.vocab_size,
        fetched.digest,
    ));
    if !model.tokenizer.has_chat_template() {
        context.log("the model has no chat template: stages that render prompts will fail");
    }
    write_model(context, &model)
}

fn read(path: &Utf8Path, origin: &str) -> Result<LanguageModel, StageError> {
    let doing = || format!("read the model of {origin}");
    if path.is_dir() {
        return LanguageModel::load(path).map_err(StageError::failed(doing()));
    }
    let mut start = Vec::new();
    let file = fs::File::open(path).map_err(StageError::io("read", path))?;
    file.take(4).read_to_end(&mut start).map_err(StageError::io("read", path))?;
    if start == GGUF || path.extension() == Some("gguf") {
        return lm::gguf::import(path).map_err(StageError::failed(doing()));
    }
    Err(StageError::data(
        origin,
        format!("`{}` is neither a model folder nor a GGUF file", path.file_name().unwrap_or_default()),
        "point `source` (and `file`) at a folder with config.json, model.safetensors and tokenizer.json, or at a `.gguf` file",
    ))
}
