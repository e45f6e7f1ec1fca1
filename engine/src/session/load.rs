//! Finds and reads the sources of a plan.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::evidence_file;
use super::world::World;
use crate::document::{self, Document, WorkplanStatus};
use crate::plan::{self, Plan, Sources, Target};
use crate::text::{Diagnostic, Diagnostics, Severity, SourceFile, Span, did_you_mean};

/// Which sources are meant.
#[derive(Debug, Clone, Default)]
pub struct SourceOptions {
    /// The workplan.
    pub workplan: PathBuf,
    /// A plan file, instead of `plans/ID.yaml`.
    pub steps: Option<PathBuf>,
    /// A target's name or file.
    pub target: Option<String>,
    /// Overrides, as given with `--set`.
    pub set: Vec<(String, String)>,
    /// Identity of the target that is used where none is given: the state folder.
    pub implicit_identity: String,
    /// What tells this machine from others.
    pub machine: String,
}

/// Sources as read, with everything that was found.
pub struct Loaded {
    /// The document, where the file could be read.
    pub document: Option<Document>,
    /// The plan, where there are no errors.
    pub plan: Option<Plan>,
    /// All findings.
    pub diagnostics: Diagnostics,
    /// Lines of the workplan's own list that nothing checks.
    pub unbound_preconditions: Vec<String>,
    /// The plan file that was used.
    pub plan_file: Option<PathBuf>,
}

/// Reads everything.
#[must_use]
pub fn load(world: &World, options: &SourceOptions) -> Loaded {
    let mut loaded = Loaded {
        document: None,
        plan: None,
        diagnostics: Diagnostics::default(),
        unbound_preconditions: Vec::new(),
        plan_file: None,
    };
    let file = match SourceFile::load(&options.workplan) {
        Ok(file) => file,
        Err(problem) => {
            loaded.diagnostics.push(problem);
            return loaded;
        }
    };
    let (document, found) = document::parse(&file);
    let document_broken = found.has_errors();
    loaded.diagnostics.extend(found);
    let path =
        std::fs::canonicalize(&options.workplan).unwrap_or_else(|_| options.workplan.clone());
    let folder = path.parent().unwrap_or(Path::new(".")).to_path_buf();
    let plan_file = plan_file(options, &document, &folder, &mut loaded.diagnostics);
    let target = target(options, &folder, &mut loaded.diagnostics);
    loaded.plan_file = plan_file.as_ref().map(|f| f.path.clone());
    if let Some(target) = &target {
        let (inputs, unused) = inputs(options, plan_file.as_ref());
        let mut target = target.clone();
        for (key, value) in &unused {
            target.set(key, value);
        }
        let binding = plan::bind(&Sources {
            document: &document,
            plan_file: plan_file.as_ref(),
            target: &target,
            inputs: &inputs,
            registry: &world.registry,
            path,
        });
        let mut binding = binding;
        if let Some(plan) = &mut binding.plan {
            hold(plan, &document, plan_file.as_ref(), &folder, &mut loaded.diagnostics);
        }
        loaded.diagnostics.extend(binding.diagnostics);
        loaded.unbound_preconditions = binding.unbound_preconditions;
        loaded.plan = binding.plan.filter(|_| !document_broken);
    }
    if loaded.diagnostics.has_errors() {
        loaded.plan = None;
    }
    loaded.diagnostics.sort();
    loaded.document = Some(document);
    loaded
}

