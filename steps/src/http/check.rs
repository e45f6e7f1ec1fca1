//! Parameters of `http.check`.

use reqwest::header::{HeaderName, HeaderValue};
use std::collections::BTreeMap;
use std::time::Duration;
use workplan_engine::kind::{
    Class, Kind, OutputType, ParamProblem, ParamSpec, ParamType, Step, With,
};

use super::expected::Expected;
use super::request::{Method, Request};
use super::step::CheckStep;

/// Asks a URL until the answer is as expected.
///
/// Once it has passed, `GET` and `HEAD` are asked again whenever the step is looked at; it is
/// done only while they pass. A `POST` is never asked by a look.
#[derive(Debug, Clone, Copy)]
pub struct HttpCheck;

/// The deadline of one request that gives none.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The time between two requests.
const EVERY: Duration = Duration::from_secs(1);

const PARAMS: &[ParamSpec] = &[
    ParamSpec {
        name: "url",
        ty: ParamType::String,
        required: true,
        doc: "What is asked: `http://…` or `https://…`, without credentials.",
    },
    optional(
        "method",
        ParamType::OneOf(&["GET", "HEAD", "POST"]),
        "`GET` (the default), `HEAD` or `POST` without a body.",
    ),
    optional(
        "status",
        ParamType::Strings,
        "Status codes that pass: `200` (the default), `2xx`, `200,204`.",
    ),
    optional("contains", ParamType::String, "A text that must be in the first 1 MiB of the body."),
    optional("headers", ParamType::Map, "Headers of the request."),
    optional(
        "secret_headers",
        ParamType::Secrets,
        "Headers with secret values. With them, redirects are followed within the same origin only.",
    ),
    optional(
        "timeout",
        ParamType::Duration,
        "Deadline of one request, its body included; `10s` by default.",
    ),
    optional(
        "wait",
        ParamType::Duration,
        "How long it is asked again until it passes; `0s` (the default) asks once.",
    ),
    optional("every", ParamType::Duration, "Time between two requests; `1s` by default."),
    optional(
        "ca",
        ParamType::String,
        "A PEM file with the only certificate authorities that count; without it those of this machine do.",
    ),
    optional(
        "insecure",
        ParamType::Bool,
        "Accepts any certificate. It proves nothing about who answered.",
    ),
    optional(
        "follow",
        ParamType::Bool,
        "Follows at most 10 redirects. Otherwise a redirect is the answer.",
    ),
];

const fn optional(name: &'static str, ty: ParamType, doc: &'static str) -> ParamSpec {
    ParamSpec { name, ty, required: false, doc }
}

impl Kind for HttpCheck {
    fn name(&self) -> &'static str {
        "http.check"
    }

    fn class(&self) -> Class {
        Class::Proof
    }

    fn about(&self) -> &'static str {
        "Asks a URL until status and body are as expected, or until `wait` is over. Proxies are \
         not honoured."
    }

    fn params(&self) -> &'static [ParamSpec] {
        PARAMS
    }

    fn outputs(&self, _with: &With) -> BTreeMap<String, OutputType> {
        BTreeMap::from([
            ("status".to_owned(), OutputType::Int),
            ("sha256".to_owned(), OutputType::String),
            ("tries".to_owned(), OutputType::Int),
        ])
    }

    fn build(&self, with: &With) -> Result<Box<dyn Step>, Vec<ParamProblem>> {
        let mut problems = Vec::new();
        let url = with.str("url").unwrap_or_default();
        if let Err(problem) = check_url(url) {
            problems.push(problem);
        }
        let method = match with.str("method") {
            Some("HEAD") => Method::Head,
            Some("POST") => Method::Post,
            _ => Method::Get,
        };
        if method == Method::Head && with.has("contains") {
            problems.push(ParamProblem::new(
                "contains",
                "an answer to `HEAD` has no body that could contain it",
            ));
        }
        if with.bool("insecure") && with.has("ca") {
            problems.push(ParamProblem::new(
                "insecure",
                "`insecure` accepts any certificate; `ca` would say nothing",
            ));
        }
        if with.duration("every") == Some(Duration::ZERO) {
            problems.push(ParamProblem::new("every", "`every` is zero: that would be a flood"));
        }
        if with.duration("timeout") == Some(Duration::ZERO) {
            problems.push(ParamProblem::new(
                "timeout",
                "`timeout` is zero: nothing can answer in no time",
            ));
        }
        headers(with, &mut problems);
        let expected = Expected::read(with).unwrap_or_else(|problem| {
            problems.push(problem);
            Expected::default()
        });
        if !problems.is_empty() {
            return Err(problems);
        }
        let request = Request {
            url: url.to_owned(),
            method,
            headers: with.map("headers"),
            secret_headers: with.secrets("secret_headers"),
            ca: with.str("ca").map(str::to_owned),
            insecure: with.bool("insecure"),
            follow: with.bool("follow"),
        };
        Ok(Box::new(CheckStep {
            request,
            expected,
            timeout: with.duration("timeout").unwrap_or(TIMEOUT),
            wait: with.duration("wait").unwrap_or(Duration::ZERO),
            every: with.duration("every").unwrap_or(EVERY),
        }))
    }
}

/// Whether a text still has references that are filled in later.
pub(super) fn is_open(text: &str) -> bool {
    text.contains("${{")
}

fn check_url(url: &str) -> Result<(), ParamProblem> {
    if is_open(url) {
        return Ok(());
    }
    let parsed = reqwest::Url::parse(url)
        .map_err(|e| ParamProblem::new("url", format!("`url` cannot be read: {e}")))?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(ParamProblem::new("url", "`url` starts with neither `http://` nor `https://`"));
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(ParamProblem::new("url", "`url` holds credentials, and it is shown and kept")
            .with_help("give them as a secret: `secret_headers: {Authorization: env:NAME}`"));
    }
    Ok(())
}

fn headers(with: &With, problems: &mut Vec<ParamProblem>) {
    let plain = with.map("headers");
    let secret = with.map("secret_headers");
    for (key, names) in [("headers", &plain), ("secret_headers", &secret)] {
        for (name, value) in names {
            if HeaderName::from_bytes(name.as_bytes()).is_err() {
                problems
                    .push(ParamProblem::new(key, format!("`{name}` is not the name of a header")));
            } else if key == "headers" && !is_open(value) && HeaderValue::from_str(value).is_err() {
                problems.push(ParamProblem::new(
                    key,
                    format!("the value of `{name}` cannot be sent: it has control characters"),
                ));
            }
        }
    }
    for name in plain.keys().filter(|p| secret.keys().any(|s| s.eq_ignore_ascii_case(p))) {
        problems.push(ParamProblem::new(
            "secret_headers",
            format!("`{name}` is given twice: under `headers` and under `secret_headers`"),
        ));
    }
}
