//! Requests that reach the scheduler's task through the handle: HTTP calls and operator actions.
//!
//! To the scheduler an HTTP caller is a client like any other, with the user [`UserName::http`]:
//! deliveries to that user go to the callers waiting here instead of to the broker. A caller's
//! connection holds its job: when a term ends, the caller gets an error at once and tries again.

use std::collections::HashMap;
use std::net::IpAddr;

use simple_dist_core::scheduler::{Effect, Event, Purity};
use simple_dist_protocol::Outcome;
use simple_dist_protocol::message::{Delivered, Delivery, Ids, Marks, Noted, Submission, Submit};
use simple_dist_protocol::{ClientId, Generation, JobId, UserName};
use tokio::sync::oneshot;

use crate::handle::{HttpAnswer, HttpCall, Refused, Request, entity_tag};
use crate::view::JobFilter;
use crate::web::peers::network;

use super::{Service, unix_now};

/// The generation of a client that has no link.
const NO_LINK: Generation = Generation(0);

/// The HTTP callers that wait for an answer.
#[derive(Debug)]
pub(super) struct HttpCallers {
    user: UserName,
    /// Seeds the client ids, which are derived from callers' addresses.
    seed: ClientId,
    waiting: HashMap<JobId, Caller>,
}

/// A caller, by the client id that it has here.
#[derive(Debug)]
struct Caller {
    client: ClientId,
    purity: Option<Purity>,
    answer: oneshot::Sender<Result<HttpAnswer, Refused>>,
}

/// Who an effect is for.
#[derive(Debug)]
pub(super) enum Routed {
    /// It was for a caller here, and gave rise to these events.
    ForHttp(Vec<Event>),
    /// It is for the broker.
    ForBroker(Effect),
}

impl HttpCallers {
    pub(super) fn new() -> Self {
        Self { user: UserName::http(), seed: ClientId::new(), waiting: HashMap::new() }
    }

    /// Registers a caller; the event submits its job.
    fn submit(
        &mut self,
        call: HttpCall,
        purity: Option<Purity>,
        answer: oneshot::Sender<Result<HttpAnswer, Refused>>,
    ) -> Event {
        let client = self.client_at(call.peer);
        // What its answer is said to be the answer to is what it asks for.
        let function = purity.as_ref().map(|purity| purity.function.to_string());
        self.waiting.insert(call.id, Caller { client, purity, answer });
        let submission = Submission {
            id: call.id,
            function: function.unwrap_or_else(|| call.function.to_string()),
            args: call.args,
            budget_ms: u64::try_from(call.timeout.as_millis()).unwrap_or(u64::MAX),
            priority: call.priority,
            marks: Marks::default(),
            trace: call.trace,
            first: true,
            progress: false,
            has_fallback: false,
            fresh: call.fresh,
        };
        let submit = Submit { client, generation: NO_LINK, jobs: vec![submission] };
        Event::Submitted { user: self.user.clone(), submit }
    }

    /// Forgets a caller that went away; the event cancels its job.
    fn give_up(&mut self, id: JobId) -> Option<Event> {
        let Caller { client, .. } = self.waiting.remove(&id)?;
        let ids = Ids { client, generation: NO_LINK, ids: vec![id] };
        Some(Event::Cancelled { user: self.user.clone(), ids })
    }

    /// The client id shared by all callers at one address: they share what one client gets.
    fn client_at(&self, peer: Option<IpAddr>) -> ClientId {
        let peer = peer.map(network);
        let digest = blake3::hash(format!("{} {peer:?}", self.seed).as_bytes());
        let mut first = [0; 16];
        first.copy_from_slice(&digest.as_bytes()[..16]);
        ClientId::from_u128(u128::from_be_bytes(first))
    }

    /// Handles an effect that is for a caller here.
    pub(super) fn route(&mut self, effect: Effect) -> Routed {
        match effect {
            Effect::Deliver { to, delivery, token, .. } if to.user == self.user => {
                let outcome = Outcome::Confirmed;
                let settled = Event::Settled { tokens: vec![token], outcome };
                let mut events = vec![settled];
                events.extend(self.deliver(to.client, delivery));
                Routed::ForHttp(events)
            }
            effect => Routed::ForBroker(effect),
        }
    }

