//! `do`: one step without a workplan.

use crate::same;
use crate::support::Bench;

#[test]
fn it_shows_asks_does_and_leaves_nothing_unfinished() {
    let bench = Bench::new();
    let with = [
        "--with",
        "run=touch x && echo size=3",
        "--with",
        "check=test -f x",
        "--with",
        "readonly=true",
        "--with",
        "outputs=size",
    ];
    let call = |extra: &[&str]| {
        let mut args = vec!["do", "command"];
        args.extend(with);
        args.extend(extra);
        bench.session(&args)
    };
    let mut all = vec![call(&["--dry-run"]), call(&[])];
    assert!(!bench.has("x") && !bench.has(".workplan"));
    all.push(call(&["--yes"]));
    assert!(bench.has("x"));
    all.push(call(&[]));
    all.push(bench.session(&["resume"]));
    same!(all.join("\n"));
}

#[test]
fn json_of_a_dry_run_and_of_a_run() {
    let bench = Bench::new();
    let dry = bench.session(&[
        "do",
        "command",
        "--with",
        "run=echo n=1",
        "--with",
        "outputs=n",
        "--dry-run",
        "--json",
    ]);
    let run = bench.session(&[
        "do",
        "command",
        "--with",
        "run=echo n=1",
        "--with",
        "outputs=n",
        "--yes",
        "--json",
    ]);
    same!(format!("{dry}\n{run}"));
}

#[test]
fn a_failure_exits_1_and_is_over() {
    let bench = Bench::new();
    let failed =
        bench.json(1, &["do", "command", "--with", "run=echo no >&2; exit 3", "--yes", "--json"]);
    assert_eq!(failed["action"], "run");
    assert_eq!(failed["state"], "failed");
    assert!(failed["error"].as_str().unwrap().contains('3'), "{failed}");
    bench.expect(0, &["do", "command", "--with", "run=true", "--yes"]);
}

#[test]
fn mistakes_are_named() {
    let bench = Bench::new();
    let all: Vec<String> = [
        &["do", "comand"][..],
        &["do", "command", "--with", "rum=true"],
        &["do", "command", "--with", "run=a", "--with", "run=b"],
        &["do", "command", "--with", "run=a", "--with", "readonly=perhaps"],
        &["do", "command", "--with", "run"],
        &["do", "command", "--with", "run=a", "--target", "nowhere"],
    ]
    .iter()
    .map(|args| bench.session(args))
    .collect();
    same!(all.join("\n"));
}

#[test]
fn mappings_and_lists() {
    let bench = Bench::new();
    bench.expect(
        0,
        &[
            "do",
            "command",
            "--with",
            "run=echo \"$A-$B\" > out",
            "--with",
            "env.A=x y",
            "--with",
            "env.B=\"quoted\"",
            "--with",
            "reads=a",
            "--with",
            "reads=b",
            "--yes",
        ],
    );
    assert_eq!(bench.read("out"), "x y-\"quoted\"\n");
}
