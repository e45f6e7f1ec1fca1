//! How steps end, and why they do not start.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::task::Poll;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio_util::sync::CancellationToken;
use workplan_engine::process::{Cause, ChildSpec, Exit, ProcessError};

use crate::support::{PATH, block_on, identity, marked, run, sh, supervisor, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("exit_codes_and_signals_are_told", exit_codes_and_signals_are_told),
        trial("a_leftover_cannot_hang_the_step", a_leftover_cannot_hang_the_step),
        trial("a_late_pipeline_member_is_no_leftover", a_late_pipeline_member_is_no_leftover),
        trial("leftovers_of_parallel_steps_are_told_apart", parallel_leftovers),
        trial("a_timeout_kills_what_ignores_sigterm", a_timeout_kills_what_ignores_sigterm),
        trial("a_cancelled_step_may_clean_up", a_cancelled_step_may_clean_up),
        trial("everything_can_be_killed_at_once", everything_can_be_killed_at_once),
        trial("what_cannot_start_says_why", what_cannot_start_says_why),
        trial("a_large_environment_arrives", a_large_environment_arrives),
        trial("a_stopped_supervisor_gets_all_requests", a_stopped_supervisor_gets_all_requests),
        trial("children_start_clean", children_start_clean),
        trial("spawning_is_cheap", spawning_is_cheap),
    ]
}

fn exit_codes_and_signals_are_told(folder: &Path) {
    let code = run(sh(folder, "exit 7")).unwrap();
    assert_eq!((code.exit, code.cause), (Exit::Code(7), Cause::Exited));
    assert_eq!((code.leftovers, code.survivors), (vec![], vec![]));
    let signal = run(sh(folder, "kill -KILL $$")).unwrap();
    assert_eq!((signal.exit, signal.cause), (Exit::Signal(9), Cause::Exited));
}

fn a_leftover_cannot_hang_the_step(folder: &Path) {
    let script = "setsid sh -c 'trap \"\" TERM; echo ready >ready; while :; do sleep 300; done' &
        while ! test -s ready; do sleep 0.01; done; echo started";
    let mut spec = sh(folder, script);
    spec.leftover_grace = Duration::from_millis(100);
    let finished = run(spec).unwrap();
    assert_eq!((finished.exit, finished.cause), (Exit::Code(0), Cause::Exited));
    assert_eq!(finished.tail, ["started"]);
    assert!(finished.duration < Duration::from_secs(3), "{:?}", finished.duration);
    let commands: Vec<&str> = finished.leftovers.iter().map(|p| p.command.as_str()).collect();
    assert!(commands.iter().any(|command| command.contains("trap")), "{commands:?}");
    assert_eq!(finished.survivors, []);
    assert!(!finished.output_open);
    assert_eq!(marked(folder), [""; 0]);
}

fn a_late_pipeline_member_is_no_leftover(folder: &Path) {
    let finished = run(sh(folder, "(sleep 0.01; echo late) & exit 0")).unwrap();
    assert_eq!(finished.leftovers, []);
    assert_eq!(finished.tail, ["late"]);
}

fn parallel_leftovers(folder: &Path) {
    block_on(async {
        let supervisor = supervisor().await;
        assert!(Command::new("mkfifo").arg(folder.join("go")).status().unwrap().success());
        let mut first = sh(folder, "setsid sleep 301 </dev/null >/dev/null 2>&1 & exit 0");
        first.identity = identity(folder, "first");
        let mut second = sh(
            folder,
            "sleep 302 & a=$!; setsid sleep 303 & b=$!; read -r word <go; kill $a $b; echo $word",
        );
        second.identity = identity(folder, "second");
        second.log = None;
        let both = async {
            let finished = supervisor.run(first, CancellationToken::new()).await.unwrap();
            let commands: Vec<String> =
                finished.leftovers.iter().map(|p| p.command.clone()).collect();
            assert_eq!(commands, ["sleep 301"]);
            // The second step's processes are untouched.
            assert!(marked(folder).iter().any(|command| command.contains("302")));
            assert!(marked(folder).iter().any(|command| command.contains("303")));
            let path = folder.join("go");
            tokio::task::spawn_blocking(move || fs::write(path, "on\n")).await.unwrap().unwrap();
        };
        let (finished, ()) = tokio::join!(supervisor.run(second, CancellationToken::new()), both);
        let finished = finished.unwrap();
        assert_eq!(
            (finished.exit, finished.tail.as_slice()),
            (Exit::Code(0), ["on".to_owned()].as_slice())
        );
        assert_eq!(finished.leftovers, []);
    });
}

fn a_timeout_kills_what_ignores_sigterm(folder: &Path) {
    let mut spec = sh(folder, "trap '' TERM; while :; do sleep 300; done");
    spec.timeout = Some(Duration::from_millis(100));
    spec.grace = Duration::from_millis(200);
    let finished = run(spec).unwrap();
    assert_eq!((finished.exit, finished.cause), (Exit::Signal(9), Cause::TimedOut));
    assert!(finished.duration >= Duration::from_millis(300), "{:?}", finished.duration);
    assert!(finished.duration < Duration::from_secs(3), "{:?}", finished.duration);
    assert_eq!(marked(folder), [""; 0]);
}

