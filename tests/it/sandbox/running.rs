//! What a well-behaved program meets.

use std::{
    io::{BufRead, BufReader, Read, Write},
    time::{Duration, Instant},
};

use super::place::{Place, run, sandbox};
use toolexpander::sandbox::{Ending, Mechanism, Network, Policy, SandboxError, Sandboxed, of_program};

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

#[test]
fn a_caller_that_reads_no_more_ends_a_talkative_program() {
    for mechanism in MECHANISMS {
        let place = Place::new();
        let mut policy = place.shell("exec cat /dev/zero");
        policy.mechanism = Some(mechanism);
        let mut talker = sandbox().start(&policy).unwrap();
        let mut stdout = talker.take_stdout().unwrap();
        stdout.read_exact(&mut [0; 10]).unwrap();
        drop(stdout);
        assert_eq!(talker.wait().ending, Ending::Signalled(libc::SIGPIPE));
    }
}

#[test]
fn an_output_that_is_closed_is_at_its_end_while_the_program_lives() {
    let place = Place::new();
    let mut program = sandbox().start(&place.shell("echo first; exec 1>&-; read -r line; exit 4")).unwrap();
    let mut said = String::new();
    program.take_stdout().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said, "first\n");
    program.take_stdin().unwrap().write_all(b"go on\n").unwrap();
    assert_eq!(program.wait().ending, Ending::Exited(4));
}

#[test]
fn a_program_at_rest_has_time_and_each_turn_has_its_own_allowance() {
    for mechanism in MECHANISMS {
        let place = Place::new();
        let script = "while read -r n; do head -c \"$n\" /dev/zero | tr '\\0' x; echo; done";
        let mut policy = place.shell(script);
        policy.mechanism = Some(mechanism);
        policy.output_bytes = 1000;
        let mut server = sandbox().start(&policy).unwrap();
        let mut stdin = server.take_stdin().unwrap();
        let mut answers = BufReader::new(server.take_stdout().unwrap());
        let mut ask = |server: &mut Sandboxed, bytes: usize| {
            server.begin_turn();
            writeln!(stdin, "{bytes}").unwrap();
            let mut answer = String::new();
            answers.read_line(&mut answer).unwrap();
            answer.len()
        };
        for _ in 0..5 {
            assert_eq!(ask(&mut server, 900), 901);
        }
        assert_eq!(ask(&mut server, 5000), 1000, "a turn's output is cut at its limit");
        assert_eq!(server.wait().ending, Ending::TooMuchOutput);
    }
}

#[test]
fn the_temporary_folder_is_writable_and_stands_at_tmp_where_there_are_namespaces() {
    for mechanism in MECHANISMS {
        let place = Place::new();
        let temporary = place.outside().join("temporary");
        std::fs::create_dir(&temporary).unwrap();
        let mut policy =
            place.shell("echo x > \"$TMPDIR/a\"; echo y > /tmp/sandbox-temporary; cat /tmp/sandbox-temporary");
        policy.environment.push(("TMPDIR".into(), temporary.to_string()));
        policy.temporary = Some(temporary.clone());
        policy.mechanism = Some(mechanism);
        let finished = run(&policy, b"");
        assert_eq!(std::fs::read_to_string(temporary.join("a")).unwrap(), "x\n");
        // A temporary folder below `/tmp` cannot stand at `/tmp` as well.
        assert_eq!(finished.stdout, b"", "{:?}", finished.verdict);
        assert!(!std::path::Path::new("/tmp/sandbox-temporary").exists());
    }
}

/// Takes system calls away from this thread and the processes that it starts, as a container or an old kernel would.
fn without(calls: &[i64], error: i32) {
    use seccompiler::{SeccompAction, SeccompFilter, TargetArch};
    let rules = calls.iter().map(|&call| (call, Vec::new())).collect();
    let target = TargetArch::try_from(std::env::consts::ARCH).unwrap();
    let refuse = SeccompAction::Errno(error.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, target).unwrap();
    let program: seccompiler::BpfProgram = filter.try_into().unwrap();
    seccompiler::apply_filter(&program).unwrap();
}

