//! Roles as child processes of this one: the same binary, started again.

use std::process::Stdio;
use std::time::Duration;

use clap::Args;
use rustix::process::{Pid, Signal, getppid, kill_process, set_parent_process_death_signal};
use tokio::process::Command;

use crate::broker_args::Files;
use crate::exit::Failure;
use crate::output::say;

/// Options of a role that another process of ours started.
#[derive(Debug, Args)]
pub(crate) struct Child {
    /// End when this parent ends, however it ends
    #[arg(long, hide = true, value_name = "PID")]
    parent: Option<i32>,
}

impl Child {
    /// Ties this process to its parent, so that nothing is left behind.
    pub(crate) fn bind_to_parent(&self) {
        let Some(parent) = self.parent else { return };
        if let Err(error) = set_parent_process_death_signal(Some(Signal::TERM)) {
            tracing::warn!(%error, "this process may outlive its parent");
        }
        // The parent may have been gone before it could be tied to.
        if getppid() != Pid::from_raw(parent) {
            std::process::abort();
        }
    }
}

/// Starts the role with these arguments, on that broker, silent unless `RUST_LOG` is set.
pub(crate) fn start(
    url: &str,
    files: &Files,
    arguments: &[&str],
) -> Result<tokio::process::Child, Failure> {
    let program = std::env::current_exe().map_err(Failure::configuration)?;
    let loud = std::env::var_os("RUST_LOG").is_some();
    let mut command = Command::new(program);
    files.name_to(&mut command);
    command
        .args(arguments)
        .args(["--parent", &std::process::id().to_string()])
        .env("AMQP_URL", url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(if loud { Stdio::inherit() } else { Stdio::null() })
        .kill_on_drop(true)
        .spawn()
        .map_err(Failure::configuration)
}

/// Ends a child gracefully, and after ten seconds otherwise.
pub(crate) async fn stop(mut child: tokio::process::Child) {
    let Some(pid) = child.id().and_then(|id| i32::try_from(id).ok()) else { return };
    if let Some(pid) = Pid::from_raw(pid) {
        // A child that has ended by itself cannot be told to.
        let _gone = kill_process(pid, Signal::TERM);
    }
    if tokio::time::timeout(Duration::from_secs(10), child.wait()).await.is_err() {
        // It is killed when it is dropped.
        say("a process did not end within 10 s and is killed");
    }
}