/// Holds a plan to the policies that its plan file opts in to.
fn hold(
    plan: &mut Plan,
    document: &Document,
    plan_file: Option<&Arc<SourceFile>>,
    folder: &Path,
    found: &mut Diagnostics,
) {
    let Some(file) = plan_file else { return };
    let policies = policies(file, folder, found);
    let front = document
        .front
        .iter()
        .flat_map(|f| &f.map.entries)
        .filter_map(|e| Some((e.key.clone(), e.value.as_str()?.to_owned())))
        .collect();
    let judged = plan::policy::judge(plan, &policies, &front);
    found.extend(judged.diagnostics);
    plan.demands = judged.demands;
    let finished =
        matches!(document.status, Some(WorkplanStatus::Finished | WorkplanStatus::Completed));
    if !finished || plan.demands.is_empty() {
        return;
    }
    let passed = evidence_file::accepted(plan);
    for demand in &plan.demands {
        let proven = |id: &String| {
            let step = plan.steps.iter().find(|s| s.id == *id);
            step.is_some_and(|s| passed.contains_key(&(s.id.clone(), s.meaning.to_string())))
        };
        if demand.proofs.is_empty() || !demand.proofs.iter().all(proven) {
            let message = format!(
                "the workplan says it is finished, but {} is not met for `{}` on the target `{}`",
                demand.rule, demand.because, plan.target.name
            );
            let help = match &demand.proofs[..] {
                [] => demand.message.clone(),
                proofs => format!("run {}; {}", proofs.join(", "), demand.message),
            };
            found.push(
                Diagnostic::warning(
                    "policy-unproven",
                    &document.file,
                    status_span(document),
                    message,
                )
                .with_help(help),
            );
        }
    }
}

fn status_span(document: &Document) -> Span {
    let status = document.front.as_ref().and_then(|f| f.map.get("status"));
    status.map_or(Span::new(0, 0), |node| node.span)
}

/// The policy files that a plan file names: `policies/NAME.yaml`, looked for as plan files are.
fn policies(
    plan_file: &Arc<SourceFile>,
    folder: &Path,
    found: &mut Diagnostics,
) -> Vec<plan::policy::Policy> {
    let Some(node) = crate::yaml::parse_file(plan_file).0 else { return Vec::new() };
    let Some(list) = node.as_map().and_then(|m| m.get("policies")) else { return Vec::new() };
    let names: Vec<&crate::yaml::Node> = match list.as_seq() {
        Some(items) => items.iter().collect(),
        None => vec![list],
    };
    let mut out = Vec::new();
    for node in names {
        let Some(name) = node.as_str().filter(|n| !n.contains('/')) else {
            found.push(
                Diagnostic::error(
                    "wrong-type",
                    plan_file,
                    node.span,
                    "`policies` is a list of names",
                )
                .with_help("for example `policies: [d3]` for `policies/d3.yaml`"),
            );
            continue;
        };
        let file = format!("{name}.yaml");
        let path = upwards(folder).map(|d| d.join("policies").join(&file)).find(|p| p.is_file());
        let Some(path) = path else {
            let message = format!("there is no policy `{name}`");
            found.push(
                Diagnostic::error("policy-not-found", plan_file, node.span, message).with_help(
                    format!("make `policies/{file}` in the folder of the workplan or above"),
                ),
            );
            continue;
        };
        let Some(file) = read(&path, found) else { continue };
        let (policy, problems) = plan::policy::read(&file);
        found.extend(problems);
        out.extend(policy);
    }
    out
}

/// Reads the target alone, for commands without a workplan.
#[must_use]
pub fn load_target(options: &SourceOptions, folder: &Path) -> (Option<Target>, Diagnostics) {
    let mut found = Diagnostics::default();
    let mut target = target(options, folder, &mut found);
    if let Some(target) = &mut target {
        for (key, value) in &options.set {
            target.set(key.strip_prefix("target.").unwrap_or(key), value);
        }
    }
    (target, found)
}

/// Values for declared inputs, and what is left over: overrides of the target.
fn inputs(
    options: &SourceOptions,
    plan_file: Option<&Arc<SourceFile>>,
) -> (BTreeMap<String, String>, Vec<(String, String)>) {
    let declared: Vec<String> = plan_file
        .and_then(|f| crate::yaml::parse_file(f).0)
        .and_then(|n| n.as_map().and_then(|m| m.get("inputs")).cloned())
        .and_then(|n| n.as_map().map(|m| m.entries.iter().map(|e| e.key.clone()).collect()))
        .unwrap_or_default();
    let mut values = BTreeMap::new();
    let mut rest = Vec::new();
    for (key, value) in &options.set {
        let input = key.strip_prefix("inputs.").unwrap_or(key);
        if declared.iter().any(|d| d == input) {
            values.insert(input.to_owned(), value.clone());
        } else {
            rest.push((key.strip_prefix("target.").unwrap_or(key).to_owned(), value.clone()));
        }
    }
    (values, rest)
}

