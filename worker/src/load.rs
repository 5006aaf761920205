//! How busy this machine is, as Linux tells it; elsewhere nothing is told. Each figure is read once a
//! second, with a beat, in about 50 microseconds.

use std::fs;

use simple_dist_protocol::message::Load;

/// Reads the load, and remembers the processors' time of the last reading.
#[derive(Debug, Default)]
pub(crate) struct LoadMeter {
    /// Used and all, in clock ticks of all processors.
    ticks: (u64, u64),
    /// The share that was used of the ticks before.
    cpu: f32,
}

/// The fewest ticks that are a measurement: some beats follow each other at once.
const FEWEST: u64 = 20;

impl LoadMeter {
    /// The load now; the processors' since the last reading.
    pub(crate) fn read(&mut self) -> Option<Load> {
        let now = ticks(&fs::read_to_string("/proc/stat").ok()?)?;
        if now.1.saturating_sub(self.ticks.1) >= FEWEST {
            self.cpu = share(std::mem::replace(&mut self.ticks, now), now);
        }
        let memory = fs::read_to_string("/proc/meminfo").ok()?;
        let memory_total = kib(&memory, "MemTotal:")?;
        Some(Load {
            cpu: self.cpu,
            average: average(&fs::read_to_string("/proc/loadavg").ok()?)?,
            memory: memory_total.saturating_sub(kib(&memory, "MemAvailable:")?),
            memory_total,
            resident: kib(&fs::read_to_string("/proc/self/status").ok()?, "VmRSS:")?,
        })
    }
}

/// The used share of the time that has passed; of none nothing is used.
fn share(before: (u64, u64), now: (u64, u64)) -> f32 {
    let (used, all) = (now.0.saturating_sub(before.0), now.1.saturating_sub(before.1));
    if all == 0 { 0.0 } else { (used as f32 / all as f32).clamp(0.0, 1.0) }
}

/// Used and all, of the line of all processors: user, nice, system, idle, iowait, irq, softirq, steal.
fn ticks(stat: &str) -> Option<(u64, u64)> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Vec<u64> =
        line.split_whitespace().take(8).filter_map(|it| it.parse().ok()).collect();
    let all: u64 = ticks.iter().sum();
    let idle = ticks.get(3)? + ticks.get(4)?;
    Some((all - idle, all))
}

fn average(loadavg: &str) -> Option<f32> {
    loadavg.split_whitespace().next()?.parse().ok()
}

/// A field in KiB, in bytes.
fn kib(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_linux_tells_is_read() {
        let stat = "cpu  100 20 30 800 50 0 0 0 7 7\ncpu0 1 2 3 4\n";
        assert_eq!(ticks(stat), Some((150, 1000)));
        assert_eq!(share((150, 1000), (250, 1400)), 0.25);
        assert_eq!(share((150, 1000), (150, 1000)), 0.0);
        assert_eq!(average("1.50 0.90 0.40 2/345 6789\n"), Some(1.5));
        let memory = "MemTotal:       16384 kB\nMemFree:  1 kB\nMemAvailable:   4096 kB\n";
        assert_eq!(kib(memory, "MemAvailable:"), Some(4 << 20));
        assert_eq!((ticks("intr 1"), kib(memory, "VmRSS:")), (None, None));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_machine_tells_its_load() {
        let load = LoadMeter::default().read().expect("it is Linux");
        assert!((0.0..=1.0).contains(&load.cpu) && load.average >= 0.0, "{load:?}");
        assert!(load.resident > 0 && load.memory <= load.memory_total, "{load:?}");
    }
}
