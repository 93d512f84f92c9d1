//! Stages that fail, and what the report says of them.

use toolexpander::record::{RunEvent, RunStatus, StageEvent, StageStatus};

use super::project::Project;

const FILE: &[(&str, &str)] = &[("out", "file")];

#[test]
fn a_failure_shows_status_last_words_and_log_and_skips_only_what_needs_it() {
    let mut project = Project::new();
    project
        .stage(
            "bad",
            &[],
            FILE,
            "i=0; while [ $i -lt 30 ]; do echo line $i; i=$((i+1)); done; echo 'loss is NaN at step 3' >&2; exit 3",
        )
        .stage("below", &[("data", "bad")], FILE, "cat \"$1\" > \"$2\"")
        .stage("further", &[("data", "below")], FILE, "cat \"$1\" > \"$2\"")
        .stage("other", &[], FILE, "echo x > \"$1\"");
    let run = project.run();
    assert_eq!(run.report.status, RunStatus::Failed);
    assert_eq!(run.counts(), [1, 0, 1, 2]);
    let reason = &run.stage("bad").reason;
    assert!(reason.starts_with("exit status 3\n"), "{reason}");
    assert!(reason.contains("\n  | loss is NaN at step 3\n  log: "), "{reason}");
    assert!(
        reason.contains("| line 29\n") && reason.contains("| line 11\n") && !reason.contains("| line 10\n"),
        "{reason}"
    );
    let log = reason.rsplit("log: ").next().unwrap();
    assert!(std::fs::read_to_string(log).unwrap().starts_with("line 0\n"), "{log}");
    assert_eq!(run.stage("below").reason, "needs `bad`, which failed");
    assert_eq!(run.stage("further").reason, "needs `below`, which was skipped");
    assert_eq!(run.status("other"), StageStatus::Executed);
    // A failure is not remembered: it is tried again.
    project.write("bad.sh", "echo good > \"$1\"");
    assert_eq!(project.run().counts(), [3, 1, 0, 0]);
}

#[test]
fn with_fail_fast_nothing_new_begins() {
    let mut project = Project::new();
    project.stage("bad", &[], FILE, "exit 1");
    for name in ["x", "y", "z"] {
        project.stage(name, &[], FILE, "echo x > \"$1\"");
    }
    let mut options = project.options();
    options.capacity.slots = 1;
    let run = project.run_with(&options, |_| {});
    assert_eq!(run.counts(), [3, 0, 1, 0], "without it, the others run");
    let mut project = Project::new();
    project.stage("bad", &[], FILE, "exit 1");
    for name in ["x", "y", "z"] {
        project.stage(name, &[], FILE, "echo x > \"$1\"");
    }
    options.project_folder.clone_from(&project.root);
    options.pipeline_folder.clone_from(&project.root);
    options.fail_fast = true;
    let run = project.run_with(&options, |_| {});
    assert_eq!(run.counts(), [0, 0, 1, 3]);
    assert_eq!(run.report.status, RunStatus::Failed);
    assert_eq!(run.stage("z").reason, "the run was stopped before it began");
    assert!(run.events.contains(&RunEvent::Stopping { reason: "`bad` failed".to_owned() }));
}

#[test]
fn a_killed_stage_names_the_signal() {
    let mut project = Project::new();
    project.stage("killed", &[], FILE, "kill -9 $$").stage("crashed", &[], FILE, "kill -SEGV $$");
    let run = project.run();
    assert!(
        run.stage("killed").reason.starts_with("killed by SIGKILL (out of memory?); it wrote nothing to its log "),
        "{}",
        run.stage("killed").reason
    );
    assert!(run.stage("crashed").reason.starts_with("killed by SIGSEGV"), "{}", run.stage("crashed").reason);
}

