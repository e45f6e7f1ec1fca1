//! Cuts a file into sections: one a task, and what stands between them.

use std::ops::Range;

use crate::text::Span;

use super::blocks::{Block, BlockKind};
use super::fences::Role;
use super::heading;

/// Consecutive blocks that belong together.
#[derive(Debug)]
pub(super) struct Section {
    /// Indices of its blocks, the heading first where there is one.
    pub(super) blocks: Range<usize>,
    /// Its heading; a task block under a heading that stands further up has none.
    pub(super) heading: Option<usize>,
    /// The id in the heading.
    pub(super) short: Option<String>,
    /// It is the section of a task, or was meant to be.
    pub(super) is_task: bool,
}

/// Cuts the blocks; each block is in exactly one section.
pub(super) fn cut(blocks: &[Block], roles: &[Role], workplan: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let mut current = Section { blocks: 0..0, heading: None, short: None, is_task: false };
    let mut current_level = 0;
    for (i, block) in blocks.iter().enumerate() {
        let task_block = matches!(roles[i], Role::Task(_));
        match &block.kind {
            BlockKind::Heading { level, text } if block.depth == 0 => {
                let named = heading::parse(&text.text, workplan);
                let task_follows = matches!(roles.get(i + 1), Some(Role::Task(_)));
                let is_task = named.is_some() || task_follows;
                if is_task || !current.is_task || *level <= current_level {
                    let short = named.map(|n| n.short.to_owned());
                    current.blocks.end = i;
                    sections.push(std::mem::replace(
                        &mut current,
                        Section { blocks: i..i, heading: Some(i), short, is_task },
                    ));
                    current_level = *level;
                }
            }
            _ if task_block && !current.is_task => {
                current.blocks.end = i;
                sections.push(std::mem::replace(
                    &mut current,
                    Section { blocks: i..i, heading: None, short: None, is_task: true },
                ));
                current_level = 6;
            }
            _ if task_block && current.heading.is_none() => {
                current.blocks.end = i;
                sections.push(std::mem::replace(
                    &mut current,
                    Section { blocks: i..i, heading: None, short: None, is_task: true },
                ));
            }
            _ => {}
        }
    }
    current.blocks.end = blocks.len();
    sections.push(current);
    sections.retain(|s| !s.blocks.is_empty());
    sections
}

/// From the first block to the last byte that is not blank and no closing rule.
pub(super) fn extent(file: &str, blocks: &[Block], section: &Section) -> Span {
    let start = blocks[section.blocks.start].span.start;
    let limit = blocks.get(section.blocks.end).map_or(file.len(), |next| next.span.start);
    // A heading in a quote or list starts after its mark; a section ends with whole lines.
    let limit =
        if limit < file.len() { file[..limit].rfind('\n').map_or(0, |i| i + 1) } else { limit };
    let trimmed = |end: usize| {
        start + file[start..end.max(start)].trim_end_matches([' ', '\t', '\r', '\n']).len()
    };
    let mut end = trimmed(limit);
    for block in blocks[section.blocks.clone()].iter().rev() {
        if !matches!(block.kind, BlockKind::Rule) || block.depth > 0 || block.span.start >= end {
            break;
        }
        // Link definitions make no block; a rule before them does not close the section.
        if trimmed(block.span.end) < end {
            break;
        }
        end = trimmed(block.span.start);
    }
    Span::new(start, end)
}
