//! The way in from outside: a process that takes requests at one port and hands them to another.
//!
//! It stands for the Ingress (or the LoadBalancer service) of a release. Shutting it is no release
//! change, and it does not touch the application.
//!
//! HTTP is handed on request by request, so that it is known which requests are in flight: when it
//! is told to stop, the port closes at once, connections without a request end at once, and those
//! with one get the time that was given. A connection that carries anything else (SSH) is in flight
//! while it is open.

use std::convert::Infallible;
use std::fmt;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::body::Incoming;
use hyper::client::conn::http1 as client;
use hyper::header::{HeaderName, HeaderValue};
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use nix::sys::signal::Signal;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use workplan_engine::process::THIS_PROGRAM;

use super::pod::{Container, PodPort, Probe, Stop};

/// What it is called as a service.
pub(super) const NAME: &str = "ingress";
/// How long what is in flight may take after it was told to stop. Long: somebody may be cloning.
/// Who cannot wait for that ends the process.
const DRAIN: Duration = Duration::from_secs(15 * 60);
/// How long the application may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// How long it is tried again to take the port: an ingress that is stopping lets go of it at once,
/// but the next one may be quicker.
const BIND: Duration = Duration::from_secs(3);

/// What a route carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carries {
    /// Requests.
    Http,
    /// Bytes, for example SSH.
    Tcp,
}

/// One port and where it leads. As text: `http:LISTEN=TARGET` or `tcp:LISTEN=TARGET`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// What it carries.
    pub carries: Carries,
    /// Where clients come in.
    pub listen: SocketAddr,
    /// Where the application listens.
    pub target: SocketAddr,
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.carries {
            Carries::Http => "http",
            Carries::Tcp => "tcp",
        };
        write!(f, "{scheme}:{}={}", self.listen, self.target)
    }
}

impl FromStr for Route {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a route: `http:LISTEN=TARGET` or `tcp:…`");
        let (scheme, rest) = text.split_once(':').ok_or_else(wrong)?;
        let carries = match scheme {
            "http" => Carries::Http,
            "tcp" => Carries::Tcp,
            _ => return Err(wrong()),
        };
        let (listen, target) = rest.split_once('=').ok_or_else(wrong)?;
        let address = |text: &str| text.parse::<SocketAddr>().map_err(|_| wrong());
        Ok(Self { carries, listen: address(listen)?, target: address(target)? })
    }
}

/// Why an ingress ended.
#[derive(Debug, thiserror::Error)]
pub enum IngressError {
    /// A port cannot be had.
    #[error("failed to listen on {at}: {why}")]
    Listen {
        /// The port.
        at: SocketAddr,
        /// Why.
        why: io::Error,
    },
    /// It was told to stop, and what was in flight did not end in time.
    #[error("{left} connections were cut: they did not end within {}", workplan_engine::duration::format(*.after))]
    Cut {
        /// How many.
        left: usize,
        /// The time that they had.
        after: Duration,
    },
}

/// Serves until `stop`, then ends what has nothing in flight and waits for the rest, `drain` at
/// most. `ready` is called when all ports are open.
///
/// # Errors
/// [`IngressError::Listen`] before anything is served, [`IngressError::Cut`] at the end.
pub async fn serve(
    routes: &[Route],
    stop: CancellationToken,
    drain: Duration,
    ready: impl FnOnce(&[SocketAddr]),
) -> Result<(), IngressError> {
    let mut doors = JoinSet::new();
    let mut open = Vec::new();
    let mut listeners = Vec::new();
    for route in routes {
        let listener = listen(route.listen).await?;
        open.push(listener.local_addr().unwrap_or(route.listen));
        listeners.push((*route, listener));
    }
    for (route, listener) in listeners {
        doors.spawn(accept(route, listener, stop.clone()));
    }
    ready(&open);
    let mut inside = Vec::new();
    while let Some(door) = doors.join_next().await {
        inside.extend(door);
    }
    let all = async {
        for connections in &mut inside {
            while connections.join_next().await.is_some() {}
        }
    };
    if timeout(drain, all).await.is_ok() {
        return Ok(());
    }
    Err(IngressError::Cut { left: inside.iter().map(JoinSet::len).sum(), after: drain })
}

/// It as a server of a pod.
pub(super) fn container(routes: &[Route], ports: Vec<PodPort>, probe: Probe) -> Container {
    let mut args = vec![NAME.to_owned()];
    args.extend(routes.iter().map(Route::to_string));
    Container {
        name: NAME.to_owned(),
        program: THIS_PROGRAM.into(),
        args,
        env: Vec::new(),
        secret_env: Vec::new(),
        cwd: None,
        ports,
        probe,
        // Where it is not left to itself, nobody waits for it.
        stop: Stop::by(Signal::SIGTERM, Duration::from_secs(1)),
    }
}

