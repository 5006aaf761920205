//! The start of a child: the same binary with the same arguments, until it says that it is ready.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, io};

use crate::child::{Child, Happening};
use crate::death::Death;
use crate::descendants::Mark;
use crate::inside::{CHILD_OF, Ready};
use crate::waker::Waker;

/// So long a child may take from its start until it is ready.
pub const START_LIMIT: Duration = Duration::from_secs(5);

/// What is to be started.
#[derive(Debug, Clone, Default)]
pub struct Spec {
    /// Which place of the program the child is to reach.
    pub name: String,
    /// Variables that it does not inherit.
    pub without: Vec<String>,
    /// Variables that it has.
    pub with: Vec<(String, String)>,
}

/// Why there is no child.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The system starts none.
    #[error("it cannot be executed")]
    Execute(#[from] io::Error),
    /// It ended on its way.
    #[error("it ended before it reached its place: {}", told(.0))]
    Ended(Death),
    /// It never got there.
    #[error(
        "it did not reach its place within {START_LIMIT:?}: its main does something else first, or \
         is a test's, which takes threads as isolation{}", printed(.0)
    )]
    Late(Death),
    /// Whoever started it wants none any more.
    #[error("nobody wants it any more")]
    Unwanted,
}

fn told(death: &Death) -> String {
    format!("{death}{}", printed(death))
}

fn printed(death: &Death) -> String {
    match death.output.lines().last() {
        Some(line) => format!("; it printed: {line}"),
        None => String::new(),
    }
}

impl Child {
    /// Starts one and waits until it is ready. It dies with this thread.
    ///
    /// # Errors
    /// [`StartError`]; [`StartError::Unwanted`] if `is_wanted` is false when the thread is woken.
    pub fn start(
        spec: &Spec,
        waker: &Waker,
        mut is_wanted: impl FnMut() -> bool,
    ) -> Result<Self, StartError> {
        let mut child = spawn(spec)?;
        let by = now() + START_LIMIT;
        loop {
            let left = by.saturating_duration_since(now());
            match child.next::<Ready>(waker, Some(left), &mut |_| {}) {
                Happening::Message(Ready) => return Ok(child),
                Happening::Woken if is_wanted() => {}
                Happening::Woken => return Err(StartError::Unwanted),
                Happening::Ended => return Err(StartError::Ended(child.end())),
                Happening::Nothing if left.is_zero() => {
                    child.kill();
                    return Err(StartError::Late(child.end()));
                }
                Happening::Nothing => {}
            }
        }
    }
}

fn spawn(spec: &Spec) -> io::Result<Child> {
    let (ours, theirs) = UnixStream::pair()?;
    let (output, prints) = io::pipe()?;
    let mark = Mark::new(&spec.name);
    let mut arguments = env::args_os();
    let mut command = Command::new(program());
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    command.args(arguments);
    for name in &spec.without {
        command.env_remove(name);
    }
    command
        .envs(spec.with.iter().map(|(name, value)| (name, value)))
        .env(CHILD_OF, mark.variable())
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(prints.try_clone()?)
        .stderr(prints)
        .process_group(0);
    Child::new(&command.spawn()?, mark, ours, output)
}

/// This very binary, also if another has taken its place on the disk.
fn program() -> PathBuf {
    env::current_exe().ok().filter(|path| path.exists()).unwrap_or_else(|| "/proc/self/exe".into())
}

#[expect(clippy::disallowed_methods, reason = "a thread waits by the real clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
