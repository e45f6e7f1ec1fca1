//! From YAML to steps as written: names and shapes are checked here, meanings are not.

use std::sync::Arc;

use super::input;
use super::raw::{
    PLAN_KEYS, RawBracket, RawParam, RawPlan, RawPrecondition, RawStep, STEP_KEYS, Word,
};
use super::{OnFailure, Retry};
use crate::duration;
use crate::text::{Diagnostic, Diagnostics, SourceFile, Span, did_you_mean};
use crate::yaml::{self, Map, Node, Value};

/// The wait before a retry where none is given.
pub(super) const DEFAULT_BACKOFF_MS: u64 = 1_000;

/// Reads a plan file.
pub(super) fn read_plan(file: &Arc<SourceFile>, found: &mut Diagnostics) -> Option<RawPlan> {
    let (node, problems) = yaml::parse_file(file);
    let broken = problems.has_errors();
    found.extend(problems);
    let Some(node) = node else {
        if !broken {
            found.push(
                Diagnostic::error("plan-empty", file, Span::new(0, 0), "the plan file is empty")
                    .with_help("it says at least `workplan: ID` and `tasks:`"),
            );
        }
        return None;
    };
    let Some(map) = node.as_map() else {
        found.push(
            wrong(file, &node, "a plan file is a mapping")
                .with_help("it says at least `workplan: ID` and `tasks:`"),
        );
        return None;
    };
    let mut r = Reader { file, found };
    r.known_keys(map, PLAN_KEYS, "a plan file");
    let mut plan = RawPlan {
        file: Arc::clone(file),
        workplan: map.get("workplan").and_then(|n| r.word(n, "`workplan`")),
        target_of_record: map
            .get("target_of_record")
            .and_then(|n| r.word(n, "`target_of_record`"))
            .map(|w| w.text),
        inputs: Default::default(),
        preconditions: Vec::new(),
        brackets: Vec::new(),
        tasks: Vec::new(),
    };
    if plan.workplan.is_none() && map.get("workplan").is_none() {
        r.found.push(
            Diagnostic::error(
                "missing-key",
                file,
                Span::new(node.span.start, node.span.start),
                "a plan file says which `workplan` it binds",
            )
            .with_help("add `workplan: ID`, the id of the workplan's front matter"),
        );
    }
    if let Some(n) = map.get("inputs") {
        match n.as_map() {
            Some(inputs) => plan.inputs = input::read(file, inputs, r.found),
            None => r.found.push(
                wrong(file, n, "`inputs` is a mapping")
                    .with_help("for example `inputs: {window: {type: duration, default: 60s}}`"),
            ),
        }
    }
    for item in r.list(map.get("preconditions"), "`preconditions`") {
        plan.preconditions.extend(r.precondition(item));
    }
    for item in r.list(map.get("brackets"), "`brackets`") {
        plan.brackets.extend(r.bracket(item));
    }
    match map.get("tasks").map(|n| (n, n.as_map())) {
        None => {}
        Some((_, Some(tasks))) => {
            for entry in &tasks.entries {
                let steps = r.task(&entry.value, &entry.key);
                plan.tasks.push((Word { text: entry.key.clone(), span: entry.key_span }, steps));
            }
        }
        Some((Node { value: Value::Null, .. }, None)) => {}
        Some((n, None)) => r.found.push(
            wrong(file, n, "`tasks` is a mapping from task ids to their steps")
                .with_help("for example `tasks: {T01: {steps: [...]}}`"),
        ),
    }
    Some(plan)
}

/// Reads the list of an inline `steps` block.
pub(super) fn read_steps(
    file: &Arc<SourceFile>,
    node: &Node,
    found: &mut Diagnostics,
) -> Vec<RawStep> {
    let mut r = Reader { file, found };
    r.steps(node)
}

fn wrong(file: &Arc<SourceFile>, node: &Node, expected: &str) -> Diagnostic {
    Diagnostic::error(
        "wrong-type",
        file,
        node.span,
        format!("{expected}, this is {}", node.type_name()),
    )
}

