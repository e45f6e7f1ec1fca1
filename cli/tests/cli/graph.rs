//! `graph`.

use crate::same;
use crate::support::{Bench, TASKS, TWO};

#[test]
fn mermaid() {
    same!(Bench::with(TASKS).session(&["graph", "plan.md"]));
}

#[test]
fn dot() {
    same!(Bench::with(TWO).session(&["graph", "plan.md", "--format", "dot"]));
}

#[test]
fn svg() {
    let ran = Bench::with(TASKS).expect(0, &["graph", "plan.md", "--format", "svg"]);
    assert!(ran.stdout.starts_with("<svg ") && ran.stdout.contains("T01.make"));
}
