//! The answers to judge, from wherever they come.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::Parameters;
use crate::{
    stage::{Source, StageCtx, StageError, bfcl_data::Reasoning},
    table::ScoreRow,
    tools::{
        bfcl::{
            Category, Group,
            multi_turn::entry::MultiTurnEntry,
            questions::Files,
            scores::{EpisodeVerdict, ResultRow, layout, results},
        },
        python::PyValue,
    },
};

/// All answers of one model.
pub(super) struct Answers {
    /// The model's name.
    pub model: String,
    /// Answers by category, in the order of their entries.
    pub rows: BTreeMap<Category, Vec<ResultRow>>,
    /// Verdicts on episodes, by entry.
    pub verdicts: BTreeMap<String, EpisodeVerdict>,
}

/// Gathers the answers of all sources; an entry may be answered once.
pub(super) fn gather(
    context: &StageCtx,
    parameters: &Parameters,
    wanted: &[Category],
    files: &Files<'_>,
) -> Result<Answers, StageError> {
    let mut rows = Vec::new();
    let mut model = (!parameters.model.is_empty()).then(|| parameters.model.clone());
    if parameters.gold == Some(true) {
        if parameters.python.is_none() {
            return Err(StageError::parameter("gold", "the ground truth must be run to be judged: set `python`, too"));
        }
        rows = of_ground_truth(wanted, files)?;
    }
    if has_folder(context)? {
        let (found, mut more) = of_folder(context, model.as_deref())?;
        model.get_or_insert(found);
        rows.append(&mut more);
    }
    for (label, table) in context.input_tables::<ScoreRow>("scores")? {
        rows.extend(table.into_iter().map(|row| of_score(row, parameters.reasoning)));
        if model.is_none() {
            let reason = format!("the answers of `{label}` do not say which model gave them: name it");
            return Err(StageError::parameter("model", reason));
        }
    }
    for (label, path) in context.inputs("answers") {
        let text = context.read_text(&path)?;
        rows.extend(results::read(&label, &text).map_err(StageError::failed("read the answers"))?);
    }
    let mut verdicts = BTreeMap::new();
    for (label, path) in context.inputs("verdicts") {
        of_episodes(&label, &context.read_text(&path)?, &mut rows, &mut verdicts)?;
    }
    let model = model.or_else(|| parameters.gold.filter(|gold| *gold).map(|_| "gold".to_owned()));
    let Some(model) = model else {
        return Err(StageError::parameter("model", "the answers do not say which model gave them: name it"));
    };
    let mut answers = Answers { model, rows: BTreeMap::new(), verdicts };
    let mut seen = BTreeSet::new();
    for row in rows {
        let category = Category::of_id(&row.id).ok_or_else(|| {
            let help = "judge answers to the benchmark's own questions, which have its ids";
            StageError::data(format!("answer `{}`", row.id), "its id names no category of BFCL", help)
        })?;
        if !seen.insert(row.id.clone()) {
            let help = "give every answer once";
            return Err(StageError::data(format!("answer `{}`", row.id), "occurs twice", help));
        }
        if wanted.is_empty() || wanted.contains(&category) {
            answers.rows.entry(category).or_default().push(row);
        }
    }
    if answers.rows.is_empty() {
        let help = "set `results`, or connect `scores`, `answers` or `verdicts`, and loosen `categories`";
        return Err(StageError::data("the answers", "there are none to judge", help));
    }
    for rows in answers.rows.values_mut() {
        rows.sort_by(|one, two| layout::order(&one.id, &two.id).then_with(|| one.id.cmp(&two.id)));
    }
    Ok(answers)
}

/// Returns the ground truth of the multi-turn categories as a model would write it that copies it: a list of calls in each
/// turn.
fn of_ground_truth(wanted: &[Category], files: &Files<'_>) -> Result<Vec<ResultRow>, StageError> {
    let mut rows = Vec::new();
    let is_wanted =
        |category: &Category| category.group() == Group::MultiTurn && (wanted.is_empty() || wanted.contains(category));
    for category in Category::ALL.into_iter().filter(is_wanted).filter(|category| files.has(*category)) {
        let doing = || format!("read the ground truth of `{category}`");
        for question in files.questions(category).map_err(StageError::failed(doing()))? {
            let entry = MultiTurnEntry::of(&question).map_err(StageError::failed(doing()))?;
            let turns = entry.ground_truth.iter().map(|calls| vec![format!("[{}]", calls.join(", "))]);
            let result = turns.collect();
            rows.push(ResultRow { id: question.id, result, others: Map::new() });
        }
    }
    Ok(rows)
}

