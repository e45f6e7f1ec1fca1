//! What goes into `app.ini`, and what of it may be shown.

use std::collections::BTreeMap;

use workplan_engine::kind::Secret;

use super::ini::{self, Ini};
use crate::PlatformError;

/// Sections and keys that a start sets. What is in the file besides stays there, as with the chart.
#[derive(Default)]
pub(super) struct Config(BTreeMap<(String, String), Setting>);

/// One key.
#[derive(Clone, PartialEq, Eq)]
struct Setting {
    value: String,
    secret: bool,
}

impl Config {
    /// Sets a key. One that is called like a secret is one.
    pub(super) fn set(&mut self, section: &str, key: &str, value: impl Into<String>) {
        self.put(section, key, value.into(), is_secret(key));
    }

    /// Sets a key that is secret whatever it is called.
    pub(super) fn conceal(&mut self, section: &str, key: &str, value: impl Into<String>) {
        self.put(section, key, value.into(), true);
    }

    fn put(&mut self, section: &str, key: &str, value: String, secret: bool) {
        self.0.insert((section.to_owned(), key.to_owned()), Setting { value, secret });
    }

    /// Sets a key where nobody has.
    pub(super) fn unless_set(&mut self, section: &str, key: &str, value: &str) {
        if self.get(section, key).is_none() {
            self.set(section, key, value);
        }
    }

    pub(super) fn get(&self, section: &str, key: &str) -> Option<&str> {
        let found = self.0.get(&(section.to_owned(), key.to_owned()));
        found.map(|setting| setting.value.as_str())
    }

    /// Changes the value of a key that is there.
    pub(super) fn change(&mut self, section: &str, key: &str, value: String) {
        if let Some(setting) = self.0.get_mut(&(section.to_owned(), key.to_owned())) {
            setting.value = value;
        }
    }

    /// The keys that may hold a connection string.
    pub(super) fn strings(&self) -> Vec<(String, String)> {
        let may = |(section, key): &&(String, String)| match key.as_str() {
            "PROVIDER_CONFIG" => section == "session",
            "HOST" => section == "cache",
            "CONN_STR" => section == "queue" || section.starts_with("queue."),
            _ => false,
        };
        self.0.keys().filter(may).cloned().collect()
    }

    /// Whether a key is on; Gitea takes a word for it in several spellings.
    pub(super) fn is_on(&self, section: &str, key: &str) -> bool {
        let value = self.get(section, key).unwrap_or_default().to_lowercase();
        matches!(value.as_str(), "1" | "t" | "true" | "y" | "yes" | "on")
    }

    /// Refuses what Gitea would not read as it was given.
    ///
    /// # Errors
    /// Names the first such key.
    pub(super) fn check(&self) -> Result<(), PlatformError> {
        match self.0.iter().find(|(_, setting)| !ini::survives(&setting.value)) {
            None => Ok(()),
            Some(((section, key), _)) => Err(PlatformError::Failed {
                what: format!(
                    "the value of `{key}` in section `{section}` would not be the same after Gitea \
                     has kept it in `app.ini`"
                ),
                said: Vec::new(),
                help: Some(
                    "choose one that is not in quotes of its own, has no `%(NAME)s` in it, and no \
                     quote beside a space at an end"
                        .to_owned(),
                ),
            }),
        }
    }

    /// As variables for `gitea config edit-ini --apply-env`; those that are secret are marked.
    pub(super) fn variables(&self) -> Vec<(String, String, bool)> {
        let variable = |((section, key), setting): (&(String, String), &Setting)| {
            (ini::variable(section, key), setting.value.clone(), setting.secret)
        };
        self.0.iter().map(variable).collect()
    }

    /// Keys that are secret, though they are not called so.
    pub(super) fn concealed(&self) -> Vec<(String, String)> {
        let all = self.0.iter().filter(|((_, key), setting)| setting.secret && !is_secret(key));
        all.map(|(at, _)| at.clone()).collect()
    }

    /// As it may be shown.
    pub(super) fn shown(&self, digest: impl Fn(&[u8]) -> String) -> Ini {
        let mut ini = Ini::new();
        for ((section, key), setting) in &self.0 {
            let value = if setting.secret {
                digest(setting.value.as_bytes())
            } else {
                without_password(&setting.value, &digest)
            };
            ini.entry(section.clone()).or_default().insert(key.clone(), value);
        }
        ini
    }

