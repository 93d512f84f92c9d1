//! Completions of several turns: what is read in between, the same bits for any batch, the trainer's log-probabilities.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use toolexpander::base::Seed;
use toolexpander::lm::sample::{Completion, EndedTurn, Finish, Generation, PromptRequest, Sampling, sample};
use toolexpander::lm::train::{AdamW, PromptGroup, Trainer};
use toolexpander::lm::{LanguageModel, LmError};

use super::engine_training::{config, groups, model};

/// A model for which a fifth of all tokens end a turn.
fn talker() -> LanguageModel {
    let mut model = model(&config(true), 61);
    model.config.eos_token_ids = (0..200).collect();
    model
}

fn requests() -> Vec<PromptRequest> {
    let prompts = groups(&[(40, &[]), (3, &[]), (17, &[])], 1001, 62);
    let request = |(index, group): (usize, PromptGroup)| PromptRequest {
        id: format!("sample-{index}"),
        tokens: group.prompt,
        count: 4,
    };
    prompts.into_iter().enumerate().map(request).collect()
}

/// What is read after a turn: a function of who reads it, so that a mix-up shows.
fn answer(turn: EndedTurn<'_>) -> Vec<u32> {
    (0..3 + turn.turn).map(|place| (300 + 10 * turn.request + turn.index + place) as u32).collect()
}

fn talk(model: &LanguageModel, batch_size: usize, threads: usize, most: usize) -> Vec<Vec<Completion>> {
    let (requests, sampling) = (requests(), Sampling { max_tokens: 12, temperature: 0.8, ..Sampling::default() });
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| {
        let mut generation = Generation::new(model, &requests, &sampling, Seed(5), batch_size).unwrap().at_most(most);
        let mut found = vec![Vec::new(); requests.len()];
        let mut follow = |turn: EndedTurn<'_>| Ok((turn.turn < 3 && turn.finish == Finish::Stop).then(|| answer(turn)));
        while let Some(step) = generation.step_with(&mut follow).unwrap() {
            for (request, completions) in step.ended {
                found[request] = completions;
            }
        }
        found
    })
}

#[test]
fn turns_are_the_same_bits_for_any_batch_and_read_what_follows() {
    let model = talker();
    let expected = talk(&model, 1, 1, usize::MAX);
    for (batch_size, threads) in [(1, 2), (3, 1), (7, 2), (64, 2)] {
        assert!(talk(&model, batch_size, threads, usize::MAX) == expected, "{batch_size} at once, {threads} threads");
    }
    let all = || {
        expected.iter().enumerate().flat_map(|(request, group)| group.iter().enumerate().map(move |it| (request, it)))
    };
    assert!(
        all().filter(|(_, (_, completion))| completion.turns.len() == 4).count() > 3,
        "there are long conversations"
    );
    for (request, (index, completion)) in all() {
        assert_eq!(completion.turns.len(), completion.given.len() + 1);
        let mut begin = 0;
        for (turn, range) in completion.given.iter().enumerate() {
            let last = completion.tokens[range.start - 1];
            assert!(last < 200, "a turn ends by its last token: {last}");
            assert!(completion.tokens[begin..range.start - 1].iter().all(|token| *token >= 200));
            let (before, tokens) = (begin, range.start - begin);
            let ended =
                EndedTurn { request, index, turn, text: "", closed: true, finish: Finish::Stop, before, tokens };
            assert_eq!(completion.tokens[range.clone()], answer(ended));
            assert!(completion.log_probs[range.clone()].iter().all(|value| *value == 0.0));
            begin = range.end;
        }
        let drawn = completion.drawn();
        assert_eq!(drawn.iter().filter(|drawn| **drawn).count(), completion.count_drawn());
        assert!(completion.tokens.len() - begin <= 12);
    }
}

#[test]
fn drawn_tokens_have_the_trainers_log_probs_bit_for_bit() {
    let model = talker();
    let sampled = talk(&model, 64, 2, usize::MAX);
    let groups: Vec<PromptGroup> = requests()
        .into_iter()
        .zip(&sampled)
        .map(|(request, completions)| PromptGroup {
            prompt: request.tokens,
            completions: completions.iter().map(|completion| completion.tokens.clone()).collect(),
        })
        .collect();
    let scores = Trainer::new(model, AdamW::default()).unwrap().at_temperature(0.8).score(&groups).unwrap();
    for (scores, completions) in scores.iter().zip(&sampled) {
        for (scored, completion) in scores.log_probs.iter().zip(completions) {
            for (place, drawn) in completion.drawn().into_iter().enumerate() {
                assert!(!drawn || scored[place] == completion.log_probs[place], "token {place}");
            }
        }
    }
}

#[test]
fn a_turn_that_was_cut_can_be_followed_too() {
    let model = talker();
    let (requests, sampling) = (requests(), Sampling { max_tokens: 2, temperature: 0.8, ..Sampling::default() });
    let mut generation = Generation::new(&model, &requests, &sampling, Seed(5), 64).unwrap();
    let (mut cut, mut completions) = (0, Vec::new());
    let mut follow = |turn: EndedTurn<'_>| {
        assert!(turn.tokens <= 2 && turn.closed == (turn.finish == Finish::Stop));
        cut += usize::from(turn.finish == Finish::Length);
        Ok((turn.turn < 2).then(|| answer(turn)))
    };
    while let Some(step) = generation.step_with(&mut follow).unwrap() {
        completions.extend(step.ended.into_iter().flat_map(|(_, completions)| completions));
    }
    assert!(cut > completions.len(), "{cut} turns were cut");
    assert!(completions.iter().all(|completion| completion.turns.len() == 3 && completion.given.len() == 2));
}

#[test]
fn a_conversation_ends_where_there_is_no_room() {
    let model = talker();
    let (free, bounded) = (talk(&model, 64, 2, usize::MAX), talk(&model, 64, 2, 20));
    let mut cut = 0;
    for (free, bounded) in free.iter().flatten().zip(bounded.iter().flatten()) {
        assert!(bounded.tokens.len() <= 20);
        assert_eq!(free.tokens[..bounded.tokens.len()], bounded.tokens);
        if bounded.tokens.len() < free.tokens.len() {
            assert_eq!(bounded.finish, Finish::Length);
            cut += 1;
        }
    }
    assert!(cut > 0);
}

#[test]
fn nothing_follows_unless_asked_and_nonsense_is_refused() {
    let (model, requests) = (talker(), requests());
    let sampling = Sampling { max_tokens: 12, ..Sampling::default() };
    for completion in sample(&model, &requests, &sampling, Seed(5), 8).unwrap().iter().flatten() {
        assert_eq!((completion.turns.len(), completion.given.len()), (1, 0));
        assert_eq!(completion.turns[0], completion.text);
    }
    let mut generation = Generation::new(&model, &requests, &sampling, Seed(5), 8).unwrap();
    let error = loop {
        match generation.step_with(&mut |_| Ok(Some(vec![9999]))) {
            Ok(step) => assert!(step.is_some(), "a turn ended"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, LmError::TokenOutOfRange { token: 9999, .. }), "{error}");
}
