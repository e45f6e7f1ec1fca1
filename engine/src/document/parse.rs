//! From text to a [`Document`].

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use crate::text::{Diagnostic, Diagnostics, SourceFile, Span};
use crate::yaml::{Map, Node, Value};

use super::blocks::{self, Block, BlockKind, Fence};
use super::fences::{self, Role};
use super::scan::{Known, Scanner};
use super::sections::{self, Section};
use super::{Document, ShellBlock, StepsBlock, Task, TaskStatus, front, heading, keys, prose};

/// Parses a workplan. A document comes back however broken the file is; the findings say what
/// could not be understood.
#[must_use]
pub fn parse(file: &Arc<SourceFile>) -> (Document, Diagnostics) {
    let mut diagnostics = Diagnostics::default();
    let front = front::read(file, &mut diagnostics);
    let mut document = Document {
        file: Arc::clone(file),
        front: front.matter,
        id: stem(file),
        title: String::new(),
        status: None,
        tasks: Vec::new(),
        preconditions: Vec::new(),
        shell_blocks: Vec::new(),
    };
    read_front(&mut document, &mut diagnostics);
    let blocks = blocks::read(&file.text, front.body);
    let roles: Vec<Role> = blocks
        .iter()
        .map(|block| match &block.kind {
            BlockKind::Fence(fence) => {
                fences::classify(file, &document.id, fence, &mut diagnostics)
            }
            _ => Role::Text,
        })
        .collect();
    if document.title.is_empty() {
        document.title = blocks
            .iter()
            .find_map(|block| match &block.kind {
                BlockKind::Heading { text, .. } => Some(prose::fold(&text.text)),
                _ => None,
            })
            .filter(|title| !title.is_empty())
            .unwrap_or_else(|| document.id.clone());
    }
    let sections = sections::cut(&blocks, &roles, &document.id);
    let mut pass = Pass {
        file,
        blocks: &blocks,
        roles: &roles,
        document: &mut document,
        diagnostics: &mut diagnostics,
    };
    let owners: Vec<Option<usize>> = sections.iter().map(|s| pass.section(s)).collect();
    let known = Known::new(pass.document.tasks.iter().map(|t| t.short.clone()));
    pass.duplicates();
    for (section, owner) in sections.iter().zip(&owners) {
        pass.meaning(section, *owner, &known);
    }
    pass.hidden_in_html();
    pass.backticks_in_info();
    pass.nothing_to_run();
    diagnostics.sort();
    (document, diagnostics)
}

fn stem(file: &SourceFile) -> String {
    file.path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default()
}

fn read_front(document: &mut Document, diagnostics: &mut Diagnostics) {
    let file = &document.file;
    let Some(front) = &document.front else { return };
    let map = &front.map;
    keys::check_front(file, map, diagnostics);
    if let Some(id) = keys::text(file, map, "id", diagnostics) {
        let text = id.as_str().unwrap_or_default();
        if is_id(text) {
            document.id = text.to_owned();
        } else {
            diagnostics.push(
                Diagnostic::error("bad-id", file, id.span, format!("`{text}` cannot be an id"))
                    .with_help(
                        "use letters, digits, `-`, `_` and `.`; begin with a letter or digit",
                    ),
            );
        }
    } else if let Some(entry) = map.entry("id")
        && (entry.value.value == Value::Null || entry.value.as_str().is_some())
    {
        diagnostics.push(
            Diagnostic::error("missing-key", file, entry.key_span, "`id` says nothing")
                .with_help("write an id such as `id: TEAM-WP-0001`"),
        );
    }
    if let Some(title) = keys::text(file, map, "title", diagnostics) {
        document.title = prose::fold(title.as_str().unwrap_or_default());
    }
    if let Some(status) = keys::text(file, map, "status", diagnostics) {
        document.status = keys::workplan_status(file, status, diagnostics);
    }
}

/// Ids become names of files, so they may not lead out of a folder.
fn is_id(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphanumeric())
        && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

/// What the passes over one file share.
pub(super) struct Pass<'a> {
    pub(super) file: &'a Arc<SourceFile>,
    pub(super) blocks: &'a [Block],
    pub(super) roles: &'a [Role],
    pub(super) document: &'a mut Document,
    pub(super) diagnostics: &'a mut Diagnostics,
}

