//! Where output goes.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use libtest_mimic::Trial;
use workplan_engine::process::{Exit, Redactor, Stdin};

use crate::support::{engine, run, sh, trial};

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
