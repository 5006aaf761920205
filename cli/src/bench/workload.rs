//! What is measured: how many calls, of which function, and how many of them at once.

use std::time::Duration;

/// One thing to measure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Workload {
    /// What it is called on the command line.
    pub(crate) name: &'static str,
    pub(crate) load: Load,
}

/// The load of a workload.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Load {
    /// `echo` of so many bytes: a call begins when one of those outstanding has ended.
    Closed { bytes: usize, outstanding: usize, calls: usize },
    /// `echo` of 100 bytes, begun at a steady rate a second whatever becomes of those before; each
    /// is timed from when it was due, so that a stall counts for all that it delays.
    Open { rate: u32, lasts: Duration },
    /// `sleep`, all outstanding at once, for a worker with so many slots: the rest is overhead.
    Jobs { takes: Duration, slots: usize, calls: usize },
}

/// The bytes of an argument where nothing else is said.
pub(crate) const SMALL: usize = 100;

/// All workloads; the same with fewer calls if it has to be quick.
pub(crate) fn all(quick: bool) -> Vec<Workload> {
    let fewer = if quick { 10 } else { 1 };
    let closed = |name, bytes, outstanding: usize, calls: usize| {
        let calls = (calls / fewer).max(2);
        let load = Load::Closed { bytes, outstanding: outstanding.min(calls), calls };
        Workload { name, load }
    };
    let jobs = |name, millis, slots, calls: usize| {
        let takes = Duration::from_millis(millis);
        Workload { name, load: Load::Jobs { takes, slots, calls: (calls / fewer).max(2) * slots } }
    };
    let lasts = Duration::from_secs(if quick { 2 } else { 10 });
    vec![
        closed("echo-1", SMALL, 1, 5_000),
        closed("echo-16", SMALL, 16, 50_000),
        closed("echo-1k", SMALL, 1_000, 200_000),
        closed("echo-10k", SMALL, 10_000, 500_000),
        closed("echo-100k", SMALL, 100_000, 500_000),
        closed("echo-1m", SMALL, 1_000_000, 1_000_000),
        Workload { name: "open-1k", load: Load::Open { rate: 1_000, lasts } },
        Workload { name: "open-10k", load: Load::Open { rate: 10_000, lasts } },
        closed("echo-64KiB", 64 << 10, 16, 10_000),
        closed("echo-1MiB", 1 << 20, 16, 500),
        closed("echo-1MiB-100", 1 << 20, 100, 500),
        jobs("10ms-1-slot", 10, 1, 200),
        jobs("10ms-2-slots", 10, 2, 200),
        jobs("10ms-4-slots", 10, 4, 200),
        jobs("10ms-8-slots", 10, 8, 200),
        jobs("100ms-8-slots", 100, 8, 50),
        jobs("1s-1-slot", 1_000, 1, 5),
        jobs("1s-8-slots", 1_000, 8, 5),
    ]
}

impl Workload {
    /// In words, for people.
    pub(crate) fn describe(&self) -> String {
        match self.load {
            Load::Closed { bytes, outstanding, calls } => {
                format!("{calls} calls of echo with {bytes} bytes, {outstanding} outstanding")
            }
            Load::Open { rate, lasts } => {
                format!("{rate} calls of echo begun each second, for {} s", lasts.as_secs())
            }
            Load::Jobs { takes, slots, calls } => {
                format!("{calls} jobs of {} ms on {slots} slots", takes.as_millis())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_and_quick_is_less_of_the_same() {
        let (all, quick) = (all(false), super::all(true));
        let names: HashSet<_> = all.iter().map(|workload| workload.name).collect();
        assert_eq!(names.len(), all.len());
        let calls = |workload: &Workload| match workload.load {
            Load::Closed { calls, .. } | Load::Jobs { calls, .. } => calls,
            Load::Open { rate, lasts } => rate as usize * lasts.as_secs() as usize,
        };
        assert!(all.iter().zip(&quick).all(|(all, quick)| calls(quick) < calls(all)));
    }
}