impl Pass<'_> {
    pub(super) fn error(
        &mut self,
        code: &'static str,
        span: Span,
        message: impl Into<String>,
        help: &str,
    ) {
        self.diagnostics.push(Diagnostic::error(code, self.file, span, message).with_help(help));
    }

    fn warning(&mut self, code: &'static str, span: Span, message: impl Into<String>, help: &str) {
        self.diagnostics.push(Diagnostic::warning(code, self.file, span, message).with_help(help));
    }

    fn fences(&self, section: &Section) -> impl Iterator<Item = (usize, &Fence)> {
        section.blocks.clone().filter_map(|i| match &self.blocks[i].kind {
            BlockKind::Fence(fence) => Some((i, fence)),
            _ => None,
        })
    }

    /// Makes the task of a section, if it is one; gives its index.
    fn section(&mut self, section: &Section) -> Option<usize> {
        let blocks = self.blocks;
        let roles = self.roles;
        let mut task_blocks = section.blocks.clone().filter(|i| matches!(roles[*i], Role::Task(_)));
        let first = task_blocks.next();
        let owner = match first {
            Some(at) => self.task(section, at),
            None => {
                self.no_task_block(section);
                None
            }
        };
        if let Some(at) = first {
            let first_span = fence(&blocks[at]).map(|f| f.opening).unwrap_or_default();
            for other in task_blocks {
                let Some(fence) = fence(&blocks[other]) else { continue };
                self.diagnostics.push(
                    Diagnostic::error(
                        "two-task-blocks",
                        self.file,
                        fence.opening,
                        "this section has a task block already",
                    )
                    .with_label(first_span, "the first one")
                    .with_help("give the second task a heading of its own, such as `### T02 — …`"),
                );
            }
        }
        let short = owner.map(|i| self.document.tasks[i].short.clone());
        for i in section.blocks.clone() {
            let (Some(fence), Role::Shell { shell, attributes }) = (fence(&blocks[i]), &roles[i])
            else {
                continue;
            };
            self.document.shell_blocks.push(ShellBlock {
                shell: (*shell).to_owned(),
                attributes: attributes.clone(),
                script: fence.content.text.clone(),
                span: fence.content_span,
                info_span: fence.info,
                task: short.clone(),
            });
        }
        owner
    }

    /// A heading that promises a task needs a block.
    fn no_task_block(&mut self, section: &Section) {
        let broken = section.blocks.clone().any(|i| matches!(self.roles[i], Role::Broken));
        if let (Some(short), Some(at), false) = (&section.short, section.heading, broken) {
            let id = format!("{}-{short}", self.document.id);
            let span = self.line(at);
            self.warning(
                "task-without-block",
                span,
                format!("`{short}` has no `task` block, so it is no task"),
                &format!("add a fenced block `task` with `id: {id}` and `status: todo`"),
            );
        }
    }

    /// The span of a block without the line end.
    fn line(&self, at: usize) -> Span {
        let span = self.blocks[at].span;
        Span::new(span.start, span.start + self.file.slice(span).trim_end().len())
    }

    fn task(&mut self, section: &Section, at: usize) -> Option<usize> {
        let file = self.file;
        let fence = fence(&self.blocks[at])?;
        let Role::Task(node) = &self.roles[at] else { return None };
        let title = self.heading(section, fence);
        let empty = Map::default();
        let map = match node {
            Some(Node { value: Value::Map(map), .. }) => map,
            Some(node) if node.value != Value::Null => {
                self.error(
                    "wrong-type",
                    node.span,
                    format!("a task block holds `key: value` lines, not {}", node.type_name()),
                    "write `id: …` and `status: …`",
                );
                &empty
            }
            _ => &empty,
        };
        // Broken YAML was reported; what it may have said is not missing.
        let readable = match node {
            Some(node) => matches!(node.value, Value::Map(_) | Value::Null),
            None => fence.content.text.trim().is_empty(),
        };
        keys::check_task(file, map, self.diagnostics);
        let (id, short) = self.task_id(section, map, fence, readable)?;
        let status_node = keys::text(file, map, "status", self.diagnostics);
        let status_span = status_node.map(|n| n.span);
        let status = match status_node {
            Some(node) => keys::task_status(file, node, self.diagnostics),
            None => {
                let entry = map.entry("status");
                if readable
                    && entry
                        .is_none_or(|e| e.value.as_map().is_none() && e.value.as_seq().is_none())
                {
                    self.error(
                        "missing-key",
                        entry.map_or(fence.opening, |e| e.key_span),
                        format!("the task `{short}` has no `status`"),
                        "add a line `status: todo`",
                    );
                }
                None
            }
        };
        let priority = keys::text(file, map, "priority", self.diagnostics)
            .and_then(Node::as_str)
            .map(str::to_owned);
        let steps = self.steps(section);
        let heading_span = section.heading.map_or(fence.opening, |h| self.line(h));
        self.document.tasks.push(Task {
            id,
            short,
            title,
            status: status.unwrap_or(TaskStatus::Todo),
            status_span,
            priority,
            needs: Vec::new(),
            clauses: Vec::new(),
            completed: None,
            completions: Vec::new(),
            map: map.clone(),
            heading_span,
            block_span: fence.content_span,
            section_span: sections::extent(&file.text, self.blocks, section),
            steps,
        });
        Some(self.document.tasks.len() - 1)
    }

    /// Checks the heading and gives the title.
    fn heading(&mut self, section: &Section, fence: &Fence) -> String {
        let blocks = self.blocks;
        let Some((at, BlockKind::Heading { level, text })) =
            section.heading.map(|at| (at, &blocks[at].kind))
        else {
            self.error(
                "task-without-heading",
                fence.opening,
                "this task block has no heading of its own",
                "put a heading such as `### T01 — What is done` before it",
            );
            return String::new();
        };
        let title = prose::fold(&text.text);
        let span = self.line(at);
        let Some(named) = heading::parse(&title, &self.document.id) else {
            self.warning(
                "heading-without-id",
                span,
                "the heading of this task does not begin with its id",
                "write `### T01 — Title`, so that people can find the task",
            );
            return title;
        };
        if !(2..=4).contains(level) {
            self.warning(
                "heading-level",
                span,
                format!("the heading of a task is on level {level}"),
                "use `##`, `###` or `####`; other tools may not find it",
            );
        }
        named.title.to_owned()
    }

    /// Full and short id of a task.
    fn task_id(
        &mut self,
        section: &Section,
        map: &Map,
        fence: &Fence,
        readable: bool,
    ) -> Option<(String, String)> {
        let plan = self.document.id.clone();
        let from_heading =
            section.short.as_ref().map(|short| (format!("{plan}-{short}"), short.clone()));
        let Some(node) = keys::text(self.file, map, "id", self.diagnostics) else {
            if readable
                && !map.get("id").is_some_and(|n| n.as_map().is_some() || n.as_seq().is_some())
            {
                let span = map.entry("id").map_or(fence.opening, |e| e.key_span);
                let example =
                    from_heading.as_ref().map_or(format!("{plan}-T01"), |(id, _)| id.clone());
                self.error(
                    "missing-key",
                    span,
                    "this task has no `id`",
                    &format!("add a line `id: {example}`"),
                );
            }
            return from_heading;
        };
        let id = node.as_str().unwrap_or_default().to_owned();
        let bare = heading::task_number(&id) == Some(id.len());
        let Some(short) = id
            .strip_prefix(&plan)
            .and_then(|rest| rest.strip_prefix('-'))
            .or(bare.then_some(id.as_str()))
            .map(str::to_owned)
        else {
            let help = if self.document.front.is_some() {
                format!("the id of a task of this workplan begins with `{plan}-`")
            } else {
                format!(
                    "the workplan's id is `{plan}`, from the file's name; add front matter with \
                     another `id`, or begin the task's id with `{plan}-`"
                )
            };
            self.error(
                "foreign-task-id",
                node.span,
                format!("`{id}` is no task of the workplan `{plan}`"),
                &help,
            );
            return Some(from_heading.unwrap_or((id.clone(), id)));
        };
        if bare && self.document.front.is_some() {
            self.warning(
                "short-task-id",
                node.span,
                format!("the id `{id}` is read as `{plan}-{id}`"),
                "write the full id; it is what other tools look for",
            );
        }
        let fine = short.starts_with(|c: char| c.is_alphanumeric())
            && short.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'));
        if !fine {
            self.error(
                "bad-id",
                node.span,
                format!("`{short}` cannot be the id of a task"),
                "use letters, digits, `-` and `_`, such as `T01`",
            );
        }
        if let Some(named) = section.short.as_ref().filter(|s| **s != short) {
            self.diagnostics.push(
                Diagnostic::warning(
                    "heading-id-mismatch",
                    self.file,
                    node.span,
                    format!("the heading says `{named}`, the block says `{short}`"),
                )
                .with_label(self.line(section.blocks.start), "the heading")
                .with_help("the block counts; correct one of them"),
            );
        }
        Some((id, short))
    }

    fn steps(&mut self, section: &Section) -> Option<StepsBlock> {
        let mut found: Option<(StepsBlock, Span)> = None;
        let all: Vec<(usize, Span, Span)> =
            self.fences(section).map(|(i, f)| (i, f.content_span, f.opening)).collect();
        for (i, span, opening) in all {
            let Role::Steps(list) = &self.roles[i] else { continue };
            match &found {
                None => found = Some((StepsBlock { span, list: list.clone() }, opening)),
                Some((_, first)) => self.diagnostics.push(
                    Diagnostic::error(
                        "two-steps-blocks",
                        self.file,
                        opening,
                        "this task has a `steps` block already",
                    )
                    .with_label(*first, "the first one")
                    .with_help("put all steps of a task into one list"),
                ),
            }
        }
        found.map(|(block, _)| block)
    }

    fn duplicates(&mut self) {
        let mut seen: HashMap<&str, Span> = HashMap::new();
        for task in &self.document.tasks {
            let span = task.map.get("id").map_or(task.heading_span, |n| n.span);
            match seen.entry(&task.short) {
                Entry::Vacant(slot) => {
                    slot.insert(span);
                }
                Entry::Occupied(first) => self.diagnostics.push(
                    Diagnostic::error(
                        "duplicate-id",
                        self.file,
                        span,
                        format!("the task id `{}` stands here twice", task.short),
                    )
                    .with_label(*first.get(), "first here")
                    .with_help("give each task an id of its own"),
                ),
            }
        }
    }

    /// Second look: what refers to other tasks.
    fn meaning(&mut self, section: &Section, owner: Option<usize>, known: &Known) {
        let mut needs = Vec::new();
        if let Some(owner) = owner {
            needs = self.depends_on(owner, known);
        } else {
            for i in section.blocks.clone() {
                if let (Some(fence), Role::Steps(_)) = (fence(&self.blocks[i]), &self.roles[i]) {
                    self.error(
                        "steps-outside-task",
                        fence.opening,
                        "this `steps` block belongs to no task",
                        "put it into the section of a task, under its `task` block",
                    );
                }
            }
        }
        let blocks = self.blocks;
        let plan = self.document.id.clone();
        let short = owner.map(|i| self.document.tasks[i].short.clone());
        let own_heading = owner.and(section.heading);
        let range = section.blocks.clone().filter(|i| Some(*i) != own_heading);
        let scanner = Scanner::new(self.file, &plan, known, short.as_deref(), self.diagnostics);
        let found = scanner.scan(range.map(|i| &blocks[i]));
        self.document.preconditions.extend(found.preconditions);
        let Some(owner) = owner else { return };
        let mut seen: std::collections::HashSet<String> =
            needs.iter().map(|(short, _)| short.clone()).collect();
        needs.extend(found.needs.into_iter().filter(|(short, _)| seen.insert(short.clone())));
        let task = &mut self.document.tasks[owner];
        task.needs = needs;
        task.clauses = found.clauses;
        task.completed = found.completions.last().cloned();
        task.completions = found.completions;
    }

    fn depends_on(&mut self, owner: usize, known: &Known) -> Vec<(String, Span)> {
        let task = &self.document.tasks[owner];
        let own = task.short.clone();
        let Some(node) = task.map.get("depends_on").cloned() else { return Vec::new() };
        let plan = format!("{}-", self.document.id);
        let mut words: Vec<(String, Span)> = Vec::new();
        let items = match &node.value {
            Value::Null => return Vec::new(),
            Value::Seq(items) => items.as_slice(),
            _ => std::slice::from_ref(&node),
        };
        for item in items {
            match item.as_str() {
                Some(text) => words.extend(self.words(item, text)),
                None => self.error(
                    "wrong-type",
                    item.span,
                    format!("`depends_on` lists ids of tasks, not {}", item.type_name()),
                    "write `depends_on: [T01, T02]`",
                ),
            }
        }
        let mut needs: Vec<(String, Span)> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for (word, span) in words {
            let short = word.strip_prefix(&plan).unwrap_or(&word);
            if !known.contains(short) {
                let hint = known.hint(short);
                self.diagnostics.push(
                    Diagnostic::error(
                        "unknown-task",
                        self.file,
                        span,
                        format!("this workplan has no task `{word}`"),
                    )
                    .with_help("name a task of this workplan, such as `T01`")
                    .with_help_opt(hint),
                );
            } else if short == own {
                self.error(
                    "self-dependency",
                    span,
                    format!("`{short}` depends on itself"),
                    "name the task that comes before it",
                );
            } else if seen.insert(short.to_owned()) {
                needs.push((short.to_owned(), span));
            }
        }
        needs
    }

    /// `T01, T02` in one scalar is two ids.
    fn words(&self, node: &Node, text: &str) -> Vec<(String, Span)> {
        let raw = self.file.slice(node.span);
        let Some(offset) = raw.find(text) else {
            return vec![(text.trim().to_owned(), node.span)];
        };
        let start = node.span.start + offset;
        let mut words = Vec::new();
        let mut at = 0;
        for part in text.split_inclusive([',', ' ', '\n', '\t']) {
            let word = part.trim_matches([',', ' ', '\n', '\t', '\r']);
            if !word.is_empty() {
                let from = start + at + part.find(word).unwrap_or(0);
                words.push((word.to_owned(), Span::new(from, from + word.len())));
            }
            at += part.len();
        }
        words
    }
}

fn fence(block: &Block) -> Option<&Fence> {
    match &block.kind {
        BlockKind::Fence(fence) => Some(fence),
        _ => None,
    }
}
