//! The path under which a proxy shows the page and the API.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::Request;
use axum::http::Uri;
use axum::response::Redirect;

use super::settings::SettingsError;

/// The most bytes of a path.
const BYTES: usize = 200;

/// A path such as `/dist`; empty by default. Requests may come with it or, if the proxy takes it
/// away, without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BasePath(Arc<str>);

impl Default for BasePath {
    fn default() -> Self {
        Self("".into())
    }
}

impl FromStr for BasePath {
    type Err = SettingsError;

    /// # Errors
    ///
    /// Fails with [`SettingsError::BasePath`] unless it is empty, `/`, or names after slashes.
    fn from_str(text: &str) -> Result<Self, SettingsError> {
        let path = text.strip_suffix('/').unwrap_or(text);
        let is_name = |name: &str| {
            !matches!(name, "" | "." | "..")
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
        };
        let mut names = path.split('/');
        let fits = names.next() == Some("") && names.all(is_name) && path.len() <= BYTES;
        if fits { Ok(Self(path.into())) } else { Err(SettingsError::BasePath(text.to_owned())) }
    }
}

impl fmt::Display for BasePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl BasePath {
    /// The request without it, as the routes know it.
    pub(crate) fn strip(&self, mut request: Request) -> Request {
        let uri = request.uri();
        let rest = uri.path_and_query().and_then(|all| all.as_str().strip_prefix(&*self.0));
        let rest = rest.filter(|_| !self.0.is_empty()).and_then(|rest| match rest.chars().next() {
            Some('/') => Some(rest.to_owned()),
            Some('?') | None => Some(format!("/{rest}")),
            Some(_) => None,
        });
        let parsed = rest.and_then(|rest| {
            let mut parts = uri.clone().into_parts();
            parts.path_and_query = Some(rest.parse().ok()?);
            Uri::from_parts(parts).ok()
        });
        if let Some(uri) = parsed {
            *request.uri_mut() = uri;
        }
        request
    }

    /// The page with its own links under this path. Text of others is escaped, so that a quote
    /// after an equals sign is ours.
    pub(crate) fn under(&self, page: String) -> String {
        if self.0.is_empty() {
            return page;
        }
        let to = |page: String, name: &str| {
            page.replace(&format!(" {name}=\"/"), &format!(" {name}=\"{}/", self.0))
        };
        ["href", "action", "src"].into_iter().fold(page, to)
    }

    /// To one of our own paths.
    pub(crate) fn to(&self, path: &str) -> Redirect {
        Redirect::to(&format!("{}{path}", self.0))
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[test]
    fn a_path_is_names_after_slashes() {
        for (text, path) in [("", ""), ("/", ""), ("/dist", "/dist"), ("/a/b.c/", "/a/b.c")] {
            assert_eq!(text.parse::<BasePath>().unwrap().to_string(), path, "{text:?}");
        }
        for text in ["dist", "//", "//host", "/a//b", "/../x", "/a b", "/<", "/\"", "http://x"] {
            assert!(text.parse::<BasePath>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_request_may_come_with_the_path_or_without() {
        let base: BasePath = "/dist".parse().unwrap();
        for (asked, known) in [
            ("/dist", "/"),
            ("/dist/", "/"),
            ("/dist?q=x", "/?q=x"),
            ("/dist/jobs/1?q=/dist/", "/jobs/1?q=/dist/"),
            ("/jobs", "/jobs"),
            ("/distant", "/distant"),
            ("/dist/dist/x", "/dist/x"),
        ] {
            let request = Request::builder().uri(asked).body(Body::empty()).unwrap();
            assert_eq!(base.strip(request).uri().to_string(), known, "{asked}");
        }
    }

    #[test]
    fn only_our_own_links_move() {
        let base: BasePath = "/dist".parse().unwrap();
        let page =
            r##"<a href="/jobs"><form action="/"><a href="#x">&#34; href=&#34;/y" value="/z">"##;
        let moved = r##"<a href="/dist/jobs"><form action="/dist/"><a href="#x">&#34; href=&#34;/y" value="/z">"##;
        assert_eq!(base.under(page.to_owned()), moved);
        assert_eq!(BasePath::default().under(page.to_owned()), page);
    }
}
