//! What is on its way to clients, in bytes: a client that asks faster than it reads is told no
//! more, and asks again.

use std::collections::HashMap;

use simple_dist_protocol::ClientId;
use simple_dist_protocol::limits::{CLIENT_BYTES, OUTGOING_BYTES};
use simple_dist_protocol::message::Delivered;

use super::recent::{OVERHEAD, answer_bytes};
use super::users::UserRef;

/// The bytes of published news whose outcome is not known yet.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    clients: HashMap<(UserRef, ClientId), usize>,
    bytes: usize,
}

impl Outgoing {
    /// Some more for a client. Whether there is room: one message there always is for a client
    /// that gets nothing now, unless all others together have taken it.
    pub(super) fn take(&mut self, client: (UserRef, ClientId), bytes: usize) -> bool {
        let known = self.clients.get(&client).copied().unwrap_or_default();
        let full = known > 0 && known + bytes > CLIENT_BYTES as usize;
        if full || self.bytes + bytes > OUTGOING_BYTES {
            return false;
        }
        self.clients.insert(client, known + bytes);
        self.bytes += bytes;
        true
    }

    /// It has arrived, or never will.
    pub(super) fn give_back(&mut self, client: (UserRef, ClientId), bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
        let Some(known) = self.clients.get_mut(&client) else { return };
        *known = known.saturating_sub(bytes);
        if *known == 0 {
            self.clients.remove(&client);
        }
    }
}

/// What news of a job take while they are on their way.
pub(super) fn weight(news: &Delivered) -> usize {
    OVERHEAD
        + match news {
            Delivered::Answer(answered) => answer_bytes(&answered.answer),
            Delivered::Struck(_) | Delivered::Unknown => 0,
        }
}
