//! The arguments of jobs that failed, so that an operator can run one again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use simple_dist_protocol::JobId;

use crate::view::FailedCall;

/// The most bytes kept, of all functions together.
const BYTES: usize = 32 << 20;
/// What a job costs besides its arguments.
const OVERHEAD: usize = 256;

/// See the module. Beyond [`BYTES`] the oldest go, of the function that has the most: one that fails
/// all the time pushes out no other's.
#[derive(Debug, Default)]
pub(super) struct Kept {
    functions: BTreeMap<Arc<str>, Calls>,
    bytes: usize,
}

/// Those of one function, oldest first.
#[derive(Debug, Default)]
struct Calls {
    calls: VecDeque<(JobId, FailedCall)>,
    bytes: usize,
}

impl Kept {
    pub(super) fn push(&mut self, job: JobId, call: FailedCall) {
        let bytes = cost(&call);
        let of = self.functions.entry(Arc::clone(&call.function)).or_default();
        of.calls.push_back((job, call));
        of.bytes += bytes;
        self.bytes += bytes;
        while self.bytes > BYTES {
            let Some(most) = self.functions.values_mut().max_by_key(|of| of.bytes) else { return };
            let Some((_, oldest)) = most.calls.pop_front() else { return };
            most.bytes -= cost(&oldest);
            self.bytes -= cost(&oldest);
            if most.calls.is_empty() {
                self.functions.retain(|_, of| !of.calls.is_empty());
            }
        }
    }

    /// The failed jobs with this id, of any user, the newest first.
    pub(super) fn find(&self, id: JobId) -> Vec<FailedCall> {
        let calls = self.functions.values().flat_map(|of| of.calls.iter().rev());
        calls.filter(|(job, _)| *job == id).map(|(_, call)| call.clone()).collect()
    }
}

fn cost(call: &FailedCall) -> usize {
    call.args.len() + OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn push(kept: &mut Kept, job: u128, function: &str, bytes: usize) {
        let (user, args) = ("guest".parse().unwrap(), vec![0; bytes].into());
        kept.push(JobId::from_u128(job), FailedCall { user, function: function.into(), args });
    }

    fn has(kept: &Kept, job: u128) -> bool {
        !kept.find(JobId::from_u128(job)).is_empty()
    }

    #[test]
    fn the_oldest_of_the_function_with_the_most_bytes_go_first() {
        let mut kept = Kept::default();
        push(&mut kept, 1, "rare@1", 10);
        for job in 2..=40 {
            push(&mut kept, job, "always@1", MIB);
        }
        assert!(kept.bytes <= BYTES, "{}", kept.bytes);
        let here: Vec<u128> = (1..=40).filter(|job| has(&kept, *job)).collect();
        assert_eq!((here.len(), here[0], here[1], here[31]), (32, 1, 10, 40));
    }

    #[test]
    fn what_is_too_large_is_not_kept_and_leaves_nothing_behind() {
        let mut kept = Kept::default();
        push(&mut kept, 1, "large@1", BYTES);
        assert!(!has(&kept, 1));
        assert_eq!((kept.bytes, kept.functions.len()), (0, 0));
    }
}
