//! `file.edit`: literal replacements in a text file.

use std::path::Path;
use workplan_engine::kind::{Class, Kind, ParamProblem, ParamSpec, ParamType, Step, With};

use super::edit_step::{Edit, EditStep, Verdict};

/// A text in a file in the place of another one.
#[derive(Debug, Clone, Copy)]
pub struct FileEdit;

const PARAMS: &[ParamSpec] = &[
    required(
        "file",
        "The file; `REPO:path` for one in a repository of the target, else relative to the workplan's folder.",
    ),
    required(
        "find",
        "The text that goes. It is taken literally; line ends match those of the file.",
    ),
    required("replace", "The text that comes in its place; empty to take it away."),
    ParamSpec {
        name: "count",
        ty: ParamType::Int,
        required: false,
        doc: "How often `find` must be there to be replaced, and `replace` at least afterwards. Without it, each one is replaced.",
    },
    ParamSpec {
        name: "commit",
        ty: ParamType::String,
        required: false,
        doc: "Commits the file, and nothing else, with this message; `undo` makes an inverse commit.",
    },
];

const fn required(name: &'static str, doc: &'static str) -> ParamSpec {
    ParamSpec { name, ty: ParamType::String, required: true, doc }
}

impl Kind for FileEdit {
    fn name(&self) -> &'static str {
        "file.edit"
    }

    fn class(&self) -> Class {
        Class::State
    }

    fn about(&self) -> &'static str {
        "Replaces a text in a file by another one. It is done when the one is not in the file any \
         more and the other is; where neither is there, nothing is changed and a person is asked. \
         `undo` restores the bytes that were there before."
    }

    fn params(&self) -> &'static [ParamSpec] {
        PARAMS
    }

    fn build(&self, with: &With) -> Result<Box<dyn Step>, Vec<ParamProblem>> {
        let mut problems = file_and_commit(with);
        let text = |key: &str| with.str(key).unwrap_or_default().to_owned();
        let (find, replace) = (text("find"), text("replace"));
        if find.is_empty() {
            problems.push(ParamProblem::new("find", "`find` is empty"));
        }
        if !find.is_empty() && find == replace {
            problems.push(ParamProblem::new("replace", "`replace` is the same as `find`"));
        }
        let count = with.int("count").map(usize::try_from);
        if matches!(count, Some(Err(_) | Ok(0))) {
            problems.push(ParamProblem::new("count", "`count` is less than 1"));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let edit = Replacement { find, replace, count: count.and_then(Result::ok) };
        Ok(Box::new(EditStep {
            file: text("file"),
            commit: with.str("commit").map(str::to_owned),
            edit,
        }))
    }
}

/// What is wrong with `file` and `commit`, which all edits have.
pub(crate) fn file_and_commit(with: &With) -> Vec<ParamProblem> {
    let mut problems = Vec::new();
    match with.str("file") {
        None | Some("") => problems.push(ParamProblem::new("file", "`file` is empty")),
        Some(file) if file.ends_with('/') => {
            problems.push(ParamProblem::new("file", "`file` names a folder; a file is wanted"));
        }
        Some(file) if file.contains('\0') => {
            problems.push(ParamProblem::new("file", "`file` has a NUL byte"));
        }
        Some(_) => {}
    }
    if with.str("commit").is_some_and(|message| message.trim().is_empty()) {
        let problem = ParamProblem::new("commit", "`commit` is empty; a commit has a message");
        problems.push(problem.with_help("leave it out to commit nothing"));
    }
    problems
}

struct Replacement {
    find: String,
    replace: String,
    count: Option<usize>,
}

impl Edit for Replacement {
    fn of(&self, real: &Path, now: Option<&[u8]>) -> Result<Verdict, String> {
        let file = real.display();
        let Some(now) = now else { return Err(format!("`{file}` does not exist")) };
        let text = std::str::from_utf8(now).map_err(|_| format!("`{file}` is not UTF-8 text"))?;
        let lines = |part: &str| match text.contains("\r\n") {
            true if !part.contains('\r') => part.replace('\n', "\r\n"),
            _ => part.to_owned(),
        };
        let (find, replace) = (lines(&self.find), lines(&self.replace));
        // Where one text holds the other, an occurrence of the longer one is none of the shorter.
        let outside = |of: &str, holder: &str| {
            if holder.contains(of) {
                text.split(holder).map(|piece| piece.matches(of).count()).sum()
            } else {
                text.matches(of).count()
            }
        };
        let old: usize = outside(&find, &replace);
        let new = if replace.is_empty() { None } else { Some(outside(&replace, &find)) };
        let wanted = self.count.unwrap_or(1);
        let times = |n: usize| match n {
            0 => "not there".to_owned(),
            1 => "there once".to_owned(),
            n => format!("there {n} times"),
        };
        match (old, self.count) {
            (0, _) if new.is_none_or(|new: usize| new >= wanted) => Ok(Verdict::Done),
            (0, _) => Err(format!(
                "`{file}` has neither text as wanted: `find` is not there, and `replace` is {} \
                 where at least {wanted} is wanted",
                times(new.unwrap_or_default())
            )),
            (old, Some(count)) if old != count => Err(format!(
                "`{file}` is not as the plan thinks: `find` is {}, and `count` says {count}",
                times(old)
            )),
            _ if !replace.is_empty() && replace.contains(&find) => {
                let pieces: Vec<String> =
                    text.split(&replace).map(|piece| piece.replace(&find, &replace)).collect();
                Ok(Verdict::Becomes(pieces.join(&replace).into_bytes()))
            }
            _ => Ok(Verdict::Becomes(text.replace(&find, &replace).into_bytes())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(find: &str, replace: &str, count: Option<usize>, text: &str) -> Result<String, String> {
        let edit = Replacement { find: find.to_owned(), replace: replace.to_owned(), count };
        edit.of(Path::new("f"), Some(text.as_bytes())).map(|verdict| match verdict {
            Verdict::Done => "done".to_owned(),
            Verdict::Becomes(bytes) => String::from_utf8(bytes).unwrap(),
        })
    }

    #[test]
    fn what_is_replaced_is_done() {
        for (find, replace, text, becomes) in [
            ("default", "apps", "-n default; -n default\n", "-n apps; -n apps\n"),
            ("default", "", "-n default\n", "-n \n"),
            // One holds the other.
            ("apps", "my-apps", "apps my-apps apps\n", "my-apps my-apps my-apps\n"),
            ("my-apps", "apps", "apps my-apps\n", "apps apps\n"),
            // Line ends are the file's.
            ("a\nb", "c\nd", "a\r\nb\r\n", "c\r\nd\r\n"),
        ] {
            assert_eq!(of(find, replace, None, text).as_deref(), Ok(becomes), "{find}");
            assert_eq!(of(find, replace, None, becomes).as_deref(), Ok("done"), "{find}");
        }
    }

    #[test]
    fn what_is_not_as_thought_is_not_touched() {
        assert!(of("a", "b", None, "c\n").unwrap_err().contains("neither text"));
        assert!(
            of("a", "b", Some(2), "a\n").unwrap_err().contains("there once, and `count` says 2")
        );
        assert!(of("a", "b", Some(1), "a a\n").unwrap_err().contains("there 2 times"));
        assert_eq!(of("a", "b", Some(2), "a a\n").as_deref(), Ok("b b\n"));
        assert!(of("a", "b", Some(2), "b\n").unwrap_err().contains("at least 2 is wanted"));
    }
}
