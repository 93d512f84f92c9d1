//! Taking outputs in.

use std::os::unix::fs::{MetadataExt, symlink};

use camino::Utf8PathBuf;
use toolexpander::{
    base::ArtifactType,
    store::{StoreError, folder_digest},
};

use super::support::*;

#[test]
fn a_file_is_moved_and_named_by_its_bytes() {
    let place = Place::new();
    let store = place.open();
    let path = store.root().join("tmp/output");
    write(&path, "hello");
    let inode = fs_err::metadata(&path).unwrap().ino();
    let output = take(&store, &path);
    assert_eq!((output.digest, output.bytes), (digest("hello"), 5));
    assert!(!path.exists());
    let blob = store.object_path(&output.digest);
    assert_eq!(fs_err::metadata(&blob).unwrap().ino(), inode, "moved, not copied");
    assert_eq!(
        blob,
        place.root.join(format!("objects/{}/{}", &digest("hello").to_string()[..2], &digest("hello").to_string()[2..]))
    );
    assert_eq!(mode(&blob), 0o400, "not durable yet");
}

#[test]
fn large_files_hash_alike_on_all_cores_and_one() {
    let place = Place::new();
    let store = place.open();
    for size in [(1 << 20) - 1, 1 << 20, (1 << 20) + 1, 4 << 20, (9 << 20) + 17] {
        let bytes: Vec<u8> = (0..size).map(|index: usize| (index * 31 % 251) as u8).collect();
        let output = take(&store, &place.file("large", &bytes));
        assert_eq!(output.digest, toolexpander::base::Digest::of(&bytes), "{size} bytes");
        assert_eq!(output.bytes, size as u64);
    }
}

#[test]
fn a_known_blob_is_dropped() {
    let place = Place::new();
    let store = place.open();
    put(&store, digest("key"), "hello").wait().unwrap();
    let inode = fs_err::metadata(store.object_path(&digest("hello"))).unwrap().ino();
    let path = place.file("again", "hello");
    take(&store, &path);
    assert!(!path.exists());
    assert_eq!(fs_err::metadata(store.object_path(&digest("hello"))).unwrap().ino(), inode);
}

#[test]
fn a_blob_of_the_wrong_size_is_repaired() {
    let place = Place::new();
    let store = place.open();
    put(&store, digest("key"), "hello").wait().unwrap();
    let blob = store.object_path(&digest("hello"));
    fs_err::remove_file(&blob).unwrap();
    write(&blob, "");
    take(&store, &place.file("again", "hello"));
    assert_eq!(fs_err::read_to_string(blob).unwrap(), "hello");
}

#[test]
fn a_blob_that_a_power_cut_spoiled_is_not_relied_on() {
    let place = Place::new();
    // Another process placed it, and died before it was durable: the right size, the wrong bytes.
    let blob = place.open().object_path(&digest("hello"));
    write(&blob, "\0\0\0\0\0");
    fs_err::set_permissions(&blob, std::os::unix::fs::PermissionsExt::from_mode(0o400)).unwrap();
    let store = place.open();
    let key = digest("key");
    put(&store, key, "hello").wait().unwrap();
    assert_eq!(get(&store, key).unwrap(), b"hello");
    assert_eq!(mode(&blob), 0o444);
}

#[test]
fn a_file_with_another_name_is_copied() {
    let place = Place::new();
    let store = place.open();
    let path = store.root().join("tmp/output");
    write(&path, "hello");
    let other = place.path.join("other name");
    fs_err::hard_link(&path, &other).unwrap();
    let output = take(&store, &path);
    write(&other, "HELLO");
    assert_eq!(fs_err::read_to_string(store.object_path(&output.digest)).unwrap(), "hello");
    assert!(!path.exists());
}

#[test]
fn a_file_on_another_file_system_is_copied() {
    let Ok(elsewhere) = tempfile::tempdir_in("/dev/shm") else {
        println!("skipped: there is no /dev/shm here");
        return;
    };
    let place = Place::new();
    let store = place.open();
    let path = Utf8PathBuf::from_path_buf(elsewhere.path().join("output")).unwrap();
    write(&path, "hello");
    let key = digest("key");
    let lock = store.lock(&key).unwrap();
    let output = take(&store, &path);
    store.commit(manifest(key, vec![output]), lock).wait().unwrap();
    assert_eq!(get(&store, key).unwrap(), b"hello");
    assert!(!path.exists());
}

