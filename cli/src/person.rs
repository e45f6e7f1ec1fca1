//! Who gives an answer.

use crate::environment::Environment;

/// The account and the machine, for the journal: `ann@host`.
pub(crate) fn account(env: &Environment) -> String {
    let user = env
        .user
        .clone()
        .or_else(|| {
            nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten().map(|u| u.name)
        })
        .unwrap_or_else(|| format!("uid {}", nix::unistd::getuid()));
    format!("{user}@{}", machine_name())
}

/// The machine's name.
pub(crate) fn machine_name() -> String {
    nix::unistd::gethostname()
        .ok()
        .and_then(|h| h.into_string().ok())
        .unwrap_or_else(|| "localhost".to_owned())
}

/// What identifies this machine, also when its name changes.
pub(crate) fn machine_id() -> String {
    std::fs::read_to_string("/etc/machine-id")
        .ok()
        .map(|id| id.trim().to_owned())
        .filter(|id| !id.is_empty())
        .unwrap_or_else(machine_name)
}