fn has_folder(context: &StageCtx) -> Result<bool, StageError> {
    if context.request().files.contains_key("results") {
        return Ok(true);
    }
    match context.param::<Option<String>>("results")? {
        None => Ok(false),
        Some(text) => {
            Err(StageError::parameter("results", format!("`{text}` is no folder: expected `path:` and a folder")))
        }
    }
}

/// Returns the model and the rows of a result folder.
fn of_folder(context: &StageCtx, model: Option<&str>) -> Result<(String, Vec<ResultRow>), StageError> {
    let Source::Path(folder) = context.source("results")? else {
        return Err(StageError::parameter("results", "expected `path:` and a folder"));
    };
    let mut models: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in context.list_files(&folder)? {
        let path = path.into_string();
        let Some(category) = layout::category_of_result(&path).and_then(Category::named) else { continue };
        let inner = format!("{}/{}", category.folder(), category.result_file());
        let above = path.strip_suffix(&inner).map(|above| above.trim_end_matches('/'));
        let owner = match above.and_then(|above| above.rsplit('/').next()) {
            Some("") => folder.file_name().unwrap_or_default(),
            Some(owner) => owner,
            None => {
                let help = format!("put it at MODEL/{inner}, as the official generator does");
                return Err(StageError::data(path, "lies in no folder of a model and its group", help));
            }
        };
        models.entry(owner.to_owned()).or_default().push(path);
    }
    let known = models.keys().cloned().collect::<Vec<_>>().join(", ");
    let owner = match model {
        Some(model) => layout::model_folder(model),
        None if models.len() == 1 => known.clone(),
        None if models.is_empty() => {
            let help = "point it at a folder with `MODEL/GROUP/BFCL_v4_CATEGORY_result.json`";
            return Err(StageError::data("parameter `results`", "holds no result file", help));
        }
        None => {
            let reason = format!("the folder has results of several models, name one of them: {known}");
            return Err(StageError::parameter("model", reason));
        }
    };
    let Some(paths) = models.remove(&owner) else {
        let reason = format!("the result folder has nothing of `{owner}`; it has: {known}");
        return Err(StageError::parameter("model", reason));
    };
    let mut rows = Vec::new();
    for path in paths {
        let text = context.read_text(&folder.join(&path))?;
        rows.extend(results::read(&path, &text).map_err(StageError::failed("read the results"))?);
    }
    Ok((model.map_or(owner, str::to_owned), rows))
}

fn of_score(row: ScoreRow, reasoning: Reasoning) -> ResultRow {
    let (answer, thought) = reasoning.split(&row.completion);
    let mut others = Map::new();
    if let Some(thought) = thought.filter(|thought| !thought.is_empty()) {
        others.insert("reasoning_content".to_owned(), thought.into());
    }
    ResultRow { id: row.sample_id, result: answer.into(), others }
}

/// Reads verdicts on episodes, and the answers that come with them.
fn of_episodes(
    label: &str,
    text: &str,
    rows: &mut Vec<ResultRow>,
    verdicts: &mut BTreeMap<String, EpisodeVerdict>,
) -> Result<(), StageError> {
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = |what: String| {
            let help = "`pipeline stage score-bfcl` describes the lines of `verdicts`";
            StageError::data(format!("input `{label}`, line {}", index + 1), what, help)
        };
        let mut members: Map<String, Value> =
            serde_json::from_str(line).map_err(|error| wrong(format!("is not a JSON object: {error}")))?;
        let mut take = |name: &str| members.shift_remove(name);
        let (id, valid, error) = (take("id"), take("valid"), take("error"));
        let (decoded, result) = (take("model_result_decoded"), take("result"));
        let (Some(Value::String(id)), Some(Value::Bool(valid))) = (id, valid) else {
            return Err(wrong("has no text `id` or no `valid`".to_owned()));
        };
        let error = match error.as_ref().map(PyValue::from) {
            _ if valid => None,
            Some(PyValue::Dict(error)) => Some(error),
            _ => return Err(wrong(format!("has no object `error`, though `{id}` is not valid"))),
        };
        let decoded = decoded.as_ref().map(PyValue::from);
        if verdicts.insert(id.clone(), EpisodeVerdict { error, decoded }).is_some() {
            return Err(wrong(format!("is the second verdict on `{id}`")));
        }
        if let Some(result) = result {
            rows.push(ResultRow { id, result, others: members });
        }
    }
    Ok(())
}
