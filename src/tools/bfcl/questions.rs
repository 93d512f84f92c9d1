//! The benchmark's questions and accepted answers, out of the texts of its files.
//!
//! Source: `bfcl_eval/utils.py` of bfcl-eval 2026.3.23 (`load_dataset_entry`, `load_ground_truth_entry`). Files are known
//! by their names, wherever below the source they lie; those of `unused_datasets` are not read. Categories that need the
//! network or a memory (`agentic`) are not covered.

use std::collections::{BTreeMap, btree_map::Entry};

use serde_json::{Map, Value};

use super::{Category, Format, Group, Language, multi_turn::entry::CLASSES, prompt};

/// One question.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// The official id.
    pub id: String,
    /// The row of the question as score files repeat it: of a single turn the line of its file (of format sensitivity
    /// with language hints), of several turns without functions but with the documents of those that are withheld.
    pub row: Value,
    /// The documents of its functions, without language hints; of several turns, those that are not withheld.
    pub functions: Vec<Value>,
    /// What its answer file has as `ground_truth`.
    pub answer: Option<Value>,
}

/// Why questions cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QuestionError {
    /// A file of the benchmark is not there.
    #[error("there is no file `{file}` in the benchmark's data")]
    Missing {
        /// Its name.
        file: String,
    },
    /// A file is not what it should be.
    #[error("{place}: {reason}")]
    Row {
        /// `file:line`.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// The category is not covered.
    #[error("questions of `{0}` are not read: they need the network or a memory")]
    NotCovered(Category),
    /// A format-sensitivity id names no question.
    #[error(
        "`{id}` is no entry of format sensitivity: expected `format_sensitivity_N:CONFIGURATION:ID` with the id of a question"
    )]
    NoSuchEntry {
        /// The id.
        id: String,
    },
}

/// The texts of the benchmark's files by name; answers are called `possible_answer/NAME`.
#[derive(Clone, Debug, Default)]
pub struct Files<'a>(BTreeMap<String, &'a str>);

impl<'a> Files<'a> {
    /// Finds the benchmark's files among others, given by path and text.
    pub fn new(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut found = BTreeMap::new();
        for (path, text) in files {
            let mut folders: Vec<&str> = path.split('/').collect();
            let name = folders.pop().unwrap_or_default();
            if folders.contains(&"unused_datasets") {
                continue;
            }
            let key =
                if folders.contains(&"possible_answer") { format!("possible_answer/{name}") } else { name.into() };
            found.entry(key).or_insert(text);
        }
        Self(found)
    }

    /// Returns whether the benchmark's question file of a category is there.
    pub fn has(&self, category: Category) -> bool {
        self.0.contains_key(&category.question_file())
    }

