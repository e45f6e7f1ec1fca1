//! Servers that outlive the engine.
//!
//! Everything else that a step starts dies with the engine. A *service* does not: it is started by
//! the engine's own process through a small program, usually the same binary with a hidden
//! subcommand that calls [`become_service`]. That makes a session of its own, drops its privileges,
//! writes down who it is, and only then becomes the server; so nothing runs that nobody knows of.
//!
//! A service is known by process number *and* start time. A number that was used again is never
//! signalled.

mod end;
mod entry;
mod memory;
mod spec;
mod start;
mod stub;

pub use end::Ended;
pub use entry::ServiceEntry;
pub use spec::{Account, ServiceSpec};
pub use start::ServiceStarter;
pub use stub::{THIS_PROGRAM, become_service};
