//! What is called and served: every function we heard of, with the jobs that wait for it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use simple_dist_protocol::{Address, PoolId, Selector};

use super::measures::Measures;
use super::queue::Queue;

/// The most functions we know at once; those that nobody serves or waits for make room.
pub(super) const FUNCTIONS: usize = 4096;

/// One function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct FunctionRef(u32);

/// What is known of a function.
#[derive(Debug)]
pub(super) struct Function {
    /// The selector as text, shared with whatever tells of it.
    pub(super) name: Arc<str>,
    /// `fib@1`; or `fib` for jobs that wait for any version of it to be served.
    pub(super) selector: Selector,
    /// None for `fib` without a version.
    pub(super) address: Option<Address>,
    pub(super) calm: Queue,
    /// Jobs with marks, which are placed one at a time.
    pub(super) suspects: Queue,
    pub(super) pools: BTreeSet<PoolId>,
    /// When a live worker of it was last heard, written when the last one goes.
    pub(super) served: Option<Duration>,
    /// Served when the link was lost, and not seen again since.
    pub(super) expected: bool,
    pub(super) work: Work,
    /// Jobs that have not ended.
    pub(super) jobs: usize,
    pub(super) done: u64,
    pub(super) failed: u64,
    /// None until something was measured: most names that were ever asked for have nothing.
    pub(super) measures: Option<Box<Measures>>,
}

/// The measured run time: an average in which the last few runs weigh most.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Work(Option<f64>);

impl Work {
    const WEIGHT: f64 = 0.125;

    /// None until something was measured.
    pub(super) fn mean(self) -> Option<Duration> {
        self.0.map(Duration::from_secs_f64)
    }

    /// One more run.
    pub(super) fn measure(&mut self, took: Duration) {
        let took = took.as_secs_f64();
        self.0 = Some(self.0.map_or(took, |mean| mean + Self::WEIGHT * (took - mean)));
    }
}

impl Function {
    /// Whether any of its jobs waits.
    pub(super) fn waits(&self) -> bool {
        !self.calm.is_empty() || !self.suspects.is_empty()
    }
}

/// All functions we know.
#[derive(Debug, Default)]
pub(super) struct Functions {
    known: Vec<Option<Function>>,
    free: Vec<u32>,
    addresses: HashMap<Address, FunctionRef>,
    names: HashMap<String, Name>,
}

/// One name.
#[derive(Debug, Default)]
struct Name {
    versions: BTreeMap<u32, FunctionRef>,
    any: Option<FunctionRef>,
}

impl Functions {
    /// A function that is there: references are given up before their function goes.
    pub(super) fn get(&self, function: FunctionRef) -> &Function {
        self.known[function.0 as usize].as_ref().expect("a function outlives its jobs and pools")
    }

    /// A function that is there.
    pub(super) fn get_mut(&mut self, function: FunctionRef) -> &mut Function {
        self.known[function.0 as usize].as_mut().expect("a function outlives its jobs and pools")
    }

    /// The function of this address, if it is known.
    pub(super) fn find(&self, address: &Address) -> Option<FunctionRef> {
        self.addresses.get(address).copied()
    }

    /// The versions of a name, the highest first.
    pub(super) fn versions(&self, name: &str) -> impl Iterator<Item = FunctionRef> {
        self.names.get(name).into_iter().flat_map(|name| name.versions.values().rev().copied())
    }

    /// Those who wait for any version of the name.
    pub(super) fn unresolved(&self, name: &str) -> Option<FunctionRef> {
        self.names.get(name)?.any
    }

    /// The function asked for, known from now on; none if there are too many.
    pub(super) fn meet(&mut self, selector: &Selector) -> Option<FunctionRef> {
        let address = selector.address();
        let found = match &address {
            Some(address) => self.find(address),
            None => self.unresolved(selector.name()),
        };
        if found.is_some() {
            return found;
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
            calm: Queue::default(),
            suspects: Queue::default(),
            pools: BTreeSet::new(),
            served: None,
            expected: false,
            work: Work::default(),
            jobs: 0,
            done: 0,
            failed: 0,
            measures: None,
        });
        Some(function)
    }

    /// Every function.
    pub(super) fn iter(&self) -> impl Iterator<Item = (FunctionRef, &Function)> {
        self.known.iter().enumerate().filter_map(|(index, known)| {
            let index = u32::try_from(index).ok()?;
            known.as_ref().map(|function| (FunctionRef(index), function))
        })
    }

    /// Every function.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Function> {
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

    /// Forgets what nobody serves or waits for.
    fn forget_idle(&mut self) {
        for (index, known) in self.known.iter_mut().enumerate() {
            let Some(function) =
                known.take_if(|function| function.pools.is_empty() && function.jobs == 0)
            else {
                continue;
            };
            self.free.extend(u32::try_from(index));
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
