//! Whether a request names this server: protects against DNS rebinding.

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::http::header::HOST;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, Uri, Version};

use super::access::Access;
use super::problem::Kind;
use super::settings::Settings;

/// Why the request is for another host, if it is; checked before routing. Probes may use any name.
pub(crate) fn check(
    settings: &Settings,
    method: &Method,
    uri: &Uri,
    version: Version,
    headers: &HeaderMap,
) -> Option<(Kind, &'static str)> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(_), Some(_)) => return Some((Kind::BadRequest, "there is more than one `Host`")),
        (None, _) if version == Version::HTTP_11 => {
            return Some((Kind::BadRequest, "there is no `Host`"));
        }
        (None, _) => None,
        (Some(host), None) if host.is_empty() => None,
        (Some(host), None) => match host.to_str().ok().and_then(plain) {
            Some(host) => Some(host),
            None => {
                return Some((
                    Kind::BadRequest,
                    "`Host` is not a host name or address with an optional port",
                ));
            }
        },
    };
    if Access::of(method, uri.path()) == Access::Probe {
        return None;
    }
    // An absolute request target must name us as well.
    let ours =
        |host: Option<&str>| host.and_then(plain).is_some_and(|host| is_ours(settings, host));
    let target = uri.authority().map(Authority::as_str);
    let is_ours = match (target, host) {
        (Some(target), Some(host)) => ours(Some(target)) && ours(Some(host)),
        (target, host) => ours(target.or(host)),
    };
    (!is_ours)
        .then_some((Kind::WrongHost, "this host name is not one of ours; --allow-host adds one"))
}

/// The host, if it is a name or address with an optional port and nothing else.
fn plain(host: &str) -> Option<&str> {
    let parsed: Authority = host.parse().ok()?;
    let port = host.strip_prefix(parsed.host())?;
    let is_port = port.strip_prefix(':').is_none_or(|port| {
        port.bytes().all(|digit| digit.is_ascii_digit())
            && (port.is_empty() || parsed.port_u16().is_some())
    });
    (is_port && !host.contains('@')).then_some(host)
}

/// Whether this host is ours. Another site can make its own name resolve to our address, and its
/// page would then share our origin; it cannot do that with a literal IP address.
fn is_ours(settings: &Settings, host: &str) -> bool {
    let name = name_of(host);
    let is_digits = name.parse::<Ipv4Addr>().is_ok()
        || name
            .strip_prefix('[')
            .and_then(|name| name.strip_suffix(']'))
            .is_some_and(|name| name.parse::<Ipv6Addr>().is_ok());
    is_digits
        || name == "localhost"
        || name.ends_with(".localhost")
        || settings.hosts.iter().any(|allowed| name_of(allowed) == name)
}

/// The host without its port, normalized for comparison.
fn name_of(host: &str) -> String {
    let digits = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let name = match host.rsplit_once(':') {
        Some((name, port)) if digits(port) => name,
        Some(_) | None => host,
    };
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: &str = "GET /api/v1/status";
    const CALL: &str = "POST /api/v1/functions/fib/call";

    fn host_problem(request: &str, hosts: &[&str], version: Version) -> Option<Kind> {
        let (method, target) = request.split_once(' ').unwrap();
        let mut map = HeaderMap::new();
        for host in hosts {
            map.append("host", host.parse().unwrap());
        }
        let hosts = vec!["dist.example".to_owned()];
        let settings = Settings { hosts, ..Settings::new("127.0.0.1:8080".parse().unwrap()) };
        let (method, uri) = (method.parse().unwrap(), target.parse().unwrap());
        check(&settings, &method, &uri, version, &map).map(|(kind, _)| kind)
    }

    #[test]
    fn only_allowed_hosts_are_answered() {
        let meant = |host: &str| host_problem(READ, &[host], Version::HTTP_11);
        for host in [
            "localhost",
            "LOCALHOST:8080",
            "localhost:",
            "simple.localhost:1",
            "127.0.0.1:8080",
            "192.168.1.7:8080",
            "[::1]:8080",
            "dist.example",
            "Dist.Example.:443",
        ] {
            assert_eq!(meant(host), None, "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "dist.example.evil",
            "",
            "localhost..",
            ":80",
        ] {
            assert_eq!(meant(host), Some(Kind::WrongHost), "{host}");
        }
        for host in [
            "evil@localhost",
            "localhost:x",
            "localhost:99999",
            "localhost:80:80",
            "localhost/",
            "local host",
            "localhost, localhost",
        ] {
            assert_eq!(meant(host), Some(Kind::BadRequest), "{host}");
        }
    }

    #[test]
    fn a_request_names_one_host() {
        let (old, new) = (Version::HTTP_10, Version::HTTP_11);
        let (two, both) = (["localhost", "localhost"], ["localhost", "evil.example"]);
        for request in [READ, CALL, "GET /healthz", "GET /nowhere"] {
            for hosts in [two, both] {
                assert_eq!(host_problem(request, &hosts, new), Some(Kind::BadRequest));
            }
            assert_eq!(host_problem(request, &[], new), Some(Kind::BadRequest), "{request}");
        }
        assert_eq!(host_problem("GET /healthz", &["10.1.2.3.nip.example"], new), None);
        assert_eq!(host_problem("GET /healthz", &[], old), None);
        assert_eq!(host_problem(READ, &[], old), Some(Kind::WrongHost));
    }

    #[test]
    fn a_host_in_the_request_target_is_checked_too() {
        let meant =
            |target: &str, host| host_problem(&format!("GET {target}"), &[host], Version::HTTP_11);
        assert_eq!(meant("http://localhost/api/v1/status", "localhost"), None);
        for (target, host) in [
            ("http://evil.example/", "localhost"),
            ("http://localhost/", "evil.example"),
            ("http://evil@localhost/", "localhost"),
        ] {
            assert_eq!(meant(target, host), Some(Kind::WrongHost), "{target}");
        }
    }
}
