//! Where the calls of one run ran, and how many failed.

use std::collections::BTreeMap;

/// Where calls ran.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) remote: u64,
    /// By the runs of equal calls, under way or before.
    pub(super) shared: u64,
    /// By reason.
    pub(super) local: BTreeMap<String, u64>,
    pub(super) failed: u64,
}

impl Tally {
    pub(super) fn said(&self) -> String {
        let remote = match self.remote {
            1 => "1 from a worker".to_owned(),
            remote => format!("{remote} from workers"),
        };
        let shared = match self.shared {
            0 => String::new(),
            shared => format!(", {shared} without a run of their own"),
        };
        let all: u64 = self.local.values().sum();
        let mut reasons = self.local.iter();
        let why = match (reasons.next(), reasons.next()) {
            (None, _) => String::new(),
            (Some((reason, _)), None) => format!(" ({reason})"),
            _ => {
                let counted = |(reason, count)| format!("{reason}: {count}");
                let counted: Vec<_> = self.local.iter().map(counted).collect();
                format!(" ({})", counted.join(", "))
            }
        };
        let failed = match self.failed {
            0 => String::new(),
            failed => format!(", {failed} failed"),
        };
        format!("{remote}{shared}, {all} local{why}{failed}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_and_why_calls_ran_is_said() {
        let said = |remote, local: &[(&str, u64)], failed| {
            let local = local.iter().map(|&(reason, count)| (reason.to_owned(), count)).collect();
            Tally { remote, shared: 0, local, failed }.said()
        };
        assert_eq!(said(1, &[], 0), "1 from a worker, 0 local");
        assert_eq!(said(2, &[("busy", 3)], 1), "2 from workers, 3 local (busy), 1 failed");
        let local = [("busy", 3), ("late", 1)];
        assert_eq!(said(0, &local, 0), "0 from workers, 4 local (busy: 3, late: 1)");
        let shared = Tally { remote: 1, shared: 9, ..Tally::default() }.said();
        assert_eq!(shared, "1 from a worker, 9 without a run of their own, 0 local");
    }
}
