//! The sampler: same bits for any batch size and thread count, log-probabilities of the trainer, stopping.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use proptest::prelude::*;
use toolexpander::base::Seed;
use toolexpander::lm::sample::{Completion, Finish, PromptRequest, Sampling, sample};
use toolexpander::lm::train::{AdamW, PromptGroup, Trainer};
use toolexpander::lm::{LanguageModel, LmError};

use super::engine_training::{config, configs, groups, model};

fn requests(sizes: &[(usize, usize)], seed: u64) -> Vec<PromptRequest> {
    let shapes: Vec<(usize, &[usize])> = sizes.iter().map(|(length, _)| (*length, &[] as &[usize])).collect();
    let prompts = groups(&shapes, 1001, seed);
    let numbered = prompts.into_iter().zip(sizes).enumerate();
    numbered
        .map(|(index, (group, (_, count)))| PromptRequest {
            id: format!("sample-{index}"),
            tokens: group.prompt,
            count: *count,
        })
        .collect()
}

fn run(
    model: &LanguageModel,
    requests: &[PromptRequest],
    sampling: &Sampling,
    batch_size: usize,
    threads: usize,
) -> Vec<Vec<Completion>> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| sample(model, requests, sampling, Seed(11), batch_size).unwrap())
}

fn short(max_tokens: usize) -> Sampling {
    Sampling { max_tokens, ..Sampling::default() }
}

