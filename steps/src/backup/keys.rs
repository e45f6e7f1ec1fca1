//! Who can read a backup (recipients), and the keys that are at hand here (identities).

use age::secrecy::ExposeSecret as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use workplan_engine::kind::{Look, Secret, StepError};
use workplan_engine::text::SourceFile;
use workplan_engine::yaml::{self, Node};

use super::settings::Settings;

/// Those who can read a backup.
pub(super) struct Recipients {
    /// As they are written, without comments, sorted.
    pub(super) texts: Vec<String>,
    /// Where they are from, for a message.
    pub(super) from: String,
    all: Vec<Box<dyn age::Recipient + Send + Sync>>,
}

impl std::fmt::Debug for Recipients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recipients").field("texts", &self.texts).finish_non_exhaustive()
    }
}

impl Recipients {
    /// The recipients that the step or the target names; else those of the repo's `.sops.yaml`;
    /// else the public halves of the keys that are here.
    ///
    /// # Errors
    /// When there are none, or one that cannot be used here.
    pub(super) fn choose(look: &Look, settings: &Settings, keys: &Keys) -> Result<Self, StepError> {
        if !settings.recipients.is_empty() {
            return Self::of(&settings.recipients, "`backup.recipients`");
        }
        if let Some((path, texts)) = of_sops(look)? {
            return Self::of(&texts, &format!("`{}`", path.display()));
        }
        let own: Vec<String> = keys.all.iter().map(Identity::public).collect();
        if own.is_empty() {
            return Err(StepError::failed("nobody is named who could read the backup").with_help(
                format!(
                    "name them in the target file: `backup: {{recipients: [age1…]}}`; {}",
                    keys.places()
                ),
            ));
        }
        Self::of(&own, "the keys that are here")
    }

    fn of(texts: &[String], from: &str) -> Result<Self, StepError> {
        let mut found = Self { texts: Vec::new(), from: from.to_owned(), all: Vec::new() };
        for text in texts {
            let (text, recipient) = recipient(text).map_err(|why| {
                StepError::failed(format!("a recipient from {from} cannot be used: {why}"))
            })?;
            if !found.texts.contains(&text) {
                found.texts.push(text);
                found.all.push(recipient);
            }
        }
        found.texts.sort();
        Ok(found)
    }

    /// Encrypts for all of them.
    ///
    /// # Errors
    /// When they cannot be put together.
    pub(super) fn encryptor(&self) -> Result<age::Encryptor, StepError> {
        let all = self.all.iter().map(|r| &**r as &dyn age::Recipient);
        age::Encryptor::with_recipients(all).map_err(|_| {
            StepError::failed("the recipients of the backup cannot be used together")
                .with_help("use recipients of one sort, all `age1…` for example")
        })
    }
}

type AnyRecipient = Box<dyn age::Recipient + Send + Sync>;

/// Reads one recipient; gives it back without a comment.
fn recipient(text: &str) -> Result<(String, AnyRecipient), String> {
    let text = text.trim();
    if text.starts_with("ssh-") {
        return match text.parse::<age::ssh::Recipient>() {
            Ok(key) => Ok((key.to_string(), Box::new(key))),
            Err(_) => Err(format!("`{}` is no `ssh-ed25519` or `ssh-rsa` key", shown(text))),
        };
    }
    if text.to_ascii_uppercase().starts_with("AGE-SECRET-KEY-") {
        return Err("it is a secret key; name its public half, `age1…`".to_owned());
    }
    match text.parse::<age::x25519::Recipient>() {
        Ok(key) => Ok((key.to_string(), Box::new(key))),
        Err(_) if text.starts_with("age1pq1") => Err(format!(
            "`{}` is post-quantum, which only the `age` and `sops` programs can use yet",
            shown(text)
        )),
        Err(_) if text.starts_with("age1") && text.matches('1').count() > 1 => {
            Err(format!("`{}` is of a plugin, or mistyped", shown(text)))
        }
        Err(_) => Err(format!("`{}` is none", shown(text))),
    }
}

