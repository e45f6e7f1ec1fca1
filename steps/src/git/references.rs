//! Who else in a repository names a path: Makefiles, scripts, CI, kustomizations.
//!
//! Prose is passed over, a page may speak of what was. What is found is a line that a person would
//! look at; a name in a variable is not.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use workplan_engine::kind::{Look, StepError};

use super::child;
use super::repo::Repo;

/// A line that names the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) file: PathBuf,
    pub(super) line: usize,
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// Endings of prose.
const PROSE: &[&str] = &["md", "markdown", "rst", "txt", "adoc"];

/// All lines of other committed files that name a path of the repository.
///
/// # Errors
/// When `git` cannot tell.
pub(super) async fn find(
    look: &Look,
    repo: &Repo,
    inside: &Path,
) -> Result<Vec<Reference>, StepError> {
    let Some(name) = inside.file_name().and_then(OsStr::to_str) else { return Ok(Vec::new()) };
    let arguments = ["grep", "-n", "-I", "-z", "-F", "--no-color", "--full-name", "-e", name];
    let outcome = look.check(child::reading(look, repo.root(), arguments)).await?;
    match outcome.code {
        Some(1) => return Ok(Vec::new()),
        Some(0) if outcome.stdout.len() < child::CAPTURED => {}
        _ => return Err(child::refused("look for references", repo.root(), &outcome)),
    }
    let mut found = Vec::new();
    for row in outcome.stdout.split(|b| *b == b'\n') {
        let Some(end) = row.iter().position(|b| *b == 0) else { continue };
        let file = Path::new(OsStr::from_bytes(&row[..end]));
        let rest = String::from_utf8_lossy(&row[end + 1..]);
        let Some((line, text)) = rest.split_once([':', '\0']) else { continue };
        let Ok(line) = line.parse() else { continue };
        if !is_passed_over(file, inside) && refers(text, file, inside) {
            found.push(Reference { file: file.to_path_buf(), line });
        }
    }
    Ok(found)
}

fn is_passed_over(file: &Path, inside: &Path) -> bool {
    let prose = file
        .extension()
        .and_then(OsStr::to_str)
        .is_some_and(|e| PROSE.iter().any(|prose| prose.eq_ignore_ascii_case(e)));
    // What workplans say of their own moves is no use of the path.
    let plans = ["plans", "workplans"].iter().any(|folder| file.starts_with(folder));
    prose || plans || file.starts_with(inside)
}

/// Whether a line of a file names a path.
fn refers(text: &str, file: &Path, inside: &Path) -> bool {
    let name = inside.file_name().and_then(OsStr::to_str).unwrap_or_default();
    text.match_indices(name).any(|(at, _)| {
        ends(&text[at + name.len()..]) && leads_there(&text[..at], file, inside, name)
    })
}

/// Whether a name ends here.
fn ends(after: &str) -> bool {
    let mut chars = after.chars();
    match chars.next() {
        Some('.') => !chars.next().is_some_and(char::is_alphanumeric),
        Some(c) => !(c.is_alphanumeric() || c == '_' || c == '-'),
        None => true,
    }
}

/// Whether the folders before a name can be those of the path.
fn leads_there(before: &str, file: &Path, inside: &Path, name: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || "_./-$(){}~".contains(c);
    let start = before
        .char_indices()
        .rev()
        .take_while(|(_, c)| is_part(*c))
        .last()
        .map_or(before.len(), |(at, _)| at);
    let way = &before[start..];
    // `repo:path` names another repository, or another machine.
    if let Some(rest) = before[..start].strip_suffix(':') {
        let word = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
        let other = rest.trim_end_matches(word);
        let begins =
            other.chars().next_back().is_none_or(|c| c.is_whitespace() || "'\"=".contains(c));
        if other.len() < rest.len() && begins {
            return false;
        }
    }
    let glued = way.chars().next_back().is_some_and(|c| !"/(){}".contains(c));
    if glued {
        return false;
    }
    // What stands before the last variable is not known.
    let known = way.rfind([')', '}']).map_or(way, |at| &way[at + 1..]);
    let known = known.rsplit(['(', '{']).next().unwrap_or(known);
    let folders: Vec<&str> =
        known.split('/').filter(|part| !["", ".", "..", "~", "$"].contains(part)).collect();
    let parents: Vec<&str> =
        inside.parent().into_iter().flat_map(Path::iter).filter_map(OsStr::to_str).collect();
    if folders.is_empty() {
        let telling = name.contains(['.', '-', '_']);
        let beside = file.parent() == inside.parent();
        let variable = known.len() < way.len();
        return telling || beside || variable || (way.starts_with('/') && parents.is_empty());
    }
    folders.ends_with(&parents) || parents.ends_with(&folders)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_told_from_its_neighbours() {
        let inside = Path::new("tools/cmd/railiance-backup");
        for (text, file, is) in [
            ("\tsudo tools/cmd/railiance-backup", "Makefile", true),
            ("\t@tools/cmd/railiance-backup --all", "Makefile", true),
            ("run: ./tools/cmd/railiance-backup", ".github/workflows/ci.yml", true),
            ("exec \"$(dirname \"$0\")/cmd/railiance-backup\"", "tools/run.sh", true),
            ("X=$(ROOT)/tools/cmd/railiance-backup", "Makefile", true),
            ("x=$(tools/cmd/railiance-backup --version)", "a.sh", true),
            ("/opt/repo/tools/cmd/railiance-backup", "a.service", true),
            ("command -v railiance-backup", "a.sh", true),
            ("- railiance-backup", "tools/cmd/kustomization.yaml", true),
            ("\tsudo tools/cmd/railiance-backup-s2", "Makefile", false),
            ("tools/cmd/railiance-backup.old", "Makefile", false),
            ("tools/my-railiance-backup", "Makefile", false),
            ("other/place/railiance-backup", "Makefile", false),
        ] {
            assert_eq!(refers(text, Path::new(file), inside), is, "{text}");
        }
        // A short word counts where it is meant as a path.
        let backup = Path::new("tools/backup");
        assert!(!refers("backup: ## Back up", Path::new("Makefile"), backup));
        assert!(refers("\ttools/backup", Path::new("Makefile"), backup));
        assert!(refers("backup", Path::new("tools/all.sh"), backup));
        // A folder.
        assert!(refers("cp -r helm/gitea/x y", Path::new("a.sh"), Path::new("helm/gitea")));
        assert!(!refers("to: apps:helm/a.yaml", Path::new("x.yaml"), Path::new("helm/a.yaml")));
        assert!(refers("to: helm/a.yaml", Path::new("x.yaml"), Path::new("helm/a.yaml")));
    }

    #[test]
    fn prose_and_workplans_are_passed_over() {
        let inside = Path::new("helm/a.yaml");
        for file in ["README.md", "docs/x.TXT", "plans/X.yaml", "helm/a.yaml"] {
            assert!(is_passed_over(Path::new(file), inside), "{file}");
        }
        assert!(!is_passed_over(Path::new("helm/kustomization.yaml"), inside));
    }
}
