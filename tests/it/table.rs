//! Tests of `table`: bytes that depend on rows only, and any bytes read without a panic.

use std::process::Command;

use proptest::prelude::*;
use toolexpander::{
    base::Digest,
    table::{
        self, BreakdownRow, CategoryRow, ComparisonRow, FlipRow, HardRow, MetricRow, OverlapRow, ReportRow, RolloutRow,
        SCHEMAS, SampleRow, ScoreRow, SpreadRow, TableError, TableRow,
    },
};

fn sample(id: &str) -> SampleRow {
    SampleRow {
        id: id.to_owned(),
        category: "units".into(),
        messages: r#"[{"role":"user","content":"How many miles are 3 km? — «ß»"}]"#.into(),
        tools: r#"[{"name":"convert","description":"","parameters":{"type":"object"}}]"#.into(),
        answer: r#"[{"name":"convert","arguments":{"value":[3]}}]"#.into(),
        gold: r#"[{"name":"convert","arguments":{"value":3}}]"#.into(),
        environment: String::new(),
        language: "python".into(),
        demonstrations: "[]".into(),
        round: 0,
    }
}

fn small_table() -> Vec<u8> {
    table::encode(&[sample("a"), SampleRow { round: 2, ..sample("b") }]).unwrap()
}

/// A change here changes the bytes of everybody's tables: bump the revisions of all kinds that write tables, or undo it.
#[test]
fn the_bytes_of_a_small_table_are_golden() {
    insta::assert_snapshot!(Digest::of(&small_table()), @"4c76eacb54c8888f204ee9f89b163aaa28e2cde189edb2c50e2f095f92aaa7fb");
    let numbers = [HardRow {
        sample_id: "a".into(),
        category: "units".into(),
        rollouts: 10,
        correct: 0,
        mean_reward: f32::from_bits(0xffc0_1234),
        hard: true,
    }];
    insta::assert_snapshot!(Digest::of(&table::encode(&numbers).unwrap()), @"a303857c97a4042d4d89e72da5a984f6e85ccadd21f49cbb0326a27acf48a3d9");
}

#[test]
fn two_processes_write_the_same_bytes() {
    if let Ok(path) = std::env::var("TOOLEXPANDER_TEST_TABLE") {
        let rows: Vec<_> = (0..3000).map(|index| sample(&format!("sample-{index}"))).collect();
        return std::fs::write(path, table::encode(&rows).unwrap()).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let files = ["one", "two"].map(|name| {
        let path = folder.path().join(name);
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "table::two_processes_write_the_same_bytes"])
            .env("TOOLEXPANDER_TEST_TABLE", &path)
            .output()
            .unwrap();
        assert!(status.status.success(), "{status:?}");
        std::fs::read(path).unwrap()
    });
    assert!(files[0].len() > 1000);
    assert_eq!(files[0], files[1]);
}

#[test]
fn every_schema_is_known_described_and_round_trips_empty() {
    fn empty<R: TableRow + std::fmt::Debug>() {
        let bytes = table::encode::<R>(&[]).unwrap();
        assert_eq!(table::decode::<R>(&bytes).unwrap(), []);
        assert_eq!(table::check(R::SCHEMA.name, &bytes).unwrap(), 0);
    }
    empty::<SampleRow>();
    empty::<RolloutRow>();
    empty::<HardRow>();
    empty::<MetricRow>();
    empty::<ScoreRow>();
    empty::<BreakdownRow>();
    empty::<CategoryRow>();
    empty::<FlipRow>();
    empty::<SpreadRow>();
    empty::<OverlapRow>();
    empty::<ComparisonRow>();
    empty::<ReportRow>();
    let text = table::describe();
    for schema in SCHEMAS {
        assert!(text.contains(&format!("## `table:{}`", schema.name)));
        assert!(
            schema
                .columns
                .iter()
                .all(|column| text.contains(&format!("`{}`", column.name)) && !column.doc_text().is_empty())
        );
    }
}

