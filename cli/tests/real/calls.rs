//! The engine killed, and refused by the disk, at each system call that changes a file.
//!
//! `strace` injects what happens, so every moment between two changes is met by design and not by
//! luck: in the journal, in the lock, in the write-back of the Markdown and in the evidence. A quick
//! test takes a sample of the calls; `WORKPLAN_CALLS=1` takes every one, `=7` every seventh.

use std::fs;
use std::process::Command;

use crate::ground::{Ground, skipped};

const STEPS: usize = 3;
/// Calls that change files, all of them made by the engine's main thread.
const CHANGES: &str = "pwrite64,fdatasync,fsync,ftruncate,renameat,renameat2,rename,unlink,mkdir";

fn workplan() -> String {
    let mut text = "---\nid: L-1\nstatus: active\n---\n\n# Links\n".to_owned();
    for i in 0..STEPS {
        text.push_str(&format!(
            "\n## T0{i} - Link {i}\n\n```task\nid: L-1-T0{i}\nstatus: todo\n```\n\n\
             ```sh step=s{i} check=\"test -L l{i}\" undo=\"rm l{i}\"\nln -s x l{i}\n```\n"
        ));
    }
    text
}

/// Whether calls can be injected here; said aloud where not.
fn can_inject() -> bool {
    let works = Command::new("strace")
        .args(["-e", "trace=mkdir", "-e", "inject=mkdir:error=ENOSPC:when=1", "mkdir", "/tmp"])
        .output()
        .is_ok_and(|output| String::from_utf8_lossy(&output.stderr).contains("INJECTED"));
    if !works {
        skipped("strace is not here, or may not trace");
    }
    works
}

/// Every which call is tried.
fn stride(quick: usize) -> usize {
    std::env::var("WORKPLAN_CALLS").ok().and_then(|n| n.parse().ok()).unwrap_or(quick).max(1)
}

/// Runs the binary with something injected; the exit code (`None` for a signal), what was said, and
/// whether the injection was met.
fn inject(ground: &Ground, what: &str, args: &[&str]) -> (Option<i32>, String, bool) {
    let plain = ground.command(args);
    let trace = ground.file("trace");
    let mut command = Command::new("strace");
    command.arg("-o").arg(&trace).args(["-e", &format!("trace={CHANGES}")]);
    command.args(["-e", &format!("inject={what}")]);
    command.arg(plain.get_program()).args(plain.get_args()).current_dir(ground.path());
    command.env_clear().stdin(std::process::Stdio::null());
    for (name, value) in plain.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    let output = command.output().expect("strace runs");
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let trace = fs::read_to_string(trace).expect("what strace saw");
    let met = trace.contains("INJECTED") || trace.contains("killed by SIGKILL");
    (output.status.code(), text, met)
}

fn links(ground: &Ground) -> usize {
    (0..STEPS).filter(|i| ground.file(&format!("l{i}")).is_symlink()).count()
}

/// The state of the newest run; a `status` that cannot tell is a failure of its own.
fn state(ground: &Ground, at: &str) -> String {
    let output = ground.command(&["status", "--json"]).output().expect("status runs");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | 2)), "{at}: {:?} {text}", output.status);
    ground.state()
}

/// Goes on until the run has succeeded.
fn finish(ground: &Ground, at: &str) {
    let args: &[&str] = match state(ground, at).as_str() {
        "succeeded" => return,
        "none" => &["run", "plan.md", "--yes"],
        _ => &["resume", "--yes"],
    };
    let (code, text) = ground.finish(args);
    assert_eq!(code, 0, "{at}: {text}");
}

/// Everything is done, once, and written.
fn done(ground: &Ground, at: &str) {
    assert_eq!(state(ground, at), "succeeded", "{at}");
    assert_eq!(links(ground), STEPS, "{at}: every effect, once");
    let text = ground.read("plan.md");
    assert_eq!(text.matches("status: done").count(), STEPS, "{at}: {text}");
    assert_eq!(text.matches("Completed on ").count(), STEPS, "{at}: {text}");
    assert!(text.contains("status: finished"), "{at}: {text}");
    tidy(ground, at);
}

/// No file of ours is left lying about.
fn tidy(ground: &Ground, at: &str) {
    for folder in [ground.path().to_path_buf(), ground.file("evidence")] {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let name = entry.expect("an entry").file_name();
            let name = name.to_string_lossy();
            assert!(!name.starts_with(".wp-"), "{at}: `{name}` is left in {}", folder.display());
        }
    }
}

/// Tries an injection at call after call of a run until one is not met, and recovers each time.
fn each_call_of_a_run(quick: usize, what: impl Fn(usize) -> String, check: impl Fn(&str, &str)) {
    if !can_inject() {
        return;
    }
    let stride = stride(quick);
    let mut tried = 0;
    for call in (1..).step_by(stride) {
        let ground = Ground::new(&workplan());
        let what = what(call);
        let at = format!("run, {what}");
        let (code, text, met) = inject(&ground, &what, &["run", "plan.md", "--yes"]);
        if !met {
            assert_eq!(code, Some(0), "{at}: {text}");
            break;
        }
        tried += 1;
        check(&at, &text);
        if code == Some(0) {
            // Whoever says that it went well must mean it.
            assert_eq!(state(&ground, &at), "succeeded", "{at}: {text}");
        }
        finish(&ground, &at);
        done(&ground, &at);
    }
    assert!(tried >= 5, "{tried} calls were met: is the list of calls still right?");
}

#[test]
fn a_kill_at_any_change_of_a_file_loses_nothing() {
    each_call_of_a_run(11, |n| format!("{CHANGES}:signal=SIGKILL:when={n}"), |_, _| {});
}

#[test]
fn a_disk_that_is_full_from_any_change_on_loses_nothing() {
    let calls = "pwrite64,ftruncate,mkdir,renameat,renameat2";
    let what = |n| format!("{calls}:error=ENOSPC:when={n}+");
    each_call_of_a_run(11, what, |at, text| assert!(!text.contains("panicked"), "{at}: {text}"));
}

#[test]
fn a_disk_that_cannot_flush_once_is_not_believed() {
    let what = |n| format!("fdatasync,fsync:error=EIO:when={n}");
    each_call_of_a_run(5, what, |at, text| assert!(!text.contains("panicked"), "{at}: {text}"));
}

#[test]
fn a_kill_at_any_change_of_a_rollback_loses_nothing() {
    if !can_inject() {
        return;
    }
    let mut tried = 0;
    for call in (1..).step_by(stride(17)) {
        let ground = Ground::new(&workplan());
        ground.run(&["run", "plan.md", "--yes"], 0);
        let run = ground.run_id();
        let what = format!("{CHANGES}:signal=SIGKILL:when={call}");
        let at = format!("rollback, {what}");
        let (code, text, met) = inject(&ground, &what, &["rollback", &run, "--yes"]);
        if !met {
            assert_eq!(code, Some(0), "{at}: {text}");
            break;
        }
        tried += 1;
        // Both words go on with a rollback that has begun.
        let args: &[&str] = match state(&ground, &at).as_str() {
            "rolled_back" => &["status"],
            "rolling_back" if call % 2 == 0 => &["resume", "--yes"],
            _ => &["rollback", &run, "--yes"],
        };
        ground.run(args, 0);
        assert_eq!(state(&ground, &at), "rolled_back", "{at}");
        assert_eq!(links(&ground), 0, "{at}: every effect is taken back");
        assert_eq!(ground.read("plan.md"), workplan(), "{at}: the workplan reads as before");
        tidy(&ground, &at);
    }
    assert!(tried >= 5, "{tried} calls were met");
}