fn a_cancelled_step_may_clean_up(folder: &Path) {
    block_on(async {
        let supervisor = supervisor().await;
        let cancel = CancellationToken::new();
        // A shell runs a trap during `wait`, but only after a command in the foreground.
        let script = "trap 'echo cleaned; exit 5' TERM; sleep 300 & echo ready; wait";
        let mut spec = sh(folder, script);
        let (sender, mut lines) = tokio::sync::mpsc::channel(10);
        spec.on_line = Some(sender);
        let run = supervisor.run(spec, cancel.clone());
        let (finished, ()) = tokio::join!(run, async {
            assert_eq!(lines.recv().await.unwrap(), "ready");
            cancel.cancel();
        });
        let finished = finished.unwrap();
        assert_eq!((finished.exit, finished.cause), (Exit::Code(5), Cause::Cancelled));
        assert_eq!(finished.tail, ["ready", "cleaned"]);
    });
}

fn everything_can_be_killed_at_once(folder: &Path) {
    block_on(async {
        let supervisor = supervisor().await;
        let spec = |name: &str| {
            let mut spec = sh(folder, "trap '' TERM; echo ready; while :; do sleep 300; done");
            spec.identity = identity(folder, name);
            spec.log = None;
            spec
        };
        let (sender, mut lines) = tokio::sync::mpsc::channel(10);
        let (mut first, mut second) = (spec("first"), spec("second"));
        first.on_line = Some(sender.clone());
        second.on_line = Some(sender);
        let started = Instant::now();
        let (first, second, ()) = tokio::join!(
            supervisor.run(first, CancellationToken::new()),
            supervisor.run(second, CancellationToken::new()),
            async {
                lines.recv().await.unwrap();
                lines.recv().await.unwrap();
                supervisor.kill_all().await.unwrap();
            }
        );
        for finished in [first.unwrap(), second.unwrap()] {
            assert_eq!((finished.exit, finished.cause), (Exit::Signal(9), Cause::Cancelled));
        }
        assert!(started.elapsed() < Duration::from_secs(3));
        assert_eq!(marked(folder), [""; 0]);
    });
}

fn what_cannot_start_says_why(folder: &Path) {
    let spec = |program: &str| {
        let mut spec = ChildSpec::new(program, folder, identity(folder, "step"));
        spec.env = vec![("PATH".into(), PATH.into())];
        spec
    };
    let check = |spec: ChildSpec, errno: Option<Errno>, expected: &str| {
        let error = run(spec).unwrap_err();
        assert_eq!(error.to_string(), expected);
        let source = match error {
            ProcessError::Spawn { source, .. } | ProcessError::Cwd { source, .. } => Some(source),
            _ => None,
        };
        assert_eq!(source, errno);
    };
    let here = folder.display();
    check(
        spec("no-such-program"),
        None,
        &format!("find the program `no-such-program` on the PATH `{PATH}`"),
    );
    check(
        spec("./missing"),
        Some(Errno::ENOENT),
        "execute `./missing` (it, or the interpreter that its `#!` line names, is missing)",
    );
    fs::write(folder.join("plain"), "text").unwrap();
    check(spec("./plain"), Some(Errno::EACCES), "execute `./plain`");
    let mut in_path = spec("plain");
    in_path.env = vec![("PATH".into(), folder.into())];
    check(in_path, Some(Errno::EACCES), &format!("execute `{here}/plain`"));
    let mut elsewhere = spec("true");
    elsewhere.cwd = folder.join("missing");
    check(elsewhere, Some(Errno::ENOENT), &format!("use the working folder `{here}/missing`"));
    let mut file = spec("true");
    file.cwd = folder.join("plain");
    check(file, Some(Errno::ENOTDIR), &format!("use the working folder `{here}/plain`"));
    let mut nul = spec("true");
    nul.args = vec!["a\0b".into()];
    check(nul, None, "pass an argument to a process: it contains a NUL byte");
    let mut long = spec("true");
    long.args = vec!["x".repeat(1 << 20).into()];
    let error = run(long).unwrap_err();
    assert!(error.to_string().ends_with("(arguments and environment are too large)"), "{error}");
}

fn a_large_environment_arrives(folder: &Path) {
    let mut spec = sh(folder, "test ${#V19} = 50000 && env | wc -c");
    spec.env.extend((0..20).map(|n| (format!("V{n}").into(), "x".repeat(50_000).into())));
    spec.capture_stdout = Some(100);
    let finished = run(spec).unwrap();
    assert_eq!(finished.exit, Exit::Code(0));
    let bytes: usize = String::from_utf8(finished.stdout).unwrap().trim().parse().unwrap();
    assert!(bytes > 1_000_000, "{bytes}");
}

