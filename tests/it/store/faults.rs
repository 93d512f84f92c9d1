//! Every step of writing, killed and failed: afterwards there is nothing or the whole.

use std::{
    io,
    os::unix::process::ExitStatusExt,
    sync::atomic::{AtomicUsize, Ordering},
};

use camino::Utf8Path;
use toolexpander::{
    base::ArtifactType,
    store::{FaultPoint, Faults, GcOptions, Options, Store},
};

use super::support::*;

fn point(name: &str) -> FaultPoint {
    *FaultPoint::ALL.iter().find(|point| point.name() == name).unwrap()
}

/// A child that commits three results of two blobs each and a folder, collects garbage and verifies, and kills itself when
/// it comes to the named point for the given time.
pub fn die_at(arguments: &[&str]) {
    let (root, name, nth) = (Utf8Path::new(arguments[0]), arguments[1], arguments[2].parse::<usize>().unwrap());
    let (deadly, seen) = (point(name), AtomicUsize::new(0));
    let faults = Faults::new(move |point| {
        if point == deadly && seen.fetch_add(1, Ordering::SeqCst) + 1 == nth {
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).unwrap();
        }
        Ok(())
    });
    let store = Store::open_with(root, Options { faults, ..Options::default() }).unwrap();
    work(&store);
    println!("\nalive");
}

fn key(index: usize) -> toolexpander::base::Digest {
    digest(&format!("key {index}"))
}

fn work(store: &Store) {
    let run = store.new_run("demo").unwrap();
    let begin = |index: usize| {
        let lock = store.lock(&key(index)).unwrap();
        let folder = store.attempt_folder(&run, &toolexpander::base::StageId::new("stage")).unwrap();
        write(&folder.join("single"), format!("single {index}"));
        write(&folder.join("shared"), "shared");
        write(&folder.join("folder/one"), format!("one {index}"));
        write(&folder.join("folder/shared"), "shared");
        fs_err::hard_link(folder.join("folder/one"), folder.join("another name")).unwrap();
        let outputs =
            [("single", ArtifactType::File), ("shared", ArtifactType::File), ("folder", ArtifactType::Folder)]
                .map(|(name, artifact_type)| store.take_in(&artifact_type, &folder.join(name)).unwrap());
        let mut manifest = manifest(key(index), outputs.to_vec());
        manifest.run_id = run.id.to_string();
        store.commit(manifest, lock)
    };
    let tickets: Vec<_> = (0..3).map(begin).collect();
    for ticket in tickets {
        ticket.wait().unwrap();
    }
    // Garbage for the collection, and damage for verification.
    let lone = put(store, digest("lone"), "lone output");
    lone.wait().unwrap();
    drop(lone);
    let spoilt = store.object_path(&digest("single 2"));
    fs_err::remove_file(&spoilt).unwrap();
    write(&spoilt, "SINGLE 2");
    store.verify(true).unwrap();
    let other = Store::open(store.root()).unwrap();
    take(&other, &output(&other, "orphan", "orphan"));
    drop(other);
    store.gc(&GcOptions::default()).unwrap();
}

/// Checks that every result that is there is whole, bytes and all, and that the store goes on working.
fn check(place: &Place, what: &str) {
    {
        let store = place.open();
        let there: Vec<_> = store.keys().unwrap();
        for index in 0..3 {
            let Some(manifest) = store.by_key(&key(index)) else {
                // Only verification, in the middle of setting its damage aside, leaves a manifest without a blob.
                assert!(!there.contains(&key(index)) || index == 2, "{what}: result {index} is half there");
                continue;
            };
            let single = &manifest.outputs["out0"];
            let text = fs_err::read_to_string(store.object_path(&single.digest)).unwrap();
            assert!(text == format!("single {index}") || (index == 2 && text == "SINGLE 2"), "{what}");
            let view = store.view(&manifest.outputs["out2"], &place.path.join(format!("view {index}"))).unwrap();
            assert_eq!(fs_err::read_to_string(view.join("one")).unwrap(), format!("one {index}"), "{what}");
            assert_eq!(fs_err::read_to_string(view.join("shared")).unwrap(), "shared", "{what}");
            assert_eq!(store.by_predicted(&predicted(key(index))).unwrap().key, key(index), "{what}");
            fs_err::remove_dir_all(view).unwrap();
        }
        store.verify(true).unwrap();
        assert!(store.verify(true).unwrap().is_whole(), "{what}");
        work(&store);
        assert_eq!(get(&store, key(1)).unwrap(), b"single 1", "{what}");
        store.gc(&GcOptions::default()).unwrap();
    }
    // What the killed process left below tmp/ is gone.
    assert_eq!(files(&place.root.join("tmp")), [] as [&Utf8Path; 0], "{what}");
}

