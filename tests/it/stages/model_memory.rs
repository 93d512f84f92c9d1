//! `sft` and `grpo` within a memory budget: what does not fit is refused, and what takes less gives the same.

use toolexpander::table::MetricRow;

use super::{
    harness::{Outcome, StageRun},
    model_support::{questions, sft, trained, with_model},
};

fn tuned() -> StageRun {
    sft(trained(), 12).param("steps", 4)
}

fn reinforced() -> StageRun {
    let graded = "graded = 1.0\nformat = 0\ncorrectness = 0\nbonus = 0".parse::<toml::Table>().unwrap();
    with_model("grpo", trained())
        .table("samples", "data", &questions(8))
        .param("max-tokens", 16)
        .param("rewards", graded)
        .param("lr", 3e-3)
        .param("steps", 2)
        .param("kl-beta", 0.05)
}

fn bytes(outcome: &Outcome) -> (String, Vec<u8>) {
    (outcome.folder_digest("model").to_string(), outcome.bytes("metrics"))
}

#[test]
fn recomputing_and_memory_change_no_bit_and_fewer_rows_hardly_any() {
    for stage in [tuned, reinforced] {
        let plain = stage().run().unwrap();
        assert!(bytes(&plain) == bytes(&stage().param("recompute", true).run().unwrap()));
        assert!(bytes(&plain) == bytes(&stage().param("rows-per-pass", 2048).memory_gb(4.0).run().unwrap()));
        let split = stage().param("rows-per-pass", 1).run().unwrap();
        let rows = |outcome: &Outcome| outcome.table::<MetricRow>("metrics");
        for (plain, split) in rows(&plain).iter().zip(rows(&split)) {
            assert!((plain.loss - split.loss).abs() < 1e-4 && (plain.grad_norm - split.grad_norm).abs() < 1e-2);
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_with_what_would() {
    for stage in [tuned, reinforced] {
        let message = stage().memory_gb(1e-4).fails();
        assert!(message.contains("parameter `rows-per-pass`: passes of "), "{message}");
        assert!(message.contains("more than the stage's `memory-gb` of 0.0001"), "{message}");
        assert!(message.contains("give the stage `resources = { memory-gb = 0.1 }`"), "{message}");
        stage().memory_gb(0.1).run().unwrap();
    }
}
