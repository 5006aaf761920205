//! A distributor: `distributor/src/service.rs`, `service/broker_calls.rs`, `wire.rs`,
//! `wire/decode.rs`.

use std::collections::BTreeMap;
use std::time::Duration;

use simple_dist_core::scheduler::{
    Config, Effect, Event, Hedging, Rollout, Scheduler, Sharing, TICK, Token, Via,
};
use simple_dist_protocol::limits::{LEADER_QUEUE_PREFETCH, LIST_JOBS};
use simple_dist_protocol::message::{Deliveries, FromClient, FromWorker, Place};
use simple_dist_protocol::{Attempt, DistributorId, Generation, PoolId, Term};

use super::{Act, Alarm, CONTROL, Down, Happening, JOBS, Site, Up};
use crate::broker::{Body, Letter, Name, Route, Will};
use crate::publisher::Item;

/// How often a standby asks whether the lock is free.
const CLAIM: Duration = Duration::from_millis(100);
/// How soon a refused consumer is tried again.
const RETRY: Duration = Duration::from_millis(250);
const INTAKES: [Name; 3] = [Name::Answers, Name::Submissions, Name::ClientControl];

#[derive(Debug)]
pub(crate) struct Distributor {
    pub(crate) scheduler: Scheduler,
    id: DistributorId,
    is_up: bool,
    claiming: bool,
    /// Pools being emptied: what was found, and whether to declare again after it.
    purging: BTreeMap<PoolId, (Vec<Letter>, bool)>,
    /// Questions about queues, by when they were asked: how many replies are outstanding, and those
    /// received; `None` if one of them failed.
    looks: BTreeMap<Duration, (usize, Option<Depths>)>,
}

type Depths = Vec<(Name, Option<u32>)>;

impl Distributor {
    pub(crate) fn new(
        id: u128,
        (hedging, relief): (Hedging, bool),
        (sharing, memo): (Sharing, usize),
        rollout: Rollout,
        cross_check: u16,
    ) -> Self {
        let id = DistributorId::from_u128(id);
        let base = Config::new(id);
        let config = Config { hedging, relief, sharing, memo, rollout, cross_check, ..base };
        Self {
            scheduler: Scheduler::new(config),
            id,
            is_up: false,
            claiming: false,
            purging: BTreeMap::new(),
            looks: BTreeMap::new(),
        }
    }

    pub(crate) fn happens(&mut self, happening: Happening, site: &mut Site<'_>) {
        match happening {
            Happening::Begins => {
                site.after(Duration::ZERO, Alarm::Tick);
                site.after(Duration::ZERO, Alarm::Claim);
            }
            Happening::Up(_) => {
                self.is_up = true;
                self.feed(Event::LinkUp, site);
                self.claim(site);
            }
            Happening::LinkDown => {
                (self.is_up, self.claiming) = (false, false);
                self.purging.clear();
                self.looks.clear();
                self.feed(Event::LinkDown, site);
            }
            Happening::Heard(down) => self.hear(down, site),
            Happening::Settled(tokens, outcome) => {
                let tokens = tokens.into_iter().map(Token).collect();
                self.feed(Event::Settled { tokens, outcome }, site);
            }
            Happening::Alarm(Alarm::Tick) => {
                self.feed(Event::Tick, site);
                site.after(TICK, Alarm::Tick);
            }
            Happening::Alarm(Alarm::Claim) => {
                self.claim(site);
                site.after(CLAIM, Alarm::Claim);
            }
            Happening::Alarm(Alarm::Consume(intake)) => self.consume(intake, site),
            Happening::Drains(worker, true) => self.feed(Event::Drain(worker), site),
            Happening::Drains(worker, false) => self.feed(Event::Resume(worker), site),
            other => panic!("not for a distributor: {other:?}"),
        }
    }

