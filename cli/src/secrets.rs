//! Where the values of secret references come from.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use async_trait::async_trait;
use workplan_engine::kind::{Look, Secret, SecretError, SecretRef, SecretSource};
use workplan_platform::{PlatformError, values};

use crate::environment::Environment;

/// Secrets of this machine and of the target: its environment, its files, SOPS files, deployed
/// Secrets, and what this very command was given.
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
    async fn resolve(&self, reference: &SecretRef, look: &Look) -> Result<Secret, SecretError> {
        let found = match reference {
            SecretRef::Env(name) => self.variable(name),
            SecretRef::File(path) => file(path),
            SecretRef::Sops { file, path } => values::reference(look, file, path).await,
            SecretRef::Given(number) => self.given(*number),
            SecretRef::Kube { namespace, name, key } => deployed(look, namespace, name, key).await,
        };
        found.map_err(|why| SecretError { reference: reference.to_string(), why })
    }
}

impl Secrets {
    fn variable(&self, name: &str) -> Result<Secret, String> {
        match self.env.get(name) {
            Some(value) => Ok(Secret::new(OsString::from(value).into_vec())),
            None => Err(format!("the environment has no variable `{name}`")),
        }
    }

    fn given(&self, number: u32) -> Result<Secret, String> {
        let given = usize::try_from(number).ok().and_then(|n| self.given.get(n));
        given
            .cloned()
            .ok_or_else(|| "only the command that was given it had it; give it again".to_owned())
    }
}

/// A file's content without its last line end.
fn file(path: &Path) -> Result<Secret, String> {
    let mut bytes =
        std::fs::read(path).map_err(|e| format!("`{}` cannot be read: {e}", path.display()))?;
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    Ok(Secret::new(bytes))
}

/// A key of a Secret at the target.
async fn deployed(look: &Look, namespace: &str, name: &str, key: &str) -> Result<Secret, String> {
    let view = workplan_platform::view(look).map_err(words)?;
    let values = view.secret(namespace, name).await.map_err(words)?;
    let values = values.ok_or_else(|| format!("the target has no Secret `{namespace}/{name}`"))?;
    values.get(key).cloned().ok_or_else(|| {
        let known: Vec<&str> = values.keys().map(String::as_str).collect();
        let known = known.join("`, `");
        format!("the Secret `{namespace}/{name}` has no key `{key}`; it has `{known}`")
    })
}

fn words(error: PlatformError) -> String {
    let what = error.to_string();
    match error {
        PlatformError::Target { help, .. } | PlatformError::Failed { help: Some(help), .. } => {
            format!("{what}; {help}")
        }
        _ => what,
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
        let source = Secrets::new(env).with_given(vec![Secret::new("told")]);
        assert_eq!(source.variable("PW").unwrap().reveal(), b"s3cret");
        assert_eq!(source.given(0).unwrap().reveal(), b"told");
        assert_eq!(file(&path).unwrap().reveal(), b"from file");
        let missing = source.variable("NONE").unwrap_err();
        assert!(missing.contains("no variable `NONE`"), "{missing}");
        assert!(source.given(1).is_err() && file(&dir.path().join("none")).is_err());
    }
}
