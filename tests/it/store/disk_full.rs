//! A full disk and a read-only one, for real: a tiny tmpfs in a mount name space of its own, which ends with the child.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use camino::Utf8Path;
use toolexpander::{
    base::ArtifactType,
    record::RunEvent,
    store::{Store, StoreError},
};

use super::support::*;

/// Runs a task of this test binary, with `folder`, in a mount name space that ends with it. Returns what it printed; `None`
/// where that is not permitted.
pub fn in_mount_name_space(folder: &Utf8Path, task: &str) -> Option<String> {
    prepared(folder, task, "true")
}

/// Likewise, with a tmpfs of `size` at `folder`.
fn with_disk(size: &str, folder: &Utf8Path, task: &str) -> Option<String> {
    prepared(folder, task, &format!("mount -t tmpfs -o size={size} tmpfs \"$1\""))
}

fn prepared(folder: &Utf8Path, task: &str, mount: &str) -> Option<String> {
    let inner = child_command(&[task, folder.as_str()]);
    let mut command = Command::new("unshare");
    let script = format!("echo entered; {mount} || exit 77; shift; exec \"$@\"");
    command
        .args(["--mount", "sh", "-c", &script, "sh", folder.as_str()])
        .arg(inner.get_program())
        .args(inner.get_args());
    for (name, value) in inner.get_envs() {
        command.env(name, value.unwrap());
    }
    let output = match command.stdin(Stdio::null()).output() {
        Ok(output) if output.stdout.starts_with(b"entered") && output.status.code() != Some(77) => output,
        other => {
            println!("skipped: a disk cannot be mounted here: {other:?}");
            return None;
        }
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    Some(text)
}

const PAGE: u64 = 4096;

/// Fills the disk but for so many pages.
fn leave(folder: &Utf8Path, pages: u64) {
    let mut file = fs_err::File::create(folder.join("ballast")).unwrap();
    while file.write_all(&[1; PAGE as usize]).is_ok() {}
    let length = file.metadata().unwrap().len() / PAGE * PAGE;
    file.set_len(length - pages * PAGE).unwrap();
}

/// Commits with ever more room, from none to enough, so that the disk is full at every step once.
pub fn fill(arguments: &[&str]) {
    let folder = Utf8Path::new(arguments[0]);
    let store = Store::open(&folder.join("artifacts")).unwrap();
    let run = store.new_run("demo").unwrap();
    // Outputs come from another file system, so taking them in needs room.
    let elsewhere = tempfile::tempdir_in("/var/tmp").unwrap();
    let source = Utf8Path::from_path(elsewhere.path()).unwrap();
    let (mut good, mut failed_take_in, mut failed_commit) = (Vec::new(), 0, 0);
    for pages in 0..24 {
        let text = format!("{pages:09000}");
        let lock = store.lock(&digest(&text)).unwrap();
        write(&source.join("output"), &text);
        leave(folder, pages);
        match store.take_in(&ArtifactType::File, &source.join("output")) {
            Err(error) => {
                assert!(error.is_disk_full(), "{error:?}");
                assert!(error.to_string().contains("the disk is full"), "{error}");
                assert!(source.join("output").exists(), "the output is not lost");
                assert!(!store.object_path(&digest(&text)).exists());
                failed_take_in += 1;
            }
            Ok(output) => match store.commit(manifest(digest(&text), vec![output]), lock).wait() {
                Ok(()) => good.push(text.clone()),
                Err(error) => {
                    assert!(error.is_disk_full(), "{error:?}");
                    failed_commit += 1;
                }
            },
        }
        assert_eq!(get(&store, digest(&text)).is_some(), good.contains(&text));
        let left = files(&store.root().join("tmp"));
        assert!(left.iter().all(|path| path.file_name() == Some("uses")), "{left:?}");
    }
    assert!(good.len() > 5 && failed_take_in > 1 && failed_commit > 0);

    leave(folder, 0);
    let said = |text: &str| run.journal.append(&RunEvent::Stopping { reason: text.to_owned() });
    let noted = (0..200).take_while(|index| said(&index.to_string()).is_ok()).count();
    assert!(said("one more").unwrap_err().is_disk_full());
    // An index that cannot be written is no reason to fail, nor is one that cannot be built.
    write(&store.root().join("index.sqlite"), "");
    assert!(store.by_predicted(&predicted(digest(&good[0]))).is_some());
    assert!(store.verify(true).unwrap().is_whole());
    drop(store);

    fs_err::remove_file(folder.join("ballast")).unwrap();
    let store = Store::open(&folder.join("artifacts")).unwrap();
    put(&store, digest("after"), "after").wait().unwrap();
    said("after").unwrap();
    assert_eq!(store.journal(&run.id).unwrap().len(), noted + 1);
    for text in &good {
        assert_eq!(get(&store, digest(text)).unwrap(), text.as_bytes());
        assert_eq!(store.by_predicted(&predicted(digest(text))).unwrap().key, digest(text));
    }
    assert!(store.verify(true).unwrap().is_whole());
    let good = good.len();
    println!("\nfilled: {good} committed, {failed_take_in} not taken in, {failed_commit} not committed");
}

#[test]
fn a_full_disk_is_told_and_leaves_nothing_half_done() {
    let place = Place::new();
    if let Some(text) = with_disk("2m", &place.path, "fill-disk") {
        let line = text.lines().find(|line| line.starts_with("filled: ")).expect("the child came to its end");
        println!("{line}");
    }
}

/// Reads from a store on a read-only file system.
pub fn read_only(arguments: &[&str]) {
    let folder = Utf8Path::new(arguments[0]);
    let root = folder.join("artifacts");
    put(&Store::open(&root).unwrap(), digest("key"), "hello").wait().unwrap();
    let mounted = Command::new("mount").args(["-o", "remount,ro", folder.as_str()]).status().unwrap();
    assert!(mounted.success());
    let error = Store::open(&root).unwrap_err();
    assert!(matches!(error, StoreError::ReadOnly { .. }), "{error:?}");
    assert!(error.to_string().contains(root.as_str()), "{error}");
    let error = Store::open(&folder.join("nowhere")).unwrap_err();
    assert!(matches!(error, StoreError::ReadOnly { .. }), "{error:?}");
    let store = Store::open_read_only(&root).unwrap();
    assert_eq!(get(&store, digest("key")).unwrap(), b"hello");
    assert_eq!(store.by_predicted(&predicted(digest("key"))).unwrap().key, digest("key"));
    assert!(!store.nearest("train", "grpo").is_empty());
    assert!(store.verify(true).unwrap().is_whole());
    println!("\nread");
}

#[test]
fn a_store_on_a_read_only_disk_can_be_read() {
    let place = Place::new();
    if let Some(text) = with_disk("4m", &place.path, "read-only-disk") {
        assert!(text.lines().any(|line| line == "read"), "the child came to its end");
    }
}
