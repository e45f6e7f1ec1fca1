//! The Markdown of a workplan as a flat list of blocks.

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use crate::text::{Gathered, Span};

/// One block that matters, in the order of the file.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) kind: BlockKind,
    /// Its bytes in the file.
    pub(super) span: Span,
    /// How many lists, items, quotes and tables it stands in.
    pub(super) depth: usize,
}

#[derive(Debug)]
pub(super) enum BlockKind {
    Heading {
        level: u8,
        text: Gathered,
    },
    Fence(Fence),
    /// A paragraph, or the text of a list item.
    Prose {
        text: Gathered,
        place: Place,
    },
    ListStart,
    ListEnd,
    Rule,
    /// HTML and indented code: seen, not read.
    Opaque {
        html: bool,
    },
}

/// Where prose stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Free,
    /// The first text of a list item.
    ItemStart,
    /// Later text of a list item.
    ItemMore,
    Cell,
}

/// A fenced code block.
#[derive(Debug)]
pub(super) struct Fence {
    /// The info string as written, white space around it removed.
    pub(super) info: Span,
    /// The opening line from its fence on.
    pub(super) opening: Span,
    /// The content without the indentation of its container, line ends as LF.
    pub(super) content: Gathered,
    /// First byte of the content to the last before the closing fence.
    pub(super) content_span: Span,
    pub(super) closed: bool,
}

/// Reads the Markdown from byte `from` on.
pub(super) fn read(file: &str, from: usize) -> Vec<Block> {
    let options =
        Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut reader = Reader { file, blocks: Vec::new(), containers: Vec::new(), run: None };
    let mut heading: Option<u8> = None;
    let mut fence: Option<(Span, Gathered)> = None;
    let body = file.get(from..).unwrap_or_default();
    for (event, range) in Parser::new_ext(body, options).into_offset_iter() {
        let span = Span::new(range.start + from, range.end + from);
        if let Some((start, content)) = &mut fence {
            match event {
                Event::Text(text) => reader.exact_or_other(content, &text, span),
                Event::End(TagEnd::CodeBlock) => {
                    let (start, content) = (*start, std::mem::take(content));
                    fence = None;
                    let block = reader.fence(start, content);
                    reader.push(BlockKind::Fence(block), start);
                }
                _ => {}
            }
            continue;
        }
        match event {
            Event::Start(tag) => match tag {
                Tag::Paragraph => reader.flush(),
                Tag::Heading { level, .. } => {
                    reader.flush();
                    heading = Some(level_number(level));
                    reader.run = Some((Gathered::default(), span));
                }
                Tag::CodeBlock(CodeBlockKind::Fenced(_)) => {
                    reader.flush();
                    fence = Some((span, Gathered::default()));
                }
                tag @ (Tag::CodeBlock(CodeBlockKind::Indented) | Tag::HtmlBlock) => {
                    reader.flush();
                    let html = tag == Tag::HtmlBlock;
                    reader.push(BlockKind::Opaque { html }, span);
                    reader.containers.push(Container::Opaque);
                }
                Tag::List(_) => {
                    reader.flush();
                    reader.push(BlockKind::ListStart, span);
                    reader.containers.push(Container::Other);
                }
                Tag::Item => {
                    reader.flush();
                    reader.containers.push(Container::Item { fresh: true });
                }
                Tag::TableCell => {
                    reader.flush();
                    reader.containers.push(Container::Cell);
                }
                tag if is_inline(&tag) => {}
                _ => {
                    reader.flush();
                    reader.containers.push(Container::Other);
                }
            },
            Event::End(tag) => match tag {
                TagEnd::Paragraph => reader.flush(),
                TagEnd::Heading(_) => {
                    if let (Some(level), Some((text, span))) = (heading.take(), reader.run.take()) {
                        reader.push(BlockKind::Heading { level, text }, span);
                    }
                }
                TagEnd::Emphasis
                | TagEnd::Strong
                | TagEnd::Strikethrough
                | TagEnd::Link
                | TagEnd::Image
                | TagEnd::Superscript
                | TagEnd::Subscript => {}
                TagEnd::List(_) => {
                    reader.flush();
                    reader.containers.pop();
                    reader.push(BlockKind::ListEnd, span);
                }
                _ => {
                    reader.flush();
                    reader.containers.pop();
                }
            },
            Event::Rule => {
                reader.flush();
                reader.push(BlockKind::Rule, span);
            }
            Event::SoftBreak | Event::HardBreak => {
                reader.inline(span, |_, text| text.push_other("\n", span));
            }
            Event::Text(text) => reader.inline(span, |r, g| r.exact_or_other(g, &text, span)),
            Event::Code(text) => reader.inline(span, |r, g| {
                let source = &r.file[span.start..span.end];
                let ticks = source.len() - source.trim_start_matches('`').len();
                let inside = &source[ticks..];
                let padding = usize::from(inside.starts_with(' ') && !text.starts_with(' '));
                let inner = inside[padding..].starts_with(&*text);
                g.push_code(&text, inner.then_some(span.start + ticks + padding), span);
            }),
            Event::InlineHtml(html) if html.starts_with("<br") => {
                reader.inline(span, |_, text| text.push_other("\n", span));
            }
            _ => {}
        }
    }
    reader.flush();
    reader.blocks
}