    fn deliver(&mut self, client: ClientId, Delivery { id, body }: Delivery) -> Option<Event> {
        let answered = match body {
            Delivered::Answer(answered) => Some(answered),
            Delivered::Unknown => None,
            // It did not ask.
            Delivered::Progress(_) => return None,
            Delivered::Struck(marks) => {
                let noted = Noted { client, generation: NO_LINK, id, marks };
                return Some(Event::Noted { user: self.user.clone(), noted });
            }
        };
        if let Some(Caller { purity, answer, .. }) = self.waiting.remove(&id) {
            let answered = answered.ok_or(Refused::NotActive);
            let result = answered.map(|it| HttpAnswer { answered: Some(it), purity });
            // A caller that is gone has given up, or is about to.
            let _gone = answer.send(result);
        }
        None
    }

    /// Fails all waiting calls: the scheduler has forgotten their jobs.
    pub(super) fn end_term(&mut self) {
        for (_, caller) in self.waiting.drain() {
            let _gone = caller.answer.send(Err(Refused::NotActive));
        }
    }
}

impl Service {
    pub(super) fn request(&mut self, request: Request) {
        let now = self.begun.elapsed();
        // A requester that no longer waits gets no reply.
        match request {
            Request::Call(call, answer) => {
                if self.scheduler.term().is_none() {
                    let _gone = answer.send(Err(Refused::NotActive));
                    return;
                }
                let purity = self.scheduler.purity(call.id, &call.function, &call.args);
                let tag = purity.as_ref().map(entity_tag);
                if !call.fresh && tag.is_some_and(|tag| call.known.contains(&tag)) {
                    let _gone = answer.send(Ok(HttpAnswer { answered: None, purity }));
                } else {
                    let event = self.callers.submit(call, purity, answer);
                    self.feed(event);
                }
            }
            Request::CallerGone(id) => {
                if let Some(event) = self.callers.give_up(id) {
                    self.feed(event);
                }
            }
            Request::Drain(worker, drain, answer) => {
                let known = self.scheduler.has_worker(worker);
                let event = if drain { Event::Drain(worker) } else { Event::Resume(worker) };
                let _gone = answer.send(self.operator_request(known, event));
            }
            Request::Cancel(key, answer) => {
                let known = self.scheduler.holds(&key);
                let _gone = answer.send(self.operator_request(known, Event::CancelJob(key)));
            }
            Request::Find(id, answer) => {
                let _gone = answer.send(self.scheduler.find(id, now, unix_now()));
            }
            Request::Failed(id, answer) => {
                let _gone = answer.send(self.scheduler.failed_calls(id));
            }
            Request::Differing(digest, answer) => {
                let _gone = answer.send(self.scheduler.differing(&digest));
            }
            Request::Affected(filter, answer) => {
                let _gone = answer.send(self.scheduler.affected(&filter));
            }
            Request::CancelSome(filter, most, answer) => {
                let _gone = answer.send(self.cancel_some(&filter, most));
            }
            Request::History(asked, answer) => {
                let _gone = answer.send(self.history.range(asked, unix_now().as_secs()));
            }
            Request::Acted(action, answer) => {
                self.view_builder.acted(action);
                self.publish_view();
                let _gone = answer.send(());
            }
            Request::List(most, answer) => {
                let jobs = self.scheduler.jobs(most, now).into_iter();
                let _gone = answer.send(jobs.map(crate::view::Job::UnderWay).collect());
            }
        }
    }

    fn cancel_some(&mut self, filter: &JobFilter, most: usize) -> Result<usize, Refused> {
        if self.scheduler.term().is_none() {
            return Err(Refused::NotActive);
        }
        let jobs = self.scheduler.some_of(filter, most);
        let many = jobs.len();
        jobs.into_iter().for_each(|job| self.feed(Event::CancelJob(job)));
        Ok(many)
    }

