//! The comparison of what an answer did with what the ground truth did. Works on recorded results and states alone.

use std::collections::HashMap;

use super::{
    state::Difference,
    verdict::{Failure, Verdict},
};

/// Compares turn by turn. Keeps what the answer's calls gave so far, since a result may come from an earlier turn.
#[derive(Clone, Debug, Default)]
pub struct Checker {
    /// Result → how often it occurred so far.
    so_far: HashMap<String, usize>,
    verdict: Verdict,
}

/// One turn of an answer and of the ground truth.
#[derive(Clone, Debug, Default)]
pub struct Turn {
    /// What the answer's calls gave, by step.
    pub results: Vec<Vec<String>>,
    /// What the ground truth's calls gave. One result per call: without results, no call is expected.
    pub truth: Vec<String>,
}

impl Turn {
    /// Returns whether the answer counts as having called nothing: no step, or one without calls.
    pub fn is_empty(&self) -> bool {
        is_empty(&self.results)
    }

    /// Returns whether the states after the turn are compared.
    pub fn compares_states(&self) -> bool {
        !self.truth.is_empty() && !self.is_empty()
    }
}

/// Returns whether steps count as no call at all: none, or one without calls.
pub fn is_empty<T>(steps: &[Vec<T>]) -> bool {
    match steps {
        [] => true,
        [only] => only.is_empty(),
        _ => false,
    }
}

impl Checker {
    /// Judges the next turn. `difference`: how the states differ after it (see [`Turn::compares_states`]). After a failure
    /// nothing more is judged.
    pub fn turn(&mut self, turn: Turn, difference: Option<Difference>) {
        if self.is_done() {
            return;
        }
        let number = self.verdict.truth.len();
        for result in turn.results.iter().flatten() {
            match self.so_far.get_mut(result) {
                Some(count) => *count += 1,
                None => _ = self.so_far.insert(result.clone(), 1),
            }
        }
        self.verdict.failure = if turn.truth.is_empty() {
            None
        } else if turn.is_empty() {
            Some(Failure::EmptyTurn { turn: number })
        } else if let Some(difference) = difference {
            Some(Failure::State { turn: number, difference })
        } else {
            let missing = self.missing(&turn.truth);
            (!missing.is_empty()).then_some(Failure::Response { turn: number, missing })
        };
        self.verdict.results.push(turn.results);
        self.verdict.truth.push(turn.truth);
    }

    /// Returns whether a failure was found.
    pub const fn is_done(&self) -> bool {
        self.verdict.failure.is_some()
    }

    /// Returns the verdict on all turns judged.
    pub fn verdict(self) -> Verdict {
        self.verdict
    }

    /// Returns the expected results that do not occur as often as expected.
    fn missing(&self, truth: &[String]) -> Vec<String> {
        let mut left: HashMap<&str, usize> = HashMap::new();
        let mut missing = Vec::new();
        for result in truth {
            let left = left.entry(result).or_insert_with(|| self.so_far.get(result).copied().unwrap_or(0));
            match left.checked_sub(1) {
                Some(rest) => *left = rest,
                None => missing.push(result.clone()),
            }
        }
        missing
    }
}

/// Returns the first turn in which something is called though the ground truth calls nothing.
///
/// The official package has this check and never calls it. It is no part of any verdict.
pub fn needless_turn<T, U>(answer: &[Vec<Vec<T>>], ground_truth: &[Vec<U>]) -> Option<usize> {
    answer.iter().zip(ground_truth).position(|(steps, truth)| truth.is_empty() && !is_empty(steps))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn turn(results: &[&[&str]], truth: &[&str]) -> Turn {
        Turn { results: results.iter().map(|step| texts(step)).collect(), truth: texts(truth) }
    }

    fn differing() -> Option<Difference> {
        let attributes = texts(&["x"]);
        Some(Difference { class: "A".to_owned(), attributes, found: json!({"x": 1}), expected: json!({"x": 2}) })
    }

    fn failure(turns: Vec<(Turn, Option<Difference>)>) -> Option<Failure> {
        let mut checker = Checker::default();
        for (turn, difference) in turns {
            checker.turn(turn, difference);
        }
        checker.verdict().failure
    }

    #[test]
    fn results_may_come_from_earlier_turns_and_in_any_order() {
        assert_eq!(failure(vec![(turn(&[&["b"], &["a"]], &["a"]), None), (turn(&[&["c"]], &["c", "b"]), None)]), None);
    }

    #[test]
    fn results_count() {
        let missing = texts(&["a"]);
        assert_eq!(failure(vec![(turn(&[&["a"]], &["a", "a"]), None)]), Some(Failure::Response { turn: 0, missing }));
        // A turn's results may be asked for again in the next: only that turn's own repetitions count.
        assert_eq!(failure(vec![(turn(&[&["a"]], &["a"]), None), (turn(&[&["b"]], &["a"]), None)]), None);
    }

    #[test]
    fn a_turn_without_calls_fails_before_its_state_is_looked_at() {
        let difference = differing();
        assert_eq!(failure(vec![(turn(&[&[]], &["a"]), difference.clone())]), Some(Failure::EmptyTurn { turn: 0 }));
        assert!(matches!(failure(vec![(turn(&[&["z"]], &["a"]), difference)]), Some(Failure::State { turn: 0, .. })));
    }

    #[test]
    fn turns_that_expect_nothing_are_not_judged() {
        let difference = differing();
        assert_eq!(failure(vec![(turn(&[&["z"]], &[]), difference)]), None);
        assert_eq!(needless_turn(&[vec![texts(&["a()"])], vec![texts(&["b()"])]], &[texts(&["a()"]), vec![]]), Some(1));
    }
}
