//! Where output goes.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use libtest_mimic::Trial;
use workplan_engine::process::{Exit, Redactor, Stdin};

use tokio_util::sync::CancellationToken;

use crate::support::{block_on, engine, identity, run, sh, supervisor, trial};

const SECRET: &str = "correct-horse-battery-staple";

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("the_log_has_both_streams_in_order", the_log_has_both_streams_in_order),
        trial(
            "a_log_is_made_by_the_first_output_and_shared",
            a_log_is_made_by_the_first_output_and_shared,
        ),
        trial("captured_output_is_whole_and_the_rest_redacted", captured_output),
        trial("a_capture_has_a_limit", a_capture_has_a_limit),
        trial("input_is_passed_and_need_not_be_read", input_is_passed_and_need_not_be_read),
        trial("a_full_disk_stops_the_log_only", a_full_disk_stops_the_log_only),
        trial("a_log_keeps_what_another_child_said", a_log_keeps_what_another_child_said),
        trial("bytes_go_from_child_to_child_and_to_us", from_child_to_child),
        trial("a_pipe_closes_with_its_child", a_pipe_closes_with_its_child),
        trial("much_output_needs_little_memory", much_output_needs_little_memory),
    ]
}

fn the_log_has_both_streams_in_order(folder: &Path) {
    let finished = run(sh(folder, "echo a; echo b >&2; echo c; printf d")).unwrap();
    let log = folder.join("log");
    assert_eq!(fs::read_to_string(&log).unwrap(), "a\nb\nc\nd");
    assert_eq!(fs::metadata(&log).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(finished.tail, ["a", "b", "c", "d"]);
    assert_eq!(finished.output_bytes, 7);
}

fn a_log_is_made_by_the_first_output_and_shared(folder: &Path) {
    let log = folder.join("log");
    run(sh(folder, "exit 0")).unwrap();
    assert!(!log.exists());
    run(sh(folder, "echo a")).unwrap();
    run(sh(folder, "echo b")).unwrap();
    assert_eq!(fs::read_to_string(&log).unwrap(), "a\nb\n");
    let mut nowhere = sh(folder, "echo a; exit 3");
    nowhere.log = Some(folder.join("missing/log"));
    let finished = run(nowhere).unwrap();
    assert_eq!(finished.exit, Exit::Code(3));
    assert_eq!(finished.log_error.unwrap().kind(), std::io::ErrorKind::NotFound);
}

fn captured_output(folder: &Path) {
    let script = format!("echo {SECRET}; echo oops {SECRET} >&2");
    let mut spec = sh(folder, &script);
    spec.redactor = Arc::new(Redactor::new([SECRET]));
    spec.capture_stdout = Some(1000);
    let finished = run(spec).unwrap();
    assert_eq!(finished.stdout, format!("{SECRET}\n").into_bytes());
    assert!(!finished.stdout_truncated);
    let mut tail = finished.tail;
    tail.sort();
    assert_eq!(tail, ["***", "oops ***"]);
    let log = fs::read_to_string(folder.join("log")).unwrap();
    assert!(!log.contains(SECRET) && log.contains("oops ***\n"), "{log}");
}

fn a_capture_has_a_limit(folder: &Path) {
    let mut spec = sh(folder, "printf 0123456789; printf abc >&2");
    spec.capture_stdout = Some(4);
    spec.capture_stderr = Some(3);
    let finished = run(spec).unwrap();
    assert_eq!((finished.stdout.as_slice(), finished.stdout_truncated), (b"0123".as_slice(), true));
    assert_eq!((finished.stderr.as_slice(), finished.stderr_truncated), (b"abc".as_slice(), false));
    assert_eq!(finished.output_bytes, 13);
}

fn input_is_passed_and_need_not_be_read(folder: &Path) {
    let input = vec![b'x'; 1_000_000];
    let mut spec = sh(folder, "wc -c");
    spec.stdin = Stdin::Bytes(input.clone());
    assert_eq!(run(spec).unwrap().tail.join("").trim(), "1000000");
    let mut spec = sh(folder, "exit 0");
    spec.stdin = Stdin::Bytes(input);
    assert_eq!(run(spec).unwrap().exit, Exit::Code(0));
    let finished = run(sh(folder, "wc -c")).unwrap();
    assert_eq!(finished.tail.join("").trim(), "0");
}

fn a_log_keeps_what_another_child_said(folder: &Path) {
    run(sh(folder, "echo first")).unwrap();
    run(sh(folder, "echo second")).unwrap();
    assert_eq!(fs::read_to_string(folder.join("log")).unwrap(), "first\nsecond\n");
}

/// More than a capture takes, with every byte value, and nothing of it in log or tail.
fn from_child_to_child(folder: &Path) {
    let (from_first, first) = std::io::pipe().unwrap();
    let (mut ours, second) = std::io::pipe().unwrap();
    let mut from = sh(folder, "head -c 5000000 /dev/zero; echo end; echo said >&2");
    from.stdout = Some(first.into());
    let mut to = sh(folder, "tr '\\000' '\\377'; echo heard >&2");
    to.identity = identity(folder, "second");
    to.stdin = Stdin::From(from_first.into());
    to.stdout = Some(second.into());
    to.capture_stderr = Some(100);
    let reading = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        ours.read_to_end(&mut bytes).unwrap();
        bytes
    });
    block_on(async {
        let supervisor = supervisor().await;
        let never = CancellationToken::new();
        let both =
            tokio::join!(supervisor.run(from, never.clone()), supervisor.run(to, never.clone()));
        let (from, to) = (both.0.unwrap(), both.1.unwrap());
        assert_eq!(
            (from.exit, from.tail, from.output_bytes),
            (Exit::Code(0), vec!["said".into()], 5)
        );
        assert_eq!((to.exit, to.stderr), (Exit::Code(0), b"heard\n".to_vec()));
        supervisor.shutdown().await.unwrap();
    });
    let bytes = reading.join().unwrap();
    assert_eq!(bytes.len(), 5_000_004);
    assert!(bytes[..5_000_000].iter().all(|byte| *byte == 0xff));
    assert!(bytes.ends_with(b"end\n"));
    let log = fs::read_to_string(folder.join("log")).unwrap();
    assert!(log == "said\nheard\n" || log == "heard\nsaid\n", "{log}");
}

