//! A distributor's shell: messages become events, effects become messages.

use simple_dist_core::scheduler::{Effect, Event, Via};
use simple_dist_protocol::message::{Deliveries, FromClient, FromWorker, Place};
use simple_dist_protocol::{Attempt, JobKey, UserName};

use super::{Mark, What, Who, World};
use crate::broker::{Body, Conn, Name};

impl World {
    pub(super) fn hear(&mut self, n: usize, body: Body) {
        let (client, worker): (UserName, UserName) =
            ("client".parse().unwrap(), "worker".parse().unwrap());
        let event = match body {
            Body::FromClient(FromClient::Submit(submit)) => {
                Event::Submitted { user: client, submit }
            }
            Body::FromClient(FromClient::Cancel(ids)) => Event::Cancelled { user: client, ids },
            Body::FromClient(FromClient::Ask(ids)) => Event::Asked { user: client, ids },
            Body::FromClient(FromClient::Noted(noted)) => Event::Noted { user: client, noted },
            Body::FromClient(FromClient::Report(report)) => {
                Event::Reported { user: client, report }
            }
            Body::FromWorker(FromWorker::Beat(beat)) => Event::Beat { user: worker, beat },
            Body::FromWorker(FromWorker::Started(started)) => {
                Event::Started { user: worker, started, via: Via::Results }
            }
            Body::FromWorker(FromWorker::Answers(answers)) => {
                Event::Answers { user: worker, answers }
            }
            Body::Presence(presence) => Event::Seen(presence),
            other => panic!("not for a distributor: {other:?}"),
        };
        self.feed(n, event);
    }

    pub(super) fn feed(&mut self, n: usize, event: Event) {
        let effects: Vec<Effect> = self.ledgers[n].apply(event, self.now).collect();
        assert!(self.ledgers[n].books().balance(), "{:?}", self.ledgers[n].books());
        let Some(conn) = self.line(Who::Distributor(n)).conn else {
            assert!(effects.is_empty(), "nothing can be done without a link: {effects:?}");
            return;
        };
        for effect in effects {
            self.effect(conn, effect);
        }
    }

    fn effect(&mut self, conn: Conn, effect: Effect) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:8.3}   {conn:?} {effect:?}", self.now.as_secs_f64()));
        }
        match effect {
            Effect::DeclarePool(pool) => {
                if self.broker.is_alive(conn) {
                    self.broker.declare(Name::Pool(pool), None);
                    self.feed_later(conn, Event::PoolDeclared { pool, declared: true });
                }
            }
            Effect::Purge(pool) => {
                if self.broker.is_alive(conn) {
                    let taken = self.broker.purge(Name::Pool(pool));
                    let untouched = taken.into_iter().flat_map(untouched).collect();
                    self.feed_later(conn, Event::Purged { untouched });
                }
            }
            Effect::Place { pool, term, placement, token, .. } => {
                let body = Body::Place(Place { term, jobs: vec![placement] });
                self.publish(conn, Name::Pool(pool), body, Mark::Token(token));
            }
            Effect::Deliver { to, term, delivery, token } => {
                let body = Body::Deliveries(Deliveries { term, jobs: vec![delivery] });
                let name = Name::Client(to.client, to.generation.0);
                self.publish(conn, name, body, Mark::Token(token));
            }
            Effect::ProbeClient { to, term, token } => {
                let body = Body::Deliveries(Deliveries { term, jobs: vec![] });
                let name = Name::Client(to.client, to.generation.0);
                self.publish(conn, name, body, Mark::Token(token));
            }
            Effect::Control { worker, generation, control, token, .. } => {
                let name = Name::Worker(worker, generation.0);
                self.publish(conn, name, Body::Control(control), Mark::Token(token));
            }
            Effect::Presence(presence) => {
                if self.now >= self.presence_lost_until {
                    let body = Body::Presence(presence);
                    let to = |name: &Name| matches!(name, Name::Presence(_));
                    self.broker.fan_out(conn, to, &body);
                }
            }
            Effect::StepDown => panic!("the lock was held twice"),
            Effect::AskDepths { asked_at, pools } => {
                if self.broker.is_alive(conn) {
                    let depth = |pool| (pool, self.broker.depth(Name::Pool(pool)));
                    let pools = pools.into_iter().map(depth).collect();
                    let answers = self.broker.depth(Name::Answers).unwrap_or(0);
                    self.feed_later(conn, Event::Depths { asked_at, pools, answers });
                }
            }
        }
    }

    fn feed_later(&mut self, conn: Conn, event: Event) {
        let time = self.on_its_way(conn, None);
        self.at(time, What::Fed { conn, event });
    }
}

/// The attempts in a message that nobody ever had.
fn untouched((body, redelivered): (Body, bool)) -> Vec<(JobKey, Attempt)> {
    match body {
        Body::Place(Place { term, jobs }) if !redelivered => {
            let attempt = |number| Attempt { term, number };
            jobs.into_iter().map(|job| (job.key, attempt(job.attempt))).collect()
        }
        _ => vec![],
    }
}
