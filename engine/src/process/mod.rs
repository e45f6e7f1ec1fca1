//! Child processes that cannot outlive the engine, and what they print.
//!
//! Steps do not run as children of the engine but of a small *supervisor*: the same binary,
//! re-executed with a hidden subcommand that calls [`supervise()`]. It is a child subreaper, so that
//! a process that forks twice, calls `setsid`, ignores SIGTERM or holds an output pipe is still
//! its descendant. It learns of the engine's death from its closing socket, whatever the engine
//! died of, and then kills every descendant. Should the supervisor die first, its orphans go to
//! the engine ([`become_subreaper`]), which kills them and ends every run in flight with
//! [`ProcessError::SupervisorLost`].
//!
//! No cgroup is used: a writable delegated one is rare where operators work (a laptop, a CI
//! container, an SSH session as root), and the subreaper has to be right without it anyway.
//!
//! Servers of a platform are the exception: a [`ServiceSpec`] is started by the engine's own process,
//! is written down before it runs, and stays when the engine ends.
//!
//! A folder that must not outlive the engine, because secrets or a restored database lie in it in
//! plain, is removed by the supervisor when the engine has died ([`Supervisor::doom`]).
//!
//! What this cannot end: a process of another user that we may not signal (`sudo` in a step), one
//! in an uninterruptible kernel wait, and one that a foreign daemon (systemd, Docker) started at a
//! step's request. The first two are named in [`Finished::survivors`].

mod child;
mod client;
mod command;
mod error;
mod flow;
mod identity;
mod lock;
mod output;
mod redact;
mod run;
mod service;
mod supervise;
mod table;
mod trees;
mod wire;

pub use child::{Cause, ChildEnd, ChildSpec, Exit, Finished, Stdin};
pub(crate) use command::find_program;

pub use client::{Doomed, Supervisor, SupervisorConfig, become_subreaper, spare};
pub use error::ProcessError;
pub(crate) use identity::liveness;
pub use identity::{Liveness, ProcessId};
pub use lock::wait_supervisor_gone;
pub use redact::{RedactStream, Redactor};
pub use service::{
    Account, Ended, ServiceEntry, ServiceSpec, ServiceStarter, THIS_PROGRAM, become_service,
};
pub use supervise::{socket_from_stdin, supervise};
pub use wire::{ATTEMPT_VARIABLE, NamedProcess};
