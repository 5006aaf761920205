//! What a process has used, as Linux tells it.

use std::fs;
use std::time::Duration;

use serde::Serialize;

/// Clock ticks a second, in which Linux counts processor time for programs.
const TICKS: u64 = 100;

/// What a process used in the course of a workload.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Usage {
    /// Processor time for each call, in microseconds.
    pub(crate) cpu_us: f64,
    /// The most memory that it had resident, in MiB.
    pub(crate) peak_mib: f64,
    /// How often one of its threads gave up a processor, for each call.
    pub(crate) switches: f64,
}

/// A process, and what it had used when the workload began.
#[derive(Debug)]
pub(crate) struct Meter {
    process: u32,
    ticks: u64,
    switches: u64,
}

impl Meter {
    /// Begins anew; none where this cannot be read.
    pub(crate) fn start(process: u32) -> Option<Self> {
        // Forgets the peak of whatever was before; without it the figure is of all time.
        let _not_allowed = fs::write(format!("/proc/{process}/clear_refs"), "5");
        Some(Self { process, ticks: ticks(process)?, switches: switches(process)? })
    }

    /// What was used since, by so many calls.
    pub(crate) fn read(&self, calls: usize) -> Option<Usage> {
        let each = |count: u64| count as f64 / calls as f64;
        let ticks = ticks(self.process)?.saturating_sub(self.ticks);
        Some(Usage {
            cpu_us: each(ticks * (1_000_000 / TICKS)),
            peak_mib: field(&status(self.process, "status")?, "VmHWM:")? as f64 / 1024.0,
            switches: each(switches(self.process)?.saturating_sub(self.switches)),
        })
    }
}

/// The processor time that a process has used.
pub(crate) fn processor_time(process: u32) -> Option<Duration> {
    Some(Duration::from_millis(ticks(process)? * (1000 / TICKS)))
}

/// The memory that a process has resident now, in MiB.
pub(crate) fn resident_mib(process: u32) -> Option<f64> {
    Some(field(&status(process, "status")?, "VmRSS:")? as f64 / 1024.0)
}

fn status(process: u32, file: &str) -> Option<String> {
    fs::read_to_string(format!("/proc/{process}/{file}")).ok()
}

/// User and system time. The program's name, in parentheses, may have spaces.
fn ticks(process: u32) -> Option<u64> {
    let stat = status(process, "stat")?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some(next()? + next()?)
}

/// Of all its threads that live.
fn switches(process: u32) -> Option<u64> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).ok()?;
    let all = threads.filter_map(|thread| {
        let status = fs::read_to_string(thread.ok()?.path().join("status")).ok()?;
        let of = |name| field(&status, name);
        Some(of("voluntary_ctxt_switches:")? + of("nonvoluntary_ctxt_switches:")?)
    });
    Some(all.sum())
}

fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_used_something() {
        let process = std::process::id();
        let meter = Meter { process, ticks: 0, switches: 0 };
        let memory = vec![1_u8; 8 << 20];
        let usage = meter.read(1).unwrap();
        assert!(usage.peak_mib > 8.0 && resident_mib(process).unwrap() > 8.0, "{usage:?}");
        assert!(usage.switches > 0.0 && memory.contains(&1));
        assert!(Meter::start(process).unwrap().read(1).unwrap().switches <= usage.switches);
    }
}
