//! Many threads and processes on one store.

use std::io::Read;

use camino::Utf8Path;
use toolexpander::store::Store;

use super::support::*;

/// A child that makes results, each unless it is there: as runs that share their stages do.
pub fn commit_many(arguments: &[&str]) {
    let store = Store::open(Utf8Path::new(arguments[0])).unwrap();
    let mut made = 0;
    for index in 0..arguments[2].parse().unwrap() {
        let key = digest(&format!("key {index}"));
        let lock = store.lock(&key).unwrap();
        if store.by_key(&key).is_none() {
            let path = output(&store, &index.to_string(), format!("output {index}"));
            let output = take(&store, &path);
            drop(store.commit(manifest(key, vec![output]), lock));
            made += 1;
        }
    }
    store.flush().unwrap();
    println!("\nmade {made}.");
}

fn crowd(children: usize, results: usize) {
    let place = Place::new();
    let children: Vec<_> = (0..children)
        .map(|index| child(&["commit-many", place.root.as_str(), &index.to_string(), &results.to_string()]))
        .collect();
    let mut made = 0;
    for mut child in children {
        let mut text = String::new();
        child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        assert!(child.wait().unwrap().success(), "{text}");
        made += text.split_once("\nmade ").unwrap().1.split_once('.').unwrap().0.parse::<usize>().unwrap();
    }
    assert_eq!(made, results, "each result is made once");
    let store = place.open();
    for index in 0..results {
        let key = digest(&format!("key {index}"));
        assert_eq!(get(&store, key).unwrap(), format!("output {index}").as_bytes());
        assert_eq!(store.by_predicted(&predicted(key)).unwrap().key, key);
    }
    assert!(store.verify(true).unwrap().findings.is_empty());
}

#[test]
fn two_processes_that_want_the_same_results_make_each_once() {
    crowd(2, 100);
}

#[test]
fn sixty_four_processes_share_one_store() {
    crowd(64, 20);
}

#[test]
fn thirty_two_open_files_are_enough() {
    let place = Place::new();
    let inner = child_command(&["commit-many", place.root.as_str(), "0", "200"]);
    let mut command = std::process::Command::new("/bin/sh");
    command.args(["-c", "ulimit -n 32; exec \"$@\"", "sh"]).arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        command.env(name, value.unwrap());
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("\nmade 200."), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(place.open().verify(true).unwrap().is_whole());
}

#[test]
fn sixty_four_threads_share_one_store() {
    let place = Place::new();
    let store = place.open();
    std::thread::scope(|scope| {
        for thread in 0..64 {
            let store = &store;
            scope.spawn(move || {
                for index in 0..10 {
                    let key = digest(&format!("key {index}"));
                    let lock = store.lock(&key).unwrap();
                    match get(store, key) {
                        Some(bytes) => assert_eq!(bytes, format!("output {index}").as_bytes()),
                        None => {
                            let path = output(store, &format!("{thread}-{index}"), format!("output {index}"));
                            let output = take(store, &path);
                            drop(store.commit(manifest(key, vec![output]), lock));
                        }
                    }
                    // And one of its own.
                    let own = digest(&format!("{thread} {index}"));
                    put(store, own, format!("output {index}")).wait().unwrap();
                }
            });
        }
    });
    store.flush().unwrap();
    assert_eq!(store.keys().unwrap().len(), 650);
    let report = store.verify(true).unwrap();
    assert!(report.findings.is_empty(), "{report:?}");
    assert_eq!(report.blobs, 10);
}

#[test]
fn two_stores_of_one_process_see_each_others_results() {
    let place = Place::new();
    let (one, two) = (place.open(), place.open());
    put(&one, digest("key"), "hello").wait().unwrap();
    assert_eq!(get(&two, digest("key")).unwrap(), b"hello");
    assert_eq!(two.by_predicted(&predicted(digest("key"))).unwrap().key, digest("key"));
    put(&two, digest("another"), "hello").wait().unwrap();
    assert_eq!(one.by_predicted(&predicted(digest("another"))).unwrap().key, digest("another"));
}
