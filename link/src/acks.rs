//! Acks: one task per consuming channel, which combines acks into as few frames as possible.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use lapin::Channel;
use lapin::options::BasicAckOptions;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::answer::{AnswerTimeout, FaultSender};
use super::bell::Bell;
use super::reason::{Reason, reason};

/// Acks a delivery. If it is dropped without an ack, the message is delivered again on the next
/// generation.
pub struct Receipt {
    tag: u64,
    handed_in: Arc<Receipts>,
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Receipt")
    }
}

impl Receipt {
    /// Acks the message. Returns at once; an ack that fails ends the generation.
    pub fn ack(self) {
        match self.handed_in.acks.try_send(self.tag) {
            // The generation has ended: the message will be redelivered.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => {}
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.handed_in.faults.tell(Reason::Lost("acks are not taken".to_owned()));
            }
        }
    }
}

/// Where the receipts of one channel are sent.
pub(super) struct Receipts {
    acks: mpsc::Sender<u64>,
    faults: FaultSender,
}

/// More than any prefetch allows to be unacked, even by several consumers in succession.
const ACKS: usize = 1 << 20;

/// Acks handled at a time.
const BATCH: usize = 4096;

impl Receipts {
    pub(super) fn new(faults: FaultSender) -> (Arc<Self>, mpsc::Receiver<u64>) {
        let (acks, receiver) = mpsc::channel(ACKS);
        (Arc::new(Self { acks, faults }), receiver)
    }

    pub(super) fn receipt(self: &Arc<Self>, tag: u64) -> Receipt {
        Receipt { tag, handed_in: self.clone() }
    }
}

/// Acks on one channel. Woken by receipts; ends with the generation, or on closing once nothing
/// waits.
pub(super) struct Acker {
    pub(super) channel: Channel,
    pub(super) bell: Bell,
    pub(super) receipts: mpsc::Receiver<u64>,
    pub(super) answer_timeout: AnswerTimeout,
}

impl Acker {
    pub(super) async fn run(mut self, closing: CancellationToken) -> Result<(), Reason> {
        let (mut tags, mut waiting, mut writing) = (Tags::default(), Vec::new(), Vec::new());
        loop {
            let count = tokio::select! {
                count = self.receipts.recv_many(&mut waiting, BATCH) => count,
                () = closing.cancelled(), if !self.receipts.is_closed() => {
                    self.receipts.close();
                    continue;
                }
            };
            for written in writing.drain(..) {
                self.answer_timeout.wait(written).await?;
            }
            if count == 0 {
                return Ok(());
            }
            for ack in tags.settle(waiting.drain(..)) {
                let options = BasicAckOptions { multiple: ack.multiple };
                let channel = self.channel.clone();
                let mut ack = Box::pin(async move { channel.basic_ack(ack.tag, options).await });
                // This hands it over. That it is written needs to wake nobody: the next asks.
                match ack.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                    Poll::Ready(acked) => acked.map_err(|error| reason(&error))?,
                    Poll::Pending => writing.push(ack),
                }
            }
            self.bell.ring();
        }
    }
}

/// The acked delivery tags, so that a run of them takes one frame.
#[derive(Debug, Default)]
struct Tags {
    /// All tags up to this one are acked.
    up_to: u64,
    /// The acked tags beyond that.
    beyond: BTreeSet<u64>,
}

#[derive(Debug, PartialEq, Eq)]
struct Ack {
    tag: u64,
    multiple: bool,
}

impl Tags {
    fn settle(&mut self, tags: impl Iterator<Item = u64>) -> Vec<Ack> {
        let mut new: BTreeSet<u64> = tags.collect();
        let (before, mut last) = (self.up_to, None);
        while let Some(next) = self.up_to.checked_add(1) {
            if new.remove(&next) {
                last = Some(next);
            } else if !self.beyond.remove(&next) {
                break;
            }
            self.up_to = next;
        }
        // A named tag must itself be unacked, so it is the last new one, not `up_to`.
        let run = last.map(|tag| Ack { tag, multiple: tag > before + 1 });
        self.beyond.extend(&new);
        let single = new.into_iter().map(|tag| Ack { tag, multiple: false });
        run.into_iter().chain(single).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(tag: u64) -> Ack {
        Ack { tag, multiple: false }
    }

    fn all_up_to(tag: u64) -> Ack {
        Ack { tag, multiple: true }
    }

    #[test]
    fn a_run_takes_one_frame() {
        let mut tags = Tags::default();
        assert_eq!(tags.settle([1].into_iter()), [one(1)]);
        assert_eq!(tags.settle([2, 4, 3].into_iter()), [all_up_to(4)]);
        assert_eq!(tags.settle([5].into_iter()), [one(5)]);
    }

    #[test]
    fn what_is_beyond_a_gap_is_acked_alone_and_never_again() {
        let mut tags = Tags::default();
        assert_eq!(tags.settle([2, 4].into_iter()), [one(2), one(4)]);
        assert_eq!(tags.settle([1].into_iter()), [one(1)]);
        assert_eq!(tags.settle([3].into_iter()), [one(3)]);
        assert_eq!(tags.settle([5, 6].into_iter()), [all_up_to(6)]);
    }

    proptest! {
        #[test]
        fn every_tag_is_acked_once_and_none_before_its_turn(
            order in Just((1..=40_u64).collect::<Vec<_>>()).prop_shuffle(),
            batch in 1..10_usize,
        ) {
            let (mut tags, mut due, mut acked) = (Tags::default(), BTreeSet::new(), BTreeSet::new());
            for batch in order.chunks(batch) {
                due.extend(batch);
                for ack in tags.settle(batch.iter().copied()) {
                    prop_assert!(!acked.contains(&ack.tag), "a tag is named while it is unacked");
                    let lowest = if ack.multiple { 1 } else { ack.tag };
                    acked.extend(lowest..=ack.tag);
                }
                prop_assert_eq!(&acked, &due);
            }
        }
    }
}
