//! Where the values of secret references come from.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use async_trait::async_trait;
use workplan_engine::kind::{Look, Secret, SecretError, SecretRef, SecretSource};

use crate::environment::Environment;

/// Secrets of this machine: its environment, its files, SOPS files, and what this very command was
/// given.
pub(crate) struct Secrets {
    env: Environment,
    given: Vec<Secret>,
}

impl Secrets {
    /// A source over this environment.
    pub(crate) fn new(env: Environment) -> Self {
        Self { env, given: Vec::new() }
    }

    /// The values of `given:0`, `given:1`, …
    #[must_use]
    pub(crate) fn with_given(mut self, given: Vec<Secret>) -> Self {
        self.given = given;
        self
    }
}

#[async_trait]
impl SecretSource for Secrets {
    async fn resolve(&self, reference: &SecretRef, _look: &Look) -> Result<Secret, SecretError> {
        self.of_this_machine(reference)
    }
}

impl Secrets {
    fn of_this_machine(&self, reference: &SecretRef) -> Result<Secret, SecretError> {
        let no = |why: String| SecretError { reference: reference.to_string(), why };
        match reference {
            SecretRef::Env(name) => match self.env.get(name) {
                Some(value) => Ok(Secret::new(OsString::from(value).into_vec())),
                None => Err(no(format!("the environment has no variable `{name}`"))),
            },
            SecretRef::File(path) => {
                let mut bytes = std::fs::read(path).map_err(|e| no(e.to_string()))?;
                if bytes.last() == Some(&b'\n') {
                    bytes.pop();
                }
                Ok(Secret::new(bytes))
            }
            SecretRef::Sops { file, path } => sops(file, path).map_err(no),
            SecretRef::Given(number) => {
                let given = usize::try_from(*number).ok().and_then(|n| self.given.get(n));
                given.cloned().ok_or_else(|| {
                    no("only the command that was given it had it; give it again".to_owned())
                })
            }
            SecretRef::Kube { .. } => {
                Err(no("this target has no cluster to ask; choose one with `--target`".to_owned()))
            }
        }
    }
}

/// One value of a SOPS file. The value comes through a pipe and is written nowhere.
fn sops(file: &Path, path: &str) -> Result<Secret, String> {
    let steps: String = path.split('/').map(index).collect();
    let output = duct::cmd!("sops", "--decrypt", "--extract", steps, file)
        .stdin_null()
        .stdout_capture()
        .stderr_capture()
        .unchecked()
        .run()
        .map_err(|e| format!("failed to start `sops`: {e}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("it said nothing");
        return Err(format!("`sops` failed: {}", last.trim()));
    }
    Ok(Secret::new(output.stdout))
}

/// One step of a path as SOPS writes it.
fn index(part: &str) -> String {
    match part.parse::<usize>() {
        Ok(number) => format!("[{number}]"),
        Err(_) => format!("[{}]", serde_json::Value::from(part)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_from_the_environment_and_from_files() {
        let mut env = Environment::default();
        env.all.push(("PW".into(), "s3cret".into()));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pw");
        std::fs::write(&path, "from file\n").unwrap();
        let source = Secrets::new(env);
        assert_eq!(
            source.of_this_machine(&SecretRef::Env("PW".into())).unwrap().reveal(),
            b"s3cret"
        );
        assert_eq!(source.of_this_machine(&SecretRef::File(path)).unwrap().reveal(), b"from file");
        let missing = source.of_this_machine(&SecretRef::Env("NONE".into())).unwrap_err();
        assert!(missing.to_string().contains("no variable `NONE`"), "{missing}");
    }

    #[test]
    fn paths_into_sops_files_are_quoted() {
        assert_eq!(index("a\"b"), r#"["a\"b"]"#);
        assert_eq!(index("0"), "[0]");
    }
}