#[test]
fn without_namespaces_landlock_is_chosen() {
    // Filters bind this thread, which the test harness made for this test alone.
    without(&[libc::SYS_unshare], libc::EPERM);
    let place = Place::new();
    let sandbox = sandbox();
    for _ in 0..2 {
        let finished = sandbox.run(&place.shell("echo x"), b"").unwrap();
        assert_eq!((finished.verdict.mechanism, finished.stdout.as_slice()), (Mechanism::Landlock, b"x\n".as_slice()));
    }
    let mut policy = place.shell("echo x");
    policy.network = Network::Loopback;
    let error = sandbox.start(&policy).unwrap_err().to_string();
    assert!(error.contains("user namespaces are not allowed here"), "{error}");
    assert!(error.contains("Landlock: could not give the program a loopback network"), "{error}");
}

#[test]
fn without_landlock_nothing_runs_unless_the_policy_says_so() {
    without(&[libc::SYS_landlock_create_ruleset], libc::ENOSYS);
    let place = Place::new();
    let mut policy = place.shell("echo x > ran; echo x");
    for mechanism in [None, Some(Mechanism::Namespaces), Some(Mechanism::Landlock), Some(Mechanism::Unsandboxed)] {
        policy.mechanism = mechanism;
        let error = sandbox().start(&policy).unwrap_err();
        assert!(matches!(error, SandboxError::Unavailable { .. }), "{error}");
        assert!(error.to_string().contains("--allow-unsandboxed"), "{error}");
        assert!(
            mechanism == Some(Mechanism::Unsandboxed) || error.to_string().contains("could not use Landlock"),
            "{error}"
        );
    }
    assert!(!place.workdir().join("ran").exists());
    (policy.mechanism, policy.allow_unsandboxed) = (None, true);
    let finished = run(&policy, b"");
    assert_eq!((finished.verdict.mechanism, finished.stdout.as_slice()), (Mechanism::Unsandboxed, b"x\n".as_slice()));
}

#[test]
fn without_seccomp_nothing_runs() {
    // The kernel's answer to who asks for filters by `prctl` cannot be changed by a filter for all options, so by this one.
    without(&[libc::SYS_seccomp], libc::ENOSYS);
    let place = Place::new();
    let error = sandbox().start(&place.shell("echo x > ran")).unwrap_err();
    assert!(matches!(error, SandboxError::Unavailable { .. }), "{error}");
    assert!(error.to_string().contains("seccomp"), "{error}");
    assert!(!place.workdir().join("ran").exists());
}

/// The policy for an interpreter found on the path, or at the place where one is expected.
fn interpreter(place: &Place, program: &str, arguments: &[&str]) -> Policy {
    let mut policy = place.shell("");
    policy.program = program.into();
    policy.arguments = arguments.iter().map(|&argument| argument.into()).collect();
    policy.readable.extend(of_program(program.into()));
    policy
}

#[test]
#[ignore = "needs python3"]
fn python_runs_with_threads_subprocesses_and_files() {
    let script = "import sys, os, json, tempfile, threading, subprocess, asyncio, sqlite3, ssl, random, socket\n\
                  open('made', 'w').write('x'); os.chmod('made', 0o600); os.utime('made')\n\
                  t = threading.Thread(target=lambda: None); t.start(); t.join()\n\
                  out = subprocess.run(['/bin/echo', 'child'], capture_output=True, text=True).stdout\n\
                  async def f(): await asyncio.sleep(0); return 1\n\
                  r = asyncio.run(f())\n\
                  d = sqlite3.connect('db'); d.execute('create table t(a)'); d.commit()\n\
                  try: socket.socket(); net = True\n\
                  except OSError: net = False\n\
                  print(json.dumps([out, r, net, sorted(os.environ), sys.stdin.read()]))";
    for mechanism in MECHANISMS {
        let place = Place::new();
        let mut policy = interpreter(&place, "/usr/bin/python3", &["-c", script]);
        policy.mechanism = Some(mechanism);
        let finished = run(&policy, b"given");
        let said = String::from_utf8_lossy(&finished.stdout).into_owned();
        assert!(finished.verdict.ending.succeeded(), "{:?}", finished.verdict);
        assert!(said.starts_with("[\"child\\n\", 1, false, ["), "{said}");
        assert!(said.ends_with("\"given\"]\n"), "{said}");
        println!("{mechanism:?}: {}", finished.verdict);
    }
}

