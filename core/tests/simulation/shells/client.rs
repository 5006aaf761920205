//! A client: `client/src/actor.rs` and `wire.rs`, and the threads of `local.rs`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use simple_dist_core::caller::{
    Begin, CallOptions, Caller, Effect, Event, LocalRun, Reason, Target,
};
use simple_dist_protocol::message::{Delivered, FromClient, Ids, Noted, Report, Submit};
use simple_dist_protocol::{ClientId, Generation};

use super::{Act, Alarm, CONTROL, Down, Happening, JOBS, Site, Up};
use crate::broker::{Body, Name, Route};
use crate::publisher::Item;
use crate::script::Call;

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) id: ClientId,
    caller: Caller,
    generation: Generation,
    wakes: Option<Duration>,
    /// The threads for local runs.
    slots: usize,
    busy: usize,
}

impl Client {
    pub(crate) fn new(id: u128, slots: usize) -> Self {
        Self {
            id: ClientId::from_u128(id),
            caller: Caller::new(slots, Duration::ZERO),
            generation: Generation(0),
            wakes: None,
            slots,
            busy: 0,
        }
    }

    /// Whether a local run would have to wait.
    pub(crate) fn is_full(&self) -> bool {
        self.busy >= self.slots
    }

    pub(crate) fn happens(&mut self, happening: Happening, site: &mut Site<'_>) {
        let now = site.now;
        match happening {
            Happening::Begins => {}
            Happening::Up(generation) => {
                self.generation = Generation(generation);
                self.caller.apply(Event::Up, now);
            }
            Happening::LinkDown => self.caller.apply(Event::Down(Reason::NoConnection), now),
            Happening::Heard(down) => self.hear(down, site),
            Happening::Settled(tokens, outcome) => {
                self.caller.apply(Event::Settled { tokens, outcome }, now);
            }
            Happening::Alarm(Alarm::Wake(at)) => {
                self.wakes.take_if(|wakes| *wakes == at);
            }
            Happening::Alarm(Alarm::LocalEnds(id)) => {
                self.busy -= 1;
                if site.judge.kind(id).kills() {
                    return site.act(Act::Die);
                }
                let took = site.judge.span(id);
                self.caller.apply(Event::Ran { id, end: Ok(()), took }, now);
            }
            Happening::Called(call) => {
                self.look(site);
                self.begin(&call, site);
            }
            Happening::Dropped(id) => {
                site.judge.dropped(id);
                self.caller.apply(Event::Dropped(id), now);
            }
            other => panic!("not for a client: {other:?}"),
        }
        self.look(site);
        for effect in self.caller.effects(now) {
            self.carry_out(effect, site);
        }
        let due = self.caller.wake(now).max(now + Duration::from_millis(1));
        if self.wakes.is_none_or(|wakes| due < wakes) {
            self.wakes = Some(due);
            site.after(due - now, Alarm::Wake(due));
        }
    }

    fn look(&mut self, site: &mut Site<'_>) {
        let look = Event::Look { unconfirmed: site.unconfirmed, caught_up: true };
        self.caller.apply(look, site.now);
    }

    fn begin(&mut self, call: &Call, site: &mut Site<'_>) {
        let selector = call.function.parse().unwrap();
        let options = CallOptions {
            timeout: call.timeout,
            deadline: call.deadline,
            priority: call.priority,
            fallback: call.fallback,
            when_busy: call.when_busy,
            fresh: call.fresh,
            ..CallOptions::default()
        };
        let local = if call.runs_here { LocalRun::Written } else { LocalRun::No };
        let target = Arc::new(Target::new(selector, local));
        let args = Ok(Bytes::from(call.argument.to_string()));
        let begin = Begin { id: call.id, target, args, options, at: site.now };
        self.caller.apply(Event::Begin(begin), site.now);
    }

    fn hear(&mut self, down: Down, site: &mut Site<'_>) {
        match down {
            Down::Delivery { tag, letter, .. } => {
                site.act(Act::Ask(Up::Ack(tag)));
                let event = match letter.body {
                    Body::Deliveries(deliveries) => {
                        for delivery in &deliveries.jobs {
                            if let Delivered::Struck(marks) = &delivery.body {
                                site.judge.struck(delivery.id, marks);
                            }
                        }
                        Event::Deliveries(deliveries)
                    }
                    Body::Presence(presence) => Event::Presence(presence),
                    other => panic!("not for a client: {other:?}"),
                };
                self.caller.apply(event, site.now);
            }
            Down::Blocked(true) => self.caller.apply(Event::Blocked, site.now),
            Down::Blocked(false) => self.caller.apply(Event::Unblocked, site.now),
            other => panic!("not for a client: {other:?}"),
        }
    }

    fn carry_out(&mut self, effect: Effect, site: &mut Site<'_>) {
        let (client, generation) = (self.id, self.generation);
        let ids = |ids| Ids { client, generation, ids };
        let told = match effect {
            Effect::Submit { submission, token } => {
                let submit = Submit { client, generation, jobs: vec![submission] };
                let (body, route) = (Body::Client(FromClient::Submit(submit)), Name::Submissions);
                let (route, tokens, work) = (Route::To(route), vec![token], Duration::ZERO);
                let item = Item { route, body, tokens, work };
                return site.act(Act::Publish { lane: JOBS, item });
            }
            Effect::Run { id, reason, .. } => {
                self.busy += 1;
                site.judge.demand(self.busy <= self.slots, || format!("{id} has no slot"));
                let span = site.judge.begins_here(id, reason);
                return site.after(span, Alarm::LocalEnds(id));
            }
            Effect::End { id, end } => return site.judge.ends(id, end),
            Effect::Progress { .. } | Effect::Retry(_) => return,
            Effect::LeftBehind(id) => return site.judge.left_behind(id),
            Effect::NoRoom(bound) => panic!("{bound}"),
            Effect::Cancel(jobs) => FromClient::Cancel(ids(jobs)),
            Effect::Ask(jobs) => FromClient::Ask(ids(jobs)),
            Effect::Noted { id, marks } => {
                FromClient::Noted(Noted { client, generation, id, marks })
            }
            Effect::Report(local) => FromClient::Report(Report { client, local }),
        };
        let (body, route) = (Body::Client(told), Route::To(Name::ClientControl));
        let item = Item { route, body, tokens: vec![], work: Duration::ZERO };
        site.act(Act::Publish { lane: CONTROL, item });
    }
}