#[test]
fn killed_at_any_step_there_is_nothing_or_the_whole() {
    for point in FaultPoint::ALL {
        for nth in [1, 2, 5] {
            let place = Place::quick();
            let output =
                child_command(&["die-at", place.root.as_str(), point.name(), &nth.to_string()]).output().unwrap();
            let alive = String::from_utf8_lossy(&output.stdout).contains("\nalive");
            assert!(alive || output.status.signal() == Some(9), "{}: {output:?}", point.name());
            assert!(nth > 1 || !alive, "the point {} is never passed", point.name());
            check(&place, &format!("killed at {} ({nth})", point.name()));
        }
    }
}

#[test]
fn failed_at_any_step_there_is_an_error_and_nothing_or_the_whole() {
    let committing = FaultPoint::ALL.iter().filter(|point| **point <= FaultPoint::ResultsDurable);
    for deadly in committing {
        let place = Place::quick();
        let (deadly, failed) = (*deadly, std::sync::Arc::new(AtomicUsize::new(0)));
        let counter = std::sync::Arc::clone(&failed);
        let faults = Faults::new(move |point| {
            if point == deadly && counter.fetch_add(1, Ordering::SeqCst) == 0 {
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            Ok(())
        });
        let store = Store::open_with(&place.root, Options { faults, ..Options::default() }).unwrap();
        let path = place.file("output", "hello");
        fs_err::hard_link(&path, place.path.join("another name")).unwrap();
        let lock = store.lock(&digest("key")).unwrap();
        let error = match store.take_in(&ArtifactType::File, &path) {
            Err(error) => {
                drop(lock);
                error
            }
            Ok(output) => {
                let error = store.commit(manifest(digest("key"), vec![output]), lock).wait().unwrap_err();
                assert!(store.try_lock(&digest("key")).unwrap().is_some(), "the lock is let go");
                error
            }
        };
        assert!(error.is_disk_full(), "{}: {error}", deadly.name());
        assert!(store.by_key(&digest("key")).is_none(), "{}", deadly.name());
        assert!(store.by_predicted(&predicted(digest("key"))).is_none(), "{}", deadly.name());
        let left = files(&place.root.join("tmp"));
        assert!(left.iter().all(|path| path.file_name() == Some("uses")), "{}: {left:?}", deadly.name());
        assert_eq!(failed.load(Ordering::SeqCst), 1, "{}", deadly.name());
        put(&store, digest("key"), "hello").wait().unwrap();
        assert_eq!(get(&store, digest("key")).unwrap(), b"hello", "{}", deadly.name());
    }
}

#[test]
fn one_failure_in_a_batch_fails_no_other_result() {
    let place = Place::quick();
    let store = place.open();
    let good: Vec<_> = (0..5).map(|index| put(&store, key(index), format!("output {index}"))).collect();
    let lock = store.lock(&digest("bad")).unwrap();
    let output = take(&store, &place.file("output", "lost"));
    fs_err::remove_file(store.object_path(&output.digest)).unwrap();
    let bad = store.commit(manifest(digest("bad"), vec![output]), lock);
    let more: Vec<_> = (5..9).map(|index| put(&store, key(index), format!("output {index}"))).collect();
    bad.wait().unwrap_err();
    for ticket in good.into_iter().chain(more) {
        ticket.wait().unwrap();
    }
    assert_eq!(store.keys().unwrap().len(), 9);
}
