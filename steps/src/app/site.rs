//! One Gitea over HTTP, and the account that logs in.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method};
use serde_json::Value;

use workplan_engine::kind::{Look, Secret, StepError};
use workplan_platform::{AppView, Endpoint, PlatformError, Reached, View, deployed};

use super::miss::Miss;
use crate::http::words;

/// What is kept of a body, in bytes: more than any page or answer that is asked for here.
const KEPT: usize = 4 * 1024 * 1024;

/// An account with its password.
pub(super) struct Account {
    pub(super) user: String,
    pub(super) password: Secret,
}

/// A way to a Gitea that was found once, and is the same for all requests.
pub(super) struct Site {
    /// `http://127.0.0.1:21010`, without a slash at the end.
    pub(super) base: String,
    /// The name that clients give it, where the address is not it.
    pub(super) host: Option<String>,
    client: Client,
    /// Ends the way there when dropped.
    _way: Reached,
}

/// An answer.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Reply {
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// A miss that shows the beginning of this answer.
    pub(super) fn miss(&self, what: impl Into<String>) -> Miss {
        Miss { what: what.into(), said: vec![words::excerpt(&self.body, &[])] }
    }
}

impl Account {
    /// The administrator of an application, with the password that is deployed.
    ///
    /// # Errors
    /// When there is none, or the password is not to be had.
    pub(super) async fn admin(
        look: &Look,
        view: &dyn View,
        app: &AppView,
    ) -> Result<Self, StepError> {
        let Some((user, key)) = &app.admin else {
            return Err(StepError::failed(format!("`{}` has no administrator", app.at)).with_help(
                "its values name one: `gitea.admin.username` and `password`, or `existingSecret`",
            ));
        };
        let password = deployed(view, key).await?;
        look.conceal(&password);
        Ok(Self { user: user.clone(), password })
    }

    /// The value of an `Authorization` header. It is as secret as the password, and is spelled
    /// otherwise.
    pub(super) fn basic(&self, look: &Look) -> Secret {
        let both = [self.user.as_bytes(), b":", self.password.reveal()].concat();
        let encoded = STANDARD.encode(both);
        look.conceal(&Secret::new(encoded.as_bytes()));
        Secret::new(format!("Basic {encoded}").into_bytes())
    }
}

impl Site {
    /// Finds a way to an endpoint. Asks nothing yet.
    ///
    /// # Errors
    /// When the platform knows no way there.
    pub(super) async fn at(view: &dyn View, endpoint: &Endpoint) -> Result<Self, PlatformError> {
        let way = view.reach(endpoint).await?;
        let host = match endpoint {
            Endpoint::Address { host, port } if host.parse::<std::net::IpAddr>().is_err() => {
                Some(if *port == 80 { host.clone() } else { format!("{host}:{port}") })
            }
            _ => None,
        };
        // An error says that one is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .no_proxy()
            .user_agent("workplan")
            // Each request meets whoever answers now, not who answered the one before.
            .pool_max_idle_per_host(0)
            .redirect(reqwest::redirect::Policy::none())
            // Only plain HTTP is spoken here, and a machine may have no certificates to load.
            .tls_danger_accept_invalid_certs(true)
            .build()
            .map_err(|e| {
                let why = words::innermost(&e);
                PlatformError::failed(format!("no connection can be made: {why}"))
            })?;
        Ok(Self { base: format!("http://{}", way.address), host, client, _way: way })
    }

    /// Where a page of it says that it comes from.
    pub(super) fn origin(&self) -> String {
        match &self.host {
            Some(host) => format!("http://{host}"),
            None => self.base.clone(),
        }
    }

    /// Asks once. Redirects are answers.
    ///
    /// # Errors
    /// Why there was no complete answer.
    pub(super) async fn ask(&self, ask: Ask<'_>) -> Result<Reply, Miss> {
        let url = reqwest::Url::parse(&format!("{}{}", self.base, ask.path))
            .map_err(|e| Miss::new(format!("`{}` cannot be asked for: {e}", ask.path)))?;
        let in_words = |e: reqwest::Error| Miss::new(words::of(&e, &url, ask.within));
        let mut request =
            self.client.request(ask.method, url.clone()).headers(ask.headers).timeout(ask.within);
        if let Some(host) = &self.host {
            request = request.header(HOST, host);
        }
        if let Some(basic) = ask.basic {
            let mut value = HeaderValue::from_bytes(basic.reveal())
                .map_err(|_| Miss::new("the login cannot be sent as a header"))?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let mut answer = request.body(ask.body).send().await.map_err(in_words)?;
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(in_words)? {
            let room = KEPT.saturating_sub(body.len()).min(piece.len());
            body.extend_from_slice(&piece[..room]);
        }
        Ok(Reply { status: answer.status().as_u16(), headers: answer.headers().clone(), body })
    }
}

/// One request.
pub(super) struct Ask<'a> {
    method: Method,
    path: &'a str,
    headers: HeaderMap,
    basic: Option<&'a Secret>,
    body: Vec<u8>,
    within: Duration,
}

impl<'a> Ask<'a> {
    pub(super) fn new(method: Method, path: &'a str, within: Duration) -> Self {
        Self { method, path, headers: HeaderMap::new(), basic: None, body: Vec::new(), within }
    }

    pub(super) fn get(path: &'a str, within: Duration) -> Self {
        Self::new(Method::GET, path, within)
    }

    pub(super) fn with_login(mut self, basic: &'a Secret) -> Self {
        self.basic = Some(basic);
        self
    }

    pub(super) fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    pub(super) fn with_json(mut self, json: &Value) -> Self {
        self.body = json.to_string().into_bytes();
        self.with_header(CONTENT_TYPE, "application/json")
    }

    /// Fields as a browser sends a form.
    pub(super) fn with_form(mut self, fields: &[(&str, &str)]) -> Self {
        // The query of a URL is spelled as a form is.
        let mut url = reqwest::Url::parse("http://form/").ok();
        if let Some(url) = &mut url {
            url.query_pairs_mut().extend_pairs(fields);
            self.body = url.query().unwrap_or_default().as_bytes().to_vec();
        }
        self.with_header(CONTENT_TYPE, "application/x-www-form-urlencoded")
    }
}

/// The endpoint that a step goes to.
///
/// # Errors
/// When the values make no way in from outside, and that is wanted.
pub(super) fn endpoint(app: &AppView, outside: bool) -> Result<Endpoint, StepError> {
    match (outside, &app.outside) {
        (false, _) => Ok(app.inside.clone()),
        (true, Some(endpoint)) => Ok(endpoint.clone()),
        (true, None) => Err(StepError::failed(format!(
            "the values of `{}` make no way in from outside",
            app.at
        ))
        .with_help("set `ingress.enabled` in them, or check `through: inside`")),
    }
}
