//! Runs, journals, attempts, scratch folders, pins.

use std::io::Write;

use toolexpander::{
    base::{RunId, StageId},
    record::{RunEvent, RunStatus},
    store::{Pin, StoreError},
};

use super::support::*;

fn event(text: &str) -> RunEvent {
    RunEvent::Stopping { reason: text.to_owned() }
}

#[test]
fn a_journal_comes_back_in_order() {
    let place = Place::new();
    let store = place.open();
    let run = store.new_run("demo").unwrap();
    let said = [
        RunEvent::Started { run_id: run.id.clone(), stages: 3 },
        event("line\nbreaks and \"quotes\""),
        RunEvent::Ended { status: RunStatus::Ok, seconds: 0.1 + 0.2 },
    ];
    for event in &said {
        run.journal.append(event).unwrap();
    }
    assert!(run.logs().is_dir());
    drop(store);
    let store = place.open();
    let lines = store.journal(&run.id).unwrap();
    assert_eq!(lines.iter().map(|line| line.event.clone()).collect::<Vec<_>>(), said);
    assert!(lines.windows(2).all(|pair| pair[0].at <= pair[1].at));
    let runs = store.runs().unwrap();
    assert_eq!((runs.len(), runs[0].id.clone(), runs[0].pipeline.as_str()), (1, run.id, "demo"));
}

#[test]
fn a_torn_line_is_left_out() {
    let place = Place::new();
    let store = place.open();
    let run = store.new_run("demo").unwrap();
    run.journal.append(&event("one")).unwrap();
    run.journal.append(&event("two")).unwrap();
    let path = run.path.join("journal.jsonl");
    let whole = fs_err::read(&path).unwrap();
    let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for length in 0..=whole.len() {
        write(&path, &whole[..length]);
        let expected = if length < first {
            0
        } else if length < whole.len() {
            1
        } else {
            2
        };
        assert_eq!(store.journal(&run.id).unwrap().len(), expected, "{length} bytes");
    }
    let mut file = fs_err::OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"{\"event\": \"of a later version\"}\n{\"half\n").unwrap();
    drop(file);
    run.journal.append(&event("three")).unwrap();
    assert_eq!(store.journal(&run.id).unwrap().len(), 3);
}

#[test]
fn runs_sort_by_time_and_a_lost_run_file_hides_none() {
    let place = Place::new();
    let store = place.open();
    let ids: Vec<RunId> = (0..20).map(|_| store.new_run("demo").unwrap().id).collect();
    assert!(ids.is_sorted());
    fs_err::remove_file(place.root.join(format!("runs/{}/run.json", ids[3]))).unwrap();
    write(&place.root.join(format!("runs/{}/run.json", ids[4])), "{\"schema_ver");
    write(&place.root.join("runs/stray"), "no run");
    let listed = store.runs().unwrap();
    assert_eq!(listed.iter().map(|run| run.id.clone()).collect::<Vec<_>>(), ids);
    assert_eq!((listed[3].pipeline.as_str(), listed[5].pipeline.as_str()), ("", "demo"));
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let place = Place::new();
    let store = place.open();
    for name in ["", "..", "../x", "a/b", ".hidden", "a b"] {
        assert!(matches!(store.journal(&RunId::new(name)), Err(StoreError::BadName { .. })), "{name}");
        let pin = Pin { name: name.to_owned(), note: String::new(), results: Vec::new(), artifacts: Vec::new() };
        assert!(matches!(store.pin(&pin), Err(StoreError::BadName { .. })), "{name}");
    }
    let error = store.journal(&RunId::new("2020-01-01")).unwrap_err();
    assert!(error.to_string().starts_with("there is no run `2020-01-01`"), "{error}");
}

#[test]
fn attempts_are_fresh_and_gone_with_the_store() {
    let place = Place::new();
    let store = place.open();
    let run = store.new_run("demo").unwrap();
    let stage = StageId::new("train[2] @ kl=on, x='a/b'");
    let first = store.attempt_folder(&run, &stage).unwrap();
    let second = store.attempt_folder(&run, &stage).unwrap();
    assert_ne!(first, second);
    write(&first.join("half written"), "text");
    let name = first.file_name().unwrap();
    assert!(name.ends_with("train-2-kl-on-x-a-b"), "{name}");
    drop(store);
    assert!(!first.exists() && !second.exists());
}

#[test]
fn scratch_outlives_the_store_and_goes_with_the_commit() {
    let place = Place::new();
    let key = digest("key");
    let scratch = place.open().scratch_folder(&key).unwrap();
    write(&scratch.join("deep/checkpoint"), "half way");
    let store = place.open();
    assert_eq!(store.scratch_folder(&key).unwrap(), scratch);
    assert_eq!(fs_err::read_to_string(scratch.join("deep/checkpoint")).unwrap(), "half way");
    put(&store, key, "done").wait().unwrap();
    assert!(!scratch.exists());
}

#[test]
fn pins_can_be_read_by_people_and_back() {
    let place = Place::new();
    let store = place.open();
    let pin = Pin {
        name: "paper-table-2".to_owned(),
        note: "the numbers in \"table 2\"".to_owned(),
        results: vec![digest("result")],
        artifacts: vec![digest("model")],
    };
    store.pin(&pin).unwrap();
    let path = place.root.join("pins/paper-table-2.toml");
    assert!(fs_err::read_to_string(&path).unwrap().contains(&format!("\"{}\"", digest("result"))));
    assert_eq!(store.pins().unwrap(), std::slice::from_ref(&pin));
    store.pin(&Pin { note: String::new(), ..pin }).unwrap();
    assert_eq!(store.pins().unwrap()[0].note, "");
    write(&path, "schema = 1\nresult = []\n");
    let error = store.pins().unwrap_err();
    assert!(error.to_string().contains("unknown field `result`"), "{error}");
    store.unpin("paper-table-2").unwrap();
    assert!(matches!(store.unpin("paper-table-2"), Err(StoreError::Unknown { .. })));
    assert!(store.pins().unwrap().is_empty());
}
