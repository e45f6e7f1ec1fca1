//! The repositories.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

use serde_json::{Map, Value, json};
use workplan_engine::kind::Look;
use workplan_platform::values;

use super::document::sha256;
use super::{Secrets, no};
use crate::failure::Failure;
use crate::lab::tool::git;

/// The trees of a repository: what is committed, and what differs in the working folder.
pub(super) async fn repo(look: &Look, folder: &Path, secrets: &Secrets) -> Result<Value, Failure> {
    let text = |args: &[&str]| -> Result<String, Failure> {
        Ok(String::from_utf8_lossy(&git(folder, args)?).into_owned())
    };
    let head = text(&["symbolic-ref", "--quiet", "HEAD"]).unwrap_or_else(|_| "detached".to_owned());
    let refs = text(&["for-each-ref", "--format=%(refname)", "refs/heads", "refs/tags"])?;
    let mut tree = Map::new();
    for (path, entry) in committed(folder)? {
        let content = match Sort::of(&path) {
            Sort::Plain => json!(entry.blob),
            sort => {
                let bytes = git(folder, &["cat-file", "blob", &entry.blob])?;
                special(look, secrets, sort, &folder.join(&path), &bytes).await?
            }
        };
        tree.insert(path, json!({"mode": entry.mode, "content": content}));
    }
    let mut differs = Map::new();
    for (path, how) in changed(folder)? {
        let file = folder.join(&path);
        let content = match std::fs::symlink_metadata(&file) {
            Err(_) => json!("gone"),
            Ok(found) if found.is_symlink() => {
                json!(std::fs::read_link(&file).map_err(|e| Failure::io("read", &file, &e))?)
            }
            Ok(found) => {
                use std::os::unix::fs::PermissionsExt as _;
                let bytes = std::fs::read(&file).map_err(|e| Failure::io("read", &file, &e))?;
                let content = special(look, secrets, Sort::of(&path), &file, &bytes).await?;
                json!({"program": found.permissions().mode() & 0o100 != 0, "content": content})
            }
        };
        // What a run writes back differs in nothing but what does not count: then it does not.
        let unchanged = how.trim() == "M"
            && tree.get(&path).is_some_and(|t| t["content"] == content["content"]);
        if !unchanged {
            differs.insert(path, json!({"status": how, "file": content}));
        }
    }
    Ok(json!({
        "head": head.trim(),
        "refs": refs.lines().collect::<Vec<_>>(),
        "tree": tree,
        "differs": differs,
    }))
}

/// What a file is, where its bytes are not what counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Plain,
    /// Values, sealed.
    Sops,
    /// A workplan, into which runs write.
    Workplan,
    /// What says where something went, with date, commit and digest of ciphertext.
    Tombstone,
}

impl Sort {
    fn of(path: &str) -> Self {
        if path.ends_with(".sops.yaml") && path != ".sops.yaml" {
            Self::Sops
        } else if path.starts_with("workplans/") && path.ends_with(".md") {
            Self::Workplan
        } else if path.rsplit('/').next() == Some("MOVED.md") {
            Self::Tombstone
        } else {
            Self::Plain
        }
    }
}

struct Entry {
    mode: String,
    blob: String,
}

fn committed(folder: &Path) -> Result<BTreeMap<String, Entry>, Failure> {
    let listed = git(folder, &["ls-tree", "-r", "-z", "HEAD"])?;
    let listed = String::from_utf8_lossy(&listed).into_owned();
    Ok(listed
        .split('\0')
        .filter_map(|line| {
            let (about, path) = line.split_once('\t')?;
            let mut words = about.split(' ');
            let mode = words.next()?.to_owned();
            let blob = words.nth(1)?.to_owned();
            Some((path.to_owned(), Entry { mode, blob }))
        })
        .filter(|(path, _)| !is_evidence(path))
        .collect())
}

/// Paths that differ, with git's two letters.
fn changed(folder: &Path) -> Result<BTreeMap<String, String>, Failure> {
    let args = ["status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames"];
    let listed = git(folder, &args)?;
    let listed = String::from_utf8_lossy(&listed).into_owned();
    Ok(listed
        .split('\0')
        .filter_map(|line| Some((line.get(3..)?.to_owned(), line.get(..2)?.to_owned())))
        .filter(|(path, _)| !is_evidence(path))
        .collect())
}

/// What a run leaves beside a workplan.
fn is_evidence(path: &str) -> bool {
    path.split('/').any(|part| part == "evidence" || part == ".workplan")
}

