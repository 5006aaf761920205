//! The thread of one slot: gives its child one job at a time, and starts another when it ends.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;

use simple_dist_core::worker::{Event, Number};
use simple_dist_isolation::{Child, Happening, StartError, Waker};
use simple_dist_protocol::panic_log::Run as Logged;
use simple_dist_protocol::{Address, Span};
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use super::super::slot_event::SlotEvent;
use super::super::{Setting, begin_span, end_span};
use super::crash::crash;
use super::list::{Outcome, RunList, Signals};
use super::{Command, Job, Order, Run, Shared};

/// So often the memory of what runs is looked at.
const MEASURE: Duration = Duration::from_millis(200);
/// How long a child without work has to end when it is told to.
const CLOSE: Duration = Duration::from_secs(1);
/// The child of a lent slot ends after so long without work.
const SPARE: Duration = Duration::from_secs(10);
/// The first wait after a child could not be started; doubled up to [`RETRY_MAX`].
const RETRY: Duration = Duration::from_millis(200);
/// The longest wait between two tries to start a child.
const RETRY_MAX: Duration = Duration::from_secs(30);
/// If what was given to a child with others takes longer than this, the others are taken back.
const CROWDED: Duration = Duration::from_millis(5);
/// A job is given to so many children that end before they take it.
const GIVEN: usize = 3;

/// See the module.
#[derive(Debug)]
pub(super) struct Slot {
    index: usize,
    told: Receiver<Command>,
    /// What was told while a job ran, of the next.
    next: Option<Run>,
    waker: Arc<Waker>,
    shared: Arc<Shared>,
    child: Option<Child>,
    /// How many jobs it has run.
    served: u32,
    /// How long the functions take.
    typical: HashMap<Address, Duration>,
    /// How many children in a row could not be started, or ended without any work.
    failures: u32,
    retry_at: Option<Instant>,
    /// The worker is gone.
    is_over: bool,
}

impl Slot {
    pub(super) fn new(
        index: usize,
        told: Receiver<Command>,
        waker: Arc<Waker>,
        shared: Arc<Shared>,
    ) -> Self {
        Self {
            index,
            told,
            next: None,
            waker,
            shared,
            child: None,
            served: 0,
            typical: HashMap::new(),
            failures: 0,
            retry_at: None,
            is_over: false,
        }
    }

    pub(super) fn run_all(mut self) {
        while !self.is_over {
            if self.index < self.shared.count {
                self.start_child();
            }
            self.take_orders();
            if let Some(run) = self.next.take() {
                self.run(run);
            } else if !self.is_over {
                self.idle();
            }
        }
        if let Some(child) = self.child.take() {
            child.close(CLOSE);
        }
    }

    /// Takes in what this thread was told; whether a job that waits has its answer.
    fn take_orders(&mut self) -> Option<(Number, bool)> {
        let mut answer = None;
        loop {
            match self.told.try_recv() {
                Ok(Command::Run(run)) => self.next = Some(run),
                Ok(Command::Lend(number, lent)) => answer = Some((number, lent)),
                Err(TryRecvError::Empty) => return answer,
                Err(TryRecvError::Disconnected) => {
                    self.is_over = true;
                    return answer;
                }
            }
        }
    }

    /// Starts a child, if there is none and its time has come.
    fn start_child(&mut self) {
        let is_early = self.retry_at.is_some_and(|at| Instant::now() < at);
        if self.child.is_some() || is_early {
            return;
        }
        let (waker, shared) = (Arc::clone(&self.waker), Arc::clone(&self.shared));
        let started = Child::start(&shared.slots.spec, &waker, || {
            self.take_orders();
            !self.is_over
        });
        match started {
            Ok(child) => {
                debug!(worker.id = %shared.worker, slot = self.index, pid = child.id(), "a child is ready");
                shared.started();
                (self.child, self.served, self.retry_at) = (Some(child), 0, None);
            }
            Err(StartError::Unwanted) => {}
            Err(problem) => self.failed(problem),
        }
    }

    /// There is no child, and will be none for a while.
    fn failed(&mut self, problem: StartError) {
        if self.failures == 0 {
            let source = std::error::Error::source(&problem);
            error!(
                worker.id = %self.shared.worker, slot = self.index, %problem, source,
                "a slot has no child process; it goes on trying"
            );
        }
        let wait = RETRY.saturating_mul(1 << self.failures.min(16)).min(RETRY_MAX);
        self.failures += 1;
        self.retry_at = Some(Instant::now() + wait);
        if self.failures == 1 && self.index < self.shared.count {
            self.shared.failed(problem);
        }
    }

