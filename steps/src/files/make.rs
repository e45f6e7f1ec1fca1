//! `make.target`: one target of a Makefile.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use workplan_engine::kind::{Class, Kind, ParamProblem, ParamSpec, ParamType, Step, With};

use super::edit::file_and_commit;
use super::edit_step::{Edit, EditStep, Verdict};
use super::makefile::{self, Makefile, Rule};

/// How deep includes are followed, and how many files in all.
const INCLUDES: usize = 200;

/// A target of a Makefile with this recipe.
#[derive(Debug, Clone, Copy)]
pub struct MakeTarget;

const PARAMS: &[ParamSpec] = &[
    param(
        "file",
        ParamType::String,
        true,
        "The Makefile; `REPO:path` for one in a repository of the target, else relative to the workplan's folder. A missing one is made.",
    ),
    param("target", ParamType::String, true, "The target's name."),
    param(
        "recipe",
        ParamType::String,
        true,
        "Its recipe, a line each; the tabs are put before them.",
    ),
    param(
        "help",
        ParamType::String,
        false,
        "What stands behind `##` on the target's line, for a `make help`. Without it, what is there stays.",
    ),
    param(
        "prerequisites",
        ParamType::Strings,
        false,
        "What the target needs first. Without it, what is there stays.",
    ),
    param("phony", ParamType::Bool, false, "Makes a `.PHONY` line name the target."),
    param(
        "commit",
        ParamType::String,
        false,
        "Commits the Makefile, and nothing else, with this message; `undo` makes an inverse commit.",
    ),
];

const fn param(name: &'static str, ty: ParamType, required: bool, doc: &'static str) -> ParamSpec {
    ParamSpec { name, ty, required, doc }
}

