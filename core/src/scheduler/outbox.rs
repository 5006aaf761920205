//! What is to be done, and what is to be told: effects with their tokens, facts, and how many bytes
//! are on their way to clients. A client that asks faster than it reads is told no more, and asks
//! again.

use std::collections::HashMap;

use simple_dist_protocol::limits::{CLIENT_BYTES, OUTGOING_BYTES};
use simple_dist_protocol::message::Delivered;
use simple_dist_protocol::{Attempt, ClientId, Generation, PoolId, WorkerId};

use super::backlog::users::UserRef;
use super::fact::{Fact, Why};
use super::jobs::recent::OVERHEAD;
use super::jobs::{JobRef, Key};
use super::{Effect, Token};

/// All that goes out.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pub(crate) effects: Vec<Effect>,
    pub(crate) facts: Vec<Fact>,
    sent: HashMap<Token, Sent>,
    tokens: u64,
    pub(crate) outgoing: Outgoing,
}

/// What a token stands for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sent {
    Placement { job: JobRef, key: Key, attempt: Attempt, pool: PoolId },
    Delivery { user: UserRef, client: ClientId, generation: Generation, bytes: usize },
    Control { worker: WorkerId, generation: Generation },
}

impl Outbox {
    /// Something is to be done.
    pub(crate) fn push(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// Something has happened.
    pub(crate) fn tell(&mut self, fact: Fact) {
        self.facts.push(fact);
    }

    /// Something that was said does not count.
    pub(crate) fn ignore(&mut self, why: Why) {
        self.tell(Fact::Ignored(why));
    }

    /// A token for something whose outcome is waited for.
    pub(crate) fn token(&mut self, sent: Sent) -> Token {
        self.tokens += 1;
        let token = Token(self.tokens);
        self.sent.insert(token, sent);
        token
    }

    /// The outcome has come.
    pub(crate) fn settle(&mut self, token: Token) -> Option<Sent> {
        let sent = self.sent.remove(&token)?;
        if let Sent::Delivery { user, client, bytes, .. } = sent {
            self.outgoing.give_back((user, client), bytes);
        }
        Some(sent)
    }

    /// No outcome is waited for any more: the term is over.
    pub(crate) fn forget_term(&mut self) {
        self.sent.clear();
        self.outgoing = Outgoing::default();
    }
}

/// The bytes of published news whose outcome is not known yet.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    clients: HashMap<(UserRef, ClientId), usize>,
    bytes: usize,
}

impl Outgoing {
    /// Some more for a client. Whether there is room: one message there always is for a client
    /// that gets nothing now, unless all others together have taken it.
    pub(crate) fn take(&mut self, client: (UserRef, ClientId), bytes: usize) -> bool {
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
    pub(crate) fn give_back(&mut self, client: (UserRef, ClientId), bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
        let Some(known) = self.clients.get_mut(&client) else { return };
        *known = known.saturating_sub(bytes);
        if *known == 0 {
            self.clients.remove(&client);
        }
    }
}

/// What news of a job take while they are on their way.
pub(crate) fn weight(news: &Delivered) -> usize {
    OVERHEAD
        + match news {
            Delivered::Answer(answered) => answered.answer.weight(),
            Delivered::Struck(_) | Delivered::Unknown => 0,
        }
}
