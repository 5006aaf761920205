//! Decodes deliveries into events. What cannot be decoded is parked and counted; what has no sender
//! checked by the broker is dropped and counted; neither is redelivered. A value too large to pass
//! on is replaced by `TooLarge`.

use simple_dist_link::{ConsumerTag, Delivery};
use simple_dist_protocol::message::{
    Answer, Answers, End, FromClient, FromWorker, Submit, VERSION,
};
use simple_dist_protocol::{UserName, codec, limits};

use super::wills::Wills;
use simple_dist_core::scheduler::{Event, Via};

/// The most characters kept of where a function panicked.
const LOCATION: usize = 200;

/// The queues that a distributor consumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    /// A queue that only the active distributor consumes.
    Leader(LeaderQueue),
    /// The workers' beats.
    Beats,
    /// The active distributor's presence.
    Presence,
    /// The wills of workers whose links have ended.
    Wills,
}

/// The queues that only the active distributor consumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum LeaderQueue {
    /// Submitted jobs.
    Submissions,
    /// Cancels, questions (`Ask`) and receipts (`Noted`) of clients.
    ClientControl,
    /// The workers' answers.
    Answers,
}

impl Source {
    pub(crate) const ALL: [Self; 6] = [
        Self::Beats,
        Self::Presence,
        Self::Wills,
        Self::Leader(LeaderQueue::Submissions),
        Self::Leader(LeaderQueue::ClientControl),
        Self::Leader(LeaderQueue::Answers),
    ];

    pub(crate) fn tag(self) -> ConsumerTag {
        ConsumerTag::among(&Self::ALL, self)
    }
}

/// Why a delivery cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecodeError {
    /// The broker did not check the sender, so there is nobody to answer.
    #[error("no sender")]
    Anonymous,
    /// Another version of the wire protocol.
    #[error("another version")]
    Version,
    /// Not a message that belongs in this queue.
    #[error("not decodable")]
    Undecodable,
    /// Its list is empty or too long.
    #[error("an impossible list")]
    List,
    /// A worker's value is over the limit; its caller gets `TooLarge` instead.
    #[error("an answer over the limit")]
    Oversized,
    /// The beat is larger than allowed.
    #[error("too large")]
    Large,
}

impl DecodeError {
    /// Every kind, in the order of their declaration.
    pub(crate) const ALL: [Self; 6] = [
        Self::Anonymous,
        Self::Version,
        Self::Undecodable,
        Self::List,
        Self::Oversized,
        Self::Large,
    ];

    /// A label for counters.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Version => "version",
            Self::Undecodable => "undecodable",
            Self::List => "list",
            Self::Oversized => "oversized",
            Self::Large => "large",
        }
    }
}

/// The event that a delivery carries; none for a will that another distributor wrote.
pub(crate) fn event(delivery: &Delivery, wills: &Wills) -> Result<Option<Event>, DecodeError> {
    let queue = match delivery.tag.whose(&Source::ALL) {
        Source::Presence => {
            return decode(&delivery.body).map(|presence| Some(Event::PresenceSeen(presence)));
        }
        Source::Wills => return Ok(wills.read(decode(&delivery.body)?)),
        Source::Beats => None,
        Source::Leader(queue) => Some(queue),
    };
    let user = delivery.user.clone().ok_or(DecodeError::Anonymous)?;
    if delivery.version != Some(VERSION) {
        return Err(DecodeError::Version);
    }
    let event = match queue {
        Some(LeaderQueue::Submissions) => match decode(&delivery.body)? {
            FromClient::Submit(submit) => {
                list(submit.jobs.len())?;
                let submit = clear_first(submit, delivery.redelivered);
                Ok(Event::Submitted { user, submit })
            }
            FromClient::Cancel(_)
            | FromClient::Ask(_)
            | FromClient::Noted(_)
            | FromClient::Report(_) => Err(DecodeError::Undecodable),
        },
        Some(LeaderQueue::ClientControl) => match decode(&delivery.body)? {
            FromClient::Submit(_) => Err(DecodeError::Undecodable),
            FromClient::Cancel(ids) => {
                list(ids.ids.len())?;
                Ok(Event::Cancelled { user, ids })
            }
            FromClient::Ask(ids) => {
                list(ids.ids.len())?;
                Ok(Event::Asked { user, ids })
            }
            FromClient::Noted(noted) => Ok(Event::Noted { user, noted }),
            FromClient::Report(report) => Ok(Event::Reported { user, report }),
        },
        Some(LeaderQueue::Answers) => from_worker(user, &delivery.body, Via::Results),
        None if delivery.body.len() > limits::BEAT_BYTES => Err(DecodeError::Large),
        None => from_worker(user, &delivery.body, Via::Beats),
    };
    event.map(Some)
}

/// A previous leader may have read a redelivered message and died before it acked it, so none of
/// its jobs is known to be new.
fn clear_first(mut submit: Submit, redelivered: bool) -> Submit {
    submit.jobs.iter_mut().for_each(|job| job.first &= !redelivered);
    submit
}

fn from_worker(user: UserName, body: &[u8], via: Via) -> Result<Event, DecodeError> {
    match decode(body)? {
        FromWorker::Answers(answers) => {
            list(answers.jobs.len())?;
            Ok(Event::Answers { user, answers })
        }
        FromWorker::Started(started) => {
            list(started.jobs.len())?;
            Ok(Event::Started { user, started, via })
        }
        FromWorker::Progress(progressed) => {
            list(progressed.jobs.len())?;
            Ok(Event::Progress { user, progressed })
        }
        FromWorker::Beat(beat) => Ok(Event::Beat { user, beat: *beat }),
    }
}

