//! What a stage finds and what becomes of what it leaves.

use toolexpander::{
    engine::{self},
    record::{RunEvent, RunStatus, StageEvent, StageStatus},
    schedule::Capacity,
};

use super::project::{Project, hear, runs, until};

const FILE: &[(&str, &str)] = &[("out", "file")];

#[test]
fn stages_run_once_and_are_hits_afterwards() {
    let mut project = Project::new();
    project.stage("first", &[], FILE, "echo one > \"$1\"").stage(
        "second",
        &[("data", "first")],
        FILE,
        "cat \"$1\" > \"$2\"; echo two >> \"$2\"",
    );
    let run = project.run();
    assert_eq!(run.report.status, RunStatus::Ok, "{:#?}", run.report);
    assert_eq!(run.counts(), [2, 0, 0, 0]);
    assert_eq!(run.output("second", "out"), "one\ntwo\n");
    let order: Vec<String> = run
        .events
        .iter()
        .map(|event| match event {
            RunEvent::Started { stages, .. } => format!("started {stages}"),
            RunEvent::StageStarted { stage, kind, .. } => format!("{stage} ({kind}) started"),
            RunEvent::StageEnded { report } => format!("{} ended", report.name),
            RunEvent::Ended { .. } => "ended".to_owned(),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(
        order,
        ["started 2", "first (command) started", "first ended", "second (command) started", "second ended", "ended",]
    );
    let again = project.run();
    assert_eq!(again.counts(), [0, 2, 0, 0]);
    assert_eq!(again.stage("second").key, run.stage("second").key);
    assert_eq!(again.output("second", "out"), "one\ntwo\n");
    let store = project.store();
    let runs = store.runs().unwrap();
    assert_eq!(runs.len(), 2);
    let journal = store.journal(&runs[0].id).unwrap();
    assert_eq!(journal.into_iter().map(|line| line.event).collect::<Vec<_>>(), run.events);
    assert_eq!(
        std::fs::read_dir(project.root.join("artifacts/tmp"))
            .unwrap()
            .filter_map(Result::ok)
            .filter(|entry| entry.path().join("work").exists())
            .count(),
        0
    );
}

#[test]
fn a_stage_sees_its_request_and_nothing_else_of_the_environment() {
    let mut project = Project::new();
    project.write("helper.txt", "help\n");
    project.stage("a", &[], FILE, "echo a > \"$1\"").stage("b", &[], FILE, "echo b > \"$1\"").stage_with(
        "show",
        &[("one", "a")],
        &[("box", "folder"), ("out", "file")],
        r#"test -d "$2" && echo kept > "$2/inside"
           { env | sed 's/=.*//' | grep -v -e '^_$' -e PWD -e SHLVL -e OLDPWD | sort | tr '\n' ' '; echo
             echo "$PIPELINE_STAGE $PIPELINE_THREADS $RAYON_NUM_THREADS $PIPELINE_PARAM_LEARNING_RATE $PIPELINE_SEED"
             cat show.sh > /dev/null && cat "$PIPELINE_INPUT_ONE" && ls && grep -c '"stage":"show"' "$PIPELINE_REQUEST"
             cat; } > "$3""#,
        "with = { learning-rate = 0.5 }\nresources = { cpus = 2 }\nenv = [\"PATH\"]",
    );
    let run = project.run();
    assert_eq!(run.report.status, RunStatus::Ok, "{}", run.stage("show").reason);
    assert_eq!(
        run.output("show", "out"),
        "OMP_NUM_THREADS PATH PIPELINE_EVENTS PIPELINE_INPUT_ONE PIPELINE_OUTPUT_BOX PIPELINE_OUTPUT_OUT \
         PIPELINE_PARAM_LEARNING_RATE PIPELINE_REQUEST PIPELINE_SEED PIPELINE_STAGE PIPELINE_THREADS RAYON_NUM_THREADS \n\
         show 2 2 0.5 0\na\nshow.sh\n1\n"
    );
}

#[test]
fn events_of_a_command_are_heard_and_its_words_are_logged() {
    let mut project = Project::new();
    let script = "echo '{\"event\":\"metric\",\"name\":\"loss\",\"step\":3,\"value\":0.25}' >> \"$PIPELINE_EVENTS\"\n\
                  echo plain >> \"$PIPELINE_EVENTS\"; echo words; echo more >&2; echo x > \"$1\"";
    project.stage("talk", &[], FILE, script);
    let run = project.run();
    let plain = StageEvent::Log { message: "plain".to_owned() };
    assert_eq!(run.said("talk"), [&StageEvent::Metric { name: "loss".to_owned(), step: 3, value: 0.25 }, &plain]);
    let store = project.store();
    let log = engine::log_path(&store.runs().unwrap()[0].path, &toolexpander::base::StageId::new("talk"));
    assert_eq!(std::fs::read_to_string(log).unwrap(), "words\nmore\nplain\n");
}

#[test]
fn folders_flow_and_are_read_only_views() {
    let mut project = Project::new();
    project
        .stage("make", &[], &[("box", "folder")], "mkdir \"$1/sub\"; echo a > \"$1/a\"; echo b > \"$1/sub/b\"")
        .stage("read", &[("box", "make")], FILE, "cat \"$1/a\" \"$1/sub/b\" > \"$2\"");
    let run = project.run();
    assert_eq!(run.output("read", "out"), "a\nb\n");
    assert_eq!(project.run().counts(), [0, 2, 0, 0]);
}

#[test]
fn equal_bytes_upstream_run_nothing_below() {
    let mut project = Project::new();
    project.stage("make", &[], FILE, "echo same > \"$1\"").stage(
        "use",
        &[("data", "make")],
        FILE,
        "cat \"$1\" > \"$2\"",
    );
    project.run();
    project.write("make.sh", "echo same > \"$1\" # another script");
    let run = project.run();
    assert_eq!(run.status("make"), StageStatus::Executed);
    assert_eq!(run.status("use"), StageStatus::Cached);
    assert!(run.events.iter().any(|event| matches!(event,
        RunEvent::StageStarted { stage, reason, .. } if stage == "make" && !reason.is_empty())));
    // The new predicted key of `use` was noted with the old result: the next plan is exact.
    let store = project.store();
    let plan = engine::plan(&project.graph(&store), &store);
    assert!(plan.stages.iter().all(|stage| stage.status == StageStatus::Hit), "{plan:#?}");
}

#[test]
fn a_plan_says_hit_run_and_waits() {
    let mut project = Project::new();
    project.stage("a", &[], FILE, "echo a > \"$1\"").stage("b", &[("data", "a")], FILE, "echo b > \"$2\"").stage(
        "c",
        &[("data", "b")],
        FILE,
        "echo c > \"$2\"",
    );
    let store = project.store();
    let statuses = |project: &Project| -> Vec<StageStatus> {
        engine::plan(&project.graph(&store), &store).stages.iter().map(|stage| stage.status).collect()
    };
    assert_eq!(statuses(&project), [StageStatus::Run, StageStatus::Waits, StageStatus::Waits]);
    project.carry_out(&project.graph(&store), &store, &project.options(), &mut |_| {});
    assert_eq!(statuses(&project), [StageStatus::Hit; 3]);
    project.write("b.sh", "echo new > \"$2\"");
    assert_eq!(statuses(&project), [StageStatus::Hit, StageStatus::Run, StageStatus::Waits]);
}

#[test]
fn what_an_ended_stage_leaves_running_is_killed() {
    let mut project = Project::new();
    project.stage("leave", &[], FILE, "sleep 1000 & echo $! > \"$1\"");
    let run = project.run();
    let process = run.output("leave", "out").trim().to_owned();
    until("the background process is dead", || !runs(&process));
}

#[test]
fn stages_that_need_each_other_running_do_run_at_once() {
    let mut project = Project::new();
    project.pipe("there");
    project.pipe("back");
    project.stage("ping", &[], FILE, "echo ping > DATA/there; cat DATA/back > \"$1\"").stage(
        "pong",
        &[],
        FILE,
        "cat DATA/there > \"$1\"; echo pong > DATA/back",
    );
    let run = project.run();
    assert_eq!((run.output("ping", "out"), run.output("pong", "out")), ("pong\n".to_owned(), "ping\n".to_owned()));
}

#[test]
fn a_stage_that_takes_the_whole_machine_runs_alone() {
    let mut project = Project::new();
    for name in ["a", "b", "c", "d"] {
        let cpus = if name == "c" { 2 } else { 1 };
        let script = "echo begin >> DATA/order; echo $PPID; ls > /dev/null; echo end >> DATA/order; echo x > \"$1\"";
        let script = script.replace("begin", &format!("begin-{name}")).replace("end ", &format!("end-{name} "));
        project.stage_with(name, &[], FILE, &script, &format!("resources = {{ cpus = {cpus} }}"));
    }
    let mut options = project.options();
    options.capacity = Capacity { slots: 4, ..options.capacity };
    let run = project.run_with(&options, |_| {});
    assert_eq!(run.counts(), [4, 0, 0, 0]);
    let order = project.read("order").unwrap();
    let lines: Vec<&str> = order.lines().collect();
    let at = lines.iter().position(|line| *line == "begin-c").unwrap();
    assert_eq!(lines[at + 1], "end-c", "{order}");
    let (mut running, mut most) = (0, 0);
    for line in lines {
        running += if line.starts_with("begin") { 1 } else { -1 };
        most = most.max(running);
    }
    assert!(most <= 2, "{order}");
    assert_eq!(hear(&project.root.join("a.sh")).lines().count(), 1);
}