/// The beginning of a text, enough to find it again.
fn shown(text: &str) -> String {
    let start: String = text.chars().take(24).collect();
    if start.len() < text.len() { format!("{start}…") } else { start }
}

/// Recipients of the nearest `.sops.yaml` around the target file or the workplan.
fn of_sops(look: &Look) -> Result<Option<(PathBuf, Vec<String>)>, StepError> {
    let starts = [look.place.folder.clone(), look.base.to_path_buf()];
    let found = starts.iter().filter(|start| start.is_absolute()).find_map(|start| {
        start.ancestors().map(|folder| folder.join(".sops.yaml")).find(|path| path.is_file())
    });
    let Some(path) = found else { return Ok(None) };
    let texts = sops_recipients(&path)?;
    Ok(if texts.is_empty() { None } else { Some((path, texts)) })
}

fn sops_recipients(path: &Path) -> Result<Vec<String>, StepError> {
    let name_them = "name the recipients in the target file: `backup: {recipients: [age1…]}`";
    let unreadable = || {
        StepError::failed(format!("the recipients in `{}` cannot be read here", path.display()))
            .with_help(name_them)
    };
    let file = SourceFile::load(path).map_err(|_| unreadable())?;
    let (node, problems) = yaml::parse_file(&file);
    let Some(node) = node.filter(|_| !problems.has_errors()) else { return Err(unreadable()) };
    let rules = node.as_map().and_then(|map| map.get("creation_rules")).and_then(Node::as_seq);
    let mut sets: Vec<Vec<String>> = rules.unwrap_or_default().iter().map(of_rule).collect();
    sets.retain(|set| !set.is_empty());
    sets.sort();
    sets.dedup();
    match <[Vec<String>; 1]>::try_from(sets) {
        Ok([one]) => Ok(one),
        Err(sets) if sets.is_empty() => Ok(Vec::new()),
        Err(_) => Err(StepError::failed(format!(
            "the rules of `{}` name different recipients, and none of them is for backups",
            path.display()
        ))
        .with_help(name_them)),
    }
}

/// The age recipients of one creation rule, sorted: a text with commas, a list, or key groups.
fn of_rule(rule: &Node) -> Vec<String> {
    fn age(node: &Node, out: &mut Vec<String>) {
        if let Some(text) = node.as_str() {
            out.extend(text.split(',').map(|t| t.trim().to_owned()).filter(|t| !t.is_empty()));
        }
        node.as_seq().unwrap_or_default().iter().for_each(|item| age(item, out));
    }
    let mut out = Vec::new();
    let Some(map) = rule.as_map() else { return out };
    if let Some(node) = map.get("age") {
        age(node, &mut out);
    }
    for group in map.get("key_groups").and_then(Node::as_seq).unwrap_or_default() {
        if let Some(node) = group.as_map().and_then(|map| map.get("age")) {
            age(node, &mut out);
        }
    }
    out.sort();
    out.dedup();
    out
}

/// A key that can decrypt.
pub(super) enum Identity {
    /// `AGE-SECRET-KEY-1…`.
    X25519(age::x25519::Identity),
    /// A private SSH key without a passphrase.
    Ssh {
        /// The key.
        key: age::ssh::Identity,
        /// `ssh-ed25519 AAAA…`.
        public: String,
        /// The 64 bytes of an Ed25519 key.
        secret: Option<Vec<u8>>,
    },
}

impl Identity {
    /// Its public half.
    pub(super) fn public(&self) -> String {
        match self {
            Self::X25519(key) => key.to_public().to_string(),
            Self::Ssh { public, .. } => public.clone(),
        }
    }

    /// What a seal is made with: the secret in its one spelling. RSA keys have none.
    pub(super) fn seal_secret(&self) -> Option<Vec<u8>> {
        match self {
            Self::X25519(key) => Some(key.to_string().expose_secret().as_bytes().to_vec()),
            Self::Ssh { secret, .. } => secret.clone(),
        }
    }

    fn as_age(&self) -> &dyn age::Identity {
        match self {
            Self::X25519(key) => key,
            Self::Ssh { key, .. } => key,
        }
    }
}

