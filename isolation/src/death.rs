//! How a child ended.

use simple_dist_protocol::message::crash::ending;

use crate::rlimits::Limits;

const SIGABRT: i32 = 6;
const SIGKILL: i32 = 9;
/// By which a child ends that cannot reach its parent.
const SIGSTKFLT: i32 = 16;
const SIGXCPU: i32 = 24;

/// The end of a child.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Death {
    /// The signal that killed it, if one did.
    pub signal: Option<i32>,
    /// Its exit code, if it exited.
    pub code: Option<i32>,
    /// The most memory that it was seen to have resident, in bytes; 0 if it was not looked at.
    pub memory_bytes: u64,
    /// The last of what it printed.
    pub output: String,
    /// Whether it has surely not read all that it was sent.
    pub is_unread: bool,
    /// Whether it lived on without its connection, and was killed for that.
    pub is_mute: bool,
}

impl Death {
    /// What else is known of the end of a child with these limits.
    pub fn note(&self, limits: &Limits) -> Option<String> {
        match self.signal {
            signal if self.is_mute || signal == Some(SIGSTKFLT) => {
                Some("it closed its connection to its parent, or spoiled it".to_owned())
            }
            Some(SIGXCPU) => {
                limits.cpu_time.map(|most| format!("it used more than {most:?} of processor time"))
            }
            Some(SIGABRT) if self.output.contains("memory allocation of") => {
                let most = limits.memory.map(|most| format!(" of {} MiB", most >> 20));
                Some(format!("it allocated more than its limit{}", most.unwrap_or_default()))
            }
            Some(SIGKILL) => Some("by itself or from outside: perhaps memory ran out".to_owned()),
            Some(_) | None => None,
        }
    }
}

/// For people: `killed by SIGSEGV`.
impl std::fmt::Display for Death {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&ending(self.signal, self.code))
    }
}
