//! A small HTTP server on loopback.

use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What the server says next.
#[derive(Clone)]
pub(crate) enum Answer {
    /// Status and body.
    Say(u16, &'static str),
    /// Status, location.
    Redirect(String),
    /// The request's own `Authorization` header as the body.
    Echo(u16),
    /// Nothing, with the connection open.
    Hang,
    /// Bytes that are no HTTP.
    Noise,
}

/// Answers each request with the first answer of a list; the last one stays.
pub(crate) struct Server {
    pub(crate) url: String,
    answers: Arc<Mutex<Vec<Answer>>>,
    requests: Arc<Mutex<Vec<String>>>,
    served: Arc<Mutex<Vec<u16>>>,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(answers: &[Answer]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let answers = Arc::new(Mutex::new(answers.to_vec()));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let served = Arc::new(Mutex::new(Vec::new()));
        let (a, r, s) = (answers.clone(), requests.clone(), served.clone());
        let task = tokio::spawn(async move {
            let mut open = Vec::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                open.push(tokio::spawn(one(stream, a.clone(), r.clone(), s.clone())));
            }
        });
        Self { url, answers, requests, served, task }
    }

    pub(crate) fn say(&self, answers: &[Answer]) {
        *self.answers.lock().unwrap() = answers.to_vec();
    }

    /// The status codes of all answers, without redirects.
    pub(crate) fn served(&self) -> Vec<u16> {
        self.served.lock().unwrap().clone()
    }

    /// The heads of all requests.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn one(
    mut stream: TcpStream,
    answers: Arc<Mutex<Vec<Answer>>>,
    requests: Arc<Mutex<Vec<String>>>,
    served: Arc<Mutex<Vec<u16>>>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    requests.lock().unwrap().push(head.clone());
    let answer = {
        let mut answers = answers.lock().unwrap();
        if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() }
    };
    if let Answer::Say(status, _) | Answer::Echo(status) = answer {
        served.lock().unwrap().push(status);
    }
    let text = match answer {
        Answer::Say(status, body) => say(status, body, ""),
        Answer::Redirect(to) => say(302, "", &format!("location: {to}\r\n")),
        Answer::Echo(status) => {
            let sent = head.lines().find_map(|l| l.strip_prefix("authorization: "));
            say(status, sent.unwrap_or("none"), "")
        }
        Answer::Hang => {
            // Ends when the other side gives up.
            let _ = stream.read_u8().await;
            return;
        }
        Answer::Noise => "220 mail.example ESMTP\r\n".to_owned(),
    };
    // The other side may have gone.
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.shutdown().await;
}

fn say(status: u16, body: &str, headers: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}