#[test]
fn an_unknown_schema_names_the_known_ones() {
    let error = table::check("sampels", &small_table()).unwrap_err().to_string();
    insta::assert_snapshot!(error, @"no table schema is called `sampels`; known schemas: samples, rollouts, hard, metrics, scores, breakdown, comparison, categories, flips, spread, overlaps, report; did you mean `samples`?");
}

#[test]
fn another_schemas_file_is_refused_with_the_column_named() {
    insta::assert_snapshot!(table::check("hard", &small_table()).unwrap_err(), @"the `hard` table has a column `id` that its schema does not declare; declared: sample_id, category, rollouts, correct, mean_reward, hard");
    let report = table::encode(&[ReportRow { name: "read".into(), value: 2.0 }]).unwrap();
    insta::assert_snapshot!(table::check("samples", &report).unwrap_err(), @"the `samples` table has a column `name` that its schema does not declare; declared: id, category, messages, tools, answer, gold, environment, language, demonstrations, round");
}

#[test]
fn a_json_column_must_hold_json() {
    let rows = [sample("a"), SampleRow { tools: "{not json".into(), ..sample("b") }];
    let error = table::encode(&rows).unwrap_err();
    assert!(matches!(error, TableError::NotJson { column: "tools", row: 1, .. }), "{error}");
}

#[test]
fn truncated_files_are_errors() {
    let bytes = small_table();
    for length in 0..bytes.len() {
        let error = table::decode::<SampleRow>(&bytes[..length]).unwrap_err();
        assert!(matches!(error, TableError::Unreadable { .. }), "{length}: {error}");
    }
}

#[test]
fn a_file_of_another_format_is_an_error() {
    insta::assert_snapshot!(table::decode::<HardRow>(b"id,category\n1,2\n").unwrap_err(), @"the `hard` table is not readable as Parquet: Parquet error: Invalid Parquet file. Corrupt footer; the file is truncated, damaged or of another format");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn rows_round_trip(rows in prop::collection::vec(
        (any::<String>(), any::<i32>(), any::<f32>(), any::<i64>(), any::<f64>(), any::<bool>()), 0..40,
    )) {
        let rollouts: Vec<_> = rows.iter().map(|(text, int, float, _, _, truth)| RolloutRow {
            sample_id: text.clone(), rollout_index: *int, completion: text.repeat(3), finish: "stop".into(),
            prompt_tokens: *int, completion_tokens: int.wrapping_add(1), log_prob: *float, format: *float,
            correctness: -float, execution: 0.0, bonus: 0.01, reward: float / 2.0, correct: *truth, demonstrated: !truth,
        }).collect();
        let metrics: Vec<_> = rows.iter().map(|(_, int, float, long, double, _)| MetricRow {
            step: *int, round: 1, loss: *float, reward_mean: 0.0, reward_std: 0.0, correct_rate: 0.0, kl: 0.0, entropy: 0.0,
            clip_low: 0.0, clip_high: 0.0, grad_norm: *float, lr: *double, live_groups: 0, dead_groups: 0, tokens: *long,
        }).collect();
        let bytes = table::encode(&rollouts).unwrap();
        prop_assert_eq!(table::check("rollouts", &bytes).unwrap(), rows.len());
        prop_assert_eq!(table::decode::<RolloutRow>(&bytes).unwrap(), rollouts);
        prop_assert_eq!(table::decode::<MetricRow>(&table::encode(&metrics).unwrap()).unwrap(), metrics);
    }

    #[test]
    fn flipped_bytes_never_panic(flips in prop::collection::vec((any::<prop::sample::Index>(), 1..=255_u8), 1..8)) {
        let mut bytes = small_table();
        for (index, flip) in flips {
            let place = index.index(bytes.len());
            bytes[place] ^= flip;
        }
        let _ = table::decode::<SampleRow>(&bytes);
    }

    #[test]
    fn noise_never_panics(mut noise in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = table::check("samples", &noise);
        noise.splice(0..0, *b"PAR1");
        let length = u32::try_from(noise.len()).unwrap() / 2;
        noise.extend(length.to_le_bytes());
        noise.extend(b"PAR1");
        let _ = table::check("samples", &noise);
    }
}
