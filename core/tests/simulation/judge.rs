//! The promises: the record of every call, and what must never happen in it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use simple_dist_core::caller::{CallEnd, CallError, Ended, Fallback, Ran, Reason};
use simple_dist_core::scheduler::Counters;
use simple_dist_protocol::JobId;
use simple_dist_protocol::limits::STRIKES;
use simple_dist_protocol::message::Marks;

use crate::script::{CALM, Call, Kind, PATIENT, Way, Who};

/// How late a call may end after its time.
const LATE: Duration = Duration::from_secs(2);
/// How late it may end after its deadline.
const GRACE: Duration = Duration::from_millis(100);
/// How soon the effects of a death must be repaired.
const HEALED: Duration = Duration::from_secs(15);
/// How soon a death must be noticed, so that a later loss counts as a false alarm.
const FOUND: Duration = Duration::from_secs(4);
/// How often a job may be handed back while all is well.
const HANDED_BACK: u32 = 3;
/// How many of the last steps are printed for a failure.
const STEPS: usize = 40;

#[derive(Debug)]
pub(crate) struct Judge {
    pub(crate) now: Duration,
    pub(crate) way: Way,
    pub(crate) cases: BTreeMap<JobId, Case>,
    terms: u32,
    /// How many workers were declared lost, and when some died.
    lost: u32,
    pub(crate) deaths: Vec<Duration>,
    /// The first promise that was broken.
    pub(crate) broken: Option<String>,
    pub(crate) innocents: u32,
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
    /// Its client was told of a strike.
    is_struck: bool,
    runs_here: bool,
    runs: u32,
    /// Excused runs: of a duplicated message, or of a worker that left.
    extra: u32,
    handed_back: u32,
    terms_before: u32,
}

impl Judge {
    pub(crate) fn new(way: Way) -> Self {
        Self {
            now: Duration::ZERO,
            way,
            cases: BTreeMap::new(),
            terms: 0,
            lost: 0,
            deaths: vec![],
            broken: None,
            innocents: 0,
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

    /// What the job's function returns.
    pub(crate) fn value(&self, id: JobId) -> Bytes {
        Bytes::from(id.to_string())
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
        let case = self.case(id);
        case.runs += 1;
        let (runs, span) = (case.runs, case.call.span);
        let changes = terms - case.terms_before;
        let most = STRIKES as u32 + changes + case.extra + uncounted;
        let fine = case.is_over || runs <= most;
        self.demand(fine, || format!("{id} runs for the {runs}th time in {changes} more terms"));
        span
    }

    /// Its client runs it locally; returns how long that takes.
    pub(crate) fn begins_here(&mut self, id: JobId) -> Duration {
        let case = self.case(id);
        let fine = !case.is_struck && case.may_run_here();
        case.runs_here = true;
        let span = case.call.span;
        self.demand(fine, || format!("{id} must not run at its client"));
        span
    }

    /// Its local run continues although the call has ended.
    pub(crate) fn left_behind(&mut self, id: JobId) {
        let case = self.case(id);
        let fine = case.runs_here && case.call.deadline.is_some() && !case.is_over;
        self.demand(fine, || format!("{id} is not to be left behind"));
    }

    /// Allows one more run.
    pub(crate) fn allow_one_more(&mut self, id: JobId) {
        self.case(id).extra += 1;
    }

    pub(crate) fn handed_back(&mut self, id: JobId) {
        if self.is_calm() {
            let case = self.case(id);
            case.handed_back += 1;
            let fine = case.handed_back <= HANDED_BACK;
            self.demand(fine, || format!("{id} is handed back again and again"));
        }
    }

    pub(crate) fn struck(&mut self, id: JobId, marks: &Marks) {
        let (calm, since) = (self.is_calm(), self.calm_since());
        let case = self.case(id);
        case.is_struck = !marks.strikes.is_empty();
        let fine = !calm || case.begun < since || marks.count() == 0;
        self.demand(fine, || format!("{id} is suspected while all is well: {marks:?}"));
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

    /// A call ends.
    pub(crate) fn ends(&mut self, id: JobId, end: CallEnd) {
        let (now, value, since) = (self.now, self.value(id), self.calm_since());
        let calm = self.is_calm();
        let case = self.case(id);
        let again = std::mem::replace(&mut case.is_over, true) && !case.is_dropped;
        let waited = now - case.begun;
        let Call { timeout, deadline, fallback, kind, .. } = case.call;
        let in_time = waited < timeout;
        let kills = kind == Kind::Killer;
        let may_run_here = case.may_run_here() && !case.is_struck;
        let patient = timeout == PATIENT && deadline.is_none();
        let in_calm = calm && case.begun >= since && patient && !kills;
        let mut innocents = 0;
        let fine = match &end {
            Ok(Ended { value: Some(it), ran: Ran::Remote { .. }, .. }) => *it == value && !kills,
            Ok(Ended { value: None, ran: Ran::Local { reason }, .. }) => {
                case.runs_here && !kills && (!in_calm || *reason == Reason::After)
            }
            Ok(_) => false,
            Err(CallError::Poisoned { .. }) => {
                innocents += u32::from(!kills);
                !in_calm
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

impl Case {
    fn may_run_here(&self) -> bool {
        let here = matches!(self.call.fallback, Fallback::WhenUnavailable | Fallback::After(_));
        self.call.runs_here && here
    }
}