#[test]
fn outputs_must_be_there_and_as_declared() {
    let mut project = Project::new();
    project
        .stage("missing", &[], FILE, "echo done")
        .stage("shape", &[], FILE, "mkdir \"$1\"")
        .stage("schema", &[], &[("out", "table:samples")], "echo no table > \"$1\"")
        .stage("model", &[], &[("out", "model")], "echo x > \"$1/weights\"")
        .stage("half", &[], &[("a", "file"), ("b", "file")], "echo x > \"$1\"");
    let run = project.run();
    assert_eq!(run.counts(), [0, 0, 5, 0]);
    let says = |stage: &str, words: &str| {
        let reason = &run.stage(stage).reason;
        assert!(reason.contains(words), "{stage}: {reason}");
    };
    says("missing", "output `out`: the stage ended well but did not write ");
    says("missing", "\n  | done\n");
    says("shape", "output `out`: a file is expected for `file`, but ");
    says("schema", "output `out`: the `samples` table is not readable as Parquet");
    says("model", "it has no `config.json`");
    says("half", "output `b`: ");
}

#[test]
fn a_table_of_another_schema_is_refused_and_the_right_one_has_rows() {
    use toolexpander::table::{self, HardRow};
    let mut project = Project::new();
    let rows: Vec<HardRow> = (0..3)
        .map(|index| HardRow {
            sample_id: format!("s{index}"),
            category: "simple".to_owned(),
            rollouts: 10,
            correct: 0,
            mean_reward: 0.0,
            hard: true,
        })
        .collect();
    std::fs::write(project.root.join("hard.parquet"), table::encode(&rows).unwrap()).unwrap();
    project.stage("right", &[], &[("out", "table:hard")], "cp DATA/hard.parquet \"$1\"").stage(
        "wrong",
        &[],
        &[("out", "table:samples")],
        "cp DATA/hard.parquet \"$1\"",
    );
    let run = project.run();
    assert_eq!(run.stage("right").outputs["out"].rows, Some(3));
    assert!(run.stage("wrong").reason.contains("output `out`: the `samples` table "), "{}", run.stage("wrong").reason);
}

#[test]
fn programs_and_files_that_are_not_there_are_told() {
    let mut project = Project::new();
    project.stage("script", &[], FILE, "echo x > \"$1\"");
    project.stage("changed", &[], FILE, "echo y > \"$1\"");
    let store = project.store();
    let graph = project.graph(&store);
    project.write("changed.sh", "echo edited after the plan > \"$1\"");
    let run = project.carry_out(&graph, &store, &project.options(), &mut |_| {});
    assert_eq!(run.status("script"), StageStatus::Executed);
    let reason = &run.stage("changed").reason;
    assert!(reason.ends_with("changed.sh` was changed while the run was going: run again"), "{reason}");

    let mut project = Project::new();
    project.stage("none", &[], FILE, "");
    let text = project.text().replace("\"sh\", ", "\"no-such-program\", ");
    project.write("pipeline.toml", &text);
    let spec = toolexpander::spec::Spec::parse(
        &toolexpander::base::SourceText::new("p", &text),
        &toolexpander::spec::Kinds::new(),
        &[],
    )
    .unwrap();
    let expanded = toolexpander::spec::expand(&spec, &toolexpander::spec::Selection::default()).unwrap();
    let store = project.store();
    let facts = toolexpander::engine::ProjectFacts {
        store: &store,
        pipeline_folder: project.root.clone(),
        numerics: toolexpander::plan::Numerics::default(),
    };
    let graph = toolexpander::plan::Graph::build(&expanded, &facts).unwrap();
    let run = project.carry_out(&graph, &store, &project.options(), &mut |_| {});
    assert!(
        run.stage("none").reason.starts_with("there is no program `no-such-program` on the PATH"),
        "{}",
        run.stage("none").reason
    );
}

#[test]
fn a_lost_result_is_made_again_only_of_what_it_was_made_of() {
    let mut project = Project::new();
    let script = "printf '{\"event\":\"fact\",\"name\":\"source-digest\",\"value\":\"%s\"}\\n' \"$(cat DATA/source)\" \
                  >> \"$PIPELINE_EVENTS\"; cp DATA/source \"$1\"";
    project.stage("fetch", &[], FILE, script);
    project.write("source", "one");
    let first = project.run();
    let key = first.stage("fetch").key.unwrap();
    let lose = || {
        let digest = first.stage("fetch").outputs["out"].digest;
        std::fs::remove_file(project.store().object_path(&digest)).unwrap();
    };
    assert_eq!(project.store().manifest(&key).unwrap().unwrap().pinned["source-digest"], "one");

    lose();
    project.write("source", "two");
    let run = project.run();
    assert_eq!(run.counts(), [0, 0, 1, 0]);
    let reason = run.stage("fetch").reason.split("; it wrote nothing").next().unwrap();
    insta::assert_snapshot!(reason, @"`source-digest` is two, but was one when this stage first ran, and that result is lost: bring back what there was then, or accept what there is now by changing a parameter of the stage (for a source, its `digest`)");
    assert_eq!(project.store().manifest(&key).unwrap().unwrap().pinned["source-digest"], "one");

    project.write("source", "one");
    assert_eq!(project.run().counts(), [1, 0, 0, 0]);
}