    /// All values that are secret, so that they can be kept out of what is shown elsewhere.
    pub(super) fn secrets(&self) -> Vec<Secret> {
        let all = self.0.values().filter(|setting| setting.secret);
        all.map(|setting| Secret::new(setting.value.as_bytes())).collect()
    }
}

/// A file as it may be shown.
pub(super) fn shown(
    mut ini: Ini,
    concealed: &[(String, String)],
    digest: impl Fn(&[u8]) -> String,
) -> Ini {
    for (section, keys) in &mut ini {
        for (key, value) in keys {
            let is_marked = concealed.iter().any(|(s, k)| s == section && k == key);
            *value = if (is_marked || is_secret(key)) && !value.is_empty() {
                digest(value.as_bytes())
            } else {
                without_password(value, &digest)
            };
        }
    }
    ini
}

/// Whether the value of a key of that name is secret, in whatever section.
fn is_secret(key: &str) -> bool {
    const ENDS: &[&str] = &[
        "PASSWD",
        "PASSWORD",
        "SECRET",
        "SECRET_KEY",
        "TOKEN",
        "ACCESS_KEY",
        "ACCOUNT_KEY",
        "CREDENTIALS",
    ];
    let key = key.to_uppercase();
    ENDS.iter().any(|end| key.strip_suffix(end).is_some_and(|b| b.is_empty() || b.ends_with('_')))
}

/// A text in which passwords of URLs (`redis://:x@host`) and of `password=x` are digests.
fn without_password(value: &str, digest: &impl Fn(&[u8]) -> String) -> String {
    if let Some((scheme, rest)) = value.split_once("://") {
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        if let Some(at) = rest[..end].rfind('@')
            && let Some(colon) = rest[..at].find(':')
            && colon + 1 < at
        {
            let password = digest(&rest.as_bytes()[colon + 1..at]);
            return format!("{scheme}://{}:{password}{}", &rest[..colon], &rest[at..]);
        }
    }
    let Some(at) = value.find("password=") else { return value.to_owned() };
    let (before, rest) = value.split_at(at + "password=".len());
    let end = rest.find([',', '&', ' ']).unwrap_or(rest.len());
    if end == 0 {
        return value.to_owned();
    }
    format!("{before}{}{}", digest(&rest.as_bytes()[..end]), &rest[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(bytes: &[u8]) -> String {
        format!("hmac:{}", bytes.len())
    }

    #[test]
    fn secrets_are_shown_as_digests() {
        let mut config = Config::default();
        config.set("database", "PASSWD", "four");
        config.set("database", "HOST", "127.0.0.1:21003");
        config.conceal("mailer", "USER", "me");
        config.set("cache", "HOST", "redis://:abc@127.0.0.1:21004/0?pool_size=100");
        config.set("session", "PROVIDER_CONFIG", "network=tcp,addr=:6379,password=ab,db=0");
        config.set("security", "MIN_PASSWORD_LENGTH", "8");
        let shown = config.shown(digest);
        let get = |section: &str, key: &str| shown[section][key].as_str();
        assert_eq!(get("database", "PASSWD"), "hmac:4");
        assert_eq!(get("database", "HOST"), "127.0.0.1:21003");
        assert_eq!(get("mailer", "USER"), "hmac:2");
        assert_eq!(get("cache", "HOST"), "redis://:hmac:3@127.0.0.1:21004/0?pool_size=100");
        let provider = "network=tcp,addr=:6379,password=hmac:2,db=0";
        assert_eq!(get("session", "PROVIDER_CONFIG"), provider);
        assert_eq!(get("security", "MIN_PASSWORD_LENGTH"), "8");
        assert_eq!(config.concealed(), [("mailer".to_owned(), "USER".to_owned())]);
        assert_eq!(config.secrets().len(), 2);
    }

    #[test]
    fn what_is_no_login_stays() {
        for text in ["http://127.0.0.1:21000/", "http://a@b/", "a:b@c", "password=", "x://y:@z"] {
            assert_eq!(without_password(text, &digest), text);
        }
    }

    #[test]
    fn a_value_that_would_change_is_refused_by_name_alone() {
        let mut config = Config::default();
        config.set("database", "PASSWD", "\"quoted\"");
        let error = config.check().unwrap_err().to_string();
        assert!(error.contains("`PASSWD` in section `database`"), "{error}");
        assert!(!error.contains("quoted\""), "{error}");
    }
}
