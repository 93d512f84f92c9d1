//! Episodes of multi-turn BFCL, run in the official API classes behind `python_tools.py`: results, states and verdicts.
//!
//! With `gold` in place of a file the ground truth of all four categories is judged as an answer, in both modes.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
    time::Instant,
};

use serde::Deserialize;
use serde_json::{Value, json};
use toolexpander::tools::bfcl::{
    Category,
    multi_turn::{
        Mode,
        entry::{CLASSES, MultiTurnEntry, has_long_context},
        judge::{Calls, judge, judge_result, needless_turn},
        verdict::{Failure, Verdict},
        world::{Observe, Opening, Run, Setting, Worlds},
    },
    questions::Files,
};

/// The id of a case, and why it does not match if it does not.
pub type Checked = (String, Result<(), String>);

/// The four categories.
const CATEGORIES: [Category; 4] = [
    Category::MultiTurnBase,
    Category::MultiTurnMissFunc,
    Category::MultiTurnMissParam,
    Category::MultiTurnLongContext,
];

/// The name of the model whose instances the worlds are. It shows nowhere in the fixtures.
const MODEL: &str = "oracle";

#[derive(Deserialize)]
struct Episode {
    id: String,
    question_id: String,
    category: String,
    involved_classes: Vec<String>,
    initial_config: Value,
    turns: Calls,
    results: Calls,
    state_sha256_after_turn: Vec<String>,
    final_state: Value,
    #[serde(default)]
    ground_truth: Vec<Vec<String>>,
    #[serde(default)]
    official_verdict: Option<OfficialVerdict>,
    #[serde(default)]
    irrelevance_checker_info: Option<OfficialVerdict>,
}

#[derive(Deserialize)]
struct OfficialVerdict {
    valid: bool,
    error_type: Option<String>,
    #[serde(default)]
    differing_attributes: Option<Vec<String>>,
}

/// Replays every episode of a file, with as many servers as there are processors.
///
/// # Errors
/// What is wrong with the file or the servers, in words.
pub fn check<W: Worlds>(text: &str, open: impl Fn() -> Result<W, String> + Sync) -> Result<Vec<Checked>, String> {
    let episodes: Vec<Episode> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .enumerate()
        .map(|(number, line)| serde_json::from_str(line).map_err(|error| format!("line {}: {error}", number + 1)))
        .collect::<Result<_, _>>()?;
    in_parallel(&episodes, open, |worlds, episode| {
        let checked = replay(worlds, episode).and_then(|()| verdict(worlds, episode));
        (episode.id.clone(), checked)
    })
}

/// Results, digests after every turn and the final state.
fn replay<W: Worlds>(worlds: &mut W, episode: &Episode) -> Result<(), String> {
    let setting = setting(episode);
    let opening = Opening { setting: &setting, label: &format!("{MODEL}_{}", episode.question_id) };
    let mut runs =
        vec![Run { world: "replay", open: Some(opening), steps: &[], observe: Observe::Nothing, close: false }];
    runs.extend(episode.turns.iter().map(|steps| Run {
        world: "replay",
        open: None,
        steps,
        observe: Observe::Digest,
        close: false,
    }));
    runs.push(Run { world: "replay", open: None, steps: &[], observe: Observe::State, close: true });
    let outcomes = worlds.run(&runs).map_err(|error| error.to_string())?;
    for (turn, outcome) in outcomes[1..outcomes.len() - 1].iter().enumerate() {
        let expected = &episode.results[turn];
        if outcome.results != *expected {
            let calls = episode.turns[turn].iter().flatten();
            let pairs = outcome.results.iter().flatten().zip(expected.iter().flatten());
            let wrong = calls.zip(pairs).find(|(_, (found, expected))| found != expected);
            return Err(format!("turn {turn}: {wrong:?} (call, (found, expected))"));
        }
        if outcome.digest.as_ref() != episode.state_sha256_after_turn.get(turn) {
            return Err(format!("turn {turn}: the digest of the state differs"));
        }
    }
    if outcomes.last().and_then(|last| last.state.as_ref()) == Some(&episode.final_state) {
        Ok(())
    } else {
        Err("the final state differs".to_owned())
    }
}

fn verdict<W: Worlds>(worlds: &mut W, episode: &Episode) -> Result<(), String> {
    let Some(expected) = &episode.official_verdict else { return Ok(()) };
    let (setting, id) = (setting(episode), episode.question_id.as_str());
    let found =
        judge(worlds, &setting, &episode.ground_truth, &episode.turns, id, MODEL).map_err(|error| error.to_string())?;
    if (found.is_valid(), found.error_type()) != (expected.valid, expected.error_type.as_deref()) {
        return Err(format!("verdict {:?}, expected {:?}", found.error_type(), expected.error_type));
    }
    if let (Some(Failure::State { difference, .. }), Some(expected)) = (&found.failure, &expected.differing_attributes)
    {
        let mut attributes = difference.attributes.clone();
        attributes.sort_unstable();
        if attributes != *expected {
            return Err(format!("differing attributes {attributes:?}, expected {expected:?}"));
        }
    }
    if let Some(expected) = &episode.irrelevance_checker_info
        && needless_turn(&episode.turns, &episode.ground_truth).is_none() != expected.valid
    {
        return Err("the check of turns without ground truth differs".to_owned());
    }
    Ok(())
}

