//! Which files a source has, and which format they are in.

use serde_json::Value;

use super::rows;
use crate::{
    stage::{Fetched, StageCtx, StageError},
    tools::api_bank::Mode,
};

/// A file of the source.
pub(super) struct File {
    /// Its path inside the source, for messages and look-ups; the file's name if the source is one file.
    pub name: String,
    /// Its content.
    pub text: String,
}

/// A format of data files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// The Berkeley Function Calling Leaderboard's question and answer files.
    Bfcl,
    /// Rows in the manner of ToolRL's `rlla`.
    Toolrl,
    /// Our own.
    Jsonl,
    /// API-Bank's dialogues, or ToolRL's questions made of them, and by whose rules calls are judged.
    ApiBank(Mode),
}

impl Format {
    const ALL: [Self; 6] = [
        Self::Bfcl,
        Self::Toolrl,
        Self::Jsonl,
        Self::ApiBank(Mode::Fair),
        Self::ApiBank(Mode::Official),
        Self::ApiBank(Mode::Toolrl),
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bfcl => "bfcl",
            Self::Toolrl => "toolrl",
            Self::Jsonl => "jsonl",
            Self::ApiBank(Mode::Fair) => "api-bank",
            Self::ApiBank(Mode::Official) => "api-bank-official",
            Self::ApiBank(Mode::Toolrl) => "api-bank-toolrl",
        }
    }

    /// Returns the format called `name`; for `auto`, the one that file names and first rows speak for.
    pub(super) fn choose(name: &str, files: &[File]) -> Result<Self, StageError> {
        if let Some(format) = Self::ALL.into_iter().find(|format| format.name() == name) {
            return Ok(format);
        }
        if name != "auto" {
            let names = Self::ALL.map(|format| format!("`{}`", format.name())).join(", ");
            let reason = format!("`{name}` is no format: expected `auto` or one of {names}");
            return Err(StageError::parameter("format", reason));
        }
        if files.iter().any(|file| super::bfcl::category(&file.name).is_some()) {
            return Ok(Self::Bfcl);
        }
        let first = files.iter().flat_map(|file| rows::rows(&file.name, &file.text)).find_map(|row| row.value.ok());
        let has =
            |keys: &[&str]| first.as_ref().is_some_and(|row: &Value| keys.iter().all(|key| row.get(*key).is_some()));
        if has(&["question", "function"]) {
            Ok(Self::Bfcl)
        } else if has(&["prompt", "reward_model"])
            || has(&["instruction", "input", "output"])
            || has(&["system", "user", "answer"])
        {
            Ok(Self::Toolrl)
        } else if has(&["id", "tools"]) {
            Ok(Self::Jsonl)
        } else if has(&["role", "text"]) {
            Ok(Self::ApiBank(Mode::Fair))
        } else {
            Err(StageError::data(
                "source",
                "its format is not recognised by file names or first row",
                "set `format` to `bfcl`, `toolrl`, `jsonl` or `api-bank`",
            ))
        }
    }
}

/// Returns the `.json` and `.jsonl` files of what was fetched, in path order.
pub(super) fn files(context: &StageCtx, fetched: &Fetched) -> Result<Vec<File>, StageError> {
    if !fetched.path.is_dir() {
        let name = fetched.path.file_name().unwrap_or_default().to_owned();
        return Ok(vec![File { name, text: context.read_text(&fetched.path)? }]);
    }
    let mut files = Vec::new();
    for path in context.list_files(&fetched.path)? {
        if matches!(path.extension(), Some("json" | "jsonl")) {
            files.push(File { text: context.read_text(&fetched.path.join(&path))?, name: path.into_string() });
        }
    }
    if files.is_empty() {
        let what = "holds no `.json` or `.jsonl` file";
        return Err(StageError::data(&fetched.origin, what, "point `source` or `member` at the folder with the data"));
    }
    Ok(files)
}
