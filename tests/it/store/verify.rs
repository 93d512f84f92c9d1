//! Verification finds every damage, sets it aside and leaves a store that is whole.

use std::os::unix::fs::PermissionsExt;

use toolexpander::store::{Finding, Problem, Store};

use super::support::*;

/// Gives a blob other bytes of the same length.
fn spoil(store: &Store, text: &str) {
    let path = store.object_path(&digest(text));
    let other: String = text.chars().rev().collect();
    assert_ne!(text, other);
    fs_err::remove_file(&path).unwrap();
    write(&path, other);
    fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o444)).unwrap();
}

fn filled() -> (Place, Store) {
    let place = Place::new();
    let store = place.open();
    for text in ["good", "spoilt", "gone", "cut short", "unreadable"] {
        put(&store, digest(text), format!("{text} output")).wait().unwrap();
    }
    (place, store)
}

#[test]
fn a_whole_store_is_whole() {
    let (_place, store) = filled();
    let report = store.verify(true).unwrap();
    assert!(report.findings.is_empty(), "{report:?}");
    assert_eq!((report.results, report.blobs), (5, 5));
    assert_eq!(
        report.bytes,
        ["good", "spoilt", "gone", "cut short", "unreadable"].map(|text| text.len() as u64 + 7).iter().sum::<u64>()
    );
}

#[test]
fn every_damage_is_found_set_aside_and_made_anew() {
    let (place, store) = filled();
    spoil(&store, "spoilt output");
    fs_err::remove_file(store.object_path(&digest("gone output"))).unwrap();
    let cut = store.object_path(&digest("cut short output"));
    fs_err::remove_file(&cut).unwrap();
    write(&cut, "cut");
    write(&place.root.join(format!("results/{}.json", digest("unreadable"))), "{\"schema_version\": 1, \"key\"");
    write(&place.root.join("objects/ab/not a digest"), "stray");
    write(&place.root.join("results/notes.txt"), "stray");

    let seen = store.verify_read_only(true).unwrap();
    assert!(!seen.is_whole());
    assert!(seen.findings.iter().all(|finding| !finding.healed) && seen.dropped.is_empty());
    let find = |findings: &[Finding], part: &str| -> Finding {
        let mut found = findings.iter().filter(|finding| finding.path.as_str().contains(part)).cloned();
        let first = found.next().unwrap_or_else(|| panic!("no finding about {part}: {findings:?}"));
        assert!(found.next().is_none());
        first
    };
    let blob = |text: &str| digest(text).to_string()[2..].to_owned();

    let report = store.verify(true).unwrap();
    assert_eq!(report.findings.len(), 6, "{report:?}");
    let spoilt = find(&report.findings, &blob("spoilt output"));
    assert!(matches!(spoilt.problem, Problem::BlobContent { found } if found == digest("tuptuo tliops")));
    assert_eq!((spoilt.results, spoilt.healed), (vec![digest("spoilt")], true));
    assert_eq!(find(&report.findings, &blob("gone output")).problem, Problem::BlobMissing);
    assert!(matches!(find(&report.findings, &blob("cut short output")).problem, Problem::BlobContent { .. }));
    let manifest = find(&report.findings, &digest("unreadable").to_string());
    assert!(matches!(manifest.problem, Problem::ManifestDamaged { .. }));
    assert_eq!(find(&report.findings, "not a digest").problem, Problem::Stray);
    assert_eq!(find(&report.findings, "notes.txt").problem, Problem::Stray);
    let mut dropped = ["spoilt", "gone", "cut short", "unreadable"].map(digest);
    dropped.sort_unstable();
    assert_eq!(report.dropped, dropped);

    assert!(store.verify(true).unwrap().is_whole(), "once set aside, damage is not found again");
    assert_eq!(get(&store, digest("good")).unwrap(), b"good output");
    for text in ["spoilt", "gone", "cut short", "unreadable"] {
        assert!(store.by_key(&digest(text)).is_none());
        assert!(store.by_predicted(&predicted(digest(text))).is_none());
        put(&store, digest(text), format!("{text} output")).wait().unwrap();
        assert_eq!(get(&store, digest(text)).unwrap(), format!("{text} output").as_bytes());
    }
    // Blobs of `spoilt` and `cut short`, manifests of all four.
    assert_eq!(files(&place.root.join("quarantine")).len(), 2 + 4);
}

#[test]
fn without_full_only_presence_and_size_count() {
    let (_place, store) = filled();
    spoil(&store, "spoilt output");
    assert!(store.verify(false).unwrap().is_whole());
    let cut = store.object_path(&digest("cut short output"));
    fs_err::remove_file(&cut).unwrap();
    write(&cut, "cut");
    let report = store.verify(false).unwrap();
    assert_eq!(report.findings.len(), 1);
    assert_eq!(report.findings[0].problem, Problem::BlobSize { expected: 16, found: 3 });
    assert_eq!(report.dropped, [digest("cut short")]);
    assert!(!store.verify(true).unwrap().is_whole());
}

#[test]
fn a_manifest_that_lies_about_a_size_is_dropped_and_the_blob_stays() {
    let (place, store) = filled();
    let path = place.root.join(format!("results/{}.json", digest("good")));
    let text = fs_err::read_to_string(&path).unwrap();
    assert!(text.contains("\"bytes\":11"));
    write(&path, text.replace("\"bytes\":11", "\"bytes\":12"));
    let report = store.verify(true).unwrap();
    assert_eq!(report.dropped, [digest("good")]);
    assert!(store.object_path(&digest("good output")).exists());
}

#[test]
fn a_manifest_under_another_name_is_damage() {
    let (place, store) = filled();
    let from = place.root.join(format!("results/{}.json", digest("good")));
    let to = place.root.join(format!("results/{}.json", digest("impostor")));
    fs_err::copy(from, &to).unwrap();
    assert!(store.by_key(&digest("impostor")).is_none());
    let report = store.verify(false).unwrap();
    assert_eq!(report.dropped, [digest("impostor")]);
    assert!(!to.exists());
    assert!(store.by_key(&digest("good")).is_some());
}

#[test]
fn a_writable_blob_is_sealed_again() {
    let (_place, store) = filled();
    let blob = store.object_path(&digest("good output"));
    fs_err::set_permissions(&blob, std::fs::Permissions::from_mode(0o644)).unwrap();
    let report = store.verify(true).unwrap();
    assert_eq!(report.findings[0].problem, Problem::BlobMode { mode: 0o644 });
    assert!(report.is_whole() && report.dropped.is_empty());
    assert_eq!(mode(&blob), 0o444);
}

#[test]
fn a_damaged_index_never_makes_verify_touch_what_is_whole() {
    let (place, store) = filled();
    write(&place.root.join("index.sqlite"), "rubbish".repeat(1000));
    let report = store.verify(true).unwrap();
    assert!(report.findings.is_empty());
    assert!(!place.root.join("quarantine").exists());
    assert_eq!(get(&store, digest("good")).unwrap(), b"good output");
}
