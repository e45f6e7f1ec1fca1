//! Names of users and groups.

use nix::unistd::{Group, User};

/// Whether a text has the shape `user` or `user:group`.
///
/// # Errors
/// A sentence that says what is wrong.
pub(super) fn check(text: &str) -> Result<(), String> {
    let parts: Vec<&str> = text.split(':').collect();
    if parts.len() > 2 || parts.iter().any(|p| p.trim().is_empty()) {
        return Err("`owner` is `user` or `user:group`".to_owned());
    }
    Ok(())
}

/// The numbers of a user and, where it is named, of a group. Asks the user database.
///
/// # Errors
/// A sentence that names whom the machine does not know.
pub(super) fn resolve(text: &str) -> Result<(u32, Option<u32>), String> {
    let (user, group) =
        text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
    let uid = match user.parse::<u32>() {
        Ok(uid) => uid,
        Err(_) => User::from_name(user)
            .map_err(|e| format!("the user `{user}` cannot be looked up: {}", e.desc()))?
            .ok_or_else(|| format!("this machine knows no user `{user}`"))?
            .uid
            .as_raw(),
    };
    let gid = match group {
        None => None,
        Some(group) => Some(match group.parse::<u32>() {
            Ok(gid) => gid,
            Err(_) => Group::from_name(group)
                .map_err(|e| format!("the group `{group}` cannot be looked up: {}", e.desc()))?
                .ok_or_else(|| format!("this machine knows no group `{group}`"))?
                .gid
                .as_raw(),
        }),
    };
    Ok((uid, gid))
}
