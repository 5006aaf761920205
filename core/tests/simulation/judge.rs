//! The promises: the record of every call, and what must never happen in it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use simple_dist_core::caller::{CallEnd, CallError, Ended, Fallback, Ran, Reason};
use simple_dist_core::scheduler::{Counters, Sharing};
use simple_dist_core::worker::Work;
use simple_dist_protocol::limits::STRIKES;
use simple_dist_protocol::message::Marks;
use simple_dist_protocol::{JobId, MemoPolicy, WorkerId};

use crate::script::{CALM, Call, Isolation, Kind, PATIENT, Script, Way, Who};

/// How late a call may end after its time.
const LATE: Duration = Duration::from_secs(2);
/// How late it may end after its deadline.
const GRACE: Duration = Duration::from_millis(100);
/// How soon the effects of a death must be repaired.
const HEALED: Duration = Duration::from_secs(15);
/// How soon a death must be noticed, so that a later loss counts as a false alarm.
const FOUND: Duration = Duration::from_secs(4);
/// How often, in a term, a job is placed again that was lost with isolated workers, before that
/// counts against it.
const SPARED: u32 = 3;
/// How often, in a term, a job is placed beside an attempt that goes on.
const BESIDE: u32 = 2;
/// How often a job may be handed back while all is well.
const HANDED_BACK: u32 = 3;
/// How many of the last steps are printed for a failure.
const STEPS: usize = 40;

#[derive(Debug)]
pub(crate) struct Judge {
    pub(crate) now: Duration,
    pub(crate) way: Way,
    isolation: Isolation,
    /// Whether jobs are placed again beside attempts that go on.
    beside: bool,
    /// How many slow ones were, and how many of draining workers.
    pub(crate) hedged: u64,
    pub(crate) moved: u64,
    /// How many were answered by kept answers.
    pub(crate) remembered: u64,
    /// How many runs the distributors made for nobody.
    pub(crate) tried: u64,
    /// Whether shadows kill their process, how many have, and how many distributors began.
    shadow_kills: bool,
    shadow_deaths: u32,
    pub(crate) lives: u32,
    /// Clients with the same one share runs and answers.
    logins: BTreeMap<Who, usize>,
    /// How long answers may be kept.
    memo: Option<MemoPolicy>,
    /// How many calls were checked, and how many workers got no more jobs for what they said.
    pub(crate) checked: u64,
    pub(crate) quarantined: u64,
    /// The workers that lie.
    pub(crate) liars: BTreeSet<WorkerId>,
    pub(crate) cases: BTreeMap<JobId, Case>,
    terms: u32,
    /// How many workers were declared lost, and when some died.
    lost: u32,
    pub(crate) deaths: Vec<Duration>,
    /// The first promise that was broken.
    pub(crate) broken: Option<String>,
    pub(crate) innocents: u32,
    /// How many jobs ran at their clients, since the workers were busy.
    pub(crate) taken_back: u32,
    /// Each step is printed.
    pub(crate) is_loud: bool,
    /// The last steps, if they are to be told.
    pub(crate) steps: Option<VecDeque<String>>,
}

/// A call.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) call: Call,
    pub(crate) who: Who,
    begun: Duration,
    /// How long its client had been frozen when it began.
    slept: Duration,
    pub(crate) is_over: bool,
    /// Nobody waits for it: it was dropped, or its client is gone.
    is_dropped: bool,
    /// Its client was told of evidence against it.
    is_struck: bool,
    runs_here: bool,
    runs: u32,
    /// Excused runs: of a duplicated message, or of a worker that left.
    extra: u32,
    handed_back: u32,
    terms_before: u32,
}

impl Judge {
    pub(crate) fn new(script: &Script) -> Self {
        let apart = script.sharing == Sharing::User;
        let login = |(place, (user, _)): (usize, &(usize, usize))| {
            (script.distributors + script.workers.len() + place, if apart { *user } else { 0 })
        };
        Self {
            now: Duration::ZERO,
            way: script.way,
            isolation: script.isolation(),
            beside: script.beside(),
            logins: script.clients.iter().enumerate().map(login).collect(),
            memo: script.memo,
            checked: 0,
            quarantined: 0,
            liars: BTreeSet::new(),
            hedged: 0,
            moved: 0,
            remembered: 0,
            tried: 0,
            shadow_kills: script.shadow_kills,
            shadow_deaths: 0,
            lives: 0,
            cases: BTreeMap::new(),
            terms: 0,
            lost: 0,
            deaths: vec![],
            broken: None,
            innocents: 0,
            taken_back: 0,
            is_loud: false,
            steps: None,
        }
    }

