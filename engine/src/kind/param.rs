//! Parameters as data: one description gives parsing, "did you mean", JSON Schema and reference.

use crate::duration;

/// One parameter of a kind.
#[derive(Debug, Clone, Copy)]
pub struct ParamSpec {
    /// The key under `with`.
    pub name: &'static str,
    /// What it holds.
    pub ty: ParamType,
    /// Whether it must be there.
    pub required: bool,
    /// What it says, for the reference: a sentence.
    pub doc: &'static str,
}

/// What a parameter holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParamType {
    /// Text.
    String,
    /// Text that runs as a program: references are refused in it (they come as environment).
    Script,
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Int,
    /// `500ms`, `60s`, `5m`, `1h30m`.
    Duration,
    /// A list of texts; a single text stands for a list of one.
    Strings,
    /// Names and texts.
    Map,
    /// Names and secret references.
    Secrets,
    /// A secret reference.
    Secret,
    /// File permissions as octal digits, for example `0644`.
    Mode,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A list of names, or names with their types (`string`, `int`, `bool`).
    Outputs,
    /// A text, a list or a mapping, of any depth; the kind says what it reads in it.
    Value,
}

impl ParamType {
    /// What to call it in a message.
    #[must_use]
    pub fn expected(self) -> String {
        match self {
            Self::String | Self::Script => "text".to_owned(),
            Self::Bool => "`true` or `false`".to_owned(),
            Self::Int => "a whole number".to_owned(),
            Self::Duration => format!("a duration ({})", duration::EXAMPLES),
            Self::Strings => "a list of texts".to_owned(),
            Self::Map => "names with texts".to_owned(),
            Self::Secrets => "names with secret references".to_owned(),
            Self::Secret => "a secret reference (`env:NAME`, `file:PATH`, …)".to_owned(),
            Self::Mode => "permissions as octal digits (`0644`)".to_owned(),
            Self::OneOf(words) => {
                format!(
                    "one of {}",
                    words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", ")
                )
            }
            Self::Outputs => "a list of names, or names with types".to_owned(),
            Self::Value => "a value".to_owned(),
        }
    }
}

/// The type of an output, for checking references before anything runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputType {
    /// Text.
    String,
    /// A whole number.
    Int,
    /// True or false.
    Bool,
    /// A number that need not be whole.
    Number,
    /// A list; it can be shown and kept, and no parameter takes it.
    List,
}

/// What is wrong with a parameter beyond its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParamProblem {
    /// The key; empty for the whole of `with`.
    pub key: String,
    /// What is wrong: a sentence without a closing period.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

impl ParamProblem {
    /// A problem of one key.
    #[must_use]
    pub fn new(key: &str, message: impl Into<String>) -> Self {
        Self { key: key.to_owned(), message: message.into(), help: None }
    }

    /// Says what to do.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}