    /// Waits for something to do.
    fn idle(&mut self) {
        let Some(child) = &mut self.child else {
            let wait = self.retry_at.map(|at| at.saturating_duration_since(Instant::now()));
            return self.waker.wait(wait);
        };
        let is_spare = self.index >= self.shared.count;
        match child.next::<SlotEvent>(&self.waker, is_spare.then_some(SPARE), &mut |line| {
            info!(worker.id = %self.shared.worker, output = line, "a child printed this between jobs");
        }) {
            Happening::Woken => {}
            Happening::Nothing => {
                if let Some(child) = self.child.take() {
                    child.close(CLOSE);
                }
            }
            // What the last job said, too late.
            Happening::Message(
                SlotEvent::Progresses { .. }
                | SlotEvent::Panicked(_)
                | SlotEvent::Revoked { .. }
                | SlotEvent::Waits { .. }
                | SlotEvent::Resumes { .. },
            ) => {}
            // It has nothing else to say without a job.
            Happening::Message(SlotEvent::Ran { .. }) => child.kill(),
            Happening::Ended => self.lost_idle(),
        }
    }

    /// The child ended without a job.
    fn lost_idle(&mut self) {
        let Some(child) = self.child.take() else { return };
        let death = child.end();
        if self.served == 0 {
            return self.failed(StartError::Ended(death));
        }
        warn!(
            worker.id = %self.shared.worker, slot = self.index, %death, output = death.output,
            "a child ended between jobs; another takes its place"
        );
    }

    fn run(&mut self, Run { jobs, setting }: Run) {
        let mut list = RunList { waiting: jobs.into(), ..RunList::default() };
        loop {
            if list.entered.is_empty() {
                self.recycle();
                let alone = self.child.as_ref().is_none_or(Child::has_printed);
                let most = self.shared.slots.recycle_after;
                let most =
                    if alone { Some(1) } else { most.map(|most| most.saturating_sub(self.served)) };
                list.enter(most, &self.typical, &setting.control);
            }
            let Some(event) = self.run_front(&mut list, &setting) else { return };
            let Some(event) = event else { continue };
            let ends = matches!(event, Event::CannotRun { .. });
            if self.shared.happened.blocking_send(event).is_err() {
                self.is_over = true;
            }
            if ends || self.is_over {
                return;
            }
        }
    }

    /// Runs the first of what has entered, unless it waits again; none if there is none, or the
    /// worker is gone.
    fn run_front(&mut self, list: &mut RunList, setting: &Setting) -> Option<Option<Event>> {
        let slot = self.index;
        let work = list.entered.front()?.clone();
        let (number, (span, logged)) = (work.number, setting.begins(&work));
        let _entered = span.enter();
        let trace = begin_span(&work);
        for _ in 0..GIVEN {
            self.retry_at = self.retry_at.filter(|_| self.failures > 1);
            self.start_child();
            if self.is_over {
                return None;
            }
            let Some(mut child) = self.child.take() else { break };
            let began = Instant::now();
            match self.attend(&mut child, number, list, setting, (&logged, &trace)) {
                Outcome::Ran(event) => {
                    if let SlotEvent::Ran { answer, took, .. } = &event {
                        end_span(&trace, answer);
                        self.count(&work.function, answer.kind(), *took);
                    }
                    (self.child, self.failures) = (Some(child), 0);
                    list.front_ended();
                    self.served += 1;
                    return Some(event.event(slot));
                }
                Outcome::Revoked => {
                    trace.fail("revoked");
                    self.child = Some(child);
                    return Some(None);
                }
                Outcome::Crashed(death) => {
                    trace.fail("crashed");
                    let took = began.elapsed();
                    let killed = setting.control.is_killed(number);
                    let (worker, limits) = (self.shared.worker, &self.shared.slots.limits);
                    let crash = crash(worker, work.attempt, death, limits, killed);
                    list.front_ended();
                    list.sent = 0;
                    self.failures = 0;
                    return Some(Some(Event::Crashed { slot, number, crash, took }));
                }
                Outcome::Untouched => list.sent = 0,
                Outcome::Over => return None,
            }
        }
        trace.fail("no_child");
        Some(Some(Event::CannotRun { slot }))
    }

    fn count(&mut self, function: &Address, kind: &'static str, took: Duration) {
        metrics::counter!("simple_dist_worker_runs_total", "answer" => kind).increment(1);
        let typical = self.typical.entry(function.clone()).or_insert(took);
        *typical = (*typical * 3 + took) / 4;
    }

