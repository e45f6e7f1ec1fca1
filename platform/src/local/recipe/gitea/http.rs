//! A question to a Gitea on loopback.

use std::net::Ipv4Addr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::{Method, Request, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// The most of an answer that is read, in bytes.
const MOST: usize = 1024 * 1024;

/// Who asks.
pub(super) enum Who<'a> {
    Nobody,
    /// User and password.
    User(&'a str, &'a [u8]),
    /// An access token.
    Token(&'a str),
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// What an API error says of itself.
    pub(super) fn message(&self) -> String {
        match self.json()["message"].as_str() {
            Some(message) => message.to_owned(),
            None => String::from_utf8_lossy(&self.body).chars().take(200).collect(),
        }
    }
}

/// Asks once.
///
/// # Errors
/// Why there was no whole answer.
pub(super) async fn ask(
    port: u16,
    method: Method,
    path: &str,
    who: &Who<'_>,
    body: Option<&Value>,
    within: Duration,
) -> Result<Answer, String> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, format!("127.0.0.1:{port}"))
        .header(header::CONNECTION, "close");
    match who {
        Who::Nobody => {}
        Who::User(user, password) => {
            let both = [user.as_bytes(), b":", password].concat();
            request =
                request.header(header::AUTHORIZATION, format!("Basic {}", STANDARD.encode(both)));
        }
        Who::Token(token) => {
            request = request.header(header::AUTHORIZATION, format!("token {token}"));
        }
    }
    let mut text = Bytes::new();
    if let Some(body) = body {
        request = request.header(header::CONTENT_TYPE, "application/json");
        text = Bytes::from(body.to_string());
    }
    let request = request.body(Full::new(text)).map_err(|e| e.to_string())?;
    let work = async {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))
            .await
            .map_err(|e| e.kind().to_string())?;
        let (mut way, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|e| e.to_string())?;
        // Its end is seen by the request on it.
        tokio::spawn(connection);
        let answer = way.send_request(request).await.map_err(|e| e.to_string())?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), MOST).collect().await;
        Ok(Answer { status, body: body.map_err(|e| e.to_string())?.to_bytes() })
    };
    match tokio::time::timeout(within, work).await {
        Ok(answered) => answered.map_err(|why: String| format!("port {port}: {why}")),
        Err(_) => Err(format!(
            "port {port} gave no answer within {}",
            workplan_engine::duration::format(within)
        )),
    }
}
