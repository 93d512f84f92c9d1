//! The index is a cache: whatever happens to it, the answers stay right. And the memory of files' digests.

use camino::Utf8PathBuf;
use toolexpander::store::Store;

use super::support::*;

fn index_files(place: &Place) -> Vec<Utf8PathBuf> {
    ["", "-wal", "-shm"].map(|suffix| Utf8PathBuf::from(format!("{}/index.sqlite{suffix}", place.root))).to_vec()
}

fn all_found(store: &Store, count: usize) {
    for index in 0..count {
        let key = digest(&format!("key {index}"));
        assert_eq!(store.by_predicted(&predicted(key)).map(|found| found.key), Some(key), "key {index}");
        assert!(store.by_key(&key).is_some());
    }
    assert!(!store.nearest("train", "grpo").is_empty());
}

fn fill(store: &Store, count: usize) {
    for index in 0..count {
        drop(put(store, digest(&format!("key {index}")), format!("output {index}")));
    }
    store.flush().unwrap();
}

#[test]
fn a_deleted_index_is_built_again() {
    let place = Place::new();
    fill(&place.open(), 20);
    for path in index_files(&place) {
        let _ = fs_err::remove_file(path);
    }
    all_found(&place.open(), 20);
    assert!(place.root.join("index.sqlite").exists());
}

#[test]
fn a_damaged_index_is_built_again() {
    for damage in ["zeros", "text", "cut", "empty", "folder of another version"] {
        let place = Place::new();
        fill(&place.open(), 20);
        let path = &index_files(&place)[0];
        let length = usize::try_from(fs_err::metadata(path).unwrap().len()).unwrap();
        match damage {
            "zeros" => drop(write(path, vec![0; length])),
            "text" => drop(write(path, "this is no database".repeat(length / 19 + 1))),
            "cut" => fs_err::OpenOptions::new().write(true).open(path).unwrap().set_len(4096).unwrap(),
            "empty" => drop(write(path, "")),
            _ => {
                let connection = rusqlite::Connection::open(path).unwrap();
                connection.pragma_update(None, "user_version", 77).unwrap();
            }
        }
        let store = place.open();
        all_found(&store, 20);
        drop(store);
        all_found(&Store::open_read_only(&place.root).unwrap(), 20);
    }
}

#[test]
fn bytes_flipped_anywhere_in_the_index_give_no_wrong_answer() {
    let place = Place::new();
    fill(&place.open(), 20);
    let path = &index_files(&place)[0];
    let whole = fs_err::read(path).unwrap();
    for offset in (0..whole.len()).step_by(whole.len() / 60) {
        for path in index_files(&place) {
            let _ = fs_err::remove_file(path);
        }
        let mut bytes = whole.clone();
        bytes[offset] ^= 0x55;
        write(path, &bytes);
        let store = place.open();
        for index in 0..20 {
            let key = digest(&format!("key {index}"));
            // A row may be lost with its bytes, but never lead to another result, and the result itself is there.
            let found = store.by_predicted(&predicted(key)).map(|found| found.key);
            assert!(found.is_none() || found == Some(key), "offset {offset}");
            assert!(store.by_key(&key).is_some(), "offset {offset}");
        }
        put(&store, digest("key 0"), "output 0").wait().unwrap();
    }
}

#[test]
fn an_index_deleted_under_an_open_store_is_built_again() {
    for all in [true, false] {
        let place = Place::new();
        let store = place.open();
        fill(&store, 10);
        for path in index_files(&place).iter().take(if all { 3 } else { 1 }) {
            let _ = fs_err::remove_file(path);
        }
        all_found(&store, 10);
        fill(&store, 30);
        all_found(&store, 30);
        drop(store);
        all_found(&place.open(), 30);
    }
}

#[test]
fn results_that_came_or_went_by_hand_are_noticed() {
    let (place, other) = (Place::new(), Place::new());
    fill(&place.open(), 5);
    fill(&other.open(), 8);
    for folder in ["objects", "results"] {
        for path in files(&other.root.join(folder)) {
            let target = place.root.join(path.strip_prefix(&other.root).unwrap());
            if !target.exists() {
                fs_err::create_dir_all(target.parent().unwrap()).unwrap();
                fs_err::copy(path, target).unwrap();
            }
        }
    }
    all_found(&place.open(), 8);
    for path in files(&place.root.join("results")) {
        fs_err::remove_file(path).unwrap();
    }
    assert!(place.open().nearest("train", "grpo").is_empty());
    assert!(place.open().by_predicted(&predicted(digest("key 0"))).is_none());
}

#[test]
fn rebuilding_gives_the_same_answers() {
    let place = Place::new();
    let store = place.open();
    fill(&store, 20);
    store.rebuild_index().unwrap();
    all_found(&store, 20);
}

/// Sets a file's times to well before now, so that its digest may be remembered.
fn age(path: &camino::Utf8Path) {
    // The time of the last change of the inode cannot be set, so it must pass.
    let begun = std::time::Instant::now();
    while begun.elapsed() < std::time::Duration::from_millis(120) {
        std::thread::yield_now();
    }
    assert!(path.exists());
}

#[test]
fn a_remembered_digest_is_used_only_while_nothing_shows_a_change() {
    let place = Place::new();
    let store = place.open();
    let path = place.file("data", "one");
    age(&path);
    assert_eq!(store.file_digest(&path).unwrap(), digest("one"));

    // It is remembered: a lie in the index comes back.
    let lie = |text: &str| {
        let connection = rusqlite::Connection::open(place.root.join("index.sqlite")).unwrap();
        let lied = digest(text);
        connection.execute("UPDATE stamps SET digest = ?1", [lied.as_bytes()]).unwrap()
    };
    assert_eq!(lie("lie"), 1);
    assert_eq!(store.file_digest(&path).unwrap(), digest("lie"));

    // The same size and the old modification time do not deceive: the inode's time tells.
    let times = fs_err::metadata(&path).unwrap();
    write(&path, "two");
    let file = fs_err::OpenOptions::new().write(true).open(&path).unwrap();
    file.file().set_modified(times.modified().unwrap()).unwrap();
    assert_eq!(store.file_digest(&path).unwrap(), digest("two"));

    // Nor does another file under the same name.
    let other = place.file("other", "six");
    fs_err::rename(&other, &path).unwrap();
    assert_eq!(store.file_digest(&path).unwrap(), digest("six"));
}

#[test]
fn a_file_that_was_just_written_is_not_remembered() {
    let place = Place::new();
    let store = place.open();
    let path = place.file("data", "one");
    for round in 0..200 {
        let text = format!("{round:03}");
        write(&path, &text);
        assert_eq!(store.file_digest(&path).unwrap(), digest(&text));
    }
}
