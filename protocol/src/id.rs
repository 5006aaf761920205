//! Ids: every id that crosses a function boundary or the wire has its own type.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::Address;
use crate::message::Memo;
use crate::text::Text;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $make:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new, globally unique id.
            #[expect(clippy::new_without_default, reason = "an id is made on purpose, never by default")]
            pub fn new() -> Self {
                Self(Uuid::$make())
            }

            /// An id with a chosen number, for tests.
            pub const fn from_u128(number: u128) -> Self {
                Self(Uuid::from_u128(number))
            }

            /// The last eight hexadecimal digits, enough to tell a few apart.
            pub fn short(self) -> String {
                let text = self.0.simple().to_string();
                format!("{}{}", $prefix, &text[24..])
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}{}", $prefix, self.0.simple())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                text.strip_prefix($prefix).unwrap_or(text).parse().map(Self)
            }
        }
    };
}

uuid_id! {
    /// One call of a function, from submission to answer. Created by the client (UUID v7), it is
    /// the idempotency key: the same job submitted twice is one job.
    JobId, now_v7, ""
}
impl JobId {
    /// Its number.
    pub const fn as_u128(self) -> u128 {
        self.0.as_u128()
    }

    /// The id of the job that tries the same again. No other has it: whoever makes ids draws these
    /// digits at random.
    #[must_use]
    pub fn next(self) -> Self {
        Self(Uuid::from_u128(self.as_u128().wrapping_add(1)))
    }

    /// Whether a distributor made it, and no client: see [`JobKey::trial`].
    fn is_own(self) -> bool {
        self.0.get_version_num() == 8
    }

    /// A number by which to draw some of all jobs, whoever made their ids: 0 to 999.
    pub fn per_mille(self) -> u16 {
        let digest = blake3::hash(self.0.as_bytes());
        let digits = u32::from_be_bytes(digest.as_bytes()[..4].try_into().expect("it has 32"));
        (digits % 1000) as u16
    }
}

uuid_id! {
    /// One start of a worker process: a worker that restarts is another worker.
    WorkerId, new_v4, "w-"
}
uuid_id! {
    /// One `Client` of a program.
    ClientId, new_v4, "c-"
}
uuid_id! {
    /// One start of a distributor process.
    DistributorId, new_v4, "d-"
}

/// A period in which one distributor is active. Each has a new random id, so that leftovers of
/// earlier terms can be recognized.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Term(pub u64);

impl Term {
    /// A new term.
    pub fn random() -> Self {
        Self(rand::random())
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The number of a link's connections so far. The names of a process's own queues end in it, since
/// after a half-open cut the broker's old connection still holds the old names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u32);

impl Generation {
    /// The one after this.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The name of a login at the broker: `[a-z0-9_-]{1,64}`. No dots, since a user's permissions are
/// written as a prefix of its queues' names.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserName(Arc<str>);

/// The name does not match `[a-z0-9_-]{1,64}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a user name must be 1 to 64 characters of a-z, 0-9, '_', '-'")]
pub struct UserNameError;

impl UserName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The user of all callers of a distributor's HTTP API. No login can have this name: it does
    /// not match the grammar, and is accepted only where we wrote it ourselves.
    pub fn http() -> Self {
        Self(HTTP.into())
    }

    /// Whether it is the user of the HTTP API's callers.
    pub fn is_http(&self) -> bool {
        &*self.0 == HTTP
    }
}

const HTTP: &str = "@http";

impl FromStr for UserName {
    type Err = UserNameError;

    fn from_str(text: &str) -> Result<Self, UserNameError> {
        let fits = (1..=64).contains(&text.len())
            && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'));
        if fits { Ok(Self(text.into())) } else { Err(UserNameError) }
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for UserName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for UserName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Text(text) = Text::deserialize(deserializer)?;
        if text == HTTP {
            return Ok(Self::http());
        }
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The key of a job for distributor and workers: ids are made by clients, so those of different
/// users must never collide.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct JobKey {
    /// The login of the caller, checked by the broker.
    pub user: UserName,
    /// The job's id.
    pub id: JobId,
}

impl JobKey {
    /// The key of a run that a distributor makes of its own accord: the nth of its term. Workers take
    /// it for one of an HTTP caller's, whose ids are never of this kind (UUID v8).
    pub fn trial(term: Term, nth: u64) -> Self {
        let (version, variant) = (0xF << 76, 0b11 << 62);
        let number = u128::from(term.0) << 64 | u128::from(nth);
        let id = JobId::from_u128(number & !(version | variant) | 8 << 76 | 0b10 << 62);
        Self { user: UserName::http(), id }
    }

    /// Whether a distributor made it of its own accord.
    pub fn is_trial(&self) -> bool {
        self.id.is_own() && self.user.is_http()
    }
}

impl fmt::Display for JobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.user, self.id)
    }
}

