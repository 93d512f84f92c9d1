//! Tests of `store`.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "helpers and child processes of tests are tests too")]

mod basics;
mod crowd;
mod disk_full;
mod faults;
mod gc;
mod index;
mod locks;
mod machine;
mod power_cut;
mod runs;
mod speed;
mod support;
mod take_in;
mod verify;

/// What a child process of a test does.
fn child_main(task: &str, arguments: &[&str]) {
    match task {
        "hold-lock" => locks::hold(arguments),
        "die-at" => faults::die_at(arguments),
        "commit-many" => crowd::commit_many(arguments),
        "commit-and-keep" => gc::commit_and_keep(arguments),
        "fill-disk" => disk_full::fill(arguments),
        "commit-and-tell" => power_cut::commit_and_tell(arguments),
        "cut-power" => power_cut::cut(arguments),
        "read-only-disk" => disk_full::read_only(arguments),
        other => panic!("no such task: {other}"),
    }
}
