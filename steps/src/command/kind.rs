//! Parameters of `command`.

use std::collections::BTreeMap;
use workplan_engine::kind::{
    Class, Kind, OutputType, ParamProblem, ParamSpec, ParamType, Step, With,
};

use super::outputs::{self, Declared};
use super::step::CommandStep;

/// Variables that start so belong to the engine.
const RESERVED: &str = "WORKPLAN_";

/// A script that is run; `check` says whether it is done, `undo` takes it back.
///
/// With a `check` the world is asked: 0 is done, 1 is not done, all else is unknown. Without one
/// the record is asked: an exit code of 0 counts, labelled weak, while the step's meaning is
/// unchanged.
#[derive(Debug, Clone, Copy)]
pub struct Command;

const PARAMS: &[ParamSpec] = &[
    param(
        "run",
        ParamType::Script,
        "The script. It may be left out where `check` alone is asked, as in a precondition.",
    ),
    param(
        "shell",
        ParamType::OneOf(&["sh", "bash"]),
        "The shell that reads `run`, `check` and `undo`: `sh -e -c` (the default) or `bash -eo pipefail -c`.",
    ),
    param(
        "check",
        ParamType::Script,
        "Says whether it is done: exit code 0 is done, 1 is not done, anything else is unknown. It has 60s, or the step's `timeout` if that is shorter.",
    ),
    param("readonly", ParamType::Bool, "The check changes nothing, so that a dry-run may ask it."),
    param("undo", ParamType::Script, "Takes back what `run` did."),
    param(
        "outputs",
        ParamType::Outputs,
        "Values for later steps, read from standard output: one JSON object, or the last line `name=value` of each name.",
    ),
    param(
        "reads",
        ParamType::Strings,
        "Resources that it looks at, for example `file/app.conf` (taken from the workplan's folder) or `file//etc/app.conf`.",
    ),
    param(
        "writes",
        ParamType::Strings,
        "Resources that it changes. Without `reads` and `writes` it makes no claim, and races cannot be ruled out.",
    ),
    param(
        "env",
        ParamType::Map,
        "Environment variables of all its scripts; the way for references to reach them.",
    ),
    param(
        "cwd",
        ParamType::String,
        "Working folder: `REPO:path` for one in a repository of the target, else relative to the workplan's folder, which is the default.",
    ),
    param(
        "secrets",
        ParamType::Secrets,
        "Environment variables of all its scripts that take secret values.",
    ),
    param(
        "rerun",
        ParamType::OneOf(&["safe", "never"]),
        "Whether it may be run again after an interruption without a check: `never` (the default) asks a person.",
    ),
    param(
        "due",
        ParamType::OneOf(&["once", "always"]),
        "`once` (the default) runs it where it is not done, `always` in every run.",
    ),
];

const fn param(name: &'static str, ty: ParamType, doc: &'static str) -> ParamSpec {
    ParamSpec { name, ty, required: false, doc }
}

impl Kind for Command {
    fn name(&self) -> &'static str {
        "command"
    }

    fn class(&self) -> Class {
        Class::State
    }

    fn about(&self) -> &'static str {
        "Runs a script. With `check` the world says whether it is done; without one an exit code \
         of 0 is on record as weak evidence."
    }

    fn params(&self) -> &'static [ParamSpec] {
        PARAMS
    }

    fn outputs(&self, with: &With) -> BTreeMap<String, OutputType> {
        outputs::declared(with).map(|list| list.into_iter().collect()).unwrap_or_default()
    }

    fn build(&self, with: &With) -> Result<Box<dyn Step>, Vec<ParamProblem>> {
        let mut problems = Vec::new();
        scripts(with, &mut problems);
        environment(with, &mut problems);
        let outputs: Declared = outputs::declared(with).unwrap_or_else(|mut wrong| {
            problems.append(&mut wrong);
            Vec::new()
        });
        if problems.is_empty() {
            Ok(Box::new(CommandStep::new(with, outputs)))
        } else {
            Err(problems)
        }
    }
}

fn scripts(with: &With, problems: &mut Vec<ParamProblem>) {
    if !with.has("run") && !with.has("check") {
        problems.push(
            ParamProblem::new("", "there is nothing to run: neither `run` nor `check` is given")
                .with_help("say what to do with `run: …`"),
        );
    }
    for key in ["run", "check", "undo"] {
        if with.str(key).is_some_and(|text| text.trim().is_empty()) {
            problems.push(ParamProblem::new(key, format!("`{key}` is empty")));
        }
    }
    if with.bool("readonly") && !with.has("check") {
        problems.push(ParamProblem::new(
            "readonly",
            "`readonly` says that the check changes nothing; there is no check",
        ));
    }
    if with.has("undo") && !with.has("run") {
        problems.push(ParamProblem::new("undo", "`undo` takes back `run`; there is no `run`"));
    }
    if with.has("outputs") && !with.has("run") {
        problems
            .push(ParamProblem::new("outputs", "`outputs` are what `run` says; there is no `run`"));
    }
    if with.str("cwd").is_some_and(str::is_empty) {
        problems.push(ParamProblem::new("cwd", "`cwd` is empty"));
    }
}

fn environment(with: &With, problems: &mut Vec<ParamProblem>) {
    let env = with.map("env");
    let secrets = with.map("secrets");
    for (key, names) in [("env", &env), ("secrets", &secrets)] {
        for (name, value) in names {
            if !is_variable(name) {
                problems.push(
                    ParamProblem::new(key, format!("`{name}` is not the name of a variable"))
                        .with_help("letters, digits and `_`, not starting with a digit"),
                );
            } else if name.starts_with(RESERVED) {
                problems.push(ParamProblem::new(
                    key,
                    format!(
                        "`{name}` is reserved: names that start with `{RESERVED}` are the engine's"
                    ),
                ));
            }
            if key == "env" && value.contains('\0') {
                problems
                    .push(ParamProblem::new(key, format!("the value of `{name}` has a NUL byte")));
            }
        }
    }
    for name in secrets.keys().filter(|name| env.contains_key(*name)) {
        problems.push(ParamProblem::new(
            "secrets",
            format!("`{name}` is given twice: under `env` and under `secrets`"),
        ));
    }
}

/// Whether a text can be the name of an environment variable and of an output.
pub(super) fn is_variable(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
