//! The store against a model: whatever is done to it, in whatever order, its answers are the model's.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use toolexpander::store::{GcOptions, Pin, Store};

use super::support::*;

#[derive(Clone, Debug)]
enum Step {
    /// Commit key `0` with content `1`, as a part of run `2` or of none.
    Commit(u8, u8, Option<u8>),
    /// Remove a blob by hand.
    Evict(u8),
    /// Cut a blob short by hand.
    Cut(u8),
    /// Give a blob other bytes of the same length by hand.
    Spoil(u8),
    /// Remove a manifest by hand.
    DropManifest(u8),
    Pin(u8),
    Unpin(u8),
    Collect,
    Verify,
    Reopen,
    DeleteIndex,
    SpoilIndex,
    Look(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let (key, content) = (0..6_u8, 0..4_u8);
    prop_oneof![
        6 => (key.clone(), content.clone(), proptest::option::of(0..2_u8)).prop_map(|(k, c, r)| Step::Commit(k, c, r)),
        2 => content.clone().prop_map(Step::Evict),
        1 => content.clone().prop_map(Step::Cut),
        1 => content.prop_map(Step::Spoil),
        1 => key.clone().prop_map(Step::DropManifest),
        1 => key.clone().prop_map(Step::Pin),
        1 => key.clone().prop_map(Step::Unpin),
        2 => Just(Step::Collect),
        2 => Just(Step::Verify),
        2 => Just(Step::Reopen),
        1 => Just(Step::DeleteIndex),
        1 => Just(Step::SpoilIndex),
        2 => key.prop_map(Step::Look),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Blob {
    Whole,
    Cut,
    Spoilt,
}

/// What should be there.
#[derive(Default)]
struct Model {
    /// Key → content and run.
    results: BTreeMap<u8, (u8, Option<u8>)>,
    blobs: BTreeMap<u8, Blob>,
    pins: BTreeSet<u8>,
    /// What the open store has relied on since it was opened.
    noted_results: BTreeSet<u8>,
    noted_blobs: BTreeSet<u8>,
}

impl Model {
    fn hit(&self, key: u8) -> Option<u8> {
        let (content, _) = self.results.get(&key)?;
        self.blobs.get(content).filter(|blob| **blob != Blob::Cut).map(|_| *content)
    }

    fn collect(&mut self) {
        let Self { results, blobs, pins, noted_results, noted_blobs } = self;
        results.retain(|key, (_, run)| run.is_some() || pins.contains(key) || noted_results.contains(key));
        let named: BTreeSet<u8> = results.values().map(|(content, _)| *content).collect();
        blobs.retain(|content, _| named.contains(content) || noted_blobs.contains(content));
    }

    fn verify(&mut self) {
        // A cut blob has the wrong bytes whatever manifests say; so has a spoilt one.
        self.blobs.retain(|_, blob| *blob == Blob::Whole);
        let blobs = &self.blobs;
        self.results.retain(|_, (content, _)| blobs.contains_key(content));
    }
}

fn key_of(key: u8) -> toolexpander::base::Digest {
    digest(&format!("key {key}"))
}

fn text_of(content: u8) -> String {
    format!("content {content}")
}

fn run_steps(steps: &[Step]) {
    let place = Place::quick();
    let mut store = place.open();
    let mut model = Model::default();
    let runs = [store.new_run("demo").unwrap().id, store.new_run("other").unwrap().id];
    for step in steps {
        match *step {
            Step::Commit(key, content, run) => {
                let lock = store.lock(&key_of(key)).unwrap();
                let output = take(&store, &place.file("output", text_of(content)));
                let mut manifest = manifest(key_of(key), vec![output]);
                manifest.run_id = run.map(|run| runs[usize::from(run)].to_string()).unwrap_or_default();
                store.commit(manifest, lock).wait().unwrap();
                model.results.insert(key, (content, run));
                // A blob of the right size is not read again.
                let spoilt = model.blobs.get(&content) == Some(&Blob::Spoilt);
                model.blobs.insert(content, if spoilt { Blob::Spoilt } else { Blob::Whole });
                model.noted_results.insert(key);
                model.noted_blobs.insert(content);
            }
            Step::Evict(content) => {
                let _ = fs_err::remove_file(store.object_path(&digest(&text_of(content))));
                model.blobs.remove(&content);
            }
            Step::Cut(content) | Step::Spoil(content) => {
                let cut = matches!(step, Step::Cut(_));
                if let Some(blob) = model.blobs.get_mut(&content) {
                    let path = store.object_path(&digest(&text_of(content)));
                    let permissions = fs_err::metadata(&path).unwrap().permissions();
                    fs_err::remove_file(&path).unwrap();
                    write(&path, if cut { "cut".to_owned() } else { text_of(content).to_uppercase() });
                    fs_err::set_permissions(&path, permissions).unwrap();
                    *blob = if cut { Blob::Cut } else { Blob::Spoilt };
                }
            }
            Step::DropManifest(key) => {
                let _ = fs_err::remove_file(place.root.join(format!("results/{}.json", key_of(key))));
                model.results.remove(&key);
            }
            Step::Pin(key) => {
                let name = format!("pin-{key}");
                let (results, artifacts) = (vec![key_of(key)], Vec::new());
                store.pin(&Pin { name, note: String::new(), results, artifacts }).unwrap();
                model.pins.insert(key);
            }
            Step::Unpin(key) => {
                assert_eq!(store.unpin(&format!("pin-{key}")).is_ok(), model.pins.remove(&key));
            }
            Step::Collect => {
                store.gc(&GcOptions::default()).unwrap();
                model.collect();
            }
            Step::Verify => {
                let whole = model.blobs.values().all(|blob| *blob == Blob::Whole)
                    && model.results.values().all(|(content, _)| model.blobs.contains_key(content));
                assert_eq!(store.verify(true).unwrap().is_whole(), whole);
                model.verify();
            }
            Step::Reopen => {
                drop(store);
                store = place.open();
                model.noted_results.clear();
                model.noted_blobs.clear();
            }
            Step::DeleteIndex => {
                for suffix in ["", "-wal", "-shm"] {
                    let _ = fs_err::remove_file(format!("{}/index.sqlite{suffix}", place.root));
                }
            }
            Step::SpoilIndex => drop(write(&place.root.join("index.sqlite"), "no database".repeat(800))),
            Step::Look(key) => {
                let found = store.by_predicted(&predicted(key_of(key))).map(|manifest| manifest.key);
                assert_eq!(found, model.hit(key).map(|_| key_of(key)), "by_predicted({key})");
                // Looking notes a result that has a manifest, blobs or not.
                if model.results.contains_key(&key) {
                    model.noted_results.insert(key);
                }
            }
        }
        compare(&place, &model);
    }
    drop(store);
    let store = place.open();
    for key in 0..6 {
        let found = store.by_predicted(&predicted(key_of(key))).map(|manifest| manifest.key);
        assert_eq!(found, model.hit(key).map(|_| key_of(key)));
    }
}

/// Compares through a second store that only reads, so that looking changes nothing.
fn compare(place: &Place, model: &Model) {
    let store = Store::open_read_only(&place.root).unwrap();
    for key in 0..6 {
        let found = store.by_key(&key_of(key)).map(|manifest| manifest.outputs["out0"].digest);
        assert_eq!(found, model.hit(key).map(|content| digest(&text_of(content))), "by_key({key})");
    }
    for content in 0..4 {
        let there = store.object_path(&digest(&text_of(content))).exists();
        assert_eq!(there, model.blobs.contains_key(&content), "blob {content}");
    }
}

fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(64)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_answers_as_the_model_does(steps in proptest::collection::vec(step(), 1..30)) {
        run_steps(&steps);
    }
}