    fn hear(&mut self, down: Down, site: &mut Site<'_>) {
        match down {
            Down::Delivery { tag, letter: Letter { body: Body::Will(will), .. }, .. } => {
                let Will { by, worker, generation } = will;
                if by == self.id {
                    let generation = Generation(generation);
                    self.feed(Event::LinkEnded { worker, generation }, site);
                }
                site.act(Act::Ask(Up::Ack(tag)));
            }
            Down::Delivery { queue, tag, letter, .. } => {
                self.feed(event(queue, letter), site);
                site.act(Act::Ask(Up::Ack(tag)));
            }
            Down::Claimed(ours) => {
                self.claiming = false;
                if ours {
                    site.judge.term_begins();
                    let term = Term(site.random.below(u64::MAX));
                    self.feed(Event::Leading { term }, site);
                    INTAKES.into_iter().for_each(|intake| self.consume(intake, site));
                }
            }
            Down::Consumed { queue, is_there: false, .. } => {
                site.after(RETRY, Alarm::Consume(queue));
            }
            Down::Consumed { .. } => {}
            Down::Declared(pool) => self.feed(Event::PoolDeclared { pool, declared: true }, site),
            Down::Depth { asked_at, queue, messages } => {
                self.looked(asked_at, queue, messages, site);
            }
            Down::Got(pool, letter) => self.got(pool, letter, site),
            Down::Blocked(true) => self.feed(Event::Blocked, site),
            Down::Blocked(false) => self.feed(Event::Unblocked, site),
            Down::Confirm { .. } => unreachable!("that is the publisher's"),
        }
    }

    fn claim(&mut self, site: &mut Site<'_>) {
        let leading = self.scheduler.term().is_some();
        if self.is_up && !leading && !self.claiming && !site.blocked {
            self.claiming = true;
            site.act(Act::Ask(Up::Claim));
        }
    }

    fn consume(&self, queue: Name, site: &mut Site<'_>) {
        if self.is_up {
            let prefetch = LEADER_QUEUE_PREFETCH.into();
            site.act(Act::Ask(Up::Consume { queue, consumer: 0, prefetch }));
        }
    }

    /// All queues are asked about together, and reported together.
    fn look(&mut self, asked_at: Duration, pools: &[PoolId], site: &mut Site<'_>) {
        for queue in pools.iter().map(|pool| Name::Pool(*pool)).chain([Name::Answers]) {
            site.act(Act::Ask(Up::Depth { asked_at, queue }));
        }
        self.looks.insert(asked_at, (pools.len() + 1, Some(vec![])));
    }

    fn looked(
        &mut self,
        asked_at: Duration,
        queue: Name,
        messages: Option<Option<u32>>,
        site: &mut Site<'_>,
    ) {
        let Some((missing, depths)) = self.looks.get_mut(&asked_at) else { return };
        *missing -= 1;
        match messages {
            Some(messages) => depths.iter_mut().for_each(|it| it.push((queue, messages))),
            None => *depths = None,
        }
        if *missing > 0 {
            return;
        }
        let Some((_, Some(depths))) = self.looks.remove(&asked_at) else {
            return self.feed(Event::DepthsFailed { asked_at }, site);
        };
        let (mut pools, mut answers) = (vec![], 0);
        for (queue, messages) in depths {
            match queue {
                Name::Pool(pool) => pools.push((pool, messages)),
                _ => answers = messages.unwrap_or(0),
            }
        }
        self.feed(Event::Depths { asked_at, pools, answers }, site);
    }

    /// A purge takes the messages out one by one.
    fn got(&mut self, pool: PoolId, letter: Option<Letter>, site: &mut Site<'_>) {
        let Some((found, _)) = self.purging.get_mut(&pool) else { return };
        if let Some(letter) = letter {
            found.push(letter);
            return site.act(Act::Ask(Up::Get(pool)));
        }
        let mut untouched = vec![];
        for letter in found.drain(..).filter(|letter| !letter.redelivered) {
            if let Body::Place(Place { term, jobs }) = letter.body {
                let attempt = |number| Attempt { term, number };
                untouched.extend(jobs.into_iter().map(|job| (job.key, attempt(job.attempt))));
            }
        }
        self.feed(Event::Purged { untouched }, site);
        if let Some((_, true)) = self.purging.remove(&pool) {
            site.act(Act::Ask(Up::Declare(pool)));
        }
    }

