//! What looks like a task or a step and would be passed over in silence.

use crate::text::Span;

use super::blocks::BlockKind;
use super::fences::Role;
use super::heading;
use super::parse::Pass;

impl Pass<'_> {
    /// HTML goes on to the next blank line, over headings and fences: nobody means that. What
    /// stands in a comment or in `<pre>` is meant to be hidden.
    pub(super) fn hidden_in_html(&mut self) {
        let blocks = self.blocks;
        for block in blocks.iter().filter(|b| matches!(b.kind, BlockKind::Opaque { html: true })) {
            let text = self.file.slice(block.span);
            let head = text.trim_start().to_ascii_lowercase();
            if ["<!", "<?", "<pre", "<script", "<style", "<textarea"]
                .iter()
                .any(|tag| head.starts_with(tag))
            {
                continue;
            }
            let mut at = block.span.start;
            for line in text.split_inclusive('\n') {
                let trimmed = line.trim();
                let hashes = trimmed.trim_start_matches('#');
                let is_heading = hashes.len() < trimmed.len()
                    && heading::parse(hashes, &self.document.id).is_some();
                let info = trimmed.trim_start_matches(['`', '~']);
                let is_fence = trimmed.len() - info.len() >= 3
                    && (matches!(info.split_whitespace().next(), Some("task" | "steps"))
                        || info.contains(" step="));
                if is_heading || is_fence {
                    let start = at + (line.len() - line.trim_start().len());
                    self.error(
                        "hidden-in-html",
                        Span::new(start, start + trimmed.len()),
                        "this line is part of the HTML above it, so it is not read",
                        "leave a blank line after the HTML; use a comment `<!-- … -->` to hide a task",
                    );
                    break;
                }
                at += line.len();
            }
        }
    }

    /// A fence of backticks whose info string has a backtick is no fence: its closing line opens
    /// another block instead.
    pub(super) fn backticks_in_info(&mut self) {
        let blocks = self.blocks;
        for block in blocks.iter().filter(|b| matches!(b.kind, BlockKind::Prose { .. })) {
            let text = self.file.slice(block.span);
            let line = text.lines().next().unwrap_or_default();
            if text.starts_with("```") && line.contains(" step=") {
                self.error(
                    "backtick-in-info",
                    Span::new(block.span.start, block.span.start + line.len()),
                    "this line opens no block, because it has a backtick after the fence",
                    "use `~~~` as the fence of this block, or `$(…)` for a command in a command",
                );
            }
        }
    }

    pub(super) fn nothing_to_run(&mut self) {
        let any = self.roles.iter().any(|r| !matches!(r, Role::Text));
        if any
            || self
                .diagnostics
                .iter()
                .any(|d| matches!(d.code, "fence-unclosed" | "hidden-in-html" | "backtick-in-info"))
        {
            return;
        }
        let text = self.file.text.trim_start_matches('\u{feff}');
        let span = Span::new(self.file.text.len() - text.len(), self.file.text.len() - text.len());
        let help = "a task is a heading `### T01 — Title` with a fenced block `task` under it; a \
                    step is a fenced block `sh step=name`";
        if text.trim().is_empty() {
            self.error("no-tasks", span, "the file is empty", help);
        } else {
            let found = "nothing to run here: the file has no task and no step";
            self.error("no-tasks", span, found, help);
        }
    }
}
