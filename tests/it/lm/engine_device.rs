//! The engine in candle tensors against the native one: scores, gradients, updates, adapters, sampling; on the processor,
//! and on a GPU where the program is built for CUDA.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use rand::Rng;
use toolexpander::base::Seed;
use toolexpander::lm::lora::Target;
use toolexpander::lm::sample::{Completion, Finish, Generation, PromptRequest, Sampling, sample};
use toolexpander::lm::train::{AdamW, OptimizerState, PromptGroup, TokenGradients, TokenScores, Trainer};
use toolexpander::lm::{Config, LanguageModel, LmError, Numbers, Place};

use super::engine_lora::{adapted, options};
use super::engine_training::{SIZES, config, configs, cosine, groups, model, relative, slopes};

/// Where the engine is tested.
fn places() -> Vec<Place> {
    if cfg!(feature = "cuda") { vec![Place::CandleCpu, Place::Cuda] } else { vec![Place::CandleCpu] }
}

/// One of every kind of model, whole and adapted.
fn models() -> Vec<LanguageModel> {
    let whole = configs().map(|config| model(&config, 81));
    let thin = [options(3, &Target::ALL), options(2, &[Target::DownProj, Target::KProj])];
    let adapted = whole.iter().flat_map(|model| thin.iter().map(|options| adapted(model.clone(), options, 82)));
    whole.iter().cloned().chain(adapted.collect::<Vec<_>>()).collect()
}

fn begin(place: Place, model: &LanguageModel) -> Trainer {
    let optimizer = AdamW { weight_decay: 0.1, ..AdamW::default() };
    Trainer::on(place, model.clone(), optimizer).unwrap().at_temperature(0.8)
}

fn near(found: &[Vec<f32>], expected: &[Vec<f32>], limit: f32) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < limit, "{found} instead of {expected}");
        }
    }
}

fn near_scores(found: &[TokenScores], expected: &[TokenScores]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        near(&found.log_probs, &expected.log_probs, 2e-5);
        near(&found.entropies, &expected.entropies, 2e-5);
    }
}

fn accumulate(trainer: &mut Trainer, groups: &[PromptGroup], slopes: &[TokenGradients]) {
    trainer.accumulate::<LmError>(groups, &mut |range, _| Ok(slopes[range].to_vec())).unwrap();
}

/// Asserts that both have the same gradient of everything that is trained, none of which is zero.
fn same_gradients(found: &Trainer, expected: &Trainer) {
    for parameter in expected.model().trained() {
        let [found, expected] =
            [found, expected].map(|trainer| trainer.gradient(&parameter.name).unwrap().unwrap().into_owned());
        assert!(expected.iter().any(|value| *value != 0.0), "{} has a gradient", parameter.name);
        let (cosine, relative) = (cosine(&found, &expected), relative(&found, &expected));
        assert!(
            cosine >= 0.999_999_9 && relative <= 1e-4,
            "{}: cosine {cosine}, relative error {relative}",
            parameter.name
        );
    }
}

#[test]
fn scores_and_gradients_equal_the_native_engines() {
    for (place, model) in places().into_iter().flat_map(|place| models().into_iter().map(move |model| (place, model))) {
        let groups = groups(SIZES, 1001, 83);
        let mut native = begin(Place::Cpu, &model);
        let scores = native.score(&groups).unwrap();
        let slopes = slopes(&scores, 0.1);
        accumulate(&mut native, &groups, &slopes);
        for (rows, recompute) in [(4096, false), (4096, true), (1, false)] {
            let mut trainer = begin(place, &model).rows_per_pass(rows).recompute(recompute);
            near_scores(&trainer.score(&groups).unwrap(), &scores);
            accumulate(&mut trainer, &groups, &slopes);
            same_gradients(&trainer, &native);
            trainer.discard();
            accumulate(&mut trainer, &groups, &slopes);
            same_gradients(&trainer, &native);
        }
    }
}

#[test]
fn dead_groups_cost_no_backward_and_change_nothing() {
    let models = models();
    for (place, model) in places().into_iter().flat_map(|place| models.iter().map(move |model| (place, model))) {
        let groups = groups(SIZES, 1001, 84);
        for (dead, recompute) in [([true, false, false], false), ([false, true, false], true), ([true; 3], false)] {
            let mut slopes = slopes(&begin(Place::Cpu, model).score(&groups).unwrap(), 0.1);
            for (slopes, _) in slopes.iter_mut().zip(dead).filter(|(_, dead)| *dead) {
                for value in slopes.log_probs.iter_mut().chain(&mut slopes.entropies).flatten() {
                    *value = 0.0;
                }
            }
            let [found, expected] = [place, Place::Cpu].map(|place| {
                let mut trainer = begin(place, model).recompute(recompute);
                let done = trainer.accumulate::<LmError>(&groups, &mut |_, _| Ok(slopes.clone())).unwrap();
                (trainer, done)
            });
            assert_eq!(found.1, expected.1);
            if dead == [true; 3] {
                let name = &model.trained()[0].name;
                assert_eq!(found.0.gradient(name).unwrap().unwrap().iter().filter(|value| **value != 0.0).count(), 0);
            } else {
                same_gradients(&found.0, &expected.0);
            }
        }
    }
}

