//! Every function that was called or served, interned.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::slow_runs::SlowRuns;
use crate::scheduler::ids::{FunctionRef, Table};
use simple_dist_protocol::{Address, MemoPolicy, PoolId, Selector};

/// The most functions known at once; those that nobody serves or waits for make room.
pub(crate) const FUNCTIONS: usize = 4096;
/// The most of them that no worker serves, so that calls of made-up names do not crowd out workers.
const UNSERVED: usize = 1024;

/// What is known of a function.
#[derive(Debug)]
pub(crate) struct Function {
    /// The selector as text, shared with whatever shows it.
    pub(crate) name: Arc<str>,
    /// `fib@1`, or `fib` as the placeholder for jobs that wait for any version.
    pub(crate) selector: Selector,
    /// `None` for the placeholder.
    pub(crate) address: Option<Address>,
    pub(crate) pools: BTreeSet<PoolId>,
    /// How many of its pools take jobs.
    live: usize,
    /// How many of its pools have a worker with a link.
    linked: usize,
    /// Whether all its workers have lost their links, and none has come since.
    pub(crate) out_of_reach: bool,
    /// When a live worker of it was last heard; set when its last pool is removed.
    pub(crate) served: Option<Duration>,
    /// Whether it was served when the link was lost, and has not been since.
    pub(crate) expected: bool,
    pub(crate) work: RunTime,
    pub(crate) slow: SlowRuns,
    /// Whether all its workers declare it deterministic.
    pub(crate) deterministic: bool,
    /// Whether it was found not to be, whatever they declare.
    pub(crate) refuted: bool,
    /// How its answers are kept, if all its workers allow it.
    pub(crate) memo: Option<MemoPolicy>,
    /// Its unfinished jobs.
    pub(crate) jobs: usize,
    /// When it was last called or served.
    pub(crate) used: Duration,
}

/// The measured run time: a moving average that favours the last few runs.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RunTime(Option<f64>);

impl RunTime {
    const WEIGHT: f64 = 0.125;

    /// The average; `None` until something was measured.
    pub(crate) fn mean(self) -> Option<Duration> {
        self.0.map(Duration::from_secs_f64)
    }

    /// Raises the average to at least this.
    pub(crate) fn raise_to(&mut self, took: Duration) {
        self.0 = self.0.map(|mean| mean.max(took.as_secs_f64()));
    }

    /// Adds a run.
    pub(crate) fn measure(&mut self, took: Duration) {
        let took = took.as_secs_f64();
        self.0 = Some(self.0.map_or(took, |mean| mean + Self::WEIGHT * (took - mean)));
    }
}

impl Function {
    /// Whether any of its pools takes jobs.
    pub(crate) fn is_live(&self) -> bool {
        self.live > 0
    }
}

/// All known functions.
#[derive(Debug, Default)]
pub(crate) struct Functions {
    known: Vec<Option<Function>>,
    free: Vec<u32>,
    addresses: Table<Address, FunctionRef>,
    names: Table<String, Versions>,
}

/// All versions of one name.
#[derive(Debug, Default)]
struct Versions {
    versions: BTreeMap<u32, FunctionRef>,
    /// The live ones of them.
    live: BTreeMap<u32, FunctionRef>,
    any: Option<FunctionRef>,
}

impl Functions {
    /// A known function: references are dropped before their function is forgotten.
    pub(crate) fn get(&self, function: FunctionRef) -> &Function {
        self.known[function.index()].as_ref().expect("a function outlives its jobs and pools")
    }

    /// A known function.
    pub(crate) fn get_mut(&mut self, function: FunctionRef) -> &mut Function {
        self.known[function.index()].as_mut().expect("a function outlives its jobs and pools")
    }

    /// A function, unless it has been forgotten.
    pub(crate) fn known(&self, function: FunctionRef) -> Option<&Function> {
        self.known.get(function.index())?.as_ref()
    }

    /// One of the function's pools starts or stops taking jobs.
    pub(crate) fn set_pool_live(&mut self, function: FunctionRef, live: bool) {
        let Some(known) = self.known[function.index()].as_mut() else { return };
        known.live = if live { known.live + 1 } else { known.live.saturating_sub(1) };
        let live = known.is_live();
        let Some(address) = &known.address else { return };
        let version = address.version();
        let Some(name) = self.names.get_mut(known.selector.name()) else { return };
        if live {
            name.live.insert(version, function);
        } else {
            name.live.remove(&version);
        }
    }

    /// One of the function's pools has a worker with a link again, or none any more.
    pub(crate) fn set_pool_linked(&mut self, function: FunctionRef, linked: bool) {
        let known = self.get_mut(function);
        known.linked = if linked { known.linked + 1 } else { known.linked.saturating_sub(1) };
        known.out_of_reach &= !linked;
    }

    /// A pool of the function has lost all its links: true if the function is out of reach by that.
    pub(crate) fn lose_reach(&mut self, function: FunctionRef) -> bool {
        let known = self.get_mut(function);
        let is_new = known.linked == 0 && !known.out_of_reach;
        known.out_of_reach |= is_new;
        is_new
    }

    /// Resets what the link's end takes: no worker is known, and all served functions are expected
    /// back.
    pub(crate) fn forget_workers(&mut self) {
        for function in self.iter_mut() {
            function.expected |= !function.pools.is_empty();
            function.pools.clear();
            (function.linked, function.out_of_reach) = (0, false);
            (function.deterministic, function.refuted, function.memo) = (false, false, None);
        }
    }

