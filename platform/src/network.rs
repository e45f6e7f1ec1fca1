//! Plain addresses: what can be reached without any platform.

use async_trait::async_trait;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpStream, lookup_host};

use crate::error::PlatformError;
use crate::model::{
    AppView, Endpoint, Object, PartRef, PostgresHa, Release, ReleaseRef, ReleaseSpec, Rendered,
    SecretValues, Traffic, Volume, Workload,
};
use crate::platform::{Reached, View};
use crate::values::Values;

/// A view that knows addresses and no releases: enough for a server that is named by its host.
#[derive(Debug, Clone, Copy, Default)]
pub struct Network;

/// How long one of several addresses of a name may take to accept.
const ACCEPT: Duration = Duration::from_secs(5);

/// The address of a host. Where a name has several, the first that accepts a connection:
/// `localhost` is two, and many servers listen on one of them.
///
/// # Errors
/// When the name cannot be resolved.
pub async fn address(host: &str, port: u16) -> Result<SocketAddr, PlatformError> {
    let found: Vec<SocketAddr> = lookup_host((host, port))
        .await
        .map_err(|e| PlatformError::failed(format!("the name `{host}` cannot be resolved: {e}")))?
        .collect();
    let [first, rest @ ..] = found.as_slice() else {
        return Err(PlatformError::failed(format!("the name `{host}` has no address")));
    };
    if rest.is_empty() {
        return Ok(*first);
    }
    for address in &found {
        if let Ok(Ok(_)) = tokio::time::timeout(ACCEPT, TcpStream::connect(address)).await {
            return Ok(*address);
        }
    }
    // The error is then that of the connection itself.
    Ok(*first)
}

fn no_release<T>() -> Result<T, PlatformError> {
    Err(PlatformError::failed("a plain address has no releases"))
}

#[async_trait]
impl View for Network {
    async fn release(&self, _at: &ReleaseRef) -> Result<Option<Release>, PlatformError> {
        no_release()
    }

    async fn releases(&self) -> Result<Vec<Release>, PlatformError> {
        no_release()
    }

    async fn render(&self, _spec: &ReleaseSpec) -> Result<Rendered, PlatformError> {
        no_release()
    }

    async fn objects(&self, _at: &ReleaseRef) -> Result<Vec<Object>, PlatformError> {
        no_release()
    }

    async fn release_values(&self, _at: &ReleaseRef) -> Result<Option<Values>, PlatformError> {
        no_release()
    }

    async fn workloads(&self, _at: &ReleaseRef) -> Result<Vec<Workload>, PlatformError> {
        no_release()
    }

    async fn volumes(&self, _at: &ReleaseRef) -> Result<Vec<Volume>, PlatformError> {
        no_release()
    }

    async fn secret(
        &self,
        _namespace: &str,
        _name: &str,
    ) -> Result<Option<SecretValues>, PlatformError> {
        no_release()
    }

    async fn postgres(&self, _at: &PartRef) -> Result<PostgresHa, PlatformError> {
        no_release()
    }

    async fn app(&self, _at: &ReleaseRef) -> Result<AppView, PlatformError> {
        no_release()
    }

    async fn traffic(&self, _at: &ReleaseRef) -> Result<Traffic, PlatformError> {
        no_release()
    }

    async fn reach(&self, endpoint: &Endpoint) -> Result<Reached, PlatformError> {
        match endpoint {
            Endpoint::Address { host, port } => {
                Ok(Reached { address: address(host, *port).await?, guard: None })
            }
            other => Err(PlatformError::failed(format!("{other} is no plain address"))),
        }
    }
}
