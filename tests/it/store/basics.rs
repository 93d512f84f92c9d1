//! Committing, looking up, viewing.

use toolexpander::{
    base::{ArtifactType, Digest},
    record::{OutputFile, OutputRecord},
    store::{Store, StoreError},
};

use super::support::*;

#[test]
fn a_result_comes_back_after_reopening() {
    let place = Place::new();
    let key = digest("key");
    {
        let store = place.open();
        put(&store, key, "hello").wait().unwrap();
        assert_eq!(get(&store, key).unwrap(), b"hello");
    }
    let store = place.open();
    assert_eq!(get(&store, key).unwrap(), b"hello");
    assert_eq!(store.by_predicted(&predicted(key)).unwrap().key, key);
    assert_eq!(store.keys().unwrap(), [key]);
    assert_eq!(mode(&store.object_path(&digest("hello"))), 0o444);
    drop(store);
    assert!(files(&place.root.join("tmp")).is_empty(), "a closed store leaves nothing in tmp");
}

#[test]
fn the_lock_is_released_when_the_result_is_durable() {
    let place = Place::new();
    let store = place.open();
    let key = digest("key");
    put(&store, key, "hello").wait().unwrap();
    assert!(store.try_lock(&key).unwrap().is_some());
}

#[test]
fn a_blob_that_vanished_or_shrank_is_a_miss() {
    let place = Place::new();
    let store = place.open();
    let (gone, cut) = (digest("gone"), digest("cut"));
    put(&store, gone, "one").wait().unwrap();
    put(&store, cut, "two!").wait().unwrap();
    fs_err::remove_file(store.object_path(&digest("one"))).unwrap();
    let blob = store.object_path(&digest("two!"));
    fs_err::remove_file(&blob).unwrap();
    write(&blob, "two");
    for key in [gone, cut] {
        assert!(store.by_key(&key).is_none());
        assert!(store.by_predicted(&predicted(key)).is_none());
        assert!(store.manifest(&key).unwrap().is_some(), "what is known of it is kept");
        assert!(!store.nearest("train", "grpo").is_empty());
    }
    store.prefetch(&[predicted(gone), predicted(cut)]);
    assert!(store.by_predicted(&predicted(gone)).is_none());
    put(&store, gone, "one").wait().unwrap();
    put(&store, cut, "two!").wait().unwrap();
    assert_eq!(get(&store, gone).unwrap(), b"one");
    assert_eq!(get(&store, cut).unwrap(), b"two!");
}

#[test]
fn a_manifest_that_vanished_is_a_miss_even_if_the_index_knows_it() {
    let place = Place::new();
    let store = place.open();
    let key = digest("key");
    put(&store, key, "hello").wait().unwrap();
    assert!(store.by_predicted(&predicted(key)).is_some());
    fs_err::remove_file(place.root.join(format!("results/{key}.json"))).unwrap();
    store.prefetch(&[predicted(key)]);
    assert!(store.by_predicted(&predicted(key)).is_none());
    assert!(store.by_key(&key).is_none());
}

#[test]
fn prefetch_changes_no_answer() {
    let place = Place::new();
    let store = place.open();
    let keys: Vec<_> = (0..200).map(|index| digest(&format!("key {index}"))).collect();
    for key in &keys {
        drop(put(&store, *key, key.to_string()));
    }
    store.flush().unwrap();
    drop(store);
    let store = place.open();
    let mut asked: Vec<_> = keys.iter().map(|key| predicted(*key)).collect();
    asked.push(digest("unknown"));
    store.prefetch(&asked);
    for key in &keys {
        assert_eq!(store.by_predicted(&predicted(*key)).unwrap().key, *key);
        assert_eq!(store.by_key(key).unwrap().key, *key);
    }
    assert!(store.by_predicted(&digest("unknown")).is_none());
}

#[test]
fn the_newest_result_of_a_predicted_key_wins_and_a_lost_one_gives_way() {
    let place = Place::new();
    let store = place.open();
    let shared = digest("predicted by both");
    for (name, at) in [("newer", 2_000), ("older", 1_000)] {
        let lock = store.lock(&digest(name)).unwrap();
        let output = take(&store, &place.file("output", name));
        let mut manifest = manifest(digest(name), vec![output]);
        manifest.predicted = vec![shared];
        manifest.committed_at = at;
        store.commit(manifest, lock).wait().unwrap();
    }
    assert_eq!(store.by_predicted(&shared).unwrap().key, digest("newer"));
    fs_err::remove_file(store.object_path(&digest("newer"))).unwrap();
    assert_eq!(store.by_predicted(&shared).unwrap().key, digest("older"));
}