    /// Whether steps are recorded.
    pub(crate) fn is_told(&self) -> bool {
        self.is_loud || self.steps.is_some()
    }

    pub(crate) fn step(&mut self, step: String) {
        let step = format!("{:9.3} {step}", self.now.as_secs_f64());
        if self.is_loud {
            eprintln!("{step}");
        }
        if let Some(steps) = &mut self.steps {
            if steps.len() == STEPS {
                steps.pop_front();
            }
            steps.push_back(step);
        }
    }

    pub(crate) fn demand(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds && self.broken.is_none() {
            self.broken = Some(otherwise());
        }
    }

    /// Whether jobs must make progress now.
    pub(crate) fn is_calm(&self) -> bool {
        self.way != Way::Awful && self.now >= self.calm_since()
    }

    /// Since when all must be well: killers may outlive the faults.
    fn calm_since(&self) -> Duration {
        self.deaths.last().map_or(CALM, |death| CALM.max(*death + HEALED))
    }

    pub(crate) fn books(&mut self, books: &Counters) {
        self.hedged = self.hedged.max(books.hedges);
        self.moved = self.moved.max(books.moved);
        self.remembered = self.remembered.max(books.memo);
        self.tried = self.tried.max(books.trials);
        self.checked = self.checked.max(books.checks);
        self.quarantined = self.quarantined.max(books.quarantined);
        self.lost = self.lost.max(u32::try_from(books.lost).unwrap_or(u32::MAX));
        self.demand(books.balance(), || format!("the books do not balance: {books:?}"));
    }

    pub(crate) fn term_begins(&mut self) {
        self.terms += 1;
    }

    pub(crate) fn called(&mut self, who: Who, call: Call, slept: Duration) {
        let case = Case {
            call,
            who,
            begun: self.now,
            slept,
            is_over: false,
            is_dropped: false,
            is_struck: false,
            runs_here: false,
            runs: 0,
            extra: 0,
            handed_back: 0,
            terms_before: self.terms,
        };
        self.cases.insert(case.call.id, case);
    }

    pub(crate) fn kind(&self, id: JobId) -> Kind {
        self.cases[&id].call.kind
    }

    pub(crate) fn span(&self, id: JobId) -> Duration {
        self.cases[&id].call.span
    }

    /// What becomes of a run at a worker, and its value.
    pub(crate) fn outcome(&mut self, work: &Work) -> (Kind, Bytes) {
        if !work.key.is_trial() {
            return (self.kind(work.key.id), self.value(work.key.id));
        }
        let (name, argument) = (work.function.name(), String::from_utf8_lossy(&work.args));
        let is_shadow = name == "shadow";
        let value = format!("{} {argument}", if is_shadow { "short" } else { name });
        if !(is_shadow && self.shadow_kills) {
            return (Kind::Calm, value.into());
        }
        self.shadow_deaths += 1;
        // One that a distributor does not hear of, since its term is over, may be followed by another.
        let (deaths, most) = (self.shadow_deaths, self.lives + self.terms);
        self.demand(deaths <= most, || format!("a shadow kills its {deaths}th process"));
        (Kind::Killer, value.into())
    }

    /// A worker starts a run that nobody waits for; returns how long it takes.
    pub(crate) fn tries(&mut self, work: &Work) -> Duration {
        let equal =
            |case: &&Case| case.runs > 0 && case.call.argument.to_string().as_bytes() == work.args;
        let call = self.cases.values().find(equal).map(|case| (case.call.kind, case.call.span));
        let (key, function) = (&work.key, &work.function);
        let fine = call.is_some_and(|(kind, _)| !kind.kills());
        self.demand(fine, || format!("{key} is no call of {function} that has ended well"));
        call.map_or(Duration::ZERO, |(_, span)| span)
    }

    /// What the job's function returns.
    pub(crate) fn value(&self, id: JobId) -> Bytes {
        let call = &self.cases[&id].call;
        let name = call.function.split('@').next().unwrap_or_default();
        Bytes::from(format!("{name} {}", call.argument))
    }

    /// A worker was outvoted, or a function refuted.
    pub(crate) fn accused(&mut self, workers: &[WorkerId], refuted: bool) {
        let innocent = workers.iter().find(|worker| !self.liars.contains(worker));
        self.demand(innocent.is_none(), || format!("{innocent:?} is accused and does not lie"));
        let fine = !refuted || self.liars.len() > 1;
        self.demand(fine, || "a deterministic function is said not to be".to_owned());
    }