#[test]
fn a_stage_that_changes_its_input_fails_and_nothing_is_made_of_the_damage() {
    for harm in ["sed -i s/hello/HELLO/ \"$1\"", "chmod u+w \"$1\"; echo more >> \"$1\""] {
        let mut project = Project::new();
        project.stage("make", &[], FILE, "echo hello > \"$1\"").stage(
            "edit",
            &[("data", "make")],
            FILE,
            &format!("{harm}; cat \"$1\" > \"$2\""),
        );
        let run = project.run();
        // `make` is committed or not, as the committing thread was faster or slower than `edit`.
        assert_eq!(run.status("edit"), StageStatus::Failed, "{:#?}", run.report);
        let reason = &run.stage("edit").reason;
        assert!(reason.starts_with("the input `data` was changed in place while the stage ran"), "{reason}");
        project.write("edit.sh", "cat \"$1\" > \"$2\"");
        let run = project.run();
        assert_eq!(run.counts(), [2, 0, 0, 0], "the damaged blob was set aside: {:#?}", run.report);
        assert_eq!(run.output("edit", "out"), "hello\n");
    }
}

#[test]
fn a_blob_that_was_written_to_is_made_again_before_it_is_used() {
    let mut project = Project::new();
    project.stage("make", &[], FILE, "echo hello > \"$1\"").stage(
        "use",
        &[("data", "make")],
        FILE,
        "cat \"$1\" > \"$2\"",
    );
    let first = project.run();
    let blob = project.store().object_path(&first.stage("make").outputs["out"].digest);
    let mut permissions = std::fs::metadata(&blob).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o644);
    std::fs::set_permissions(&blob, permissions).unwrap();
    std::fs::write(&blob, "HELLO\n").unwrap();
    project.write("use.sh", "cat \"$1\" \"$1\" > \"$2\"");
    let run = project.run();
    assert_eq!(run.counts(), [2, 0, 0, 0]);
    assert_eq!(run.output("use", "out"), "hello\nhello\n");
}

#[test]
fn what_a_stage_left_running_does_not_reach_the_next_one() {
    let mut project = Project::new();
    ["away", "go", "gone"].iter().for_each(|name| project.pipe(name));
    project
        .stage(
            "leave",
            &[],
            FILE,
            "setsid sh -c 'echo > DATA/away; cat DATA/go; echo late >> \"$1\"; echo > DATA/gone' sh \"$1\" < /dev/null > /dev/null 2>&1 &\n\
             cat DATA/away; echo early > \"$1\"",
        )
        .stage("next", &[("data", "leave")], FILE, "echo > DATA/go; cat DATA/gone > /dev/null; cat \"$1\" >> \"$2\"");
    let mut options = project.options();
    options.capacity.slots = 1;
    let run = project.run_with(&options, |_| {});
    assert_eq!(run.counts(), [2, 0, 0, 0], "{:#?}", run.report);
    assert_eq!(run.output("next", "out"), "early\n");
}

#[test]
fn events_that_cannot_be_read_harm_nobody() {
    let mut project = Project::new();
    project
        .stage("pipe", &[], FILE, "mkfifo \"$PIPELINE_EVENTS\"; echo x > \"$1\"")
        .stage("folder", &[], FILE, "mkdir \"$PIPELINE_EVENTS\"; echo y > \"$1\"")
        .stage("plain", &[], FILE, "echo z > \"$1\"");
    let run = project.run();
    assert_eq!(run.counts(), [3, 0, 0, 0], "{:#?}", run.report);
    assert!(matches!(run.said("pipe")[..], [StageEvent::Log { message }] if message.contains("cannot be read")));
}
