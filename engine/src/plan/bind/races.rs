//! Who reads and changes what, in which order.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use super::binder::Binder;
use crate::kind::Resources;
use crate::plan::model::StepIx;
use crate::plan::order::Order;
use crate::text::Diagnostic;

/// Who touches one resource, each list in the order of the plan.
#[derive(Default)]
pub(super) struct Users {
    pub(super) writers: Vec<StepIx>,
    readers: Vec<StepIx>,
}

/// The steps before one that last change what it touches.
#[derive(Default, Clone)]
pub(super) struct Earlier {
    /// They change what it reads.
    pub(super) sources: Vec<StepIx>,
    /// They change what it changes as well.
    pub(super) overwrites: Vec<StepIx>,
}

/// Who touches which resource, by its one name, in the plan's order.
pub(super) type Touched = BTreeMap<String, Users>;

impl Binder<'_> {
    /// Who touches what.
    pub(super) fn touched(&self, resources: &[Resources], order: &[StepIx]) -> Touched {
        let base = self.base();
        let mut touched = Touched::new();
        for ix in order {
            for name in &resources[*ix].writes {
                let users = touched.entry(canonical(name, base)).or_default();
                if users.writers.last() != Some(ix) {
                    users.writers.push(*ix);
                }
            }
            for name in &resources[*ix].reads {
                let users = touched.entry(canonical(name, base)).or_default();
                if users.writers.last() != Some(ix) && users.readers.last() != Some(ix) {
                    users.readers.push(*ix);
                }
            }
        }
        touched
    }

    /// The folder that `file/REL` is taken from.
    pub(super) fn base(&self) -> &Path {
        self.sources.path.parent().unwrap_or(Path::new("/"))
    }

    /// Looks for steps that touch one resource in no order.
    pub(super) fn races(&mut self, touched: &Touched, before: &mut Order<'_>) {
        for (name, users) in touched {
            // Each after the one before it: then each is after all before it.
            for pair in users.writers.windows(2) {
                if !before.comes_after(pair[1], pair[0]) {
                    self.unordered_writers(name, pair[0], pair[1]);
                }
            }
            self.readers(name, users, before);
        }
    }

    fn unordered_writers(&mut self, name: &str, first: StepIx, second: StepIx) {
        let (a, b) = (&self.placed[first], &self.placed[second]);
        self.found.push(
            Diagnostic::error(
                "unordered-writers",
                &b.raw.file,
                b.raw.id.span,
                format!("`{}` and `{}` both change `{name}`, in no order", a.id, b.id),
            )
            .with_label_in(&a.raw.file, a.raw.id.span, "the other one")
            .with_help(format!("say which comes first, for example `needs: [{}]`", a.id)),
        );
    }

    fn readers(&mut self, name: &str, users: &Users, before: &mut Order<'_>) {
        for reader in &users.readers {
            let next = users.writers.partition_point(|w| before.place(*w) < before.place(*reader));
            let earlier = next.checked_sub(1).map(|at| users.writers[at]);
            let later = users.writers.get(next).copied();
            let loose = earlier
                .filter(|w| !before.comes_after(*reader, *w))
                .or_else(|| later.filter(|w| !before.comes_after(*w, *reader)));
            let Some(writer) = loose else { continue };
            let (r, w) = (&self.placed[*reader], &self.placed[writer]);
            self.found.push(
                Diagnostic::warning(
                    "unordered-reader",
                    &r.raw.file,
                    r.raw.id.span,
                    format!("`{}` reads `{name}`, which `{}` changes, in no order", r.id, w.id),
                )
                .with_label_in(&w.raw.file, w.raw.id.span, "changes it")
                .with_help(format!("say which comes first, for example `needs: [{}]`", w.id)),
            );
        }
    }

    /// Steps that make no claim: whether they get in each other's way is not known.
    pub(super) fn silent(
        &mut self,
        resources: &[Resources],
        order: &[StepIx],
        before: &mut Order<'_>,
    ) {
        let silent: Vec<StepIx> =
            order.iter().copied().filter(|ix| !resources[*ix].claimed).collect();
        if silent.windows(2).all(|pair| before.comes_after(pair[1], pair[0])) {
            return;
        }
        let first = silent.iter().min().map(|ix| &self.placed[*ix].raw);
        let Some(first) = first else { return };
        self.found.push(
            Diagnostic::note(
                "no-claims",
                &first.file,
                first.id.span,
                format!(
                    "{} steps declare no `reads` or `writes` and are not all ordered; whether two of them get in each other's way cannot be ruled out",
                    silent.len()
                ),
            )
            .with_help("with `--jobs 1`, the default, they run one after the other"),
        );
    }
}

/// For each of `count` steps, the steps before it that last change what it touches.
pub(super) fn earlier(touched: &Touched, count: usize, before: &mut Order<'_>) -> Vec<Earlier> {
    let mut earlier = vec![Earlier::default(); count];
    for users in touched.values() {
        for reader in &users.readers {
            let source = users.writers.iter().rfind(|w| before.comes_after(*reader, **w));
            earlier[*reader].sources.extend(source);
        }
        for pair in users.writers.windows(2) {
            earlier[pair[1]].overwrites.push(pair[0]);
        }
    }
    earlier
}

/// One name for one resource: `file/REL` is taken from the workplan's folder, and `.`, `..` and
/// doubled slashes are resolved by their letters alone. Links are not followed: the check must
/// give the same answer on another machine.
pub(super) fn canonical(name: &str, base: &Path) -> String {
    let Some(path) = name.strip_prefix("file/") else { return name.to_owned() };
    let mut out = PathBuf::new();
    for part in base.join(path).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            part => out.push(part),
        }
    }
    format!("file/{}", out.display())
}

#[cfg(test)]
mod tests {
    use super::canonical;
    use std::path::Path;

    #[test]
    fn one_file_has_one_name() {
        let check = |name: &str, expected: &str| {
            assert_eq!(canonical(name, Path::new("/srv/plans")), expected, "{name}");
        };
        check("file/a", "file//srv/plans/a");
        check("file/./x/../a", "file//srv/plans/a");
        check("file//srv/plans//a", "file//srv/plans/a");
        check("file/../../../../etc/a", "file//etc/a");
        check("file/a/", "file//srv/plans/a");
        check("release/platform/../x", "release/platform/../x");
        check("files/a", "files/a");
    }
}