/// More requests than the socket holds wait for room and are served.
fn a_stopped_supervisor_gets_all_requests(folder: &Path) {
    const STEPS: usize = 40;
    block_on(async {
        let supervisor = supervisor().await;
        let pid = Pid::from_raw(supervisor.pid().cast_signed());
        kill(pid, Signal::SIGSTOP).unwrap();
        let step = |n: usize| {
            let mut spec = sh(folder, "true");
            spec.identity = identity(folder, &n.to_string());
            spec.log = None;
            spec.env.push(("LARGE".into(), "x".repeat(50_000).into()));
            supervisor.run(spec, CancellationToken::new())
        };
        let woken = async {
            // Every step has had its turn by now, and most did not get rid of their request.
            tokio::task::yield_now().await;
            kill(pid, Signal::SIGCONT).unwrap();
        };
        let all = futures(STEPS, step);
        let (ended, ()) = tokio::join!(all, woken);
        assert!(ended.iter().all(|f| f.as_ref().unwrap().exit == Exit::Code(0)));
        assert_eq!(ended.len(), STEPS);
        supervisor.shutdown().await.unwrap();
    });
}

/// All of them at the same time.
async fn futures<F: Future>(count: usize, make: impl Fn(usize) -> F) -> Vec<F::Output> {
    let mut running: Vec<_> = (0..count).map(|n| Some(Box::pin(make(n)))).collect();
    let mut done = Vec::new();
    std::future::poll_fn(|context| {
        for slot in &mut running {
            if let Some(future) = slot
                && let Poll::Ready(output) = future.as_mut().poll(context)
            {
                done.push(output);
                *slot = None;
            }
        }
        if running.iter().all(Option::is_none) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    done
}

pub(crate) fn engine_that_ignores_signals(folder: &Path) {
    let script = "grep -E '^Sig(Blk|Ign):' /proc/self/status | cut -f2; ls /proc/self/fd | wc -l;
        cat /proc/$$/stat | cut -d' ' -f1,5; pwd; echo ${HOME-unset}";
    let mut spec = sh(folder, script);
    spec.capture_stdout = Some(1000);
    let finished = run(spec).unwrap();
    print!("{}", String::from_utf8(finished.stdout).unwrap());
}

fn children_start_clean(folder: &Path) {
    // An engine with ignored signals and an open descriptor 9, as `nohup` and others leave it.
    let script = "trap '' HUP INT TERM PIPE USR1; exec 9</dev/null; exec \"$@\"";
    let mut engine = Command::new("sh");
    let engine = engine.args(["-c", script, "sh"]).arg(std::env::current_exe().unwrap());
    let mut engine =
        engine.args(["engine", "clean"]).arg(folder).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    engine.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(engine.wait().unwrap().success());
    let lines: Vec<&str> = said.lines().collect();
    let [blocked, ignored, fds, group, cwd, home] = lines[..] else { panic!("{said}") };
    assert_eq!(blocked, "0000000000000000");
    // glibc's posix_spawn ignores its two internal signals, 32 and 33.
    let ignored = u64::from_str_radix(ignored, 16).unwrap() & !0x1_8000_0000;
    assert_eq!(ignored, 0, "{ignored:x}");
    // 0, 1, 2 and the one that reads the folder.
    assert_eq!(fds.trim(), "4");
    let (pid, group) = group.split_once(' ').unwrap();
    assert_eq!(pid, group);
    assert_eq!(Path::new(cwd), fs::canonicalize(folder).unwrap());
    assert_eq!(home, "unset");
}

pub(crate) fn engine_that_measures(folder: &Path) {
    block_on(async {
        let supervisor = supervisor().await;
        let mut times = Vec::new();
        for number in 0..500 {
            let mut spec = ChildSpec::new("true", folder, "cost");
            spec.env = vec![("PATH".into(), PATH.into())];
            spec.log = Some(folder.join(number.to_string()));
            let started = Instant::now();
            supervisor.run(spec, CancellationToken::new()).await.unwrap();
            times.push(started.elapsed());
        }
        let mut plain = Vec::new();
        for _ in 0..500 {
            let started = Instant::now();
            assert!(Command::new("/bin/true").status().unwrap().success());
            plain.push(started.elapsed());
        }
        times.sort_unstable();
        plain.sort_unstable();
        println!("{} {}", times[0].as_micros(), plain[0].as_micros());
    });
}

fn spawning_is_cheap(folder: &Path) {
    let mut engine = crate::support::engine("cost", folder);
    let mut said = String::new();
    engine.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(engine.wait().unwrap().success());
    let micros: Vec<i64> = said.split_whitespace().map(|word| word.parse().unwrap()).collect();
    let [supervised, plain] = micros[..] else { panic!("{said}") };
    // The quickest of 500, which other work on the machine hardly touches: far below 1 ms. This only
    // notices a wait that should not be there.
    assert!(supervised - plain < 10_000, "{said}");
}
