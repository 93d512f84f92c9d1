//! Nothing that a run started outlives it.

use std::os::unix::process::ExitStatusExt;

use super::project::{Project, hear, runs, until};

const FILE: &[(&str, &str)] = &[("out", "file")];

#[test]
fn a_killed_run_takes_children_and_grandchildren_with_it() {
    let mut project = Project::new();
    project.pipe("begun");
    project.pipe("never");
    // The grandchild ignores everything that can be ignored; the great-grandchild is in the background of a shell of its own.
    let script = "sh -c 'trap \"\" TERM HUP INT; (sleep 1000 & echo $! $$ > DATA/deep; wait) & echo $! > DATA/shallow; wait' &\n\
                  until test -s DATA/deep && test -s DATA/shallow; do sleep 0.01; done\n\
                  echo $$ $PPID $! $(cat DATA/deep DATA/shallow) > DATA/begun\ncat DATA/never";
    project.stage("tree", &[], FILE, script);
    let mut process = project.start();
    let said = hear(&project.root.join("begun"));
    let ids: Vec<&str> = said.split_whitespace().collect();
    assert_eq!(ids[1], process.id().to_string(), "the stage is the engine's own child");
    let family: Vec<&str> = ids.iter().copied().filter(|id| *id != ids[1]).collect();
    assert!(family.len() >= 4 && family.iter().all(|id| runs(id)), "{family:?}");
    let keeper = keeper_of(process.id());
    process.kill().unwrap();
    assert_eq!(process.wait().unwrap().signal(), Some(9));
    for id in &family {
        until(&format!("{id} of {family:?} is dead"), || !runs(id));
    }
    until("the keeper has left", || !runs(&keeper));
    // The half-done stage left nothing behind that hinders the next run.
    project.write("tree.sh", "echo x > \"$1\"");
    assert_eq!(project.run().counts(), [1, 0, 0, 0]);
}

fn keeper_of(parent: u32) -> String {
    let children = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let name = entry.ok()?.file_name().into_string().ok()?;
        let stat = std::fs::read_to_string(format!("/proc/{name}/stat")).ok()?;
        let command = std::fs::read_to_string(format!("/proc/{name}/cmdline")).ok()?;
        let parent_of = stat.rsplit(") ").next()?.split(' ').nth(1)?.to_owned();
        (parent_of == parent.to_string() && command.contains("__keeper")).then_some(name)
    });
    children.into_iter().next().expect("the run has a keeper")
}
