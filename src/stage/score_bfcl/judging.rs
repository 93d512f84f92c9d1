//! Every answer with its verdict.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexSet;
use serde_json::{Map, Value};

use super::{Mode, Parameters, answers::Answers, executing::FairVerdicts, fair::FairScores};
use crate::{
    stage::{StageCtx, StageError},
    table::ScoreRow,
    tools::{
        bfcl::{
            Category, Complaint, Entry, ErrorType, Fair, Group, Task, Verdict, judge as judge_entry,
            questions::{Files, Question},
            scores::{Asked, CategoryScore, FormatSensitivity, Judged, ResultRow, Usage, file, layout},
        },
        python::PyValue,
    },
};

/// What judging came to.
#[derive(Default)]
pub(super) struct Scored {
    /// Verdicts by category, in the order of the entries.
    pub judged: BTreeMap<Category, Vec<Judged>>,
    /// The accuracies by prompt format, if they were asked for.
    pub formats: Option<FormatSensitivity>,
    /// What the answers that were judged cost.
    pub usage: Usage,
    /// One row an answer that was judged.
    pub rows: Vec<ScoreRow>,
    /// Answers of categories that nobody judged.
    pub unjudged: BTreeMap<Category, usize>,
    /// Fair verdicts, if they were asked for.
    pub fair: Option<FairScores>,
    /// Fair verdicts on episodes that were run here.
    fair_verdicts: FairVerdicts,
}

impl Scored {
    /// Returns the accuracies of all categories that count in a summary.
    pub(super) fn category_scores(&self) -> BTreeMap<Category, CategoryScore> {
        let scores = self.judged.iter().filter(|(category, _)| **category != Category::FormatSensitivity);
        let score = |judged: &[Judged]| {
            let (right, all) = file::count(judged);
            CategoryScore::of(right, all)
        };
        scores.map(|(category, judged)| (*category, score(judged))).collect()
    }
}

/// Judges all answers. `fair_verdicts` are those on episodes that were run here.
pub(super) fn judge(
    context: &mut StageCtx,
    parameters: &Parameters,
    files: &Files<'_>,
    answers: &Answers,
    fair_verdicts: FairVerdicts,
) -> Result<Scored, StageError> {
    let fair = (parameters.mode == Mode::Fair).then(FairScores::default);
    let mut scored = Scored { fair, fair_verdicts, ..Scored::default() };
    for (done, (category, rows)) in answers.rows.iter().enumerate() {
        let judged = match category.group() {
            Group::Agentic => None,
            Group::MultiTurn if rows.iter().any(|row| !answers.verdicts.contains_key(&row.id)) => None,
            _ => Some(judge_category(files, parameters, answers, *category, rows, &mut scored)?),
        };
        match judged {
            Some(judged) => drop(scored.judged.insert(*category, judged)),
            None => {
                context.log(format!("{category}: {} answers are not scored, nobody judged all of them", rows.len()));
                scored.unjudged.insert(*category, rows.len());
            }
        }
        context.progress(done as u64 + 1, answers.rows.len() as u64, "categories");
    }
    Ok(scored)
}

fn judge_category(
    files: &Files<'_>,
    parameters: &Parameters,
    answers: &Answers,
    category: Category,
    rows: &[ResultRow],
    scored: &mut Scored,
) -> Result<Vec<Judged>, StageError> {
    let questions = questions(files, parameters.partial, category, rows)?;
    let model = layout::model_folder(&answers.model);
    let mut judged = Vec::with_capacity(rows.len());
    for row in rows {
        let question = questions.get(row.id.as_str()).ok_or_else(|| no_question(category, &row.id))?;
        let asked = Asked { category, prompt: &question.row, possible_answer: question.answer.as_ref() };
        let one = match answers.verdicts.get(&row.id).filter(|_| category.group() == Group::MultiTurn) {
            Some(verdict) => {
                let one = file::episode(&model, row, &asked, verdict);
                let mut score = score_row(question, category, row, &one, verdict.decoded.as_ref(), true);
                if let Some(fair) = &mut scored.fair {
                    match scored.fair_verdicts.get(&row.id) {
                        Some(verdict) => {
                            let error = verdict.error_type();
                            fair.add_run(category, &row.id, &score.error, error);
                            let correct = error.is_none();
                            (score.correct, score.matched, score.executed) = (correct, correct, correct);
                            (score.results_equal, score.state_equal) = (correct, correct);
                            error.unwrap_or_default().clone_into(&mut score.error);
                            score.error_type.clone_from(&score.error);
                        }
                        None => fair.add_episode(category, one.failure.is_none()),
                    }
                }
                scored.rows.push(score);
                one
            }
            None => {
                let (entry, verdict) = single_turn(question, category, &row.result);
                let one = file::single_turn(&model, row, &asked, entry.task(), &verdict);
                let mut score = score_row(question, category, row, &one, verdict.decoded.as_ref(), false);
                if let Some(fair) = &mut scored.fair {
                    let text = row.result.as_str().unwrap_or_default();
                    let (correct, reason) = fair.add(category, &row.id, &Fair::new(&entry), text);
                    (score.correct, score.matched) = (correct, correct);
                    match reason {
                        Some(_) if correct => score.error.clear(),
                        Some(reason) => score.error = format!("fair:{reason}"),
                        None => {}
                    }
                    score.error_type.clone_from(&score.error);
                }
                scored.rows.push(score);
                one
            }
        };
        if category == Category::FormatSensitivity {
            let configuration = row.id.split(':').nth(1).unwrap_or_default();
            scored.formats.get_or_insert_default().add(configuration, one.failure.is_none());
        }
        let member = |name: &str| row.others.get(name);
        scored.usage.add(member("latency"), member("input_token_count"), member("output_token_count"));
        judged.push(one);
    }
    Ok(judged)
}