struct Reader<'a> {
    file: &'a str,
    blocks: Vec<Block>,
    containers: Vec<Container>,
    run: Option<(Gathered, Span)>,
}

enum Container {
    Item { fresh: bool },
    Cell,
    Opaque,
    Other,
}

impl Reader<'_> {
    fn push(&mut self, kind: BlockKind, span: Span) {
        self.blocks.push(Block { kind, span, depth: self.containers.len() });
    }

    fn inline(&mut self, span: Span, add: impl FnOnce(&Self, &mut Gathered)) {
        if matches!(self.containers.last(), Some(Container::Opaque)) {
            return;
        }
        let (mut text, known) = self.run.take().unwrap_or((Gathered::default(), span));
        add(self, &mut text);
        self.run = Some((text, known.join(span)));
    }

    fn exact_or_other(&self, gathered: &mut Gathered, text: &str, span: Span) {
        if self.file[span.start..span.end] == *text {
            gathered.push_exact(text, span.start);
        } else {
            gathered.push_other(text, span);
        }
    }

    fn flush(&mut self) {
        let Some((text, span)) = self.run.take() else { return };
        let place = match self.containers.last_mut() {
            Some(Container::Item { fresh }) => {
                if std::mem::take(fresh) {
                    Place::ItemStart
                } else {
                    Place::ItemMore
                }
            }
            Some(Container::Cell) => Place::Cell,
            _ => Place::Free,
        };
        self.push(BlockKind::Prose { text, place }, span);
    }

    fn fence(&self, span: Span, content: Gathered) -> Fence {
        let source = &self.file[span.start..span.end];
        let line = source.lines().next().unwrap_or_default();
        let mark = line.chars().next().unwrap_or('`');
        let length = line.len() - line.trim_start_matches(mark).len();
        let rest = &line[length..];
        let lead = length + (rest.len() - rest.trim_start().len());
        let info = Span::new(span.start + lead, span.start + lead + rest.trim().len());
        let first = self.file[span.start..]
            .find('\n')
            .map_or(self.file.len(), |i| span.start + i + 1)
            .min(span.end);
        let content_span = content.whole().unwrap_or(Span::new(first, first));
        // What stands between the content and the end of the block can only be the closing fence.
        let close = &self.file[content_span.end.min(span.end)..span.end];
        let closed = close
            .match_indices(mark)
            .map(|(i, _)| i)
            .next()
            .is_some_and(|i| close[i..].chars().take_while(|c| *c == mark).count() >= length);
        Fence {
            info,
            opening: Span::new(span.start, span.start + line.trim_end().len()),
            content,
            content_span,
            closed,
        }
    }
}

fn is_inline(tag: &Tag<'_>) -> bool {
    matches!(
        tag,
        Tag::Emphasis
            | Tag::Strong
            | Tag::Strikethrough
            | Tag::Link { .. }
            | Tag::Image { .. }
            | Tag::Superscript
            | Tag::Subscript
    )
}

fn level_number(level: HeadingLevel) -> u8 {
    match level {
        HeadingLevel::H1 => 1,
        HeadingLevel::H2 => 2,
        HeadingLevel::H3 => 3,
        HeadingLevel::H4 => 4,
        HeadingLevel::H5 => 5,
        HeadingLevel::H6 => 6,
    }
}
