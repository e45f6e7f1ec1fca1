//! Parameters of `file.content`.

use serde_json::Value;
use workplan_engine::kind::{Class, Kind, ParamProblem, ParamSpec, ParamType, Step, With};

use super::owner;
use super::step::ContentStep;

/// A file with this content, these permissions and this owner.
///
/// The old file is there until the new one is complete. A symbolic link to a file is followed:
/// the file that it names is changed. A link to nothing is refused.
#[derive(Debug, Clone, Copy)]
pub struct FileContent;

const PARAMS: &[ParamSpec] = &[
    ParamSpec {
        name: "path",
        ty: ParamType::String,
        required: true,
        doc: "The file; relative to the workplan's folder.",
    },
    optional("content", ParamType::String, "What is in it. Give this or `content_secret`."),
    optional(
        "content_secret",
        ParamType::Secret,
        "The secret that is in it. Give this or `content`.",
    ),
    optional(
        "mode",
        ParamType::Mode,
        "Its permissions. Without it an existing file keeps its own and a new one gets 0644; a sensitive file gets 0600 in both cases.",
    ),
    optional(
        "owner",
        ParamType::String,
        "`user` or `user:group`, names or numbers. Without it an existing file keeps its own.",
    ),
    optional(
        "parents",
        ParamType::Bool,
        "Creates missing folders; `undo` removes those that are empty.",
    ),
    optional(
        "sensitive",
        ParamType::Bool,
        "The content is never shown, nor a digest of it. Always so for `content_secret`.",
    ),
];

const fn optional(name: &'static str, ty: ParamType, doc: &'static str) -> ParamSpec {
    ParamSpec { name, ty, required: false, doc }
}

impl Kind for FileContent {
    fn name(&self) -> &'static str {
        "file.content"
    }

    fn class(&self) -> Class {
        Class::State
    }

    fn about(&self) -> &'static str {
        "Makes a file have this content, these permissions and this owner. It is replaced in one \
         piece; `undo` restores the bytes that were there before."
    }

    fn params(&self) -> &'static [ParamSpec] {
        PARAMS
    }

    fn build(&self, with: &With) -> Result<Box<dyn Step>, Vec<ParamProblem>> {
        let mut problems = Vec::new();
        match with.str("path") {
            None | Some("") => problems.push(ParamProblem::new("path", "`path` is empty")),
            Some(path) if path.ends_with('/') => {
                problems.push(ParamProblem::new("path", "`path` names a folder; a file is wanted"));
            }
            Some(path) if path.contains('\0') => {
                problems.push(ParamProblem::new("path", "`path` has a NUL byte"));
            }
            Some(_) => {}
        }
        match (with.has("content"), with.has("content_secret")) {
            (true, true) => problems.push(ParamProblem::new(
                "content_secret",
                "`content` and `content_secret` are both given; a file has one content",
            )),
            (false, false) => problems.push(
                ParamProblem::new("", "neither `content` nor `content_secret` is given")
                    .with_help("`content: \"\"` makes an empty file"),
            ),
            _ => {}
        }
        let mode = with.0.get("mode").map(mode);
        if mode == Some(None) {
            problems.push(
                ParamProblem::new("mode", "`mode` is not permissions in octal digits")
                    .with_help("for example `\"0644\"`"),
            );
        }
        if let Some(Err(why)) = with.str("owner").map(owner::check) {
            problems.push(ParamProblem::new("owner", why));
        }
        if problems.is_empty() {
            Ok(Box::new(ContentStep::new(with, mode.flatten())))
        } else {
            Err(problems)
        }
    }
}

/// Permissions from octal digits, as text or as the number that YAML made of them.
fn mode(value: &Value) -> Option<u32> {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let digits = text.strip_prefix("0o").unwrap_or(&text);
    u32::from_str_radix(digits, 8).ok().filter(|mode| *mode <= 0o7777)
}
