//! The last answers of equal calls that differed, whole, so that somebody can compare them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use simple_dist_protocol::message::Answer;

use super::history::preview;
use crate::scheduler::fact::Differed;
use crate::view::{Difference, DifferingAnswer};

/// The most calls kept, and the most bytes of their arguments and answers.
const MOST: (usize, usize) = (32, 16 * 1024 * 1024);

/// See the module; the newest last.
#[derive(Debug, Default)]
pub(super) struct Differences {
    kept: VecDeque<(Duration, Differed)>,
    bytes: usize,
}

impl Differences {
    pub(super) fn push(&mut self, differed: Differed, now: Duration) {
        self.bytes += bytes(&differed);
        self.kept.push_back((now, differed));
        while self.kept.len() > MOST.0 || self.bytes > MOST.1 {
            let Some((_, oldest)) = self.kept.pop_front() else { return };
            self.bytes -= bytes(&oldest);
        }
    }

    /// The payload with this digest.
    pub(super) fn find(&self, of: &str) -> Option<&[u8]> {
        let answers = self.kept.iter().rev().flat_map(|(_, differed)| &differed.runs);
        let mut payloads = answers.map(|(_, answer)| payload(answer));
        payloads.find(|payload| digest(payload) == of)
    }

    /// All of them, the newest first; with what they say if `shows`.
    pub(super) fn view(&self, shows: bool, now: Duration) -> Vec<Difference> {
        let shown = |bytes: &[u8]| if shows { preview(bytes) } else { None };
        let of = |(at, differed): &(Duration, Differed)| Difference {
            function: Arc::clone(&differed.name),
            age: now.saturating_sub(*at).into(),
            outvoted: differed.outvoted,
            refutes: differed.is_refuted,
            arguments: shown(&differed.args),
            answers: differed
                .runs
                .iter()
                .map(|(worker, answer)| {
                    let payload = payload(answer);
                    DifferingAnswer {
                        worker: *worker,
                        kind: answer.kind().to_owned(),
                        bytes: payload.len() as u64,
                        digest: digest(payload),
                        preview: shown(payload),
                    }
                })
                .collect(),
        };
        self.kept.iter().rev().map(of).collect()
    }
}

fn bytes(differed: &Differed) -> usize {
    let answers: usize = differed.runs.iter().map(|(_, answer)| answer.weight()).sum();
    differed.args.len() + answers
}

fn payload(answer: &Answer) -> &[u8] {
    answer.payload().map_or(&[], |payload| payload)
}

fn digest(payload: &[u8]) -> String {
    blake3::hash(payload).to_hex().to_string()
}
