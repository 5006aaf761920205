//! What a worker publishes, as messages: where each goes, and in which lane.

use std::sync::Arc;
use std::time::Duration;

use simple_dist_link::{ConsumerTag, Lane, Outgoing, Route};
use simple_dist_protocol::WorkerId;
use simple_dist_protocol::codec::{self, encode_message, encode_sharing};
use simple_dist_protocol::message::{Answers, FromWorker};
use simple_dist_protocol::topology::Topology;

use simple_dist_core::worker::{Consumer, Publication, Token};

/// What a worker consumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// Its pool's queue.
    Pool(Consumer),
    /// What the distributor tells it.
    Control,
    /// Its will.
    Will,
}

impl Source {
    pub(crate) const ALL: [Self; 4] =
        [Self::Pool(Consumer::Pool), Self::Pool(Consumer::LookAhead), Self::Control, Self::Will];

    pub(crate) fn tag(self) -> ConsumerTag {
        ConsumerTag::among(&Self::ALL, self)
    }
}

/// The routes of one worker.
#[derive(Debug)]
pub(crate) struct Wire {
    /// Ends of attempts, as lists.
    answers: Arc<Route>,
    /// To the same queue and in the same lane, so that a `Started` lies there before whatever
    /// follows it; alone, since another message than a list of answers.
    begins: Arc<Route>,
    beats: Arc<Route>,
}

impl Wire {
    pub(crate) fn new(topology: &Topology, worker: WorkerId) -> Self {
        let empty = FromWorker::Answers(Answers { worker, jobs: vec![] });
        let answers = Route {
            exchange: topology.results(),
            key: topology.answers_key(),
            mandatory: true,
            envelope: Some(codec::envelope(&empty)),
        };
        let begins = Route { envelope: None, ..answers.clone() };
        let beats = Route {
            exchange: topology.beats(),
            key: topology.beat_key(),
            mandatory: false,
            envelope: None,
        };
        Self { answers: Arc::new(answers), begins: Arc::new(begins), beats: Arc::new(beats) }
    }

    pub(crate) fn message(&self, publication: Publication) -> Outgoing {
        let whole = |message| encode_message::<FromWorker>(&message).into();
        let (route, body, token, lane) = match publication {
            Publication::Beat(beat) => {
                let token = Some(Token::Beat(beat.seq));
                (&self.beats, whole(FromWorker::Beat(beat)), token, Lane::Control)
            }
            Publication::Running(started) => {
                (&self.beats, whole(FromWorker::Started(started)), None, Lane::Control)
            }
            Publication::Progress(told) => {
                (&self.beats, whole(FromWorker::Progress(told)), None, Lane::Control)
            }
            Publication::Begins { started, token } => {
                (&self.begins, whole(FromWorker::Started(started)), Some(token), Lane::Jobs)
            }
            Publication::Ended { ended, token } => {
                (&self.answers, encode_sharing(&ended, ended.payload()), Some(token), Lane::Jobs)
            }
        };
        Outgoing {
            route: Arc::clone(route),
            body,
            work: Duration::ZERO,
            token: token.map(u64::from),
            lane,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use simple_dist_protocol::message::{Answer, End, Ended, Started};
    use simple_dist_protocol::{Attempt, JobId, JobKey, Term};

    use super::*;
    use simple_dist_core::worker::Number;

    #[test]
    fn ends_are_items_of_a_list_of_answers() {
        let worker = WorkerId::from_u128(1);
        let ended = Ended {
            key: JobKey { user: "u".parse().unwrap(), id: JobId::from_u128(2) },
            attempt: Attempt { term: Term(3), number: 1 },
            end: End::Answer(Answer::Value(Bytes::from_static(&[7]))),
            took_us: 9,
        };
        let token = Token::Ended(Number(5));
        let wire = Wire::new(&Topology::default(), worker);
        let message = wire.message(Publication::Ended { ended: ended.clone(), token });
        let list =
            codec::join(message.route.envelope.as_ref().unwrap(), [&message.body].into_iter());
        let expected = FromWorker::Answers(Answers { worker, jobs: vec![ended] });
        assert_eq!(codec::decode::<FromWorker>(&list).unwrap(), expected);
        assert_eq!(message.token.map(Token::from), Some(token));
    }

    #[test]
    fn a_marked_start_goes_where_the_answers_go_and_in_their_lane() {
        let worker = WorkerId::from_u128(1);
        let wire = Wire::new(&Topology::default(), worker);
        let started = Started { worker, seq: 1, jobs: vec![] };
        let token = Token::Begins(Number(5));
        let message = wire.message(Publication::Begins { started, token });
        assert_eq!(message.route.exchange, Topology::default().results());
        assert_eq!((message.route.mandatory, message.lane), (true, Lane::Jobs));
        assert_eq!(message.token.map(Token::from), Some(token));
    }
}
