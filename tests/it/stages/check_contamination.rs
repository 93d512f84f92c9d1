//! Tests of `check-contamination`.

use std::collections::BTreeMap;

use toolexpander::{
    base::Digest,
    table::{OverlapRow, ReportRow, SampleRow},
};

use super::harness::{Outcome, StageRun, sample};

const LONG: &str = "Please move the appointment with the dentist from Friday morning to Monday afternoon at four";

fn train() -> Vec<SampleRow> {
    vec![sample("t0", LONG, "move"), sample("t1", "Open the garage.", "open")]
}

fn eval() -> Vec<SampleRow> {
    vec![
        sample("same", "open the  garage", "open"),
        sample("inside", &format!("Hello! {LONG}, and tell me."), "shift"),
        sample("reworded", &LONG.replace("Monday", "Tuesday"), "move"),
        SampleRow { category: "other".into(), ..sample("new", "Lock the front door of the house.", "lock") },
    ]
}

fn run() -> Outcome {
    StageRun::new("check-contamination")
        .table("train", "data.train", &train())
        .table("eval", "e", &eval())
        .run()
        .unwrap()
}

#[test]
fn samples_are_told_apart_by_what_they_share() {
    let outcome = run();
    let rows: Vec<OverlapRow> = outcome.table("overlaps");
    let seen: Vec<_> = rows
        .iter()
        .map(|row| (row.sample_id.as_str(), row.duplicate_of.as_str(), row.ngrams, row.contaminated))
        .collect();
    assert_eq!(
        seen,
        [("same", "t1", 0, true), ("inside", "", 7, true), ("reworded", "", 3, false), ("new", "", 0, false)]
    );
    // Of the 15 words the third last is another one: 3 of 13 words are new, and of 8 runs of 8 the first five are known.
    assert!(rows[1].ngram_share > 0.4 && rows[2].ngram_share == 0.0);
    assert!((rows[2].short_share - 0.5).abs() < 1e-12, "{:?}", rows[2]);
    assert_eq!((rows[0].shared_tools.as_str(), rows[1].shared_tools.as_str()), (r#"["open"]"#, "[]"));
    assert_eq!(rows[1].shared_schemas, r#"["shift"]"#, "all tools of these samples have the same parameters");
    assert!(rows[0].gold_tool_trained && !rows[1].gold_tool_trained);
    let counts: BTreeMap<String, f64> =
        outcome.table::<ReportRow>("report").into_iter().map(|row| (row.name, row.value)).collect();
    for (name, value) in [
        ("train-samples", 2.0),
        ("samples", 4.0),
        ("contaminated", 2.0),
        ("duplicates", 1.0),
        ("ngram-overlaps", 1.0),
        ("shared-tools", 2.0),
        ("shared-schemas", 4.0),
        ("gold-tools-trained", 2.0),
        ("simple.contaminated", 2.0),
        ("other.contaminated", 0.0),
    ] {
        assert_eq!(counts.get(name), Some(&value), "{name}");
    }
    let clean: Vec<SampleRow> = outcome.table("clean");
    assert_eq!(clean, eval()[2..]);
}

#[test]
fn several_tables_are_trained_on() {
    let outcome = StageRun::new("check-contamination")
        .table("train", "a", &train()[1..])
        .table("train", "b", &train()[..1])
        .table("eval", "e", &eval())
        .run()
        .unwrap();
    assert!(outcome.bytes("overlaps") == run().bytes("overlaps"));
    let shorter = StageRun::new("check-contamination").param("ngram", 5).table("train", "a", &train());
    let rows: Vec<OverlapRow> = shorter.table("eval", "e", &eval()).run().unwrap().table("overlaps");
    assert!(rows[2].contaminated && !rows[3].contaminated);
    let none = StageRun::new("check-contamination").table("train", "a", &train()[..0]).table("eval", "e", &eval());
    insta::assert_snapshot!(none.fails(), @"port `train`: holds no sample to compare with");
}

/// If these digests change, bump `revision` in stages/check-contamination/stage.toml.
#[test]
fn output_bytes_are_golden() {
    let outcome = run();
    let digests = ["overlaps", "report", "clean"].map(|port| Digest::of(&outcome.bytes(port)).to_string());
    insta::assert_snapshot!(digests.join("\n"), @r#"
28bdbb88880765f36131ca263f8fc13fb43647862a84960830288a21f23064c6
5ecf6f927c6fbda20a8b516b810920947f731fa2fdd86ef1366966d238a51b81
e3908291c5f0b0da73758f107d58d000fce001f7ca9aeac48ad0f6aa4d65ec7f
"#);
}
