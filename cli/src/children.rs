//! Starts roles as child processes: the same binary, started again.

use std::process::Stdio;
use std::time::Duration;

use clap::Args;
use rustix::process::{Pid, Signal, getppid, kill_process, set_parent_process_death_signal};
use simple_dist_worker::is_child;
use tokio::process::Command;

use crate::broker_args::Files;
use crate::exit::Failure;
use crate::output::say;

/// Options of a role started by another process of ours.
#[derive(Debug, Args)]
pub(crate) struct Child {
    /// End when this parent ends, however it ends
    #[arg(long, hide = true, value_name = "PID")]
    parent: Option<i32>,
}

impl Child {
    /// Ends this process when its parent ends, so that nothing is left behind.
    pub(crate) fn bind_to_parent(&self) {
        // A worker's child has the same arguments, and dies with the worker.
        let Some(parent) = self.parent.filter(|_| !is_child()) else { return };
        if let Err(error) = set_parent_process_death_signal(Some(Signal::TERM)) {
            tracing::warn!(%error, "this process may outlive its parent");
        }
        // The parent may have ended before this took effect.
        if getppid() != Pid::from_raw(parent) {
            std::process::abort();
        }
    }
}

/// Starts a role with these arguments on this broker; silent unless `RUST_LOG` is set.
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

/// Stops a child gracefully, and kills it after ten seconds.
pub(crate) async fn stop(mut child: tokio::process::Child) {
    let Some(pid) = child.id().and_then(|id| i32::try_from(id).ok()) else { return };
    if let Some(pid) = Pid::from_raw(pid) {
        // A child may have ended by itself.
        let _gone = kill_process(pid, Signal::TERM);
    }
    if tokio::time::timeout(Duration::from_secs(10), child.wait()).await.is_err() {
        // Dropping it kills it.
        say("a process did not stop within 10 s; killing it");
    }
}