fn setting(episode: &Episode) -> Setting {
    Setting {
        classes: episode.involved_classes.clone(),
        config: episode.initial_config.clone(),
        long_context: has_long_context(&format!("{}_", episode.category)),
    }
}

/// Reads the entries of a category. `read`: gives the text of a file of the package's folder `data`.
///
/// # Errors
/// What is wrong with the files, in words.
pub fn entries(
    category: Category,
    read: &impl Fn(&str) -> Result<String, String>,
) -> Result<Vec<MultiTurnEntry>, String> {
    let name = category.question_file();
    let documents = CLASSES.map(|(_, file)| format!("multi_turn_func_doc/{file}"));
    let paths = documents.into_iter().chain([name.clone(), format!("possible_answer/{name}")]);
    let texts: Vec<(String, String)> =
        paths.map(|path| Ok((path.clone(), read(&path)?))).collect::<Result<_, String>>()?;
    let files = Files::new(texts.iter().map(|(path, text)| (path.as_str(), text.as_str())));
    let questions = files.questions(category).map_err(|error| error.to_string())?;
    questions.iter().map(|question| MultiTurnEntry::of(question).map_err(|error| error.to_string())).collect()
}

/// Judges the ground truth as an answer.
///
/// # Errors
/// What is wrong with the files or the servers, in words.
pub fn gold<W: Worlds>(
    read: impl Fn(&str) -> Result<String, String>,
    open: impl Fn() -> Result<W, String> + Sync,
) -> Result<Value, String> {
    let mut rows = Vec::new();
    let (mut episodes, began) = (0, Instant::now());
    for category in CATEGORIES {
        let entries = entries(category, &read)?;
        let judged = in_parallel(&entries, &open, |worlds, entry| {
            let verdicts = [Mode::Official, Mode::Fair].map(|mode| judge_gold(worlds, entry, mode));
            (entry.id.clone(), verdicts)
        })?;
        let mut valid = [0_usize; 2];
        let mut defective: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        for (id, verdicts) in judged {
            for (count, (mode, verdict)) in valid.iter_mut().zip(["official", "fair"].into_iter().zip(verdicts)) {
                match verdict? {
                    Verdict { failure: None, .. } => *count += 1,
                    Verdict { failure: Some(failure), .. } => {
                        defective.entry(mode).or_default().push(json!([id, failure.to_string()]));
                    }
                }
            }
        }
        episodes += 2 * entries.len();
        rows.push(json!({
            "category": category.as_str(),
            "total": entries.len(),
            "official": valid[0],
            "fair": valid[1],
            "defective": defective,
        }));
    }
    let seconds = began.elapsed().as_secs_f64();
    Ok(json!({ "rows": rows, "episodes": episodes, "seconds": seconds }))
}

/// Returns what [`gold`] found as a table for people.
pub fn gold_table(found: &Value) -> String {
    let mut text = "category                  total   official       fair\n".to_owned();
    let count = |row: &Value, key: &str| row[key].as_u64().unwrap_or(0);
    for row in found["rows"].as_array().into_iter().flatten() {
        let total = count(row, "total");
        let share =
            |key| format!("{} ({:.1} %)", count(row, key), count(row, key) as f64 * 100.0 / total.max(1) as f64);
        let category = row["category"].as_str().unwrap_or_default();
        text.push_str(&format!("{category:24} {total:>6} {:>14} {:>14}\n", share("official"), share("fair")));
        for (mode, ids) in row["defective"].as_object().into_iter().flatten() {
            let ids = ids.as_array().into_iter().flatten().filter_map(|pair| pair[0].as_str());
            let numbers: Vec<_> = ids.filter_map(|id| id.rsplit('_').next()).collect();
            text.push_str(&format!("  defective, {mode}: {}\n", numbers.join(" ")));
        }
    }
    text
}

/// The ground truth as a model would write it that copies it: one list of calls per turn.
fn judge_gold<W: Worlds>(worlds: &mut W, entry: &MultiTurnEntry, mode: Mode) -> Result<Verdict, String> {
    let text = |calls: &Vec<String>| json!([format!("[{}]", calls.join(", "))]);
    let result = Value::Array(entry.ground_truth.iter().map(text).collect());
    judge_result(worlds, entry, &result, mode, MODEL).map_err(|error| format!("{}: {error}", entry.id))
}

/// Handles items in order of their number, each thread with worlds of its own.
fn in_parallel<T: Sync, U: Send, W>(
    items: &[T],
    open: impl Fn() -> Result<W, String> + Sync,
    handle: impl Fn(&mut W, &T) -> U + Sync,
) -> Result<Vec<U>, String> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(items.len());
    let next = AtomicUsize::new(0);
    let parts = std::thread::scope(|scope| {
        let work = || {
            let mut worlds = open()?;
            let mut done = Vec::new();
            loop {
                let place = next.fetch_add(1, Ordering::Relaxed);
                let Some(item) = items.get(place) else { return Ok(done) };
                done.push((place, handle(&mut worlds, item)));
            }
        };
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err("a thread panicked".to_owned())))
            .collect()
    });
    let parts: Vec<Result<Vec<(usize, U)>, String>> = parts;
    let mut all = Vec::with_capacity(items.len());
    for part in parts {
        all.extend(part?);
    }
    all.sort_by_key(|(place, _)| *place);
    Ok(all.into_iter().map(|(_, done)| done).collect())
}