    fn case(&mut self, id: JobId) -> &mut Case {
        self.cases.get_mut(&id).expect("a job that somebody called")
    }

    /// A worker starts the job; returns how long it runs.
    pub(crate) fn begins(&mut self, id: JobId) -> Duration {
        let terms = self.terms;
        // A live worker whose beats are late is declared lost, and its jobs go elsewhere: until it
        // is heard, nobody knows that it has started them.
        let dead = self.deaths.iter().filter(|at| **at + FOUND <= self.now).count();
        let uncounted = self.lost.saturating_sub(dead as u32);
        let (isolation, beside) = (self.isolation, self.beside);
        let case = self.case(id);
        case.runs += 1;
        let (runs, span) = (case.runs, case.call.span);
        let changes = terms - case.terms_before;
        let spared = if isolation == Isolation::Nobody { 0 } else { SPARED * (1 + changes) };
        let beside = if beside { BESIDE * (1 + changes) } else { 0 };
        let most = STRIKES as u32 + changes + spared + beside + case.extra + uncounted;
        let fine = case.is_over || runs <= most;
        self.demand(fine, || format!("{id} runs for the {runs}th time in {changes} more terms"));
        span
    }

    /// Its client runs it locally; returns how long that takes.
    pub(crate) fn begins_here(&mut self, id: JobId, reason: Reason) -> Duration {
        self.taken_back += u32::from(reason == Reason::WhenBusy);
        let case = self.case(id);
        let fine = !case.is_struck
            && case.may_run_here()
            && (reason != Reason::WhenBusy || case.call.when_busy);
        case.runs_here = true;
        let span = case.call.span;
        self.demand(fine, || format!("{id} must not run at its client"));
        span
    }

    /// Its local run continues although the call is over: something else ends it now, or it was
    /// dropped.
    pub(crate) fn left_behind(&mut self, id: JobId) {
        let case = self.case(id);
        let fine = case.runs_here && (!case.is_over || case.is_dropped);
        self.demand(fine, || format!("{id} is not to be left behind"));
    }

    /// Allows one more run, if it is of a call.
    pub(crate) fn allow_one_more(&mut self, id: JobId) {
        // Of a run for nobody there is one, whatever happens.
        self.cases.get_mut(&id).into_iter().for_each(|case| case.extra += 1);
    }

    pub(crate) fn handed_back(&mut self, id: JobId) {
        let beside = self.beside;
        if self.is_calm()
            && let Some(case) = self.cases.get_mut(&id)
        {
            case.handed_back += 1;
            // A second attempt may have come to a slot that was only lent.
            let most = HANDED_BACK + if beside { BESIDE } else { 0 };
            let fine = case.handed_back <= most;
            self.demand(fine, || format!("{id} is handed back again and again"));
        }
    }

    pub(crate) fn struck(&mut self, id: JobId, marks: &Marks) {
        let (calm, since) = (self.is_calm(), self.calm_since());
        // A wrecker takes its neighbours down again and again, until it is poisoned; and where beats
        // are late, workers are lost again and again that live.
        let wrecked = self.cases.values().any(|case| case.call.kind == Kind::Wrecker);
        let exact = self.isolation == Isolation::Everybody && !wrecked && self.way != Way::Awful;
        // A call that shares a run bears what that has borne.
        let Call { function, argument, .. } = self.case(id).call;
        let equal = |case: &&Case| (case.call.function, case.call.argument) == (function, argument);
        let runs: u32 = self.cases.values().filter(equal).map(|case| case.runs).sum();
        let case = self.case(id);
        case.is_struck = marks.count() > 0;
        let fine = !calm || case.begun < since || marks.count() == 0;
        // One of four losses may have been of an attempt that had not begun.
        let (kind, is_spared) = (case.call.kind, runs < SPARED);
        self.demand(fine, || format!("{id} is suspected while all is well: {marks:?}"));
        let fine = marks.crashes.is_empty() || kind == Kind::Killer;
        self.demand(fine, || format!("{id} killed no child: {marks:?}"));
        let fine = !exact || !is_spared || kind.kills() || marks.count() == 0;
        self.demand(fine, || format!("{id} is suspected for an accident: {marks:?}"));
    }

    pub(crate) fn dropped(&mut self, id: JobId) {
        if let Some(case) = self.cases.get_mut(&id) {
            case.is_dropped |= !case.is_over;
            case.is_over = true;
        }
    }

