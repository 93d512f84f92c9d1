//! Multi-turn BFCL: recorded episodes judged again, and the Python tool server where there is a Python.

use serde::Deserialize;
use serde_json::Value;
use toolexpander::tools::bfcl::multi_turn::{
    judge::{Calls, judge},
    verdict::Failure,
    world::{Observe, Outcome, Run, Setting, Worlds},
};

/// Made by `tests/fixtures/tools/multi_turn.py`, which says how.
const EPISODES: &str = include_str!("../../fixtures/tools/multi_turn.jsonl");

#[derive(Deserialize)]
struct Episode {
    id: String,
    question_id: String,
    involved_classes: Vec<String>,
    initial_config: Value,
    turns: Calls,
    ground_truth: Vec<Vec<String>>,
    official_verdict: OfficialVerdict,
    model: Vec<Outcome>,
    truth: Vec<Outcome>,
}

#[derive(Deserialize)]
struct OfficialVerdict {
    valid: bool,
    error_type: Option<String>,
    #[serde(default)]
    differing_attributes: Option<Vec<String>>,
}

impl Episode {
    fn all() -> Vec<Self> {
        EPISODES.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn setting(&self) -> Setting {
        let (classes, config) = (self.involved_classes.clone(), self.initial_config.clone());
        Setting { classes, config, long_context: false }
    }

    /// Judges the episode in worlds and compares with the official verdict.
    fn compare(&self, worlds: &mut impl Worlds) {
        let id = &self.id;
        let setting = self.setting();
        let found = judge(worlds, &setting, &self.ground_truth, &self.turns, &self.question_id, "golden").unwrap();
        let expected = &self.official_verdict;
        assert_eq!((found.is_valid(), found.error_type()), (expected.valid, expected.error_type.as_deref()), "{id}");
        if let (Some(Failure::State { difference, .. }), Some(attributes)) =
            (found.failure, &expected.differing_attributes)
        {
            let mut differing = difference.attributes;
            differing.sort_unstable();
            assert_eq!(differing, *attributes, "{id}");
        }
    }
}

/// Worlds that tell what was recorded: the answer's and the truth's by turns.
struct Recorded<'a> {
    episode: &'a Episode,
}

#[derive(Debug, thiserror::Error)]
#[error("a recorded world was asked for a state that it has not")]
struct NotRecorded;

impl Worlds for Recorded<'_> {
    type Error = NotRecorded;

    fn run(&mut self, runs: &[Run<'_>]) -> Result<Vec<Outcome>, NotRecorded> {
        let Episode { model, truth, .. } = self.episode;
        let recorded = model.iter().zip(truth).flat_map(|(model, truth)| [model, truth]);
        let told = runs.iter().zip(recorded).map(|(run, recorded)| {
            assert_eq!(run.steps.iter().map(Vec::len).collect::<Vec<_>>(), counts(&recorded.results));
            let mut outcome = recorded.clone();
            if run.observe != Observe::State {
                outcome.state = None;
            }
            outcome
        });
        Ok(told.collect())
    }
}

fn counts(results: &[Vec<String>]) -> Vec<usize> {
    results.iter().map(Vec::len).collect()
}

#[test]
fn recorded_episodes_get_the_official_verdicts() {
    let episodes = Episode::all();
    assert_eq!(episodes.len(), 31);
    for episode in &episodes {
        episode.compare(&mut Recorded { episode });
    }
}

#[test]
#[ignore = "needs bfcl-eval"]
fn the_official_classes_give_the_official_verdicts() {
    let mut server = super::python_tools::Server::start(&["bfcl"]);
    for episode in &Episode::all() {
        episode.compare(&mut server);
    }
}
