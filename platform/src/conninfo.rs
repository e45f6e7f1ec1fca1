//! `postgresql://` URLs, read as PostgreSQL's own tools read them.

use workplan_engine::kind::Secret;

use crate::DatabaseProblem;

/// What a URL says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ConnInfo {
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Secret>,
    pub(crate) host: Option<String>,
    pub(crate) port: Option<u16>,
    pub(crate) database: Option<String>,
}

/// Settings that change how the connection is made, not what is found there: passed by.
const WITHOUT_EFFECT: &[&str] = &[
    "application_name",
    "channel_binding",
    "client_encoding",
    "connect_timeout",
    "fallback_application_name",
    "gssencmode",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "sslcompression",
    "sslsni",
    "target_session_attrs",
    "tcp_user_timeout",
];

/// Whether a text is meant as a URL of a database.
pub(crate) fn is_url(text: &str) -> bool {
    text.starts_with("postgresql://") || text.starts_with("postgres://")
}

/// Takes the password out of a URL: the URL without it, and the password. `None` where it is no
/// such URL or has none.
///
/// It may stand before the host (`user:password@`) or among the settings (`?password=`); a `%` in
/// it is read as such a URL means it.
#[must_use]
pub fn split_password(text: &str) -> Option<(String, Secret)> {
    if !is_url(text) {
        return None;
    }
    let mut password = None;
    let mut url = text.to_owned();
    if let Some((from, to)) = parts(text).password {
        password = Some(percent_decode(&text.as_bytes()[from..to]));
        // With its colon.
        url.replace_range(from - 1..to, "");
    }
    if let Some((head, query)) = url.clone().split_once('?') {
        let mut kept = Vec::new();
        for pair in query.split('&') {
            match pair.split_once('=') {
                Some(("password", value)) => {
                    password = Some(percent_decode(value.as_bytes()));
                }
                _ => kept.push(pair),
            }
        }
        let query = kept.join("&");
        url = if query.is_empty() { head.to_owned() } else { format!("{head}?{query}") };
    }
    Some((url, Secret::new(password?)))
}

/// Where the pieces of a URL lie, as byte offsets.
struct Parts {
    user: Option<(usize, usize)>,
    password: Option<(usize, usize)>,
    hosts: (usize, usize),
    path: Option<(usize, usize)>,
    query: Option<(usize, usize)>,
}

fn parts(url: &str) -> Parts {
    let start = url.find("://").map_or(0, |at| at + 3);
    let rest = &url[start..];
    let query_at = rest.find('?').unwrap_or(rest.len());
    let authority_end = rest[..query_at].find('/').unwrap_or(query_at);
    // The last `@`: one in a password should be written `%40`, and often is not.
    let at = rest[..authority_end].rfind('@');
    let (user, password) = match at {
        None => (None, None),
        Some(at) => match rest[..at].find(':') {
            Some(colon) => (Some((start, start + colon)), Some((start + colon + 1, start + at))),
            None => (Some((start, start + at)), None),
        },
    };
    let hosts = (start + at.map_or(0, |at| at + 1), start + authority_end);
    let path = (authority_end < query_at).then_some((start + authority_end + 1, start + query_at));
    let query = (query_at < rest.len()).then_some((start + query_at + 1, url.len()));
    Parts { user, password, hosts, path, query }
}

/// Reads a URL.
///
/// # Errors
/// What is wrong with it; it never repeats what could be a password.
pub(crate) fn parse(url: &str) -> Result<ConnInfo, DatabaseProblem> {
    let problem = |text: &str| DatabaseProblem(text.to_owned());
    let parts = parts(url);
    let mut info = ConnInfo::default();
    let piece = |(from, to): (usize, usize)| &url[from..to];
    if let Some(user) = parts.user {
        info.user = Some(text(piece(user))?).filter(|u| !u.is_empty());
    }
    if let Some(password) = parts.password {
        info.password = Some(Secret::new(percent_decode(piece(password).as_bytes())));
    }
    let hosts = piece(parts.hosts);
    if hosts.contains(',') {
        return Err(problem("a URL names one host"));
    }
    let (host, port) = match hosts.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) =
                rest.split_once(']').ok_or_else(|| problem("the `[` of the host has no `]`"))?;
            (host, rest.strip_prefix(':'))
        }
        None => match hosts.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (hosts, None),
        },
    };
    info.host = Some(text(host)?).filter(|h| !h.is_empty());
    if let Some(port) = port.filter(|p| !p.is_empty()) {
        info.port = Some(port_of(port)?);
    }
    if let Some(path) = parts.path {
        info.database = Some(text(piece(path))?).filter(|d| !d.is_empty());
    }
    for pair in parts.query.map(piece).unwrap_or_default().split('&').filter(|p| !p.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        setting(&mut info, &text(key)?, value)?;
    }
    Ok(info)
}

