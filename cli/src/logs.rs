//! Where logs go: stderr, as text for a person and as JSON for a collector.

use std::io::IsTerminal;

use simple_dist_protocol::panic_log;
use tracing_subscriber::EnvFilter;

/// Starts the log. Services say what happens; tools only warn.
pub(crate) fn start(service: bool) {
    let default = if service { "info" } else { "error" };
    let mut filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    // What the broker's client library has to tell, the link tells.
    if !filter.to_string().contains("lapin") {
        filter = filter.add_directive("lapin=off".parse().expect("it is a directive"));
    }
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        log.with_target(false).init();
    } else {
        log.json().init();
    }
    if service {
        panic_log::everything();
    }
}
