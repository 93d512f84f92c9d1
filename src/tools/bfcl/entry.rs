//! One entry to judge: its documents, its possible answers, the format that its answer is written in.

use serde_json::Value;

use super::{
    category::{Category, Language, Task},
    format::Format,
};

/// One single-turn entry of a category.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The official id.
    pub id: String,
    /// The category.
    pub category: Category,
    /// The language of the documents: mostly [`Category::language`].
    pub language: Language,
    /// The functions' documents as they stand in the question file, without language hints.
    pub functions: Vec<Value>,
    /// One `{function: {parameter: [accepted values]}}` per expected call; `None` where no answers exist.
    pub possible_answer: Option<Vec<Value>>,
    /// How the answer is written.
    pub format: Format,
}

impl Entry {
    /// Returns an entry of a category in the category's language, its format taken from the id if that carries one.
    pub fn new(id: &str, category: Category, functions: Vec<Value>, possible_answer: Option<Vec<Value>>) -> Self {
        let language = category.language();
        let format = Format::of_id(id).unwrap_or_else(|| Format::of_language(language));
        Self { id: id.to_owned(), category, language, functions, possible_answer, format }
    }

    /// Returns how the entry is judged.
    ///
    /// The official checker looks for words in the category's name; for format sensitivity in the id behind the last colon.
    pub fn task(&self) -> Task {
        if let Some(task) = self.category.task() {
            return task;
        }
        let name = match self.category {
            Category::FormatSensitivity => self.id.rsplit(':').next().unwrap_or_default(),
            other => other.as_str(),
        };
        if name.contains("parallel") {
            Task::Parallel
        } else if name.contains("multiple") {
            Task::Multiple
        } else {
            Task::Simple
        }
    }
}
