//! Gitea's API, as far as filling needs it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::exit;
use crate::failure::Failure;

/// Deadline of one request. The slowest, creating a user, hashes a password on a busy machine.
const REQUEST: Duration = Duration::from_secs(60);

/// What the LFS protocol calls its JSON.
const LFS: &str = "application/vnd.git-lfs+json";

/// Where a Gitea is and who fills it.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    /// `http://127.0.0.1:PORT`, without a slash at its end.
    pub(crate) url: String,
    /// The administrator.
    pub(crate) admin: String,
    /// The administrator's password.
    pub(crate) password: String,
}

/// Somebody who is logged in.
pub(super) struct Gitea {
    http: reqwest::Client,
    url: String,
    /// The value of `Authorization`.
    login: String,
    requests: AtomicU64,
}

/// A request's body.
pub(super) enum Body {
    None,
    Json(Value),
    Lfs(Value),
    /// Content and its type.
    Bytes(Vec<u8>, String),
}

impl Gitea {
    /// Logs in to a site with the administrator's password.
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub(super) fn by_password(site: &Site) -> Result<Self, Failure> {
        // The client is built with TLS, though nothing here uses it. Where a provider is there
        // already, it serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(REQUEST)
            .build()
            .map_err(|e| Failure::new(exit::FAILED, format!("failed to make a client: {e}")))?;
        let login = basic(&site.admin, &site.password);
        Ok(Self { http, url: site.url.clone(), login, requests: AtomicU64::new(0) })
    }

    /// The same site with a token. A password costs the server a slow hash at every request.
    pub(super) fn with_token(&self, token: &str) -> Self {
        Self {
            http: self.http.clone(),
            url: self.url.clone(),
            login: format!("token {token}"),
            requests: AtomicU64::new(0),
        }
    }

    /// Requests so far.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// The address, for git.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Sends a request and gives whatever comes back. `path` is a whole URL or begins with `/`.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Body,
        login: Option<&str>,
        sudo: Option<&str>,
    ) -> Result<(StatusCode, Vec<u8>), Failure> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let url =
            if path.contains("://") { path.to_owned() } else { format!("{}{path}", self.url) };
        let failed = |what: String| {
            Failure::new(exit::FAILED, format!("Gitea did not answer {method} {path}: {what}"))
        };
        let mut request = self
            .http
            .request(method.clone(), url)
            .header(AUTHORIZATION, login.unwrap_or(&self.login));
        if let Some(user) = sudo {
            request = request.header("Sudo", user);
        }
        request = match body {
            Body::None => request,
            Body::Json(json) => {
                request.header(CONTENT_TYPE, "application/json").body(json.to_string())
            }
            // The LFS server answers only who accepts what it speaks.
            Body::Lfs(json) => {
                request.header(ACCEPT, LFS).header(CONTENT_TYPE, LFS).body(json.to_string())
            }
            Body::Bytes(bytes, kind) => request.header(CONTENT_TYPE, kind).body(bytes),
        };
        let answer = request.send().await.map_err(|e| failed(chain(&e)))?;
        let status = answer.status();
        let bytes = answer.bytes().await.map_err(|e| failed(chain(&e)))?;
        Ok((status, bytes.to_vec()))
    }

    /// Calls the API as the administrator.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        json: Value,
    ) -> Result<Value, Failure> {
        self.call_as(None, method, path, json).await
    }

    /// Calls the API in somebody's name.
    pub(super) async fn call_as(
        &self,
        sudo: Option<&str>,
        method: Method,
        path: &str,
        json: Value,
    ) -> Result<Value, Failure> {
        let body = if json.is_null() { Body::None } else { Body::Json(json) };
        let api = format!("/api/v1{path}");
        let (status, bytes) = self.send(method.clone(), &api, body, None, sudo).await?;
        accepted(&method, path, status, &bytes)
    }

    /// Uploads a file as a form would.
    pub(super) async fn upload(
        &self,
        path: &str,
        name: &str,
        content: &[u8],
    ) -> Result<Value, Failure> {
        // The content is ours; it does not hold the mark.
        let mark = "workplan-lab-upload-7f3a9c";
        let mut body = format!(
            "--{mark}\r\nContent-Disposition: form-data; name=\"attachment\"; \
             filename=\"{name}\"\r\nContent-Type: application/octet-stream\r\n\r\n"
        )
        .into_bytes();
        body.extend_from_slice(content);
        body.extend_from_slice(format!("\r\n--{mark}--\r\n").as_bytes());
        let kind = format!("multipart/form-data; boundary={mark}");
        let api = format!("/api/v1{path}?name={name}");
        let (status, bytes) =
            self.send(Method::POST, &api, Body::Bytes(body, kind), None, None).await?;
        accepted(&Method::POST, path, status, &bytes)
    }
}

/// The value of `Authorization` for a name and a password.
pub(super) fn basic(user: &str, password: &str) -> String {
    use base64::Engine as _;
    let pair = format!("{user}:{password}");
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
}

/// The JSON of an answer that is a success.
pub(super) fn accepted(
    method: &Method,
    path: &str,
    status: StatusCode,
    bytes: &[u8],
) -> Result<Value, Failure> {
    if !status.is_success() {
        let said = String::from_utf8_lossy(bytes);
        let said: String = said.chars().take(300).collect();
        let mut failure = Failure::new(
            exit::FAILED,
            format!("Gitea answered {method} {path} with {}", status.as_u16()),
        );
        failure.causes.push(said);
        return Err(failure);
    }
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(bytes).map_err(|e| {
        Failure::new(exit::FAILED, format!("Gitea's answer to {method} {path} is no JSON: {e}"))
    })
}

/// An error of the HTTP client with its causes; its own text ends before the interesting part.
fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