#[test]
fn the_nearest_results_are_of_the_same_stage_and_kind_newest_first() {
    let place = Place::new();
    let store = place.open();
    for (name, stage, kind, at) in [
        ("a", "train[1]", "grpo", 1),
        ("b", "train[1]", "grpo", 2),
        ("c", "train[2]", "grpo", 3),
        ("d", "train[1]", "sft", 4),
    ] {
        let lock = store.lock(&digest(name)).unwrap();
        let mut manifest = manifest(digest(name), Vec::new());
        (manifest.stage, manifest.kind, manifest.committed_at) = (stage.to_owned(), kind.to_owned(), at);
        store.commit(manifest, lock).wait().unwrap();
    }
    let nearest =
        |stage, kind| -> Vec<Digest> { store.nearest(stage, kind).into_iter().map(|manifest| manifest.key).collect() };
    assert_eq!(nearest("train[1]", "grpo"), [digest("b"), digest("a")]);
    assert_eq!(nearest("train[1]", "sft"), [digest("d")]);
    assert_eq!(nearest("train[3]", "grpo"), []);
    assert_eq!(nearest("train[2]", "sft"), []);
}

#[test]
fn an_added_predicted_key_survives_a_rebuilt_index() {
    let place = Place::new();
    let store = place.open();
    let key = digest("key");
    put(&store, key, "hello").wait().unwrap();
    store.add_predicted(&key, &digest("another way"));
    store.flush().unwrap();
    assert_eq!(store.by_predicted(&digest("another way")).unwrap().key, key);
    store.rebuild_index().unwrap();
    assert_eq!(store.by_predicted(&digest("another way")).unwrap().key, key);
    assert_eq!(store.by_predicted(&predicted(key)).unwrap().key, key);
}

#[test]
fn a_commit_under_another_keys_lock_is_refused() {
    let place = Place::new();
    let store = place.open();
    let lock = store.lock(&digest("mine")).unwrap();
    let error = store.commit(manifest(digest("theirs"), Vec::new()), lock).wait().unwrap_err();
    assert!(matches!(&error, StoreError::Commit { source, .. } if matches!(**source, StoreError::ForeignLock { .. })));
    assert!(store.by_key(&digest("theirs")).is_none());
    store.flush().unwrap();
}

#[test]
fn a_commit_without_its_blob_fails_and_flush_tells_whoever_did_not_wait() {
    let place = Place::new();
    let store = place.open();
    let key = digest("key");
    let lock = store.lock(&key).unwrap();
    let output = take(&store, &place.file("output", "hello"));
    fs_err::remove_file(store.object_path(&output.digest)).unwrap();
    drop(store.commit(manifest(key, vec![output]), lock));
    let error = store.flush().unwrap_err();
    assert!(error.to_string().contains(&key.to_string()), "{error}");
    assert!(store.by_key(&key).is_none());
    store.flush().unwrap();
    assert!(store.try_lock(&key).unwrap().is_some());
}

#[test]
fn a_manifest_of_a_later_version_is_a_miss_and_no_damage() {
    let place = Place::new();
    let store = place.open();
    let key = digest("key");
    let path = write(
        &place.root.join(format!("results/{key}.json")),
        format!("{{\"schema_version\": 99, \"key\": \"{key}\", \"something\": \"new\"}}"),
    );
    assert!(store.by_key(&key).is_none());
    assert!(store.manifest(&key).unwrap().is_none());
    assert!(store.verify(true).unwrap().is_whole());
    assert!(path.exists());
}

#[test]
fn a_view_of_a_file_is_the_blob_and_of_a_folder_a_folder_of_links() {
    let place = Place::new();
    let store = place.open();
    let single = take(&store, &place.file("single", "hello"));
    assert_eq!(store.view(&single, &place.path.join("unused")).unwrap(), store.object_path(&single.digest));

    place.file("model/config.json", "{}");
    place.file("model/deep/er/weights", "1234");
    place.file("model/same", "{}");
    let folder = store.take_in(&ArtifactType::Model, &place.path.join("model")).unwrap();
    let at = place.path.join("views/model");
    for _ in 0..2 {
        assert_eq!(store.view(&folder, &at).unwrap(), at);
        assert_eq!(fs_err::read_to_string(at.join("deep/er/weights")).unwrap(), "1234");
        assert_eq!(files(&at).len(), 3);
    }
    assert_eq!(store.file_digest(&at).unwrap(), folder.digest, "taken in and read elsewhere, the digest is the same");

    write(&at.join("mine"), "not of the view");
    assert!(matches!(store.view(&folder, &at), Err(StoreError::Occupied { .. })));
    assert!(at.join("mine").exists());
    fs_err::remove_file(store.object_path(&digest("1234"))).unwrap();
    assert!(matches!(store.view(&folder, &place.path.join("other")), Err(StoreError::MissingBlob { .. })));
}

