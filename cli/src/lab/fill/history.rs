//! A repository's history, as a stream for `git fast-import`. The same draw gives the same commits.

use std::fmt::Write as _;

use super::content;
use crate::lab::seed::Draw;

/// 2023-11-14 22:13:20 UTC; all that is committed has a fixed time, so that ids of commits follow
/// from the seed.
const BEGIN: u64 = 1_700_000_000;

/// What a history has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct History {
    /// The stream.
    pub(super) stream: Vec<u8>,
    /// Its branches besides `main`.
    pub(super) branches: Vec<String>,
    /// Its tags.
    pub(super) tags: Vec<String>,
}

struct Writer {
    out: Vec<u8>,
    mark: usize,
    authors: Vec<String>,
}

impl Writer {
    fn line(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
        self.out.push(b'\n');
    }

    fn data(&mut self, content: &[u8]) {
        self.line(&format!("data {}", content.len()));
        self.out.extend_from_slice(content);
        self.out.push(b'\n');
    }

    fn commit(
        &mut self,
        branch: &str,
        parent: usize,
        message: &str,
        files: &[(&str, &str, Vec<u8>)],
    ) -> usize {
        self.mark += 1;
        let who =
            self.authors.get(self.mark % self.authors.len().max(1)).cloned().unwrap_or_default();
        let when = BEGIN + 3_600 * self.mark as u64;
        self.line(&format!("commit refs/heads/{branch}"));
        self.line(&format!("mark :{}", self.mark));
        self.line(&format!("author {who} <{who}@lab.example> {when} +0100"));
        self.line(&format!("committer {who} <{who}@lab.example> {} +0000", when + 60));
        self.data(message.as_bytes());
        if parent > 0 {
            self.line(&format!("from :{parent}"));
        }
        for (mode, path, content) in files {
            self.line(&format!("M {mode} inline {path}"));
            self.data(content);
        }
        self.mark
    }
}

/// The history of a repository. `pointer` is the text that stands for a large file.
pub(super) fn history(
    name: &str,
    authors: &[String],
    draw: &mut Draw,
    pointer: Option<&str>,
) -> History {
    let mut writer = Writer { out: Vec::new(), mark: 0, authors: authors.to_vec() };
    let readme = format!("# {name}\n\n{}", content::text(draw, 3));
    let mut files = vec![
        ("100644", "README.md", readme.into_bytes()),
        ("100755", "bin/run", b"#!/bin/sh\nexec true\n".to_vec()),
        ("120000", "latest", b"README.md".to_vec()),
    ];
    if let Some(pointer) = pointer {
        files.push((
            "100644",
            ".gitattributes",
            b"*.big filter=lfs diff=lfs merge=lfs -text\n".to_vec(),
        ));
        files.push(("100644", "assets/model.big", pointer.as_bytes().to_vec()));
    }
    let mut tip = writer.commit("main", 0, &format!("Begin {name}\n"), &files);
    let mut tags = Vec::new();
    for step in 1..=8 {
        let word = draw.word(content::WORDS);
        let mut lines = String::new();
        for line in 0..20 + draw.below(40) {
            let _ = writeln!(lines, "{word} {line} {}", draw.below(1000));
        }
        let path = format!("src/{word} {step}.txt");
        tip = writer.commit(
            "main",
            tip,
            &format!("Add the {word}\n\n{}", content::text(draw, 1)),
            &[
                ("100644", &format!("\"{path}\""), lines.into_bytes()),
                ("100644", "data/blob.bin", draw.bytes(1024)),
            ],
        );
        if step % 4 == 0 {
            let tag = format!("v0.{step}");
            writer.line(&format!("tag {tag}"));
            writer.line(&format!("from :{tip}"));
            let when = BEGIN + 86_400 * step;
            writer.line(&format!("tagger releases <releases@lab.example> {when} +0000"));
            writer.data(format!("Version 0.{step}\n").as_bytes());
            tags.push(tag);
        }
    }
    let branches: Vec<String> = ["better", "faster"]
        .iter()
        .map(|kind| format!("{kind}/{}", draw.word(content::WORDS)))
        .collect();
    for branch in &branches {
        let text = content::text(draw, 2).into_bytes();
        let file = format!("notes/{}.md", branch.replace('/', "-"));
        writer.commit(branch, tip, &format!("Try {branch}\n"), &[("100644", &file, text)]);
    }
    History { stream: writer.out, branches, tags }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_draw_gives_the_same_stream() {
        let authors = vec!["wren".to_owned(), "teal".to_owned()];
        let make = |seed| history("loom", &authors, &mut Draw::new(seed, "loom"), Some("x"));
        assert_eq!(make(3), make(3));
        assert_ne!(make(3), make(4));
        assert_eq!(make(3).branches.len(), 2);
        assert_eq!(make(3).tags, ["v0.4", "v0.8"]);
    }
}