#[test]
fn a_folder_is_the_list_of_its_files() {
    let place = Place::new();
    let store = place.open();
    for (name, text) in [("b", "two"), ("a/x", "one"), ("a.txt", "three"), ("a/y/z", "one")] {
        place.file(&format!("folder/{name}"), text);
    }
    fs_err::create_dir_all(place.path.join("folder/empty")).unwrap();
    let source = place.path.join("folder");
    let before = store.file_digest(&source).unwrap();
    let output = store.take_in(&ArtifactType::Folder, &source).unwrap();
    let names: Vec<&str> = output.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(names, ["a.txt", "a/x", "a/y/z", "b"]);
    assert_eq!(output.bytes, 14);
    assert_eq!(output.digest, folder_digest(&output.files));
    assert_eq!(output.digest, before);
    for file in &output.files {
        assert!(store.object_path(&file.digest).exists());
    }
}

#[test]
fn folders_that_nearly_agree_have_other_digests() {
    let place = Place::new();
    let store = place.open();
    let mut seen = std::collections::BTreeSet::new();
    let folders: [&[(&str, &str)]; 6] =
        [&[], &[("a", "1")], &[("a", "2")], &[("b", "1")], &[("a", "1"), ("b", "")], &[("a/b", "1")]];
    for (index, listed) in folders.iter().enumerate() {
        let folder = place.path.join(format!("folder{index}"));
        fs_err::create_dir_all(&folder).unwrap();
        for (name, text) in *listed {
            write(&folder.join(name), text);
        }
        assert!(seen.insert(store.take_in(&ArtifactType::Folder, &folder).unwrap().digest), "{listed:?}");
    }
}

#[test]
fn many_small_files_are_taken_in_together() {
    let place = Place::new();
    let store = place.open();
    for index in 0..300 {
        place.file(&format!("folder/{index:03}"), format!("content {index}"));
    }
    let output = store.take_in(&ArtifactType::Folder, &place.path.join("folder")).unwrap();
    assert_eq!(output.files.len(), 300);
    assert_eq!(output.files[7].digest, digest("content 7"));
    assert!(files(&place.path.join("folder")).is_empty());
}

#[test]
fn a_link_inside_counts_as_the_file_it_shows_and_one_outside_is_refused() {
    let place = Place::new();
    let store = place.open();
    place.file("folder/real", "hello");
    symlink("real", place.path.join("folder/link")).unwrap();
    let output = store.take_in(&ArtifactType::Folder, &place.path.join("folder")).unwrap();
    assert_eq!(output.files.len(), 2);
    assert!(output.files.iter().all(|file| file.digest == digest("hello")));

    place.file("secret", "secret");
    for (target, says) in
        [("../secret", "outside"), ("nothing", "does not exist"), ("..", "outside"), (".", "not a file")]
    {
        let folder = place.path.join("linked");
        let _ = fs_err::remove_dir_all(&folder);
        fs_err::create_dir_all(&folder).unwrap();
        symlink(target, folder.join("link")).unwrap();
        let error = store.take_in(&ArtifactType::Folder, &folder).unwrap_err();
        assert!(error.is_bad_output() && error.to_string().contains(says), "{error}");
    }
    symlink("/etc/passwd", place.path.join("single")).unwrap();
    let error = store.take_in(&ArtifactType::File, &place.path.join("single")).unwrap_err();
    assert!(error.to_string().contains("/etc/passwd"), "{error}");
    assert_eq!(fs_err::read_to_string(place.path.join("secret")).unwrap(), "secret");
}

#[test]
fn what_is_no_output_is_refused_by_name() {
    let place = Place::new();
    let store = place.open();
    let missing = store.take_in(&ArtifactType::File, &place.path.join("missing")).unwrap_err();
    assert!(matches!(missing, StoreError::MissingOutput { .. }), "{missing}");

    let file = place.file("file", "text");
    let error = store.take_in(&ArtifactType::Model, &file).unwrap_err();
    assert!(error.to_string().ends_with("is a file, but `model` is a folder"), "{error}");
    let error = store.take_in(&ArtifactType::Table("rollouts".to_owned()), &place.path).unwrap_err();
    assert!(error.to_string().ends_with("is a folder, but `table:rollouts` is a file"), "{error}");

    fs_err::create_dir_all(place.path.join("folder")).unwrap();
    let pipe = place.path.join("folder/pipe");
    rustix::fs::mknodat(rustix::fs::CWD, pipe.as_std_path(), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    for (artifact_type, path) in [(ArtifactType::Folder, pipe.parent().unwrap()), (ArtifactType::File, &pipe)] {
        let error = store.take_in(&artifact_type, path).unwrap_err();
        assert!(error.is_bad_output() && error.to_string().contains("is a pipe"), "{error}");
    }
    fs_err::remove_file(&pipe).unwrap();

    use std::os::unix::ffi::OsStrExt;
    let odd = place.path.as_std_path().join("folder").join(std::ffi::OsStr::from_bytes(b"n\xffme"));
    fs_err::write(&odd, "text").unwrap();
    let error = store.take_in(&ArtifactType::Folder, &place.path.join("folder")).unwrap_err();
    assert!(matches!(error, StoreError::NotUtf8 { .. }), "{error}");
    assert!(file.exists());
}
