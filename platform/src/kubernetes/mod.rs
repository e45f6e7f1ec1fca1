//! The platform `kubernetes`: Helm for releases, the API for the rest.
//!
//! `settings` is what a target file says, `cluster` the connection, `problem` what went wrong in
//! words. `record` reads Helm's own Secrets, `manifest` what a chart made, `shape` compares it with
//! what is live, `fixed` says what of it cannot change, `rights` asks what the account may do,
//! `workload` and `postgres` say what runs, `volume` what outlives it, `forward` is the way to a
//! port. `helm` calls the program, `operate` acts, `wait` waits by watches. `lease` keeps the
//! cluster for one run at a time, and remembers the one that is not finished.
//!
//! Nothing is kept outside of the cluster: who deployed a revision stands in the labels that Helm
//! keeps with it.

mod cluster;
mod fixed;
mod forward;
mod helm;
mod lease;
mod manifest;
mod operate;
mod postgres;
mod problem;
mod record;
mod rights;
mod settings;
mod shape;
mod view;
mod volume;
mod wait;
mod workload;

pub use lease::KubernetesGuard;
pub use operate::KubernetesOperate;
pub use view::KubernetesView;
