//! Exit codes: the only numbers that other tools may rely on.

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// With a code of the table below.
    Code(u8),
    /// By this signal, so that a shell sees a true signal death (130, 143).
    Signal(nix::sys::signal::Signal),
}

/// Done, or nothing to do.
pub(crate) const DONE: Exit = Exit::Code(0);
/// A step or check failed; the run can be resumed.
pub(crate) const FAILED: Exit = Exit::Code(1);
/// The command line asks for something that does not exist.
pub(crate) const USAGE: Exit = Exit::Code(2);
/// The workplan, plan file or target is invalid.
pub(crate) const INVALID: Exit = Exit::Code(3);
/// `plan --detailed-exitcode`: there are changes.
pub(crate) const CHANGES: Exit = Exit::Code(4);
/// A rollback is incomplete.
pub(crate) const ROLLBACK_INCOMPLETE: Exit = Exit::Code(5);
/// Another live run holds the target.
pub(crate) const LOCKED: Exit = Exit::Code(6);
/// The saved plan is stale: named facts or sources moved.
pub(crate) const STALE: Exit = Exit::Code(7);
/// Waiting for a person: a gate, a step whose state is unknown, or an answer that only `--yes` or
/// a terminal can give.
pub(crate) const WAITING: Exit = Exit::Code(8);
/// A policy or an unmet precondition holds it.
pub(crate) const HELD: Exit = Exit::Code(9);
/// A bug.
pub(crate) const INTERNAL: Exit = Exit::Code(70);

/// The table, for the reference.
pub(crate) const TABLE: &[(Exit, &str)] = &[
    (DONE, "done, or nothing to do"),
    (FAILED, "a step or check failed; the run can be resumed"),
    (USAGE, "usage"),
    (INVALID, "the workplan, plan file or target is invalid"),
    (CHANGES, "`plan --detailed-exitcode`: there are changes"),
    (ROLLBACK_INCOMPLETE, "rollback incomplete"),
    (LOCKED, "another live run holds the target"),
    (STALE, "the saved plan is stale: named facts or sources moved"),
    (
        WAITING,
        "waiting for a person (a gate, a step whose state is unknown, or an answer that only `--yes` or a terminal can give)",
    ),
    (HELD, "a policy or an unmet precondition holds it"),
    (INTERNAL, "internal error"),
];
