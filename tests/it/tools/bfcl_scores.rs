//! BFCL's tables: what they are made of, in any order.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;
use toolexpander::tools::bfcl::{
    Category, Format,
    scores::{Board, CategoryScore, FormatSensitivity, ModelCard, ModelScores, Usage, csv, results},
};

/// An answer: whether it is right, and how long it took.
type Answer = (Category, u32, bool, f64);

fn tables(answers: &[Answer]) -> Vec<(&'static str, String)> {
    let mut counts: BTreeMap<Category, (usize, usize)> = BTreeMap::new();
    let mut formats = FormatSensitivity::default();
    let mut usage = Usage::default();
    for (category, index, right, seconds) in answers {
        usage.add(Some(&json!(seconds)), None, None);
        if *category == Category::FormatSensitivity {
            formats.add(&Format::all()[*index as usize % 26].to_string(), *right);
        } else {
            let (rights, all) = counts.entry(*category).or_default();
            *rights += usize::from(*right);
            *all += 1;
        }
    }
    let board = Board::new(
        counts.into_iter().map(|(category, (right, all))| (category, CategoryScore::of(right, all))).collect(),
    );
    let card = ModelCard { display_name: "model".to_owned(), ..ModelCard::default() };
    csv::tables(&[ModelScores { card, board, formats: Some(formats), usage }])
}

fn answers() -> impl Strategy<Value = (Vec<Answer>, Vec<Answer>)> {
    let category = prop::sample::select(Category::ALL.to_vec());
    let answer = (category, 0..1000_u32, any::<bool>(), 0.001..500.0_f64);
    prop::collection::vec(answer, 0..120).prop_flat_map(|answers| (Just(answers.clone()), Just(answers).prop_shuffle()))
}

proptest! {
    #[test]
    fn tables_do_not_depend_on_the_order_of_answers((one, other) in answers()) {
        prop_assert_eq!(tables(&one), tables(&other));
    }

    #[test]
    fn result_files_do_not_depend_on_the_order_of_lines(ids in prop::collection::btree_set(0..500_u32, 1..40).prop_flat_map(|ids| {
        Just(ids.into_iter().collect::<Vec<_>>()).prop_shuffle()
    })) {
        let line = |id: &u32| format!("{{\"id\": \"live_simple_{id}-0-0\", \"result\": \"{id}\"}}\n");
        let shuffled: String = ids.iter().map(line).collect();
        let mut sorted = ids.clone();
        sorted.sort_unstable();
        let rows = results::read("f", &shuffled).unwrap();
        prop_assert_eq!(results::write(&rows), sorted.iter().map(line).collect::<String>());
    }
}

#[test]
fn better_models_come_first_and_models_without_a_number_last() {
    let model = |name: &str, right: usize, formats: bool| {
        let scores = [(Category::SimplePython, CategoryScore::of(right, 4))];
        let mut sensitivity = FormatSensitivity::default();
        (0..2).for_each(|index| sensitivity.add(&Format::all()[index].to_string(), index == 0));
        ModelScores {
            card: ModelCard { display_name: name.to_owned(), ..ModelCard::default() },
            board: Board::new(scores.into_iter().collect()),
            formats: formats.then_some(sensitivity),
            usage: Usage::default(),
        }
    };
    let tables = csv::tables(&[model("worst", 1, true), model("best", 4, false), model("middle", 2, false)]);
    let names = |wanted: &str, column: usize| -> Vec<String> {
        let (_, text) = tables.iter().find(|(name, _)| *name == wanted).unwrap();
        text.lines().skip(1).map(|line| line.split(',').nth(column).unwrap().to_owned()).collect()
    };
    assert_eq!(names("data_overall.csv", 2), ["best", "middle", "worst"]);
    assert_eq!(names("data_overall.csv", 0), ["1", "2", "3"]);
    assert_eq!(names("data_format_sensitivity.csv", 1), ["worst", "best", "middle"]);
    assert_eq!(names("data_format_sensitivity.csv", 2), ["100.0", "N/A", "N/A"]);
}