/// Replaces values and errors over the limit by `TooLarge` and cuts long messages, which only a misbehaving
/// worker sends. Returns how many values were too large.
pub(crate) fn enforce_limits(event: &mut Event) -> usize {
    let Event::Answers { answers: Answers { jobs, .. }, .. } = event else { return 0 };
    let mut oversized = 0;
    for ended in jobs {
        let answer = match &mut ended.end {
            End::Answer(answer) => answer,
            End::Crashed(crash) => {
                crash.curb();
                continue;
            }
            End::Returned { .. } => continue,
        };
        if let Answer::Panicked { location: Some(location), .. } = answer {
            cut(location, LOCATION);
        }
        match answer {
            Answer::Value(value) | Answer::Failed { error: value, .. }
                if value.len() > limits::ARGUMENT_BYTES =>
            {
                let (bytes, limit) = (value.len() as u64, limits::ARGUMENT_BYTES as u64);
                *answer = Answer::TooLarge { bytes, limit };
                oversized += 1;
            }
            Answer::Failed { message, .. }
            | Answer::Panicked { message, .. }
            | Answer::BadArguments { message } => {
                cut(message, limits::MESSAGE_CHARS);
            }
            Answer::Value(_)
            | Answer::Poisoned { .. }
            | Answer::NotServed
            | Answer::TooLarge { .. }
            | Answer::Busy
            | Answer::Cancelled
            | Answer::Expired => {}
        }
    }
    oversized
}

fn cut(text: &mut String, characters: usize) {
    if let Some((end, _)) = text.char_indices().nth(characters) {
        text.truncate(end);
        text.shrink_to_fit();
    }
}

fn decode<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, DecodeError> {
    codec::decode(body).map_err(|_| DecodeError::Undecodable)
}

fn list(length: usize) -> Result<(), DecodeError> {
    if (1..=limits::LIST_JOBS).contains(&length) { Ok(()) } else { Err(DecodeError::List) }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use simple_dist_protocol::message::{Ended, Marks, Submission};
    use simple_dist_protocol::{Attempt, ClientId, Generation, JobId, JobKey, Term, WorkerId};

    use super::*;

    fn answers(answers: impl IntoIterator<Item = Answer>) -> Event {
        let user: simple_dist_protocol::UserName = "u".parse().unwrap();
        let ended = |answer| Ended {
            key: JobKey { user: user.clone(), id: JobId::from_u128(1) },
            attempt: Attempt { term: Term(1), number: 1 },
            end: End::Answer(answer),
            took_us: 0,
        };
        let jobs = answers.into_iter().map(ended).collect();
        Event::Answers { answers: Answers { worker: WorkerId::from_u128(1), jobs }, user }
    }

    #[track_caller]
    fn check(before: Answer, after: Answer, oversized: usize) {
        let mut event = answers([before]);
        assert_eq!(enforce_limits(&mut event), oversized);
        let Event::Answers { answers: curbed, .. } = event else { panic!("another event") };
        assert_eq!(curbed.jobs[0].end, End::Answer(after));
    }

    #[test]
    fn a_redelivered_job_may_be_a_duplicate() {
        let job = |first| Submission {
            id: JobId::from_u128(1),
            function: "f@1".to_owned(),
            args: Bytes::new(),
            budget_ms: 1,
            priority: 4,
            marks: Marks::default(),
            trace: None,
            first,
            progress: false,
            has_fallback: false,
            fresh: false,
        };
        for (said, redelivered, first) in
            [(true, false, true), (true, true, false), (false, false, false)]
        {
            let (client, generation) = (ClientId::from_u128(1), Generation(1));
            let submit = Submit { client, generation, jobs: vec![job(said)] };
            assert_eq!(clear_first(submit, redelivered).jobs[0].first, first);
        }
    }

    #[test]
    fn a_value_over_the_limit_is_too_large_and_one_at_it_is_not() {
        let limit = limits::ARGUMENT_BYTES;
        let (at, over) = (Bytes::from(vec![0; limit]), Bytes::from(vec![0; limit + 1]));
        let too_large = Answer::TooLarge { bytes: over.len() as u64, limit: limit as u64 };
        check(Answer::Value(at.clone()), Answer::Value(at), 0);
        check(Answer::Value(over.clone()), too_large.clone(), 1);
        check(Answer::Failed { message: String::new(), error: over }, too_large, 1);
    }

    #[test]
    fn long_messages_are_cut_between_characters() {
        let (long, cut) = ("ä".repeat(100_000), "ä".repeat(limits::MESSAGE_CHARS));
        let panicked = |message: &String| {
            let message = message.clone();
            Answer::unsendable(message)
        };
        check(panicked(&long), panicked(&cut), 0);
        let at = |place: &str| {
            let location = Some(place.to_owned());
            Answer::Panicked { message: String::new(), unsendable: false, location }
        };
        check(at(&long), at(&"ä".repeat(LOCATION)), 0);
        let failed = |message: &String| {
            let (message, error) = (message.clone(), Bytes::new());
            Answer::Failed { message, error }
        };
        check(failed(&long), failed(&cut), 0);
        check(Answer::BadArguments { message: long }, Answer::BadArguments { message: cut }, 0);
    }
}
