//! Port-forwards in process: a port on loopback, each connection of which is one to a pod.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use kube::api::ListParams;
use tokio::io::DuplexStream;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::cluster::Cluster;
use crate::PlatformError;
use crate::platform::Reached;

/// Ends the listener and its connections.
struct Guard(JoinHandle<()>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Cluster {
    /// A way to a port of a pod.
    ///
    /// # Errors
    /// When there is no such pod, or nothing in it listens there.
    pub(super) async fn reach_pod(
        self: &Arc<Self>,
        namespace: &str,
        pod: &str,
        port: u16,
    ) -> Result<Reached, PlatformError> {
        let api = self.api::<Pod>(namespace).await?;
        // The first connection is made now, so that what is wrong is said here and not as a
        // connection that ends at once.
        let first = self.open(&api, namespace, pod, port).await?;
        let failed = |e: std::io::Error| {
            PlatformError::failed(format!("failed to listen on a port of this machine: {e}"))
        };
        let listener =
            TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (this, namespace, pod) = (Arc::clone(self), namespace.to_owned(), pod.to_owned());
        let task = tokio::spawn(async move {
            let mut first = Some(first);
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let (this, api, given) = (Arc::clone(&this), api.clone(), first.take());
                let (namespace, pod) = (namespace.clone(), pod.clone());
                connections.spawn(async move {
                    let stream = match given {
                        Some(stream) => Some(stream),
                        None => this.open(&api, &namespace, &pod, port).await.ok(),
                    };
                    // Without a stream the socket is closed: who connected sees that.
                    if let Some(stream) = stream {
                        join(socket, stream).await;
                    }
                });
            }
        });
        Ok(Reached { address, guard: Some(Box::new(Guard(task))) })
    }

    async fn open(
        &self,
        api: &Api<Pod>,
        namespace: &str,
        pod: &str,
        port: u16,
    ) -> Result<DuplexStream, PlatformError> {
        let doing = format!("reach port {port} of the pod `{namespace}/{pod}`");
        let ports = [port];
        let mut forward = self.ask(&doing, || api.portforward(pod, &ports)).await?;
        let stream = forward.take_stream(port);
        stream.ok_or_else(|| PlatformError::failed(format!("failed to {doing}: no stream")))
    }

    /// A way to a port of a service: of one of its ready pods.
    ///
    /// # Errors
    /// When there is no such service or no pod behind it is ready.
    pub(super) async fn reach_service(
        self: &Arc<Self>,
        namespace: &str,
        service: &str,
        port: u16,
    ) -> Result<Reached, PlatformError> {
        let services = self.api::<Service>(namespace).await?;
        let slices = self.api::<EndpointSlice>(namespace).await?;
        let params = ListParams::default().labels(&format!("kubernetes.io/service-name={service}"));
        let doing = format!("read the service `{namespace}/{service}`");
        let (found, behind) = tokio::join!(
            self.ask(&doing, || services.get(service)),
            self.ask(&doing, || slices.list(&params)),
        );
        let (found, behind) = (found?, behind?);
        let ports = found.spec.and_then(|s| s.ports).unwrap_or_default();
        let Some(named) = ports.iter().find(|p| p.port == i32::from(port)) else {
            let what = format!("the service `{namespace}/{service}` has no port {port}");
            return Err(PlatformError::Missing(what));
        };
        for slice in behind.items {
            let target = slice.ports.iter().flatten().find(|p| p.name == named.name);
            let target = target.and_then(|p| u16::try_from(p.port?).ok());
            let ready = slice.endpoints.iter().find(|endpoint| {
                endpoint.conditions.as_ref().is_some_and(|c| c.ready == Some(true))
            });
            let pod = ready.and_then(|e| e.target_ref.as_ref()).and_then(|r| r.name.as_deref());
            if let (Some(target), Some(pod)) = (target, pod) {
                return self.reach_pod(namespace, pod, target).await;
            }
        }
        Err(PlatformError::failed(format!(
            "no pod behind the service `{namespace}/{service}` is ready"
        )))
    }
}

async fn join(mut socket: TcpStream, mut stream: DuplexStream) {
    // How it ends is seen at both ends.
    let _ = tokio::io::copy_bidirectional(&mut socket, &mut stream).await;
}
