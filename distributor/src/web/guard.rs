//! Who is let in: the host that was meant, the site that sent it, the token.
//!
//! ```text
//!            reading                    calling                    changing (drain, cancel)
//! loopback   free                       free                       token; off without one
//! elsewhere  token, or `open_reads`     token                      token
//! ```
//! Probes are free everywhere. A browser that lacks the token is led to the login page. What is
//! not there is said to be missing, and asked for in the wrong way to be so, before any token is
//! wanted: `/openapi.json` tells as much to everybody who reads the source.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use axum::http::header::{ACCEPT, AUTHORIZATION, COOKIE, HOST, HeaderName, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, Uri, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::problem::Kind;
use super::session;
use super::settings::Settings;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What a request wants, as far as it matters who sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Whether this process lives and can work: for machines, which name it as they please.
    Probe,
    /// The login page, what it is made of, and logging out.
    Door,
    /// To look.
    Read,
    /// To have a function called.
    Call,
    /// To change something.
    Change,
}

impl Wish {
    /// By method and path. What is not known to be harmless is a change.
    pub(crate) fn of(method: &Method, path: &str) -> Self {
        let reads = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE);
        match path {
            "/healthz" | "/readyz" if reads => Self::Probe,
            "/login" | "/logout" => Self::Door,
            _ if reads && path.starts_with("/assets/") => Self::Door,
            _ if reads => Self::Read,
            _ if path.starts_with("/api/v1/functions/") && path.ends_with("/call") => Self::Call,
            _ => Self::Change,
        }
    }
}

/// What the guard has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Let it in.
    Pass,
    /// Show the login page instead.
    Login,
    /// Refuse it, for this reason.
    Refuse(Kind, &'static str),
}

/// Whom a request was meant for, as its head says; judged before anything is known of its route.
/// Probes may name us as they please.
pub(crate) fn misdirected(
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
            None => return Some((Kind::BadRequest, "`Host` is no name or address with a port")),
        },
    };
    if Wish::of(method, uri.path()) == Wish::Probe {
        return None;
    }
    // Who names a host in the request's target too must mean us by both.
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

/// A host and perhaps a port, and nothing else.
fn plain(host: &str) -> Option<&str> {
    let parsed: Authority = host.parse().ok()?;
    let port = host.strip_prefix(parsed.host())?;
    let is_port = port.strip_prefix(':').is_none_or(|port| {
        port.bytes().all(|digit| digit.is_ascii_digit())
            && (port.is_empty() || parsed.port_u16().is_some())
    });
    (is_port && !host.contains('@')).then_some(host)
}

/// Judges a request for a route that there is; `now` is the time since 1970.
pub(crate) fn judge(
    settings: &Settings,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    now: Duration,
) -> Verdict {
    let wish = Wish::of(method, uri.path());
    if wish == Wish::Probe {
        return Verdict::Pass;
    }
    let target = uri.authority().map(Authority::as_str);
    let host = target.or(text(headers, HOST)).unwrap_or_default();
    if !method.is_safe() && is_foreign(headers, host) {
        return Verdict::Refuse(Kind::ForeignOrigin, "another site sent this, so nothing was done");
    }
    let free = match wish {
        Wish::Probe | Wish::Door => true,
        Wish::Read => settings.is_loopback() || settings.open_reads,
        Wish::Call => settings.is_loopback(),
        Wish::Change => false,
    };
    if free || is_known(settings, headers, now) {
        return Verdict::Pass;
    }
    if settings.token.is_none() {
        return Verdict::Refuse(
            Kind::ActionsOff,
            "this distributor has no token, so nothing can be changed here; set \
             SIMPLE_DIST_TOKEN_FILE",
        );
    }
    if wants_page(headers) {
        return Verdict::Login;
    }
    Verdict::Refuse(
        Kind::TokenNeeded,
        "send the token as `Authorization: Bearer <token>`, or as the password of a basic login",
    )
}

/// Whether it bears the token, or a session made with it.
pub(crate) fn is_known(settings: &Settings, headers: &HeaderMap, now: Duration) -> bool {
    let Some(token) = &settings.token else { return false };
    let shown = text(headers, AUTHORIZATION).and_then(credentials);
    let cookies = headers.get_all(COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
    shown.is_some_and(|shown| token.is(&shown))
        || cookies.into_iter().any(|cookies| session::lasts(token, cookies, now))
}

/// The token of `Bearer <token>`, or the password of `Basic <base64>`.
fn credentials(authorization: &str) -> Option<Vec<u8>> {
    let (scheme, rest) = authorization.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().as_bytes().to_vec());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let login = BASE64.decode(rest.trim()).ok()?;
    let colon = login.iter().position(|byte| *byte == b':')?;
    Some(login[colon + 1..].to_vec())
}

