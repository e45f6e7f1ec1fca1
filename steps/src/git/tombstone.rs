//! What stands where something was moved away from.

/// The words of one move: `NAME moved to REPO/PATH (DATE, NOTE; commit COMMIT, sha256 DIGEST)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// The commit that brought it to its new place.
    pub(super) commit: String,
    /// Of what was moved.
    pub(super) sha256: String,
}

/// Which move: the name of what was moved, and its new place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Words {
    pub(super) name: String,
    /// `railiance-apps/helm/gitea-values.sops.yaml`.
    pub(super) to: String,
}

impl Words {
    fn begin(&self) -> String {
        format!("{} moved to {} (", self.name, self.to)
    }

    /// The line, without its end.
    pub(super) fn line(&self, date: &str, note: &str, record: &Record) -> String {
        let Record { commit, sha256 } = record;
        format!("{}{date}, {note}; commit {commit}, sha256 {sha256})", self.begin())
    }

    /// The last line of a text that records this move.
    pub(super) fn find(&self, text: &str) -> Option<Record> {
        text.lines().rev().find_map(|line| self.read(line))
    }

    fn read(&self, line: &str) -> Option<Record> {
        let line = line.trim().trim_start_matches(['#', '-', '*', ' ']);
        let inner = line.strip_prefix(&self.begin())?.strip_suffix(')')?;
        let (_, record) = inner.rsplit_once("; commit ")?;
        let (commit, sha256) = record.split_once(", sha256 ")?;
        let is_hex = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
        (is_hex(commit) && is_hex(sha256))
            .then(|| Record { commit: commit.to_owned(), sha256: sha256.to_owned() })
    }

    /// A text with this line at its end.
    pub(super) fn add(text: &str, line: &str) -> String {
        let between = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        format!("{text}{between}{line}\n")
    }

    /// A text without the lines that record this move with this digest.
    pub(super) fn take_out(&self, text: &str, sha256: &str) -> String {
        text.split_inclusive('\n')
            .filter(|line| self.read(line).is_none_or(|record| record.sha256 != sha256))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_and_taken_out_again() {
        let words = Words { name: "a.yaml".to_owned(), to: "apps/helm/a.yaml".to_owned() };
        let record = Record { commit: "c0ffee".to_owned(), sha256: "ab12".to_owned() };
        let line = words.line("2026-03-11", "T03 (moved)", &record);
        assert_eq!(
            line,
            "a.yaml moved to apps/helm/a.yaml (2026-03-11, T03 (moved); commit c0ffee, sha256 ab12)"
        );
        for text in ["", "# Moved\n", "b.yaml moved to apps/helm/b.yaml (2026-01-01, T)"] {
            let with = Words::add(text, &line);
            assert_eq!(words.find(&with), Some(record.clone()));
            assert_eq!(words.find(text), None);
            assert_eq!(words.take_out(&with, "ab12").trim_end(), text.trim_end());
            assert_eq!(words.take_out(&with, "cd34"), with);
        }
    }
}