    /// A client is gone with all its calls.
    pub(crate) fn gone(&mut self, who: Who) {
        for case in self.cases.values_mut().filter(|case| case.who == who && !case.is_over) {
            (case.is_dropped, case.is_over) = (true, true);
        }
    }

    /// Whether a call may be answered by the run of an equal one: it does not ask for its own, and
    /// somebody has begun one who shares with it.
    fn may_share(&self, id: JobId) -> bool {
        let (case, value) = (&self.cases[&id], self.value(id));
        let equal = |(other, it): (&JobId, &Case)| {
            *other != id
                && it.runs > 0
                && self.logins[&it.who] == self.logins[&case.who]
                && self.value(*other) == value
        };
        !case.call.fresh && self.cases.iter().any(equal)
    }

    /// A call ends.
    pub(crate) fn ends(&mut self, id: JobId, end: CallEnd) {
        let (now, value, since) = (self.now, self.value(id), self.calm_since());
        let (calm, may_share, memo) = (self.is_calm(), self.may_share(id), self.memo);
        // A liar's answer may be a lie; nobody else's is.
        let is_right = end.as_ref().is_ok_and(|ended| {
            let liar = ended.ran.worker().filter(|worker| self.liars.contains(worker));
            let lie = liar.map(|worker| lie(&value, worker));
            ended.value.as_ref().is_some_and(|it| *it == value || lie.as_ref() == Some(it))
        });
        let case = self.case(id);
        let again = std::mem::replace(&mut case.is_over, true) && !case.is_dropped;
        let waited = now - case.begun;
        let Call { timeout, deadline, fallback, kind, .. } = case.call;
        let in_time = waited < timeout;
        let kills = kind.kills();
        let may_run_here = case.may_run_here() && !case.is_struck;
        let patient = timeout == PATIENT && deadline.is_none();
        let in_calm = calm && case.begun >= since && patient && !kills;
        let mut innocents = 0;
        let fine = match &end {
            Ok(Ended { value: Some(_), ran: Ran::Remote { .. }, .. }) => is_right && !kills,
            Ok(Ended { value: Some(_), ran: Ran::Coalesced { .. }, .. }) => {
                is_right && !kills && may_share
            }
            Ok(Ended { value: Some(_), ran: Ran::Memo { age, .. }, .. }) => {
                is_right && !kills && may_share && memo.is_some_and(|memo| *age < memo.ttl)
            }
            Ok(Ended { value: None, ran: Ran::Local { reason }, .. }) => {
                let beside = matches!(reason, Reason::After | Reason::WhenBusy);
                case.runs_here && !kills && (!in_calm || beside)
            }
            Ok(_) => false,
            Err(CallError::Poisoned { .. }) => {
                innocents += u32::from(!kills);
                !in_calm
            }
            Err(CallError::Suspect { marks }) => {
                marks.count() > 0 && case.may_run_here() && !in_time
            }
            Err(CallError::Timeout) => !in_time && deadline.is_none_or(|it| it > timeout),
            Err(CallError::Deadline) => deadline.is_some_and(|deadline| waited >= deadline),
            Err(CallError::Unavailable { .. }) => {
                fallback != Fallback::Wait && !(in_calm || in_time && may_run_here)
            }
            Err(_) => false,
        };
        self.innocents += innocents;
        self.demand(fine && !again, || format!("{id} ended, after {waited:?}, as {end:?}"));
    }

    /// Whether a call continues past its time without being allowed to: only a local run, or the
    /// wait for one, may keep it, and nothing beyond its deadline. `slept` is how long its client
    /// has been frozen.
    pub(crate) fn is_late(case: &Case, now: Duration, slept: Duration, is_full: bool) -> bool {
        let Call { timeout, deadline, .. } = case.call;
        let kept = case.may_run_here() && (case.runs_here || is_full);
        let since = case.begun + (slept - case.slept);
        let late = now > since + timeout + LATE && !kept;
        let past = deadline.is_some_and(|deadline| now > since + deadline + GRACE);
        !case.is_over && (late || past)
    }
}

/// What a liar says instead, and nobody else.
pub(crate) fn lie(value: &Bytes, worker: WorkerId) -> Bytes {
    [value, worker.to_string().as_bytes()].concat().into()
}

impl Case {
    fn may_run_here(&self) -> bool {
        let here = !matches!(self.call.fallback, Fallback::Never | Fallback::Wait);
        self.call.runs_here && here
    }
}
