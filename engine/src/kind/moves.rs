//! Files that steps of the plan move: whoever names one in its old place finds it in the new one.

use std::path::{Path, PathBuf};

/// From where to where the steps of a plan move files, in the plan's order.
///
/// Which place counts is decided by what is there, never by what is on record: it is the same
/// before the move, after it, after its undo, and without a journal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Moves(Vec<(PathBuf, PathBuf)>);

impl Moves {
    /// Moves of files or folders, each from where to where, in their order.
    #[must_use]
    pub fn new(moves: impl IntoIterator<Item = (PathBuf, PathBuf)>) -> Self {
        Self(moves.into_iter().collect())
    }

    /// Where a path is now: its last place on the way that its moves describe, where nothing is in
    /// its own and something is there. `None` where it is to be looked for where it is written.
    #[must_use]
    pub(super) fn follow(&self, path: &Path) -> Option<PathBuf> {
        if self.0.is_empty() || is_there(path) {
            return None;
        }
        let mut at = path.to_path_buf();
        for (from, to) in &self.0 {
            if let Ok(below) = at.strip_prefix(from) {
                at = if below.as_os_str().is_empty() { to.clone() } else { to.join(below) };
                if is_there(&at) {
                    return Some(at);
                }
            }
        }
        None
    }
}

/// What cannot be asked counts as there: then nothing is followed, and the reader says why.
fn is_there(path: &Path) -> bool {
    !matches!(
        std::fs::symlink_metadata(path),
        Err(e) if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_where_something_is() {
        let temp = tempfile::tempdir().unwrap();
        let at = |name: &str| temp.path().join(name);
        let moves = Moves::new([(at("a"), at("b")), (at("b"), at("c"))]);
        // Nothing anywhere: it is where it is written, and whoever reads it says so.
        assert_eq!(moves.follow(&at("a")), None);
        std::fs::write(at("a"), "").unwrap();
        assert_eq!(moves.follow(&at("a")), None);
        std::fs::rename(at("a"), at("b")).unwrap();
        assert_eq!(moves.follow(&at("a")), Some(at("b")));
        assert_eq!(moves.follow(&at("b")), None);
        std::fs::rename(at("b"), at("c")).unwrap();
        assert_eq!(moves.follow(&at("a")), Some(at("c")));
        assert_eq!(moves.follow(&at("b")), Some(at("c")));
        // Taken back, it is in its old place again, with no word to anybody.
        std::fs::rename(at("c"), at("a")).unwrap();
        assert_eq!(moves.follow(&at("a")), None);
        assert_eq!(moves.follow(&at("x")), None);
    }

    #[test]
    fn what_is_in_a_folder_goes_with_it() {
        let temp = tempfile::tempdir().unwrap();
        let at = |name: &str| temp.path().join(name);
        let moves = Moves::new([(at("old"), at("new"))]);
        std::fs::create_dir_all(at("new/x")).unwrap();
        std::fs::write(at("new/x/file"), "").unwrap();
        assert_eq!(moves.follow(&at("old/x/file")), Some(at("new/x/file")));
        assert_eq!(moves.follow(&at("old/x/none")), None);
        assert_eq!(moves.follow(&at("older/x/file")), None);
        // A stub in the old place is what is meant there.
        std::fs::create_dir_all(at("old/x")).unwrap();
        std::fs::write(at("old/x/file"), "moved").unwrap();
        assert_eq!(moves.follow(&at("old/x/file")), None);
    }
}
