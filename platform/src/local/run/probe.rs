//! Asking a server whether it answers. Each question has a deadline; a hang is an answer.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::local::pod::Probe;

/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(3);

/// Asks; the reason where there is no right answer. The process itself is somebody else's question.
pub(crate) async fn ask(probe: &Probe) -> Result<(), String> {
    ask_within(probe, ANSWER).await
}

/// The same with another deadline.
pub(crate) async fn ask_within(probe: &Probe, deadline: Duration) -> Result<(), String> {
    let port = match probe {
        Probe::Process => return Ok(()),
        Probe::Tcp(port) | Probe::Postgres(port) | Probe::Redis(port) | Probe::Http(port, _) => {
            port
        }
    };
    let work = async {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).await?;
        match probe {
            Probe::Process | Probe::Tcp(_) => Ok(true),
            Probe::Postgres(_) => postgres(&mut stream).await,
            Probe::Redis(_) => redis(&mut stream).await,
            Probe::Http(_, path) => http(&mut stream, path).await,
        }
    };
    match tokio::time::timeout(deadline, work).await {
        Err(_) => Err(format!(
            "port {port} gave no answer within {}",
            workplan_engine::duration::format(deadline)
        )),
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Err(format!("nothing listens on port {port}"))
        }
        Ok(Err(error)) => Err(format!("port {port}: {error}")),
        Ok(Ok(false)) => Err(format!("port {port} gave another answer than its kind of server")),
        Ok(Ok(true)) => Ok(()),
    }
}

/// An SSLRequest, to which every process that speaks the protocol says `S` or `N` before any login.
async fn postgres(stream: &mut TcpStream) -> io::Result<bool> {
    stream.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).await?;
    let mut answer = [0];
    stream.read_exact(&mut answer).await?;
    Ok(matches!(&answer, b"S" | b"N"))
}

/// A `PING`; a demand for the password is an answer, `LOADING` is none.
async fn redis(stream: &mut TcpStream) -> io::Result<bool> {
    stream.write_all(b"*1\r\n$4\r\nPING\r\n").await?;
    let mut answer = [0; 7];
    stream.read_exact(&mut answer).await?;
    Ok(&answer == b"+PONG\r\n" || &answer == b"-NOAUTH")
}

/// A `GET`; any status below 500 will do.
async fn http(stream: &mut TcpStream, path: &str) -> io::Result<bool> {
    let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await?;
    let status: u16 =
        std::str::from_utf8(&answer[9..]).ok().and_then(|s| s.parse().ok()).unwrap_or(0);
    Ok(answer.starts_with(b"HTTP/1.") && (100..500).contains(&status))
}