#[test]
fn batch_size_and_threads_do_not_change_a_bit() {
    let model = model(&config(true), 21);
    let requests = requests(&[(40, 9), (1, 5), (75, 10), (13, 3), (33, 0)], 22);
    for sampling in [
        short(37),
        Sampling { temperature: 0.7, top_k: 50, top_p: 0.9, ..short(20) },
        Sampling { temperature: 1.3, top_p: 0.8, ..short(20) },
        Sampling { temperature: 0.0, ..short(10) },
    ] {
        let expected = run(&model, &requests, &sampling, 1, 1);
        assert_eq!(expected.iter().map(Vec::len).collect::<Vec<_>>(), [9, 5, 10, 3, 0]);
        for (batch_size, threads) in [(1, 2), (3, 1), (7, 2), (8, 1), (64, 1), (64, 2), (64, 3)] {
            let found = run(&model, &requests, &sampling, batch_size, threads);
            assert!(found == expected, "batch size {batch_size}, {threads} threads, {sampling:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn any_mixture_of_prompts_gives_what_each_gives_alone(
        sizes in proptest::collection::vec((1usize..90, 1usize..4), 1..6),
        batch_size in prop::sample::select(vec![1usize, 3, 8, 64]),
        threads in 1usize..3,
        seed in 0u64..1000,
    ) {
        let model = model(&config(false), 23);
        let requests = requests(&sizes, seed);
        let together = run(&model, &requests, &short(12), batch_size, threads);
        for (request, completions) in requests.iter().zip(&together) {
            let alone = run(&model, std::slice::from_ref(request), &short(12), 1, 1);
            prop_assert!(&alone[0] == completions);
        }
    }
}

#[test]
fn log_probs_are_the_trainers_bit_for_bit() {
    for config in configs() {
        let model = model(&config, 25);
        let requests = requests(&[(50, 6), (3, 4), (97, 2)], 26);
        for sampling in [short(45), Sampling { temperature: 0.6, top_p: 0.95, ..short(45) }] {
            let sampled = run(&model, &requests, &sampling, 8, 2);
            let groups: Vec<PromptGroup> = requests
                .iter()
                .zip(&sampled)
                .map(|(request, completions)| PromptGroup {
                    prompt: request.tokens.clone(),
                    completions: completions.iter().map(|completion| completion.tokens.clone()).collect(),
                })
                .collect();
            let trainer = Trainer::new(model.clone(), AdamW::default()).unwrap();
            let scores = trainer.at_temperature(sampling.temperature).score(&groups).unwrap();
            for (scores, completions) in scores.iter().zip(&sampled) {
                for (scored, completion) in scores.log_probs.iter().zip(completions) {
                    assert_eq!(scored, &completion.log_probs);
                    assert!(completion.tokens.len() == 45 || completion.finish == Finish::Stop);
                }
            }
        }
    }
}

#[test]
fn draws_follow_the_distribution() {
    // One prompt, many first tokens: frequencies against the trainer's probabilities.
    let model = model(&config(true), 27);
    let request = requests(&[(5, 20_000)], 28);
    let greedy = run(&model, &request[..1], &Sampling { temperature: 0.0, ..short(1) }, 20_000, 2);
    let best = greedy[0][0].tokens[0];
    assert!(greedy[0].iter().all(|completion| completion.tokens == [best]));
    let group = |completions: Vec<Vec<u32>>| [PromptGroup { prompt: request[0].tokens.clone(), completions }];
    let all = Trainer::new(model.clone(), AdamW::default())
        .unwrap()
        .score(&group((0..1001).map(|token| vec![token]).collect()));
    let log_probs: Vec<f64> = all.unwrap()[0].log_probs.iter().map(|values| f64::from(values[0])).collect();
    let total: f64 = log_probs.iter().map(|value| value.exp()).sum();
    assert!((total - 1.0).abs() < 1e-5, "the probabilities add up to {total}");
    for (temperature, top_k, top_p, min_p) in [
        (1.0, 0, 1.0, 0.0),
        (0.5, 0, 1.0, 0.0),
        (1.0, 5, 1.0, 0.0),
        (1.0, 0, 0.3, 0.0),
        (0.8, 20, 0.6, 0.0),
        (1.0, 0, 1.0, 0.2),
        (0.7, 50, 0.9, 0.3),
    ] {
        let sampling = Sampling { temperature, top_k, top_p, min_p, ..short(1) };
        let drawn = run(&model, &request, &sampling, 5000, 2);
        // The expected distribution, in the plainest way.
        let mut order: Vec<usize> = (0..1001).collect();
        order.sort_by(|a, b| log_probs[*b].total_cmp(&log_probs[*a]));
        let weight = |token: usize| (log_probs[token] / f64::from(temperature)).exp();
        if top_k > 0 {
            order.truncate(top_k);
        }
        let sum: f64 = order.iter().map(|token| weight(*token)).sum();
        let mut reached = 0.0;
        let kept = order.iter().take_while(|token| {
            let open = reached < f64::from(top_p) * sum;
            reached += weight(**token);
            open
        });
        let least = f64::from(min_p) * weight(order[0]);
        let kept: Vec<usize> = kept.copied().filter(|token| weight(*token) >= least).collect();
        let sum: f64 = kept.iter().map(|token| weight(*token)).sum();
        for token in 0..1001 {
            let count = drawn[0].iter().filter(|completion| completion.tokens == [token as u32]).count() as f64;
            if kept.contains(&token) {
                let expected = 20_000.0 * weight(token) / sum;
                let bound = 5.0 * expected.sqrt() + 5.0;
                assert!(
                    (count - expected).abs() < bound,
                    "token {token}: {count} draws, {expected} expected, {sampling:?}"
                );
            } else {
                assert_eq!(count, 0.0, "token {token} is filtered out by {sampling:?}");
            }
        }
    }
}

#[test]
fn completions_stop_at_end_tokens_and_stop_texts() {
    let mut model = model(&config(true), 29);
    let requests = requests(&[(12, 40)], 30);
    let free = run(&model, &requests, &short(30), 16, 1);
    // Whatever came as the third token of the first completion shall end turns.
    let end = free[0][0].tokens[2];
    model.config.eos_token_ids = vec![end];
    let ended = run(&model, &requests, &short(30), 16, 1);
    for (free, ended) in free[0].iter().zip(&ended[0]) {
        match free.tokens.iter().position(|token| *token == end) {
            Some(place) => {
                assert_eq!(ended.tokens, free.tokens[..=place]);
                assert_eq!(ended.log_probs, free.log_probs[..=place]);
                assert_eq!(ended.finish, Finish::Stop);
            }
            None => assert_eq!(ended, free),
        }
    }
    model.config.eos_token_ids.clear();

    // Tokens below the tokenizer's size spell something: force them by a wide vocabulary of a narrow tokenizer.
    let text = free[0].iter().map(|completion| completion.text.clone()).find(|text| text.chars().count() > 3).unwrap();
    let stop: String = text.chars().skip(1).take(2).collect();
    let stopped = run(&model, &requests, &Sampling { stop: vec![stop.clone()], ..short(30) }, 16, 1);
    for (free, stopped) in free[0].iter().zip(&stopped[0]) {
        match free.text.find(&stop) {
            Some(place) => {
                assert_eq!(stopped.text, free.text[..place]);
                assert_eq!(stopped.finish, Finish::Stop);
                assert_eq!(stopped.tokens, free.tokens[..stopped.tokens.len()]);
            }
            None => assert_eq!(stopped, free),
        }
    }
    assert!(stopped[0].iter().any(|completion| completion.finish == Finish::Stop));
}

#[test]
fn a_full_context_ends_a_completion() {
    let model = model(&config(true), 31);
    let requests = requests(&[(505, 2)], 32);
    let completions = run(&model, &requests, &short(100), 2, 1);
    assert!(
        completions[0].iter().all(|completion| completion.tokens.len() == 7 && completion.finish == Finish::Length)
    );
}

#[test]
fn bad_requests_are_refused() {
    let model = model(&config(true), 33);
    let go =
        |requests: &[PromptRequest], sampling: &Sampling| sample(&model, requests, sampling, Seed(1), 4).unwrap_err();
    let good = requests(&[(5, 1)], 34);
    assert!(matches!(go(&requests(&[(0, 1)], 1), &short(5)), LmError::Request(_)));
    assert!(matches!(go(&requests(&[(512, 1)], 1), &short(5)), LmError::TooLong { tokens: 513, .. }));
    assert!(matches!(go(&good, &short(0)), LmError::Request(_)));
    assert!(matches!(go(&good, &Sampling { temperature: f32::NAN, ..short(1) }), LmError::Request(_)));
    assert!(matches!(go(&good, &Sampling { top_p: 0.0, ..short(1) }), LmError::Request(_)));
    let mut broken = model.clone();
    broken.weights.get_mut("model.norm.weight").unwrap().data[3] = f32::INFINITY;
    let error = sample(&broken, &good, &short(2), Seed(1), 4).unwrap_err();
    assert!(error.to_string().contains("completion 0 of `sample-0`"), "{error}");
}
