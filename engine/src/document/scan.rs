//! Reads the prose of a task, and of what stands outside of tasks.

use std::cell::Cell;
use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use crate::text::{Diagnostic, Diagnostics, Gathered, SourceFile, Span, did_you_mean};

use super::blocks::{Block, BlockKind, Place};
use super::prose::{self, Kind};
use super::{Clause, Precondition, mentions};

/// The tasks of the workplan, by the names that prose uses.
#[derive(Debug, Default)]
pub(super) struct Known {
    shorts: HashSet<String>,
    by_number: BTreeMap<(u64, String), String>,
    /// A search over all names is slow in a huge file; after this many nobody reads the hints.
    hints_left: Cell<u32>,
}

impl Known {
    pub(super) fn new(shorts: impl IntoIterator<Item = String>) -> Self {
        let mut known = Self { hints_left: Cell::new(50), ..Self::default() };
        for short in shorts {
            if let Some(number) = number(&short) {
                known.by_number.insert(number, short.clone());
            }
            known.shorts.insert(short);
        }
        known
    }

    pub(super) fn contains(&self, short: &str) -> bool {
        self.shorts.contains(short)
    }

    pub(super) fn hint(&self, short: &str) -> Option<String> {
        self.hints_left.set(self.hints_left.get().checked_sub(1)?);
        let mut names: Vec<&str> = self.shorts.iter().map(String::as_str).collect();
        names.sort_unstable();
        did_you_mean(short, names)
    }

    fn between(&self, from: &str, to: &str) -> Option<Vec<String>> {
        let (from, to) = (number(from)?, number(to)?);
        (from <= to).then(|| self.by_number.range(from..=to).map(|(_, s)| s.clone()).collect())
    }
}

/// `T02a` -> (2, "a").
fn number(short: &str) -> Option<(u64, String)> {
    let rest = short.strip_prefix('T')?;
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    Some((rest[..digits].parse().ok()?, rest[digits..].to_owned()))
}

/// What the prose of one task says.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) needs: Vec<(String, Span)>,
    pub(super) clauses: Vec<Clause>,
    pub(super) completions: Vec<(String, Span)>,
    /// Outside of tasks: the workplan's own list.
    pub(super) preconditions: Vec<Precondition>,
}

/// Reads the prose between two headings.
pub(super) struct Scanner<'a> {
    pub(super) file: &'a Arc<SourceFile>,
    pub(super) workplan: &'a str,
    pub(super) known: &'a Known,
    /// The task whose section this is.
    pub(super) task: Option<&'a str>,
    pub(super) diagnostics: &'a mut Diagnostics,
    pub(super) findings: Findings,
    /// The tasks in `findings.needs`.
    needed: HashSet<String>,
    pending: Option<Pending>,
}

/// A label whose text comes in the blocks after it.
struct Pending {
    kind: Kind,
    span: Span,
    /// The label's own paragraph said something already.
    content: bool,
    /// Depth of the list that is read.
    list: Option<usize>,
    /// The last item gave a clause, so that more text of it is not a clause of its own.
    found: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(
        file: &'a Arc<SourceFile>,
        workplan: &'a str,
        known: &'a Known,
        task: Option<&'a str>,
        diagnostics: &'a mut Diagnostics,
    ) -> Self {
        let findings = Findings::default();
        let needed = HashSet::new();
        Self { file, workplan, known, task, diagnostics, findings, needed, pending: None }
    }