/// Runs it as this process until SIGTERM. What goes wrong is said on standard error, which is the
/// service's log.
pub(super) fn run(args: &[String]) -> i32 {
    let routes: Result<Vec<Route>, String> = args.iter().map(|arg| arg.parse()).collect();
    let ended = routes.and_then(|routes| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| format!("failed to start: {e}"))?;
        runtime.block_on(async {
            let stop = CancellationToken::new();
            let mut told = signal(SignalKind::terminate()).map_err(|e| e.to_string())?;
            let cancel = stop.clone();
            tokio::spawn(async move {
                told.recv().await;
                cancel.cancel();
            });
            serve(&routes, stop, DRAIN, |_| {}).await.map_err(|e| e.to_string())
        })
    });
    let Err(why) = ended else { return 0 };
    let _ = writeln!(io::stderr(), "ingress: {why}");
    1
}

async fn listen(at: SocketAddr) -> Result<TcpListener, IngressError> {
    let end = tokio::time::Instant::now() + BIND;
    loop {
        match TcpListener::bind(at).await {
            Ok(listener) => return Ok(listener),
            Err(why) if why.kind() != io::ErrorKind::AddrInUse => {
                return Err(IngressError::Listen { at, why });
            }
            Err(why) if tokio::time::Instant::now() >= end => {
                return Err(IngressError::Listen { at, why });
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Takes connections until `stop`; gives back those that are still open.
async fn accept(route: Route, listener: TcpListener, stop: CancellationToken) -> JoinSet<()> {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return connections,
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok((stream, peer)) => match route.carries {
                Carries::Http => {
                    connections.spawn(requests(stream, peer, route.target, stop.clone()));
                }
                Carries::Tcp => {
                    connections.spawn(bytes(stream, route.target));
                }
            },
            // Out of file descriptors, most likely: those that are open may give some back.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn bytes(mut near: TcpStream, target: SocketAddr) {
    // Who comes while nobody is there is turned away, as by a closed port.
    if let Ok(Ok(mut far)) = timeout(CONNECT, TcpStream::connect(target)).await {
        // How it ended is seen by both ends.
        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
    }
}

type Body = BoxBody<Bytes, hyper::Error>;

async fn requests(
    stream: TcpStream,
    peer: SocketAddr,
    target: SocketAddr,
    stop: CancellationToken,
) {
    let service = service_fn(move |request| async move {
        Ok::<_, Infallible>(hand_on(request, peer, target).await)
    });
    let connection = server::Builder::new().serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    // A client that went away is no trouble of ours.
    let _ = connection.await;
}

/// Each request has a connection of its own to the application: one that was kept could be closed
/// from the other end just when a request is on its way, and a write cannot be sent twice.
async fn hand_on(
    mut request: Request<Incoming>,
    peer: SocketAddr,
    target: SocketAddr,
) -> Response<Body> {
    let headers = request.headers_mut();
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    if let Ok(client) = HeaderValue::from_str(&peer.ip().to_string()) {
        headers.insert(HeaderName::from_static("x-forwarded-for"), client);
    }
    headers.insert(HeaderName::from_static("x-forwarded-proto"), HeaderValue::from_static("http"));
    let mut way = match connect(target).await {
        Ok(way) => way,
        Err(why) => return refuse(&format!("nothing answers behind this ingress: {why}")),
    };
    match way.send_request(request).await {
        Ok(mut answer) => {
            for name in HOP_BY_HOP {
                answer.headers_mut().remove(name);
            }
            answer.map(BodyExt::boxed)
        }
        Err(_) => refuse("what is behind this ingress ended the connection without an answer"),
    }
}

async fn connect(target: SocketAddr) -> Result<client::SendRequest<Incoming>, String> {
    let stream = match timeout(CONNECT, TcpStream::connect(target)).await {
        Err(_) => return Err("no connection in time".to_owned()),
        Ok(Err(why)) => return Err(why.kind().to_string()),
        Ok(Ok(stream)) => stream,
    };
    let (way, connection) =
        client::handshake(TokioIo::new(stream)).await.map_err(|why| why.to_string())?;
    // Its end is seen by the request on it.
    tokio::spawn(connection);
    Ok(way)
}

fn refuse(why: &str) -> Response<Body> {
    let body = Full::new(Bytes::from(format!("{why}\n"))).map_err(|never| match never {}).boxed();
    let mut answer = Response::new(body);
    *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    answer
}

/// Said to the next one alone, not to the one behind it.
const HOP_BY_HOP: [HeaderName; 5] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

#[cfg(test)]
mod tests;
