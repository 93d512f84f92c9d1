//! Less memory for the same numbers: layers computed again, passes of few rows.

use toolexpander::lm::lora::Target;
use toolexpander::lm::train::{AdamW, Footprint, PromptGroup, Trainer};
use toolexpander::lm::{Config, LanguageModel, LmError};

use super::engine_lora::{adapted, options, train};
use super::engine_training::{SIZES, config, configs, groups, model, slopes};

/// Every kind of model, whole and with an adapter.
fn models() -> Vec<LanguageModel> {
    let whole = configs().map(|config| model(&config, 61));
    let thin = whole.clone().map(|model| adapted(model, &options(3, &[Target::VProj, Target::DownProj]), 62));
    whole.into_iter().chain(thin).collect()
}

#[test]
fn recomputing_layers_changes_no_bit() {
    for model in models() {
        let groups = groups(SIZES, 1001, 63);
        for rows in [4096, 100] {
            let begin = || Trainer::new(model.clone(), AdamW::default()).unwrap().rows_per_pass(rows);
            let (mut keeping, mut recomputing) = (begin(), begin().recompute(true));
            train(&mut keeping, &groups, 2);
            train(&mut recomputing, &groups, 2);
            // Scoring uses the same memory for something else in between.
            assert_eq!(keeping.score(&groups).unwrap(), recomputing.score(&groups).unwrap());
            train(&mut keeping, &groups[1..], 1);
            train(&mut recomputing, &groups[1..], 1);
            assert_eq!(keeping.state().unwrap(), recomputing.state().unwrap());
            assert!(keeping.into_model().trained() == recomputing.into_model().trained());
        }
    }
}

#[test]
fn recomputing_goes_with_dead_groups() {
    for model in models() {
        let groups = groups(SIZES, 1001, 64);
        for dead in [[true, false, false], [false, true, false], [true, false, true]] {
            let gradients = |recompute: bool| {
                let mut trainer = Trainer::new(model.clone(), AdamW::default()).unwrap().recompute(recompute);
                let done = trainer.accumulate::<LmError>(&groups, &mut |_, scores| {
                    let mut slopes = slopes(scores, 0.1);
                    for (slopes, _) in slopes.iter_mut().zip(dead).filter(|(_, dead)| *dead) {
                        slopes.log_probs.iter_mut().flatten().for_each(|value| *value = 0.0);
                        slopes.entropies.iter_mut().flatten().for_each(|value| *value = 0.0);
                    }
                    Ok(slopes)
                });
                assert_eq!(done.unwrap().dead_groups, dead.iter().filter(|dead| **dead).count());
                let gradient = |name: &str| trainer.gradient(name).unwrap().unwrap().to_vec();
                model.trained().iter().map(|parameter| gradient(&parameter.name)).collect::<Vec<_>>()
            };
            assert!(gradients(false) == gradients(true));
        }
    }
}

#[test]
fn recomputing_works_after_an_error_of_the_loss() {
    let model = model(&config(true), 65);
    let groups = groups(SIZES, 1001, 66);
    let mut trainer = Trainer::new(model.clone(), AdamW::default()).unwrap().recompute(true);
    let broken = trainer.accumulate::<LmError>(&groups, &mut |_, _| Err(LmError::Request("no".to_owned())));
    assert!(broken.is_err());
    trainer.discard();
    train(&mut trainer, &groups, 1);
    let mut whole = Trainer::new(model, AdamW::default()).unwrap();
    train(&mut whole, &groups, 1);
    assert!(trainer.into_model().weights == whole.into_model().weights);
}

#[test]
fn footprints_add_up() {
    // Llama of hidden 40, inner 72, six query heads and two key heads of 10, two layers, 1001 tokens.
    let whole = model(&config(true), 67);
    let weights = 4 * whole.weights.count() as u64;
    let keeping = Footprint::new(&whole, false);
    assert_eq!((keeping.weights, keeping.trained), (weights, weights));
    assert_eq!(keeping.bytes(10), 4 * weights + 10 * keeping.row);
    let layer = 2 * 40 + 2 * 60 + 2 * 20 + 2 * 72 + 2 * 6 + 2;
    let deeper = Config { num_hidden_layers: 5, ..config(true) };
    let deeper = |recompute: bool| Footprint::new(&model(&deeper, 67), recompute).row;
    assert_eq!(deeper(false) - keeping.row, 3 * 4 * layer);
    assert_eq!(deeper(true) - Footprint::new(&whole, true).row, 3 * 4 * 40);

    // One map of two layers, rank 3: A of 40 columns, B of 60 rows.
    let thin = Footprint::new(&adapted(whole, &options(3, &[Target::QProj]), 1), false);
    let adapter = 4 * 2 * 3 * (40 + 60);
    assert_eq!((thin.weights, thin.trained, thin.row), (weights + adapter, adapter, keeping.row));
    assert_eq!(thin.bytes(0), weights + 4 * adapter);
}

#[test]
fn a_pass_of_a_row_still_takes_a_whole_group() {
    let model = model(&config(true), 68);
    let groups: Vec<PromptGroup> = groups(SIZES, 1001, 69);
    let mut trainer = Trainer::new(model, AdamW::default()).unwrap().rows_per_pass(1).recompute(true);
    let mut passes = Vec::new();
    let loss = &mut |range, scores: &[_]| {
        passes.push(range);
        Ok(slopes(scores, 0.0))
    };
    trainer.accumulate::<LmError>(&groups, loss).unwrap();
    assert_eq!(passes, [0..1, 1..2, 2..3]);
}