struct Reader<'a> {
    file: &'a Arc<SourceFile>,
    found: &'a mut Diagnostics,
}

impl Reader<'_> {
    fn known_keys(&mut self, map: &Map, known: &[&str], what: &str) {
        for entry in &map.entries {
            if !known.contains(&entry.key.as_str()) {
                let mut help = did_you_mean(&entry.key, known.iter().copied());
                if help.is_none() && known == STEP_KEYS {
                    help = Some("a kind's own parameters go under `with`".to_owned());
                }
                self.found.push(
                    Diagnostic::error(
                        "unknown-key",
                        self.file,
                        entry.key_span,
                        format!("{what} has no key `{}`", entry.key),
                    )
                    .with_help(
                        help.unwrap_or_else(|| format!("its keys are {}", known.join(", "))),
                    ),
                );
            }
        }
    }

    fn word(&mut self, node: &Node, what: &str) -> Option<Word> {
        match node.as_str() {
            Some(text) if !text.is_empty() => Some(Word { text: text.to_owned(), span: node.span }),
            _ => {
                self.found.push(wrong(self.file, node, &format!("{what} is text")).with_help(
                    "write a single value; quote what YAML would read as something else",
                ));
                None
            }
        }
    }

    fn list<'n>(&mut self, node: Option<&'n Node>, what: &str) -> Vec<&'n Node> {
        match node {
            None => Vec::new(),
            Some(n) => match (&n.value, n.as_seq()) {
                (_, Some(items)) => items.iter().collect(),
                (Value::Null, _) => Vec::new(),
                _ => {
                    self.found.push(
                        wrong(self.file, n, &format!("{what} is a list"))
                            .with_help("begin each item with `- `"),
                    );
                    Vec::new()
                }
            },
        }
    }

    /// A list of words; one word stands for a list of one.
    fn words(&mut self, node: &Node, what: &str) -> Vec<Word> {
        match &node.value {
            Value::Null => Vec::new(),
            Value::Scalar(_) => self.word(node, what).into_iter().collect(),
            Value::Seq(items) => items.iter().filter_map(|n| self.word(n, what)).collect(),
            Value::Map(_) => {
                self.found.push(
                    wrong(self.file, node, &format!("{what} is a list of texts"))
                        .with_help("for example `[one, two]`"),
                );
                Vec::new()
            }
        }
    }

    /// A duration that something is given: none at all would end it before it begins.
    fn deadline(&mut self, node: &Node, what: &str) -> Option<u64> {
        let ms = self.duration(node, what)?;
        if ms == 0 {
            self.found.push(
                Diagnostic::error(
                    "wrong-type",
                    self.file,
                    node.span,
                    format!("{what} is longer than nothing"),
                )
                .with_help("leave it out, or write it as `60s`"),
            );
            return None;
        }
        Some(ms)
    }

    fn duration(&mut self, node: &Node, what: &str) -> Option<u64> {
        let parsed = node.as_str().and_then(duration::parse);
        if parsed.is_none() {
            let mut problem = wrong(self.file, node, &format!("{what} is a duration"));
            problem.help = Some(format!("write it as {}", duration::EXAMPLES));
            self.found.push(problem);
        }
        parsed.map(|d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
    }

    fn bool(&mut self, node: &Node, what: &str) -> bool {
        match node.as_str() {
            Some("true") => true,
            Some("false") => false,
            _ => {
                self.found.push(
                    wrong(self.file, node, &format!("{what} is `true` or `false`"))
                        .with_help("write one of the two words"),
                );
                false
            }
        }
    }

    fn missing(&mut self, span: Span, what: &str, key: &str, help: &str) {
        self.found.push(
            Diagnostic::error("missing-key", self.file, span, format!("{what} has no `{key}`"))
                .with_help(help.to_owned()),
        );
    }

    fn task(&mut self, node: &Node, id: &str) -> Vec<RawStep> {
        match &node.value {
            Value::Null => Vec::new(),
            Value::Seq(_) => self.steps(node),
            Value::Map(map) => {
                self.known_keys(map, &["steps"], &format!("task `{id}` of a plan file"));
                map.get("steps").map_or_else(Vec::new, |n| self.steps(n))
            }
            Value::Scalar(_) => {
                self.found.push(
                    wrong(self.file, node, &format!("task `{id}` is a mapping"))
                        .with_help("its steps go under `steps:`"),
                );
                Vec::new()
            }
        }
    }

    fn steps(&mut self, node: &Node) -> Vec<RawStep> {
        self.list(Some(node), "`steps`").into_iter().filter_map(|n| self.step(n)).collect()
    }

    fn step(&mut self, node: &Node) -> Option<RawStep> {
        let Some(map) = node.as_map() else {
            self.found.push(
                wrong(self.file, node, "a step is a mapping")
                    .with_help("for example `{id: copy, uses: command, with: {run: make copy}}`"),
            );
            return None;
        };
        self.known_keys(map, STEP_KEYS, "a step");
        let start = Span::new(node.span.start, node.span.start);
        let id = match map.get("id") {
            Some(n) => self.word(n, "`id`").filter(|w| self.good_id(w)),
            None => {
                self.missing(
                    start,
                    "the step",
                    "id",
                    "give it a short name, for example `id: copy`",
                );
                None
            }
        };
        let uses = match map.get("uses") {
            Some(n) => self.word(n, "`uses`"),
            None => {
                self.missing(
                    start,
                    "the step",
                    "uses",
                    "name its kind, for example `uses: command`",
                );
                None
            }
        };
        let with = map.get("with").map_or_else(Vec::new, |n| self.with(n));
        let needs = map.get("needs").map(|n| self.words(n, "`needs`"));
        let holds = map.get("holds").map_or_else(Vec::new, |n| self.words(n, "`holds`"));
        let done_when =
            map.get("done_when").map_or_else(Vec::new, |n| self.words(n, "`done_when`"));
        let timeout_ms = map.get("timeout").and_then(|n| self.deadline(n, "`timeout`"));
        let retry = map.get("retry").and_then(|n| self.retry(n));
        let point_of_no_return =
            map.get("point_of_no_return").is_some_and(|n| self.bool(n, "`point_of_no_return`"));
        Some(RawStep {
            file: Arc::clone(self.file),
            id: id?,
            uses: uses?,
            with,
            needs,
            timeout_ms,
            retry,
            holds,
            done_when,
            point_of_no_return,
            from_shell: false,
        })
    }

    fn good_id(&mut self, id: &Word) -> bool {
        let good = is_step_id(&id.text);
        if !good {
            self.found.push(bad_id(self.file, id));
        }
        good
    }

    fn with(&mut self, node: &Node) -> Vec<RawParam> {
        match &node.value {
            Value::Null => Vec::new(),
            Value::Map(map) => map
                .entries
                .iter()
                .map(|e| RawParam {
                    key: e.key.clone(),
                    key_span: e.key_span,
                    value: e.value.clone(),
                })
                .collect(),
            _ => {
                self.found.push(
                    wrong(self.file, node, "`with` is a mapping")
                        .with_help("for example `with: {run: make copy}`"),
                );
                Vec::new()
            }
        }
    }

    fn retry(&mut self, node: &Node) -> Option<Retry> {
        let mut retry = Retry { max: 0, backoff_ms: DEFAULT_BACKOFF_MS };
        let max = match &node.value {
            Value::Scalar(_) => Some(node),
            Value::Map(map) => {
                self.known_keys(map, &["max", "backoff"], "`retry`");
                if let Some(n) = map.get("backoff") {
                    retry.backoff_ms = self.duration(n, "`backoff`")?;
                }
                map.get("max")
            }
            _ => None,
        };
        match max.map(|n| (n, n.as_str().and_then(|t| t.parse::<u32>().ok()))) {
            Some((_, Some(max))) if max <= 100 => retry.max = max,
            Some((n, _)) => {
                self.found.push(
                    wrong(self.file, n, "`max` is a whole number up to 100")
                        .with_help("for example `retry: {max: 2, backoff: 5s}`"),
                );
            }
            None => self.found.push(
                wrong(self.file, node, "`retry` says how often")
                    .with_help("for example `retry: {max: 2, backoff: 5s}`"),
            ),
        }
        Some(retry)
    }

    fn precondition(&mut self, node: &Node) -> Option<RawPrecondition> {
        let Some(map) = node.as_map() else {
            self.found.push(
                wrong(self.file, node, "a precondition is a mapping")
                    .with_help("it has `text`, `uses` and `with`"),
            );
            return None;
        };
        self.known_keys(map, &["text", "uses", "with"], "a precondition");
        let start = Span::new(node.span.start, node.span.start);
        if map.get("text").is_none() {
            self.missing(start, "the precondition", "text", "repeat the line of the workplan");
        }
        if map.get("uses").is_none() {
            self.missing(start, "the precondition", "uses", "name the kind of its check");
        }
        let text = map.get("text").and_then(|n| self.word(n, "`text`"))?;
        let uses = map.get("uses").and_then(|n| self.word(n, "`uses`"))?;
        let with = map.get("with").map_or_else(Vec::new, |n| self.with(n));
        Some(RawPrecondition { text, uses, with })
    }

    fn bracket(&mut self, node: &Node) -> Option<RawBracket> {
        let Some(map) = node.as_map() else {
            self.found.push(
                wrong(self.file, node, "a bracket is a mapping")
                    .with_help("it has at least `name`, `open` and `close`"),
            );
            return None;
        };
        self.known_keys(
            map,
            &["name", "open", "close", "budget", "on_failure", "gate"],
            "a bracket",
        );
        let start = Span::new(node.span.start, node.span.start);
        let mut need = |key: &str, help: &str| match map.get(key) {
            Some(n) => self.word(n, &format!("`{key}`")),
            None => {
                self.missing(start, "the bracket", key, help);
                None
            }
        };
        let name = need("name", "for example `name: outage`");
        let open = need("open", "the step that opens it, for example `open: T02.stop`");
        let close = need("close", "the step that closes it, for example `close: T02.open`");
        let budget_ms = map.get("budget").and_then(|n| self.deadline(n, "`budget`"));
        let on_failure = match map.get("on_failure").map(|n| (n, n.as_str())) {
            None | Some((_, Some("release"))) => OnFailure::Release,
            Some((_, Some("hold"))) => OnFailure::Hold,
            Some((n, _)) => {
                self.found.push(
                    wrong(self.file, n, "`on_failure` is `release` or `hold`").with_help(
                        "`release` takes back what is inside; `hold` leaves it to a person",
                    ),
                );
                OnFailure::Release
            }
        };
        let gate = match map.get("gate") {
            None => None,
            Some(n) => match n.as_map().map(|m| (m, m.get("approve"))) {
                Some((map, Some(text))) => {
                    self.known_keys(map, &["approve"], "`gate`");
                    self.word(text, "`approve`").map(|w| w.text)
                }
                _ => {
                    self.found.push(
                        wrong(self.file, n, "`gate` says what is to be approved").with_help(
                            "for example `gate: {approve: \"Gitea goes away for a minute\"}`",
                        ),
                    );
                    None
                }
            },
        };
        Some(RawBracket { name: name?, open: open?, close: close?, budget_ms, on_failure, gate })
    }
}

/// Whether a text can be the id of a step: it becomes a part of file names and of references.
pub(super) fn is_step_id(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 100
        && text.starts_with(|c: char| c.is_alphanumeric())
        && text.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-')
}

/// The complaint about an id.
pub(super) fn bad_id(file: &Arc<SourceFile>, id: &Word) -> Diagnostic {
    Diagnostic::error(
        "bad-step-id",
        file,
        id.span,
        format!("`{}` cannot be the id of a step", id.text),
    )
    .with_help("letters, digits, `-` and `_`, at most 100, beginning with a letter or digit")
}
