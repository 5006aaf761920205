//! The report on a child that ended while it ran a job.

use simple_dist_isolation::{Death, Limits};
use simple_dist_protocol::message::Crash;
use simple_dist_protocol::{Attempt, WorkerId};
use tracing::{info, warn};

/// What a job did to its child, or what was done to both of them; logged within the job's span.
pub(super) fn crash(
    worker: WorkerId,
    attempt: Attempt,
    death: Death,
    limits: &Limits,
    killed: bool,
) -> Crash {
    let note = if killed {
        Some("it did not stop when it was told to".to_owned())
    } else {
        death.note(limits)
    };
    let Death { signal, code, memory_bytes, output, .. } = death;
    let mut crash = Crash { worker, attempt, signal, code, memory_bytes, output, note };
    crash.curb();
    if killed {
        info!(worker.id = %worker, "the job ran on when nobody waited for it; its child was killed");
    } else {
        metrics::counter!("simple_dist_worker_crashes_total").increment(1);
        let output = &crash.output;
        warn!(worker.id = %worker, %crash, output, "the job ended its child process");
    }
    crash
}
