//! The outbox: effects with their tokens, facts, and the bytes in transit to each client. A client
//! that asks faster than it reads gets no more for now, and asks again later.

use simple_dist_protocol::limits::{CLIENT_BYTES, OUTGOING_BYTES};
use simple_dist_protocol::message::Delivered;
use simple_dist_protocol::{Attempt, ClientId, Generation, PoolId, WorkerId};

use super::fact::{Fact, IgnoreReason};
use super::ids::{JobRef, Key, Table, UserRef};
use super::jobs::recent::OVERHEAD;
use super::{Effect, Token};

/// A client that has not taken so many bytes is not bothered with what can wait.
const IDLE: usize = 1024 * 1024;

/// Everything that leaves the rooms.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pub(crate) effects: Vec<Effect>,
    pub(crate) facts: Vec<Fact>,
    sent: Table<Token, Sent>,
    tokens: u64,
    pub(crate) deliveries: DeliveryBudget,
}

/// What was published under a token.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sent {
    Placement { job: Option<JobRef>, key: Key, attempt: Attempt, pool: PoolId },
    Delivery { user: UserRef, client: ClientId, generation: Generation, bytes: usize },
    Control { worker: WorkerId, generation: Generation },
}

impl Outbox {
    /// Adds an effect.
    pub(crate) fn push(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// Emits a fact.
    pub(crate) fn emit(&mut self, fact: Fact) {
        self.facts.push(fact);
    }

    /// Emits that a message was ignored.
    pub(crate) fn ignore(&mut self, why: IgnoreReason) {
        self.emit(Fact::Ignored(why));
    }

    /// A token for a publish whose outcome matters.
    pub(crate) fn token(&mut self, sent: Sent) -> Token {
        self.tokens += 1;
        let token = Token(self.tokens);
        self.sent.insert(token, sent);
        token
    }

    /// The outcome has arrived: what the token stood for.
    pub(crate) fn settle(&mut self, token: Token) -> Option<Sent> {
        let sent = self.sent.remove(&token)?;
        if let Sent::Delivery { user, client, bytes, .. } = sent {
            self.deliveries.release((user, client), bytes);
        }
        Some(sent)
    }

    /// Forgets all pending outcomes: the term is over.
    pub(crate) fn forget_term(&mut self) {
        self.sent.clear();
        self.deliveries = DeliveryBudget::default();
    }
}

/// The bytes of deliveries whose outcome is not known yet.
#[derive(Debug, Default)]
pub(crate) struct DeliveryBudget {
    clients: Table<(UserRef, ClientId), usize>,
    bytes: usize,
}

impl DeliveryBudget {
    /// Reserves bytes for a client. Fails if there is no room; a client with nothing in transit may
    /// always have one message, unless the total is exhausted.
    pub(crate) fn reserve(&mut self, client: (UserRef, ClientId), bytes: usize) -> bool {
        let known = self.clients.get(&client).copied().unwrap_or_default();
        let full = known > 0 && known + bytes > CLIENT_BYTES as usize;
        if full || self.bytes + bytes > OUTGOING_BYTES {
            return false;
        }
        self.clients.insert(client, known + bytes);
        self.bytes += bytes;
        true
    }

    /// Whether little is on its way to a client.
    pub(crate) fn is_idle(&self, client: (UserRef, ClientId)) -> bool {
        self.clients.get(&client).is_none_or(|bytes| *bytes < IDLE)
    }

    /// Releases bytes of a delivery that has arrived, or never will.
    pub(crate) fn release(&mut self, client: (UserRef, ClientId), bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
        let Some(known) = self.clients.get_mut(&client) else { return };
        *known = known.saturating_sub(bytes);
        if *known == 0 {
            self.clients.remove(&client);
        }
    }
}

/// The bytes that a delivery counts for while it is in transit.
pub(crate) fn delivery_bytes(body: &Delivered) -> usize {
    OVERHEAD
        + match body {
            Delivered::Answer(answered) => answered.answer.weight(),
            Delivered::Struck(_) | Delivered::Unknown => 0,
            Delivered::Progress(progress) => progress.text.len(),
        }
}
