//! Key locks, within and between processes.

use std::{
    io::{BufRead, BufReader, Read},
    process::Child,
    sync::atomic::{AtomicUsize, Ordering},
};

use camino::Utf8Path;
use toolexpander::store::Store;

use super::support::*;

/// A child that opens the store, locks a key, says so and waits to be killed or told to end.
pub fn hold(arguments: &[&str]) {
    let store = Store::open(Utf8Path::new(arguments[0])).unwrap();
    let lock = store.lock(&arguments[1].parse().unwrap()).unwrap();
    println!("\nholding");
    let _ = std::io::stdin().read(&mut [0]);
    drop(lock);
}

fn holder(place: &Place, key: &str) -> Child {
    let mut child = child(&["hold-lock", place.root.as_str(), &digest(key).to_string()]);
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "holding"));
    child
}

#[test]
fn one_holder_at_a_time_within_a_process() {
    let place = Place::new();
    let store = place.open();
    let again = place.open();
    let lock = store.try_lock(&digest("key")).unwrap().unwrap();
    assert!(store.try_lock(&digest("key")).unwrap().is_none());
    assert!(again.try_lock(&digest("key")).unwrap().is_none());
    assert!(again.try_lock(&digest("other")).unwrap().is_some());
    drop(lock);
    assert!(again.try_lock(&digest("key")).unwrap().is_some());
}

#[test]
fn threads_take_turns() {
    let place = Place::new();
    let stores = [place.open(), place.open()];
    let inside = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for index in 0..8 {
            let (store, inside) = (&stores[index % 2], &inside);
            scope.spawn(move || {
                for _ in 0..50 {
                    let lock = store.lock(&digest("key")).unwrap();
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    std::thread::yield_now();
                    assert_eq!(inside.fetch_sub(1, Ordering::SeqCst), 1);
                    drop(lock);
                }
            });
        }
    });
}

#[test]
fn a_killed_holder_leaves_nothing_behind() {
    let place = Place::new();
    let store = place.open();
    let mut child = holder(&place, "key");
    assert!(store.try_lock(&digest("key")).unwrap().is_none());
    assert!(store.try_lock(&digest("other")).unwrap().is_some());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(store.try_lock(&digest("key")).unwrap().is_some());
}

#[test]
fn a_waiter_goes_on_when_the_holder_is_killed() {
    let place = Place::new();
    let store = place.open();
    let mut child = holder(&place, "key");
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| drop(store.lock(&digest("key")).unwrap()));
        // Other keys can be had while one is waited for.
        for index in 0..100 {
            drop(store.lock(&digest(&index.to_string())).unwrap());
        }
        assert!(!waiter.is_finished());
        child.kill().unwrap();
        child.wait().unwrap();
    });
}

#[test]
fn a_waiter_goes_on_when_the_holder_lets_go() {
    let place = Place::new();
    let store = place.open();
    let mut child = holder(&place, "key");
    drop(child.stdin.take());
    drop(store.lock(&digest("key")).unwrap());
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_child_process_does_not_inherit_a_lock() {
    let place = Place::new();
    let store = place.open();
    let lock = store.lock(&digest("key")).unwrap();
    let mut sleeper = std::process::Command::new("/bin/sh")
        .args(["-c", "read line"])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(lock);
    drop(store);
    assert!(place.open().try_lock(&digest("key")).unwrap().is_some());
    drop(sleeper.stdin.take());
    sleeper.wait().unwrap();
}
