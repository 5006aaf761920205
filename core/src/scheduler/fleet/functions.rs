//! What is called and served: every function we heard of, with the jobs that wait for it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use simple_dist_protocol::{Address, PoolId, Selector};

/// The most functions we know at once; those that nobody serves or waits for make room.
pub(crate) const FUNCTIONS: usize = 4096;
/// The most of them that nobody serves: whoever asks for names does not keep workers out.
const UNSERVED: usize = 1024;

/// One function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FunctionRef(u32);

impl FunctionRef {
    /// Where it lies: no two functions that are known lie in one place.
    pub(crate) fn place(self) -> usize {
        self.0 as usize
    }
}

/// What is known of a function.
#[derive(Debug)]
pub(crate) struct Function {
    /// The selector as text, shared with whatever tells of it.
    pub(crate) name: Arc<str>,
    /// `fib@1`; or `fib` for jobs that wait for any version of it to be served.
    pub(crate) selector: Selector,
    /// None for `fib` without a version.
    pub(crate) address: Option<Address>,
    pub(crate) pools: BTreeSet<PoolId>,
    /// How many of its pools take jobs.
    live: usize,
    /// When a live worker of it was last heard, written when the last one goes.
    pub(crate) served: Option<Duration>,
    /// Served when the link was lost, and not seen again since.
    pub(crate) expected: bool,
    pub(crate) work: Work,
    /// Jobs that have not ended.
    pub(crate) jobs: usize,
    /// When it was last asked for.
    pub(crate) used: Duration,
}

/// The measured run time: an average in which the last few runs weigh most.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Work(Option<f64>);

impl Work {
    const WEIGHT: f64 = 0.125;

    /// None until something was measured.
    pub(crate) fn mean(self) -> Option<Duration> {
        self.0.map(Duration::from_secs_f64)
    }

    /// Whatever was measured, what runs now takes at least so long.
    pub(crate) fn at_least(&mut self, took: Duration) {
        self.0 = self.0.map(|mean| mean.max(took.as_secs_f64()));
    }

    /// One more run.
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

/// All functions we know.
#[derive(Debug, Default)]
pub(crate) struct Functions {
    known: Vec<Option<Function>>,
    free: Vec<u32>,
    addresses: HashMap<Address, FunctionRef>,
    names: HashMap<String, Name>,
}

/// One name.
#[derive(Debug, Default)]
struct Name {
    versions: BTreeMap<u32, FunctionRef>,
    /// Those of them that are live.
    live: BTreeMap<u32, FunctionRef>,
    any: Option<FunctionRef>,
}

impl Functions {
    /// A function that is there: references are given up before their function goes.
    pub(crate) fn get(&self, function: FunctionRef) -> &Function {
        self.known[function.0 as usize].as_ref().expect("a function outlives its jobs and pools")
    }

    /// A function that is there.
    pub(crate) fn get_mut(&mut self, function: FunctionRef) -> &mut Function {
        self.known[function.0 as usize].as_mut().expect("a function outlives its jobs and pools")
    }

    /// A function, unless it has been forgotten.
    pub(crate) fn known(&self, function: FunctionRef) -> Option<&Function> {
        self.known.get(function.0 as usize)?.as_ref()
    }

    /// One of the function's pools takes jobs from now on, or no longer.
    pub(crate) fn pool_lives(&mut self, function: FunctionRef, lives: bool) {
        let Some(known) = self.known[function.0 as usize].as_mut() else { return };
        known.live = if lives { known.live + 1 } else { known.live.saturating_sub(1) };
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

    /// Nothing waits, and no pool takes jobs, before the next term has heard the workers.
    pub(crate) fn forget_term(&mut self) {
        for function in self.known.iter_mut().flatten() {
            function.jobs = 0;
            function.live = 0;
        }
        for name in self.names.values_mut() {
            name.live.clear();
        }
    }

    /// The highest version of a name that is live.
    pub(crate) fn live_version(&self, name: &str) -> Option<FunctionRef> {
        self.names.get(name)?.live.last_key_value().map(|(_, function)| *function)
    }

    /// The function of this address, if it is known.
    pub(crate) fn find(&self, address: &Address) -> Option<FunctionRef> {
        self.addresses.get(address).copied()
    }

    /// The address, its text shared with the function's if that is known.
    pub(crate) fn address(&self, address: &Address) -> Address {
        let known = self.find(address).and_then(|function| self.get(function).address.clone());
        known.unwrap_or_else(|| address.clone())
    }

    /// The versions of a name, the highest first.
    pub(crate) fn versions(&self, name: &str) -> impl Iterator<Item = FunctionRef> {
        self.names.get(name).into_iter().flat_map(|name| name.versions.values().rev().copied())
    }

    /// Those who wait for any version of the name.
    pub(crate) fn unresolved(&self, name: &str) -> Option<FunctionRef> {
        self.names.get(name)?.any
    }

    /// The function that a client names, known from now on; none if there are too many.
    pub(crate) fn ask(&mut self, selector: &Selector, now: Duration) -> Option<FunctionRef> {
        if self.named(selector).is_none() && self.unserved() >= UNSERVED {
            self.forget_idle();
            if self.unserved() >= UNSERVED {
                return None;
            }
        }
        self.meet(selector, now)
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

    /// The function that a worker names, known from now on; none if there are too many.
    pub(crate) fn meet(&mut self, selector: &Selector, now: Duration) -> Option<FunctionRef> {
        let address = selector.address();
        if let Some(function) = self.named(selector) {
            self.get_mut(function).used = now;
            return Some(function);
        }
        let function = self.room()?;
        let name = self.names.entry(selector.name().to_owned()).or_default();
        match &address {
            Some(address) => {
                name.versions.insert(address.version(), function);
                self.addresses.insert(address.clone(), function);
            }
            None => name.any = Some(function),
        }
        self.known[function.0 as usize] = Some(Function {
            name: selector.to_string().into(),
            selector: selector.clone(),
            address,
            pools: BTreeSet::new(),
            live: 0,
            served: None,
            expected: false,
            work: Work::default(),
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

    /// A function's name, shared if we know it.
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

    fn room(&mut self) -> Option<FunctionRef> {
        if self.free.is_empty() && self.known.len() < FUNCTIONS {
            self.known.push(None);
            self.free.extend(u32::try_from(self.known.len() - 1));
        }
        if self.free.is_empty() {
            self.forget_idle();
        }
        self.free.pop().map(FunctionRef)
    }

    /// Forgets a quarter of what nobody serves or waits for: what was used last the longest ago.
    fn forget_idle(&mut self) {
        let idle = |function: &Function| function.pools.is_empty() && function.jobs == 0;
        let mut found: Vec<_> = self
            .iter()
            .filter(|(_, function)| idle(function))
            .map(|(id, function)| (function.expected, function.used, id))
            .collect();
        found.sort_unstable();
        for (_, _, id) in &found[..found.len().div_ceil(4)] {
            let Some(function) = self.known[id.0 as usize].take() else { continue };
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
