//! Which requests are allowed, by what they ask for, where they come from, and the token.
//!
//! ```text
//!            reading                    calling                    changing (drain, cancel)
//! loopback   free                       free                       token; off without one
//! elsewhere  token, or `open_reads`     token                      token
//! ```
//! Probes are free everywhere. A browser without the token is redirected to the login page. A
//! missing route (404) or a wrong method (405) is reported without asking for a token:
//! `/openapi.json` reveals as much to anybody who reads the source.

use std::time::Duration;

use axum::http::header::{ACCEPT, AUTHORIZATION, COOKIE, HOST, HeaderName, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, Uri};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::problem::Kind;
use super::session;
use super::settings::Settings;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What a request asks for, as far as access depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Whether this process is alive and ready; sent by machines, under any host name.
    Probe,
    /// The login page, its assets, and logging out.
    Login,
    /// Reading anything else.
    Read,
    /// Calling a function.
    Call,
    /// Changing something.
    Change,
}

impl Access {
    /// Decides by method and path. Whatever is not known to be harmless counts as a change.
    pub(crate) fn of(method: &Method, path: &str) -> Self {
        let reads = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE);
        match path {
            "/healthz" | "/readyz" if reads => Self::Probe,
            "/login" | "/logout" => Self::Login,
            _ if reads && path.starts_with("/assets/") => Self::Login,
            _ if reads => Self::Read,
            _ if path.starts_with("/api/v1/functions/") && path.ends_with("/call") => Self::Call,
            _ => Self::Change,
        }
    }
}

/// What to do with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Allow it.
    Pass,
    /// Show the login page instead.
    LoginPage,
    /// Refuse it, for this reason.
    Refuse(Kind, &'static str),
}

/// Decides about a request for an existing route; `now` is the time since 1970.
pub(crate) fn authorize(
    settings: &Settings,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    now: Duration,
) -> Decision {
    let access = Access::of(method, uri.path());
    if access == Access::Probe {
        return Decision::Pass;
    }
    let target = uri.authority().map(Authority::as_str);
    let host = target.or(text(headers, HOST)).unwrap_or_default();
    if !method.is_safe() && is_cross_site(headers, host) {
        return Decision::Refuse(
            Kind::ForeignOrigin,
            "another site sent this request, so nothing was done",
        );
    }
    let free = match access {
        Access::Probe | Access::Login => true,
        Access::Read => settings.is_loopback() || settings.open_reads,
        Access::Call => settings.is_loopback(),
        Access::Change => false,
    };
    if free || is_authenticated(settings, headers, now) {
        return Decision::Pass;
    }
    if settings.token.is_none() {
        return Decision::Refuse(
            Kind::ActionsOff,
            "this distributor has no token, so nothing can be changed here; set \
             SIMPLE_DIST_TOKEN_FILE",
        );
    }
    if wants_page(headers) {
        return Decision::LoginPage;
    }
    Decision::Refuse(
        Kind::TokenNeeded,
        "send the token as `Authorization: Bearer <token>`, or as the password of a basic login",
    )
}

/// Whether the request carries the token, or a session cookie made with it.
pub(crate) fn is_authenticated(settings: &Settings, headers: &HeaderMap, now: Duration) -> bool {
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

/// Whether a page of another site sent this, as browsers report. A client that sends neither header
/// is not a browser, so it has no stored login to abuse.
fn is_cross_site(headers: &HeaderMap, host: &str) -> bool {
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

    fn decision(settings: &Settings, request: &str, headers: &[(&'static str, &str)]) -> Decision {
        let (method, path) = request.split_once(' ').unwrap();
        let mut map = HeaderMap::new();
        map.insert("host", "localhost:8080".parse().unwrap());
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        authorize(settings, &method.parse().unwrap(), &path.parse().unwrap(), &map, NOW)
    }

    #[track_caller]
    fn passes(settings: &Settings, request: &str, headers: &[(&'static str, &str)]) {
        assert_eq!(decision(settings, request, headers), Decision::Pass, "{request} {headers:?}");
    }

    #[track_caller]
    fn refused(settings: &Settings, request: &str, headers: &[(&'static str, &str)], why: Kind) {
        match decision(settings, request, headers) {
            Decision::Refuse(kind, _) => assert_eq!(kind, why, "{request} {headers:?}"),
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
    fn on_a_public_address_reading_and_calling_need_the_token() {
        for request in [READ, CALL, "GET /", "GET /metrics", "GET /openapi.json"] {
            refused(&everywhere(), request, &[], Kind::TokenNeeded);
            passes(&everywhere(), request, &[("authorization", "Bearer abc")]);
        }
    }

    #[test]
    fn open_reads_allow_reading_only() {
        let open = Settings { open_reads: true, ..everywhere() };
        passes(&open, READ, &[]);
        refused(&open, CALL, &[], Kind::TokenNeeded);
        refused(&open, CANCEL, &[], Kind::TokenNeeded);
    }

    #[test]
    fn actions_always_need_a_token() {
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
    fn probes_and_the_login_page_are_free() {
        for request in ["GET /healthz", "GET /readyz", "GET /login", "GET /assets/page.css"] {
            passes(&everywhere(), request, &[]);
        }
        passes(&everywhere(), "POST /login", &[]);
    }

    #[test]
    fn a_browser_is_redirected_to_the_login_page() {
        let html = ("accept", "text/html,application/xhtml+xml");
        assert_eq!(decision(&everywhere(), "GET /jobs", &[html]), Decision::LoginPage);
        assert_eq!(decision(&everywhere(), "POST /workers/1/drain", &[html]), Decision::LoginPage);
    }

    #[test]
    fn cross_site_requests_can_change_and_call_nothing() {
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