    fn feed(&mut self, event: Event, site: &mut Site<'_>) {
        let effects: Vec<Effect> = self.scheduler.apply(event, site.now).collect();
        site.judge.books(self.scheduler.counters());
        for effect in effects {
            self.perform(effect, site);
        }
    }

    fn perform(&mut self, effect: Effect, site: &mut Site<'_>) {
        if !self.is_up {
            return;
        }
        let (lane, route, body, token, work) = match effect {
            Effect::Place { pool, term, placement, work, token } => {
                let body = Body::Place(Place { term, jobs: vec![placement] });
                (JOBS, Route::To(Name::Pool(pool)), body, Some(token), work)
            }
            Effect::Deliver { to, term, delivery, token } => {
                let route = Route::To(Name::Client(to.client, to.generation.0));
                let body = Body::Deliveries(Deliveries { term, jobs: vec![delivery] });
                (JOBS, route, body, Some(token), Duration::ZERO)
            }
            Effect::ProbeClient { to, term, token } => {
                let route = Route::To(Name::Client(to.client, to.generation.0));
                let body = Body::Deliveries(Deliveries { term, jobs: vec![] });
                (JOBS, route, body, Some(token), Duration::ZERO)
            }
            Effect::Control { worker, generation, control, token, .. } => {
                let route = Route::To(Name::Worker(worker, generation.0));
                (CONTROL, route, Body::Control(control), Some(token), Duration::ZERO)
            }
            Effect::Will { worker, generation, .. } => {
                let will = Will { by: self.id, worker, generation: generation.0 };
                let route = Route::Will(worker, generation.0);
                (CONTROL, route, Body::Will(will), None, Duration::ZERO)
            }
            Effect::Presence(presence) => {
                (CONTROL, Route::Presence, Body::Presence(presence), None, Duration::ZERO)
            }
            Effect::DeclarePool(pool) => match self.purging.get_mut(&pool) {
                Some((_, declare)) => return *declare = true,
                None => return site.act(Act::Ask(Up::Declare(pool))),
            },
            Effect::Purge(pool) => {
                self.purging.insert(pool, (vec![], false));
                return site.act(Act::Ask(Up::Get(pool)));
            }
            Effect::AskDepths { asked_at, pools } => return self.look(asked_at, &pools, site),
            Effect::StepDown => return site.act(Act::GiveUp),
            Effect::Trace(_) => return,
        };
        let tokens = token.into_iter().map(|token| token.0).collect();
        site.act(Act::Publish { lane, item: Item { route, body, tokens, work } });
    }
}

fn event(queue: Name, Letter { user, body, redelivered, .. }: Letter) -> Event {
    match body {
        Body::Client(FromClient::Submit(mut submit)) => {
            assert!((1..=LIST_JOBS).contains(&submit.jobs.len()), "an impossible list");
            submit.jobs.iter_mut().for_each(|job| job.first &= !redelivered);
            Event::Submitted { user, submit }
        }
        Body::Client(FromClient::Cancel(ids)) => Event::Cancelled { user, ids },
        Body::Client(FromClient::Ask(ids)) => Event::Asked { user, ids },
        Body::Client(FromClient::Noted(noted)) => Event::Noted { user, noted },
        Body::Client(FromClient::Report(report)) => Event::Reported { user, report },
        Body::Worker(FromWorker::Answers(answers)) => {
            assert!((1..=LIST_JOBS).contains(&answers.jobs.len()), "an impossible list");
            Event::Answers { user, answers }
        }
        Body::Worker(FromWorker::Started(started)) => {
            let via = if queue == Name::Answers { Via::Results } else { Via::Beats };
            Event::Started { user, started, via }
        }
        Body::Worker(FromWorker::Beat(beat)) => Event::Beat { user, beat: *beat },
        Body::Presence(presence) => Event::PresenceSeen(presence),
        other => panic!("not for a distributor: {other:?}"),
    }
}