/// One execution of a job on a worker: the term that placed it, and the number within that term,
/// from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Attempt {
    /// The term that made the placement.
    pub term: Term,
    /// The number of this placement of the job in that term, from 1.
    pub number: u32,
}

/// The workers that serve the same set of functions and share one queue. Computed from the set, so
/// that replicas of one image share a pool without configuration.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PoolId(u64);

impl PoolId {
    /// The pool of workers that serve exactly these functions, in any order. Those that run each job
    /// in a process of its own do not share a queue with others: what becomes of a job when a worker
    /// is lost depends on it.
    pub fn of(functions: &[Address], isolated: bool) -> Self {
        let mut sorted: Vec<&Address> = functions.iter().collect();
        sorted.sort();
        sorted.dedup();
        let mut hasher = blake3::Hasher::new();
        for address in sorted {
            hasher.update(address.to_string().as_bytes()).update(b"\n");
        }
        if isolated {
            hasher.update(b"isolated\n");
        }
        let mut first = [0; 8];
        first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        Self(u64::from_be_bytes(first))
    }

    /// The pool of those of its workers that declare these functions deterministic, and how to keep
    /// the answers of these, in any order: workers that say different things of a function do not
    /// share a queue.
    #[must_use]
    pub fn declaring(self, deterministic: &[Address], memo: &[Memo]) -> Self {
        if deterministic.is_empty() {
            return self;
        }
        let mut sorted: Vec<_> = deterministic.iter().collect();
        sorted.sort();
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.0.to_be_bytes());
        for address in sorted {
            hasher.update(address.to_string().as_bytes()).update(b"\n");
        }
        let mut sorted: Vec<_> = memo.iter().collect();
        sorted.sort();
        for Memo { function, ttl_ms, bytes } in sorted {
            hasher.update(format!("{function} {ttl_ms} {bytes}\n").as_bytes());
        }
        let mut first = [0; 8];
        first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        Self(u64::from_be_bytes(first))
    }
}

impl FromStr for PoolId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u64::from_str_radix(text, 16).map(Self)
    }
}

impl fmt::Display for PoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for PoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_names_have_no_dots() {
        assert!("guest".parse::<UserName>().is_ok());
        for text in ["", "u1.x", "Guest", "a b", "*", &"u".repeat(65)] {
            assert_eq!(text.parse::<UserName>(), Err(UserNameError), "{text:?}");
        }
    }

    #[test]
    fn the_user_of_http_travels_but_is_no_login() {
        let http = UserName::http();
        assert_eq!(http.as_str().parse::<UserName>(), Err(UserNameError));
        assert_eq!(serde_json::from_str::<UserName>("\"@http\"").ok(), Some(http));
    }

    #[test]
    fn a_pool_is_its_set_of_functions() {
        let of = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|name| name.parse().unwrap()).collect();
            PoolId::of(&names, false)
        };
        assert_eq!(of(&["fib@1", "echo@2"]), of(&["echo@2", "fib@1", "fib@1"]));
        assert_ne!(of(&["fib@1"]), of(&["fib@2"]));
        let fib = ["fib@1".parse().unwrap()];
        assert_ne!(PoolId::of(&fib, false), PoolId::of(&fib, true));
    }

    #[test]
    fn ids_read_back_what_they_print() {
        let (job, worker) = (JobId::new(), WorkerId::new());
        assert_eq!(job.to_string().parse::<JobId>(), Ok(job));
        assert_eq!(worker.to_string().parse::<WorkerId>(), Ok(worker));
    }
}
