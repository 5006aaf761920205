//! Wills: what a distributor has each worker's link hold, to learn of its end at once. Whoever may
//! write beats could write a will too, so each bears a seal that only its distributor can make.

use std::fmt;

use bytes::Bytes;
use simple_dist_core::scheduler::Event;
use simple_dist_protocol::message::Will;
use simple_dist_protocol::{Generation, WorkerId};

/// Writes wills, and knows its own.
pub(crate) struct Wills {
    key: [u8; blake3::KEY_LEN],
}

// Written by hand: the key is a secret.
impl fmt::Debug for Wills {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wills")
    }
}

impl Wills {
    pub(crate) fn new() -> Self {
        Self { key: rand::random() }
    }

    /// The will of a worker's link.
    pub(crate) fn write(&self, worker: WorkerId, generation: Generation) -> Will {
        let seal = Bytes::copy_from_slice(self.seal(worker, generation).as_bytes());
        Will { worker, generation, seal }
    }

    /// What a will that came back says; nothing if another distributor wrote it.
    pub(crate) fn read(&self, Will { worker, generation, seal }: Will) -> Option<Event> {
        // Compared in constant time.
        let ours = self.seal(worker, generation) == *seal;
        ours.then_some(Event::LinkEnded { worker, generation })
    }

    fn seal(&self, worker: WorkerId, generation: Generation) -> blake3::Hash {
        let of = format!("{worker} {generation}");
        blake3::keyed_hash(&self.key, of.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_will_of_that_link_and_that_distributor_counts() {
        let (ours, theirs) = (Wills::new(), Wills::new());
        let (worker, generation) = (WorkerId::from_u128(1), Generation(2));
        let will = ours.write(worker, generation);
        assert_eq!(ours.read(will.clone()), Some(Event::LinkEnded { worker, generation }));
        assert_eq!(theirs.read(will.clone()), None);
        for forged in [
            Will { worker: WorkerId::from_u128(2), ..will.clone() },
            Will { generation: Generation(3), ..will.clone() },
            Will { seal: Bytes::new(), ..will },
        ] {
            assert_eq!(ours.read(forged), None);
        }
    }
}