    /// Resets counts at the end of a term.
    pub(crate) fn forget_term(&mut self) {
        for function in self.known.iter_mut().flatten() {
            function.jobs = 0;
            function.live = 0;
        }
        for name in self.names.values_mut() {
            name.live.clear();
        }
    }

    /// The highest live version of a name up to `highest`. If all are above, the lowest of them: a
    /// call that names no version can always be served by any.
    pub(crate) fn live_version(&self, name: &str, highest: Option<u32>) -> Option<FunctionRef> {
        let live = &self.names.get(name)?.live;
        let allowed = live.range(..=highest.unwrap_or(u32::MAX)).next_back();
        allowed.or_else(|| live.first_key_value()).map(|(_, function)| *function)
    }

    /// The function of this address, if it is known.
    pub(crate) fn find(&self, address: &Address) -> Option<FunctionRef> {
        self.addresses.get(address).copied()
    }

    /// The address, sharing its text with the known function's.
    pub(crate) fn address(&self, address: &Address) -> Address {
        let known = self.find(address).and_then(|function| self.get(function).address.clone());
        known.unwrap_or_else(|| address.clone())
    }

    /// The versions of a name, highest first.
    pub(crate) fn versions(&self, name: &str) -> impl Iterator<Item = FunctionRef> {
        self.names.get(name).into_iter().flat_map(|name| name.versions.values().rev().copied())
    }

    /// The placeholder for any version of a name.
    pub(crate) fn unresolved(&self, name: &str) -> Option<FunctionRef> {
        self.names.get(name)?.any
    }

    /// The function that a client names, interned; `None` if there are too many.
    pub(crate) fn intern_called(
        &mut self,
        selector: &Selector,
        now: Duration,
    ) -> Option<FunctionRef> {
        if self.named(selector).is_none() && self.unserved() >= UNSERVED {
            self.forget_idle();
            if self.unserved() >= UNSERVED {
                return None;
            }
        }
        self.intern(selector, now)
    }

    fn unserved(&self) -> usize {
        self.known.iter().flatten().filter(|known| known.pools.is_empty()).count()
    }

    fn named(&self, selector: &Selector) -> Option<FunctionRef> {
        match selector.address() {
            Some(address) => self.find(&address),
            None => self.unresolved(selector.name()),
        }
    }

    /// The function that a worker names, interned; `None` if there are too many.
    pub(crate) fn intern(&mut self, selector: &Selector, now: Duration) -> Option<FunctionRef> {
        let address = selector.address();
        if let Some(function) = self.named(selector) {
            self.get_mut(function).used = now;
            return Some(function);
        }
        let function = self.free_slot()?;
        let name = self.names.entry(selector.name().to_owned()).or_default();
        match &address {
            Some(address) => {
                name.versions.insert(address.version(), function);
                self.addresses.insert(address.clone(), function);
            }
            None => name.any = Some(function),
        }
        self.known[function.index()] = Some(Function {
            name: selector.to_string().into(),
            selector: selector.clone(),
            address,
            pools: BTreeSet::new(),
            live: 0,
            linked: 0,
            out_of_reach: false,
            served: None,
            expected: false,
            work: RunTime::default(),
            slow: SlowRuns::default(),
            deterministic: false,
            refuted: false,
            memo: None,
            jobs: 0,
            used: now,
        });
        Some(function)
    }

    /// Every function.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (FunctionRef, &Function)> {
        self.known.iter().enumerate().filter_map(|(index, known)| {
            let index = u32::try_from(index).ok()?;
            known.as_ref().map(|function| (FunctionRef(index), function))
        })
    }

    /// A function's name, shared if it is known.
    pub(crate) fn name_of(&self, address: &Address) -> Arc<str> {
        match self.find(address) {
            Some(function) => Arc::clone(&self.get(function).name),
            None => address.to_string().into(),
        }
    }

    /// Every function.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Function> {
        self.known.iter_mut().flatten()
    }

    fn free_slot(&mut self) -> Option<FunctionRef> {
        if self.free.is_empty() && self.known.len() < FUNCTIONS {
            self.known.push(None);
            self.free.extend(u32::try_from(self.known.len() - 1));
        }
        if self.free.is_empty() {
            self.forget_idle();
        }
        self.free.pop().map(FunctionRef)
    }

    /// Forgets a quarter of the functions that nobody serves or waits for: those used longest ago.
    fn forget_idle(&mut self) {
        let idle = |function: &Function| function.pools.is_empty() && function.jobs == 0;
        let mut found: Vec<_> = self
            .iter()
            .filter(|(_, function)| idle(function))
            .map(|(id, function)| (function.expected, function.used, id))
            .collect();
        found.sort_unstable();
        for (_, _, id) in &found[..found.len().div_ceil(4)] {
            let Some(function) = self.known[id.index()].take() else { continue };
            self.free.push(id.0);
            let name = function.selector.name();
            if let Some(entry) = self.names.get_mut(name) {
                match &function.address {
                    Some(address) => {
                        entry.versions.remove(&address.version());
                        self.addresses.remove(address);
                    }
                    None => entry.any = None,
                }
                if entry.any.is_none() && entry.versions.is_empty() {
                    self.names.remove(name);
                }
            }
        }
    }
}
