//! Answers of people.

use crate::same;
use crate::support::{Bench, lives};

const GATED: &str = r#"---
id: W
title: W
---

## T01 — A

```task
id: W-T01
status: todo
```

```steps
- {id: ask, uses: gate.approve, with: {message: "May it go on?"}}
- {id: hand, uses: manual, needs: [ask], with: {instructions: "Pull the plug."}}
- {id: do, uses: command, needs: [hand], with: {run: "touch done", check: "test -f done", readonly: true, undo: "rm done"}}
```
"#;

#[test]
fn a_gate_then_a_hand() {
    let bench = Bench::with(GATED);
    let mut all = vec![bench.session(&["run", "plan.md", "--yes"])];
    let run = bench.newest();
    all.push(bench.session(&["status"]));
    all.push(bench.session(&["approve", &run, "T01.aks", "--reason", "looks fine"]));
    all.push(bench.session(&["approve", &run, "T01.ask", "--reason", " "]));
    all.push(bench.session(&["approve", &run, "T01.ask", "--reason", "looks fine"]));
    all.push(bench.session(&["approve", &run, "T01.ask", "--reason", "again"]));
    all.push(bench.session(&["resume", "--yes"]));
    all.push(bench.session(&["resolve", &run, "T01.hand", "--done", "--reason", "pulled"]));
    all.push(bench.session(&["resume", "--yes"]));
    assert!(bench.has("done"));
    same!(all.join("\n").replace(&run, "[RUN]"));
}

#[test]
fn a_gate_refused() {
    let bench = Bench::with(GATED);
    bench.expect(8, &["run", "plan.md", "--yes"]);
    let run = bench.newest();
    bench.expect(0, &["reject", &run, "T01.ask", "--reason", "not tonight"]);
    bench.expect(1, &["resume", "--yes"]);
    assert!(!bench.has("done"));
}

#[test]
fn giving_up_is_for_ever_and_visible() {
    let bench = Bench::with(GATED);
    bench.expect(8, &["run", "plan.md", "--yes"]);
    let run = bench.newest();
    let mut all = vec![bench.session(&["abandon", &run, "--reason", "another way was found"])];
    all.push(bench.session(&["status"]));
    all.push(bench.session(&["resume"]));
    all.push(bench.session(&["abandon", &run, "--reason", "twice"]));
    bench.expect(8, &["run", "plan.md", "--yes"]);
    same!(all.join("\n").replace(&run, "[RUN]"));
}

#[test]
fn a_signature_is_made_checked_and_journaled() {
    let bench = Bench::with(&GATED.replace(
        r#"message: "May it go on?""#,
        r#"message: "May it go on?", allowed_signers: signers"#,
    ));
    let keygen = |name: &str| {
        let path = bench.dir().join(name);
        let made = std::process::Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", "c", "-f"])
            .arg(&path)
            .status();
        made.is_ok_and(|s| s.success())
    };
    assert!(keygen("key") && keygen("stranger"), "ssh-keygen is needed");
    bench.write("signers", format!("boss@example.invalid {}", bench.read("key.pub")));
    bench.expect(8, &["run", "plan.md", "--yes"]);
    let run = bench.newest();
    let gate = |extra: &[&str]| {
        let mut args = vec!["approve", &run, "T01.ask", "--reason", "fine"];
        args.extend(extra);
        bench.run(&args)
    };
    let unsigned = gate(&[]);
    assert_eq!(unsigned.exit, 8);
    assert!(unsigned.stderr.contains("--sign"), "{}", unsigned.stderr);
    assert_eq!(gate(&["--sign", "stranger"]).exit, 8);
    let signed = gate(&["--sign", "key"]);
    assert_eq!(signed.exit, 0, "{}", signed.stderr);
    assert!(signed.stderr.contains("boss@example.invalid"), "{}", signed.stderr);
    let log = bench.expect(0, &["log", "--json"]);
    assert!(log.stdout.contains("BEGIN SSH SIGNATURE"), "{}", log.stdout);
}

#[test]
fn after_a_kill_nothing_reads_as_running_and_an_unknown_step_is_resolved() {
    let bench = Bench::with(
        "# W\n\n```sh step=long\ntouch started\nexec sleep 600\n```\n\n```sh step=after\ntouch after\n```\n",
    );
    let mut child = bench.command(&["run", "plan.md", "--yes"]).spawn().unwrap();
    bench.wait_for("started");
    let running = bench.json(0, &["status", "--json"]);
    assert_eq!(running["run"]["state"], "running");
    assert_eq!(running["run"]["owner"]["alive"], true);
    assert_eq!(running["steps"][0]["state"], "running");
    bench.expect(6, &["run", "plan.md", "--yes"]);
    bench.expect(6, &["resume", "--yes"]);
    child.kill().unwrap();
    child.wait().unwrap();
    let status = bench.json(0, &["status", "--json"]);
    assert_eq!(status["run"]["state"], "interrupted");
    assert_eq!(status["run"]["owner"]["alive"], false);
    assert_eq!(status["steps"][0]["state"], "unknown");
    let pid = i32::try_from(child.id()).unwrap();
    assert!(!lives(pid));
    let runs = bench.json(0, &["runs", "--json"]);
    assert_eq!(runs["runs"][0]["state"], "interrupted");
    let run = bench.newest();
    let resumed = bench.expect(8, &["resume", "--yes"]);
    assert!(
        resumed.stderr.contains(&format!("workplan resolve {run} long --done")),
        "{}",
        resumed.stderr
    );
    bench.expect(0, &["resolve", &run, "long", "--done", "--reason", "looked"]);
    bench.expect(0, &["resume", "--yes"]);
    assert!(bench.has("after"));
}
