//! Measurements, for people: `cargo test --release store::speed -- --ignored --nocapture --test-threads 1`.

use std::time::{Duration, Instant};

use toolexpander::{base::Digest, store::Store};

use super::support::*;

/// CPU time of the threads that live.
fn cpu() -> Duration {
    let tasks = camino::Utf8Path::new("/proc/self/task").read_dir_utf8().unwrap();
    let spent = tasks.map(|task| {
        let text = fs_err::read_to_string(task.unwrap().path().join("schedstat")).unwrap();
        text.split(' ').next().unwrap().parse::<u64>().unwrap()
    });
    Duration::from_nanos(spent.sum())
}

fn keys(count: usize) -> Vec<Digest> {
    (0..count).map(|index| digest(&format!("key {index}"))).collect()
}

fn fill(store: &Store, keys: &[Digest]) {
    for (index, key) in keys.iter().enumerate() {
        drop(put(store, *key, format!("output {index}")));
    }
    store.flush().unwrap();
}

#[test]
#[ignore = "a measurement"]
fn five_hundred_results() {
    // On the disk that the repository is on: the point is what fsync costs.
    let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    let root = camino::Utf8Path::from_path(folder.path()).unwrap().join("artifacts");
    let all = keys(500);
    for round in 0..3 {
        let _ = fs_err::remove_dir_all(&root);
        let store = Store::open(&root).unwrap();
        let (wall, begun) = (Instant::now(), cpu());
        fill(&store, &all);
        let (wall, spent) = (wall.elapsed(), cpu().checked_sub(begun).unwrap());
        println!("commit of 500, round {round}: {wall:?} wall, {spent:?} CPU, {:?} CPU each", spent / 500);
        let one = Instant::now();
        put(&store, digest("one more"), "one").wait().unwrap();
        println!("one more, waited for: {:?}", one.elapsed());
    }
    for round in 0..3 {
        let begun = Instant::now();
        let store = Store::open(&root).unwrap();
        let opened = begun.elapsed();
        let predicted: Vec<Digest> = all.iter().map(|key| predicted(*key)).collect();
        store.prefetch(&predicted);
        let prefetched = begun.elapsed();
        assert!(predicted.iter().all(|digest| store.by_predicted(digest).is_some()));
        let looked = begun.elapsed();
        assert!(all.iter().all(|key| store.by_key(key).is_some()));
        let again = begun.elapsed();
        println!(
            "round {round}: open {opened:?}; prefetch of 500 {:?}; by_predicted {:?}; by_key {:?}",
            prefetched - opened,
            looked - prefetched,
            again - looked
        );
        let begun = Instant::now();
        for _ in 0..500 {
            assert!(!store.nearest("train", "grpo").is_empty());
        }
        println!("nearest of 500 {:?}", begun.elapsed());
        let begun = Instant::now();
        drop(store);
        println!("close {:?}", begun.elapsed());
        let store = Store::open(&root).unwrap();
        let begun = Instant::now();
        assert!(all.iter().all(|key| store.by_key(key).is_some()));
        println!("by_key of 500, without prefetch {:?}", begun.elapsed());
        drop(store);
        let store = Store::open_read_only(&root).unwrap();
        let begun = Instant::now();
        store.prefetch(&predicted);
        assert!(predicted.iter().all(|digest| store.by_predicted(digest).is_some()));
        println!("read-only: prefetch and by_predicted of 500 {:?}", begun.elapsed());
    }
}

#[test]
#[ignore = "a measurement"]
fn parts_of_a_look_up() {
    let place = Place::new();
    let store = place.open();
    let all = keys(500);
    fill(&store, &all);
    let paths: Vec<_> = all.iter().map(|key| store.root().join(format!("results/{key}.json"))).collect();
    let time = |name: &str, work: &mut dyn FnMut(usize)| {
        let begun = Instant::now();
        (0..500).for_each(work);
        println!("{name}: {:?} each", begun.elapsed() / 500);
    };
    for _ in 0..2 {
        let mut bytes = Vec::new();
        time("stat", &mut |index| assert!(fs_err::symlink_metadata(&paths[index]).is_ok()));
        time("open and close", &mut |index| assert!(fs_err::File::open(&paths[index]).is_ok()));
        time("read", &mut |index| bytes.push(fs_err::read(&paths[index]).unwrap()));
        time("parse", &mut |index| {
            serde_json::from_slice::<toolexpander::record::ResultManifest>(&bytes[index]).unwrap();
        });
        println!("{} bytes", bytes[0].len());
    }
}
