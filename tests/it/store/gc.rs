//! Garbage collection keeps what is used and removes the rest.

use std::{
    io::{BufRead, BufReader},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use camino::Utf8Path;
use toolexpander::{
    base::{ArtifactType, Digest, RunId},
    record::{RunEvent, StageReport, StageStatus},
    store::{FaultPoint, Faults, GcOptions, GcReport, Options, Pin, RunFolder, Store, StoreError},
};

use super::support::*;

/// Commits a result of a run.
fn made_by(store: &Store, run: &RunFolder, name: &str) {
    let lock = store.lock(&digest(name)).unwrap();
    let folder = store.attempt_folder(run, &toolexpander::base::StageId::new(name)).unwrap();
    let output = take(store, &write(&folder.join("output"), format!("{name} output")));
    let mut manifest = manifest(digest(name), vec![output]);
    manifest.run_id = run.id.to_string();
    store.commit(manifest, lock).wait().unwrap();
}

fn cached(name: &str) -> RunEvent {
    RunEvent::StageEnded {
        report: StageReport {
            id: name.to_owned(),
            name: name.to_owned(),
            variant: None,
            variants: Vec::new(),
            kind: "grpo".to_owned(),
            key: Some(digest(name)),
            status: StageStatus::Cached,
            reason: String::new(),
            seconds: 0.0,
            outputs: Default::default(),
        },
    }
}

fn collect(place: &Place, options: GcOptions) -> GcReport {
    place.open().gc(&options).unwrap()
}

fn there(place: &Place, name: &str) -> bool {
    let store = Store::open_read_only(&place.root).unwrap();
    let found = get(&store, digest(name));
    assert!(found.is_none() || found.unwrap() == format!("{name} output").as_bytes());
    store.by_key(&digest(name)).is_some()
}

/// Three runs of `demo` that each make one result and use the one before, one run of `other`, one result of no run.
fn filled() -> (Place, Vec<RunId>) {
    let place = Place::new();
    let mut runs = Vec::new();
    for (index, pipeline) in ["demo", "demo", "demo", "other"].into_iter().enumerate() {
        let store = place.open();
        let run = store.new_run(pipeline).unwrap();
        made_by(&store, &run, &format!("result {index}"));
        match index {
            1 => run.journal.append(&cached("result 0")).unwrap(),
            2 => run.record_uses(&[digest("result 1")]).unwrap(),
            _ => {}
        }
        runs.push(run.id);
    }
    put(&place.open(), digest("lone"), "lone output").wait().unwrap();
    (place, runs)
}

#[test]
fn by_default_whatever_a_run_used_or_made_stays() {
    let (place, _) = filled();
    let planned = collect(&place, GcOptions { dry_run: true, ..GcOptions::default() });
    assert!(there(&place, "lone"));
    let report = collect(&place, GcOptions::default());
    assert_eq!((report.kept_runs, report.kept_results, report.kept_blobs), (4, 4, 4));
    assert_eq!((report.removed_results.clone(), report.removed_blobs), (vec![digest("lone")], 1));
    assert_eq!((report.kept_bytes, report.freed_bytes), (4 * 15, 11));
    assert_eq!(GcReport { dry_run: false, ..planned }, report, "a dry run tells the truth");
    assert!(!there(&place, "lone"));
    assert!((0..4).all(|index| there(&place, &format!("result {index}"))));
    assert!(place.open().by_predicted(&predicted(digest("lone"))).is_none());
    assert!(place.open().verify(true).unwrap().is_whole());
}

#[test]
fn dropped_runs_take_what_no_kept_run_used_along() {
    let (place, runs) = filled();
    let report = collect(&place, GcOptions { keep_runs: Some(1), ..GcOptions::default() });
    assert_eq!(report.removed_runs, runs[..2]);
    // Run 2 made result 2 and used result 1; only dropped runs used result 0.
    assert!(!there(&place, "result 0"));
    assert!(there(&place, "result 1") && there(&place, "result 2") && there(&place, "result 3"));
    let left: Vec<RunId> = place.open().runs().unwrap().into_iter().map(|run| run.id).collect();
    assert_eq!(left, runs[2..]);
}

#[test]
fn the_newest_run_of_each_pipeline_stays_however_old() {
    let (place, runs) = filled();
    for options in [
        GcOptions { older_than: Some(Duration::ZERO), ..GcOptions::default() },
        GcOptions { keep_runs: Some(0), ..GcOptions::default() },
    ] {
        collect(&place, options);
        let left: Vec<RunId> = place.open().runs().unwrap().into_iter().map(|run| run.id).collect();
        assert_eq!(left, runs[2..]);
        assert!(there(&place, "result 1") && there(&place, "result 2") && there(&place, "result 3"));
    }
    let (place, _) = filled();
    let report = collect(&place, GcOptions { older_than: Some(Duration::from_secs(60)), ..GcOptions::default() });
    assert!(report.removed_runs.is_empty());
}

#[test]
fn pins_keep_results_files_and_folders() {
    let place = Place::new();
    let store = place.open();
    place.file("folder/a", "in a folder");
    for (name, output) in [
        ("by key", take(&store, &place.file("one", "by key output"))),
        ("by blob", take(&store, &place.file("two", "by blob output"))),
        ("by folder", store.take_in(&ArtifactType::Folder, &place.path.join("folder")).unwrap()),
        ("loose", take(&store, &place.file("three", "loose output"))),
    ] {
        let artifacts = if name == "by blob" || name == "by folder" { vec![output.digest] } else { Vec::new() };
        let results = if name == "by key" { vec![digest(name)] } else { Vec::new() };
        store.commit(manifest(digest(name), vec![output]), store.lock(&digest(name)).unwrap()).wait().unwrap();
        if name != "loose" {
            store.pin(&Pin { name: name.replace(' ', "-"), note: String::new(), results, artifacts }).unwrap();
        }
    }
    drop(store);
    let report = collect(&place, GcOptions::default());
    assert_eq!(report.removed_results, [digest("loose")]);
    let store = place.open();
    assert!(["by key", "by blob", "by folder"].iter().all(|name| store.by_key(&digest(name)).is_some()));
    for name in ["by-key", "by-blob", "by-folder"] {
        store.unpin(name).unwrap();
    }
    drop(store);
    assert_eq!(collect(&place, GcOptions::default()).kept_blobs, 0);
}

#[test]
fn a_pin_that_makes_no_sense_stops_the_collection() {
    let (place, _) = filled();
    write(&place.root.join("pins/torn.toml"), "results = [\"12");
    let error = place.open().gc(&GcOptions::default()).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert!(there(&place, "lone"));
}

#[test]
fn what_an_open_store_relies_on_stays() {
    let place = Place::new();
    let store = place.open();
    put(&place.open(), digest("hit"), "hit output").wait().unwrap();
    put(&place.open(), digest("unseen"), "unseen output").wait().unwrap();
    assert!(store.by_key(&digest("hit")).is_some());
    let waiting = take(&store, &place.file("output", "not committed yet"));
    let report = collect(&place, GcOptions::default());
    assert_eq!((report.removed_results, report.removed_blobs), (vec![digest("unseen")], 1));
    store.commit(manifest(digest("late"), vec![waiting]), store.lock(&digest("late")).unwrap()).wait().unwrap();
    assert_eq!(get(&store, digest("late")).unwrap(), b"not committed yet");
    // The same store may collect too.
    assert!(store.gc(&GcOptions::default()).unwrap().removed_results.is_empty());
    drop(store);
    assert_eq!(collect(&place, GcOptions::default()).kept_results, 0);
}

#[test]
fn a_run_whose_process_is_alive_stays() {
    let place = Place::new();
    let store = place.open();
    let run = store.new_run("demo").unwrap();
    made_by(&store, &run, "early");
    place.open().new_run("demo").unwrap();
    let options = GcOptions { keep_runs: Some(1), ..GcOptions::default() };
    assert!(collect(&place, options.clone()).removed_runs.is_empty());
    assert!(there(&place, "early"));
    drop(store);
    assert_eq!(collect(&place, options).removed_runs, [run.id]);
    assert!(!there(&place, "early"));
}

#[test]
fn leftovers_of_dead_processes_go_and_those_of_living_ones_stay() {
    let place = Place::new();
    let store = place.open();
    let run = store.new_run("demo").unwrap();
    let attempt = store.attempt_folder(&run, &toolexpander::base::StageId::new("train")).unwrap();
    write(&attempt.join("half"), "half an output");
    write(&place.root.join("tmp/77-dead/uses"), "");
    write(&place.root.join("tmp/77-dead/00001-train/half"), "half an output");
    write(&place.root.join("tmp/loose file"), "?");
    let (done, open) = (digest("done"), digest("open"));
    put(&store, done, "done output").wait().unwrap();
    for key in [done, open] {
        write(&store.scratch_folder(&key).unwrap().join("checkpoint"), "12345");
    }
    let report = store.gc(&GcOptions::default()).unwrap();
    assert_eq!(report.removed_leftovers, 3, "the dead session, the loose file, the finished scratch folder");
    assert!(attempt.join("half").exists());
    assert!(!place.root.join("tmp/77-dead").exists() && !place.root.join("tmp/loose file").exists());
    assert!(!place.root.join(format!("tmp/scratch/{done}")).exists());
    assert!(place.root.join(format!("tmp/scratch/{open}/checkpoint")).exists());
}

/// A child that commits results without any run, keeps its store open and checks over and over that all are there.
pub fn commit_and_keep(arguments: &[&str]) {
    let store = Store::open(Utf8Path::new(arguments[0])).unwrap();
    println!("\nopen");
    for index in 0..arguments[2].parse().unwrap() {
        // Half of the blobs are shared by all children, so they meet blobs that are garbage to others.
        let name = if index % 2 == 0 { format!("{} {index}", arguments[1]) } else { format!("all {index}") };
        let lock = store.lock(&digest(&name)).unwrap();
        let taken = take(&store, &output(&store, &index.to_string(), format!("{name} output")));
        store.commit(manifest(digest(&name), vec![taken]), lock).wait().unwrap();
        for earlier in (0..=index).rev().take(20) {
            let name = if earlier % 2 == 0 { format!("{} {earlier}", arguments[1]) } else { format!("all {earlier}") };
            assert_eq!(get(&store, digest(&name)), Some(format!("{name} output").into_bytes()), "{name}");
        }
    }
}

#[test]
fn collecting_beside_committers_never_loses_a_live_blob() {
    let place = Place::new();
    drop(place.open());
    let mut children: Vec<_> =
        (0..4).map(|index| child(&["commit-and-keep", place.root.as_str(), &format!("child{index}"), "60"])).collect();
    let over = AtomicBool::new(false);
    let store = place.open();
    let (collections, removed) = std::thread::scope(|scope| {
        let collector = scope.spawn(|| {
            let (mut collections, mut removed) = (0, 0);
            while !over.load(Ordering::Relaxed) {
                // Garbage of nobody, so that there is always something to remove.
                let name = format!("garbage {collections}");
                put(&place.open(), digest(&name), &name).wait().unwrap();
                let report = place.open().gc(&GcOptions::default()).unwrap();
                collections += 1;
                removed += report.removed_blobs;
            }
            (collections, removed)
        });
        // Threads of one store beside the children.
        let threads: Vec<_> = (0..2)
            .map(|thread| {
                let store = &store;
                scope.spawn(move || {
                    for index in 0..60 {
                        let key = digest(&format!("thread {thread} {index}"));
                        put(store, key, format!("all {index} output")).wait().unwrap();
                        assert_eq!(get(store, key), Some(format!("all {index} output").into_bytes()));
                    }
                })
            })
            .collect();
        // Whatever goes wrong, the collector must be told before anybody panics.
        let mut succeeded = Vec::new();
        for child in &mut children {
            BufReader::new(child.stdout.take().unwrap()).lines().for_each(drop);
            succeeded.push(child.wait().unwrap().success());
        }
        succeeded.extend(threads.into_iter().map(|thread| thread.join().is_ok()));
        over.store(true, Ordering::Relaxed);
        assert!(succeeded.iter().all(|success| *success), "a live result was lost");
        collector.join().unwrap()
    });
    drop(store);
    assert!(collections > 3 && removed > 3, "{collections} collections removed {removed} blobs");
    assert!(place.open().verify(true).unwrap().is_whole());
    assert_eq!(collect(&place, GcOptions::default()).kept_results, 0);
}

#[test]
fn what_is_taken_in_while_blobs_are_deleted_waits_and_is_there_afterwards() {
    let place = Place::new();
    let texts: Vec<String> = (0..6).map(|index| format!("orphan {index}")).collect();
    for text in &texts {
        // Made durable for a result that then goes, so they lie there, sealed, for nobody.
        put(&place.open(), digest("gone"), text).wait().unwrap();
    }
    fs_err::remove_file(place.root.join(format!("results/{}.json", digest("gone")))).unwrap();
    let (begin, begun) = std::sync::mpsc::channel();
    let begin = std::sync::Mutex::new(Some(begin));
    let (root, took) = (place.root.clone(), std::sync::Arc::new(AtomicBool::new(false)));
    let watched = std::sync::Arc::clone(&took);
    let faults = Faults::new(move |point| {
        if point == FaultPoint::DeadBlobRemoved
            && let Some(begin) = begin.lock().unwrap().take()
        {
            begin.send(()).unwrap();
            // Time enough for whoever does not wait.
            let since = std::time::Instant::now();
            while since.elapsed() < Duration::from_millis(300) && !watched.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
        }
        Ok(())
    });
    let collector = Store::open_with(&root, Options { faults, ..Options::default() }).unwrap();
    let store = place.open();
    std::thread::scope(|scope| {
        let (store, texts, took) = (&store, &texts, &took);
        let taker = scope.spawn(move || {
            begun.recv().unwrap();
            let outputs: Vec<_> = texts.iter().map(|text| take(store, &output(store, text, text))).collect();
            took.store(true, Ordering::SeqCst);
            outputs
        });
        let report = collector.gc(&GcOptions::default()).unwrap();
        assert_eq!(report.removed_blobs, 6);
        let outputs = taker.join().unwrap();
        assert!(outputs.iter().all(|output| store.is_present(output)));
    });
}

#[test]
fn keys_are_digests() {
    // What the tests above rely on: names of results and blobs do not collide.
    assert_ne!(digest("result 0"), Digest::of(b"result 0 output"));
}