impl Kind for MakeTarget {
    fn name(&self) -> &'static str {
        "make.target"
    }

    fn class(&self) -> Class {
        Class::State
    }

    fn about(&self) -> &'static str {
        "Makes a Makefile have a target with this recipe; every other byte of it stays. A target of \
         this name with another recipe is replaced. One that is defined twice, in a conditional or \
         in an included file is left to a person. `undo` restores the bytes that were there before."
    }

    fn params(&self) -> &'static [ParamSpec] {
        PARAMS
    }

    fn build(&self, with: &With) -> Result<Box<dyn Step>, Vec<ParamProblem>> {
        let mut problems = file_and_commit(with);
        let target = with.str("target").unwrap_or_default();
        let special = |c: char| c.is_whitespace() || c.is_control() || ":#=$%;&|\\*?[~".contains(c);
        if target.is_empty() || target.starts_with('.') || target.contains(special) {
            problems.push(
                ParamProblem::new("target", format!("`{target}` is no name for a target of make"))
                    .with_help("letters, digits, `-`, `_`, `/` and `.` inside of it"),
            );
        }
        let recipe = lines(with.str("recipe").unwrap_or_default());
        if recipe.is_empty() {
            problems.push(ParamProblem::new("recipe", "`recipe` is empty"));
        }
        if recipe.last().is_some_and(|line| line.ends_with('\\')) {
            problems.push(ParamProblem::new(
                "recipe",
                "the last line of `recipe` ends with `\\`: it would take in the line behind it",
            ));
        }
        let help = with.str("help").map(str::trim);
        if help.is_some_and(|help| help.is_empty() || help.contains(['\n', '\\'])) {
            problems.push(ParamProblem::new("help", "`help` is one line of text without `\\`"));
        }
        let prerequisites = with.has("prerequisites").then(|| with.strings("prerequisites"));
        for name in prerequisites.iter().flatten() {
            if name.is_empty() || name.contains(|c: char| c.is_whitespace() || ":#=;\\".contains(c))
            {
                problems.push(ParamProblem::new(
                    "prerequisites",
                    format!("`{name}` is no name for a prerequisite"),
                ));
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let edit = Target {
            name: target.to_owned(),
            recipe,
            help: help.map(str::to_owned),
            prerequisites: prerequisites.map(|p| p.join(" ")),
            phony: with.bool("phony"),
        };
        Ok(Box::new(EditStep {
            file: with.str("file").unwrap_or_default().to_owned(),
            commit: with.str("commit").map(str::to_owned),
            edit,
        }))
    }
}

/// A recipe's lines, without blank ones around them and without a tab that all of them begin with.
fn lines(recipe: &str) -> Vec<String> {
    let lines: Vec<&str> = recipe.lines().map(str::trim_end).collect();
    let first = lines.iter().position(|l| !l.is_empty()).unwrap_or(lines.len());
    let last = lines.iter().rposition(|l| !l.is_empty()).map_or(first, |at| at + 1);
    let lines = &lines[first..last];
    let tabs = lines.iter().all(|l| l.is_empty() || l.starts_with('\t'));
    lines
        .iter()
        .map(|l| if tabs { l.strip_prefix('\t').unwrap_or(l) } else { l }.to_owned())
        .collect()
}

/// What is wanted of a target.
#[derive(Debug)]
struct Target {
    name: String,
    recipe: Vec<String>,
    help: Option<String>,
    prerequisites: Option<String>,
    phony: bool,
}

impl Edit for Target {
    fn of(&self, real: &Path, now: Option<&[u8]>) -> Result<Verdict, String> {
        let file = real.display();
        let text = std::str::from_utf8(now.unwrap_or_default())
            .map_err(|_| format!("`{file}` is not UTF-8 text"))?;
        let found = makefile::read(text, &self.name);
        let name = &self.name;
        if let Some((what, line)) = found.open {
            return Err(format!("`{file}` has a {what} that is not closed, at line {line}"));
        }
        if let Some(include) = self.included(real, &found) {
            return Err(format!(
                "the target `{name}` is defined in `{}`, which `{file}` includes; change it there, \
                 or take it away first",
                include.display()
            ));
        }
        match found.rules.as_slice() {
            [] => Ok(Verdict::Becomes(self.append(text, &found).into_bytes())),
            [rule] => {
                let why = if rule.double {
                    "is a double-colon rule"
                } else if rule.targets.len() > 1 || rule.unusual {
                    "shares its rule with other targets"
                } else if rule.conditional {
                    "stands in a conditional"
                } else if rule.split {
                    "has a conditional in its recipe"
                } else if rule.inline.is_some() && !rule.recipe.is_empty() {
                    "has its recipe on two places"
                } else {
                    let new = self.replace(text, rule, &found);
                    return Ok(match new {
                        Some(new) => Verdict::Becomes(new.into_bytes()),
                        None => Verdict::Done,
                    });
                };
                Err(format!(
                    "the target `{name}` of `{file}` (line {}) {why}; change it by hand",
                    rule.line
                ))
            }
            rules => {
                let at: Vec<String> = rules.iter().map(|r| r.line.to_string()).collect();
                Err(format!(
                    "the target `{name}` is defined {} times in `{file}`, at lines {}; leave one",
                    rules.len(),
                    at.join(" and ")
                ))
            }
        }
    }
}

impl Target {
    /// The target's line, without its end.
    fn header(&self, prerequisites: &str, comment: Option<&str>) -> String {
        let mut header = format!("{}:", self.name);
        if !prerequisites.is_empty() {
            header = format!("{header} {prerequisites}");
        }
        if let Some(comment) = comment {
            header = format!("{header} {comment}");
        }
        header
    }

    fn recipe(&self, prefix: char, end: &str) -> String {
        let line = |line: &String| match line.as_str() {
            "" => end.to_owned(),
            line => format!("{prefix}{line}{end}"),
        };
        self.recipe.iter().map(line).collect()
    }

    fn comment(&self) -> Option<String> {
        self.help.as_ref().map(|help| format!("## {help}"))
    }

    fn append(&self, text: &str, found: &Makefile) -> String {
        let end = line_end(text);
        let mut new = text.to_owned();
        if !new.is_empty() {
            if !new.ends_with('\n') {
                new.push_str(end);
            }
            // A last line that ends with a backslash takes in one line more.
            let last = new.trim_end_matches(['\n', '\r']);
            let blank = new[last.len()..].matches('\n').count() > 1;
            if last.ends_with('\\') || !blank {
                new.push_str(end);
            }
        }
        if self.phony && !found.phony {
            new = format!("{new}.PHONY: {}{end}", self.name);
        }
        let prerequisites = self.prerequisites.as_deref().unwrap_or_default();
        let header = self.header(prerequisites, self.comment().as_deref());
        format!("{new}{header}{end}{}", self.recipe(found.prefix, end))
    }

    /// The text with this rule as it shall be; `None` where it is so.
    fn replace(&self, text: &str, rule: &Rule, found: &Makefile) -> Option<String> {
        let end = line_end(text);
        let comment = self.comment();
        let wanted_prerequisites = self.prerequisites.as_deref().unwrap_or(&rule.prerequisites);
        let wanted_comment = comment.as_deref().or(rule.comment.as_deref());
        let same_header = rule.inline.is_none()
            && wanted_prerequisites == rule.prerequisites
            && wanted_comment.map(words) == rule.comment.as_deref().map(words);
        let is: Vec<&str> = rule.recipe.iter().map(|l| l.trim_end()).collect();
        let same_recipe = is == self.recipe;
        let add_phony = self.phony && !found.phony;
        if same_header && same_recipe && !add_phony {
            return None;
        }
        let mut new = text[..rule.header.start].to_owned();
        if add_phony {
            new = format!("{new}.PHONY: {}{end}", self.name);
        }
        if same_header {
            new.push_str(&text[rule.header.clone()]);
            if !new.ends_with('\n') {
                new.push_str(end);
            }
        } else {
            new.push_str(&self.header(wanted_prerequisites, wanted_comment));
            new.push_str(end);
        }
        // What stands between the header and the recipe are comments and blanks.
        new.push_str(&text[rule.header.end..rule.body.start]);
        if same_recipe {
            new.push_str(&text[rule.body.clone()]);
        } else {
            new.push_str(&self.recipe(found.prefix, end));
        }
        new.push_str(&text[rule.body.end..]);
        Some(new)
    }

    /// The included file that has the target. Names with variables in them, and files that are not
    /// there, are passed over: make would pass over the latter too, or stop.
    fn included(&self, real: &Path, found: &Makefile) -> Option<PathBuf> {
        // Make looks from where it was started, which is the Makefile's folder.
        let folder = real.parent().unwrap_or(Path::new("/"));
        let mut seen: BTreeSet<PathBuf> = [real.to_path_buf()].into();
        let mut open: Vec<String> = found.includes.clone();
        while let Some(words) = open.pop() {
            for path in words.split_whitespace().flat_map(|word| matching(folder, word)) {
                if seen.len() > INCLUDES || !seen.insert(path.clone()) {
                    continue;
                }
                let Ok(text) = fs::read_to_string(&path) else { continue };
                let inner = makefile::read(&text, &self.name);
                if !inner.rules.is_empty() {
                    return Some(path);
                }
                open.extend(inner.includes);
            }
        }
        None
    }
}

/// The files that a word of an `include` names; `*` in its last part is known.
fn matching(folder: &Path, word: &str) -> Vec<PathBuf> {
    let path = folder.join(word);
    if word.contains('$') {
        return Vec::new();
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let Some((before, after)) = name.split_once('*') else { return vec![path] };
    let Some(entries) = path.parent().and_then(|p| fs::read_dir(p).ok()) else { return Vec::new() };
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let fits = name.len() >= before.len() + after.len()
                && name.starts_with(before)
                && name.ends_with(after);
            fits.then(|| entry.path())
        })
        .collect();
    found.sort();
    found
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What ends the lines of a text.
fn line_end(text: &str) -> &'static str {
    match text.find('\n') {
        Some(at) if text[..at].ends_with('\r') => "\r\n",
        _ => "\n",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(recipe: &str) -> Target {
        Target {
            name: "deploy".to_owned(),
            recipe: lines(recipe),
            help: Some("Deploy it".to_owned()),
            prerequisites: None,
            phony: false,
        }
    }

    fn of(target: &Target, text: &str) -> Result<String, String> {
        target.of(Path::new("/nowhere/Makefile"), Some(text.as_bytes())).map(
            |verdict| match verdict {
                Verdict::Done => "done".to_owned(),
                Verdict::Becomes(bytes) => String::from_utf8(bytes).unwrap(),
            },
        )
    }

    /// What it becomes is done, and stays so.
    fn becomes(target: &Target, text: &str, wanted: &str) {
        assert_eq!(of(target, text).as_deref(), Ok(wanted));
        assert_eq!(of(target, wanted).as_deref(), Ok("done"), "{wanted}");
    }

    #[test]
    fn a_new_target_comes_last_and_all_else_stays() {
        let new = target("helm upgrade x \\\n  -f values.yaml\necho done");
        let rule = "deploy: ## Deploy it\n\thelm upgrade x \\\n\t  -f values.yaml\n\techo done\n";
        for (text, between) in [
            ("", ""),
            ("all: x\n\tmake x\n", "\n"),
            ("all: x\n\tmake x", "\n\n"),
            ("all: x\n\tmake x\n\n", ""),
            ("A = b\\\n", "\n"),
            ("# deploy: no\nA := deploy: x\ndefine deploy\ndeploy: x\nendef\n", "\n"),
            ("deploys:\n\tx\n%: y\n\tz\n.PHONY: deploys deploy\n", "\n"),
        ] {
            becomes(&new, text, &format!("{text}{between}{rule}"));
        }
        let crlf = rule.replace('\n', "\r\n");
        becomes(&new, "all:\r\n\tx\r\n", &format!("all:\r\n\tx\r\n\r\n{crlf}"));
    }

    #[test]
    fn a_recipe_is_replaced_in_its_place() {
        let new = target("b");
        for (text, wanted) in [
            (
                "x:\n\ta\n\ndeploy: x y | z ## Deploy it\n\ta\n\t# c\n\n\ta2\n\n# next\ny:\n\tq\n",
                "x:\n\ta\n\ndeploy: x y | z ## Deploy it\n\tb\n\n# next\ny:\n\tq\n",
            ),
            ("deploy: x # old\n\ta \\\nb\ny:\n", "deploy: x ## Deploy it\n\tb\ny:\n"),
            ("deploy: x ; a\ny:\n", "deploy: x ## Deploy it\n\tb\ny:\n"),
            ("deploy:\ny:\n\tq\n", "deploy: ## Deploy it\n\tb\ny:\n\tq\n"),
            ("deploy: x \\\n  y\r\n\ta", "deploy: x y ## Deploy it\n\tb\n"),
            (".RECIPEPREFIX = >\ndeploy:\n>a\n", ".RECIPEPREFIX = >\ndeploy: ## Deploy it\n>b\n"),
            ("deploy: A = 1\ndeploy:\n\ta\n", "deploy: A = 1\ndeploy: ## Deploy it\n\tb\n"),
            ("$(X:a=b): c\n\td\ndeploy:\n\ta\n", "$(X:a=b): c\n\td\ndeploy: ## Deploy it\n\tb\n"),
        ] {
            becomes(&new, text, wanted);
        }
    }

    #[test]
    fn a_header_that_is_right_keeps_its_bytes() {
        becomes(
            &target("b"),
            "deploy:   x  \\\n y ##  Deploy it\n\ta\n",
            "deploy:   x  \\\n y ##  Deploy it\n\tb\n",
        );
    }

    #[test]
    fn phony_and_prerequisites_are_made_so_where_they_are_given() {
        let mut new = target("b");
        new.phony = true;
        new.prerequisites = Some("x".to_owned());
        becomes(&new, "", ".PHONY: deploy\ndeploy: x ## Deploy it\n\tb\n");
        becomes(
            &new,
            ".PHONY: a deploy\ndeploy:\n\tb\n",
            ".PHONY: a deploy\ndeploy: x ## Deploy it\n\tb\n",
        );
        becomes(
            &new,
            "deploy: ## Deploy it\n\tb\n",
            ".PHONY: deploy\ndeploy: x ## Deploy it\n\tb\n",
        );
    }

    #[test]
    fn what_cannot_be_told_apart_is_left_to_a_person() {
        for (text, why) in [
            ("deploy:\n\ta\ndeploy:\n\tb\n", "defined 2 times"),
            ("deploy::\n\ta\n", "double-colon"),
            ("deploy other:\n\ta\n", "shares its rule"),
            ("deploy: %.o: %.c\n\ta\n", "shares its rule"),
            ("ifdef X\ndeploy:\n\ta\nendif\n", "stands in a conditional"),
            ("deploy:\n\ta\nifdef X\n\tb\nendif\n", "conditional in its recipe"),
            ("ifdef X\n", "not closed, at line 1"),
            ("define X\ndeploy:\n", "not closed, at line 1"),
        ] {
            let said = of(&target("b"), text).unwrap_err();
            assert!(said.contains(why), "{text}: {said}");
        }
    }

    #[test]
    fn included_files_are_looked_into() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("Makefile");
        fs::write(folder.path().join("a.mk"), "include more/*.mk\n").unwrap();
        fs::create_dir(folder.path().join("more")).unwrap();
        fs::write(folder.path().join("more/b.mk"), "deploy:\n\tx\n").unwrap();
        let said = target("b").of(&file, Some(b"-include none.mk $(X)\ninclude a.mk # it\n"));
        assert!(said.unwrap_err().contains("more/b.mk`, which"));
    }
}
