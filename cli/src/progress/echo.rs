//! A terminal that does not show `^C` while spinners are on it.

use std::io::stdin;

use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use nix::unistd::{getpgrp, tcgetpgrp};

/// Until it is dropped, control characters are not shown. The two letters of `^C` would move the
/// cursor to a line where the spinners are not looked for: the old ones would stay on the screen.
#[derive(Debug)]
pub(super) struct QuietEcho(Termios);

impl QuietEcho {
    /// `None` where stdin is no terminal, or not ours: to set the modes of a terminal from the
    /// background stops a process.
    pub(super) fn new() -> Option<Self> {
        if tcgetpgrp(stdin()).ok()? != getpgrp() {
            return None;
        }
        let before = tcgetattr(stdin()).ok()?;
        let mut quiet = before.clone();
        quiet.local_flags.remove(LocalFlags::ECHOCTL);
        tcsetattr(stdin(), SetArg::TCSANOW, &quiet).ok()?;
        Some(Self(before))
    }
}

impl Drop for QuietEcho {
    fn drop(&mut self) {
        // It may have been sent to the background since.
        if tcgetpgrp(stdin()).is_ok_and(|group| group == getpgrp()) {
            // A terminal that is gone needs no modes.
            let _ = tcsetattr(stdin(), SetArg::TCSANOW, &self.0);
        }
    }
}
