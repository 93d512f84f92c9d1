//! A power cut, as far as one can be had without pulling the plug: the store lies on a file system in a file, and a copy of
//! that file, taken while the store is being written, holds only what was really made durable.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use camino::Utf8Path;
use toolexpander::store::Store;

use super::{disk_full::in_mount_name_space, support::*};

/// A child that commits results, several at once, and tells of each as soon as its ticket says that it is durable.
pub fn commit_and_tell(arguments: &[&str]) {
    let store = Store::open(Utf8Path::new(arguments[0])).unwrap();
    println!("\nbegun");
    for batch in 0.. {
        // One to seven at a time, so that both ways of making things durable are used.
        let indices: Vec<usize> = (0..1 + batch % 7).map(|index| batch * 10 + index).collect();
        let tickets: Vec<_> =
            indices.iter().map(|index| put(&store, digest(&index.to_string()), format!("output {index}"))).collect();
        for (index, ticket) in indices.iter().zip(tickets) {
            ticket.wait().unwrap();
            println!("durable {index}");
        }
    }
}

fn run(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

fn mount(image: &Utf8Path, at: &Utf8Path) -> bool {
    fs_err::create_dir_all(at).unwrap();
    run(Command::new("mount").args(["-o", "loop", image.as_str(), at.as_str()]))
}

/// Commits, cuts, looks at what is left; in a mount name space of its own.
pub fn cut(arguments: &[&str]) {
    let folder = Utf8Path::new(arguments[0]);
    let (image, disk) = (folder.join("image"), folder.join("disk"));
    fs_err::File::create(&image).unwrap().set_len(48 << 20).unwrap();
    if !run(Command::new("mkfs.ext4").args(["-q", image.as_str()])) || !mount(&image, &disk) {
        println!("\nno file system in a file here");
        return;
    }
    let mut child = child(&["commit-and-tell", disk.join("artifacts").as_str()]);
    let pid = rustix::process::Pid::from_child(&child);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut durable: Vec<usize> = Vec::new();
    for round in 0..8 {
        while durable.len() < 23 * (round + 1) {
            let line = lines.next().expect("the child goes on and on");
            durable.extend(line.strip_prefix("durable ").map(|index| index.parse::<usize>().unwrap()));
        }
        rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
        let copy = folder.join(format!("copy{round}"));
        fs_err::copy(&image, &copy).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();

        let after = folder.join(format!("after{round}"));
        assert!(mount(&copy, &after), "the file system came back");
        let store = Store::open(&after.join("artifacts")).unwrap();
        for index in &durable {
            let key = digest(&index.to_string());
            assert_eq!(get(&store, key), Some(format!("output {index}").into_bytes()), "result {index}");
            assert_eq!(store.by_predicted(&predicted(key)).map(|found| found.key), Some(key), "result {index}");
        }
        let there = store.keys().unwrap().len();
        assert!(there >= durable.len());
        // Blobs of results that were not committed yet may be spoilt; no result is.
        let report = store.verify(true).unwrap();
        assert!(report.dropped.is_empty(), "{report:?}");
        drop(store);
        assert!(run(Command::new("umount").arg(after.as_str())));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    println!("\nsurvived with {} results", durable.len());
}

#[test]
fn what_a_ticket_called_durable_survives_a_power_cut() {
    let place = Place::new();
    if let Some(text) = in_mount_name_space(&place.path, "cut-power") {
        let line = text.lines().find(|line| line.starts_with("survived") || line.starts_with("no file system"));
        println!("{}", line.expect("the child came to its end"));
    }
}
