//! What a client consumes and publishes: its own queues, and the distributor's two intakes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use simple_dist_core::caller::LocalRuns;
use simple_dist_link::{
    BrokerUrl, Consume, ConsumerTag, Full, Lane, Options, Outgoing, Plan, Route, Session,
};
use simple_dist_protocol::message::{FromClient, Ids, Marks, Noted, Report, Submission, Submit};
use simple_dist_protocol::topology::{Declaration, QueueSpec, Topology};
use simple_dist_protocol::{ClientId, Generation, JobId, codec};

/// Answers delivered and not yet acked: they are acked as they are read.
const PREFETCH: u16 = 1000;

/// What a client consumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    /// Answers to its calls.
    Deliveries,
    /// The active distributor's beat.
    Presence,
}

impl Source {
    pub(crate) const ALL: [Self; 2] = [Self::Deliveries, Self::Presence];
}

/// What the link of a client is to do.
pub(crate) fn options(url: BrokerUrl, id: ClientId, topology: Topology, name: &str) -> Options {
    let user = url.user().clone();
    let plan = move |generation| {
        let answers = topology.client(&user, id, generation);
        let presence = topology.client_presence(&user, id, generation);
        let consume = |source, queue: &QueueSpec, prefetch| {
            let queue = queue.name.clone();
            let tag = ConsumerTag::among(&Source::ALL, source);
            Consume { tag, queue, prefetch, exclusive: true }
        };
        let consume = vec![
            consume(Source::Deliveries, &answers, PREFETCH),
            consume(Source::Presence, &presence, 1),
        ];
        let binding = topology.bound_to_presence(&presence);
        let declare = vec![Declaration::Queue(answers), Declaration::Queue(presence), binding];
        Plan { declare, consume }
    };
    Options { url, name: format!("simple-dist {name} {id}"), signed: true, plan: Box::new(plan) }
}

/// The publishing side of one generation.
#[derive(Debug)]
pub(crate) struct Wire {
    session: Session,
    client: ClientId,
    generation: Generation,
    submit: Arc<Route>,
    control: Arc<Route>,
}

impl Wire {
    /// Puts right what somebody may have deleted.
    pub(crate) fn declare_again(&self) {
        self.session.declare_again();
    }

    pub(crate) fn new(session: Session, client: ClientId, topology: &Topology) -> Self {
        let generation = session.generation();
        let submit = Route {
            exchange: topology.submit(),
            key: topology.submit_key(),
            mandatory: true,
            envelope: Some(envelope(client, generation)),
        };
        let control = Route {
            exchange: topology.submit(),
            key: topology.control_key(),
            mandatory: false,
            envelope: None,
        };
        let (submit, control) = (Arc::new(submit), Arc::new(control));
        Self { session, client, generation, submit, control }
    }

    /// For how long the broker has not confirmed what was written to it.
    pub(crate) fn unconfirmed(&self) -> Duration {
        self.session.unconfirmed()
    }

    pub(crate) fn submit(&self, submission: &Submission, token: u64) -> Result<(), Full> {
        self.session.publish(Outgoing {
            route: Arc::clone(&self.submit),
            body: codec::encode_sharing(submission, Some(&submission.args)),
            work: Duration::ZERO,
            token: Some(token),
            lane: Lane::Jobs,
        })
    }

    pub(crate) fn cancel(&self, ids: Vec<JobId>) {
        self.tell(&FromClient::Cancel(self.ids(ids)));
    }

    pub(crate) fn ask(&self, ids: Vec<JobId>) {
        self.tell(&FromClient::Ask(self.ids(ids)));
    }

    pub(crate) fn noted(&self, id: JobId, marks: Marks) {
        let Self { client, generation, .. } = *self;
        self.tell(&FromClient::Noted(Noted { client, generation, id, marks }));
    }

    pub(crate) fn report(&self, local: LocalRuns) {
        self.tell(&FromClient::Report(Report { client: self.client, local }));
    }

    fn ids(&self, ids: Vec<JobId>) -> Ids {
        Ids { client: self.client, generation: self.generation, ids }
    }

    fn tell(&self, message: &FromClient) {
        let told = self.session.publish(Outgoing {
            route: Arc::clone(&self.control),
            body: codec::encode_message(message).into(),
            work: Duration::ZERO,
            token: None,
            lane: Lane::Control,
        });
        if told.is_err() {
            // Cancels and receipts are asked for again, questions repeated, reports statistics.
            tracing::debug!("a control message was not taken by the publisher");
        }
    }
}

fn envelope(client: ClientId, generation: Generation) -> Bytes {
    codec::envelope(&FromClient::Submit(Submit { client, generation, jobs: vec![] }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_submission_in_its_envelope_is_a_submit_message() {
        let (client, generation) = (ClientId::from_u128(1), Generation(2));
        let job = Submission {
            id: JobId::from_u128(3),
            function: "fib@1".to_owned(),
            args: Bytes::from_static(&[20]),
            budget_ms: 60_000,
            priority: 4,
            marks: Marks::default(),
            trace: None,
            first: false,
            progress: false,
            has_fallback: false,
            fresh: false,
        };
        let item = codec::encode_message(&job).into();
        let bytes = codec::join(&envelope(client, generation), [&item].into_iter());
        let message = FromClient::Submit(Submit { client, generation, jobs: vec![job] });
        assert_eq!(codec::decode::<FromClient>(&bytes).unwrap(), message);
    }
}
