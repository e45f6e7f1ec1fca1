//! Signals: once asks, twice insists; and dying by one so that a shell sees it.

use std::process::ExitCode;

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, raise, sigaction};

/// Ends the process by the signal, as if it had never been caught.
pub(crate) fn die_by(signal: Signal) -> ExitCode {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: the default action runs no code of ours.
    #[expect(unsafe_code, reason = "a handler can only be set through an unsafe function")]
    let reset = unsafe { sigaction(signal, &default) };
    if reset.is_ok() {
        let _ = raise(signal);
    }
    // Reached only where the signal is blocked: what a shell would show.
    ExitCode::from(u8::try_from(128 + signal as i32).unwrap_or(130))
}