fn train(trainer: &mut Trainer, groups: &[PromptGroup], steps: usize) -> Vec<f64> {
    (0..steps)
        .map(|_| {
            trainer.accumulate::<LmError>(groups, &mut |_, scores| Ok(slopes(scores, 0.1))).unwrap();
            trainer.step(1e-3, Some(1.0)).unwrap().grad_norm
        })
        .collect()
}

fn trained(trainer: &Trainer) -> Vec<f32> {
    trainer.model().trained().iter().flat_map(|parameter| parameter.data.iter().copied()).collect()
}

#[test]
fn updates_follow_the_native_engines_and_go_on_from_each_others_states() {
    let models = models();
    for (place, model) in places().into_iter().flat_map(|place| models.iter().map(move |model| (place, model))) {
        let groups = groups(SIZES, 1001, 85);
        let (mut native, mut device) = (begin(Place::Cpu, model), begin(place, model));
        assert_eq!(device.state().unwrap(), OptimizerState::default());
        let norms = train(&mut native, &groups, 3).into_iter().zip(train(&mut device, &groups, 3));
        assert!(norms.into_iter().all(|(native, device)| (native / device - 1.0).abs() < 1e-5));
        // AdamW's first steps have the size of the rate whatever the gradient: one near zero may go either way.
        let before: Vec<f32> = model.trained().iter().flat_map(|parameter| parameter.data.iter().copied()).collect();
        let moved =
            |after: &[f32]| after.iter().zip(&before).map(|(after, before)| after - before).collect::<Vec<f32>>();
        let same_way = |a: &Trainer, b: &Trainer| {
            let cosine = cosine(&moved(&trained(a)), &moved(&trained(b)));
            assert!(cosine > 0.9999, "the cosine of the ways is {cosine}");
        };
        same_way(&native, &device);

        let state = device.state().unwrap();
        let (steps, moments) = device.moments().unwrap();
        let moments: Vec<Vec<f32>> = moments.iter().map(Numbers::to_f32).collect();
        let (first, second) = moments.split_at(moments.len() / 2);
        assert!(state == OptimizerState { steps, first: first.to_vec(), second: second.to_vec() } && steps == 3);
        for (found, expected) in state.second.iter().zip(&native.state().unwrap().second) {
            assert!(cosine(found, expected) > 0.999_999);
        }

        // What the device left goes on anywhere.
        let mut resumed = [place, Place::Cpu].map(|place| {
            let mut trainer = begin(place, device.model());
            trainer.restore(&state).unwrap();
            assert!(trainer.state().unwrap() == state);
            train(&mut trainer, &groups, 2);
            trainer
        });
        train(&mut device, &groups, 2);
        let [same, native] = &mut resumed;
        same_way(same, &device);
        same_way(native, &device);
        assert!(matches!(
            device.restore(&OptimizerState { steps: 1, ..OptimizerState::default() }),
            Err(LmError::Layout { .. })
        ));
    }
}

#[test]
fn decay_can_spare_all_but_linear_maps() {
    for place in places() {
        let model = model(&config(true), 86);
        let [found, expected] = [place, Place::Cpu].map(|place| {
            let mut trainer = begin(place, &model).decay_linear_only(true);
            trainer.step(0.1, None).unwrap();
            trained(&trainer)
        });
        assert!(relative(&found, &expected) < 1e-6);
    }
}

fn requests(sizes: &[(usize, usize)], seed: u64) -> Vec<PromptRequest> {
    let mut rng = Seed(seed).rng("test requests");
    let numbered = sizes.iter().enumerate();
    numbered
        .map(|(index, (length, count))| PromptRequest {
            id: format!("sample-{index}"),
            tokens: (0..*length).map(|_| rng.random_range(0..1001)).collect(),
            count: *count,
        })
        .collect()
}

fn completions(mut generation: Generation<'_>, requests: usize) -> Vec<Vec<Completion>> {
    let mut completions = vec![Vec::new(); requests];
    while let Some(step) = generation.step().unwrap() {
        for (request, ended) in step.ended {
            completions[request] = ended;
        }
    }
    completions
}

