//! Questions over HTTP.
//!
//! - `check`: parameters of `http.check`
//! - `step`: when it asks, how often, and what counts
//! - `request`: one request and its answer
//! - `expected`: what an answer must be
//! - `words`: why there was no answer
//!
//! Proxies are not honoured, also not those that the environment names: a check says something
//! about the server, and must not depend on the shell it is started from. Certificates are
//! checked against the machine's own store, or against `ca` alone where it is given.

mod check;
mod expected;
mod request;
mod step;
pub(crate) mod words;

pub use check::HttpCheck;

/// A client for asking an application of the platform over loopback or a port-forward: no proxy,
/// no redirect, one deadline for the whole of a request.
///
/// # Errors
/// When TLS could not be set up.
pub(crate) fn plain_client(deadline: std::time::Duration) -> reqwest::Result<reqwest::Client> {
    // Only the first call in a process does something.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(deadline)
        .build()
}
