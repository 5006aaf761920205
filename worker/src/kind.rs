//! What a worker's functions run in: on threads, in processes of their own, or as tasks.

use std::collections::BTreeSet;
use std::future::pending;
use std::hash::{DefaultHasher, Hash, Hasher};

use simple_dist_isolation::{Spec, inside};
use simple_dist_protocol::message::Memo;
use simple_dist_protocol::{Address, AsyncErased, Erased};
use tokio::runtime::Handle;

use crate::builder::Builder;
use crate::error::Error;
use crate::isolation::Isolated;
use crate::limits::{ASYNC_LENT_MAX, ISOLATED_LENT_MAX, LENT_MAX};
use crate::registry::Registry;
use crate::slots::{Bodies, LastLines, ProcessSlots};

/// What one worker runs: a program with sync and async functions is two.
pub(crate) struct Kind {
    /// In order.
    pub(crate) functions: Vec<Address>,
    pub(crate) deterministic: Vec<Address>,
    /// How the answers of these may be kept.
    pub(crate) memo: Vec<Memo>,
    pub(crate) bodies: Bodies,
    pub(crate) slots: usize,
    /// How many of them lend their places at once.
    pub(crate) lends: usize,
}

impl Builder {
    /// This process is a child: it runs the jobs of its parent, or waits here for nothing while it
    /// does so elsewhere in its program.
    pub(crate) async fn run_in_child(mut self) -> Result<(), Error> {
        self.check()?;
        let functions = self.take_isolated();
        let reached = inside::reach(&self.child_name(&functions), self.isolated.limits);
        match reached.map_err(Error::Child)? {
            inside::Reached::Here(parent) => {
                crate::inside::outlive_signals();
                crate::inside::serve(parent, Registry::new(functions), self.stack).await
            }
            inside::Reached::Again => Err(Error::ChildTwice),
            inside::Reached::Free | inside::Reached::Other => pending().await,
        }
    }

    /// What there is to run, of each kind.
    pub(crate) fn kinds(mut self) -> Result<Vec<Kind>, Error> {
        self.check()?;
        let isolated = self.take_isolated();
        let spec = Spec { name: self.child_name(&isolated), ..crate::isolation::spec() };
        let in_order = |addresses: Vec<&Address>| {
            addresses.into_iter().cloned().collect::<BTreeSet<_>>().into_iter().collect()
        };
        let of = |functions: &[Erased]| {
            let declared = functions.iter().filter(|function| function.is_deterministic());
            declared.map(Erased::address).cloned().collect()
        };
        let memo = |functions: &[Erased]| {
            let of = |it: &Erased| Some(Memo::of(it.address(), it.memo_policy()?));
            functions.iter().filter_map(of).collect()
        };
        let sync = |functions: &[Erased]| in_order(functions.iter().map(Erased::address).collect());
        let threads = Kind {
            functions: sync(&self.functions),
            deterministic: of(&self.functions),
            memo: memo(&self.functions),
            slots: self.slots,
            lends: LENT_MAX,
            bodies: Bodies::Sync(Registry::new(self.functions), self.stack),
        };
        let processes = Kind {
            functions: sync(&isolated),
            deterministic: of(&isolated),
            memo: memo(&isolated),
            slots: self.slots,
            lends: ISOLATED_LENT_MAX,
            bodies: Bodies::Isolated(ProcessSlots {
                spec,
                limits: self.isolated.limits,
                recycle_after: self.isolated.recycle_after,
                printed: self.isolated.shares_output.then(LastLines::default),
            }),
        };
        let tasks = Kind {
            functions: in_order(self.async_functions.iter().map(AsyncErased::address).collect()),
            deterministic: self
                .async_functions
                .iter()
                .filter(|function| function.is_deterministic())
                .map(AsyncErased::address)
                .cloned()
                .collect(),
            memo: self
                .async_functions
                .iter()
                .filter_map(|it| Some(Memo::of(it.address(), it.memo_policy()?)))
                .collect(),
            slots: self.async_slots,
            lends: ASYNC_LENT_MAX,
            bodies: Bodies::Async(self.async_functions, Handle::current()),
        };
        let kinds = [threads, processes, tasks].into_iter();
        Ok(kinds.filter(|kind| !kind.functions.is_empty()).collect())
    }