/// Sequences of unequal lengths come and go in batches that are too small for them.
#[test]
fn completions_are_the_native_engines() {
    let models = models();
    for (place, model) in places().into_iter().flat_map(|place| models.iter().map(move |model| (place, model))) {
        let mut model = model.clone();
        let requests = requests(&[(40, 5), (1, 3), (75, 6), (13, 1), (33, 0), (500, 2)], 87);
        let probe = sample(&model, &requests, &Sampling { max_tokens: 4, ..Sampling::default() }, Seed(11), 8).unwrap();
        // Whatever came as a third token somewhere ends turns from now on.
        model.config.eos_token_ids = probe.iter().flatten().map(|completion| completion.tokens[2]).collect();
        for sampling in [
            Sampling { temperature: 0.0, max_tokens: 12, ..Sampling::default() },
            Sampling { max_tokens: 25, ..Sampling::default() },
            Sampling { temperature: 0.7, top_k: 50, top_p: 0.9, min_p: 0.01, max_tokens: 20, ..Sampling::default() },
        ] {
            let expected = sample(&model, &requests, &sampling, Seed(11), 64).unwrap();
            let stopped = expected.iter().flatten().filter(|completion| completion.finish == Finish::Stop).count();
            assert!(stopped > 0 || sampling.temperature != 1.0);
            for batch_size in [3, 64] {
                let generation = Generation::on(place, &model, &requests, &sampling, Seed(11), batch_size).unwrap();
                let found = completions(generation, requests.len());
                for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
                    assert_eq!((&found.tokens, found.finish), (&expected.tokens, expected.finish));
                    assert_eq!(found.text, expected.text);
                }
                let log_probs = |completions: &[Vec<Completion>]| -> Vec<Vec<f32>> {
                    completions.iter().flatten().map(|completion| completion.log_probs.clone()).collect()
                };
                near(&log_probs(&found), &log_probs(&expected), 5e-5);
            }
        }
    }
}

#[test]
fn a_trainer_samples_with_what_it_has_learnt() {
    for place in places() {
        let model = model(&config(false), 88);
        let requests = requests(&[(20, 4), (9, 4)], 89);
        let sampling = Sampling { temperature: 0.8, max_tokens: 16, ..Sampling::default() };
        let mut trainer = begin(place, &model);
        train(&mut trainer, &groups(SIZES, 1001, 90), 2);
        let sampled = completions(trainer.generation(&requests, &sampling, Seed(5), 8).unwrap(), 2);
        let copied = Generation::on(place, trainer.model(), &requests, &sampling, Seed(5), 8).unwrap();
        assert_eq!(sampled, completions(copied, 2));
        let groups: Vec<PromptGroup> = requests
            .iter()
            .zip(&sampled)
            .map(|(request, completions)| PromptGroup {
                prompt: request.tokens.clone(),
                completions: completions.iter().map(|completion| completion.tokens.clone()).collect(),
            })
            .collect();
        for (scores, completions) in trainer.score(&groups).unwrap().iter().zip(&sampled) {
            let sampled: Vec<Vec<f32>> = completions.iter().map(|completion| completion.log_probs.clone()).collect();
            near(&scores.log_probs, &sampled, 5e-5);
        }
    }
}

#[test]
fn completions_can_be_held_to_a_grammar() {
    for place in places() {
        let wide = model(&Config { vocab_size: 300, ..config(true) }, 91);
        let requests = [PromptRequest { id: "held".to_owned(), tokens: vec![5, 6, 7], count: 6 }];
        let sampling = Sampling { max_tokens: 24, ..Sampling::default() };
        let grammars = [Some("start: \"yes\" | \"no, never\"".to_owned())];
        let [found, expected] = [place, Place::Cpu].map(|place| {
            let generation = Generation::on(place, &wide, &requests, &sampling, Seed(3), 4).unwrap();
            completions(generation.held_to(&grammars).unwrap(), 1).remove(0)
        });
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found.text, expected.text);
            assert!(["yes", "no, never"].contains(&found.text.as_str()), "{found:?}");
        }
    }
}

#[test]
fn bad_input_is_refused_with_its_place() {
    for place in places() {
        let model = model(&config(true), 92);
        let mut trainer = begin(place, &model);
        let group = |prompt: Vec<u32>, completion: Vec<u32>| [PromptGroup { prompt, completions: vec![completion] }];
        assert!(matches!(trainer.score(&group(vec![], vec![1])), Err(LmError::Request(_))));
        let error = trainer.score(&group(vec![1, 2], vec![3, 1001])).unwrap_err();
        assert!(matches!(error, LmError::TokenOutOfRange { token: 1001, position: 1, .. }), "{error}");
        assert!(matches!(trainer.score(&group(vec![1; 500], vec![1; 13])), Err(LmError::TooLong { tokens: 513, .. })));
        let nothing =
            trainer.accumulate::<LmError>(&group(vec![1, 2], vec![]), &mut |_, _| Ok(vec![vec![vec![]].into()]));
        assert_eq!(nothing.unwrap().dead_groups, 1);

        let mut broken = model.clone();
        broken.weights.get_mut("model.layers.1.mlp.down_proj.weight").unwrap().data[5] = f32::NAN;
        let error = begin(place, &broken).score(&group(vec![1, 2], vec![3])).unwrap_err();
        assert!(matches!(error, LmError::NotFinite { .. }), "{error}");
    }
}

#[cfg(not(feature = "cuda"))]
#[test]
fn a_program_without_cuda_says_what_to_do() {
    let error = Trainer::on(Place::Cuda, model(&config(true), 93), AdamW::default()).err().unwrap().to_string();
    assert_eq!(
        error,
        "there is no device `cuda` here: this program was built without CUDA; build it with `cargo build --release \
         --features cuda` (docs/CUDA.md), or leave `device` out to compute on the processor"
    );
}
