//! The same work wanted twice is done once.

use std::sync::mpsc;

use toolexpander::record::{RunEvent, RunStatus, StageStatus};

use super::project::{Project, hear};

const FILE: &[(&str, &str)] = &[("out", "file")];

#[test]
fn two_runs_of_the_same_key_share_one_execution() {
    let mut project = Project::new();
    project.pipe("begun");
    project.pipe("go");
    project.stage("slow", &[], FILE, "echo once >> DATA/executions; echo > DATA/begun; cat DATA/go > \"$1\"");
    let first = project.start();
    hear(&project.root.join("begun"));
    // The second run finds the key taken, says so, and only then may the first one finish.
    let go = project.root.join("go");
    let run = project.run_with(&project.options(), |event| {
        if matches!(event, RunEvent::StageWaiting { .. }) {
            std::fs::write(&go, "made by the first\n").unwrap();
        }
    });
    let output = first.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(run.status("slow"), StageStatus::Cached);
    assert_eq!(run.output("slow", "out"), "made by the first\n");
    assert_eq!(project.read("executions").unwrap(), "once\n");
}

#[test]
fn a_run_that_waits_for_another_takes_no_slot_and_runs_itself_if_the_other_dies() {
    let mut project = Project::new();
    project.pipe("begun");
    project.stage("slow", &[], FILE, "echo once >> DATA/executions\nif test -e DATA/first; then rm DATA/first; echo > DATA/begun; while :; do sleep 0.01; done; fi; echo x > \"$1\"");
    project.write("first", "");
    let mut first = project.start();
    hear(&project.root.join("begun"));
    project.stage("quick", &[], FILE, "echo quick > \"$1\"");
    let mut options = project.options();
    options.capacity.slots = 1;
    let (send, hear) = mpsc::channel();
    let killer = std::thread::spawn(move || {
        hear.recv().unwrap();
        first.kill().unwrap();
        first.wait().unwrap();
    });
    let run = project.run_with(&options, |event| {
        if matches!(event, RunEvent::StageEnded { report } if report.name == "quick") {
            send.send(()).unwrap();
        }
    });
    killer.join().unwrap();
    assert_eq!(run.report.status, RunStatus::Ok);
    assert_eq!(run.counts(), [2, 0, 0, 0]);
    assert_eq!(project.read("executions").unwrap(), "once\nonce\n");
    let waiting = run.events.iter().filter(|event| matches!(event, RunEvent::StageWaiting { .. })).count();
    assert_eq!(waiting, 1);
}

#[test]
fn stages_that_turn_out_equal_run_once_within_a_run() {
    let mut project = Project::new();
    project.stage("a", &[], FILE, "echo same > \"$1\"").stage("b", &[], FILE, "echo same > \"$1\"; true").stage(
        "use-a",
        &[("data", "a")],
        FILE,
        "echo ran >> DATA/executions; cat \"$1\" > \"$2\"",
    );
    let script = project.read("use-a.sh").unwrap();
    project.stage("use-b", &[("data", "b")], FILE, &script);
    // The same file name, so that the two stages differ in nothing but where their input comes from.
    let text = project.text().replace("use-b.sh", "use-a.sh");
    let options = project.options();
    let store = project.store();
    let spec = toolexpander::spec::Spec::parse(
        &toolexpander::base::SourceText::new("p", &text),
        &toolexpander::spec::Kinds::new(),
        &[],
    )
    .unwrap();
    let expanded = toolexpander::spec::expand(&spec, &toolexpander::spec::Selection::default()).unwrap();
    let facts = toolexpander::engine::ProjectFacts {
        store: &store,
        pipeline_folder: project.root.clone(),
        numerics: toolexpander::plan::Numerics::default(),
    };
    let graph = toolexpander::plan::Graph::build(&expanded, &facts).unwrap();
    let run = project.carry_out(&graph, &store, &options, &mut |_| {});
    assert_eq!(run.counts(), [3, 1, 0, 0], "{:#?}", run.report);
    assert_eq!(run.stage("use-a").key, run.stage("use-b").key);
    assert_eq!(project.read("executions").unwrap(), "ran\n");
}