async fn special(
    look: &Look,
    secrets: &Secrets,
    sort: Sort,
    path: &Path,
    bytes: &[u8],
) -> Result<Value, Failure> {
    match sort {
        Sort::Plain => Ok(json!(sha256(bytes))),
        Sort::Workplan => {
            let text = without_runs(&String::from_utf8_lossy(bytes));
            Ok(json!(sha256(text.as_bytes())))
        }
        Sort::Tombstone => {
            let text = String::from_utf8_lossy(bytes);
            Ok(json!(text.lines().map(without_record).collect::<Vec<_>>()))
        }
        Sort::Sops => {
            let opened = open(look, path, bytes).await?;
            let values = match opened {
                Ok(values) => secrets.hide(&values),
                Err(why) => json!({"unreadable": why}),
            };
            let text = without_ciphertext(&String::from_utf8_lossy(bytes));
            Ok(json!({"text": sha256(text.as_bytes()), "values": values}))
        }
    }
}

/// Values out of bytes that may not be those of the file.
async fn open(
    look: &Look,
    path: &Path,
    bytes: &[u8],
) -> Result<Result<values::Values, String>, Failure> {
    if std::fs::read(path).is_ok_and(|now| now == bytes) {
        return Ok(values::read(look, path).await.map_err(|e| e.to_string()));
    }
    let mut copy = tempfile::Builder::new().suffix(".sops.yaml").tempfile().map_err(no)?;
    copy.write_all(bytes).map_err(no)?;
    Ok(values::read(look, copy.path()).await.map_err(|e| e.to_string()))
}

/// A line of a tombstone without its parenthesis: the day, the commit, and the digest of what was
/// moved, which for a sealed file is one of ciphertext.
fn without_record(line: &str) -> &str {
    line.rsplit_once(" (")
        .filter(|(_, record)| record.contains("; commit "))
        .map_or(line, |(l, _)| l)
}

/// A workplan without the day and the run that wrote into it.
fn without_runs(text: &str) -> String {
    let mut front = 0;
    let lines = text.split_inclusive('\n').map(|line| {
        let bare = line.trim_end();
        front += usize::from(bare == "---");
        if front == 1 && bare.starts_with("updated:") {
            "updated: …\n"
        } else if bare.starts_with("Completed on ") && bare.contains(" by workplan run ") {
            "Completed on … by workplan run …\n"
        } else {
            line
        }
    });
    lines.collect()
}

/// A SOPS file without what is drawn anew at each encryption: comments, order and plain values stay.
fn without_ciphertext(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, sealed)) = rest.split_once("ENC[") {
        out.push_str(before);
        out.push_str("ENC[…]");
        rest = sealed.split_once(']').map_or("", |(_, after)| after);
    }
    out.push_str(rest);
    let mut kept = String::new();
    let mut armor = false;
    for line in out.split_inclusive('\n') {
        let bare = line.trim();
        armor |= bare.starts_with("-----BEGIN");
        let drawn = armor || bare.starts_with("lastmodified:") || bare.starts_with("version:");
        armor &= !bare.starts_with("-----END");
        if !drawn {
            kept.push_str(line);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_and_when_do_not_count_in_a_workplan() {
        let one = "---\nid: x\nupdated: \"2026-03-11\"\n---\nstatus: done\nCompleted on 2026-11-21 \
                   by workplan run 1abc (evidence sha256:00).\n";
        let other = one.replace("11-21", "11-22").replace("1abc", "2def").replace("03-11", "11-22");
        assert_eq!(without_runs(one), without_runs(&other));
        assert_ne!(without_runs(one), without_runs(&one.replace("done", "todo")));
        let person = one.replace("by workplan run 1abc", "by hand");
        assert_ne!(without_runs(&person), without_runs(&person.replace("11-21", "11-22")));
    }

    #[test]
    fn what_is_drawn_anew_does_not_count_in_a_sealed_file() {
        let one = "a: ENC[AES256_GCM,data:1,type:str] # why\nsops:\n    age:\n        - recipient: \
                   age1x\n          enc: |\n            -----BEGIN AGE ENCRYPTED FILE-----\n            \
                   AAAA\n            -----END AGE ENCRYPTED FILE-----\n    lastmodified: \"1\"\n    mac: \
                   ENC[AES256_GCM,data:3]\n";
        let other =
            one.replace("data:1", "data:2").replace("AAAA", "BBBB").replace("\"1\"", "\"2\"");
        assert_eq!(without_ciphertext(one), without_ciphertext(&other));
        for changed in
            [one.replace("why", "who"), one.replace("age1x", "age1y"), one.replace("a:", "b:")]
        {
            assert_ne!(without_ciphertext(one), without_ciphertext(&changed));
        }
    }
}
