//! Copies of outputs in the project.

use toolexpander::record::{RunStatus, StageStatus};

use super::project::Project;

const FILE: &[(&str, &str)] = &[("out", "file")];

#[test]
fn published_files_are_restored_by_a_run_of_hits() {
    let mut project = Project::new();
    project.stage_with("a", &[], FILE, "echo a > \"$1\"", "publish = { out = \"out/a.txt\" }").stage_with(
        "box",
        &[],
        &[("out", "folder")],
        "echo x > \"$1/x\"; echo y > \"$1/y\"",
        "publish = { out = \"out/box\" }",
    );
    project.run();
    assert_eq!(project.read("out/a.txt").unwrap(), "a\n");
    assert_eq!(project.read("out/box/y").unwrap(), "y\n");
    std::fs::remove_file(project.root.join("out/a.txt")).unwrap();
    std::fs::remove_file(project.root.join("out/box/y")).unwrap();
    let again = project.run();
    assert_eq!(again.counts(), [0, 2, 0, 0]);
    assert_eq!(project.read("out/a.txt").unwrap(), "a\n");
    assert_eq!(project.read("out/box/y").unwrap(), "y\n");
    // An edit does not reach the store, and is not overwritten.
    project.write("out/box/y", "mine\n");
    let refused = project.run();
    assert_eq!(refused.counts(), [0, 1, 1, 0]);
    let reason = &refused.stage("box").reason;
    assert!(reason.starts_with("cannot publish to `out/box/y`: a file of yours"), "{reason}");
    assert_eq!(project.read("out/box/y").unwrap(), "mine\n");
    assert!(project.store().verify(true).unwrap().findings.is_empty());
}

#[test]
fn a_copy_that_cannot_be_kept_fails_the_stage_but_not_what_depends_on_it() {
    let mut project = Project::new();
    project.stage_with("a", &[], FILE, "echo a > \"$1\"", "publish = { out = \"taken\" }").stage(
        "b",
        &[("data", "a")],
        FILE,
        "cat \"$1\" > \"$2\"",
    );
    std::fs::create_dir(project.root.join("taken")).unwrap();
    let run = project.run();
    assert_eq!(run.report.status, RunStatus::Failed);
    assert_eq!(run.status("a"), StageStatus::Failed);
    assert!(
        run.stage("a").reason.starts_with("cannot publish to `taken`: a folder is in the way"),
        "{}",
        run.stage("a").reason
    );
    assert_eq!(run.status("b"), StageStatus::Executed);
    std::fs::remove_dir(project.root.join("taken")).unwrap();
    assert_eq!(project.run().counts(), [0, 2, 0, 0]);
    assert_eq!(project.read("taken").unwrap(), "a\n");
}
