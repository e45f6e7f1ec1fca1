use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Carries, IngressError, Route, serve};

/// Long enough to be no reason for a failure.
const LONG: Duration = Duration::from_secs(60);

struct Way {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<Result<(), IngressError>>,
}

async fn way(carries: Carries, target: SocketAddr, drain: Duration) -> Way {
    let route = Route { carries, listen: "127.0.0.1:0".parse().unwrap(), target };
    let stop = CancellationToken::new();
    let (ready, address) = oneshot::channel();
    let told = stop.clone();
    let task = tokio::spawn(async move {
        serve(&[route], told, drain, |open| ready.send(open[0]).unwrap()).await
    });
    Way { address: address.await.unwrap(), stop, task }
}

async fn server() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Reads until a text has come.
async fn until(stream: &mut TcpStream, text: &str) -> String {
    let mut got = Vec::new();
    while !String::from_utf8_lossy(&got).contains(text) {
        let byte = stream.read_u8().await.unwrap_or_else(|_| {
            panic!("it ended before `{text}`: {}", String::from_utf8_lossy(&got))
        });
        got.push(byte);
    }
    String::from_utf8(got).unwrap()
}

const REQUEST: &[u8] =
    b"GET /a?b HTTP/1.1\r\nHost: gitea.example\r\nX-Forwarded-For: 9.9.9.9\r\n\r\n";

#[tokio::test]
async fn a_request_in_flight_is_finished_and_nobody_else_comes_in() {
    let (listener, target) = server().await;
    let way = way(Carries::Http, target, LONG).await;
    let mut client = TcpStream::connect(way.address).await.unwrap();
    let mut idle = TcpStream::connect(way.address).await.unwrap();
    client.write_all(REQUEST).await.unwrap();
    let (mut app, _) = listener.accept().await.unwrap();
    let head = until(&mut app, "\r\n\r\n").await.to_lowercase();
    assert!(head.starts_with("get /a?b http/1.1\r\n"), "{head}");
    assert!(head.contains("host: gitea.example\r\n"), "{head}");
    assert!(head.contains("x-forwarded-for: 127.0.0.1\r\n"), "{head}");
    assert!(!head.contains("9.9.9.9"), "{head}");

    way.stop.cancel();
    // Who asked for nothing is sent away at once.
    assert_eq!(idle.read(&mut [0]).await.unwrap(), 0);
    assert!(TcpStream::connect(way.address).await.is_err());
    app.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfi").await.unwrap();
    until(&mut client, "fi").await;
    app.write_all(b"ne").await.unwrap();
    until(&mut client, "ne").await;
    way.task.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_does_not_end_is_cut_at_the_deadline_and_counted() {
    let (listener, target) = server().await;
    let way = way(Carries::Http, target, Duration::from_millis(20)).await;
    let mut client = TcpStream::connect(way.address).await.unwrap();
    client.write_all(REQUEST).await.unwrap();
    let (mut app, _) = listener.accept().await.unwrap();
    until(&mut app, "\r\n\r\n").await;
    way.stop.cancel();
    let error = way.task.await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "1 connections were cut: they did not end within 20ms");
    assert_eq!(client.read(&mut [0]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn an_upload_passes_piece_by_piece() {
    let (listener, target) = server().await;
    let way = way(Carries::Http, target, LONG).await;
    let mut client = TcpStream::connect(way.address).await.unwrap();
    client
        .write_all(
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        )
        .await
        .unwrap();
    let (mut app, _) = listener.accept().await.unwrap();
    until(&mut app, "5\r\nhello\r\n").await;
    client.write_all(b"0\r\n\r\n").await.unwrap();
    until(&mut app, "0\r\n\r\n").await;
    app.write_all(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    assert!(until(&mut client, "\r\n\r\n").await.starts_with("HTTP/1.1 201 "));
}

#[tokio::test]
async fn when_nothing_is_behind_it_says_so() {
    let (listener, target) = server().await;
    drop(listener);
    let way = way(Carries::Http, target, LONG).await;
    let mut client = TcpStream::connect(way.address).await.unwrap();
    client.write_all(REQUEST).await.unwrap();
    let answer = until(&mut client, "refused\n").await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("nothing answers behind this ingress"), "{answer}");
}

#[tokio::test]
async fn bytes_are_in_flight_while_the_connection_is_open() {
    let (listener, target) = server().await;
    let way = way(Carries::Tcp, target, LONG).await;
    let mut client = TcpStream::connect(way.address).await.unwrap();
    let (mut app, _) = listener.accept().await.unwrap();
    way.stop.cancel();
    client.write_all(b"SSH-2.0-x\n").await.unwrap();
    until(&mut app, "SSH-2.0-x\n").await;
    app.write_all(b"bye\n").await.unwrap();
    until(&mut client, "bye\n").await;
    assert!(!way.task.is_finished());
    drop(app);
    drop(client);
    way.task.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let (_taken, at) = server().await;
    let route = Route { carries: Carries::Http, listen: at, target: at };
    let error = serve(&[route], CancellationToken::new(), LONG, |_| {}).await.unwrap_err();
    assert!(error.to_string().starts_with(&format!("failed to listen on {at}: ")), "{error}");
}

#[test]
fn routes_are_read_as_they_are_written() {
    for text in ["http:127.0.0.1:21010=127.0.0.1:21011", "tcp:127.0.0.1:21012=[::1]:22"] {
        assert_eq!(text.parse::<Route>().unwrap().to_string(), text);
    }
    for text in ["", "http:", "udp:127.0.0.1:1=127.0.0.1:2", "http:127.0.0.1=127.0.0.1:2"] {
        assert!(text.parse::<Route>().is_err(), "{text}");
    }
}
