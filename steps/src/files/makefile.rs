//! Reading a Makefile so far that one rule of it can be found and replaced, byte for byte.
//!
//! It knows what make does with lines (recipes, continuations, `define`, conditionals,
//! `.RECIPEPREFIX`) and expands nothing: a rule whose target stands in a variable is not seen.

use std::ops::Range;

/// A rule that names the target that is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    /// The number of its first line, from 1.
    pub(super) line: usize,
    /// All targets of it.
    pub(super) targets: Vec<String>,
    /// What stands behind the colon, without comment and continuations.
    pub(super) prerequisites: String,
    /// The comment of its first line, with its `#`.
    pub(super) comment: Option<String>,
    /// `a: b; command`: the command.
    pub(super) inline: Option<String>,
    /// Its recipe without prefix and line ends.
    pub(super) recipe: Vec<String>,
    /// The bytes of its first (logical) line.
    pub(super) header: Range<usize>,
    /// The bytes of the lines that are its recipe.
    pub(super) body: Range<usize>,
    /// `::`.
    pub(super) double: bool,
    /// A static pattern rule, or a grouped target: `a b: %.o: %.c`, `a b &: c`.
    pub(super) unusual: bool,
    /// It stands in a conditional.
    pub(super) conditional: bool,
    /// A conditional stands in its recipe.
    pub(super) split: bool,
}

/// What was found out about a Makefile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Makefile {
    /// All rules of the target.
    pub(super) rules: Vec<Rule>,
    /// Whether a `.PHONY` line names it.
    pub(super) phony: bool,
    /// The words behind each `include`, with whether it may be missing.
    pub(super) includes: Vec<String>,
    /// What starts a recipe line at the end of the file.
    pub(super) prefix: char,
    /// What was opened and not closed: `define` or a conditional, with its line.
    pub(super) open: Option<(&'static str, usize)>,
}

/// One logical line.
struct Line {
    number: usize,
    bytes: Range<usize>,
    /// Continuations joined by a blank.
    text: String,
}

/// Reads a Makefile for one target.
pub(super) fn read(text: &str, target: &str) -> Makefile {
    let mut found = Makefile { prefix: '\t', ..Makefile::default() };
    let mut conditionals: Vec<usize> = Vec::new();
    let mut defines: Vec<usize> = Vec::new();
    // Whether a recipe line may follow, and whether it belongs to a rule of ours.
    let mut in_rule: Option<bool> = None;
    let mut at = Cursor { text, at: 0, number: 1 };
    while !at.is_end() {
        if let Some(ours) = in_rule
            && defines.is_empty()
            && text[at.at..].starts_with(found.prefix)
        {
            let line = at.recipe_line();
            if let (true, Some(rule)) = (ours, found.rules.last_mut()) {
                rule.take(text, &line, found.prefix, conditionals.len());
            }
            continue;
        }
        let line = at.logical_line();
        let bare = line.text.trim();
        let (word, rest) = bare.split_once([' ', '\t']).unwrap_or((bare, ""));
        if !defines.is_empty() {
            match word {
                "define" => defines.push(line.number),
                "endef" => drop(defines.pop()),
                _ => {}
            }
            continue;
        }
        if bare.is_empty() || bare.starts_with('#') {
            continue;
        }
        match word {
            "define" => defines.push(line.number),
            "override" | "export" if rest.trim_start().starts_with("define") => {
                defines.push(line.number);
            }
            "ifeq" | "ifneq" | "ifdef" | "ifndef" => conditionals.push(line.number),
            "else" => {}
            "endif" => drop(conditionals.pop()),
            "include" | "-include" | "sinclude" => {
                found.includes.push(without_comment(rest).trim().to_owned());
                in_rule = None;
            }
            _ => {
                if let Some(prefix) = recipe_prefix(bare) {
                    found.prefix = prefix;
                    in_rule = None;
                } else if let Some(mut rule) = rule(&line) {
                    let ours = rule.targets.iter().any(|t| t == target);
                    if rule.targets == [".PHONY"] {
                        found.phony |= rule.prerequisites.split_whitespace().any(|t| t == target);
                    }
                    if ours {
                        rule.conditional = !conditionals.is_empty();
                        found.rules.push(rule);
                    }
                    in_rule = Some(ours);
                } else {
                    in_rule = None;
                }
            }
        }
    }
    found.open = defines
        .first()
        .map(|line| ("define", *line))
        .or_else(|| conditionals.first().map(|line| ("conditional", *line)));
    found
}

impl Rule {
    fn take(&mut self, text: &str, line: &Range<usize>, prefix: char, depth: usize) {
        if self.body.is_empty() {
            self.body.start = line.start;
        }
        self.body.end = line.end;
        self.split |= (depth > 0) != self.conditional;
        let lines = text[line.clone()].trim_end_matches(['\n', '\r']).split('\n');
        self.recipe.extend(lines.map(|l| {
            let l = l.strip_suffix('\r').unwrap_or(l);
            l.strip_prefix(prefix).unwrap_or(l).to_owned()
        }));
    }
}

