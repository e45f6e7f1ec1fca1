//! Every diagnostic code has a page under `docs/errors/`, and every page a code.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_code_has_a_page_and_every_page_a_code() {
    let codes = codes_in_sources();
    let pages = pages();
    assert!(codes.len() > 50, "the scan found only {codes:?}");
    let missing: Vec<_> = codes.difference(&pages).collect();
    let stale: Vec<_> = pages.difference(&codes).collect();
    assert!(missing.is_empty(), "codes without a page in docs/errors: {missing:?}");
    assert!(stale.is_empty(), "pages in docs/errors without a code: {stale:?}");
}

#[test]
fn every_page_shows_its_own_message_and_says_what_to_do() {
    for code in pages() {
        let text = read(&folder().join(format!("{code}.md")));
        assert!(text.starts_with(&format!("# `{code}`\n\nSeverity: ")), "{code}: the beginning");
        assert!(text.contains(&format!("[{code}]: ")), "{code}: no example of the message");
        assert!(text.contains("\n## What to do\n"), "{code}: nothing to do");
    }
}

#[test]
fn the_index_lists_every_page() {
    let index = read(&folder().join("README.md"));
    for code in pages() {
        let row = format!("| [`{code}`]({code}.md) | ");
        assert_eq!(index.matches(&row).count(), 1, "{code} in docs/errors/README.md");
    }
}

#[test]
fn the_scan_tells_codes_from_other_texts() {
    let source = r#"
        Diagnostic::error("bad-id", file, span, "x-y")
        Diagnostic::new(Severity::Error, "target-kind", "no")
        let (code, what) = ("yaml-syntax", "a b");
        words(text, &["done when", "done-when"]);
        matches!(d.code, "not-here" | "nor-here")
        #[cfg(test)]
        mod tests { fail("only-a-test", 1) }
    "#;
    let found: Vec<String> = codes_in(source).into_iter().collect();
    assert_eq!(found, ["bad-id", "target-kind", "yaml-syntax"]);
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/errors")
}

fn pages() -> BTreeSet<String> {
    files(&folder())
        .iter()
        .filter(|path| path.extension().is_some_and(|e| e == "md"))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .filter(|stem| stem != "README")
        .collect()
}

fn codes_in_sources() -> BTreeSet<String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    files(&source)
        .iter()
        .filter(|path| path.extension().is_some_and(|e| e == "rs") && !is_test(path))
        .flat_map(|path| codes_in(&read(path)))
        .collect()
}

fn is_test(path: &Path) -> bool {
    let of_tests =
        |name: &str| name == "tests" || name == "tests.rs" || name.ends_with("_tests.rs");
    path.components().any(|part| part.as_os_str().to_str().is_some_and(of_tests))
}

/// Literals such as `"bad-id"` that are the code of a finding: the first argument of a call or of
/// a tuple, or the one after a severity, with more arguments after it.
fn codes_in(source: &str) -> BTreeSet<String> {
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices('"') {
        let rest = &code[at + 1..];
        let Some(end) = rest.find('"') else { break };
        let (text, after) = (&rest[..end], rest[end + 1..].trim_start());
        let before = code[..at].trim_end();
        let severity = before.strip_suffix(',').is_some_and(|before| {
            ["Error", "Warning", "Note"].iter().any(|s| before.ends_with(&format!("Severity::{s}")))
        });
        if is_kebab(text) && after.starts_with(',') && (before.ends_with('(') || severity) {
            found.insert(text.to_owned());
        }
    }
    found
}

fn is_kebab(text: &str) -> bool {
    text.contains('-')
        && text.split('-').all(|word| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        })
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        for entry in entries {
            let path = entry.unwrap_or_else(|e| panic!("{}: {e}", folder.display())).path();
            if path.is_dir() { folders.push(path) } else { out.push(path) }
        }
    }
    out
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}