/// Says that an answer is to no question.
pub(super) fn no_question(category: Category, id: &str) -> StageError {
    let what = format!("the benchmark's data has no such question of `{category}`");
    StageError::data(format!("answer `{id}`"), what, "take the data that the answers are for")
}

/// Returns the category's questions by id; all of them must be answered unless a part will do.
fn questions(
    files: &Files<'_>,
    partial: bool,
    category: Category,
    rows: &[ResultRow],
) -> Result<BTreeMap<String, Question>, StageError> {
    let doing = || format!("read the questions of `{category}`");
    // The entries of format sensitivity say themselves what they are made of.
    let questions = if category == Category::FormatSensitivity && partial {
        files.entries_of_formats(rows.iter().map(|row| row.id.as_str()))
    } else {
        files.questions(category)
    };
    let questions = questions.map_err(StageError::failed(doing()))?;
    if !partial {
        let answered: BTreeSet<&str> = rows.iter().map(|row| row.id.as_str()).collect();
        let missing: Vec<&str> =
            questions.iter().map(|question| question.id.as_str()).filter(|id| !answered.contains(id)).collect();
        if let Some(first) = missing.first() {
            let what =
                format!("{} of {} questions have no answer, the first is `{first}`", missing.len(), questions.len());
            let help = "answer all of them, or set `partial = true` to score what there is";
            return Err(StageError::data(format!("answers to `{category}`"), what, help));
        }
    }
    Ok(questions.into_iter().map(|question| (question.id.clone(), question)).collect())
}

/// Returns the verdict on a single-turn answer.
fn single_turn(question: &Question, category: Category, result: &Value) -> (Entry, Verdict) {
    let answer = question.answer.as_ref().and_then(Value::as_array).cloned();
    let entry = Entry::new(&question.id, category, question.functions.clone(), answer);
    let verdict = match result {
        Value::String(text) => judge_entry(&entry, text),
        // An answer that is no text cannot be decoded.
        other => undecodable(entry.task(), PyValue::from(other).type_name()),
    };
    (entry, verdict)
}

/// Returns the verdict on an answer of another type than text, with CPython's message.
fn undecodable(task: Task, type_name: &str) -> Verdict {
    let message = format!("'{type_name}' object has no attribute 'strip'");
    let (error_type, text) = match task {
        Task::Irrelevance => return Verdict { valid: true, ..Verdict::default() },
        Task::Relevance => (
            ErrorType::RelevanceDecoderFailed,
            format!("Invalid syntax. Failed to decode AST when it should have. {message}"),
        ),
        _ => (ErrorType::DecoderFailed, format!("Invalid syntax. Failed to decode AST. {message}")),
    };
    Verdict { error_type: Some(error_type), error: vec![Complaint::Text(text)], ..Verdict::default() }
}

/// Returns the row of the output table; of an episode the calls ran.
fn score_row(
    question: &Question,
    category: Category,
    row: &ResultRow,
    judged: &Judged,
    decoded: Option<&PyValue>,
    executed: bool,
) -> ScoreRow {
    let correct = judged.failure.is_none();
    let completion = match &row.result {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let calls = decoded.and_then(PyValue::to_json).map(|calls| calls.to_string());
    let error = judged.failure.as_ref().map(|failure| failure.error_type.clone()).unwrap_or_default();
    // Token counts of a result folder are of its maker's own tokenizer, as lists in episodes: they go to the report only.
    ScoreRow {
        sample_id: row.id.clone(),
        attempt: 0,
        category: category.as_str().to_owned(),
        gold_tools: gold_tools(question),
        completion,
        parsed: decoded.is_some() || (executed && correct),
        calls: calls.unwrap_or_default(),
        matched: correct,
        executed: executed && correct,
        results_equal: executed && correct,
        state_equal: executed && correct,
        correct,
        error_type: error.clone(),
        error,
        finish: String::new(),
        prompt_tokens: 0,
        completion_tokens: 0,
    }
}

/// Returns the tools of the accepted answer, each once, as the table has them; episodes name none.
fn gold_tools(question: &Question) -> String {
    let calls = question.answer.as_ref().and_then(Value::as_array).into_iter().flatten();
    let names: IndexSet<&String> = calls.filter_map(Value::as_object).flat_map(Map::keys).collect();
    serde_json::to_string(&names).unwrap_or_default()
}
