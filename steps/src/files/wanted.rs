//! What a file shall be.

use super::place::State;

/// Permissions of a new file.
const NEW: u32 = 0o644;

/// What the file shall be, with everything resolved.
#[derive(Clone)]
pub(super) struct Wanted {
    pub(super) bytes: Vec<u8>,
    pub(super) mode: Option<u32>,
    pub(super) owner: Option<(u32, Option<u32>)>,
}

impl Wanted {
    pub(super) fn mode(&self, now: Option<&State>) -> u32 {
        self.mode.unwrap_or_else(|| now.map_or(NEW, |file| file.mode))
    }

    /// User and group; `None` for a new file whose owner was not given.
    pub(super) fn owner(&self, now: Option<&State>) -> Option<(u32, u32)> {
        match (self.owner, now) {
            (Some((uid, Some(gid))), _) => Some((uid, gid)),
            (Some((uid, None)), Some(file)) => Some((uid, file.gid)),
            (Some((uid, None)), None) => Some((uid, nix::unistd::getegid().as_raw())),
            (None, Some(file)) => Some((file.uid, file.gid)),
            (None, None) => None,
        }
    }

    /// What is not as wanted, apart from the content: name, value now, value wanted.
    pub(super) fn differences(&self, file: &State) -> Vec<(&'static str, String, String)> {
        let mut list = Vec::new();
        let mode = self.mode(Some(file));
        if mode != file.mode {
            list.push(("mode", octal(file.mode), octal(mode)));
        }
        if let Some((uid, gid)) = self.owner(Some(file)).filter(|o| *o != (file.uid, file.gid)) {
            list.push(("owner", format!("{}:{}", file.uid, file.gid), format!("{uid}:{gid}")));
        }
        list
    }
}

/// Permissions as people write them.
pub(super) fn octal(mode: u32) -> String {
    format!("{mode:04o}")
}