/// The keys that are here, and where they were looked for.
#[derive(Default)]
pub(super) struct Keys {
    /// The keys.
    pub(super) all: Vec<Identity>,
    places: Vec<String>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("places", &self.places).finish_non_exhaustive()
    }
}

impl Keys {
    /// Looks where the target says (`backup.key`, `sops.age_key_file`) and where SOPS does. Every
    /// secret that is found is concealed from then on.
    pub(super) fn gather(look: &Look, settings: &Settings) -> Arc<Self> {
        let mut found = Self::default();
        if let Some(path) = &settings.key {
            found.file(look, path);
        }
        if let Some(text) = look.variable("SOPS_AGE_KEY") {
            found.take(look, &text.to_string_lossy(), "`SOPS_AGE_KEY`");
        }
        for name in ["SOPS_AGE_KEY_FILE", "SOPS_AGE_SSH_PRIVATE_KEY_FILE"] {
            if let Some(path) = look.variable(name).filter(|path| !path.is_empty()) {
                found.file(look, Path::new(path));
            }
        }
        if let Some(path) = look.place.text("sops.age_key_file") {
            found.file(look, &look.place.path(path));
        }
        if let Some(folder) = config_folder(look) {
            found.file(look, &folder.join("sops/age/keys.txt"));
        }
        Arc::new(found)
    }

    /// Where was looked, for a message.
    pub(super) fn places(&self) -> String {
        if self.places.is_empty() {
            return "no key was looked for: neither `backup.key` nor `sops.age_key_file` of the \
                    target nor `SOPS_AGE_KEY_FILE` names a file"
                .to_owned();
        }
        format!("keys were looked for here: {}", self.places.join("; "))
    }

    /// For decrypting.
    pub(super) fn identities(&self) -> impl Iterator<Item = &dyn age::Identity> {
        self.all.iter().map(Identity::as_age)
    }

    fn file(&mut self, look: &Look, path: &Path) {
        let shown = format!("`{}`", path.display());
        match std::fs::read_to_string(path) {
            Ok(text) => self.take(look, &text, &shown),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                self.places.push(format!("{shown} is not there"));
            }
            Err(e) => self.places.push(format!("{shown} cannot be read: {e}")),
        }
    }

    fn take(&mut self, look: &Look, text: &str, place: &str) {
        let before = self.all.len();
        let mut unusable = Vec::new();
        if text.contains("-----BEGIN ") {
            look.conceal(&Secret::new(text));
            self.ssh(text, &mut unusable);
        } else {
            let words = text.lines().filter(|line| !line.trim_start().starts_with('#'));
            for word in words.flat_map(str::split_whitespace) {
                look.conceal(&Secret::new(word));
                match word.parse::<age::x25519::Identity>() {
                    Ok(key) => self.add(Identity::X25519(key)),
                    Err(_) if word.to_ascii_uppercase().starts_with("AGE-SECRET-KEY-PQ-") => {
                        unusable.push("a post-quantum key");
                    }
                    Err(_) => unusable.push("a line that is no key"),
                }
            }
        }
        let mut words = match self.all.len() - before {
            0 if unusable.is_empty() => format!("{place} has no key that is new"),
            1 => format!("{place} has one key"),
            n => format!("{place} has {n} keys"),
        };
        if !unusable.is_empty() {
            words.push_str(&format!(" (and {} that cannot be used here)", unusable.join(", ")));
        }
        self.places.push(words);
    }

    fn ssh(&mut self, text: &str, unusable: &mut Vec<&'static str>) {
        match age::ssh::Identity::from_buffer(text.as_bytes(), None) {
            Ok(key @ age::ssh::Identity::Unencrypted(_)) => {
                match age::ssh::Recipient::try_from(key.clone()) {
                    Ok(public) => {
                        let (public, secret) = (public.to_string(), ed25519_secret(text));
                        self.add(Identity::Ssh { key, public, secret });
                    }
                    Err(_) => unusable.push("an SSH key"),
                }
            }
            Ok(age::ssh::Identity::Encrypted(_)) => {
                unusable.push("an SSH key with a passphrase");
            }
            _ => unusable.push("an SSH key"),
        }
    }

    fn add(&mut self, key: Identity) {
        let public = key.public();
        if self.all.iter().all(|known| known.public() != public) {
            self.all.push(key);
        }
    }
}

