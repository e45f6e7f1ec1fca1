//! The workplans of the field, unchanged, and small variants of them.

use super::*;

/// A seed, or `None` (said loudly) where the folder is absent.
fn seed(name: &str) -> Option<String> {
    let path = format!("{}/../../shared/seeds/{name}", env!("CARGO_MANIFEST_DIR"));
    match std::fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(e) => {
            eprintln!("SKIPPED: {path}: {e}");
            None
        }
    }
}

const BASELINE: &str = "RAIL-PL-WP-0001-platform-baseline.md";
const FINISHED: &str = "RAILIANCE-WP-0005.md";

fn understood(text: &str) -> String {
    let (document, diagnostics) = read(BASELINE, text);
    render(&document, &diagnostics)
}

#[test]
fn dump() {
    for name in [BASELINE, FINISHED] {
        if let Some(text) = seed(name) {
            println!("{}", understood(&text));
        }
    }
}
