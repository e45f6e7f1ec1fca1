//! `${{ target.x }}`, `${{ steps.T02.dump.outputs.digest }}`, `${{ inputs.x }}`: names, no code.

/// What a reference names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// A value of the target file.
    Target(Vec<String>),
    /// An input of the plan file.
    Input(String),
    /// An output of a step: the step's name as written (`T02.dump` or `dump`), the output's name.
    Output(String, String),
}

/// A piece of a text that may hold references.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Plain text.
    Text(String),
    /// A reference, with its bytes in the text.
    Reference(Reference, std::ops::Range<usize>),
}

/// A text taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// The pieces in order.
    pub pieces: Vec<Piece>,
}

/// What is wrong with a reference, and where in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadReference {
    /// What is wrong: a sentence without a closing period.
    pub message: String,
    /// Its bytes in the text.
    pub range: std::ops::Range<usize>,
}

impl Template {
    /// Takes a text apart. `$${{` stands for a literal `${{`.
    ///
    /// # Errors
    /// A reference that is not closed or not one of the three forms.
    pub fn parse(text: &str) -> Result<Self, BadReference> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut at = 0;
        while let Some(found) = text[at..].find("${{") {
            let start = at + found;
            if text[..start].ends_with('$') && start > at {
                plain.push_str(&text[at..start - 1]);
                plain.push_str("${{");
                at = start + 3;
                continue;
            }
            plain.push_str(&text[at..start]);
            let Some(close) = text[start..].find("}}") else {
                return Err(BadReference {
                    message: "a reference is not closed with `}}`".to_owned(),
                    range: start..text.len(),
                });
            };
            let end = start + close + 2;
            let inner = text[start + 3..end - 2].trim();
            let reference = Reference::parse(inner)
                .map_err(|message| BadReference { message, range: start..end })?;
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(Piece::Reference(reference, start..end));
            at = end;
        }
        plain.push_str(&text[at..]);
        if !plain.is_empty() || pieces.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Self { pieces })
    }

    /// The reference that is the whole text.
    #[must_use]
    pub fn whole(&self) -> Option<&Reference> {
        match &self.pieces[..] {
            [Piece::Reference(reference, _)] => Some(reference),
            _ => None,
        }
    }

    /// Whether it holds any reference.
    #[must_use]
    pub fn has_references(&self) -> bool {
        self.references().next().is_some()
    }

    /// The references in order.
    pub fn references(&self) -> impl Iterator<Item = (&Reference, &std::ops::Range<usize>)> {
        self.pieces.iter().filter_map(|p| match p {
            Piece::Reference(r, range) => Some((r, range)),
            Piece::Text(_) => None,
        })
    }
}

impl Reference {
    /// Reads what stands between the braces.
    fn parse(inner: &str) -> Result<Self, String> {
        const FORMS: &str =
            "a reference is `target.NAME`, `inputs.NAME` or `steps.STEP.outputs.NAME`";
        let parts: Vec<&str> = inner.split('.').collect();
        let good = |p: &&str| {
            !p.is_empty() && p.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-')
        };
        if !parts.iter().all(good) {
            return Err(format!("`{inner}` cannot be read: {FORMS}; there are no functions"));
        }
        match parts[..] {
            ["target", ref rest @ ..] if !rest.is_empty() => {
                Ok(Self::Target(rest.iter().map(|p| (*p).to_owned()).collect()))
            }
            ["inputs", name] => Ok(Self::Input(name.to_owned())),
            ["steps", step, "outputs", name] => Ok(Self::Output(step.to_owned(), name.to_owned())),
            ["steps", task, step, "outputs", name] => {
                Ok(Self::Output(format!("{task}.{step}"), name.to_owned()))
            }
            _ => Err(format!("`{inner}` names nothing: {FORMS}")),
        }
    }
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Target(path) => write!(f, "target.{}", path.join(".")),
            Self::Input(name) => write!(f, "inputs.{name}"),
            Self::Output(step, name) => write!(f, "steps.{step}.outputs.{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_texts_apart() {
        let t = Template::parse("a ${{ inputs.x }} b").expect("good");
        assert_eq!(t.pieces.len(), 3);
        assert!(t.whole().is_none());
        let t = Template::parse("${{steps.T02.dump.outputs.digest}}").expect("good");
        assert_eq!(t.whole(), Some(&Reference::Output("T02.dump".into(), "digest".into())));
        let t = Template::parse("literal $${{ secrets.X }}").expect("good");
        assert!(!t.has_references());
        assert_eq!(t.pieces, [Piece::Text("literal ${{ secrets.X }}".into())]);
        for bad in ["${{ x", "${{ }}", "${{ env.X }}", "${{ f(x) }}", "${{ inputs.a.b }}"] {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
    }
}