/// `.RECIPEPREFIX = >`.
fn recipe_prefix(line: &str) -> Option<char> {
    let rest = line.strip_prefix(".RECIPEPREFIX")?.trim_start();
    let value = rest.strip_prefix(':').unwrap_or(rest).strip_prefix('=')?;
    Some(value.trim_start().chars().next().unwrap_or('\t'))
}

/// The rule that a line begins; `None` for an assignment and all else.
fn rule(line: &Line) -> Option<Rule> {
    let text = without_comment(&line.text);
    let comment = line.text[text.len()..].trim();
    let colon = colon(text)?;
    let (targets, rest) = text.split_at(colon);
    let double = rest.starts_with("::");
    let rest = rest.trim_start_matches(':');
    // `a:=b`, `a::=b`, `a:::=b`.
    if rest.starts_with('=') {
        return None;
    }
    let (rest, inline) = match rest.split_once(';') {
        Some((rest, command)) => (rest, Some(format!("{}{comment}", command.trim_start()))),
        None => (rest, None),
    };
    // A variable of the target alone: `a: B = c`.
    if inline.is_none() && assigns(rest) {
        return None;
    }
    let grouped = targets.trim_end().ends_with('&');
    let targets = targets.trim_end().trim_end_matches('&');
    Some(Rule {
        line: line.number,
        targets: targets.split_whitespace().map(str::to_owned).collect(),
        prerequisites: rest.split_whitespace().collect::<Vec<_>>().join(" "),
        comment: (inline.is_none() && !comment.is_empty()).then(|| comment.to_owned()),
        inline,
        recipe: Vec::new(),
        header: line.bytes.clone(),
        body: line.bytes.end..line.bytes.end,
        double,
        unusual: grouped || colon_in(rest),
        conditional: false,
        split: false,
    })
}

/// Whether text behind a rule's colon is the assignment of a variable.
fn assigns(rest: &str) -> bool {
    let mut depth = 0_u32;
    for c in rest.chars() {
        match c {
            '(' | '{' => depth += 1,
            ')' | '}' => depth = depth.saturating_sub(1),
            '=' if depth == 0 => return true,
            _ => {}
        }
    }
    false
}

fn colon_in(rest: &str) -> bool {
    colon(rest).is_some()
}

/// The first colon outside of `$(…)` that is not escaped, if no `=` comes before it.
fn colon(text: &str) -> Option<usize> {
    let mut depth = 0_u32;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            '\\' => {
                escaped = !escaped;
                continue;
            }
            '(' | '{' => depth += 1,
            ')' | '}' => depth = depth.saturating_sub(1),
            ':' if depth == 0 && !escaped => return Some(at),
            '=' if depth == 0 => return None,
            _ => {}
        }
        escaped = false;
    }
    None
}

/// A line up to its first `#` that is not escaped.
fn without_comment(text: &str) -> &str {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            '#' if !escaped => return &text[..at],
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text
}

struct Cursor<'t> {
    text: &'t str,
    at: usize,
    number: usize,
}

impl Cursor<'_> {
    fn is_end(&self) -> bool {
        self.at >= self.text.len()
    }

    /// One physical line with its end.
    fn physical(&mut self) -> Range<usize> {
        let start = self.at;
        self.at = self.text[start..].find('\n').map_or(self.text.len(), |end| start + end + 1);
        self.number += 1;
        start..self.at
    }

    fn continues(&self, line: &Range<usize>) -> bool {
        let line = self.text[line.clone()].trim_end_matches(['\n', '\r']);
        let slashes = line.len() - line.trim_end_matches('\\').len();
        slashes % 2 == 1 && !self.is_end()
    }

    /// A recipe line with its continuations.
    fn recipe_line(&mut self) -> Range<usize> {
        let mut bytes = self.physical();
        let mut last = bytes.clone();
        while self.continues(&last) {
            last = self.physical();
            bytes.end = last.end;
        }
        bytes
    }

    /// Any other line with its continuations.
    fn logical_line(&mut self) -> Line {
        let number = self.number;
        let bytes = self.recipe_line();
        let mut pieces = Vec::new();
        let whole = self.text[bytes.clone()].trim_end_matches(['\n', '\r']);
        let count = whole.split('\n').count();
        for (index, piece) in whole.split('\n').enumerate() {
            let piece = piece.strip_suffix('\r').unwrap_or(piece);
            let piece = if index + 1 < count {
                piece.strip_suffix('\\').unwrap_or(piece).trim_end()
            } else {
                piece
            };
            pieces.push(if index == 0 { piece } else { piece.trim_start() });
        }
        Line { number, bytes, text: pieces.join(" ") }
    }
}
