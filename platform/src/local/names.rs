//! Names of services as values spell them.

/// The service and namespace of a host name: `x.ns.svc.cluster.local`, `x.ns.svc`, `x.ns`, or `x`
/// for one of the own namespace. An address is none.
pub(crate) fn service_host(host: &str, own: &str) -> Option<(String, String)> {
    let host = host.trim_end_matches('.');
    let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let parts: Vec<&str> = host.split('.').collect();
    if host == "localhost" || parts.iter().any(|p| p.is_empty() || !p.chars().all(letters)) {
        return None;
    }
    let (service, namespace) = match parts[..] {
        [service] => (service, own),
        [service, namespace] => (service, namespace),
        [service, namespace, "svc", ..] => (service, namespace),
        _ => return None,
    };
    // An address is made of numbers only.
    let number = |p: &&str| p.chars().all(|c| c.is_ascii_digit());
    (!parts.iter().all(number)).then(|| (service.to_owned(), namespace.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_known_by_every_spelling_of_theirs() {
        let some = |s: &str, n: &str| Some((s.to_owned(), n.to_owned()));
        for (host, expected) in [
            ("db-pgpool.platform.svc.cluster.local", some("db-pgpool", "platform")),
            ("db-pgpool.platform.svc.cluster.local.", some("db-pgpool", "platform")),
            ("db-pgpool.platform.svc", some("db-pgpool", "platform")),
            ("db-pgpool.platform", some("db-pgpool", "platform")),
            ("db-pgpool", some("db-pgpool", "apps")),
            ("127.0.0.1", None),
            ("localhost", None),
            ("::1", None),
            ("db.example.org.uk", None),
            ("", None),
        ] {
            assert_eq!(service_host(host, "apps"), expected, "{host}");
        }
    }
}