/// Whether a request for this host is for us. Another site can have its own name resolve to our
/// address, and its page would then be of one origin with us; it cannot do that with an address
/// in digits.
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

/// A host without its port, as it is compared.
fn name_of(host: &str) -> String {
    let digits = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let name = match host.rsplit_once(':') {
        Some((name, port)) if digits(port) => name,
        Some(_) | None => host,
    };
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// Whether a browser says that a page of another site sent it. Who sends neither header is no
/// browser, and then nobody else's login can be abused.
fn is_foreign(headers: &HeaderMap, host: &str) -> bool {
    let site = text(headers, SEC_FETCH_SITE);
    if site.is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return true;
    }
    let Some(origin) = headers.get(ORIGIN) else { return false };
    let authority = origin.to_str().ok().and_then(|origin| {
        let (scheme, authority) = origin.split_once("://")?;
        let port = match scheme {
            "http" => ":80",
            "https" => ":443",
            _ => return None,
        };
        Some((authority, port))
    });
    let Some((authority, port)) = authority else { return true };
    let plain = |host: &str| host.strip_suffix(port).unwrap_or(host).to_ascii_lowercase();
    plain(authority) != plain(host)
}

pub(crate) fn wants_page(headers: &HeaderMap) -> bool {
    text(headers, ACCEPT).is_some_and(|types| types.contains("text/html"))
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::super::settings::Secret;
    use super::*;

    const NOW: Duration = Duration::from_secs(1_800_000_000);
    const CANCEL: &str = "POST /api/v1/jobs/1/cancel";
    const CALL: &str = "POST /api/v1/functions/fib/call";
    const READ: &str = "GET /api/v1/status";

    fn on(listen: &str, token: Option<&str>) -> Settings {
        Settings {
            token: token.map(|token| Secret::new(token).unwrap()),
            hosts: vec!["dist.example".to_owned()],
            ..Settings::new(listen.parse().unwrap())
        }
    }

    fn loopback() -> Settings {
        on("127.0.0.1:8080", None)
    }

    fn everywhere() -> Settings {
        on("0.0.0.0:8080", Some("abc"))
    }

    fn verdict(settings: &Settings, request: &str, headers: &[(&'static str, &str)]) -> Verdict {
        let (method, path) = request.split_once(' ').unwrap();
        let mut map = HeaderMap::new();
        map.insert("host", "localhost:8080".parse().unwrap());
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        judge(settings, &method.parse().unwrap(), &path.parse().unwrap(), &map, NOW)
    }

    fn misdirected_by(request: &str, hosts: &[&str], version: Version) -> Option<Kind> {
        let (method, target) = request.split_once(' ').unwrap();
        let mut map = HeaderMap::new();
        for host in hosts {
            map.append("host", host.parse().unwrap());
        }
        let (method, uri) = (method.parse().unwrap(), target.parse().unwrap());
        misdirected(&loopback(), &method, &uri, version, &map).map(|(kind, _)| kind)
    }

    #[track_caller]
    fn passes(settings: &Settings, request: &str, headers: &[(&'static str, &str)]) {
        assert_eq!(verdict(settings, request, headers), Verdict::Pass, "{request} {headers:?}");
    }

    #[track_caller]
    fn refused(settings: &Settings, request: &str, headers: &[(&'static str, &str)], why: Kind) {
        match verdict(settings, request, headers) {
            Verdict::Refuse(kind, _) => assert_eq!(kind, why, "{request} {headers:?}"),
            other => panic!("{request} {headers:?}: {other:?}"),
        }
    }

    #[test]
    fn on_loopback_reading_and_calling_are_free() {
        for settings in [loopback(), on("127.0.0.1:8080", Some("abc")), on("[::1]:80", None)] {
            for request in [READ, CALL, "GET /", "GET /metrics", "HEAD /jobs/1"] {
                passes(&settings, request, &[]);
            }
        }
    }

    #[test]
    fn elsewhere_reading_and_calling_need_the_token() {
        for request in [READ, CALL, "GET /", "GET /metrics", "GET /openapi.json"] {
            refused(&everywhere(), request, &[], Kind::TokenNeeded);
            passes(&everywhere(), request, &[("authorization", "Bearer abc")]);
        }
    }

    #[test]
    fn open_reads_open_reading_alone() {
        let open = Settings { open_reads: true, ..everywhere() };
        passes(&open, READ, &[]);
        refused(&open, CALL, &[], Kind::TokenNeeded);
        refused(&open, CANCEL, &[], Kind::TokenNeeded);
    }

    #[test]
    fn changes_need_the_token_everywhere_and_are_off_without_one() {
        let changes =
            [CANCEL, "POST /workers/1/drain", "POST /anything", "DELETE /api/v1/status", "PUT /"];
        for request in changes {
            refused(&loopback(), request, &[], Kind::ActionsOff);
            refused(&loopback(), request, &[("authorization", "Bearer abc")], Kind::ActionsOff);
            let guarded = on("127.0.0.1:8080", Some("abc"));
            refused(&guarded, request, &[], Kind::TokenNeeded);
            passes(&guarded, request, &[("authorization", "Bearer abc")]);
        }
    }

    #[test]
    fn the_token_comes_in_three_ways() {
        let session = session::begin(&Secret::new("abc").unwrap(), NOW);
        let session = session.split(';').next().unwrap();
        for (header, value) in [
            ("authorization", "Bearer abc"),
            ("authorization", "bearer abc"),
            // "anybody:abc"
            ("authorization", "Basic YW55Ym9keTphYmM="),
            ("cookie", session),
        ] {
            passes(&everywhere(), CANCEL, &[(header, value)]);
        }
        for (header, value) in [
            ("authorization", "Bearer abd"),
            ("authorization", "Bearer "),
            ("authorization", "abc"),
            ("authorization", "Basic abc"),
            // "abc:x"
            ("authorization", "Basic YWJjOng="),
            ("cookie", "simple-dist-session=abc"),
        ] {
            refused(&everywhere(), CANCEL, &[(header, value)], Kind::TokenNeeded);
        }
    }

    #[test]
    fn probes_and_the_door_are_free() {
        for request in ["GET /healthz", "GET /readyz", "GET /login", "GET /assets/page.css"] {
            passes(&everywhere(), request, &[]);
        }
        passes(&everywhere(), "POST /login", &[]);
    }

    #[test]
    fn a_browser_is_led_to_the_login_page() {
        let html = ("accept", "text/html,application/xhtml+xml");
        assert_eq!(verdict(&everywhere(), "GET /jobs", &[html]), Verdict::Login);
        assert_eq!(verdict(&everywhere(), "POST /workers/1/drain", &[html]), Verdict::Login);
    }

    #[test]
    fn only_our_names_are_answered() {
        let meant = |host: &str| misdirected_by(READ, &[host], Version::HTTP_11);
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
                assert_eq!(misdirected_by(request, &hosts, new), Some(Kind::BadRequest));
            }
            assert_eq!(misdirected_by(request, &[], new), Some(Kind::BadRequest), "{request}");
        }
        assert_eq!(misdirected_by("GET /healthz", &["10.1.2.3.nip.example"], new), None);
        assert_eq!(misdirected_by("GET /healthz", &[], old), None);
        assert_eq!(misdirected_by(READ, &[], old), Some(Kind::WrongHost));
    }

    #[test]
    fn a_host_in_the_target_must_be_ours_too() {
        let meant = |target: &str, host| {
            misdirected_by(&format!("GET {target}"), &[host], Version::HTTP_11)
        };
        assert_eq!(meant("http://localhost/api/v1/status", "localhost"), None);
        for (target, host) in [
            ("http://evil.example/", "localhost"),
            ("http://localhost/", "evil.example"),
            ("http://evil@localhost/", "localhost"),
        ] {
            assert_eq!(meant(target, host), Some(Kind::WrongHost), "{target}");
        }
    }

    #[test]
    fn another_site_changes_and_calls_nothing() {
        let session = session::begin(&Secret::new("abc").unwrap(), NOW);
        let cookie = ("cookie", session.split(';').next().unwrap());
        let guarded = on("127.0.0.1:8080", Some("abc"));
        for foreign in [
            ("origin", "http://evil.example"),
            ("origin", "http://localhost:9999"),
            ("origin", "null"),
            ("origin", "ftp://localhost:8080"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            for request in [CANCEL, CALL, "POST /login", "POST /logout"] {
                refused(&guarded, request, &[foreign, cookie], Kind::ForeignOrigin);
            }
            passes(&guarded, READ, &[foreign]);
        }
        for own in [("origin", "http://localhost:8080"), ("sec-fetch-site", "same-origin")] {
            passes(&guarded, CANCEL, &[own, cookie]);
        }
        let proxied = [("host", "dist.example"), ("origin", "https://dist.example:443"), cookie];
        passes(&guarded, CANCEL, &proxied);
    }
}
