//! Shell completions, help, and how the binary behaves in a pipe.

use std::{
    io::Read,
    process::{Command, Stdio},
};

use super::project::Project;

#[test]
fn every_shell_gets_a_script_that_knows_the_commands() {
    let project = Project::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let said = project.run(&["completions", shell]);
        assert_eq!(said.code, 0);
        for command in ["run", "plan", "explain", "verify", "export"] {
            assert!(said.stdout.contains(command), "{shell} does not complete `{command}`");
        }
        let offered = said.stdout.lines().find(|line| line.trim_start().starts_with("opts=")).unwrap_or_default();
        assert!(!offered.contains("__"), "hidden commands are not offered by {shell}: {offered}");
    }
}

#[test]
fn bash_accepts_its_script() {
    let script = Project::new().run(&["completions", "bash"]).stdout;
    let checked = Command::new("bash").args(["-n", "-c", &script]).status().expect("bash is there");
    assert!(checked.success());
}

#[test]
fn a_wrong_word_is_a_usage_error_with_a_suggestion() {
    let said = Project::new().run(&["rum", "p.toml"]);
    assert_eq!(said.code, 2);
    assert!(said.stderr.contains("'run'"), "{}", said.stderr);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let project = Project::new();
    let mut child = project
        .command(&["schema", "pipeline"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    drop(child.stdout.take());
    let mut talk = String::new();
    child.stderr.take().expect("stderr is piped").read_to_string(&mut talk).expect("talk is UTF-8");
    assert!(child.wait().expect("it ends").success(), "{talk}");
    assert_eq!(talk, "");
}
