//! The folder of a lab: what makes it one, and where things are in it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::args::LabDir;
use crate::exit;
use crate::failure::Failure;

/// The five repositories, from the ground up.
pub(crate) const REPOS: [&str; 5] = [
    "railiance-infra",
    "railiance-cluster",
    "railiance-platform",
    "railiance-enablement",
    "railiance-apps",
];

/// The file that says of a folder that it is a lab.
const MARK: &str = "lab.json";
const SCHEMA: &str = "workplan/lab/v1";

/// How far a lab has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Stage {
    /// It was begun. What is there is of no use until it is ready.
    Begun,
    /// It is whole.
    Ready,
}

/// What is on record of a lab.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    schema: String,
    /// How far it has come.
    pub(crate) stage: Stage,
    /// See [`super::shape::Shape`].
    pub(crate) seed: u64,
    /// See [`super::shape::Shape`].
    pub(crate) size: u32,
    /// Its first port.
    pub(crate) ports: u16,
    /// What was put into Gitea.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) filled: Option<FilledRecord>,
}

/// What was put into Gitea.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FilledRecord {
    /// Users.
    pub(crate) users: usize,
    /// Repositories.
    pub(crate) repositories: usize,
}

impl Record {
    /// A lab that is begun.
    pub(crate) fn begun(seed: u64, size: u32, ports: u16) -> Self {
        Self { schema: SCHEMA.to_owned(), stage: Stage::Begun, seed, size, ports, filled: None }
    }
}

/// A lab's folder.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    root: PathBuf,
}

/// What a folder is.
#[derive(Debug)]
pub(crate) enum Found {
    /// There is nothing, or an empty folder.
    Nothing,
    /// A lab.
    Lab(Record),
}

impl Folder {
    /// The folder of a path.
    pub(crate) fn new(path: &Path) -> Result<Self, Failure> {
        let root = std::path::absolute(path).map_err(|e| Failure::io("find", path, &e))?;
        // Where it is there, its real name: the target's identity depends on it.
        Ok(Self { root: root.canonicalize().unwrap_or(root) })
    }

    /// The folder that is meant: the one that is named, else the lab around the current folder, else
    /// `lab` in it.
    pub(crate) fn find(named: &LabDir) -> Result<Self, Failure> {
        if let Some(dir) = &named.dir {
            return Self::new(dir);
        }
        let here = std::path::absolute(".").map_err(|e| Failure::io("find", Path::new("."), &e))?;
        match here.ancestors().find(|folder| folder.join(MARK).is_file()) {
            Some(around) => Self::new(around),
            None => Self::new(Path::new("lab")),
        }
    }