#[test]
fn a_manifests_path_cannot_lead_out_of_a_view() {
    let place = Place::new();
    let store = place.open();
    let blob = take(&store, &place.file("evil", "evil"));
    for path in ["../escaped", "/tmp/escaped", "a/../../escaped", ""] {
        let file = OutputFile { path: path.to_owned(), digest: blob.digest, bytes: blob.bytes };
        let output =
            OutputRecord { artifact_type: ArtifactType::Folder, files: vec![file], rows: None, ..blob.clone() };
        let error = store.view(&output, &place.path.join("view")).unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
        assert!(!place.path.join("escaped").exists());
        assert!(!place.path.join("view").exists());
    }
}

#[test]
fn a_read_only_store_answers_and_refuses_to_write() {
    let place = Place::new();
    let error = Store::open_read_only(&place.root).unwrap_err();
    assert!(error.to_string().contains(place.root.as_str()), "{error}");

    let key = digest("key");
    put(&place.open(), key, "hello").wait().unwrap();
    let before = files(&place.root);
    let store = Store::open_read_only(&place.root).unwrap();
    store.prefetch(&[predicted(key)]);
    assert_eq!(get(&store, key).unwrap(), b"hello");
    assert_eq!(store.by_predicted(&predicted(key)).unwrap().key, key);
    assert!(!store.nearest("train", "grpo").is_empty());
    let output = place.file("output", "more");
    let refusals = [
        store.take_in(&ArtifactType::File, &output).unwrap_err(),
        store.lock(&key).unwrap_err(),
        store.new_run("demo").unwrap_err(),
        store.scratch_folder(&key).unwrap_err(),
        store.unpin("name").unwrap_err(),
        store.gc(&Default::default()).unwrap_err(),
    ];
    for error in refusals {
        assert!(matches!(error, StoreError::ReadOnly { .. }), "{error}");
        assert!(error.to_string().contains(place.root.as_str()), "{error}");
    }
    assert!(output.exists());
    assert_eq!(store.file_digest(&output).unwrap(), digest("more"));
    assert!(store.verify(true).unwrap().is_whole());
    drop(store);
    let after: Vec<_> =
        files(&place.root).into_iter().filter(|path| !path.as_str().contains("index.sqlite-")).collect();
    let before: Vec<_> = before.into_iter().filter(|path| !path.as_str().contains("index.sqlite-")).collect();
    assert_eq!(before, after);
}

#[test]
fn a_read_only_store_without_an_index_makes_one_in_memory() {
    let place = Place::new();
    let key = digest("key");
    put(&place.open(), key, "hello").wait().unwrap();
    for suffix in ["", "-wal", "-shm"] {
        let _ = fs_err::remove_file(format!("{}/index.sqlite{suffix}", place.root));
    }
    let store = Store::open_read_only(&place.root).unwrap();
    assert_eq!(store.by_predicted(&predicted(key)).unwrap().key, key);
    assert!(!place.root.join("index.sqlite").exists());
}

#[test]
fn folders_that_were_tidied_away_by_hand_come_back() {
    let place = Place::new();
    put(&place.open(), digest("key"), "hello").wait().unwrap();
    for folder in ["tmp", "locks", "runs", "pins", "objects"] {
        fs_err::remove_dir_all(place.root.join(folder)).unwrap();
    }
    let store = place.open();
    assert!(store.by_key(&digest("key")).is_none());
    store.new_run("demo").unwrap();
    put(&store, digest("key"), "hello").wait().unwrap();
    assert_eq!(get(&store, digest("key")).unwrap(), b"hello");
}

#[test]
fn a_relative_root_gives_absolute_paths() {
    let place = Place::new();
    put(&place.open(), digest("key"), "hello").wait().unwrap();
    assert!(place.open().object_path(&digest("hello")).is_absolute());
    assert!(place.open().root().is_absolute());
}
