//! What a child may use.

use std::io;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

/// The limits of a child; none by default. The system enforces them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory of its own: heap, stacks, its private mappings that can be written.
    pub memory: Option<u64>,
    /// Processor time of one job, in whole seconds, rounded up.
    pub cpu_time: Option<Duration>,
    /// Open files, sockets and pipes.
    pub open_files: Option<u64>,
}

impl Limits {
    /// Puts them on this process.
    pub(crate) fn apply(&self) -> io::Result<()> {
        let bound = |resource, most: Option<u64>| match most {
            Some(_) => setrlimit(resource, Rlimit { current: most, maximum: most }),
            None => Ok(()),
        };
        bound(Resource::Data, self.memory)?;
        bound(Resource::Nofile, self.open_files)?;
        Ok(())
    }

    /// A job begins in this process: its processor time counts from now.
    pub(crate) fn begin_job(&self) -> io::Result<()> {
        let Some(most) = self.cpu_time else { return Ok(()) };
        let used = clock_gettime(ClockId::ProcessCPUTime);
        let used = u64::try_from(used.tv_sec).unwrap_or(0) + 1;
        let seconds = most.as_secs() + u64::from(most.subsec_nanos() > 0);
        // Only the soft limit, which can be raised again for the next job.
        let maximum = getrlimit(Resource::Cpu).maximum;
        let current = Some(used + seconds).map(|it| maximum.map_or(it, |most| it.min(most)));
        Ok(setrlimit(Resource::Cpu, Rlimit { current, maximum })?)
    }
}
