//! AdamW's moments in bf16: training goes on as with f32, to the bit whatever the threads, and nothing stalls.

use toolexpander::lm::lora::Target;
use toolexpander::lm::train::{AdamW, Footprint, OptimizerState, PromptGroup, TokenScores, Trainer};
use toolexpander::lm::{Dtype, LanguageModel, LmError, Numbers};

use super::engine_lora::{adapted, options};
use super::engine_training::{SIZES, config, groups, model, slopes};

/// A whole model, and one with an adapter.
fn models() -> [LanguageModel; 2] {
    let whole = model(&config(true), 71);
    let thin = adapted(whole.clone(), &options(3, &[Target::QProj, Target::DownProj]), 72);
    [whole, thin]
}

fn begin(model: &LanguageModel, moments: Dtype) -> Trainer {
    let optimizer = AdamW { weight_decay: 0.01, ..AdamW::default() };
    Trainer::new(model.clone(), optimizer).unwrap().moment_type(moments)
}

fn train(trainer: &mut Trainer, groups: &[PromptGroup], steps: usize) {
    for _ in 0..steps {
        let loss = &mut |_, scores: &[TokenScores]| Ok(slopes(scores, 0.1));
        trainer.accumulate::<LmError>(groups, loss).unwrap();
        trainer.step(1e-3, Some(1.0)).unwrap();
    }
}

fn trained(trainer: &Trainer) -> Vec<f32> {
    trainer.model().trained().iter().flat_map(|parameter| parameter.data.iter().copied()).collect()
}

fn norm(values: impl Iterator<Item = f32>) -> f64 {
    values.map(|value| f64::from(value).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn training_follows_that_with_f32_moments() {
    for model in models() {
        let groups = groups(SIZES, 1001, 73);
        let run = |moments: Dtype| {
            let mut trainer = begin(&model, moments);
            train(&mut trainer, &groups, 40);
            trained(&trainer)
        };
        let (before, full, half) = (trained(&begin(&model, Dtype::F32)), run(Dtype::F32), run(Dtype::Bf16));
        let way = norm(full.iter().zip(&before).map(|(after, before)| after - before));
        let apart = norm(full.iter().zip(&half).map(|(full, half)| full - half));
        assert!(apart > 0.0 && apart < 0.02 * way, "apart by {:.4} of the way", apart / way);
    }
}

/// Rounded to the nearest, a second moment would stay where it is: 0.999 of a bf16 number rounds to that number.
#[test]
fn second_moments_decay() {
    let [model, _] = models();
    let groups = groups(SIZES, 1001, 74);
    for moments in [Dtype::F32, Dtype::Bf16] {
        let mut trainer = begin(&model, moments);
        train(&mut trainer, &groups, 1);
        let sum =
            |trainer: &Trainer| norm(trainer.state().unwrap().second.into_iter().flatten().map(f32::sqrt)).powi(2);
        let before = sum(&trainer);
        for _ in 0..700 {
            trainer.step(0.0, None).unwrap();
        }
        let share = sum(&trainer) / before;
        assert!((share / 0.999f64.powi(700) - 1.0).abs() < 0.01, "{moments:?}: {share}");
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    for model in models() {
        let groups = groups(SIZES, 1001, 75);
        let run = |threads: usize| {
            rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| {
                let mut trainer = begin(&model, Dtype::Bf16);
                train(&mut trainer, &groups, 3);
                (trained(&trainer), trainer.state().unwrap())
            })
        };
        let one = run(1);
        assert!(one == run(2) && one == run(3));
    }
}

#[test]
fn a_state_goes_on_with_the_same_bits() {
    for model in models() {
        let groups = groups(SIZES, 1001, 76);
        let mut whole = begin(&model, Dtype::Bf16);
        train(&mut whole, &groups, 3);
        let state = whole.state().unwrap();
        let (steps, moments) = whole.moments().unwrap();
        let moments: Vec<Vec<f32>> = moments
            .into_iter()
            .map(|numbers| match numbers {
                Numbers::Bf16(_) => numbers.to_f32(),
                Numbers::F32(_) => panic!("moments are kept in bf16"),
            })
            .collect();
        let (first, second) = moments.split_at(moments.len() / 2);
        assert!(state == OptimizerState { steps, first: first.to_vec(), second: second.to_vec() });

        let mut resumed = begin(whole.model(), Dtype::Bf16);
        resumed.restore(&state).unwrap();
        assert!(resumed.state().unwrap() == state);
        train(&mut whole, &groups, 3);
        train(&mut resumed, &groups, 3);
        assert!(trained(&whole) == trained(&resumed) && whole.state().unwrap() == resumed.state().unwrap());
    }
}

#[test]
fn they_take_four_bytes_less_a_trained_parameter() {
    for model in models() {
        let count = model.trained().iter().map(|parameter| parameter.data.len() as u64).sum::<u64>();
        let full = Footprint::new(&model, false);
        assert_eq!(full.bytes(9) - full.moment_type(Dtype::Bf16).bytes(9), 4 * count);
        assert_eq!(full.moment_type(Dtype::F32), full);
        let mut trainer = begin(&model, Dtype::Bf16);
        trainer.step(0.0, None).unwrap();
        assert_eq!(trainer.moments().unwrap().1.iter().map(|numbers| numbers.len() as u64).sum::<u64>(), 2 * count);
    }
}