    /// What is there.
    ///
    /// # Errors
    /// When something is there that is no lab, or that cannot be read.
    pub(crate) fn look(&self) -> Result<Found, Failure> {
        let mark = self.root.join(MARK);
        match std::fs::read(&mark) {
            Ok(bytes) => {
                let record: Record = serde_json::from_slice(&bytes).map_err(|e| {
                    Failure::new(exit::FAILED, format!("`{}` cannot be read: {e}", mark.display()))
                })?;
                if record.schema != SCHEMA {
                    return Err(Failure::new(
                        exit::FAILED,
                        format!("`{}` is a lab of another version", self.root.display()),
                    )
                    .with_help("end it with the version of `workplan` that made it"));
                }
                Ok(Found::Lab(record))
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => self.nothing(),
            Err(e) if e.kind() == std::io::ErrorKind::NotADirectory => Err(self.no_lab()),
            Err(e) => Err(Failure::io("read", &mark, &e)),
        }
    }

    fn nothing(&self) -> Result<Found, Failure> {
        match std::fs::read_dir(&self.root) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Found::Nothing),
            Err(e) if e.kind() == std::io::ErrorKind::NotADirectory => Err(self.no_lab()),
            Err(e) => Err(Failure::io("read", &self.root, &e)),
            Ok(entries) => match entries.count() {
                0 => Ok(Found::Nothing),
                _ => Err(self.no_lab()),
            },
        }
    }

    fn no_lab(&self) -> Failure {
        Failure::usage(format!("`{}` is there and is no lab", self.root.display()))
            .with_help("choose an empty folder, or one that is not there: `--dir DIR`")
    }

    /// The record of a lab that is ready.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn ready(&self) -> Result<Record, Failure> {
        match self.look()? {
            Found::Lab(record) if record.stage == Stage::Ready => Ok(record),
            Found::Lab(_) => Err(Failure::new(
                exit::FAILED,
                format!("the lab in `{}` was begun and never got ready", self.root.display()),
            )
            .with_help("`workplan lab up` makes it anew")),
            Found::Nothing => {
                Err(Failure::usage(format!("there is no lab in `{}`", self.root.display()))
                    .with_help("`workplan lab up` makes one; another folder: `--dir DIR`"))
            }
        }
    }

    /// Makes the folder, and writes the record into it.
    pub(crate) fn write(&self, record: &Record) -> Result<(), Failure> {
        make(&self.root)?;
        let mut text = serde_json::to_string_pretty(record)
            .map_err(|e| Failure::new(exit::INTERNAL, format!("failed to write JSON: {e}")))?;
        text.push('\n');
        crate::files::write(&self.root.join(MARK), &text)
    }

    /// The folder itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// One of the repositories.
    pub(crate) fn repo(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Where the platform `local` keeps its releases.
    pub(crate) fn world(&self) -> PathBuf {
        self.root.join("world")
    }

    /// Where backups go.
    pub(crate) fn backup(&self) -> PathBuf {
        self.root.join("backup")
    }

    /// The secret half of the age key pair: outside of every repository.
    pub(crate) fn age_key(&self) -> PathBuf {
        self.root.join("keys").join("age.txt")
    }

    /// The target file.
    pub(crate) fn target(&self) -> PathBuf {
        self.repo("railiance-platform").join("targets").join("lab.yaml")
    }

    /// The lab's copy of the workplan.
    pub(crate) fn workplan(&self) -> PathBuf {
        self.repo("railiance-platform").join(super::repos::WORKPLAN)
    }

    /// Removes it with everything in it. It is a lab; somebody has looked.
    pub(crate) fn remove(&self) -> Result<(), Failure> {
        // The mark goes last: what a removal leaves that was cut off is still known for a lab.
        let entries = std::fs::read_dir(&self.root)
            .map_err(|e| Failure::io("read", &self.root, &e))?
            .filter_map(Result::ok);
        for entry in entries.filter(|e| e.file_name() != MARK) {
            let path = entry.path();
            let removed = match entry.file_type() {
                Ok(kind) if kind.is_dir() => std::fs::remove_dir_all(&path),
                _ => std::fs::remove_file(&path),
            };
            removed.map_err(|e| Failure::io("remove", &path, &e))?;
        }
        std::fs::remove_dir_all(&self.root).map_err(|e| Failure::io("remove", &self.root, &e))
    }
}

/// Makes a folder and those above it.
pub(crate) fn make(path: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(path).map_err(|e| Failure::io("make", path, &e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_lab_is_left_alone() {
        let temp = tempfile::tempdir().unwrap();
        let folder = |name: &str| Folder::new(&temp.path().join(name)).unwrap();
        assert!(matches!(folder("none").look(), Ok(Found::Nothing)));
        make(&temp.path().join("empty")).unwrap();
        assert!(matches!(folder("empty").look(), Ok(Found::Nothing)));
        make(&temp.path().join("other/inner")).unwrap();
        let refused = folder("other").look().unwrap_err();
        assert!(refused.message.ends_with("is no lab"), "{}", refused.message);
        std::fs::write(temp.path().join("file"), "").unwrap();
        assert!(folder("file").look().is_err());
    }

    #[test]
    fn a_lab_is_known_by_its_mark_until_the_last() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::new(&temp.path().join("lab")).unwrap();
        let record = Record::begun(7, 2, 21_000);
        folder.write(&record).unwrap();
        make(&folder.world()).unwrap();
        assert!(matches!(folder.look(), Ok(Found::Lab(found)) if found == record));
        assert!(folder.ready().unwrap_err().message.contains("never got ready"));
        folder.remove().unwrap();
        assert!(matches!(folder.look(), Ok(Found::Nothing)));
    }
}