/// `plans/ID.yaml`, looked for from the workplan's folder up to the repo's root.
fn plan_file(
    options: &SourceOptions,
    document: &Document,
    folder: &Path,
    found: &mut Diagnostics,
) -> Option<Arc<SourceFile>> {
    if let Some(path) = &options.steps {
        return read(path, found);
    }
    // An id becomes a part of a path here; anything else in it is no id of ours.
    if document.id.is_empty() || document.id.contains(['/', '\0']) || document.id == ".." {
        return None;
    }
    let name = format!("{}.yaml", document.id);
    let path = upwards(folder).map(|d| d.join("plans").join(&name)).find(|p| p.is_file())?;
    read(&shorter(&path, &options.workplan, folder), found)
}

fn read(path: &Path, found: &mut Diagnostics) -> Option<Arc<SourceFile>> {
    SourceFile::load(path).map_err(|problem| found.push(problem)).ok()
}

/// A folder and those above it, up to the root of the repository it is in.
fn upwards(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let mut out = Vec::new();
    let in_repo = folder.ancestors().any(|d| d.join(".git").exists());
    for dir in folder.ancestors() {
        out.push(dir.to_path_buf());
        if !in_repo || dir.join(".git").exists() {
            break;
        }
    }
    // Outside of a repository, `workplans/X.md` and `plans/X.yaml` side by side are still usual.
    if !in_repo && let Some(parent) = folder.parent() {
        out.push(parent.to_path_buf());
    }
    out.into_iter()
}

/// A found path as the user would write it: relative where the workplan was given so.
fn shorter(found: &Path, given: &Path, folder: &Path) -> PathBuf {
    if given.is_absolute() {
        return found.to_path_buf();
    }
    let base = given.parent().unwrap_or(Path::new(""));
    let mut up = PathBuf::from(base);
    for dir in folder.ancestors() {
        if let Ok(rest) = found.strip_prefix(dir) {
            return up.join(rest);
        }
        up = match up.file_name() {
            Some(name) if name != ".." => up.parent().map(Path::to_path_buf).unwrap_or_default(),
            _ => up.join(".."),
        };
    }
    found.to_path_buf()
}

fn target(options: &SourceOptions, folder: &Path, found: &mut Diagnostics) -> Option<Target> {
    let Some(name) = &options.target else {
        return Some(Target::implicit(options.implicit_identity.clone()));
    };
    let is_path = name.contains('/') || name.ends_with(".yaml") || name.ends_with(".yml");
    let path = if is_path {
        PathBuf::from(name)
    } else {
        let file = format!("{name}.yaml");
        match upwards(folder).map(|d| d.join("targets").join(&file)).find(|p| p.is_file()) {
            Some(path) => shorter(&path, &options.workplan, folder),
            None => {
                let names = target_names(folder);
                found.push(
                    Diagnostic::new(
                        Severity::Error,
                        "target-not-found",
                        format!("there is no target `{name}`"),
                    )
                    .with_help(
                        did_you_mean(name, names.iter().map(String::as_str)).unwrap_or_else(|| {
                            if names.is_empty() {
                                format!("make `targets/{file}` beside the workplan, or name a file")
                            } else {
                                format!("there are {}", names.join(", "))
                            }
                        }),
                    ),
                );
                return None;
            }
        }
    };
    let file = read(&path, found)?;
    let short = path.file_stem().map_or_else(|| name.clone(), |s| s.to_string_lossy().into_owned());
    let (target, problems) = Target::parse(&short, &file, &options.machine);
    found.extend(problems);
    target
}

fn target_names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = upwards(folder)
        .filter_map(|d| std::fs::read_dir(d.join("targets")).ok())
        .flatten()
        .filter_map(Result::ok)
        .filter_map(|e| e.path().file_stem().map(|s| s.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    names.dedup();
    names
}
