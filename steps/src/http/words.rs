//! Why there was no answer, and what an answer said, in plain words.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::time::Duration;

use workplan_engine::duration;
use workplan_engine::kind::Secret;

/// What is shown of a body, in characters.
const SHOWN: usize = 200;

/// A failed request. Never repeats the URL's path or query.
pub(crate) fn of(error: &reqwest::Error, url: &reqwest::Url, timeout: Duration) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().map(|p| format!(":{p}")).unwrap_or_default();
    if error.is_timeout() {
        let within = duration::format(timeout);
        return if error.is_connect() {
            format!("no connection to {host}{port} within {within}")
        } else {
            format!("no complete answer from {host}{port} within {within}")
        };
    }
    if error.is_redirect() {
        return "it redirects too often".to_owned();
    }
    for cause in chain(error) {
        if let Some(tls) = tls(cause) {
            return format!("TLS with {host}{port} failed: {tls}");
        }
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            match io.kind() {
                ErrorKind::ConnectionRefused => {
                    return format!("connection refused: nothing listens at {host}{port}");
                }
                ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof => {
                    return format!("{host}{port} closed the connection without a complete answer");
                }
                ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
                    return format!("there is no way to {host}{port}");
                }
                _ => {}
            }
        }
        // The resolver's error type is private; its text is all there is.
        if cause.to_string() == "dns error" {
            return format!("the name `{host}` cannot be resolved: {}", innermost(error));
        }
    }
    format!("no answer from {host}{port}: {}", innermost(error))
}

/// The cause of all causes, which has no URL in it.
pub(crate) fn innermost(error: &reqwest::Error) -> String {
    chain(error).last().map_or_else(|| "it cannot be set up".to_owned(), ToString::to_string)
}

/// The causes below an error.
fn chain(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |cause| (*cause).source())
}

/// The TLS error that a cause is or holds. IO errors hide from `source` what they wrap, and wrap
/// each other.
fn tls<'e>(cause: &'e (dyn Error + 'static)) -> Option<&'e rustls::Error> {
    let mut held = cause;
    loop {
        if let Some(tls) = held.downcast_ref::<rustls::Error>() {
            return Some(tls);
        }
        held = held.downcast_ref::<io::Error>()?.get_ref()?;
    }
}

/// The beginning of a body on one line: without secrets, control and direction characters.
pub(crate) fn excerpt(body: &[u8], secrets: &[Secret]) -> String {
    let mut text = String::from_utf8_lossy(body).into_owned();
    for secret in secrets {
        let secret = String::from_utf8_lossy(secret.reveal());
        // `Bearer …` and the like: the part after the scheme is the secret as well.
        let last = secret.rsplit(' ').next().unwrap_or_default();
        for part in [secret.as_ref(), last].into_iter().filter(|part| !part.is_empty()) {
            text = text.replace(part, "[redacted]");
        }
    }
    let safe = |c: char| {
        let turns = matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
        if c.is_control() || turns { ' ' } else { c }
    };
    let line: String = text.chars().map(safe).collect();
    let words: Vec<&str> = line.split_whitespace().collect();
    words.join(" ").chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_one_harmless_line() {
        let body = "a\n\u{1b}[31mb \u{202e}c token: s3cret-s3cret ".to_owned() + &"x".repeat(400);
        let shown = excerpt(body.as_bytes(), &[Secret::new("Bearer s3cret-s3cret")]);
        assert!(shown.starts_with("a [31mb c token: [redacted] xxx"), "{shown}");
        assert_eq!(shown.chars().count(), SHOWN);
    }
}
