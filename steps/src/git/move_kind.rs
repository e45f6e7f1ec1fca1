//! Parameters of `git.move`.

use std::path::{Component, Path, PathBuf};
use workplan_engine::kind::{Class, Kind, ParamProblem, ParamSpec, ParamType, Step, With};

use super::move_step::{Grave, MoveStep};

/// A file or folder that moves from one repository to another one.
#[derive(Debug, Clone, Copy)]
pub struct GitMove;

const PARAMS: &[ParamSpec] = &[
    param(
        "from",
        ParamType::String,
        true,
        "The file or folder, committed and without changes: `REPO:path` for one in a repository of the target, else relative to the workplan's folder.",
    ),
    param(
        "to",
        ParamType::String,
        true,
        "Where it goes, written as `from` is; with a `/` at its end, into that folder under its old name.",
    ),
    param(
        "tombstone",
        ParamType::String,
        false,
        "The file that says where it went, relative to the folder that it was in; `MOVED.md` without it. A line is added to it.",
    ),
    param(
        "stub",
        ParamType::String,
        false,
        "The text of a file that stays in the old place instead of a tombstone; a line that says where it went is added as a comment. Its permissions are those of the file that moves.",
    ),
    param(
        "note",
        ParamType::String,
        false,
        "What the tombstone says beside the date, for example a task's id; the step's name without it.",
    ),
    param(
        "references_ok",
        ParamType::Strings,
        false,
        "Files that may still name the old path, because other steps rewrite them: `REPO:path`, or paths in the repository that it moves from.",
    ),
    param(
        "commit",
        ParamType::String,
        false,
        "The message of both commits; `Move … to …` without it.",
    ),
];

const fn param(name: &'static str, ty: ParamType, required: bool, doc: &'static str) -> ParamSpec {
    ParamSpec { name, ty, required, doc }
}

/// The last part of a path, behind the repository's name.
fn name(path: &str) -> Option<String> {
    let path = path.split_once(':').map_or(path, |(_, path)| path);
    Path::new(path).file_name().and_then(|n| n.to_str()).map(str::to_owned)
}

/// From where to where, both in full.
fn ends(with: &With) -> (String, String) {
    let from = with.str("from").unwrap_or_default().trim_end_matches('/').to_owned();
    let mut to = with.str("to").unwrap_or_default().to_owned();
    if to.ends_with('/') || to.ends_with(':') {
        to.push_str(&name(&from).unwrap_or_default());
    }
    (from, to)
}

impl Kind for GitMove {
    fn name(&self) -> &'static str {
        "git.move"
    }

    fn class(&self) -> Class {
        Class::State
    }

    fn about(&self) -> &'static str {
        "Moves a file or folder from one git repository to another one: copied, compared by SHA-256, \
         committed there, then replaced by a tombstone here and committed. Refused while the paths \
         have changes that are not committed, while something else is in its new place, and while \
         Makefiles, scripts, CI or kustomizations still name the old path. `undo` moves it back with \
         inverse commits."
    }

    fn params(&self) -> &'static [ParamSpec] {
        PARAMS
    }

    fn moves(&self, with: &With) -> Option<(String, String)> {
        Some(ends(with))
    }

    fn build(&self, with: &With) -> Result<Box<dyn Step>, Vec<ParamProblem>> {
        let mut problems = Vec::new();
        let (from, to) = ends(with);
        if name(&from).is_none() {
            problems.push(ParamProblem::new("from", "`from` names no file or folder"));
        }
        if name(&to).is_none() {
            problems.push(ParamProblem::new("to", "`to` names no file or folder"));
        } else if from == to {
            problems.push(ParamProblem::new("to", "`to` is the same as `from`"));
        }
        for key in ["stub", "note", "commit"] {
            if with.str(key).is_some_and(|text| text.trim().is_empty()) {
                problems.push(ParamProblem::new(key, format!("`{key}` is empty")));
            }
        }
        if with.str("note").is_some_and(|note| note.contains('\n')) {
            problems.push(ParamProblem::new("note", "`note` is more than one line"));
        }
        let tombstone = PathBuf::from(with.str("tombstone").unwrap_or("MOVED.md"));
        let below = tombstone.components().all(|c| matches!(c, Component::Normal(_)));
        if !below || tombstone.file_name().is_none() {
            problems.push(
                ParamProblem::new("tombstone", "`tombstone` names no file in the old folder")
                    .with_help("for example `MOVED.md`"),
            );
        } else if tombstone.iter().next().and_then(|n| n.to_str()) == name(&from).as_deref() {
            problems.push(ParamProblem::new(
                "tombstone",
                "`tombstone` is what moves; `stub` leaves a file in the old place",
            ));
        }
        if with.has("stub") && with.has("tombstone") {
            problems.push(ParamProblem::new(
                "stub",
                "`stub` and `tombstone` are both given; one of them says where it went",
            ));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let text = |key: &str| with.str(key).map(|t| t.trim_end().to_owned());
        Ok(Box::new(MoveStep {
            from,
            to,
            grave: text("stub").map_or(Grave::Beside(tombstone), Grave::Stub),
            note: text("note"),
            references_ok: with.strings("references_ok"),
            commit: text("commit"),
        }))
    }
}