/// The secret of an Ed25519 key in an OpenSSH private key file without a passphrase: the seed and
/// the public key. It stays the same when the file is written anew with another comment.
fn ed25519_secret(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    /// Takes a text that is preceded by its length.
    fn field<'b>(bytes: &mut &'b [u8]) -> Option<&'b [u8]> {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (field, rest) = rest.split_at_checked(length)?;
        *bytes = rest;
        Some(field)
    }
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with("-----"));
    let file = base64::engine::general_purpose::STANDARD.decode(lines.collect::<String>()).ok()?;
    let mut rest = file.strip_prefix(b"openssh-key-v1\0")?;
    let (cipher, _kdf, _options) = (field(&mut rest)?, field(&mut rest)?, field(&mut rest)?);
    // One key.
    rest = rest.strip_prefix(&[0, 0, 0, 1])?;
    let (_public, private) = (field(&mut rest)?, field(&mut rest)?);
    // Two equal random numbers come first, by which a wrong passphrase is seen.
    let mut rest = private.get(8..).filter(|_| cipher == b"none")?;
    let (sort, _public, secret) = (field(&mut rest)?, field(&mut rest)?, field(&mut rest)?);
    (sort == b"ssh-ed25519" && secret.len() == 64).then(|| secret.to_vec())
}

/// Where programs keep their settings.
fn config_folder(look: &Look) -> Option<PathBuf> {
    let folder = |name: &str| look.variable(name).map(PathBuf::from).filter(|p| p.is_absolute());
    folder("XDG_CONFIG_HOME").or_else(|| Some(folder("HOME")?.join(".config")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGE: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
    const SSH: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN";

    fn sops(text: &str) -> Result<Vec<String>, StepError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".sops.yaml");
        std::fs::write(&path, text).unwrap();
        sops_recipients(&path)
    }

    #[test]
    fn both_sorts_are_read_and_what_is_wrong_is_named() {
        let texts = [format!("{SSH} ann@laptop"), AGE.to_owned(), AGE.to_owned()];
        assert_eq!(Recipients::of(&texts, "x").unwrap().texts, [AGE, SSH]);
        for (text, said) in [
            ("AGE-SECRET-KEY-1QQQ", "secret key"),
            ("age1pq1qqqq", "post-quantum"),
            ("age1yubikey1qqqq", "plugin"),
            ("ssh-dss AAAA", "no `ssh-ed25519`"),
            ("ann", "is none"),
        ] {
            let error = Recipients::of(&[text.to_owned()], "`backup.recipients`").unwrap_err();
            assert!(error.what.contains(said), "{}", error.what);
            assert!(!error.what.contains("SECRET-KEY-1QQQ"));
        }
    }

    #[test]
    fn rules_that_agree_name_the_recipients() {
        let rule =
            format!("creation_rules:\n  - path_regex: a\n    age: >-\n      {AGE},\n      {SSH}\n");
        assert_eq!(sops(&rule).unwrap(), [AGE, SSH]);
        let groups = format!(
            "creation_rules:\n  - key_groups:\n      - age:\n          - {AGE}\n  - age: {AGE}\n"
        );
        assert_eq!(sops(&groups).unwrap(), [AGE]);
        assert!(sops("creation_rules: []\n").unwrap().is_empty());
        let two = format!("creation_rules:\n  - age: {AGE}\n  - age: {SSH}\n");
        let error = sops(&two).unwrap_err();
        assert!(error.what.contains("different recipients"), "{}", error.what);
        assert!(error.help.unwrap().contains("backup: {recipients"));
        assert!(sops("keys: &a [x]\nuse: *a\n").unwrap_err().what.contains("cannot be read here"));
    }
}
