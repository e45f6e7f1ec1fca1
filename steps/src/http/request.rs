//! One request and its answer.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::time::Duration;

use workplan_engine::digest::hex;
use workplan_engine::kind::{ErrorCause, Look, Secret, SecretRef, StepError};

use super::words;

/// What is kept of a body, in bytes.
const KEPT: usize = 1024 * 1024;
/// Redirects that are followed.
const REDIRECTS: usize = 10;

/// The methods that a check may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Head,
    Post,
}

impl Method {
    /// Whether asking changes nothing, so that a look may ask.
    pub(super) fn is_safe(self) -> bool {
        self != Self::Post
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
        }
    }
}

/// What is asked, as the author wrote it.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) url: String,
    pub(super) method: Method,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) secret_headers: BTreeMap<String, SecretRef>,
    /// A PEM file, relative to the workplan's folder.
    pub(super) ca: Option<String>,
    pub(super) insecure: bool,
    pub(super) follow: bool,
}

/// What came back.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// The first mebibyte.
    pub(super) body: Vec<u8>,
    /// Of the whole body.
    pub(super) sha256: String,
}

/// A request with everything that it needs to be sent, again and again.
pub(super) struct Ready {
    client: Client,
    url: reqwest::Url,
    method: reqwest::Method,
    headers: HeaderMap,
    secrets: Vec<Secret>,
}

impl Request {
    /// Resolves secrets, reads certificates, builds the client. Sends nothing.
    ///
    /// # Errors
    /// When a secret or the file with the authorities is not to be had.
    pub(super) async fn ready(&self, look: &Look) -> Result<Ready, StepError> {
        let not_started = |what: String| StepError::new(ErrorCause::NotStarted, what);
        let url = reqwest::Url::parse(&self.url)
            .map_err(|e| not_started(format!("the URL cannot be read: {e}")))?;
        let mut headers = HeaderMap::new();
        let mut secrets = Vec::new();
        for (name, value) in &self.headers {
            let value = HeaderValue::from_str(value);
            insert(&mut headers, name, value.ok())
                .ok_or_else(|| not_started(format!("the header `{name}` cannot be sent")))?;
        }
        for (name, reference) in &self.secret_headers {
            let secret = look.secret(reference).await.map_err(|e| not_started(e.to_string()))?;
            let value = HeaderValue::from_bytes(secret.reveal()).map(|mut value| {
                value.set_sensitive(true);
                value
            });
            insert(&mut headers, name, value.ok()).ok_or_else(|| {
                not_started(format!(
                    "the secret `{reference}` cannot be a header: it has control characters"
                ))
            })?;
            secrets.push(secret);
        }
        let client = self.client(look, &url)?;
        let method = match self.method {
            Method::Get => reqwest::Method::GET,
            Method::Head => reqwest::Method::HEAD,
            Method::Post => reqwest::Method::POST,
        };
        Ok(Ready { client, url, method, headers, secrets })
    }

    fn client(&self, look: &Look, url: &reqwest::Url) -> Result<Client, StepError> {
        let not_started = |what: String| StepError::new(ErrorCause::NotStarted, what);
        // An error says that one is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .no_proxy()
            .user_agent("workplan")
            // Each request meets whoever answers now, not who answered the one before.
            .pool_max_idle_per_host(0)
            .redirect(self.redirects());
        // Without TLS the machine's certificates are not needed; on a machine that has none,
        // loading them would fail.
        let plain = url.scheme() == "http" && !self.follow;
        if self.insecure || plain {
            builder = builder.tls_danger_accept_invalid_certs(true);
        } else if let Some(ca) = &self.ca {
            let path = look.path(ca);
            let pem = std::fs::read(&path)
                .map_err(|e| not_started(format!("`{}` cannot be read: {e}", path.display())))?;
            let authorities = Certificate::from_pem_bundle(&pem).unwrap_or_default();
            if authorities.is_empty() {
                return Err(not_started(format!("`{}` holds no PEM certificate", path.display())));
            }
            builder = builder.tls_certs_only(authorities);
        }
        builder.build().map_err(|e| {
            not_started(format!("no connection can be made: {}", words::innermost(&e)))
        })
    }

    fn redirects(&self) -> Policy {
        if !self.follow {
            return Policy::none();
        }
        if self.secret_headers.is_empty() {
            return Policy::limited(REDIRECTS);
        }
        Policy::custom(|attempt| {
            let first = attempt.previous().first().map(reqwest::Url::origin);
            if attempt.previous().len() > REDIRECTS {
                attempt.error("too many redirects")
            } else if first.is_some_and(|origin| origin == attempt.url().origin()) {
                attempt.follow()
            } else {
                attempt.stop()
            }
        })
    }
}

fn insert(headers: &mut HeaderMap, name: &str, value: Option<HeaderValue>) -> Option<()> {
    headers.insert(HeaderName::from_bytes(name.as_bytes()).ok()?, value?);
    Some(())
}

impl Ready {
    /// Asks once.
    ///
    /// # Errors
    /// Why there was no complete answer, in plain words.
    pub(super) async fn ask(&self, timeout: Duration) -> Result<Answer, String> {
        let in_words = |e: reqwest::Error| words::of(&e, &self.url, timeout);
        let mut response = self
            .client
            .request(self.method.clone(), self.url.clone())
            .headers(self.headers.clone())
            .timeout(timeout)
            .send()
            .await
            .map_err(in_words)?;
        let mut body = Vec::new();
        let mut hash = Sha256::new();
        while let Some(chunk) = response.chunk().await.map_err(in_words)? {
            hash.update(&chunk);
            let room = KEPT.saturating_sub(body.len()).min(chunk.len());
            body.extend_from_slice(&chunk[..room]);
        }
        Ok(Answer { status: response.status().as_u16(), body, sha256: hex(&hash.finalize()) })
    }

    /// The beginning of a body, fit for a terminal and without the secrets that were sent.
    pub(super) fn excerpt(&self, answer: &Answer) -> String {
        words::excerpt(&answer.body, &self.secrets)
    }
}
