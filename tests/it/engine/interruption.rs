//! Stopping a run: first gently, then not.

use std::time::Duration;

use toolexpander::record::{RunEvent, RunStatus, StageStatus};

use super::project::{Project, hear};

const FILE: &[(&str, &str)] = &[("out", "file")];

#[test]
fn the_first_request_lets_stages_finish_and_what_finished_is_kept() {
    let mut project = Project::new();
    project.pipe("begun");
    project
        .stage("done", &[], FILE, "echo x > \"$1\"")
        // Writes its output when it is told to stop: a checkpoint, so to speak.
        .stage(
            "tidy",
            &[("a", "done")],
            FILE,
            "trap 'echo tidy > \"$2\"; exit 0' TERM; echo > DATA/begun; while :; do sleep 0.01; done",
        )
        .stage("rude", &[("a", "done")], FILE, "trap 'exit 143' TERM; while :; do sleep 0.01; done")
        .stage("later", &[("a", "tidy")], FILE, "echo x > \"$2\"");
    let options = project.options();
    let stop = options.stop.clone();
    let begun = project.root.join("begun");
    let helper = std::thread::spawn(move || {
        hear(&begun);
        stop.request();
    });
    let run = project.run_with(&options, |_| {});
    helper.join().unwrap();
    assert_eq!(run.report.status, RunStatus::Interrupted);
    assert_eq!(run.status("done"), StageStatus::Executed);
    assert_eq!(run.status("tidy"), StageStatus::Executed);
    assert_eq!(run.status("rude"), StageStatus::Skipped);
    assert_eq!(run.status("later"), StageStatus::Skipped);
    assert!(run.events.contains(&RunEvent::Stopping { reason: "asked to stop".to_owned() }));
    project.write("rude.sh", "echo x > \"$2\"");
    let again = project.run();
    assert_eq!(again.counts(), [2, 2, 0, 0]);
    assert_eq!(again.output("tidy", "out"), "tidy\n");
}

#[test]
fn the_second_request_kills() {
    let mut project = Project::new();
    project.pipe("begun");
    project.stage("deaf", &[], FILE, "trap '' TERM; echo > DATA/begun; while :; do sleep 0.01; done");
    let options = project.options();
    let stop = options.stop.clone();
    let begun = project.root.join("begun");
    let helper = std::thread::spawn(move || {
        hear(&begun);
        stop.request();
        stop.request();
    });
    let run = project.run_with(&options, |_| {});
    helper.join().unwrap();
    assert_eq!(run.report.status, RunStatus::Interrupted);
    assert_eq!(run.stage("deaf").reason, "stopped with the run before it was done");
    assert!(run.report.seconds < options.grace.as_secs_f64(), "it waited for the grace period");
}

#[test]
fn the_grace_period_ends() {
    let mut project = Project::new();
    project.pipe("begun");
    project.stage("deaf", &[], FILE, "trap '' TERM; echo > DATA/begun; while :; do sleep 0.01; done");
    let mut options = project.options();
    options.grace = Duration::from_millis(50);
    let stop = options.stop.clone();
    let begun = project.root.join("begun");
    let helper = std::thread::spawn(move || {
        hear(&begun);
        stop.request();
    });
    let run = project.run_with(&options, |_| {});
    helper.join().unwrap();
    assert_eq!(run.counts(), [0, 0, 0, 1]);
    assert!(run.report.seconds >= 0.05);
}

#[test]
fn a_signal_stops_the_program() {
    let mut project = Project::new();
    project.pipe("begun");
    project.stage("wait", &[], FILE, "echo > DATA/begun; while :; do sleep 0.01; done");
    let process = project.start();
    hear(&project.root.join("begun"));
    rustix::process::kill_process(rustix::process::Pid::from_child(&process), rustix::process::Signal::INT).unwrap();
    let output = process.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    let report: toolexpander::record::RunReport = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report.status, RunStatus::Interrupted);
}