    fn text(&self, name: &str) -> Result<&'a str, QuestionError> {
        self.0.get(name).copied().ok_or_else(|| QuestionError::Missing { file: name.to_owned() })
    }

    fn rows(&self, name: &str) -> Result<Vec<Value>, QuestionError> {
        let text = self.text(name)?;
        let row = |(index, line): (usize, &str)| {
            serde_json::from_str(line).map_err(|error| QuestionError::Row {
                place: format!("{name}:{}", index + 1),
                reason: format!("it is not JSON: {error}"),
            })
        };
        text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(row).collect()
    }

    /// Returns the questions of a category in the order of their file.
    ///
    /// # Errors
    /// A file that is missing or is not what it should be; a category that is not covered.
    pub fn questions(&self, category: Category) -> Result<Vec<Question>, QuestionError> {
        match category.group() {
            Group::FormatSensitivity => return self.format_sensitivity(),
            Group::Agentic => return Err(QuestionError::NotCovered(category)),
            Group::NonLive | Group::Live | Group::MultiTurn => {}
        }
        let name = category.question_file();
        let rows = self.rows(&name)?;
        let mut answers = if category.has_answers() {
            let answer_name = format!("possible_answer/{name}");
            let answers = self.rows(&answer_name)?;
            if answers.len() != rows.len() {
                let reason = format!("it has {} rows for {} questions", answers.len(), rows.len());
                return Err(QuestionError::Row { place: answer_name, reason });
            }
            answers.into_iter()
        } else {
            Vec::new().into_iter()
        };
        let mut questions = Vec::with_capacity(rows.len());
        let mut documents = BTreeMap::new();
        for (index, row) in rows.into_iter().enumerate() {
            let wrong = |reason: &str| QuestionError::Row {
                place: format!("{name}, row {}", index + 1),
                reason: reason.to_owned(),
            };
            let Some(id) = row.get("id").and_then(Value::as_str).map(str::to_owned) else {
                return Err(wrong("it has no text `id`"));
            };
            // Questions and answers are aligned by row; some answers have ids of another form.
            let answer = answers.next().and_then(|mut answer| answer.get_mut("ground_truth").map(Value::take));
            let (row, functions) = if category.group() == Group::MultiTurn {
                self.with_documents(row, &mut documents)?
            } else {
                let functions = row.get("function").and_then(Value::as_array).cloned();
                let functions = functions.ok_or_else(|| wrong("it has no list `function`"))?;
                (row, functions)
            };
            questions.push(Question { id, row, functions, answer });
        }
        Ok(questions)
    }

    /// Returns a multi-turn row with the documents of withheld functions, and the other documents. `read`: the files of
    /// documents that were read before.
    fn with_documents(
        &self,
        mut row: Value,
        read: &mut BTreeMap<&'static str, Vec<Value>>,
    ) -> Result<(Value, Vec<Value>), QuestionError> {
        let mut functions = Vec::new();
        for class in row.get("involved_classes").and_then(Value::as_array).into_iter().flatten() {
            let known = CLASSES.iter().find(|(name, _)| class.as_str() == Some(name));
            let (_, file) = known.ok_or_else(|| QuestionError::Row {
                place: row.get("id").map(Value::to_string).unwrap_or_default(),
                reason: format!("the class {class} has no documents"),
            })?;
            let documents = match read.entry(file) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(place) => place.insert(self.rows(file)?),
            };
            functions.extend(documents.iter().cloned());
        }
        for names in row.get_mut("missed_function").and_then(Value::as_object_mut).into_iter().flatten() {
            let mut withheld = Vec::new();
            for name in names.1.as_array().into_iter().flatten() {
                if let Some(place) = functions.iter().position(|function| function.get("name") == Some(name)) {
                    withheld.push(functions.remove(place));
                }
            }
            *names.1 = Value::Array(withheld);
        }
        Ok((row, functions))
    }

    /// Returns the entries of format sensitivity: each of the questions that its file lists in each of the 26 formats.
    fn format_sensitivity(&self) -> Result<Vec<Question>, QuestionError> {
        let name = Category::FormatSensitivity.question_file();
        let wrong = |reason: String| QuestionError::Row { place: name.clone(), reason };
        let listed: Map<String, Value> = serde_json::from_str(self.text(&name)?)
            .map_err(|error| wrong(format!("it is not a JSON object: {error}")))?;
        let mut entries = Vec::new();
        for (category, ids) in &listed {
            let category =
                Category::named(category).ok_or_else(|| wrong(format!("`{category}` is no category of BFCL")))?;
            for question in self.questions(category)? {
                if ids.as_array().is_some_and(|ids| ids.iter().any(|id| id.as_str() == Some(&question.id))) {
                    for format in Format::all() {
                        let id = format!("format_sensitivity_{}:{format}:{}", entries.len(), question.id);
                        entries.push(in_format(&question, &id));
                    }
                }
            }
        }
        Ok(entries)
    }

    /// Returns the entries of format sensitivity that `ids` name, in their order. The list of the benchmark is not asked:
    /// any single-turn question will do.
    ///
    /// # Errors
    /// An id that names no question, and those of [`Files::questions`].
    pub fn entries_of_formats<'b>(
        &self,
        ids: impl IntoIterator<Item = &'b str>,
    ) -> Result<Vec<Question>, QuestionError> {
        let mut read: BTreeMap<Category, BTreeMap<String, Question>> = BTreeMap::new();
        let mut entries = Vec::new();
        for id in ids {
            let unknown = || QuestionError::NoSuchEntry { id: id.to_owned() };
            let (_, asked) = id.rsplit_once(':').filter(|_| Format::of_id(id).is_some()).ok_or_else(unknown)?;
            let category = Category::of_id(asked).filter(|category| category.has_answers()).ok_or_else(unknown)?;
            let questions = match read.entry(category) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(place) => {
                    let questions = self.questions(category)?;
                    place.insert(questions.into_iter().map(|question| (question.id.clone(), question)).collect())
                }
            };
            let question = questions.get(asked).ok_or_else(unknown)?;
            entries.push(in_format(question, id));
        }
        Ok(entries)
    }
}

/// Returns a question as an entry of format sensitivity. Its row has the language hints that others lack: the official
/// loader adds them before it makes the entries.
fn in_format(question: &Question, id: &str) -> Question {
    let mut row = question.row.clone();
    if let Value::Object(members) = &mut row {
        members.insert("id".to_owned(), id.into());
        members.insert("function".to_owned(), prompt::with_hints(&question.functions, Language::Python).into());
    }
    Question { id: id.to_owned(), row, ..question.clone() }
}