    /// Whether each function is served once, and can be served as it is to be.
    fn check(&self) -> Result<(), Error> {
        let threads = self.functions.iter().map(Erased::address);
        let tasks = self.async_functions.iter().map(AsyncErased::address);
        let mut addresses = BTreeSet::new();
        for address in threads.chain(tasks.clone()) {
            if !addresses.insert(address) {
                return Err(Error::Twice(address.clone()));
            }
        }
        if self.isolated.is_misplaced {
            return Err(Error::NothingIsolated);
        }
        if let Some(address) = tasks.into_iter().find(|it| self.isolated.chosen.contains(it)) {
            return Err(Error::AsyncIsolated(address.clone()));
        }
        if addresses.is_empty() { Err(Error::NoFunctions) } else { Ok(()) }
    }

    /// The functions that run in processes of their own.
    fn take_isolated(&mut self) -> Vec<Erased> {
        let functions = std::mem::take(&mut self.functions).into_iter();
        let Isolated { by_default, chosen, .. } = &self.isolated;
        let (isolated, others) =
            functions.partition(|it| *by_default || chosen.contains(it.address()));
        self.functions = others;
        isolated
    }

    /// What tells the children of this worker from those of others in the same program.
    fn child_name(&self, functions: &[Erased]) -> String {
        let mut hasher = DefaultHasher::new();
        self.prefix.hash(&mut hasher);
        functions.iter().for_each(|function| function.address().hash(&mut hasher));
        format!("{:016x}", hasher.finish())
    }
}

#[cfg(test)]
mod tests {
    use simple_dist_protocol::{Function, PureFunction};

    use super::*;
    use crate::{Isolation, Worker};

    const ONE: PureFunction<u64, u64> = Function::pure("one", 1, |n| n);
    const TWO: PureFunction<u64, u64> = Function::pure("two", 1, |n| n);
    const THREE: Function<u64, u64> = Function::new("three", 1);

    fn all() -> Builder {
        let worker = Worker::builder("amqp://localhost").serve_pure(ONE).serve_pure(TWO);
        worker.serve_async(THREE, std::future::ready)
    }

    /// The functions of each kind, and whether they run in processes.
    fn kinds(worker: Builder) -> Vec<(bool, Vec<String>)> {
        let kind = |kind: Kind| {
            let names = kind.functions.iter().map(ToString::to_string).collect();
            (matches!(kind.bodies, Bodies::Isolated(_)), names)
        };
        worker.kinds().unwrap().into_iter().map(kind).collect()
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[tokio::test]
    async fn functions_are_isolated_alone_or_all_together_but_not_async_ones() {
        let (one, two, three) = (names(&["one@1"]), names(&["two@1"]), names(&["three@1"]));
        let both = names(&["one@1", "two@1"]);
        assert_eq!(kinds(all()), [(false, both.clone()), (false, three.clone())]);
        let isolated = all().isolation(Isolation::Process);
        assert_eq!(kinds(isolated), [(true, both), (false, three)]);
        let one_alone = Worker::builder("").serve_pure(TWO).serve_pure(ONE).isolated();
        assert_eq!(kinds(one_alone), [(false, two), (true, one)]);
    }

    #[test]
    fn what_cannot_be_isolated_is_refused() {
        let error = |worker: Builder| worker.kinds().err();
        let three = error(all().isolated());
        assert!(matches!(three, Some(Error::AsyncIsolated(it)) if it == THREE.address()));
        let nothing = Worker::builder("").isolated().serve_pure(ONE);
        assert!(matches!(error(nothing), Some(Error::NothingIsolated)));
    }

    #[test]
    fn children_are_told_apart_by_prefix_and_functions() {
        let name = |mut worker: Builder| {
            let functions = worker.take_isolated();
            worker.child_name(&functions)
        };
        let worker = || all().isolation(Isolation::Process);
        assert_eq!(name(worker()), name(worker().slots(7)));
        assert_ne!(name(worker()), name(worker().prefix("other")));
        assert_ne!(name(worker()), name(all().isolated()));
    }
}