    fn operator_request(&mut self, known: bool, event: Event) -> Result<(), Refused> {
        if self.scheduler.term().is_none() {
            return Err(Refused::NotActive);
        }
        if !known {
            return Err(Refused::Unknown);
        }
        self.feed(event);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use simple_dist_protocol::message::{Answer, Answered};
    use simple_dist_protocol::{Term, codec};

    use simple_dist_core::scheduler::{Origin, Token};

    use super::*;

    fn call(id: JobId) -> HttpCall {
        HttpCall {
            id,
            function: "fib@1".parse().unwrap(),
            args: Bytes::from(codec::encode(&20).unwrap()),
            timeout: Duration::from_secs(5),
            priority: 4,
            trace: None,
            fresh: false,
            peer: None,
            known: vec![],
        }
    }

    fn delivery(callers: &HttpCallers, id: JobId, body: Delivered) -> Effect {
        let (user, client) = (callers.user.clone(), callers.client_at(None));
        Effect::Deliver {
            to: Origin { user, client, generation: NO_LINK },
            term: Term(1),
            delivery: Delivery { id, body },
            token: Token(7),
        }
    }

    #[test]
    fn an_answer_reaches_its_caller_and_is_settled() {
        let (mut callers, id) = (HttpCallers::new(), JobId::new());
        let (answer, mut answered) = oneshot::channel();
        let event = callers.submit(call(id), None, answer);
        assert!(matches!(event, Event::Submitted { user, .. } if user == UserName::http()));
        let busy = Answered {
            answer: Answer::Busy,
            worker: None,
            attempt: 0,
            waited_ms: 0,
            took_us: 0,
            bound: None,
            coalesced: false,
            memo_age_ms: None,
        };
        let routed = callers.route(delivery(&callers, id, Delivered::Answer(busy.clone())));
        let Routed::ForHttp(events) = routed else { panic!("{routed:?}") };
        assert!(matches!(events[..], [Event::Settled { outcome: Outcome::Confirmed, .. }]));
        let busy = HttpAnswer { answered: Some(busy), purity: None };
        assert_eq!(answered.try_recv(), Ok(Ok(busy)));
    }

    #[test]
    fn callers_from_one_address_are_one_client() {
        let callers = HttpCallers::new();
        let at = |address: &str| callers.client_at(address.parse().ok());
        assert_eq!(at("10.0.0.1"), at("::ffff:10.0.0.1"));
        assert_ne!(at("10.0.0.1"), at("10.0.0.2"));
        assert_eq!(at("2001:db8::1"), at("2001:db8::2"));
        assert_ne!(at("2001:db8::1"), at("2001:db8:0:1::1"));
    }

    #[test]
    fn the_marks_of_a_struck_job_are_noted_at_once() {
        let (mut callers, id) = (HttpCallers::new(), JobId::new());
        let marks = Marks { mark: true, ..Marks::default() };
        let routed = callers.route(delivery(&callers, id, Delivered::Struck(marks.clone())));
        let Routed::ForHttp(events) = routed else { panic!("{routed:?}") };
        assert!(
            matches!(&events[..], [Event::Settled { .. }, Event::Noted { noted, .. }] if noted.marks == marks)
        );
    }

    #[test]
    fn callers_are_told_of_the_end_of_a_term() {
        let (mut callers, id) = (HttpCallers::new(), JobId::new());
        let (answer, mut answered) = oneshot::channel();
        let _event = callers.submit(call(id), None, answer);
        callers.end_term();
        assert_eq!(answered.try_recv(), Ok(Err(Refused::NotActive)));
    }

    #[test]
    fn effects_for_broker_clients_go_to_the_broker() {
        let mut callers = HttpCallers::new();
        assert!(matches!(
            callers.route(Effect::Purge("1".parse().unwrap())),
            Routed::ForBroker(Effect::Purge(_))
        ));
    }
}
