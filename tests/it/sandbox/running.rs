//! What a well-behaved program meets.

use std::io::{BufRead, BufReader, Read, Write};

use super::place::{Place, run, sandbox};
use toolexpander::sandbox::{Ending, Mechanism, SandboxError};

/// Both ways of shutting in, so that each is tested wherever both work.
const MECHANISMS: [Mechanism; 2] = [Mechanism::Namespaces, Mechanism::Landlock];

#[test]
fn a_program_gets_its_input_arguments_folder_and_only_the_given_environment() {
    for mechanism in MECHANISMS {
        let place = Place::new();
        let mut policy = place.shell(
            "cat; pwd; env | grep -v -e ^PWD= -e ^_= -e ^SHLVL= -e ^OLDPWD=; echo kept > file; echo talk >&2; exit 3",
        );
        policy.mechanism = Some(mechanism);
        let finished = run(&policy, b"input\n");
        let said = String::from_utf8(finished.stdout).unwrap();
        assert_eq!(said, format!("input\n{}\nPATH=/usr/bin:/bin\n", place.workdir()), "{:?}", finished.verdict);
        assert_eq!(finished.verdict.ending, Ending::Exited(3));
        assert_eq!(finished.verdict.mechanism, mechanism);
        assert_eq!(finished.verdict.stderr, "talk\n");
        assert_eq!(std::fs::read_to_string(place.workdir().join("file")).unwrap(), "kept\n");
    }
}

#[test]
fn a_server_answers_turn_by_turn_until_it_is_ended() {
    for mechanism in MECHANISMS {
        let place = Place::new();
        let mut policy = place.shell("while read -r line; do echo \"got $line\"; done");
        policy.mechanism = Some(mechanism);
        let mut server = sandbox().start(&policy).unwrap();
        let mut stdin = server.take_stdin().unwrap();
        let mut answers = BufReader::new(server.take_stdout().unwrap());
        for number in 0..20 {
            server.begin_turn();
            writeln!(stdin, "{number}").unwrap();
            let mut answer = String::new();
            answers.read_line(&mut answer).unwrap();
            assert_eq!(answer, format!("got {number}\n"));
            server.rest();
        }
        let verdict = server.kill();
        assert_eq!(verdict.ending, Ending::Stopped);
        assert_eq!(answers.read(&mut [0; 1]).unwrap(), 0);
    }
}

#[test]
fn a_server_whose_input_is_closed_ends_by_itself() {
    let place = Place::new();
    let mut server = sandbox().start(&place.shell("while read -r line; do echo \"$line\"; done; echo bye")).unwrap();
    drop(server.take_stdin());
    let mut said = String::new();
    server.take_stdout().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said, "bye\n");
    assert_eq!(server.wait().ending, Ending::Exited(0));
}

#[test]
fn a_program_that_is_not_there_or_not_readable_is_refused_by_name() {
    for mechanism in MECHANISMS {
        let place = Place::new();
        let mut policy = place.shell("true");
        policy.mechanism = Some(mechanism);
        policy.program = "/usr/bin/no-such-program".into();
        let error = sandbox().start(&policy).unwrap_err();
        let SandboxError::Refused { step, .. } = &error else { panic!("{error}") };
        assert_eq!(step, "run `/usr/bin/no-such-program`");
    }
}

#[test]
fn a_long_output_arrives_whole() {
    for mechanism in MECHANISMS {
        let place = Place::new();
        let mut policy = place
            .shell("i=0; while [ $i -lt 20000 ]; do echo 0123456789012345678901234567890123456789; i=$((i+1)); done");
        policy.mechanism = Some(mechanism);
        let finished = run(&policy, b"");
        assert_eq!(finished.stdout.len(), 20000 * 41);
        assert!(finished.verdict.ending.succeeded());
        assert_eq!(finished.verdict.usage.output_bytes, 20000 * 41);
    }
}