    /// Reads these blocks and gives what they say.
    pub(super) fn scan<'b>(mut self, blocks: impl Iterator<Item = &'b Block>) -> Findings {
        for block in blocks {
            self.block(block);
        }
        self.close();
        self.findings
    }

    fn block(&mut self, block: &Block) {
        match &block.kind {
            BlockKind::Heading { text, .. } => {
                self.close();
                let kind = prose::heading_label(&text.text);
                self.pending = kind.map(|kind| Pending::new(kind, block.span));
                if kind.is_none() && prose::labels(text).iter().any(|l| l.kind == Kind::Done) {
                    self.warn(
                        "done-when-not-understood",
                        block.span,
                        "this `Done when` is a heading, so it is no acceptance text",
                        "write it as a paragraph; a line of `---` right under a paragraph makes it \
                         a heading, so leave a blank line before it",
                    );
                }
            }
            BlockKind::ListStart => {
                if let Some(pending) = &mut self.pending
                    && pending.list.is_none()
                {
                    pending.list = Some(block.depth);
                }
            }
            BlockKind::ListEnd => {
                if self.pending.as_ref().is_some_and(|p| p.list == Some(block.depth)) {
                    self.end_list();
                }
            }
            BlockKind::Fence(_) | BlockKind::Rule | BlockKind::Opaque { .. } => {
                if self.pending.as_ref().is_some_and(|p| p.list.is_none()) {
                    self.close();
                }
            }
            BlockKind::Prose { text, place } => self.prose(text, *place),
        }
    }

    /// A list ended. Under a heading of the workplan's own pre-conditions more lists may follow.
    fn end_list(&mut self) {
        match &mut self.pending {
            Some(p) if p.kind == Kind::Pre && self.task.is_none() => p.list = None,
            _ => self.close(),
        }
    }

    fn close(&mut self) {
        let Some(pending) = self.pending.take() else { return };
        if pending.found > 0 || pending.content {
            return;
        }
        let (code, message, help) = match pending.kind {
            Kind::Pre if self.task.is_none() => return,
            Kind::Pre => (
                "precondition-not-understood",
                "this `Pre-condition` says nothing that was understood",
                "write `Pre-condition: T01 done.`",
            ),
            _ => (
                "done-when-not-understood",
                "this `Done when` says nothing that was understood",
                "write `Done when: first clause; second clause.`, or a list right after it",
            ),
        };
        self.warn(code, pending.span, message, help);
    }

    fn prose(&mut self, text: &Gathered, place: Place) {
        let whole = 0..text.text.len();
        let labels = if place == Place::Cell { Vec::new() } else { prose::labels(text) };
        if place == Place::Cell {
            return self.cell(text);
        }
        if let Some(pending) = &mut self.pending {
            match (pending.list, pending.kind) {
                (Some(_), Kind::Done) => {
                    let span = text.span(whole.clone());
                    if place != Place::ItemStart {
                        return self.warn(
                            "done-when-not-understood",
                            span,
                            "this text is no part of the clause above it",
                            "write each clause as one list item of one paragraph",
                        );
                    }
                    pending.found += 1;
                    self.findings.clauses.extend(prose::clause(text, whole));
                    return;
                }
                (Some(_), _) => {
                    pending.found += 1;
                    if self.task.is_some() {
                        let span = text.span(whole.clone());
                        self.precondition(text, whole, span);
                    } else if place == Place::ItemStart {
                        let (line, span) = prose::piece(text, whole);
                        self.findings.preconditions.push(Precondition { text: line, span });
                    }
                    return;
                }
                (None, kind) if labels.first().is_none_or(|l| l.start > 0) => {
                    let content = pending.content;
                    let span = pending.span;
                    let outside = self.task.is_none() && kind == Kind::Pre;
                    if !outside {
                        pending.content = true;
                        self.close();
                    }
                    if !content && !outside {
                        let end = labels.first().map_or(whole.end, |l| l.start);
                        self.label(kind, text, span, 0..end);
                    }
                }
                _ => self.close(),
            }
        }
        for (i, label) in labels.iter().enumerate() {
            let end = labels.get(i + 1).map_or(whole.end, |next| next.start);
            let span = text.span(label.start..label.content);
            let content = label.content..end;
            let empty = text.text[content.clone()].trim().is_empty();
            let more = matches!(label.kind, Kind::Done | Kind::Pre)
                && i + 1 == labels.len()
                && (empty || text.text[content.clone()].trim_end().ends_with(':'));
            if label.kind == Kind::Completed {
                self.completed(text, label.start..end);
            } else if !more {
                self.label(label.kind, text, span, content);
            } else {
                let mut pending = Pending::new(label.kind, span);
                if !empty {
                    // "Done when all of these hold:" introduces a list, else it is the clause.
                    pending.content = self.before_list(label.kind, text, content);
                }
                self.pending = Some(pending);
            }
        }
    }

    /// Ids in the sentence that introduces a list count; whether there were any.
    fn before_list(&mut self, kind: Kind, text: &Gathered, content: Range<usize>) -> bool {
        let names = !mentions::find(&text.text, content.clone(), self.workplan).is_empty();
        if kind == Kind::Pre && names && self.task.is_some() {
            let span = text.span(content.clone());
            self.precondition(text, content, span);
        }
        kind == Kind::Pre && names
    }

    fn label(&mut self, kind: Kind, text: &Gathered, span: Span, content: Range<usize>) {
        match (kind, self.task) {
            (Kind::Done, Some(_)) => {
                let clauses = prose::clauses(text, content);
                if clauses.is_empty() {
                    self.warn(
                        "done-when-not-understood",
                        span,
                        "this `Done when` says nothing",
                        "write `Done when: first clause; second clause.`",
                    );
                }
                self.findings.clauses.extend(clauses);
            }
            (Kind::Done, None) => self.warn(
                "done-when-not-understood",
                span,
                "this `Done when` belongs to no task",
                "move it into the section of a task",
            ),
            (Kind::Pre, Some(_)) => self.precondition(text, content, span),
            (Kind::Pre, None) => {
                if mentions::find(&text.text, content, self.workplan).is_empty() {
                    return;
                }
                self.warn(
                    "precondition-not-understood",
                    span,
                    "this pre-condition belongs to no task, so it orders nothing",
                    "move it into the section of the task that has to wait",
                );
            }
            (Kind::LikeDone, Some(_)) => self.warn(
                "done-when-not-understood",
                span,
                "this looks like acceptance text, but it is not read as such",
                "write `Done when: …`",
            ),
            (Kind::LikePre, Some(_)) => {
                let end = prose::sentence_end(text, content.clone());
                let names = mentions::find(&text.text, content.start..end, self.workplan);
                if names.iter().any(|m| !m.foreign) {
                    self.warn(
                        "precondition-not-understood",
                        span,
                        "this looks like a pre-condition, but it orders nothing",
                        "write `Pre-condition: T01 done.`, or `depends_on: [T01]` in the task block",
                    );
                }
            }
            (Kind::LikeCompleted, Some(_)) => self.warn(
                "completed-not-understood",
                span,
                "this looks like a note of completion, but it is not read as such",
                "write `Completed on 2026-01-31 by …`",
            ),
            _ => {}
        }
    }

    /// `Done when` in a table looks like acceptance text and is none.
    fn cell(&mut self, text: &Gathered) {
        for label in prose::labels(text) {
            let content = text.text[label.content..].trim();
            let (code, what) = match label.kind {
                Kind::Done => ("done-when-not-understood", "acceptance text"),
                Kind::Pre => ("precondition-not-understood", "a pre-condition"),
                _ => continue,
            };
            if !content.is_empty() && text.text[..label.content].ends_with(':') {
                self.warn(
                    code,
                    text.span(label.start..label.content),
                    &format!("this looks like {what}, but tables are not read"),
                    "write it as a paragraph of the task",
                );
            }
        }
    }

    fn completed(&mut self, text: &Gathered, range: Range<usize>) {
        let (line, span) = prose::piece(text, range);
        let date = line.get("Completed on ".len()..).unwrap_or_default();
        if self.task.is_none() {
            return;
        }
        if !is_date(date.get(..10).unwrap_or_default()) {
            self.warn(
                "completed-not-understood",
                span,
                "this looks like a note of completion, but it names no date",
                "write `Completed on 2026-01-31 by …`",
            );
        }
        self.findings.completions.push((line, span));
    }

    /// Makes edges of the sentence in `range`.
    fn precondition(&mut self, text: &Gathered, range: Range<usize>, label: Span) {
        let end = prose::sentence_end(text, range.clone());
        let sentence = range.start..end;
        let found = mentions::find(&text.text, sentence.clone(), self.workplan);
        let nothing = prose::fold(&text.text[sentence.clone()]).to_lowercase();
        let mut understood = matches!(nothing.as_str(), "none" | "nothing" | "n/a" | "-" | "—");
        let mut reported = false;
        let mut at = 0;
        while let Some(mention) = found.get(at) {
            at += 1;
            let span = text.inner_span(mention.range.clone());
            let next = found.get(at);
            let between = next
                .map(|next| &text.text[mention.range.end..next.range.start])
                .unwrap_or_default();
            if mention.foreign {
                reported = true;
                self.warn(
                    "precondition-not-understood",
                    span,
                    &format!(
                        "`{}` is a task of another workplan, so it orders nothing",
                        mention.short
                    ),
                    "a workplan can only wait for its own tasks; add a step or a line under \
                     `Pre-conditions` that checks it",
                );
                continue;
            }
            if is_negated(&text.text[mention.range.end..end]) {
                reported = true;
                self.warn(
                    "precondition-not-understood",
                    span,
                    &format!("this pre-condition says `not` about `{}`, so it orders nothing", mention.short),
                    "a pre-condition can only wait for a task to be done; `depends_on` of the other \
                     task can express an order",
                );
                continue;
            }
            if let Some(last) = next.filter(|n| !n.foreign && mentions::is_range(between)) {
                let span = span.join(text.inner_span(last.range.clone()));
                at += 1;
                if self.known.contains(&mention.short)
                    && self.known.contains(&last.short)
                    && let Some(all) = self.known.between(&mention.short, &last.short)
                {
                    understood = true;
                    for short in all {
                        self.edge(short, span);
                    }
                } else {
                    reported = true;
                    self.warn(
                        "precondition-not-understood",
                        span,
                        &format!(
                            "`{}` to `{}` is no range of tasks of this workplan",
                            mention.short, last.short
                        ),
                        "name the first and the last task of the range, or each of them",
                    );
                }
                continue;
            }
            if next.is_some() && between.trim() == "or" {
                self.warn(
                    "precondition-not-understood",
                    span,
                    "`or` is not supported here: both tasks must be done",
                    "write `and`, or name only one of them",
                );
            }
            if self.known.contains(&mention.short) {
                understood = true;
                self.edge(mention.short.clone(), span);
            } else {
                reported = true;
                let hint = self.known.hint(&mention.short);
                self.diagnostics.push(
                    Diagnostic::warning(
                        "precondition-not-understood",
                        self.file,
                        span,
                        format!("this workplan has no task `{}`", mention.short),
                    )
                    .with_help("name a task of this workplan, such as `T01`")
                    .with_help_opt(hint),
                );
            }
        }
        if !understood && !reported {
            self.warn(
                "precondition-not-understood",
                label,
                "this pre-condition names no task, so nothing waits for it",
                "name the task (`Pre-condition: T01 done.`), or add a step that checks it",
            );
        }
        let rest = end.min(range.end)..range.end;
        for mention in mentions::find(&text.text, rest, self.workplan) {
            let taken = self.needed.contains(&mention.short);
            if !mention.foreign && !taken && self.known.contains(&mention.short) {
                self.warn(
                    "precondition-not-understood",
                    text.inner_span(mention.range),
                    &format!(
                        "`{}` stands after the end of the pre-condition's sentence, so it orders \
                         nothing",
                        mention.short
                    ),
                    "name all tasks in one sentence, or start another one with `Pre-condition:`",
                );
            }
        }
    }

    fn edge(&mut self, short: String, span: Span) {
        if self.task == Some(short.as_str()) {
            return self.warn(
                "self-dependency",
                span,
                &format!("`{short}` names itself as its pre-condition"),
                "name the task that comes before it",
            );
        }
        if self.needed.insert(short.clone()) {
            self.findings.needs.push((short, span));
        }
    }

    fn warn(&mut self, code: &'static str, span: Span, message: &str, help: &str) {
        self.diagnostics.push(Diagnostic::warning(code, self.file, span, message).with_help(help));
    }
}

impl Pending {
    fn new(kind: Kind, span: Span) -> Self {
        Self { kind, span, content: false, list: None, found: 0 }
    }
}

/// `not` within the next three words of the same part of the sentence.
fn is_negated(after: &str) -> bool {
    let ends = |c: char| matches!(c, ',' | ';' | '(' | ')');
    for word in after.split_whitespace().take(3) {
        if word.starts_with(ends) {
            return false;
        }
        if word.trim_end_matches(ends) == "not" || word.contains("n't") {
            return true;
        }
        if word.contains(ends) {
            return false;
        }
    }
    false
}

/// `2026-01-31`.
pub(super) fn is_date(text: &str) -> bool {
    text.len() == 10
        && text.bytes().enumerate().all(|(i, b)| match i {
            4 | 7 => b == b'-',
            _ => b.is_ascii_digit(),
        })
}