#[test]
#[ignore = "needs node"]
fn node_runs_with_workers_children_and_files() {
    let script = "const fs = require('fs'), os = require('os'), { Worker } = require('worker_threads');\n\
                  fs.writeFileSync('made', 'x'); fs.chmodSync('made', 0o600); fs.renameSync('made', 'moved');\n\
                  const out = require('child_process').execFileSync('/bin/echo', ['child']).toString();\n\
                  const worker = new Worker('require(\"worker_threads\").parentPort.postMessage(7)', { eval: true });\n\
                  worker.on('message', (message) => {\n\
                    const socket = require('net').connect(80, '127.0.0.1');\n\
                    socket.on('error', (error) => console.log(JSON.stringify([out, message, os.cpus().length > 0, error.code])));\n\
                  });";
    for mechanism in MECHANISMS {
        let place = Place::new();
        let mut policy = interpreter(&place, "/usr/bin/node", &["-e", script]);
        policy.mechanism = Some(mechanism);
        let finished = run(&policy, b"");
        let said = String::from_utf8_lossy(&finished.stdout).into_owned();
        assert!(finished.verdict.ending.succeeded(), "{:?}", finished.verdict);
        assert_eq!(said, "[\"child\\n\",7,true,\"EPERM\"]\n", "{:?}", finished.verdict);
        println!("{mechanism:?}: {}", finished.verdict);
    }
}

#[test]
#[ignore = "prints measurements"]
fn what_a_start_and_a_turn_cost() {
    for mechanism in MECHANISMS {
        let place = Place::new();
        let mut policy = place.shell("true");
        policy.program = "/bin/true".into();
        policy.mechanism = Some(mechanism);
        let sandbox = sandbox();
        let rounds = 200;
        let median = |mut times: Vec<Duration>| {
            times.sort();
            times[times.len() / 2]
        };
        let timed = |run: &dyn Fn()| {
            let began = Instant::now();
            run();
            began.elapsed()
        };
        let bare =
            median((0..rounds).map(|_| timed(&|| drop(std::process::Command::new("/bin/true").status()))).collect());
        let whole = median((0..rounds).map(|_| timed(&|| drop(sandbox.run(&policy, b"")))).collect());
        let start = median(
            (0..rounds)
                .map(|_| {
                    let began = Instant::now();
                    let running = sandbox.start(&policy).unwrap();
                    let took = began.elapsed();
                    drop(running);
                    took
                })
                .collect(),
        );
        let mut server = place.shell("");
        server.program = "/bin/cat".into();
        server.arguments.clear();
        server.mechanism = Some(mechanism);
        let mut server = sandbox.start(&server).unwrap();
        let mut stdin = server.take_stdin().unwrap();
        let mut answers = BufReader::new(server.take_stdout().unwrap());
        let began = Instant::now();
        for _ in 0..10 * rounds {
            server.begin_turn();
            stdin.write_all(b"a call of some length\n").unwrap();
            answers.read_line(&mut String::new()).unwrap();
            server.rest();
        }
        let turn = began.elapsed() / (10 * rounds);
        println!(
            "{mechanism:?}: /bin/true alone {bare:?}, sandboxed {whole:?}, start {start:?}, turn of a warm `cat` {turn:?}"
        );
    }
}
