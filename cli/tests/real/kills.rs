//! SIGKILL at random moments of run, resume and rollback.
//!
//! The steps are `ln -s`, which fails when it is done twice, and undo is `rm`, which fails when it
//! is done twice. `WORKPLAN_KILLS` says how many kills, `WORKPLAN_SEED` repeats a seed.

use std::fs;
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use crate::ground::{Ground, wait_for};

const STEPS: usize = 6;

/// SplitMix64: small, seeded, and the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// Lets a command run for a random while and kills it, the first few times; then lets it end.
fn harass(ground: &Ground, args: &[&str], random: &mut Random, kills: &mut u64, at: &str) {
    if *kills < 8 {
        let wait = Duration::from_micros(random.below(90_000));
        match kill_after(ground.spawn(args), wait) {
            None => *kills += 1,
            Some(status) => assert_eq!(status.code(), Some(0), "{at}"),
        }
    } else {
        let (code, text) = ground.finish(args);
        assert_eq!(code, 0, "{at}: {text}");
    }
}

fn links(ground: &Ground) -> usize {
    let entries = fs::read_dir(ground.path()).expect("the folder");
    entries.filter(|e| e.as_ref().is_ok_and(|e| e.path().is_symlink())).count()
}

/// Kills a command after a while; `Some` when it ended before.
fn kill_after(mut child: Child, wait: Duration) -> Option<ExitStatus> {
    let until = Instant::now() + wait;
    loop {
        if let Some(status) = child.try_wait().expect("a child of ours") {
            return Some(status);
        }
        if Instant::now() >= until {
            child.kill().expect("a child of ours");
            child.wait().expect("a child of ours");
            return None;
        }
        std::thread::yield_now();
    }
}

fn chain() -> String {
    let mut text = "# Links\n".to_owned();
    for i in 0..STEPS {
        text.push_str(&format!(
            "\n```sh step=s{i} check=\"test -L l{i}\" undo=\"rm l{i}\"\nln -s x l{i}\n```\n"
        ));
    }
    text
}

#[test]
fn every_effect_exactly_once_under_random_kills() {
    let seed = number("WORKPLAN_SEED").unwrap_or(0x5eed);
    let wanted = number("WORKPLAN_KILLS").unwrap_or(300);
    println!("WORKPLAN_SEED={seed} WORKPLAN_KILLS={wanted}");
    let mut random = Random(seed);
    let mut kills = 0;
    let mut round = 0;
    while kills < wanted {
        round += 1;
        let ground = Ground::new(&chain());
        kills += there(&ground, &mut random, round);
        kills += back(&ground, &mut random, round);
    }
    println!("{kills} kills in {round} rounds");
}

/// Runs to the end, killed again and again.
fn there(ground: &Ground, random: &mut Random, round: u64) -> u64 {
    let mut kills = 0;
    loop {
        let state = ground.state();
        let args: &[&str] = match state.as_str() {
            "none" => &["run", "plan.md", "--yes"],
            "succeeded" => break,
            _ => &["resume", "--yes"],
        };
        harass(ground, args, random, &mut kills, &format!("round {round}, from {state}"));
    }
    assert_eq!(links(ground), STEPS, "round {round}: every effect, once");
    kills
}

/// Takes it back, killed again and again.
fn back(ground: &Ground, random: &mut Random, round: u64) -> u64 {
    let run = ground.run_id();
    let mut kills = 0;
    loop {
        let state = ground.state();
        let args: &[&str] = match (state.as_str(), random.below(2)) {
            ("rolled_back", _) => break,
            // Both words go on with a rollback.
            ("rolling_back", 0) => &["resume", "--yes"],
            _ => &["rollback", &run, "--yes"],
        };
        harass(ground, args, random, &mut kills, &format!("round {round}, from {state}"));
    }
    assert_eq!(links(ground), 0, "round {round}: every effect is taken back");
    kills
}

#[test]
fn a_step_without_a_check_is_not_repeated_after_a_kill() {
    let ground = Ground::new(
        "# Once\n\n```sh step=once\necho begun >>ran\nsleep 30\n```\n\n```sh step=after\ntouch after\n```\n",
    );
    let child = ground.spawn(&["run", "plan.md", "--yes"]);
    // The shell makes the file before it writes to it.
    wait_for(|| fs::read_to_string(ground.path().join("ran")).is_ok_and(|text| text == "begun\n"));
    assert!(kill_after(child, Duration::ZERO).is_none());
    assert_eq!(ground.state(), "interrupted");
    for _ in 0..2 {
        let (code, text) = ground.finish(&["resume", "--yes"]);
        assert_eq!(code, 8, "{text}");
        assert!(text.contains("once"), "it is named: {text}");
    }
    let lines = fs::read_to_string(ground.path().join("ran")).expect("it ran");
    assert_eq!(lines, "begun\n", "once, not again");
    assert!(!ground.path().join("after").exists());
    let run = ground.run_id();
    let (code, text) =
        ground.finish(&["resolve", &run, "once", "--done", "--reason", "seen in the log"]);
    assert_eq!(code, 0, "{text}");
    let (code, text) = ground.finish(&["resume", "--yes"]);
    assert_eq!(code, 0, "{text}");
    assert!(ground.path().join("after").exists());
}

#[test]
fn nothing_outlives_a_killed_engine() {
    let ground = Ground::new(
        "# Orphans\n\n```sh step=orphan\nsetsid sh -c 'trap \"\" TERM HUP INT; echo $$ >pid; while :; do sleep 1; done' &\nwait\n```\n",
    );
    let child = ground.spawn(&["run", "plan.md", "--yes"]);
    let pid_file = ground.path().join("pid");
    wait_for(|| fs::read_to_string(&pid_file).is_ok_and(|t| t.ends_with('\n')));
    let pid = fs::read_to_string(&pid_file).expect("a pid").trim().to_owned();
    assert!(Path::new("/proc").join(&pid).exists(), "the grandchild lives");
    assert!(kill_after(child, Duration::ZERO).is_none());
    let dead = Instant::now();
    wait_for(|| !Path::new("/proc").join(&pid).exists());
    assert!(dead.elapsed() < Duration::from_secs(2), "it took {:?}", dead.elapsed());
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}
