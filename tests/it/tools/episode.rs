//! Conversations with tools: what the model reads, what is judged.

use serde_json::json;
use toolexpander::{
    base::Seed,
    tools::{
        Call, Judgement, Sample, Style, answer_text,
        episode::{self, Episode, Trace},
        suite::{GenerateOptions, generate},
    },
};

/// A question whose gold calls change the world.
fn question() -> Sample {
    let samples = generate(Seed(3), 60, &GenerateOptions::default()).unwrap();
    let changes = |sample: &Sample| {
        let before = sample.environment.as_ref().unwrap().state.clone();
        sample.gold.len() == 1 && episode::gold(sample).state.unwrap().unwrap() != before
    };
    samples.into_iter().find(changes).unwrap()
}

/// Plays texts as the turns of a model; returns the judgement and what the model would have read.
fn play(sample: &Sample, steps: usize, texts: &[&str]) -> (Judgement, Vec<Vec<String>>) {
    let mut episode = Episode::new(Box::new(episode::toolbox(sample).unwrap()), steps);
    let (mut read, mut turns) = (Vec::new(), Vec::new());
    for text in texts {
        turns.push((*text).to_owned());
        match episode.answer(text) {
            None => break,
            Some(messages) => {
                assert!(messages.iter().all(|message| message.role == "tool"));
                read.push(messages.into_iter().map(|message| message.content).collect());
            }
        }
    }
    (episode::judge(sample, &turns, &episode.end(), &episode::gold(sample)), read)
}

fn python(calls: &[Call]) -> String {
    answer_text(calls, Style::Python)
}

#[test]
fn a_model_may_look_err_and_try_again() {
    let sample = question();
    let right = python(&sample.gold);
    let (judged, read) = play(&sample, 9, &["[average(numbers=[1, 3])]", "[no_such(a=1)]", &right, "Done."]);
    assert_eq!(read[0], [r#"{"mean":2.0,"count":2}"#]);
    assert!(read[1][0].starts_with(r#"{"error":"#), "{read:?}");
    assert_eq!(read.len(), 3);
    assert!(judged.correct && judged.parsed && !judged.matched && judged.error.is_none(), "{judged:?}");
    assert!(!judged.execution.executed, "a call failed on the way");
    assert_eq!(judged.output.calls.as_ref().unwrap().len(), 3);
}

#[test]
fn the_state_and_the_results_decide() {
    let sample = question();
    let right = python(&sample.gold);
    let judge = |texts: &[&str]| play(&sample, 9, texts).0;
    assert!(judge(&[&right]).correct);
    let idle = judge(&["I will not."]);
    assert!(!idle.correct && !idle.parsed && idle.error.is_some());
    let other = judge(&["[average(numbers=[1, 3])]", "Done."]);
    assert!(!other.correct && other.parsed && other.execution.executed && !other.execution.state_equal);
    // Right calls, and then one more that changes the world again.
    let more =
        judge(&[&right, "[create_file(name='more', folder='more')]", "[add_event(title='x', day='monday', hour=5)]"]);
    assert!(!more.correct && more.execution.results_equal && !more.execution.state_equal);
}

#[test]
fn turns_are_counted_and_the_last_ones_calls_run() {
    let sample = question();
    let right = python(&sample.gold);
    let (judged, read) = play(&sample, 2, &["[average(numbers=[1, 3])]", &right, "never said"]);
    assert!(judged.correct && read.len() == 1);
    let (judged, read) = play(&sample, 1, &[&right, "never said"]);
    assert!(judged.correct && read.is_empty());
}

#[test]
fn where_no_call_is_right_any_call_is_wrong() {
    let sample = Sample { gold: Vec::new(), answer: Vec::new(), ..question() };
    assert!(play(&sample, 3, &["Nothing fits."]).0.correct);
    assert!(!play(&sample, 3, &["[average(numbers=[1, 3])]", "Nothing fits."]).0.correct);
}

#[test]
fn endless_calls_and_results_are_bounded() {
    let sample = question();
    let calls = vec![Call::new("average", [("numbers", json!([1]))]); 200];
    let mut episode = Episode::new(Box::new(episode::toolbox(&sample).unwrap()), 9);
    for _ in 0..3 {
        episode.answer(&python(&calls));
    }
    let Trace { ran, .. } = episode.end();
    assert_eq!(ran.len(), 600);
    assert!(ran[..256].iter().all(|ran| ran.result.is_ok()) && ran[256..].iter().all(|ran| ran.result.is_err()));
    let long = Call::new("create_file", [("name", json!("long")), ("text", json!("x".repeat(1 << 17)))]);
    let mut world = episode::toolbox(&sample).unwrap();
    let trace = Trace::of(&mut world, &[long]);
    assert!(trace.ran[0].result.as_ref().unwrap_err().text.contains("at most"));
}
