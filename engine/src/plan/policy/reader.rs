//! Policy files as typed rules.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::text::{Diagnostic, Diagnostics, SourceFile, Span, did_you_mean};
use crate::yaml::{self, Map, Node, Value};

/// A policy file.
#[derive(Debug, Clone)]
pub struct Policy {
    /// What people call it: `D3`.
    pub name: String,
    /// Its rules.
    pub rules: Vec<Rule>,
}

/// One rule.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Its name in the policy.
    pub id: String,
    /// Where it stands.
    pub file: Arc<SourceFile>,
    /// Where it stands.
    pub span: Span,
    /// The steps that it is about.
    pub when: Pattern,
    /// What it demands.
    pub effect: Effect,
    /// Why, in the team's words.
    pub message: String,
}

/// Which steps are meant: all that is given must fit.
#[derive(Debug, Clone, Default)]
pub struct Pattern {
    /// Kinds, one of which it is.
    pub uses: Vec<String>,
    /// Parameters with the values of which each has one.
    pub with: BTreeMap<String, Vec<String>>,
}

/// What a rule demands.
#[derive(Debug, Clone)]
pub enum Effect {
    /// The workplan is finished only after such a step passed on the target of record.
    FinishedNeeds {
        /// The proof.
        proof: Pattern,
        /// Parameters that it has in common with the step that the rule is about.
        same: Vec<String>,
    },
    /// Such a step is only allowed in workplans with these values in their front matter.
    OnlyIn(BTreeMap<String, Vec<String>>),
}

const POLICY_KEYS: &[&str] = &["policy", "title", "rules"];
const RULE_KEYS: &[&str] = &["id", "when", "finished_needs", "only_in", "message"];

/// Reads a policy file.
#[must_use]
pub fn read(file: &Arc<SourceFile>) -> (Option<Policy>, Diagnostics) {
    let (node, found) = yaml::parse_file(file);
    let mut reader = Reader { file, found };
    let policy = node.and_then(|node| reader.policy(&node));
    (policy, reader.found)
}

struct Reader<'a> {
    file: &'a Arc<SourceFile>,
    found: Diagnostics,
}

impl Reader<'_> {
    fn wrong(&mut self, span: Span, message: impl Into<String>, help: &str) {
        self.found.push(Diagnostic::error("wrong-type", self.file, span, message).with_help(help));
    }

    fn missing(&mut self, span: Span, what: &str, key: &str, help: &str) {
        let message = format!("{what} has no `{key}`");
        let start = Span::new(span.start, span.start);
        self.found.push(
            Diagnostic::error("missing-key", self.file, start, message).with_help(help.to_owned()),
        );
    }

    fn keys(&mut self, map: &Map, known: &[&str], what: &str) {
        for entry in map.entries.iter().filter(|e| !known.contains(&e.key.as_str())) {
            let help = did_you_mean(&entry.key, known.iter().copied())
                .unwrap_or_else(|| format!("its keys are {}", known.join(", ")));
            let message = format!("{what} has no key `{}`", entry.key);
            self.found.push(
                Diagnostic::error("unknown-key", self.file, entry.key_span, message)
                    .with_help(help),
            );
        }
    }

    fn policy(&mut self, node: &Node) -> Option<Policy> {
        let Some(map) = node.as_map() else {
            self.wrong(node.span, "a policy file is a mapping", "it says `policy` and `rules`");
            return None;
        };
        self.keys(map, POLICY_KEYS, "a policy");
        let name = self.text(map, "policy", node.span, "a policy", "give it a short name: `D3`");
        let rules = match map.get("rules").map(|n| (n, n.as_seq())) {
            Some((_, Some(items))) => items.iter().filter_map(|n| self.rule(n)).collect(),
            Some((n, None)) => {
                self.wrong(n.span, "`rules` is a list", "begin each rule with `- id: …`");
                Vec::new()
            }
            None => {
                self.missing(node.span, "a policy", "rules", "say what it demands");
                Vec::new()
            }
        };
        Some(Policy { name: name?, rules })
    }

    fn text(&mut self, map: &Map, key: &str, span: Span, what: &str, help: &str) -> Option<String> {
        match map.get(key).map(|n| (n, n.as_str())) {
            Some((_, Some(text))) if !text.is_empty() => Some(text.to_owned()),
            Some((n, _)) => {
                self.wrong(n.span, format!("`{key}` is text"), help);
                None
            }
            None => {
                self.missing(span, what, key, help);
                None
            }
        }
    }

    fn rule(&mut self, node: &Node) -> Option<Rule> {
        let Some(map) = node.as_map() else {
            self.wrong(node.span, "a rule is a mapping", "it says `id`, `when` and a demand");
            return None;
        };
        self.keys(map, RULE_KEYS, "a rule");
        let id = self.text(map, "id", node.span, "the rule", "give it a short name");
        let message = self.text(map, "message", node.span, "the rule", "say why it is there");
        let when = match map.get("when") {
            Some(n) => self.pattern(n, &["uses", "with"]),
            None => {
                self.missing(node.span, "the rule", "when", "for example `{uses: release.deploy}`");
                None
            }
        };
        let effect = match (map.get("finished_needs"), map.get("only_in")) {
            (Some(n), None) => {
                let same = n.as_map().and_then(|m| m.get("same")).cloned();
                let same = same.map(|n| self.words(&n)).unwrap_or_default();
                self.pattern(n, &["uses", "with", "same"])
                    .map(|proof| Effect::FinishedNeeds { proof, same })
            }
            (None, Some(n)) => self.table(n, "`only_in`").map(Effect::OnlyIn),
            _ => {
                self.missing(
                    node.span,
                    "the rule",
                    "finished_needs` or `only_in",
                    "a rule makes one demand",
                );
                None
            }
        };
        Some(Rule {
            id: id?,
            file: Arc::clone(self.file),
            span: node.span,
            when: when?,
            effect: effect?,
            message: message?,
        })
    }

    fn pattern(&mut self, node: &Node, keys: &[&str]) -> Option<Pattern> {
        let Some(map) = node.as_map() else {
            self.wrong(node.span, "a pattern is a mapping", "for example `{uses: ha.failover}`");
            return None;
        };
        self.keys(map, keys, "a pattern");
        let uses = match map.get("uses") {
            Some(n) => self.words(n),
            None => {
                self.missing(node.span, "a pattern", "uses", "name a kind of step");
                return None;
            }
        };
        let with = match map.get("with") {
            Some(n) => self.table(n, "`with`")?,
            None => BTreeMap::new(),
        };
        Some(Pattern { uses, with })
    }

    fn table(&mut self, node: &Node, what: &str) -> Option<BTreeMap<String, Vec<String>>> {
        let Some(map) = node.as_map() else {
            self.wrong(node.span, format!("{what} is a mapping"), "names, each with its values");
            return None;
        };
        Some(map.entries.iter().map(|e| (e.key.clone(), self.words(&e.value))).collect())
    }

    /// One word or several.
    fn words(&mut self, node: &Node) -> Vec<String> {
        let items: Vec<&Node> = match &node.value {
            Value::Seq(items) => items.iter().collect(),
            _ => vec![node],
        };
        let words: Vec<String> =
            items.iter().filter_map(|n| n.as_str()).map(str::to_owned).collect();
        if words.len() != items.len() || words.is_empty() {
            self.wrong(node.span, "this is a text or a list of texts", "for example `[one, two]`");
        }
        words
    }
}
