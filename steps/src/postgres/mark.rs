//! Our mark on what we made or changed: a line at the end of its comment.
//!
//! `workplan:RUN:STEP:ATTEMPT WORD JSON`. The comment that somebody else gave stays before it, and
//! is what is left when the mark goes.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// What a line of ours begins with.
const PREFIX: &str = "workplan:";

/// A comment taken apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Comment {
    /// What is not ours.
    pub(super) text: Option<String>,
    marks: Vec<String>,
}

/// One mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    /// `workplan:RUN:STEP:ATTEMPT`.
    pub(super) identity: String,
    /// What it says beyond that, as JSON.
    pub(super) json: String,
}

impl Mark {
    /// What it says.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_str(&self.json).ok()
    }

    /// Whether an attempt of the same step of the same run made it.
    pub(super) fn is_of(&self, identity: &str) -> bool {
        of_step(&self.identity) == of_step(identity)
    }
}

/// An identity without its attempt: `workplan:RUN:STEP:`.
pub(super) fn of_step(identity: &str) -> &str {
    identity.rfind(':').map_or(identity, |at| &identity[..=at])
}

/// The run of an identity.
pub(super) fn run_of(identity: &str) -> &str {
    identity.split(':').nth(1).unwrap_or_default()
}

impl Comment {
    /// Takes a comment apart.
    pub(super) fn parse(text: Option<&str>) -> Self {
        let mut lines: Vec<&str> = text.unwrap_or_default().split('\n').collect();
        let mut marks = Vec::new();
        while lines.last().is_some_and(|line| line.starts_with(PREFIX)) {
            marks.extend(lines.pop().map(str::to_owned));
        }
        marks.reverse();
        let rest = lines.join("\n");
        Self { text: (!rest.is_empty()).then_some(rest), marks }
    }

    /// The mark with this word.
    pub(super) fn mark(&self, word: &str) -> Option<Mark> {
        self.marks.iter().rev().find_map(|line| {
            let mut parts = line.splitn(3, ' ');
            let identity = parts.next()?.to_owned();
            (parts.next()? == word)
                .then(|| Mark { identity, json: parts.next().unwrap_or("null").to_owned() })
        })
    }

    /// With a mark of this word, in place of one that is there.
    #[must_use]
    pub(super) fn with(mut self, identity: &str, word: &str, what: &impl Serialize) -> Self {
        self = self.without(word);
        let json = serde_json::to_string(what).unwrap_or_else(|_| "null".to_owned());
        self.marks.push(format!("{identity} {word} {json}"));
        self
    }

    /// Without the mark of this word.
    #[must_use]
    pub(super) fn without(mut self, word: &str) -> Self {
        self.marks.retain(|line| line.split(' ').nth(1) != Some(word));
        self
    }

    /// As it is written down; `None` where nothing is left.
    pub(super) fn to_text(&self) -> Option<String> {
        let lines: Vec<&str> =
            self.text.as_deref().into_iter().chain(self.marks.iter().map(String::as_str)).collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_else_wrote_stays() {
        for text in
            [None, Some("ours and yours"), Some("two\nlines\n"), Some("workplan: a plan\nx")]
        {
            let marked = Comment::parse(text).with("workplan:r1:T.x:1", "copy", &7).to_text();
            let read = Comment::parse(marked.as_deref());
            let mark = read.mark("copy").unwrap();
            assert_eq!((mark.identity.as_str(), mark.read()), ("workplan:r1:T.x:1", Some(7)));
            assert_eq!(read.without("copy").to_text().as_deref(), text);
        }
    }

    #[test]
    fn marks_of_several_steps_stand_beside_each_other() {
        let both = Comment::parse(Some("hello"))
            .with("workplan:r1:a:1", "database", &())
            .with("workplan:r1:b:1", "fence", &())
            .with("workplan:r1:b:2", "fence", &());
        let read = Comment::parse(both.to_text().as_deref());
        assert_eq!(read, both);
        assert_eq!(read.mark("fence").unwrap().identity, "workplan:r1:b:2");
        assert!(read.mark("fence").unwrap().is_of("workplan:r1:b:7"));
        assert!(!read.mark("database").unwrap().is_of("workplan:r1:b:1"));
        assert_eq!(run_of("workplan:r1:b:1"), "r1");
    }
}
