//! Deliveries become events. What cannot be understood is parked and counted, what has no
//! checked sender is dropped and counted, and neither ever comes back.

use simple_dist_protocol::codec;
use simple_dist_protocol::limits;
use simple_dist_protocol::link::{Delivery, Source};
use simple_dist_protocol::message::{FromClient, FromWorker, Presence, VERSION};

use crate::ledger::{Event, Via};

/// Why a delivery is no event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfit {
    /// The broker did not check who sent it: nobody can be answered.
    #[error("no sender")]
    Anonymous,
    /// It is of another version of the wire.
    #[error("another version")]
    Version,
    /// It is not the message that belongs there.
    #[error("not decodable")]
    Undecodable,
    /// Its list is empty or too long.
    #[error("an impossible list")]
    List,
}

impl Unfit {
    /// Every kind.
    pub(crate) const ALL: [Self; 4] =
        [Self::Anonymous, Self::Version, Self::Undecodable, Self::List];

    /// A label for counters.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Version => "version",
            Self::Undecodable => "undecodable",
            Self::List => "list",
        }
    }
}

/// The event that a delivery is.
pub(crate) fn event(delivery: &Delivery) -> Result<Event, Unfit> {
    if delivery.source == Source::Presence {
        return decode::<Presence>(&delivery.body).map(Event::Seen);
    }
    let user = delivery.user.clone().ok_or(Unfit::Anonymous)?;
    if delivery.version != Some(VERSION) {
        return Err(Unfit::Version);
    }
    match delivery.source {
        Source::Submissions => match decode(&delivery.body)? {
            FromClient::Submit(submit) => {
                list(submit.jobs.len())?;
                Ok(Event::Submitted { user, submit })
            }
            FromClient::Cancel(_)
            | FromClient::Ask(_)
            | FromClient::Noted(_)
            | FromClient::Report(_) => Err(Unfit::Undecodable),
        },
        Source::ClientControl => match decode(&delivery.body)? {
            FromClient::Submit(_) => Err(Unfit::Undecodable),
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
        Source::Answers | Source::Beats => match decode(&delivery.body)? {
            FromWorker::Answers(answers) => {
                list(answers.jobs.len())?;
                Ok(Event::Answers { user, answers })
            }
            FromWorker::Started(started) => {
                list(started.jobs.len())?;
                let via =
                    if delivery.source == Source::Answers { Via::Results } else { Via::Beats };
                Ok(Event::Started { user, started, via })
            }
            FromWorker::Beat(beat) => Ok(Event::Beat { user, beat }),
        },
        Source::Presence
        | Source::Pool
        | Source::LookAhead
        | Source::WorkerControl
        | Source::Deliveries => unreachable!("a distributor does not consume these"),
    }
}

fn decode<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Unfit> {
    codec::decode(body).map_err(|_| Unfit::Undecodable)
}

fn list(length: usize) -> Result<(), Unfit> {
    if (1..=limits::LIST_JOBS).contains(&length) { Ok(()) } else { Err(Unfit::List) }
}