    /// Gives what has entered to the child, unless it has it, and waits until the front or the child
    /// ends.
    fn attend(
        &mut self,
        child: &mut Child,
        number: Number,
        list: &mut RunList,
        setting: &Setting,
        (logged, trace): (&Logged, &Span),
    ) -> Outcome {
        let control = &setting.control;
        let waker = Arc::clone(&self.waker);
        child.begin_output();
        if list.sent == 0 {
            let now = self.shared.began.elapsed();
            let jobs = Job::batch(&list.entered, now, trace);
            list.begin_batch();
            let mut was_killed = false;
            let sent = child.send(&Order::Run(jobs), &waker, || {
                self.take_orders();
                was_killed = control.is_killed(number);
                !self.is_over && !was_killed
            });
            if self.is_over {
                return Outcome::Over;
            }
            if sent.is_err() && !was_killed {
                return Outcome::Untouched;
            }
        }
        let mut said = Signals::default();
        loop {
            if control.is_killed(number) {
                child.kill();
            } else if !said.stop && control.is_stopped(number) {
                said.stop = true;
                self.say(child, &Order::Stop(number.0), number, setting);
            }
            let is_crowded = list.sent > 1 && !list.is_revoked;
            let wait = if is_crowded { CROWDED } else { MEASURE };
            let printed = &mut |line: &str| self.printed(logged, line);
            match child.next::<SlotEvent>(&waker, Some(wait), printed) {
                Happening::Message(SlotEvent::Panicked(report)) => {
                    child.keep_line(&report);
                    report.log(logged);
                }
                // A copy of the process may say again how its last job ended.
                Happening::Message(event) if event.is_of_another(number.0) => {}
                Happening::Message(event @ SlotEvent::Ran { .. }) => return Outcome::Ran(event),
                Happening::Message(SlotEvent::Revoked { first, begun }) => {
                    self.revoked(first, begun, list, setting);
                    if list.entered.is_empty() {
                        return Outcome::Revoked;
                    }
                }
                Happening::Message(event) => {
                    self.hear(event, number, setting, &mut said);
                    if said.waited && is_crowded {
                        self.revoke(child, number, list, setting);
                    }
                }
                Happening::Woken => {
                    if let Some((_, lent)) = self.take_orders().filter(|(of, _)| *of == number) {
                        said.lent = lent;
                        self.say(child, &Order::Lend(number.0, lent), number, setting);
                    }
                    if self.is_over {
                        return Outcome::Over;
                    }
                }
                Happening::Nothing if is_crowded => self.revoke(child, number, list, setting),
                Happening::Nothing => child.measure_memory(),
                Happening::Ended => {
                    if said.lent {
                        self.tell(SlotEvent::Resumes { number: number.0 });
                    }
                    return list.lost(child.death(), &said);
                }
            }
        }
    }

    /// The job printed this.
    fn printed(&self, job: &Logged, line: &str) {
        info!(output = line, "the job prints");
        self.shared.slots.printed.iter().for_each(|lines| lines.push(job, line));
    }

    /// What runs takes long, so what waits behind it in the child is to be begun elsewhere.
    fn revoke(&mut self, child: &mut Child, number: Number, list: &mut RunList, setting: &Setting) {
        list.is_revoked = true;
        self.say(child, &Order::Revoke(list.first), number, setting);
    }

    /// So many of what was given to the child have begun; the others wait here again, or go back if
    /// the slot was told to begin no more.
    fn revoked(&mut self, first: u64, begun: usize, list: &mut RunList, setting: &Setting) {
        if first != list.first {
            return;
        }
        let runs = begun.saturating_sub(list.batch_ended);
        if runs >= list.entered.len() {
            return;
        }
        let back = list.entered.split_off(runs);
        list.sent = runs;
        if setting.control.leave(back.len()) {
            back.into_iter().rev().for_each(|work| list.waiting.push_front(work));
            return;
        }
        list.waiting.clear();
        let event = Event::Recalled { slot: self.index, begun: list.ended + runs };
        if self.shared.happened.blocking_send(event).is_err() {
            self.is_over = true;
        }
    }

    /// Tells the child something about its job; it may end meanwhile.
    fn say(&mut self, child: &mut Child, order: &Order, number: Number, setting: &Setting) {
        let waker = Arc::clone(&self.waker);
        let _sent = child.send(order, &waker, || !setting.control.is_killed(number));
    }

    /// What a job says before its end.
    fn hear(&mut self, event: SlotEvent, number: Number, setting: &Setting, said: &mut Signals) {
        match event {
            SlotEvent::Waits { .. } => {
                said.waited = true;
                self.tell(event);
            }
            SlotEvent::Resumes { .. } => {
                said.lent = false;
                self.tell(event);
            }
            SlotEvent::Progresses { progress, .. } => {
                setting.board.put(self.index, number, progress);
            }
            // Not said before its end, or heard elsewhere.
            SlotEvent::Panicked(_) | SlotEvent::Revoked { .. } | SlotEvent::Ran { .. } => {}
        }
    }

    fn tell(&mut self, event: SlotEvent) {
        if let Some(event) = event.event(self.index)
            && self.shared.happened.blocking_send(event).is_err()
        {
            self.is_over = true;
        }
    }

    /// A child that has run its share is replaced.
    fn recycle(&mut self) {
        if self.shared.slots.recycle_after.is_some_and(|most| self.served >= most)
            && let Some(child) = self.child.take()
        {
            child.close(CLOSE);
        }
    }
}
