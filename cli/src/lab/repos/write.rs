//! Writing them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::{age, target, tree, values};
use crate::failure::Failure;
use crate::lab::folder::{Folder, REPOS, make};
use crate::lab::shape::Shape;
use crate::lab::tool;

/// Where the workplan lies in its repository.
pub(crate) const WORKPLAN: &str = "workplans/RAIL-PL-WP-0001-platform-baseline.md";
const GITEA_VALUES: &str = "helm/gitea-values.sops.yaml";
/// How the lines begin that ask before an outage.
const GATE: &str = "    gate: {approve: ";
/// Everything in a lab was committed then.
const WHEN: &str = "2026-03-11T09:00:00+00:00";

/// Writes the five repositories, each with one commit, and the key pair beside them.
///
/// # Errors
/// When a file cannot be written, or git or sops fail.
pub(crate) fn write(
    folder: &Folder,
    shape: &Shape,
    ports: u16,
    sops: &Path,
) -> Result<(), Failure> {
    let recipient = age::make(&folder.age_key())?;
    for file in tree::FILES {
        put(&folder.repo(file.repo).join(file.path), file.text, file.program)?;
    }
    // Those with values; S1 and S4 have none.
    for repo in ["railiance-cluster", "railiance-platform", "railiance-apps"] {
        put(&folder.repo(repo).join(".sops.yaml"), &values::sops_rules(&recipient), false)?;
    }
    let cluster = folder.repo("railiance-cluster");
    let sealed = tool::sops_encrypt(sops, &cluster, GITEA_VALUES, values::gitea(shape))?;
    put(&cluster.join(GITEA_VALUES), &String::from_utf8_lossy(&sealed), false)?;

    let platform = folder.repo("railiance-platform");
    put(&platform.join(WORKPLAN), tree::WORKPLAN, false)?;
    put(&platform.join("plans/RAIL-PL-WP-0001.yaml"), &plan(), false)?;
    for (path, text) in tree::POLICIES {
        put(&platform.join(path), text, false)?;
    }
    put(&platform.join("helm/postgresql-ha-values.yaml"), tree::POSTGRES_VALUES, false)?;
    put(&platform.join("helm/valkey-values.yaml"), tree::VALKEY_VALUES, false)?;
    put(&folder.target(), &target::target(shape, ports), false)?;
    for repo in REPOS {
        commit(&folder.repo(repo))?;
    }
    Ok(())
}

/// The plan as the lab's copy has it: what happens here is written into the lab's own workplan, and
/// nobody has to be asked before a rehearsal's outages.
fn plan() -> String {
    let plan = tree::PLAN.replacen("target_of_record: production", "target_of_record: lab", 1);
    plan.split_inclusive('\n').filter(|line| !line.starts_with(GATE)).collect()
}

fn put(path: &Path, text: &str, program: bool) -> Result<(), Failure> {
    if let Some(folder) = path.parent() {
        make(folder)?;
    }
    std::fs::write(path, text).map_err(|e| Failure::io("write", path, &e))?;
    if program {
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(path, mode).map_err(|e| Failure::io("change", path, &e))?;
    }
    Ok(())
}

fn commit(repo: &Path) -> Result<(), Failure> {
    tool::git(repo, &["init", "--quiet", "--initial-branch=main"])?;
    for (key, value) in [
        ("user.name", "Railiance operations"),
        ("user.email", "ops@railiance.example"),
        ("commit.gpgSign", "false"),
    ] {
        tool::git(repo, &["config", key, value])?;
    }
    tool::git(repo, &["add", "--all"])?;
    let date = format!("--date={WHEN}");
    tool::git(repo, &["commit", "--quiet", &date, "--message", "As it is before RAIL-PL-WP-0001"])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_labs_plan_writes_back_in_the_lab() {
        assert!(tree::PLAN.contains("target_of_record: production"));
        assert!(plan().contains("\ntarget_of_record: lab\n"));
        let gates = tree::PLAN.lines().filter(|line| line.starts_with(GATE)).count();
        assert_eq!(gates, 2, "one for each outage");
        assert_eq!(plan().lines().count() + gates, tree::PLAN.lines().count());
        assert!(tree::PLAN.contains(GATE) && !plan().contains(GATE));
    }

    #[test]
    fn repositories_are_committed_and_secrets_are_sealed() {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let Some(sops) = std::env::split_paths(&path).map(|p| p.join("sops")).find(|p| p.is_file())
        else {
            eprintln!("SKIPPED: there is no `sops` on the PATH");
            return;
        };
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::new(&temp.path().join("lab")).unwrap();
        let shape = Shape::new(3, 1);
        write(&folder, &shape, 21_000, &sops).unwrap();
        for repo in REPOS {
            let status = tool::git(&folder.repo(repo), &["status", "--porcelain"]).unwrap();
            assert_eq!(String::from_utf8_lossy(&status), "", "{repo}");
        }
        let sealed = folder.repo("railiance-cluster").join(GITEA_VALUES);
        let text = std::fs::read_to_string(&sealed).unwrap();
        assert!(text.contains("passwordMode: initialOnlyNoReset"), "{text}");
        assert!(text.contains(&shape.database), "{text}");
        for secret in [&shape.passwords.role, &shape.passwords.admin, &shape.passwords.valkey] {
            assert!(!text.contains(secret.as_str()), "{text}");
        }
        let opened = duct::cmd!(&sops, "decrypt", &sealed)
            .env("SOPS_AGE_KEY_FILE", folder.age_key())
            .read()
            .unwrap();
        let file = workplan_engine::text::SourceFile::new("opened", opened);
        let (root, _) = workplan_engine::yaml::parse_file(&file);
        let root = root.unwrap();
        let gitea = root.as_map().unwrap().get("gitea").unwrap().as_map().unwrap();
        let admin = gitea.get("admin").unwrap().as_map().unwrap();
        assert_eq!(admin.get("password").unwrap().as_str(), Some(&*shape.passwords.admin));
    }

    #[test]
    fn every_file_of_the_tree_is_written() {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src/lab/repos/tree"));
        let mut waiting = vec![root.to_path_buf()];
        let mut found = Vec::new();
        while let Some(folder) = waiting.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    waiting.push(path);
                } else {
                    found.push(path.strip_prefix(root).unwrap().display().to_string());
                }
            }
        }
        found.sort();
        let mut listed: Vec<String> =
            tree::FILES.iter().map(|f| format!("{}/{}", f.repo, f.path)).collect();
        listed.sort();
        assert_eq!(found, listed);
    }
}
