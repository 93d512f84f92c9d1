//! A tiny model and questions for it: what the tests of the model-side kinds share.

use std::sync::OnceLock;

use camino::Utf8Path;
use toolexpander::{base::ArtifactType, table::SampleRow};

use super::harness::{Outcome, StageRun, sample};

/// The shortest of the shipped templates.
pub const TEMPLATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/stages/shared/tiny.j2");

/// Returns questions about three tools; what to call is in the question.
pub fn questions(count: usize) -> Vec<SampleRow> {
    (0..count)
        .map(|index| {
            let tool = ["open", "close", "lock"][index % 3];
            let value = 10 + index;
            let gold = serde_json::json!([{ "name": tool, "arguments": { "value": value } }]);
            let answer = serde_json::json!([{ "name": tool, "arguments": { "value": [value] } }]);
            SampleRow {
                gold: gold.to_string(),
                answer: answer.to_string(),
                ..sample(&format!("q{index}"), &format!("{tool} {value}"), tool)
            }
        })
        .collect()
}

/// Returns the same questions, each shown with the next one solved before it.
pub fn demonstrated(questions: &[SampleRow]) -> Vec<SampleRow> {
    let mut rows = questions.to_vec();
    for (index, row) in rows.iter_mut().enumerate() {
        let other = &questions[(index + 1) % questions.len()];
        let question = serde_json::from_str::<serde_json::Value>(&other.messages).unwrap()[0]["content"].clone();
        row.demonstrations = serde_json::json!([[
            { "role": "user", "content": question },
            { "role": "assistant", "content": "[open(value=1)]" },
        ]])
        .to_string();
    }
    rows
}

/// Returns the request for a tiny random model.
pub fn init() -> StageRun {
    let mut run = StageRun::new("init-model").path("template", TEMPLATE).table("samples", "data", &questions(30));
    for (name, value) in [
        ("hidden", 16),
        ("layers", 2),
        ("heads", 2),
        ("kv-heads", 1),
        ("intermediate", 32),
        ("vocab", 320),
        ("context", 128),
    ] {
        run = run.param(name, value);
    }
    run
}

/// Returns a tiny model trained on a few of the questions: it writes calls, mostly wrong ones.
pub fn trained() -> &'static Utf8Path {
    static MODEL: OnceLock<(Outcome, Outcome)> = OnceLock::new();
    let (_, trained) = MODEL.get_or_init(|| {
        let random = init().run().unwrap();
        let trained = sft(random.path("model"), 30).param("steps", env("SFT", 100)).run().unwrap();
        (random, trained)
    });
    trained.path("model")
}

/// Returns the request to train a model on the gold answers.
pub fn sft(model: &Utf8Path, count: usize) -> StageRun {
    with_model("sft", model).table("samples", "data", &questions(count)).param("lr", 1e-2)
}

/// Returns a request of a kind that takes a model and the tiny template.
pub fn with_model(kind: &str, model: &Utf8Path) -> StageRun {
    StageRun::new(kind).path("template", TEMPLATE).input_at("model", "model", ArtifactType::Model, model)
}

pub fn env(name: &str, default: i64) -> i64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}