fn setting(info: &mut ConnInfo, key: &str, value: &str) -> Result<(), DatabaseProblem> {
    match key {
        "host" | "hostaddr" => info.host = Some(text(value)?),
        "port" => info.port = Some(port_of(value)?),
        "user" => info.user = Some(text(value)?),
        "dbname" => info.database = Some(text(value)?),
        "password" => info.password = Some(Secret::new(percent_decode(value.as_bytes()))),
        "sslmode" if matches!(value, "disable" | "allow" | "prefer") => {}
        "sslmode" => {
            return Err(DatabaseProblem(
                "`sslmode` demands TLS, which is not spoken to databases yet; use a way that is \
                 private by itself (loopback, a tunnel) with `sslmode=prefer`"
                    .to_owned(),
            ));
        }
        key if WITHOUT_EFFECT.contains(&key) => {}
        key => {
            return Err(DatabaseProblem(format!(
                "the setting `{key}` in a URL is not understood; leave it out"
            )));
        }
    }
    Ok(())
}

fn port_of(value: &str) -> Result<u16, DatabaseProblem> {
    value.parse().ok().filter(|p| *p > 0).ok_or_else(|| {
        DatabaseProblem("the port in the URL is no number from 1 to 65535".to_owned())
    })
}

fn text(piece: &str) -> Result<String, DatabaseProblem> {
    String::from_utf8(percent_decode(piece.as_bytes()))
        .map_err(|_| DatabaseProblem("the URL holds bytes that are not UTF-8".to_owned()))
}

/// `%41` is `A`; a `%` without two hexadecimal digits stands for itself.
fn percent_decode(bytes: &[u8]) -> Vec<u8> {
    let digit = |b: Option<&u8>| b.and_then(|b| char::from(*b).to_digit(16));
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match (byte, digit(bytes.get(at + 1)), digit(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                out.push(u8::try_from(high * 16 + low).unwrap_or_default());
                at += 3;
            }
            _ => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(url: &str) -> ConnInfo {
        parse(url).unwrap()
    }

    #[test]
    fn urls_in_all_their_shapes() {
        let all = info("postgresql://ann%20b:x@[::1]:5433/my%22db?sslmode=prefer");
        assert_eq!(all.user.as_deref(), Some("ann b"));
        assert_eq!((all.host.as_deref(), all.port), (Some("::1"), Some(5433)));
        assert_eq!(all.database.as_deref(), Some("my\"db"));
        let socket = info("postgres:///db?host=/run/pg&port=7");
        assert_eq!((socket.host.as_deref(), socket.port), (Some("/run/pg"), Some(7)));
        assert_eq!(info("postgresql://%2Frun%2Fpg/db").host.as_deref(), Some("/run/pg"));
        assert_eq!(info("postgresql://h").database, None);
        assert_eq!(info("postgresql://h?dbname=a@b").database.as_deref(), Some("a@b"));
        assert_eq!(info("postgresql://u@h:/").port, None);
    }

    #[test]
    fn what_cannot_be_used_is_said_without_the_password() {
        for url in [
            "postgresql://u:secret@h:99999/d",
            "postgresql://u:secret@a,b/d",
            "postgresql://u:secret@h/d?sslmode=require",
            "postgresql://u:secret@h/d?options=-cx%3Dy",
            "postgresql://u:secret@[::1/d",
        ] {
            let problem = parse(url).unwrap_err().to_string();
            assert!(!problem.contains("secret") && !problem.is_empty(), "{problem}");
        }
    }

    #[test]
    fn passwords_are_taken_out_and_decoded() {
        for (url, without, password) in [
            ("postgresql://u:p%40ss@h/d", "postgresql://u@h/d", "p@ss"),
            ("postgresql://u:p@ss@h/d", "postgresql://u@h/d", "p@ss"),
            ("postgres://u:100%@h/d", "postgres://u@h/d", "100%"),
            ("postgresql://u:@h/d", "postgresql://u@h/d", ""),
            ("postgresql://h/d?password=a%26b&port=7", "postgresql://h/d?port=7", "a&b"),
            ("postgresql://h/d?password=x", "postgresql://h/d", "x"),
            ("postgresql://:x@h/d", "postgresql://@h/d", "x"),
        ] {
            let (left, secret) = split_password(url).unwrap();
            assert_eq!((left.as_str(), secret.reveal()), (without, password.as_bytes()), "{url}");
            assert_eq!(parse(&left).unwrap().password, None);
        }
        for url in ["postgresql://u@h/d", "http://u:p@h/", "text", "postgresql://h:5432/d"] {
            assert_eq!(split_password(url), None, "{url}");
        }
    }
}