/// The reader's end comes whether the child could be started, failed or was killed.
fn a_pipe_closes_with_its_child(folder: &Path) {
    let mut missing = sh(folder, "");
    missing.program = "no-such-program".into();
    for mut spec in [missing, sh(folder, "printf ab; exit 3"), sh(folder, "printf ab; kill -9 $$")]
    {
        let (mut ours, theirs) = std::io::pipe().unwrap();
        spec.stdout = Some(theirs.into());
        let starts = spec.program.ends_with("sh");
        let finished = run(spec);
        let mut bytes = Vec::new();
        ours.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, if starts { b"ab".as_slice() } else { b"" });
        assert_eq!(starts, finished.is_ok());
    }
}

fn a_full_disk_stops_the_log_only(folder: &Path) {
    let mut spec = sh(folder, "head -c 1000000 /dev/zero; exit 6");
    spec.log = Some("/dev/full".into());
    let finished = run(spec).unwrap();
    assert_eq!(finished.exit, Exit::Code(6));
    assert_eq!(finished.output_bytes, 1_000_000);
    assert_eq!(finished.log_error.unwrap().kind(), std::io::ErrorKind::StorageFull);
}

pub(crate) fn engine_with_much_output(folder: &Path) {
    let mut spec = sh(folder, &format!("yes 'a line with {SECRET} in it' | head -c 100000000"));
    spec.redactor = Arc::new(Redactor::new([SECRET]));
    let finished = run(spec).unwrap();
    assert_eq!(finished.output_bytes, 100_000_000);
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    println!("{}", peak.trim().trim_end_matches(" kB"));
}

fn much_output_needs_little_memory(folder: &Path) {
    let mut engine = engine("flood", folder);
    let mut said = String::new();
    engine.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(engine.wait().unwrap().success());
    let kilobytes: u64 = said.trim().parse().unwrap();
    assert!(kilobytes < 40_000, "{kilobytes} kB");
    let log = fs::read(folder.join("log")).unwrap();
    assert!(log.len() > 30_000_000, "{}", log.len());
    // Whatever the cuts between reads were, every line is whole.
    let mut lines = log.split(|byte| *byte == b'\n');
    let last = lines.next_back().unwrap();
    assert!(lines.all(|line| line == b"a line with *** in it"));
    assert!(last.len() < 100, "{}", String::from_utf8_lossy(last));
}
