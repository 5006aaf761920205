//! A browser session: a cookie with its expiry time, authenticated with a key derived from the
//! token. Nothing is stored here, so a session survives a restart and holds at every distributor
//! with the same token; a new token ends all sessions.

use std::time::Duration;

use subtle::ConstantTimeEq;

use super::settings::Secret;

/// The cookie's name.
pub(crate) const COOKIE: &str = "simple-dist-session";
/// How long a session lasts: a working day.
pub(crate) const LASTS: Duration = Duration::from_secs(12 * 3600);
/// What the key is for; each use of the token derives its own key.
const PURPOSE: &str = "simple-dist 2026 session cookie";

/// The cookie of a session that begins now; `now` is the time since 1970.
pub(crate) fn begin(token: &Secret, now: Duration) -> String {
    let until = (now + LASTS).as_secs();
    let seal = seal(token, until);
    set(&format!("{until}.{seal}"), LASTS)
}

/// The cookie that ends a session.
pub(crate) fn end() -> String {
    set("", Duration::ZERO)
}

/// Whether one of a request's cookies is a session that has not expired.
pub(crate) fn lasts(token: &Secret, cookies: &str, now: Duration) -> bool {
    cookies
        .split(';')
        .filter_map(|cookie| cookie.trim().strip_prefix(COOKIE)?.strip_prefix('='))
        .any(|value| is_sealed(token, value, now))
}

fn is_sealed(token: &Secret, value: &str, now: Duration) -> bool {
    let Some((until, sealed)) = value.split_once('.') else { return false };
    let Ok(until) = until.parse::<u64>() else { return false };
    let right: bool = seal(token, until).as_bytes().ct_eq(sealed.as_bytes()).into();
    right && now.as_secs() < until
}

fn seal(token: &Secret, until: u64) -> String {
    blake3::keyed_hash(&token.key(PURPOSE), &until.to_be_bytes()).to_hex().to_string()
}

/// Not `Secure`: we speak plain HTTP, on loopback or behind a proxy that terminates TLS.
fn set(value: &str, lasts: Duration) -> String {
    let seconds = lasts.as_secs();
    format!("{COOKIE}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Duration = Duration::from_secs(1_800_000_000);

    fn token(text: &str) -> Secret {
        Secret::new(text).unwrap()
    }

    fn value(cookie: &str) -> &str {
        cookie.split(';').next().unwrap()
    }

    #[test]
    fn a_session_lasts_its_time_and_no_longer() {
        let cookie = begin(&token("abc"), NOON);
        let shown = format!("theme=dark; {}", value(&cookie));
        assert!(lasts(&token("abc"), &shown, NOON));
        assert!(lasts(&token("abc"), &shown, NOON + LASTS - Duration::from_secs(1)));
        assert!(!lasts(&token("abc"), &shown, NOON + LASTS));
    }

    #[test]
    fn a_session_belongs_to_one_token_and_cannot_be_extended() {
        let cookie = begin(&token("abc"), NOON);
        assert!(!lasts(&token("abd"), value(&cookie), NOON));
        let (until, seal) = value(&cookie).split_once('.').unwrap();
        let longer = format!("{until}9.{seal}");
        assert!(!lasts(&token("abc"), &longer, NOON));
        assert!(!lasts(&token("abc"), value(&end()), NOON));
        assert!(!lasts(&token("abc"), "simple-dist-session=abc", NOON));
    }

    #[test]
    fn the_cookie_holds_no_token_and_no_script_reads_it() {
        let cookie = begin(&token("abc-secret"), NOON);
        assert!(!cookie.contains("abc-secret"));
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"));
    }
}
